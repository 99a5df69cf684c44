"""What `import tunesmith as tune` offers, name by name. A name is added here on purpose, and never taken away."""

import subprocess
import sys

import pytest

import tunesmith

NAMES = """
    ASHAScheduler AsyncHyperBandScheduler BasicVariantGenerator Callback Checkpoint CheckpointConfig CombinedStopper
    CheckpointUnreadable StorageError
    DistributeResources DistributeResourcesToTopJob ResourceChangingScheduler
    BOHBSearcher HyperBandForBOHB HyperBandScheduler TuneBOHB
    Comparison CurveTable Simulation compare simulate
    Complete ConfigError Continue Decided ExecutorError Executor Exploit Experiment ExperimentExists ExperimentNotFound
    ExperimentPlateauStopper FIFOScheduler FailureConfig FunctionStopper InlineExecutor JournalDamaged JournalError
    JournalLocked LocalExecutor
    MaximumIterationStopper MedianStoppingRule MissingExtra New NoopStopper Pause Reallocate ReportError ResourceError
    Results Resume RunConfig Scheduler Searcher SimulatedExecutor SpaceError Stop Stopper TargetStopper ThresholdStopper
    TimeoutStopper Trainable TrialPlateauStopper TrialResult TrialsFailed TuneConfig TuneError Tuner Wait __version__
    PercentileRule
    MultiFrequencyPBT PB2 PopulationBasedTraining PopulationBasedTrainingReplay
    ThresholdRule
    PatienceRule
    MultiObjectiveASHA
    RacingScheduler
    Bundles PlacementGroupFactory RayTrainable TorchTrainable
    DaskExecutor RayExecutor SlurmExecutor
    Command CommandFailed MetricsUnreadable
    TPESearcher
    CMAESSearcher GridSearcher LatinHypercubeSearcher SobolSearcher
    EvolutionSearcher ForestSearcher NSGA2Searcher
    GPSearcher AutoSearcher
    AxSearch BayesOptSearch BlendSearch BoTorchSearch CFO HEBOSearch HyperOptSearch NevergradSearch OptunaSearch
    SMACSearch SkOptSearch ZOOptSearch
    PASHAScheduler PromotionASHAScheduler TopKScheduler
    Optimizer
    ConcurrencyLimiter GivenPoints Repeater
    choice get_checkpoint get_context grid_search load lograndint loguniform qlograndint qloguniform qrandint qrandn
    Space boolean ordinal permutation simplex subset when
    quniform randint randn register_trainable report resume run run_experiments sample_from uniform with_parameters
    with_resources
""".split()  # noqa: SIM905  as a list it would be a page long


def test_the_public_names_are_exactly_these():
    assert sorted(tunesmith.__all__) == sorted(NAMES)
    assert set(NAMES) <= set(dir(tunesmith))


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there_and_documented(name):
    value = getattr(tunesmith, name)

    assert name == "__version__" or value.__doc__


def test_ray_tunes_place_for_schedulers_is_there():
    from tunesmith.schedulers import ASHAScheduler, MedianStoppingRule

    assert tunesmith.schedulers.ASHAScheduler is ASHAScheduler is tunesmith.ASHAScheduler
    assert tunesmith.schedulers.MedianStoppingRule is MedianStoppingRule


def test_the_contracts_for_tests_of_ones_own_are_there():
    from tunesmith.testing import check_scheduler

    assert tunesmith.testing.check_scheduler is check_scheduler


def test_an_unknown_name_says_so():
    with pytest.raises(AttributeError, match="module 'tunesmith' has no attribute 'nothing'"):
        _ = tunesmith.nothing


def test_importing_it_imports_next_to_nothing():
    code = "import sys; before = set(sys.modules); import tunesmith; print(*sorted(set(sys.modules) - before))"
    added = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert len(added) < 60
    assert not {"numpy", "rich", "click", "pandas", "sqlite3", "msgspec", "cloudpickle"} & set(added)

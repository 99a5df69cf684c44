"""Hyperparameter tuning at any scale: `import tunesmith as tune`.

Every public name is here; each is imported when it is first used, so that `import tunesmith` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES: dict[str, tuple[str, ...]] = {
    "api": ("load", "resume", "run"),
    "compat": (
        "CheckpointConfig",
        "Experiment",
        "FailureConfig",
        "PlacementGroupFactory",
        "RunConfig",
        "TuneConfig",
        "Tuner",
        "run_experiments",
    ),
    "comparison": ("compare",),
    "external": ("Command",),
    "simulation": ("simulate",),
    "optimizer": ("Optimizer",),
    "trainables": ("register_trainable", "with_parameters", "with_resources"),
    "worker.trainable": ("Trainable",),
    "worker.foreign": ("RayTrainable",),
    "worker.session": ("get_checkpoint", "get_context", "report"),
    "worker.checkpoint": ("Checkpoint",),
    "space.composites": ("permutation", "simplex", "subset"),
    "space.space": ("Space",),
    "space.when": ("when",),
    "space.domains": (
        "boolean",
        "choice",
        "grid_search",
        "lograndint",
        "loguniform",
        "ordinal",
        "qlograndint",
        "qloguniform",
        "qrandint",
        "qrandn",
        "quniform",
        "randint",
        "randn",
        "sample_from",
        "uniform",
    ),
    "schedulers.allocation": ("DistributeResources", "DistributeResourcesToTopJob"),
    "schedulers.resource_changing": ("ResourceChangingScheduler",),
    "schedulers.fifo": ("FIFOScheduler",),
    "schedulers.asha": ("ASHAScheduler", "AsyncHyperBandScheduler"),
    "schedulers.asha_promotion": ("PromotionASHAScheduler",),
    "schedulers.pasha": ("PASHAScheduler",),
    "schedulers.top_k": ("TopKScheduler",),
    "schedulers.hyperband": ("HyperBandForBOHB", "HyperBandScheduler"),
    "schedulers.median": ("MedianStoppingRule",),
    "schedulers.racing": ("RacingScheduler",),
    "schedulers.multi_objective": ("MultiObjectiveASHA",),
    "schedulers.multi_frequency": ("MultiFrequencyPBT",),
    "schedulers.pb2": ("PB2",),
    "schedulers.pbt": ("PopulationBasedTraining",),
    "schedulers.replay": ("PopulationBasedTrainingReplay",),
    "schedulers.patience": ("PatienceRule",),
    "schedulers.threshold": ("ThresholdRule",),
    "schedulers.percentile": ("PercentileRule",),
    "searchers.auto": ("AutoSearcher",),
    "searchers.bohb": ("BOHBSearcher", "TuneBOHB"),
    "searchers.gp": ("GPSearcher",),
    "searchers.cmaes": ("CMAESSearcher",),
    "searchers.evolution": ("EvolutionSearcher",),
    "searchers.nsga2": ("NSGA2Searcher",),
    "searchers.forest": ("ForestSearcher",),
    "searchers.grid": ("GridSearcher",),
    "searchers.latin_hypercube": ("LatinHypercubeSearcher",),
    "searchers.sobol": ("SobolSearcher",),
    "searchers.tpe": ("TPESearcher",),
    "searchers.variants": ("BasicVariantGenerator",),
    "searchers.given": ("GivenPoints",),
    "searchers.limited": ("ConcurrencyLimiter",),
    "searchers.repeated": ("Repeater",),
    "integrations.ax": ("AxSearch",),
    "integrations.bayesopt": ("BayesOptSearch",),
    "integrations.botorch": ("BoTorchSearch",),
    "integrations.flaml": ("CFO", "BlendSearch"),
    "integrations.hebo": ("HEBOSearch",),
    "integrations.hyperopt": ("HyperOptSearch",),
    "integrations.nevergrad": ("NevergradSearch",),
    "integrations.optuna": ("OptunaSearch",),
    "integrations.skopt": ("SkOptSearch",),
    "integrations.smac": ("SMACSearch",),
    "integrations.zoopt": ("ZOOptSearch",),
    "integrations.torch": ("TorchTrainable",),
    "stoppers": (
        "CombinedStopper",
        "ExperimentPlateauStopper",
        "FunctionStopper",
        "MaximumIterationStopper",
        "NoopStopper",
        "Stopper",
        "TargetStopper",
        "ThresholdStopper",
        "TimeoutStopper",
        "TrialPlateauStopper",
    ),
    "core.bundles": ("Bundles",),
    "core.policy": (
        "Complete",
        "Continue",
        "Decided",
        "Exploit",
        "New",
        "Pause",
        "Reallocate",
        "Resume",
        "Scheduler",
        "Searcher",
        "Stop",
        "Wait",
    ),
    "callbacks.base": ("Callback",),
    "executors.base": ("Executor",),
    "executors.local": ("LocalExecutor",),
    "executors.inline": ("InlineExecutor",),
    "executors.ray": ("RayExecutor",),
    "executors.dask": ("DaskExecutor",),
    "executors.slurm": ("SlurmExecutor",),
    "executors.simulated": ("SimulatedExecutor",),
    "analysis.comparisons": ("Comparison",),
    "analysis.curves": ("CurveTable",),
    "analysis.results": ("Results",),
    "analysis.simulations": ("Simulation",),
    "analysis.trial_result": ("TrialResult",),
    "errors": (
        "CheckpointUnreadable",
        "CommandFailed",
        "ConfigError",
        "ExecutorError",
        "ExperimentExists",
        "ExperimentNotFound",
        "JournalDamaged",
        "JournalError",
        "JournalLocked",
        "MetricsUnreadable",
        "MissingExtra",
        "ReportError",
        "ResourceError",
        "SpaceError",
        "StorageError",
        "TrialsFailed",
        "TuneError",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name in ("schedulers", "testing"):  # scripts for Ray Tune write tune.schedulers.ASHAScheduler
        return importlib.import_module(f".{name}", __name__)
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'tunesmith' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

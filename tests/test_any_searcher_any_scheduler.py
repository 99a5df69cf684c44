"""Every searcher under every scheduler: all come to their end, and the searcher's configs are what is trained."""

from __future__ import annotations

import random
from importlib.util import find_spec

import pytest

import tunesmith as tune

MUTATIONS = {"x": tune.uniform(0, 1)}
POPULATION = {"time_attr": "training_iteration", "perturbation_interval": 3}
SCHEDULERS = {
    "fifo": tune.FIFOScheduler,
    "asha": lambda: tune.ASHAScheduler(max_t=9, reduction_factor=3),
    "asha_promotion": lambda: tune.PromotionASHAScheduler(max_t=9, reduction_factor=3),
    "pasha": lambda: tune.PASHAScheduler(max_t=9),
    "top_k": lambda: tune.TopKScheduler(k=3, first_rung=2),
    "hyperband": lambda: tune.HyperBandScheduler(max_t=9),
    "median": lambda: tune.MedianStoppingRule(time_attr="training_iteration", grace_period=1),
    "percentile": lambda: tune.PercentileRule(hard_stop=False),
    "patience": lambda: tune.PatienceRule(3),
    "threshold": lambda: tune.ThresholdRule(upper={3: 0.9}),
    "pbt": lambda: tune.PopulationBasedTraining(hyperparam_mutations=MUTATIONS, **POPULATION),
    "pbt, synchronous": lambda: tune.PopulationBasedTraining(hyperparam_mutations=MUTATIONS, synch=True, **POPULATION),
    "resource_changing": lambda: tune.ResourceChangingScheduler(tune.ASHAScheduler(max_t=9)),
}


class Slow(tune.Searcher):
    """Somebody else's searcher, which has nothing to offer while it waits for as many results as it gave configs."""

    def suggest(self, count, experiment):
        if experiment.next_number > experiment.results + 2:
            return []
        draw = random.Random(experiment.next_number)
        return [{"x": draw.random(), "kind": "b"}]


def foreign(module, make):
    """Return a maker of settings that ask another package, where that is installed."""

    def made():
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
        return make()

    return made


SEARCHERS = {
    "random": lambda: "random",
    "bohb": lambda: tune.BOHBSearcher(min_points_in_model=4),
    "tpe": lambda: tune.TPESearcher(n_initial_points=4),
    "gp": lambda: tune.GPSearcher(n_initial_points=12),
    "cmaes": lambda: tune.CMAESSearcher(population_size=4),
    "forest": lambda: tune.ForestSearcher(n_initial_points=4, trees=4),
    "evolution": lambda: tune.EvolutionSearcher(n_initial_points=4),
    "slow": Slow,
    "hyperopt": foreign("hyperopt", lambda: tune.HyperOptSearch(n_initial_points=4)),
    "optuna": foreign("optuna", tune.OptunaSearch),
    "cfo": foreign("flaml", tune.CFO),
    "wrapped": lambda: tune.GivenPoints([{"x": 0.5}], tune.Repeater(tune.ConcurrencyLimiter("random", 2), repeat=2)),
}


def curve(config, epoch):
    return {"loss": config["x"] + (config["kind"] == "a") + 1 / epoch} if epoch <= 9 else None


@pytest.mark.parametrize("searcher", SEARCHERS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_they_work_together(scheduler, searcher):
    simulation = tune.simulate(
        curve,
        space={"x": tune.uniform(0, 1), "kind": tune.choice(["a", "b"])},
        metric="loss",
        mode="min",
        scheduler=SCHEDULERS[scheduler](),
        searcher=SEARCHERS[searcher](),
        num_samples=20,
        workers=3,
    )

    assert len(simulation.trials) == 20
    assert {trial.status for trial in simulation.trials} <= {"completed", "stopped"}
    assert simulation.finished == "completed"
    assert simulation.best_value < 1

"""Where the best value moves while trials train, a schedule beats each fixed value: what population training is for."""

import pytest

from tunesmith.core.lineage import ancestry
from tunesmith.core.policy import Searcher
from tunesmith.core.seeds import generator
from tunesmith.executors.simulated import SimulatedExecutor
from tunesmith.schedulers.multi_frequency import MultiFrequencyPBT
from tunesmith.schedulers.pb2 import PB2
from tunesmith.schedulers.pbt import PopulationBasedTraining
from tunesmith.space.domains import uniform
from tunesmith.stoppers import NoopStopper
from tunesmith.testing.driver import Driver

STEPS, SEEDS = 60, 20


def optimum(step):
    return 0.1 + 0.8 * step / STEPS


def regret(step, x):
    return (x - optimum(step)) ** 2


BEST_FIXED = min(sum(regret(step, x / 1000) for step in range(1, STEPS + 1)) for x in range(1001)) / STEPS


def curve(config):
    for step in range(1, STEPS + 1):
        yield {"loss": regret(step, config["x"])}, 1.0


class Uniform(Searcher):
    """Draws the first configs; the number of trials is in the session."""

    def suggest(self, count, experiment):
        first = experiment.next_number
        return [{"x": generator(experiment.seed, "config", first + index).random()} for index in range(count)]


COMMON = {"time_attr": "training_iteration", "perturbation_interval": 3}
MUTATIONS = {"hyperparam_mutations": {"x": uniform(0, 1)}}
SCHEDULERS = {
    "pbt": (16, SEEDS, lambda: PopulationBasedTraining(**COMMON, **MUTATIONS)),
    "synchronous pbt": (16, SEEDS, lambda: PopulationBasedTraining(**COMMON, **MUTATIONS, synch=True)),
    "pbt, 4 slots": (16, SEEDS, lambda: PopulationBasedTraining(**COMMON, **MUTATIONS)),
    "mf_pbt": (16, SEEDS, lambda: MultiFrequencyPBT(**COMMON, **MUTATIONS, frequencies=(1, 2))),
    "pb2": (6, 3, lambda: PB2(**COMMON, hyperparam_bounds={"x": [0, 1]})),
}


def regret_of_the_best(new, trials, seed, slots):
    """Return the mean regret over all steps of the line of work that ended best."""
    driver = Driver(
        searcher=Uniform(), scheduler=new(), stopper=NoopStopper(), seed=seed, trials_wanted=trials,
        executor=SimulatedExecutor(curve, workers=slots, checkpoint_every=1),
    ).run()  # fmt: skip
    assert driver.experiment.finished.reason == "completed"
    final = [trial for trial in driver.experiment.trials if trial.number == STEPS]
    best = min(final, key=lambda trial: trial.last.metrics["loss"])
    steps = ancestry(driver.events, best.id)
    configs = [[step.config for step in steps if step.iteration < number][-1] for number in range(1, STEPS + 1)]
    return sum(regret(number, config["x"]) for number, config in enumerate(configs, 1)) / STEPS


@pytest.mark.parametrize("kind", SCHEDULERS)
def test_its_schedule_beats_the_best_fixed_value(kind):
    trials, seeds, new = SCHEDULERS[kind]

    found = [regret_of_the_best(new, trials, seed, 4 if "slots" in kind else trials) for seed in range(seeds)]

    # The seeds are fixed, so it cannot fail by chance. Every single run is better, and the mean by far.
    assert max(found) < BEST_FIXED
    assert sum(found) / seeds < BEST_FIXED / 3

import dataclasses

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError
from tunesmith.searchers.learning import LearningSearcher, LearningSettings

from .told import Told


class NearTheBest(LearningSearcher):
    """Looks near the best point."""

    def propose(self, history, number):
        best = history.points[history.losses.argmin()]
        return best + self.random("near", number).normal(0, 0.1, len(best))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Near(LearningSettings):
    def bound_to(self, space, num_samples, seed):
        return NearTheBest(self, space, None if num_samples < 0 else num_samples, seed)


def simulated(space, curve, num_samples=40, workers=4, scheduler=None, **settings):
    return tune.simulate(
        curve,
        space=space,
        metric="loss",
        mode="min",
        searcher=Near(**settings),
        scheduler=scheduler,
        num_samples=num_samples,
        workers=workers,
    )


def test_it_comes_nearer_to_the_best_than_its_first_points():
    def curve(config, epoch):
        return {"loss": (config["x"] - 0.3) ** 2} if epoch <= 1 else None

    losses = [trial.value for trial in simulated({"x": tune.uniform(0, 1)}, curve).trials]

    assert min(losses[10:]) < min(losses[:10])


def test_no_config_of_a_finite_space_is_tried_twice_and_its_end_is_the_end():
    def curve(config, epoch):
        return {"loss": float(config["n"])} if epoch <= 1 else None

    space = {"n": tune.randint(0, 7), "kind": tune.choice(["a", {"depth": tune.randint(1, 4)}])}

    simulation = simulated(space, curve, num_samples=-1)

    configs = [str(trial.config) for trial in simulation.trials]
    assert len(configs) == len(set(configs)) == 7 * 4
    assert simulation.finished == "completed"


def test_a_config_may_come_again_where_that_is_wanted():
    def curve(config, epoch):
        return {"loss": float(config["n"])} if epoch <= 1 else None

    simulation = simulated({"n": tune.randint(0, 3)}, curve, num_samples=12, duplicates="replicate")

    assert len(simulation.trials) == 12


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"metric": "loss"}, "together"),
        ({"seed": 1.5}, "integer"),
        ({"n_initial_points": -1}, "at least 0"),
        ({"duplicates": "no"}, "skip"),
        ({"max_concurrent": "2"}, "whole number"),
    ],
)
def test_settings_that_make_no_sense_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        Near(**setting)


def test_a_restart_changes_nothing_of_what_comes_next():
    space = {"x": tune.uniform(0, 1), "kind": tune.choice(["a", {"depth": tune.randint(1, 4)}])}
    told = Told(space, settings=Near(n_initial_points=3))
    for number in range(8):
        trial = told.suggest()
        if number != 4:
            told.complete(trial, told.experiment.trials[trial].config["x"])
        again = Told(space, settings=Near(n_initial_points=3))
        for event in told.events[2:]:
            again.tell(event)

        assert again.searcher.suggest(2, again.experiment) == told.searcher.suggest(2, told.experiment)


def test_points_come_first_and_what_they_leave_open_is_drawn():
    told = Told({"x": tune.uniform(0, 1), "n": tune.randint(1, 9)}, settings=Near(points_to_evaluate=[{"n": 7}]))

    first, second = told.searcher.suggest(2, told.experiment)

    assert first["n"] == 7
    assert 0 <= first["x"] < 1
    assert first != second


def test_where_nothing_can_differ_trials_are_repeats():
    def curve(config, epoch):
        return {"loss": 1.0} if epoch <= 1 else None

    assert len(simulated({"x": 5}, curve, num_samples=3).trials) == 3


def test_under_an_early_stopping_scheduler_it_learns_too():
    def curve(config, epoch):
        return {"loss": (config["x"] - 0.3) ** 2 + 1 / epoch} if epoch <= 9 else None

    scheduler = tune.ASHAScheduler(max_t=9, reduction_factor=3)
    trials = simulated({"x": tune.uniform(0, 1)}, curve, num_samples=60, scheduler=scheduler).trials

    assert np.median([abs(t.config["x"] - 0.3) for t in trials[30:]]) < 0.1

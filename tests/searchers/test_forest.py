import time

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError
from tunesmith.executors.simulated import Faults
from tunesmith.searchers.forest import ForestSearcher
from tunesmith.space.space import Space

from .searching import (
    CONDITIONAL,
    all_are_good,
    check_that_a_resume_changes_nothing,
    driven,
    of_conditional,
)
from .told import Told

FEW = {"trees": 16, "splits": 4}
PLANE = {"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}


@pytest.mark.parametrize(
    ("problem", "workers", "trials"),
    [("mixed", 8, 90), ("categories", 1, 50), ("conditional", 1, 70), ("numbers", 1, 50)],
)
def test_it_beats_random_search_on_smooth_problems(problem, workers, trials):
    # Random search is good in 5 to 9 % of its runs of 50 to 90 trials: in all of 3 once in 1,500 times or less often.
    assert all_are_good(ForestSearcher(**FEW), problem, workers=workers, trials=trials, runs=3)


@pytest.mark.parametrize("workers", [1, 5])
def test_a_resume_after_any_event_makes_the_same_suggestions(workers):
    faults = Faults(seed=1, fails=0.05, is_lost=0.05)
    settings = ForestSearcher(n_initial_points=5, random_fraction=0.2, trees=4)
    run = driven(settings, CONDITIONAL, of_conditional, seed=4, trials=40, workers=workers, faults=faults)

    check_that_a_resume_changes_nothing(settings, run, CONDITIONAL, trials=40, seed=4)


def told_of(loss, count=40, **more):
    told = Told(PLANE, settings=ForestSearcher(random_fraction=0, **FEW, **more))
    for x, y in np.random.default_rng(0).random((count, 2)).tolist():
        told.complete(told.suggest({"x": x, "y": y}), loss(x, y))
    return told


def test_configs_that_run_already_are_not_proposed_again():
    told = told_of(lambda x, y: (x - 0.5) ** 2 + (y - 0.5) ** 2)

    configs = told.searcher.suggest(8, told.experiment)

    distances = [
        abs(one["x"] - other["x"]) + abs(one["y"] - other["y"])
        for index, one in enumerate(configs)
        for other in configs[:index]
    ]
    assert min(distances) > 1e-2
    assert all(abs(config["x"] - 0.5) < 0.3 for config in configs[:2])


def test_before_anything_can_be_learned_it_draws_from_the_space():
    told = told_of(lambda x, y: x, count=5)
    told.complete(told.suggest({"x": 0.01, "y": 0.5}), -1.0)

    xs = [told.searcher.propose(told.searcher.history(), number)[0] for number in range(200)]

    # 5 standard errors: fails by chance once in 1.7 million runs.
    assert abs(np.mean(xs) - 0.5) < 5 * (1 / 12 / 200) ** 0.5


def test_failed_trials_are_avoided():
    def loss(config):
        return -config["x"] if config["x"] < 0.6 else float("nan")

    run = driven(ForestSearcher(**FEW), PLANE, loss, trials=50)

    late = np.array([trial.config["x"] for trial in run.experiment.trials[20:]])
    assert (late < 0.62).mean() > 0.8
    assert np.median(late) > 0.4


def test_several_objectives_are_traded_off():
    def curve(config):
        yield {"loss": config["x"] ** 2 + config["y"], "size": (1 - config["x"]) ** 2 + config["y"]}, 1.0

    run = driven(ForestSearcher(**FEW), PLANE, None, trials=60, curve=curve, more_objectives=(("size", "min"),))

    late = [trial.config for trial in run.experiment.trials[20:]]
    assert np.median([config["y"] for config in late]) < 0.15
    assert max(config["x"] for config in late) - min(config["x"] for config in late) > 0.5


def test_a_loss_of_another_magnitude_changes_nothing():
    def loss(x, y):
        return (x - 0.3) ** 2 + y

    plain, huge = (told_of(lambda x, y, scale=scale: scale * loss(x, y)) for scale in (1.0, 1e9))

    assert plain.searcher.suggest(2, plain.experiment) == huge.searcher.suggest(2, huge.experiment)


def test_a_finite_space_is_gone_through_to_its_end():
    space = Space({"low": tune.randint(0, 6), "high": tune.randint(0, 6)}, require=lambda c: c.low < c.high)

    run = driven(ForestSearcher(n_initial_points=4, **FEW), space, lambda config: config["low"], trials=15)

    configs = [trial.config for trial in run.experiment.trials]
    assert len({str(config) for config in configs}) == 15
    assert all(config["low"] < config["high"] for config in configs)


def test_a_suggestion_at_200_observations_takes_tens_of_milliseconds():
    space = {f"x{index}": tune.uniform(0, 1) for index in range(10)}
    told = Told(space, settings=ForestSearcher())
    for row in np.random.default_rng(0).random((200, 10)).tolist():
        told.complete(told.suggest({f"x{index}": value for index, value in enumerate(row)}), sum(row))
    took = []
    for number in range(4):
        began = time.process_time()
        told.searcher.suggest(1, told.experiment)
        took.append(time.process_time() - began)
        told.complete(told.suggest(), float(number))

    # About 45; a machine that is busy or slow may take a few times as long.
    assert min(took) < 0.3


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"trees": 1}, "at least 2"), ({"splits": 0}, "at least 1"), ({"random_fraction": 2}, "at most 1")],
)
def test_settings_that_make_no_sense_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        ForestSearcher(**setting)

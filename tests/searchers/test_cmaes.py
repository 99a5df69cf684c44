import numpy as np
import pytest

import tunesmith as tune
from tunesmith.core.events import SessionOpened
from tunesmith.errors import ConfigError
from tunesmith.executors.simulated import Faults
from tunesmith.searchers.cmaes import CMAESSearcher
from tunesmith.space.space import Space

from .searching import (
    CONDITIONAL,
    MIXED,
    NUMBERS,
    all_are_good,
    check_that_a_resume_changes_nothing,
    driven,
    of_conditional,
    of_mixed,
    of_numbers,
)
from .told import Told


@pytest.mark.parametrize(
    ("problem", "workers"),
    [("numbers", 1), ("numbers", 8), ("mixed", 1), ("mixed", 8), ("categories", 1), ("conditional", 1)],
)
def test_it_beats_random_search_on_smooth_problems(problem, workers):
    # A searcher that is no better than random search passes once in 4,000 times.
    assert all_are_good(CMAESSearcher(), problem, workers=workers, trials=100 if workers == 1 else 130)


def test_it_comes_as_near_as_one_likes():
    run = driven(CMAESSearcher(), NUMBERS, of_numbers, trials=300)

    # Random search comes to 0.01 or so in as many trials.
    assert run.experiment.best.best_loss < 1e-5


@pytest.mark.parametrize("workers", [1, 5])
@pytest.mark.parametrize("space", [MIXED, CONDITIONAL], ids=["mixed", "conditional"])
def test_a_resume_after_any_event_makes_the_same_suggestions(space, workers):
    loss = of_mixed if space is MIXED else of_conditional
    faults = Faults(seed=1, fails=0.05, is_lost=0.05)
    settings = CMAESSearcher(n_initial_points=5)
    run = driven(settings, space, loss, seed=4, trials=70, workers=workers, faults=faults)

    check_that_a_resume_changes_nothing(settings, run, space, trials=70, seed=4)


def spread_of(told, name, numbers, of=float):
    values = [told.searcher._configs(told.searcher.history(), range(n, n + 1))[0][name] for n in numbers]
    values = [of(value) for value in values]
    return float(np.mean(values)), float(np.std(values))


def test_it_begins_in_the_middle():
    told = Told({"x": tune.uniform(0, 1)}, settings=CMAESSearcher())

    mean, deviation = spread_of(told, "x", range(400))

    # 5 standard errors: each fails by chance once in 1.7 million runs.
    assert abs(mean - 0.5) < 5 * deviation / 20
    assert abs(deviation - 1 / 6) < 5 * deviation / 28


def test_it_begins_around_the_best_of_the_points_that_were_given():
    points = [{"x": 0.9, "y": 0.1}, {"x": 0.2, "y": 0.2}]
    told = Told({"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}, settings=CMAESSearcher(points_to_evaluate=points))
    for loss in (1.0, 5.0):
        told.complete(told.suggest(), loss)

    assert abs(spread_of(told, "y", range(2, 200))[0] - 0.1) < 0.1


def test_it_begins_where_another_searchers_trials_were_good():
    told = Told({"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}, settings=CMAESSearcher())
    draw = np.random.default_rng(0)
    for x, y in draw.random((40, 2)).tolist():
        told.complete(told.suggest({"x": x, "y": y}), (x - 0.8) ** 2 + (y - 0.2) ** 2)
    opening = next(event for event in told.events if isinstance(event, SessionOpened))
    told.tell(
        SessionOpened(
            at=told.at, session=2, started=0, metric="loss", mode="min", searcher="other", nodes=opening.nodes
        )
    )
    mean, deviation = spread_of(told, "x", range(40, 200))

    assert abs(mean - 0.8) < 0.15
    assert deviation < 0.25


def test_it_begins_with_the_prior_of_a_choice():
    told = Told({"c": tune.choice(["a", "b"], prior="a"), "x": tune.uniform(0, 1)}, settings=CMAESSearcher())

    share, _ = spread_of(told, "c", range(400), of=lambda value: value == "a")

    # Half of the draws go to the prior, and half of the others too. 5 standard errors: once in 1.7 million runs.
    assert abs(share - 0.75) < 5 * (0.75 * 0.25 / 400) ** 0.5


def test_failed_trials_are_avoided():
    def loss(config):
        return (config["x"] - 0.5) ** 2 if config["x"] < 0.55 else float("nan")

    run = driven(CMAESSearcher(), {"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}, loss, trials=80)

    late = [trial.config["x"] for trial in run.experiment.trials[40:]]
    assert np.mean(np.array(late) < 0.55) > 0.8


def test_an_optimum_at_the_border_is_reached():
    run = driven(CMAESSearcher(), NUMBERS, lambda config: sum(config.values()), seed=1, trials=200)

    assert run.experiment.best.best_loss < 0.01


def test_it_begins_anew_when_it_has_converged():
    run = driven(CMAESSearcher(), {"x": tune.uniform(0, 1)}, lambda config: (config["x"] - 0.3) ** 2, trials=450)

    late = np.array([trial.config["x"] for trial in run.experiment.trials[250:]])
    assert run.experiment.best.best_loss < 1e-9
    assert late.max() - late.min() > 0.3


def test_no_config_is_tried_twice_and_constraints_hold():
    space = Space({"low": tune.randint(0, 6), "high": tune.randint(0, 6), "c": tune.choice([1, 2])})
    space.require(lambda config: config.low < config.high)

    run = driven(CMAESSearcher(), space, lambda config: config["low"] + config["c"], trials=30)

    configs = [trial.config for trial in run.experiment.trials]
    assert len({str(config) for config in configs}) == 30
    assert all(config["low"] < config["high"] for config in configs)


def test_several_objectives_are_traded_off():
    def curve(config):
        yield {"loss": config["x"] ** 2 + config["z"], "size": (1 - config["x"]) ** 2 + config["z"]}, 1.0

    space = {"x": tune.uniform(0, 1), "z": tune.uniform(0, 1)}
    run = driven(CMAESSearcher(), space, None, trials=120, curve=curve, more_objectives=(("size", "min"),))

    assert np.median([trial.config["z"] for trial in run.experiment.trials[60:]]) < 0.15


def test_a_history_that_grows_is_folded_on_from_where_it_was():
    run = driven(CMAESSearcher(), NUMBERS, of_numbers, trials=100)
    fresh = CMAESSearcher().bound_to(Space(NUMBERS), 100, 0)

    history = run.searcher.history()

    assert np.array_equal(run.searcher.propose(history, 100), fresh.propose(history, 100))
    assert len(run.searcher._memo.chain) == 100 // 8 + 1


@pytest.mark.parametrize(
    ("setting", "message"),
    [({"population_size": 2}, "at least 4"), ({"sigma": 0}, "at least"), ({"sigma": "wide"}, "number")],
)
def test_settings_that_make_no_sense_are_refused(setting, message):
    with pytest.raises(ConfigError, match=message):
        CMAESSearcher(**setting)

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError
from tunesmith.searchers.surrogates import Surrogates, chosen_points, fixed_number, warm_number

from .searching import MIXED as MIXED_SPACE
from .searching import all_are_good, check_that_a_resume_changes_nothing, driven, of_mixed
from .told import Told

CUBE = {f"x{index}": tune.uniform(0, 1) for index in range(4)}


def sphere(config):
    return sum((value - 0.3) ** 2 for value in config.values())


def valley(config):
    x = [3 * config[f"x{index}"] - 1.5 for index in range(3)]  # with four it has a second minimum
    return sum(10 * (b - a**2) ** 2 + (1 - a) ** 2 for a, b in pairwise(x))


def mixed(config):
    shift = {"a": 0.2, "b": 0.5, "c": 0.7}[config["kind"]["is"]]
    more = (config["kind"]["depth"] - 3) ** 2 / 20 if "depth" in config["kind"] else 1.0
    return (config["x"] - shift) ** 2 + 0.1 * more + 0.3 * (math.log10(config["rate"]) + 3) ** 2


MIXED = {
    "x": tune.uniform(0, 1),
    "rate": tune.loguniform(1e-5, 1e-1),
    "kind": tune.choice([{"is": "a"}, {"is": "b", "depth": tune.randint(1, 9)}, {"is": "c"}]),
}


def told(loss, space, count, *, settings=None, seed=0, **more):
    run = Told(space, settings=settings or tune.GPSearcher(), seed=seed, **more)
    for _ in range(count):
        trial = run.suggest()
        value = loss(run.experiment.trials[trial].config)
        if value is None:
            run.fail(trial)
        else:
            run.complete(trial, value)
    return run


def losses_of(run):
    return [trial.last.metrics["loss"] for trial in run.experiment.trials if trial.last is not None]


@pytest.mark.parametrize(
    ("problem", "trials"), [("numbers", 15), ("mixed", 30), ("categories", 15), ("conditional", 42)]
)
def test_it_is_far_better_than_random_search(problem, trials):
    # A searcher that is no better than chance reaches `GOOD` in one of 23 runs of 42 trials: in all three once in
    # 10,000 times.
    assert all_are_good(tune.GPSearcher(), problem, trials=trials, runs=3)


def test_with_many_workers_it_is_too():
    # By chance in one of 33 runs of 30 trials: in both once in 1,000 times.
    assert all_are_good(tune.GPSearcher(), "numbers", trials=30, workers=8, runs=2)


def test_a_steep_narrow_valley_is_followed():
    # Of random configs one in 1,000 is as good: of 45 trials one is by chance in 1 of 24 runs.
    assert min(losses_of(told(valley, CUBE, 45))) < 0.3


def test_the_same_is_proposed_again_after_a_restart_at_any_event():
    run = told(mixed, MIXED, 14)
    run.suggest()
    first = run.searcher.suggest(2, run.experiment)

    again = Told(MIXED, settings=tune.GPSearcher())
    for event in run.events[2:]:
        again.tell(event)

    assert again.searcher.suggest(2, again.experiment) == first == run.searcher.suggest(2, run.experiment)


def test_after_a_resume_at_any_event_it_says_what_it_would_have_said():
    settings = tune.GPSearcher(n_initial_points=4)
    run = driven(settings, MIXED_SPACE, of_mixed, seed=3, trials=20, workers=3)

    check_that_a_resume_changes_nothing(settings, run, MIXED_SPACE, trials=20, seed=3)


def test_what_is_asked_for_at_once_differs():
    run = told(sphere, CUBE, 12)

    rows = [list(config.values()) for config in run.searcher.suggest(4, run.experiment)]

    apart = [np.abs(np.subtract(a, b)).max() for index, a in enumerate(rows) for b in rows[:index]]
    assert min(apart) > 1e-3


def test_where_trials_fail_it_does_not_go_again_and_again():
    def fails_below(config):
        return None if config["x0"] < 0.5 else sphere(config)  # the optimum lies beyond the edge

    run = told(fails_below, CUBE, 40)

    failed = [trial.last is None for trial in run.experiment.trials]
    assert sum(failed[15:]) <= 18
    assert min(losses_of(run)) < 0.045  # 0.04 at the edge


def test_that_all_trials_fail_is_no_trouble():
    run = told(lambda config: None, CUBE, 9)

    assert len(run.searcher.suggest(1, run.experiment)) == 1


@pytest.mark.parametrize("loss", [lambda config: 1.0, lambda config: 1e300 * config["x0"], lambda config: 1e-300])
def test_losses_that_say_nothing_are_no_trouble(loss):
    assert len(set(map(str, [trial.config for trial in told(loss, CUBE, 12).experiment.trials]))) == 12


def test_with_two_objectives_the_front_is_found():
    run = Told(
        {"x": tune.uniform(-2, 2), "y": tune.uniform(-2, 2)}, settings=tune.GPSearcher(), more=(("cost", "min"),)
    )
    for _ in range(25):
        trial = run.suggest()
        x, y = run.experiment.trials[trial].config.values()
        run.complete(trial, (x - 1) ** 2 + y**2, cost=(x + 1) ** 2 + y**2)

    late = [trial.config for trial in run.experiment.trials[10:]]
    # The front is the line from (-1, 0) to (1, 0): random search comes as near to it with one trial of twelve.
    assert np.median([abs(config["y"]) for config in late]) < 0.1
    assert np.ptp([config["x"] for config in late]) > 1


def test_a_finite_space_is_searched_to_its_end():
    space = {"n": tune.randint(0, 5), "kind": tune.choice(["a", "b", "c"])}
    run = told(lambda config: float(config["n"]), space, 15)

    assert run.searcher.is_exhausted(run.experiment)
    assert len({str(trial.config) for trial in run.experiment.trials}) == 15


def test_of_many_losses_the_best_and_the_newest_are_modelled():
    losses = np.random.default_rng(0).random(1000)

    chosen = chosen_points(losses, 100)

    assert len(chosen) == 100
    assert set(np.argsort(losses)[:50]) | set(range(975, 1000)) <= set(chosen.tolist())
    assert (np.diff(chosen) > 0).all()


def test_hyperparameters_are_found_for_few_numbers_of_losses_only():
    numbers = [fixed_number(count) for count in range(1, 2000)]

    assert numbers[:30] == list(range(1, 31))
    assert len(set(numbers)) < 100
    assert all(number <= count for count, number in enumerate(numbers, 1))
    assert all(warm_number(number) < number for number in numbers)


def test_an_argument_that_makes_no_sense_is_refused():
    with pytest.raises(ConfigError, match="max_observations=3"):
        tune.GPSearcher(max_observations=3)


def test_a_trend_is_looked_for_only_in_losses_that_are_known():
    history = told(sphere, CUBE, 20).history()
    predicted = replace(history, spread=np.full(len(history.losses), 0.1))
    surrogates = Surrogates(history.encoding, most=100)

    assert len(surrogates.of_losses(history, history.losses).data.trend.along) == 4
    assert len(surrogates.of_losses(predicted, predicted.losses).data.trend.along) == 0

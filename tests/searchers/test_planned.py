"""Sobol, Latin hypercube and grid: plans that depend on nothing that is found."""

import math

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError
from tunesmith.searchers.grid import GridSearcher
from tunesmith.searchers.latin_hypercube import LatinHypercubeSearcher
from tunesmith.searchers.named import searcher_named
from tunesmith.searchers.sobol import SobolSearcher
from tunesmith.space.space import Space

from .searching import driven
from .told import Told

SPACE = {
    "x": tune.uniform(0, 1),
    "lr": tune.loguniform(1e-4, 1),
    "k": tune.randint(0, 8),
    "c": tune.choice(list("abcd")),
}
NESTED = {"model": tune.choice(["linear", {"depth": tune.randint(1, 4)}, {"units": tune.choice([8, 16])}])}
EVEN = {"sobol": SobolSearcher, "lhs": LatinHypercubeSearcher}


def configs_of(settings, space, count, *, seed=0):
    return Told(space, settings=settings, seed=seed, total=count).searcher.suggest(count, Told(space).experiment)


@pytest.mark.parametrize("name", EVEN)
@pytest.mark.parametrize("count", [64, 256])
def test_every_part_of_every_parameter_is_tried_equally_often(name, count):
    configs = configs_of(EVEN[name](), SPACE, count)

    for values in (
        [int(8 * config["x"]) for config in configs],
        [int(8 * (math.log10(config["lr"]) + 4) / 4) for config in configs],
        [config["k"] for config in configs],
    ):
        assert np.bincount(values).tolist() == [count // 8] * 8
    assert sorted([config["c"] for config in configs]) == sorted("abcd" * (count // 4))


@pytest.mark.parametrize("name", EVEN)
def test_the_points_lie_more_evenly_than_random_ones(name):
    from scipy.stats import qmc

    space = {"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}
    uneven = [qmc.discrepancy(np.random.default_rng(seed).random((64, 2))) for seed in range(200)]

    for seed in range(10):
        points = [[config["x"], config["y"]] for config in configs_of(EVEN[name](), space, 64, seed=seed)]
        # The least of 200: were the points random, it would come once in 200 times for each seed.
        assert qmc.discrepancy(points) < min(uneven)


@pytest.mark.parametrize("name", EVEN)
def test_another_seed_gives_other_points_and_the_same_seed_the_same(name):
    first, again, other = (configs_of(EVEN[name](), SPACE, 5, seed=seed) for seed in (1, 1, 2))

    assert first == again != other
    assert configs_of(EVEN[name](seed=1), SPACE, 5, seed=7) == first


@pytest.mark.parametrize("settings", [SobolSearcher(), LatinHypercubeSearcher(), GridSearcher(points_per_parameter=3)])
def test_a_trials_config_does_not_depend_on_what_came_before(settings):
    told = Told(SPACE, settings=settings, total=20)
    at_once = told.searcher.suggest(6, told.experiment)
    for number in range(6):
        trial = told.suggest()
        if number % 2:
            told.complete(trial, 1.0)
        elif number == 4:
            told.fail(trial)

    assert [trial.config for trial in told.experiment.trials] == at_once


@pytest.mark.parametrize("name", ["sobol", "lhs", "grid"])
def test_what_the_space_forbids_is_left_out(name):
    space = Space({"low": tune.randint(0, 8), "high": tune.randint(0, 8)}, require=lambda c: c.low < c.high)

    configs = driven(searcher_named(name), space, lambda config: 1.0, trials=28).experiment.trials

    assert len({(trial.config["low"], trial.config["high"]) for trial in configs}) == 28
    assert all(trial.config["low"] < trial.config["high"] for trial in configs)


def simulated(searcher, space, num_samples, **more):
    def curve(config, epoch):
        return {"loss": 1.0} if epoch <= 1 else None

    return tune.simulate(
        curve, space=space, metric="loss", mode="min", searcher=searcher, num_samples=num_samples, workers=3, **more
    )


@pytest.mark.parametrize("name", EVEN)
def test_a_finite_space_is_gone_through_once(name):
    simulation = simulated(name, NESTED, -1)

    options = ["linear", {"depth": 1}, {"depth": 2}, {"depth": 3}, {"units": 8}, {"units": 16}]
    assert sorted(str(trial.config["model"]) for trial in simulation.trials) == sorted(map(str, options))


def test_without_an_end_hypercubes_follow_each_other():
    configs = Told(SPACE, settings=LatinHypercubeSearcher()).searcher.suggest(200, Told(SPACE).experiment)

    for part in (configs[:100], configs[100:]):
        assert sorted(int(100 * config["x"]) for config in part) == list(range(100))
    assert configs[0] != configs[100]


@pytest.mark.parametrize("name", ["sobol", "lhs", "grid"])
def test_no_metric_is_needed(name):
    searcher_named(name).check(None)


@pytest.mark.parametrize("name", ["sobol", "lhs", "grid"])
def test_without_a_parameter_the_one_config_is_repeated(name):
    assert len(simulated(name, {"x": 5}, 2).trials) == 2


@pytest.mark.parametrize("make", EVEN.values())
def test_initial_points_of_their_own_are_refused(make):
    with pytest.raises(ConfigError, match="one plan"):
        make(n_initial_points=3)


# The grid.


def test_a_grid_is_every_combination_the_first_parameter_slowest():
    settings = GridSearcher(points_per_parameter=3)
    space = {"x": tune.uniform(0, 1), "k": tune.qrandint(0, 4, 2), "c": tune.choice(["a", "b"]), "fixed": 1}

    found = [(config["x"], config["k"], config["c"]) for config in configs_of(settings, space, 1)]
    every = settings.bound_to(Space(space), 1, 0).suggest(99, Told(space).experiment)

    assert len(found) == 1
    assert [(round(config["x"], 9), config["k"], config["c"]) for config in every] == [
        (x, k, c) for x in (0, 0.5, 1) for k in (0, 2, 4) for c in "ab"
    ]


def test_a_parameter_counts_only_where_it_is():
    assert len(simulated("grid", NESTED, 1).trials) == 6


def test_the_grid_is_walked_through_as_often_as_there_are_samples_and_given_points_come_first():
    settings = GridSearcher(points_to_evaluate=[{"model": "linear"}])

    assert len(simulated(settings, NESTED, 2).trials) == 13
    assert len(simulated(settings, NESTED, -1).trials) == 7


def test_of_many_levels_some_are_taken_evenly():
    configs = GridSearcher(points_per_parameter=3).bound_to(Space({"k": tune.randint(0, 101)}), 1, 0).suggest(
        9, Told({}).experiment
    )  # fmt: skip

    assert [config["k"] for config in configs] == [0, 50, 100]


def test_a_normal_distribution_is_cut_into_equally_likely_parts():
    grid = GridSearcher(points_per_parameter=3).bound_to(Space({"z": tune.randn(0, 1)}), 1, 0)

    assert [round(config["z"], 2) for config in grid.suggest(9, Told({}).experiment)] == [-0.97, 0, 0.97]


def test_a_continuum_without_a_number_of_points_is_refused():
    with pytest.raises(ConfigError, match=r"'x' is uniform\(0.0, 1.0\).*points_per_parameter"):
        GridSearcher().bound_to(Space({"x": tune.uniform(0, 1)}), 1, 0)


def test_a_grid_that_nobody_could_mean_is_refused():
    space = Space({f"x{index}": tune.uniform(0, 1) for index in range(10)})

    with pytest.raises(ConfigError, match="more than 1,000,000"):
        GridSearcher(points_per_parameter=10).bound_to(space, 1, 0)


def test_arguments_that_make_no_sense_are_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        GridSearcher(points_per_parameter=0)
    with pytest.raises(ConfigError, match="no meaning for a grid"):
        GridSearcher(duplicates="replicate")


def test_composed_values_are_gone_through_where_they_have_an_end():
    space = {"order": tune.permutation(["a", "b", "c"]), "some": tune.subset([1, 2])}

    configs = GridSearcher().bound_to(Space(space), 1, 0).suggest(99, Told({}).experiment)

    assert len({str(config) for config in configs}) == len(configs) == 6 * 4


def test_shares_are_gone_through_with_as_many_points_as_are_wanted():
    grid = GridSearcher(points_per_parameter=3).bound_to(Space({"mix": tune.simplex(["a", "b"])}), 1, 0)

    assert [round(config["mix"]["a"], 2) for config in grid.suggest(9, Told({}).experiment)] == [0, 0.5, 1]

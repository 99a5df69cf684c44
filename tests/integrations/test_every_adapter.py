"""What all adapters share, each with the real package."""

import dataclasses
import math
import sys

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

import tunesmith as tune
from tunesmith.errors import MissingExtra
from tunesmith.searchers.named import searcher_named
from tunesmith.space.encoding import Encoding
from tunesmith.testing import check_searcher
from tunesmith.testing.spaces import every_kind_of_space

from .adapters import cases

SPACE = {
    "x": tune.uniform(0, 1),
    "rate": tune.loguniform(1e-5, 1),
    "layers": tune.randint(1, 9),
    "kind": tune.choice(["a", "b", {"depth": tune.uniform(0, 1)}]),
}
CONTRACT_SPACES = ("nested", "conditions", "composed", "tiny", "constrained")


def score(config):
    """Highest, 0, inside the space."""
    kind = {"a": 0.5, "b": 1.0}.get(config["kind"], 0) if isinstance(config["kind"], str) else config["kind"]["depth"]
    return -(
        4 * (config["x"] - 0.3) ** 2
        + ((math.log10(config["rate"]) + 3) / 2.5) ** 2
        + ((config["layers"] - 3) / 5) ** 2
        + kind**2
    )


def once(config, epoch):
    return {"score": score(config)} if epoch <= 1 else None


@pytest.mark.parametrize("adapter", cases())
def test_it_keeps_the_contract_of_searchers(adapter):
    kinds = every_kind_of_space()

    check_searcher(adapter.make, spaces={name: kinds[name] for name in CONTRACT_SPACES}, **adapter.contract)


@pytest.mark.parametrize("adapter", cases())
def test_what_it_proposes_in_the_end_is_better_than_what_random_search_draws(adapter):
    simulation = tune.simulate(
        once,
        space=SPACE,
        metric="score",
        mode="max",
        searcher=adapter.make(),
        num_samples=adapter.evaluations,
        workers=2,
    )
    space = Encoding(tune.Space(SPACE))
    random = np.random.default_rng(0)
    drawn = [space.config(row, seed=0, number=0) for row in space.uniform(200, random).tolist()]

    found = [trial.value for trial in simulation.trials[adapter.evaluations // 2 :]]

    # Were they drawn by chance, that came once in 10,000 times; the seed is fixed.
    assert mannwhitneyu(found, [score(config) for config in drawn], alternative="greater").pvalue < 1e-4


@pytest.mark.parametrize("adapter", cases())
def test_several_that_wait_are_different_ones_and_points_come_first(adapter):
    point = {"x": 0.125, "kind": "b"}
    settings = dataclasses.replace(adapter.make(), points_to_evaluate=[point])

    simulation = tune.simulate(
        once, space=SPACE, metric="score", mode="max", searcher=settings, num_samples=16, workers=4
    )

    assert simulation.trials[0].config["x"] == 0.125
    assert len({str(trial.config) for trial in simulation.trials}) == 16


@pytest.mark.parametrize("adapter", cases())
def test_the_package_that_is_not_there_is_one_error_that_says_what_to_install(adapter, monkeypatch):
    settings = adapter.make()
    monkeypatch.setitem(sys.modules, adapter.module, None)

    with pytest.raises(
        MissingExtra, match=rf"{type(settings).__name__} needs .* pip install 'tunesmith\[{settings.extra}\]'"
    ):
        tune.simulate(once, space=SPACE, metric="score", mode="max", searcher=settings)


@pytest.mark.parametrize("adapter", cases())
def test_where_nothing_can_differ_trials_are_repeats(adapter):
    simulation = tune.simulate(
        lambda config, epoch: {"score": 1.0} if epoch <= 1 else None,
        space={"x": 5}, metric="score", mode="max", searcher=adapter.make(), num_samples=3,
    )  # fmt: skip

    assert len(simulation.trials) == 3


@pytest.mark.parametrize("name", ["hyperopt", "optuna"])
def test_a_searcher_has_the_name_of_its_extra(name):
    assert searcher_named(name).extra == name

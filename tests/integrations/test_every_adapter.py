"""What all adapters share, each with the real package."""

import dataclasses
import math
import sys

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

import tunesmith as tune
from tunesmith.errors import MissingExtra
from tunesmith.searchers.named import _FOREIGN, searcher_named
from tunesmith.space.encoding import Encoding
from tunesmith.testing import check_searcher
from tunesmith.testing.spaces import every_kind_of_space

from .adapters import ADAPTERS, cases

SPACE = {"x": tune.uniform(0, 1), "rate": tune.loguniform(1e-5, 1), "kind": tune.choice(["a", "b"])}
IN_EVERY_COMBINATION = {"hyperopt", "optuna", "cfo"}
"""Those that `test_any_searcher_any_scheduler` has."""
SCHEDULERS = {
    "asha": lambda: tune.ASHAScheduler(max_t=4, reduction_factor=2),
    "hyperband": lambda: tune.HyperBandScheduler(max_t=4, reduction_factor=2),
    "pbt": lambda: tune.PopulationBasedTraining(
        time_attr="training_iteration", perturbation_interval=2, hyperparam_mutations={"x": tune.uniform(0, 1)}
    ),
}
CONTRACT_SPACES = ("nested", "composed", "tiny", "conditions", "constrained")


def score(config):
    """Highest, 0, inside the space."""
    return -(
        4 * (config["x"] - 0.3) ** 2
        + ((math.log10(config["rate"]) + 3) / 2.5) ** 2
        + {"a": 0.5, "b": 0.0}[config["kind"]]
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
        seed=1,
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
        once, space=SPACE, metric="score", mode="max", searcher=settings, num_samples=10, workers=4
    )

    assert simulation.trials[0].config["x"] == 0.125
    assert len({str(trial.config) for trial in simulation.trials}) == 10


@pytest.mark.parametrize("adapter", cases())
def test_the_package_that_is_not_there_is_one_error_that_says_what_to_install(adapter, monkeypatch):
    settings = adapter.make()
    monkeypatch.setitem(sys.modules, adapter.module, None)
    what_to_do = "--no-deps HEBO" if settings.extra == "hebo" else rf"pip install 'tunesmith\[{settings.extra}\]'"

    with pytest.raises(MissingExtra, match=f"{type(settings).__name__} needs .* {what_to_do}"):
        tune.simulate(once, space=SPACE, metric="score", mode="max", searcher=settings)


@pytest.mark.parametrize("adapter", cases(*(name for name in ADAPTERS if name not in IN_EVERY_COMBINATION)))
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_it_works_with_schedulers_that_stop_pause_and_clone(scheduler, adapter):
    simulation = tune.simulate(
        lambda config, epoch: {"score": score(config) - 1 / epoch} if epoch <= 4 else None,
        space=SPACE, metric="score", mode="max", searcher=adapter.make(), scheduler=SCHEDULERS[scheduler](),
        num_samples=8, workers=3,
    )  # fmt: skip

    assert len(simulation.trials) == 8
    assert simulation.finished == "completed"


@pytest.mark.parametrize("adapter", cases())
def test_where_nothing_can_differ_trials_are_repeats(adapter):
    simulation = tune.simulate(
        lambda config, epoch: {"score": 1.0} if epoch <= 1 else None,
        space={"x": 5}, metric="score", mode="max", searcher=adapter.make(), num_samples=3,
    )  # fmt: skip

    assert len(simulation.trials) == 3


def test_a_searcher_has_the_name_of_its_extra_and_of_its_file():
    for name, (file, settings) in _FOREIGN.items():
        found = searcher_named(name)

        assert type(found).__name__ == settings
        assert found.extra == file

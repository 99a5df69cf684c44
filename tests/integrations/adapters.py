"""Every adapter to another package, with settings that are quick to test."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import tunesmith as tune


@dataclass(frozen=True)
class Adapter:
    """How one is made, and how much of it a test can afford."""

    make: Callable[[], Any]
    module: str
    evaluations: int = 40
    contract: dict[str, Any] = field(default_factory=lambda: {"trials": 8, "questions": 4, "runs": 5})
    is_heavy: bool = False


EI = {"kind": "ei", "xi": 0.01}
SMALL = {"trials": 5, "questions": 2, "restarts": 1, "runs": 3}
"""For those that think for long."""


def heavy(make: Callable[[], Any], module: str, evaluations: int = 24) -> Adapter:
    """Return one whose package is too large, or cannot stand beside the others."""
    return Adapter(make, module, evaluations, SMALL, is_heavy=True)


def optuna_with(name: str, **arguments: Any) -> Any:
    import optuna

    return tune.OptunaSearch(sampler=getattr(optuna.samplers, name)(**arguments))


ADAPTERS = {
    "hyperopt": Adapter(lambda: tune.HyperOptSearch(n_initial_points=5), "hyperopt"),
    "optuna": Adapter(tune.OptunaSearch, "optuna"),
    "skopt": Adapter(lambda: tune.SkOptSearch(acq_func="EI", n_initial_points=5), "skopt", 24, SMALL),
    "bayesopt": Adapter(lambda: tune.BayesOptSearch(n_initial_points=5, utility_kwargs=EI), "bayes_opt", 24, SMALL),
    "cfo": Adapter(tune.CFO, "flaml", 60),
    "blendsearch": Adapter(tune.BlendSearch, "flaml"),
    "nevergrad": heavy(tune.NevergradSearch, "nevergrad", 200),
    "nevergrad, cma": heavy(lambda: tune.NevergradSearch(optimizer="CMA"), "nevergrad", 60),
    "zoopt": heavy(lambda: tune.ZOOptSearch(budget=60, n_initial_points=5), "zoopt", 60),
    "smac": heavy(lambda: tune.SMACSearch(n_initial_points=5, challengers=100), "smac"),
    "botorch": heavy(lambda: tune.BoTorchSearch(n_initial_points=5, num_restarts=1, raw_samples=32), "botorch"),
    "ax": heavy(lambda: tune.AxSearch(n_initial_points=5), "ax"),
    "hebo": heavy(lambda: tune.HEBOSearch(n_initial_points=5, hebo_kwargs={"model_name": "rf"}), "hebo"),
    "optuna, nsga": Adapter(lambda: optuna_with("NSGAIISampler", population_size=5), "optuna", 200),
}


def cases(*names: str) -> list[Any]:
    """Return the adapters as cases of a test; those whose package is not there are skipped."""
    return [case(name) for name in names or ADAPTERS]


def case(name: str) -> Any:
    adapter = ADAPTERS[name]
    is_there = importlib.util.find_spec(adapter.module) is not None
    marks = [pytest.mark.skipif(not is_there, reason=f"{adapter.module} is not installed")]
    if adapter.is_heavy:
        marks.append(pytest.mark.heavy)
    return pytest.param(adapter, marks=marks, id=name)

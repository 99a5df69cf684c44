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
    tries: tuple[str, ...] = ("several kinds",)
    is_heavy: bool = False


def optuna_with(name: str, **arguments: Any) -> Any:
    import optuna

    return tune.OptunaSearch(sampler=getattr(optuna.samplers, name)(**arguments))


ADAPTERS = {
    "hyperopt": Adapter(lambda: tune.HyperOptSearch(n_initial_points=5), "hyperopt"),
    "optuna": Adapter(tune.OptunaSearch, "optuna"),
    "optuna, nsga": Adapter(lambda: optuna_with("NSGAIISampler", population_size=5), "optuna", evaluations=80),
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

"""Spaces in HyperOpt's own words (`hp.uniform("lr", 0, 1)`) as Tunesmith's: early Tune's scripts gave them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..errors import SpaceError
from ..space.domains import choice, loguniform, qloguniform, qrandint, qrandn, quniform, randint, randn, uniform


def is_hyperopt(value: Any) -> bool:
    """Whether a value is made of HyperOpt's words, or holds one."""
    if isinstance(value, dict):
        return any(map(is_hyperopt, value.values()))
    if isinstance(value, list | tuple):
        return any(map(is_hyperopt, value))
    return type(value).__module__.startswith("hyperopt.")


def translated(value: Any) -> Any:
    """Return a space of HyperOpt's in Tunesmith's words.

    Raises:
        SpaceError: It has a distribution that Tunesmith does not have.
    """
    if isinstance(value, dict):
        return {key: translated(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [translated(item) for item in value]
    return _node(value) if type(value).__module__.startswith("hyperopt.") else value


def _node(node: Any) -> Any:
    match node.name:
        case "literal":
            return node.obj
        case "dict":
            return {key: translated(item) for key, item in node.named_args}
        case "pos_args":
            return [translated(item) for item in node.pos_args]
        case "switch" if node.pos_args[0].pos_args[1].name == "randint":
            return choice([translated(option) for option in node.pos_args[1:]])
        case "int" if node.pos_args[0].name == "float":  # hp.uniformint is a quniform that is made whole
            low, high, step = _arguments(node.pos_args[0].pos_args[0])
            return qrandint(round(low), round(high), round(step))
        case "float" | "int":
            return _node(node.pos_args[0])
        case "hyperopt_param":
            return _domain(node)
    raise _unknown(node)


def _domain(node: Any) -> Any:
    make = _DOMAINS.get(node.pos_args[1].name)
    if make is None:
        raise _unknown(node.pos_args[1])
    return make(*_arguments(node))


def _arguments(node: Any) -> list[float]:
    distribution = node.pos_args[1]
    given = [*distribution.pos_args, *(argument for _, argument in distribution.named_args)]
    return [argument.obj for argument in given]


def _qloguniform(low: float, high: float, step: float) -> Any:
    first = max(round(math.exp(low) / step), 1) * step
    return qloguniform(first, max(round(math.exp(high) / step) * step, first), step)


_DOMAINS: dict[str, Callable[..., Any]] = {
    "uniform": uniform,
    "loguniform": lambda low, high: loguniform(math.exp(low), math.exp(high)),
    "quniform": lambda low, high, step: quniform(round(low / step) * step, round(high / step) * step, step),
    "qloguniform": _qloguniform,
    "normal": randn,
    "qnormal": qrandn,
    "randint": lambda *bounds: randint(*bounds) if len(bounds) == 2 else randint(0, bounds[0]),
}


def _unknown(node: Any) -> SpaceError:
    return SpaceError(
        f"HyperOptSearch: hp.{node.name} has no counterpart here. Use tune.choice, tune.loguniform and the like, in "
        "the run's space=."
    )

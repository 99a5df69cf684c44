"""Configs of another space in this one: those of an earlier version of it, or of another experiment altogether.

What the space does not know is left out. What the config does not say is the parameter's `prior=` where it has one,
and else unknown. A value that the space does not have makes the whole config lie outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SpaceError
from .domains import Categorical, Float, Integer
from .encoding import Encoding
from .points import Point, fix
from .tree import Composed, Computed, Conditional, Constant, Draw, Fields, Node, Object, Options


@dataclass(frozen=True, slots=True)
class Fit:
    """How a config fits into a space."""

    point: Point = field(default_factory=Point)
    """What it fixes there."""
    unknown: list[str] = field(default_factory=list)
    """Paths of parameters that it does not say, and that have no prior."""
    constants: list[str] = field(default_factory=list)
    """Paths where it has another value than the space has for all trials."""

    def add(self, other: Fit) -> None:
        """Take in how a part of the config fits."""
        self.point.options.update(other.point.options)
        self.point.values.update(other.point.values)
        self.unknown.extend(other.unknown)
        self.constants.extend(other.constants)


def fitted(root: Fields, config: Mapping[str, Any]) -> Fit | None:
    """Return how a config fits into a space; None when one of its values does not lie there, or it says nothing."""
    fit = Fit()
    if not _fit(root, dict(config), fit):
        return None
    says_nothing = fit.unknown and not fit.point.values and not fit.point.options
    return None if says_nothing else fit


def placed(encoding: Encoding, config: Mapping[str, Any], *, seed: int, number: int) -> tuple[float, ...] | None:
    """Return where a config lies that may be of another space; None when it lies outside.

    What is unknown is drawn as random search draws it, so that nothing can be learned of it.
    """
    return _placed(encoding, config, seed, number, fills=True)


def wholly_placed(encoding: Encoding, config: Mapping[str, Any]) -> tuple[float, ...] | None:
    """Return where a config lies that may be of another space; None when it lies outside, or does not say all."""
    return _placed(encoding, config, 0, 0, fills=False)


def _placed(
    encoding: Encoding, config: Mapping[str, Any], seed: int, number: int, *, fills: bool
) -> tuple[float, ...] | None:
    try:
        return encoding.coordinates(config)
    except (SpaceError, KeyError):
        fit = fitted(encoding.space.root, config)
    if fit is None or (fit.unknown and not fills):
        return None
    try:
        return encoding.coordinates(encoding.completed(fit.point, seed=seed, number=number))
    except SpaceError:
        return None  # A function of the space cannot do with the values that there are.


def _fit(node: Node, value: Any, fit: Fit) -> bool:
    match node:
        case Fields(is_list=False):
            return isinstance(value, Mapping) and _fit_fields(node, value, fit)
        case Options():
            return _fit_option(node, value, fit)
        case Conditional():
            return any(branch is not None and _try(branch, value, fit) for branch in (node.then, node.otherwise))
        case Constant() | Object():
            if not fix(node, value, fit.point):
                fit.constants.append(node.path.key)
            return True
        case Computed():
            return True  # It is computed anew from the others, and not modelled.
    return fix(node, value, fit.point)


def _fit_fields(node: Fields, value: Mapping[str, Any], fit: Fit) -> bool:
    for key, child in node.children.items():
        if key not in value:
            _miss(child, fit)
        elif not _fit(child, value[key], fit):
            return False
    return True


def _fit_option(node: Options, value: Any, fit: Fit) -> bool:
    """Take the option that has exactly this value, else the one that shares most of its keys."""
    best: tuple[int, int, Fit] | None = None
    for index, option in enumerate(node.options):
        attempt = Fit()
        if not _fit(option, value, attempt) or attempt.constants:
            continue
        keys = len(set(option.children) & set(value)) if isinstance(option, Fields) and not option.is_list else 0
        strangers = len(value) - keys if isinstance(value, Mapping) else 0
        score = keys - len(attempt.unknown) - strangers
        if best is None or score > best[0]:
            best = (score, index, attempt)
    if best is None:
        return False
    _, index, attempt = best
    fit.add(attempt)
    fit.point.options[node.path.name] = index
    return True


def _try(node: Node, value: Any, fit: Fit) -> bool:
    attempt = Fit()
    if not _fit(node, value, attempt):
        return False
    fit.add(attempt)
    return True


def _miss(node: Node, fit: Fit) -> None:
    """Take note of what a config does not say."""
    match node:
        case Fields():
            for child in node.children.values():
                _miss(child, fit)
        case Draw(domain=Float(prior=float() | int() as prior) | Integer(prior=int() as prior)):
            fit.point.values[node.path.name] = prior
        case Options(domain=Categorical(preferred=int() as preferred)):
            fit.point.options[node.path.name] = preferred
            _miss(node.options[preferred], fit)
        case Draw() | Options() | Composed():
            fit.unknown.append(node.path.key)
        case _:
            pass  # It has one value, or is there under a condition only.

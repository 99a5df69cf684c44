"""Points to evaluate: what a user fixes of a config, held against the space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import SpaceError
from .domains import Integer, same
from .objects import OBJECT_KEY, is_json, label, python_scalar
from .tree import Computed, Constant, Draw, Fields, Node, Object, Options


@dataclass(frozen=True, slots=True)
class Point:
    """What is fixed for one sample, by the nodes' names."""

    options: dict[str, int] = field(default_factory=dict)
    """Which value of a choice or grid."""
    values: dict[str, Any] = field(default_factory=dict)
    """The values of draws and lambdas."""

    def points(self, node: Node) -> int:
        """Return how many grid points are left at and below `node`."""
        if node.points == 1 or not self.options:
            return node.points
        match node:
            case Options() if node.path.name in self.options:
                return self.points(node.options[self.options[node.path.name]])
            case Options():
                return sum(map(self.points, node.options))
            case Fields():
                product = 1
                for child in node.grids:
                    product *= self.points(child)
                return product
        return 1


NOTHING_FIXED = Point()


def fixed_point(root: Fields, values: Mapping[str, Any], where: str) -> Point:
    """Return what `values`, a part of a config, fixes in the space.

    Raises:
        SpaceError: A key that the space does not have, or a value that is not in its domain; the message names the
            place, which begins with `where`.
    """
    if not isinstance(values, Mapping):
        raise SpaceError(f"{where}: {label(values)} is not a dict. Give a part of a config, e.g. {{'lr': 0.1}}.")
    point = Point()
    _fix(root, dict(values), where, point)
    return point


def _fix(node: Node, value: Any, where: str, point: Point) -> None:
    value = python_scalar(value)
    match node:
        case Fields(is_list=True):
            _fix_list(node, value, where, point)
        case Fields():
            _fix_dict(node, value, where, point)
        case Options():
            _fix_option(node, value, where, point)
        case Draw():
            if not node.domain.contains(value):
                raise SpaceError(f"{where}: {label(value)} is outside {node.domain}.")
            point.values[node.path.name] = int(value) if isinstance(node.domain, Integer) else float(value)
        case Computed():
            if not is_json(value):
                raise SpaceError(f"{where}: {label(value)} ({type(value).__name__}) is not a JSON value.")
            point.values[node.path.name] = value
        case Constant() | Object():
            is_named = type(value) is dict and value == {OBJECT_KEY: node.path.name}
            if not is_named and not same(value, node.value):
                raise SpaceError(f"{where}: {label(value)} is not what the space says, {label(node.value)}.")


def _fix_dict(node: Fields, value: Any, where: str, point: Point) -> None:
    if not isinstance(value, dict):
        raise SpaceError(f"{where}: {label(value)} is not a dict, as the space has it.")
    for key, item in value.items():
        if key not in node.children:
            from difflib import get_close_matches  # here, because only mistakes need it

            near = get_close_matches(str(key), map(str, node.children))
            hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(map(repr, node.children))}."
            raise SpaceError(f"{where}[{key!r}]: {node.path} has no such key. {hint}")
        _fix(node.children[key], item, f"{where}[{key!r}]", point)


def _fix_list(node: Fields, value: Any, where: str, point: Point) -> None:
    if not isinstance(value, list | tuple) or len(value) != len(node.children):
        raise SpaceError(f"{where}: {label(value)} is not a list of {len(node.children)} values, as the space has it.")
    for index, item in enumerate(value):
        _fix(node.children[index], item, f"{where}[{index}]", point)


def _fix_option(node: Options, value: Any, where: str, point: Point) -> None:
    nearest: list[SpaceError] = []
    for index, option in enumerate(node.options):
        attempt = Point()
        try:
            _fix(option, value, where, attempt)
        except SpaceError as error:
            if isinstance(option, Fields) and isinstance(value, dict if not option.is_list else list):
                nearest.append(error)
            continue
        point.options.update({**attempt.options, node.path.name: index})
        point.values.update(attempt.values)
        return
    if len(nearest) == 1:
        raise nearest[0]  # only one option has this shape, so its own complaint says more
    raise SpaceError(f"{where}: {label(value)} is none of {node.domain}.")

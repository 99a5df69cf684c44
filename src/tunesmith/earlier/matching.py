"""Configs of another experiment in the names and values of this one's space.

A parameter is found by its path, however that is written (`model/depth`, `model.depth`, nested dicts), and else by its
last name, where only one of each side has it. A value is found by what it is, and else by how it is written: what
a table says as text, and a class that another process can only name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..space.composites import Simplex
from ..space.domains import Integer
from ..space.objects import OBJECT_KEY, label
from ..space.placing import fitted
from ..space.points import Point, fix
from ..space.tree import Composed, Conditional, Constant, Draw, Fields, Node, Object, Options


class Matching:
    """Translates configs of one source.

    Attributes:
        strangers: Names of parameters that the space does not have.
        missing: Paths of parameters of the space -> how many configs do not say them.
    """

    def __init__(self, root: Fields) -> None:
        self._root = root
        self._paths = {path for path in _paths(root) if path}
        self._ends = Counter(_end(path) for path in self._paths)
        self.strangers: set[str] = set()
        self.missing: Counter[str] = Counter()

    def config(self, other: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return a config, or what is known of it, as the space has it; None when it does not lie in the space."""
        flat = dict(_flat(other, self._paths))
        named = self._named(flat)
        self.strangers.update(name for name in flat if name not in named)
        config = _nested({path: flat[name] for name, path in named.items()})
        adapted = _adapted(self._root, config)
        fit = fitted(self._root, adapted)
        if fit is None or (self._paths and not named):
            return None
        self.missing.update(fit.unknown)
        return dict(adapted)

    def _named(self, flat: Mapping[str, Any]) -> dict[str, str]:
        """Return for each name of the source that the space has the path there."""
        named = {name: name for name in flat if name in self._paths}
        taken = set(named)
        ends = Counter(_end(name) for name in flat)
        for name in flat:
            if name in named or ends[_end(name)] > 1 or self._ends[_end(name)] != 1:
                continue
            path = next(path for path in self._paths if _end(path) == _end(name))
            if path not in taken:
                named[name] = path
                taken.add(path)
        return named


def _end(path: str) -> str:
    return path.rpartition("/")[2]


def _paths(node: Node) -> Iterator[str]:
    """Yield where in a config the space has values, and where it has dicts of them."""
    match node:
        case Fields(is_list=False):
            for child in node.children.values():
                yield from _paths(child)
        case Options():
            yield node.path.key
            for option in node.options:
                yield from _paths(option)
        case Conditional():
            yield from _paths(node.then)
            if node.otherwise is not None:
                yield from _paths(node.otherwise)
        case Composed(domain=Simplex(names=tuple() as names)):
            yield node.path.key
            yield from (f"{node.path.key}/{name}" for name in names)
        case _:
            yield node.path.key


def _flat(config: Mapping[str, Any], paths: set[str], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, value) for the values of a config, with the path as the space writes it, if it has it."""
    for key, value in config.items():
        path = f"{prefix}{key}"
        if path not in paths and path.replace(".", "/") in paths:
            path = path.replace(".", "/")
        if isinstance(value, Mapping) and value and value.keys() != {OBJECT_KEY}:
            yield from _flat(value, paths, f"{path}/")
        else:
            yield path, value


def _nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {}
    for path, value in flat.items():
        *outer, last = path.split("/")
        inner = config
        for key in outer:
            found = inner.setdefault(key, {})
            inner = found if isinstance(found, dict) else {}
        inner[last] = value
    return config


def _adapted(node: Node, value: Any) -> Any:
    """Return a value as the space has it, where it has it at all."""
    match node:
        case Fields(is_list=False) if isinstance(value, Mapping):
            children = node.children
            return {key: _adapted(children[key], item) if key in children else item for key, item in value.items()}
        case Draw() if isinstance(node.domain, Integer) and isinstance(value, float) and value.is_integer():
            return int(value)
        case Options():
            return _adapted_option(node, value)
        case Composed() if isinstance(value, list) and not fix(node, value, Point()):
            return [_adapted_item(node, item) for item in value]
        case Conditional():
            branches = [branch for branch in (node.then, node.otherwise) if branch is not None]
            adapted = [_adapted(branch, value) for branch in branches]
            fitting = (one for branch, one in zip(branches, adapted, strict=True) if fix(branch, one, Point()))
            return next(fitting, adapted[0])
        case Constant() | Object() if not fix(node, value, Point()) and _is_written_as(value, node.value):
            return _value_of(node)
    return value


def _adapted_option(node: Options, value: Any) -> Any:
    if any(fix(option, value, Point()) for option in node.options):
        return value
    for option in node.options:
        adapted = _adapted(option, value)
        if fix(option, adapted, Point()):
            return adapted
    for option, own in zip(node.options, node.domain.values, strict=True):
        if _is_written_as(value, own):
            return _value_of(option)
    return value


def _adapted_item(node: Composed, value: Any) -> Any:
    own = (item for item in node.items if fix(item, value, Point()) or _is_written_as(value, _plain(item)))
    return next(map(_value_of, own), value)


def _plain(item: Node) -> Any:
    return item.value if isinstance(item, Constant | Object) else _value_of(item)


def _is_written_as(value: Any, own: Any) -> bool:
    if isinstance(value, list) and isinstance(own, tuple):
        return label(value) == label(list(own))
    return label(own) in (value, label(value)) or (isinstance(value, str | int | float) and str(own) == str(value))


def _value_of(option: Node) -> Any:
    """Return an option that holds no parameters as a config has it."""
    match option:
        case Constant():
            return option.value
        case Object():
            return {OBJECT_KEY: option.identifier}
        case Fields(is_list=True):
            return [_value_of(child) for child in option.children.values()]
        case Fields():
            return {key: _value_of(child) for key, child in option.children.items()}
    return None

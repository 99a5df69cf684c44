"""A space compiled into nodes, checked while it is compiled. Data only: `resolution.py` makes configs of it.

`points` is how many grid points lie below a node: the product over a dict's items, the sum over a grid's values.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from typing import Any

from ..errors import SpaceError
from .domains import (
    DOMAIN_FUNCTIONS,
    Categorical,
    Domain,
    Float,
    Grid,
    Integer,
    Normal,
    SampleFrom,
    grid_search,
    is_lambda,
)  # fmt: skip
from .objects import OBJECT_KEY, is_json_scalar, is_json_string, label, python_scalar
from .paths import Path

DEEPEST = 100
ROOT = Path()
FOREIGN_DOMAINS = ("ray.tune.", "optuna.distributions", "hyperopt.pyll")


@dataclass(frozen=True, slots=True, eq=False)
class Constant:
    """A number, string, bool or None."""

    path: Path
    value: Any
    points: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Object:
    """A value that JSON cannot hold; its id is the path's name."""

    path: Path
    value: Any
    points: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """A number drawn from a domain."""

    path: Path
    domain: Float | Integer | Normal
    points: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """What a function of the other values returns."""

    path: Path
    function: Callable[[Any], Any]
    points: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Options:
    """One of some nodes, by chance or, in a grid, by the trial's number."""

    path: Path
    domain: Categorical | Grid
    options: tuple[Node, ...]
    points: int = field(init=False)

    def __post_init__(self) -> None:
        points = sum(option.points for option in self.options) if isinstance(self.domain, Grid) else 1
        object.__setattr__(self, "points", points)


@dataclass(frozen=True, slots=True, eq=False)
class Fields:
    """A dict of nodes, in the user's order; or a list of them, when the keys are integers."""

    path: Path
    children: dict[Any, Node]
    is_list: bool = False
    points: int = field(init=False)
    grids: tuple[Node, ...] = field(init=False)
    """The children with grid points below, in sorted order: the first one varies fastest."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "points", math.prod(child.points for child in self.children.values()))
        ordered = (self.children[key] for key in sorted(self.children))
        object.__setattr__(self, "grids", tuple(child for child in ordered if child.points > 1))


Node = Constant | Object | Draw | Computed | Options | Fields


class Compiler:
    """Turns what the user wrote into nodes; collects the objects and the parameters on the way."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.parameters: dict[str, Domain] = {}
        self._names: dict[str, Path] = {}
        self._choices = 0
        """How many choices enclose the current place."""

    def compile(self, value: Any, path: Path = ROOT) -> Node:
        """Return the node for `value`.

        Raises:
            SpaceError: Something at or below `path` cannot be sampled.
        """
        if path.depth > DEEPEST:
            raise SpaceError(f"{path}: nested deeper than {DEEPEST} levels. Does it contain itself?")
        other = self._names.setdefault(path.name, path)
        if other is not path:
            raise SpaceError(f"{path} and {other} are both called {path.name!r} in results. Rename one of the keys.")
        value = SampleFrom(value) if is_lambda(value) else python_scalar(value)
        match value:
            case {"grid_search": values} if len(value) == 1:
                return self._options(grid_search(values), path)
            case Float() | Integer() | Normal():
                self._enter(value, path)
                return Draw(path, value)
            case Categorical() | Grid():
                return self._options(value, path)
            case SampleFrom():
                self._enter(value, path)
                return Computed(path, value.function)
            case dict():
                return self._dict(value, path)
            case list():
                return self._list(value, path)
            case tuple() if is_searchable(value):
                return self._list(value, path)
        return self._constant(value, path)

    def _enter(self, domain: Domain, path: Path) -> None:
        try:
            domain.check()
        except SpaceError as error:
            raise SpaceError(f"{path}: {error}") from None
        # Two options of a choice may each have a parameter at the same key; the second one goes by its own name.
        self.parameters[path.name if path.key in self.parameters else path.key] = domain

    def _options(self, domain: Categorical | Grid, path: Path) -> Options:
        self._enter(domain, path)
        is_grid = isinstance(domain, Grid)
        if is_grid and self._choices:
            raise SpaceError(
                f"{path}: a grid_search inside a choice has no clear number of trials. "
                "Make the outer one a grid_search too, or use choice here."
            )
        self._choices += not is_grid
        function = "grid_search" if is_grid else "choice"
        options = [self.compile(value, path.option(function, index)) for index, value in enumerate(domain.values)]
        self._choices -= not is_grid
        return Options(path, domain, tuple(options))

    def _dict(self, value: dict[Any, Any], path: Path) -> Node:
        if OBJECT_KEY in value:
            raise SpaceError(f"{path}: the key {OBJECT_KEY!r} is reserved for Tunesmith's own use. Rename it.")
        odd_key = next((key for key in value if not is_json_string(key)), None)
        if odd_key is None:
            return Fields(path, {key: self.compile(item, path.child(key)) for key, item in value.items()})
        if is_searchable(value):
            raise SpaceError(
                f"{path}: the key {odd_key!r} ({type(odd_key).__name__}) stands beside a domain. "
                "A dict that is searched needs strings as keys."
            )
        return self._constant(value, path)

    def _list(self, values: Iterable[Any], path: Path) -> Fields:
        children = {index: self.compile(value, path.child(index)) for index, value in enumerate(values)}
        return Fields(path, children, is_list=True)

    def _constant(self, value: Any, path: Path) -> Node:
        if is_json_scalar(value):
            return Constant(path, value)
        if isinstance(value, Set) and is_searchable(value):
            raise SpaceError(f"{path}: a set has no order, so the domain in it has no place. Use a list.")
        module = f"{type(value).__module__}."
        if module.startswith(FOREIGN_DOMAINS):
            raise SpaceError(f"{path}: {label(value)} is a domain of {module.partition('.')[0]}. Use tunesmith's own.")
        name = getattr(value, "__name__", "")
        if DOMAIN_FUNCTIONS.get(name) is value:
            raise SpaceError(f"{path}: {name} is not called. Write {name}(...).")
        self.objects[path.name] = value
        return Object(path, value)


def is_searchable(value: Any) -> bool:
    """Whether a domain, a grid or a lambda is anywhere in `value`."""
    match value:
        case Float() | Integer() | Normal() | Categorical() | Grid() | SampleFrom():
            return True
        case dict():
            return value.keys() == {"grid_search"} or any(map(is_searchable, value.values()))
        case list() | tuple() | Set():
            return any(map(is_searchable, value))
    return is_lambda(value)

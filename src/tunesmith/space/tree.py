"""A space compiled into nodes, checked while it is compiled. Data only: `resolution.py` makes configs of it.

`points` is how many grid points lie below a node: the product over a dict's items, the sum over a grid's values.
Conditions (`when`) are compiled without their parents, which may come later; `conditions.link` finds these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Set
from dataclasses import dataclass, field
from typing import Any

from ..errors import SpaceError
from .composites import Arrangement, Composite, Permutation, Simplex, Subset
from .domains import (
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
from .functions import DOMAIN_FUNCTIONS
from .objects import OBJECT_KEY, is_json_scalar, is_json_string, label, python_scalar
from .paths import Path
from .when import ABSENT, Test, When

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
    """A value that JSON cannot hold."""

    path: Path
    value: Any
    identifier: str
    """What it goes by in configs: the path's name, unless an earlier version of the space had something else there."""
    points: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Draw:
    """A number drawn from a domain."""

    path: Path
    domain: Float | Integer | Normal
    points: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Composed:
    """A value made of several draws: an order of items, a subset of them, proportions."""

    path: Path
    domain: Composite
    items: tuple[Node, ...]
    """Without domains in them; none for proportions."""
    points: int = 1

    def fields(self, arrangement: Arrangement) -> Fields:
        """Return the list or dict that an arrangement of the domain stands for."""
        if not isinstance(self.domain, Simplex):
            return Fields(self.path, {index: self.items[item] for index, item in enumerate(arrangement)}, is_list=True)
        given, size = self.domain.names, self.domain.size
        names: Iterable[str | int] = given if isinstance(given, tuple) else range(size)
        children: dict[Any, Node] = {
            name: Constant(self.path.child(name), value) for name, value in zip(names, arrangement, strict=True)
        }
        return Fields(self.path, children, is_list=isinstance(given, int))


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


@dataclass(frozen=True, slots=True, eq=False)
class Conditional:
    """One node where another parameter passes a test, else another one, or nothing at all."""

    path: Path
    test: Test
    then: Node
    otherwise: Node | None
    alternatives: list[tuple[Atom, ...]] = field(default_factory=list)
    """The condition: it holds where all atoms of one of these do. Empty until `conditions.link` has filled it."""
    points: int = 1


Node = Constant | Object | Draw | Composed | Computed | Options | Fields | Conditional


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Of these options one of these is taken."""

    node: Options
    indices: frozenset[int]


@dataclass(frozen=True, slots=True, eq=False)
class Passes:
    """What is drawn passes a test."""

    node: Draw | Composed
    test: Test


@dataclass(frozen=True, slots=True, eq=False)
class Holds:
    """The condition of another node holds, or does not."""

    node: Conditional
    wanted: bool


Atom = Chosen | Passes | Holds


class Compiler:
    """Turns what the user wrote into nodes; collects the objects and the parameters on the way."""

    def __init__(self) -> None:
        self.objects: list[Object] = []
        self.parameters: dict[str, Domain | Composite] = {}
        self._names: dict[str, Path] = {}
        self._within: list[str] = []
        """The choices and conditions that enclose the current place."""

    def compile(self, value: Any, path: Path = ROOT) -> Node:
        """Return the node for `value`.

        Raises:
            SpaceError: Something at or below `path` cannot be sampled.
        """
        if path.depth > DEEPEST:
            raise SpaceError(f"{path}: nested deeper than {DEEPEST} levels. Does it contain itself?")
        if isinstance(value, When):
            return self._when(value, path)
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
            case Permutation() | Subset() | Simplex():
                return self._composed(value, path)
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

    def _enter(self, domain: Domain | Composite, path: Path) -> None:
        try:
            domain.check()
        except SpaceError as error:
            raise SpaceError(f"{path}: {error}") from None
        # Two options of a choice may each have a parameter at the same key; the second one goes by its own name.
        self.parameters[path.name if path.key in self.parameters else path.key] = domain

    def _options(self, domain: Categorical | Grid, path: Path) -> Options:
        self._enter(domain, path)
        is_grid = isinstance(domain, Grid)
        if is_grid and self._within:
            raise SpaceError(
                f"{path}: a grid_search inside a {self._within[-1]} has no clear number of trials. "
                "Make the outer one a grid_search too, or use choice here."
            )
        function = "grid_search" if is_grid else "choice"
        self._within += [] if is_grid else [function]
        options = [
            self._present(self.compile(value, path.option(function, index)))
            for index, value in enumerate(domain.values)
        ]
        del self._within[len(self._within) - (not is_grid) :]
        return Options(path, domain, tuple(options))

    def _composed(self, domain: Composite, path: Path) -> Composed:
        self._enter(domain, path)
        if isinstance(domain, Simplex):
            return Composed(path, domain, ())
        function = type(domain).__name__.lower()
        for index, item in enumerate(domain.items):
            if is_searchable(item):
                raise SpaceError(
                    f"{path.option(function, index)}: {label(item)} is searched itself. The items of a {function} are "
                    "plain values; put the domain beside it, under its own key."
                )
        items = [self.compile(item, path.option(function, index)) for index, item in enumerate(domain.items)]
        return Composed(path, domain, tuple(items))

    def _when(self, when: When, path: Path) -> Conditional:
        if not isinstance(when.parent, str) or not when.parent:
            raise SpaceError(
                f"{path}: {when}: its first argument is the place of another parameter in the config, "
                "e.g. when('optimizer', 'sgd', then=...)."
            )
        self._within.append("when")
        then = self.compile(when.then, path.branch("then"))
        otherwise = None if when.otherwise is ABSENT else self.compile(when.otherwise, path.branch("otherwise"))
        self._within.pop()
        return Conditional(path, Test.of(when), then, otherwise)

    @staticmethod
    def _present(node: Node) -> Node:
        if may_be_absent(node):
            raise SpaceError(
                f"{node.path}: only a dict's item may be absent, and this when has no otherwise=. "
                "Give it one, or put the when under a key."
            )
        return node

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
        children = {index: self._present(self.compile(value, path.child(index))) for index, value in enumerate(values)}
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
        found = Object(path, value, path.name)
        self.objects.append(found)
        return found


def may_be_absent(node: Node | None) -> bool:
    """Whether a node stands for nothing at all where its condition does not hold."""
    if isinstance(node, Conditional):
        return node.otherwise is None or may_be_absent(node.then) or may_be_absent(node.otherwise)
    return False


def is_searchable(value: Any) -> bool:
    """Whether a domain, a grid, a condition or a lambda is anywhere in `value`."""
    match value:
        case Float() | Integer() | Normal() | Categorical() | Grid() | SampleFrom() | When():
            return True
        case Permutation() | Subset() | Simplex():
            return True
        case dict():
            return value.keys() == {"grid_search"} or any(map(is_searchable, value.values()))
        case list() | tuple() | Set():
            return any(map(is_searchable, value))
    return is_lambda(value)

"""Which coordinates a space has, in which order, and under which conditions each is there.

A coordinate comes after those that its being there depends on; apart from that they are in the order of the space.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .domains import Float, Grid, Integer, Normal, Ordinal
from .points import Point
from .presence import Rule, Taken, Tested
from .quantiles import is_single, levels, quantile, value_at
from .tree import Atom, Chosen, Composed, Conditional, Draw, Fields, Holds, Node, Options, Passes

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Decisive = Draw | Options | Composed
"""What has coordinates."""
MOST_TESTED = 1000
"""Up to so many levels each is tested once and for all."""


@dataclass(frozen=True, slots=True, eq=False)
class Slot:
    """What one coordinate stands for."""

    node: Decisive
    part: int = 0
    """Which coordinate of a composed value it is."""
    conditions: tuple[tuple[int, int], ...] = ()
    """(coordinate, index of a choice's value) that must all be so for it to be there."""
    rules: tuple[Rule, ...] = ()
    """What must hold for it to be there beside these."""
    atoms: tuple[Atom, ...] = ()
    """The same as the space says it."""

    @property
    def name(self) -> str:
        """Unlike that of every other coordinate."""
        name = self.node.path.name
        return f"{name}/{self.part}" if isinstance(self.node, Composed) else name

    @property
    def domain(self) -> Float | Integer | Normal | None:
        """The number's domain, an ordered choice's indices; None for a plain choice."""
        match self.node:
            case Draw():
                return self.node.domain
            case Composed():
                return self.node.domain.parts[self.part]
        return self.node.domain.indices if isinstance(self.node.domain, Ordinal) else None

    @property
    def options(self) -> int:
        """How many values there are to choose from; 0 for a number."""
        return len(self.node.options) if isinstance(self.node, Options) and self.domain is None else 0

    @property
    def levels(self) -> int:
        """How many distinct values a number has; 0 for a continuum and for a plain choice."""
        return 0 if self.domain is None else levels(self.domain)

    @property
    def width(self) -> int:
        """How many coordinates, from this one on, are needed to say what this one stands for."""
        return len(self.node.domain.parts) if isinstance(self.node, Composed) and self.part == 0 else 1

    def found_in(self, point: Point) -> float | None:
        """Return the coordinate of what a point fixes; None where it leaves that open."""
        name = self.node.path.name
        if isinstance(self.node, Options):
            index = point.options.get(name)
            if index is None:
                return None
            return float(index) if self.domain is None else quantile(self.domain, index)
        value = point.values.get(name)
        if value is None:
            return None
        if isinstance(self.node, Composed):
            return self.node.domain.coordinates(value)[self.part]
        return quantile(self.node.domain, value)

    def fix(self, point: Point, coordinates: Sequence[float]) -> None:
        """Let a point fix what `width` coordinates from this one on say."""
        name = self.node.path.name
        match self.node:
            case Options():
                indices = self.domain
                point.options[name] = int(coordinates[0] if indices is None else value_at(indices, coordinates[0]))
            case Draw():
                point.values[name] = value_at(self.node.domain, coordinates[0])
            case Composed() if self.part == 0:
                point.values[name] = self.node.domain.arranged(coordinates)


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """The coordinates of a space."""

    slots: list[Slot] = field(default_factory=list)
    grids: list[Options] = field(default_factory=list)
    index: dict[Node, int] = field(default_factory=dict)
    """Node -> its first coordinate."""
    rules: dict[Conditional, Rule] = field(default_factory=dict)


def layout(root: Fields) -> Layout:
    """Return the coordinates of a space."""
    found = Layout()
    open_nodes = dict(_decisive(root, (), found))
    while open_nodes:
        # The first one that depends on none that is still to come: conditions never run in a circle, so there is one.
        node = next(node for node, atoms in open_nodes.items() if not _depends_on(atoms) & open_nodes.keys())
        _place(node, open_nodes.pop(node), found)
    return found


def _decisive(node: Node | None, atoms: tuple[Atom, ...], found: Layout) -> Iterator[tuple[Decisive, tuple[Atom, ...]]]:
    """Yield what has coordinates, in the order of the space, with what must hold for it to be there."""
    match node:
        case Draw() if not is_single(node.domain):
            yield node, atoms
        case Composed() if node.domain.parts:
            yield node, atoms
        case Options():
            if isinstance(node.domain, Grid):
                found.grids.append(node)
            if len(node.options) > 1:
                yield node, atoms
            for index, option in enumerate(node.options):
                yield from _decisive(option, (*atoms, Chosen(node, frozenset([index]))), found)
        case Fields():
            for child in node.children.values():
                yield from _decisive(child, atoms, found)
        case Conditional():
            yield from _decisive(node.then, (*atoms, Holds(node, True)), found)
            yield from _decisive(node.otherwise, (*atoms, Holds(node, False)), found)


def _depends_on(atoms: Sequence[Atom]) -> set[Node]:
    """Return the nodes whose coordinates decide whether atoms hold."""
    nodes: set[Node] = set()
    for atom in atoms:
        if isinstance(atom, Holds):
            for alternative in atom.node.alternatives:
                nodes |= _depends_on(alternative)
        else:
            nodes.add(atom.node)
    return nodes


def _place(node: Decisive, atoms: tuple[Atom, ...], found: Layout) -> None:
    """Give a node the next coordinates."""
    conditions, rules = _simple(atoms, found)
    found.index[node] = len(found.slots)
    parts = len(node.domain.parts) if isinstance(node, Composed) else 1
    found.slots.extend(Slot(node, part, conditions, rules, atoms) for part in range(parts))


def _simple(atoms: Sequence[Atom], found: Layout) -> tuple[tuple[tuple[int, int], ...], tuple[Rule, ...]]:
    """Return atoms as (coordinate, index) pairs, and as rules where that does not say it."""
    conditions: list[tuple[int, int]] = []
    rules: list[Rule] = []
    for atom in atoms:
        if isinstance(atom, Holds) and atom.wanted and len(atom.node.alternatives) == 1:
            inner, more = _simple(atom.node.alternatives[0], found)
            conditions += [pair for pair in inner if pair not in conditions]
            rules += more
            continue
        coordinate = translated(atom, found)
        if isinstance(coordinate, Taken) and coordinate.indices is None and len(coordinate.options) == 1:
            pair = (coordinate.coordinate, next(iter(coordinate.options)))
            if pair not in conditions:
                conditions.append(pair)
        elif isinstance(coordinate, Rule):
            rules.append(coordinate)
        elif coordinate is not True:
            rules.append(Rule(() if coordinate is False else ((coordinate,),)))
    return tuple(conditions), tuple(rules)


def translated(atom: Atom, found: Layout) -> Taken | Tested | Rule | bool:
    """Return an atom in terms of coordinates; a bool where it is always or never so."""
    match atom:
        case Holds():
            rule = rule_of(atom.node, found)
            return rule if atom.wanted else Rule(rule.alternatives, wanted=False)
        case Chosen():
            if atom.node not in found.index:
                return 0 in atom.indices
            indices = atom.node.domain.indices if isinstance(atom.node.domain, Ordinal) else None
            return Taken(found.index[atom.node], atom.indices, indices)
        case Passes():
            node = atom.node
            if node not in found.index:
                return atom.test.passes(node.domain.at(0.5) if isinstance(node, Draw) else _only_value(node))
            first = found.index[node]
            width = found.slots[first].width
            coordinates = tuple(range(first, first + width))
            return Tested(coordinates, lambda block: _value(node, block), atom.test, _leveled(node))


def rule_of(node: Conditional, found: Layout) -> Rule:
    """Return when a condition holds, in terms of coordinates."""
    if node not in found.rules:
        alternatives = []
        for atoms in node.alternatives:
            every = [translated(atom, found) for atom in atoms]
            if False not in every:
                alternatives.append(tuple(atom for atom in every if not isinstance(atom, bool)))
        found.rules[node] = Rule(tuple(alternatives))
    return found.rules[node]


def _leveled(node: Draw | Composed) -> Float | Integer | None:
    if isinstance(node, Draw) and isinstance(node.domain, Float | Integer) and 0 < levels(node.domain) <= MOST_TESTED:
        return node.domain
    return None


def _value(node: Draw | Composed, coordinates: FloatArray) -> Any:
    if isinstance(node, Draw):
        return value_at(node.domain, float(coordinates[0]))
    return node.domain.value(node.domain.arranged(coordinates.tolist()))


def _only_value(node: Composed) -> Any:
    return node.domain.value(node.domain.arranged(()))

"""Where the bundles of one trial lie: a search over nodes, all or nothing.

Bundles that are alike are laid one after another wherever one fits, which is exact for one kind; the kinds before the
most frequent one are tried on node after node. To place many kinds well is a hard problem: the search gives up after so
many tries.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from .bundles import UNIT, request_text, split, units
from .events import Node, Placement

TRIES = 20_000
"""So many times a search looks whether a bundle fits a node before it gives up."""
ANYTHING = "*"
"""The name under which a node says how much it has of everything that it does not name."""


class Free:
    """What one node has left."""

    __slots__ = ("_others", "amounts", "gpus", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.amounts = {name: units(amount) for name, amount in node.resources.items()}
        self.gpus = dict.fromkeys(node.gpus, UNIT)
        self._others = self.amounts.get(ANYTHING, 0)

    def left(self, name: str) -> int:
        """Return how much of a resource is left, in whole units."""
        return self.amounts.get(name, self._others)

    def change(self, bundle: Placement, sign: int) -> None:
        """Take what one bundle holds (-1), or give it back (+1)."""
        for name, amount in bundle.resources.items():
            self.amounts[name] = self.left(name) + sign * units(amount)
        if bundle.gpus:
            share = units(bundle.resources["gpu"] / len(bundle.gpus))
            for gpu in bundle.gpus:
                if gpu in self.gpus:
                    self.gpus[gpu] += sign * share

    def find(self, bundle: Mapping[str, float]) -> Placement | None:
        """Return one bundle's place here, or None."""
        for name, amount in bundle.items():
            if self.left(name) < units(amount):
                return None
        gpus = self.find_gpus(bundle.get("gpu", 0))
        return None if gpus is None else Placement(node=self.node.name, resources=dict(bundle), gpus=gpus)

    def find_gpus(self, amount: float) -> tuple[str, ...] | None:
        """Return the GPUs that could give `amount`, or None."""
        if not amount or not self.gpus:
            return ()
        if amount < 1:
            # The fullest GPU that still has room, so that whole ones stay whole.
            fitting = [(free, gpu) for gpu, free in self.gpus.items() if free >= units(amount)]
            return (min(fitting, key=lambda pair: pair[0])[1],) if fitting else None
        whole = [gpu for gpu, free in self.gpus.items() if free == UNIT]
        return tuple(whole[: int(amount)]) if len(whole) >= amount else None

    def has(self, bundle: Placement) -> bool:
        """Whether all of a bundle is free, on its very GPUs."""
        if any(self.left(name) < units(amount) for name, amount in bundle.resources.items()):
            return False
        share = units(bundle.resources["gpu"] / len(bundle.gpus)) if bundle.gpus else 0
        return all(self.gpus.get(gpu, 0) >= share for gpu in bundle.gpus)


def find_all(request: Mapping[str, float], nodes: Sequence[Free]) -> Placement | None:
    """Return where a request of several bundles fits now, or None. Leaves the nodes as they are."""
    bundles, strategy = split(request)
    if strategy in ("PACK", "STRICT_PACK"):
        for node in nodes:
            placement = _Search(bundles, [node], strategy).placement()
            if placement is not None:
                return placement
        if strategy == "STRICT_PACK":
            return None
    return _Search(bundles, nodes, strategy).placement()


class _Search:
    """One look for places of all bundles."""

    def __init__(self, bundles: Sequence[dict[str, float]], nodes: Sequence[Free], strategy: str) -> None:
        self._bundles = bundles
        self._nodes = nodes
        self._by_name = {node.node.name: node for node in nodes}
        self._strategy = strategy
        kinds: dict[tuple[tuple[str, float], ...], list[int]] = {}
        for number, bundle in enumerate(bundles):
            kinds.setdefault(tuple(sorted(bundle.items())), []).append(number)
        # The rarest first: of the last, most frequent kind the first try decides.
        self._order = [number for kind in sorted(kinds.values(), key=len) for number in kind]
        self._last_kind = bundles[self._order[-1]]
        self._places: dict[int, Placement] = {}
        self._used: dict[str, int] = {}
        """Node -> how many of the bundles lie there."""
        self._tries = TRIES

    def placement(self) -> Placement | None:
        """Return places for all bundles, or None."""
        if not self._could_fit():
            return None
        if not self._place(0, 0):
            return None
        first, *others = (self._places[number] for number in range(len(self._bundles)))
        for number in self._order:
            self._lift(number)
        return Placement(node=first.node, resources=first.resources, gpus=first.gpus, more=tuple(others))

    def _could_fit(self) -> bool:
        """Whether there is enough of everything at all."""
        wanted: dict[str, int] = {}
        for bundle in self._bundles:
            for name, amount in bundle.items():
                wanted[name] = wanted.get(name, 0) + units(amount)
        # A node that shrank under what it holds has less than nothing, which the others need not make up for.
        return all(sum(max(0, node.left(name)) for node in self._nodes) >= n for name, n in wanted.items())

    def _place(self, index: int, first_node: int) -> bool:
        """Lay the bundles from `index` on, in `_order`; leave what is laid, if all of it is."""
        number = self._order[index]
        bundle = self._bundles[number]
        if bundle == self._last_kind:
            return self._place_alike(self._order[index:])
        # One that is alike need not be tried where this one has been tried before it: the two could change places.
        is_alike = self._bundles[self._order[index + 1]] == bundle
        for position in self._candidates(bundle, first_node):
            if self._lay(number, position):
                if self._place(index + 1, position if is_alike else 0):
                    return True
                self._lift(number)
        return False

    def _place_alike(self, numbers: Sequence[int]) -> bool:
        """Lay the bundles of the last kind: wherever one lies, as many of the others fit."""
        for laid, number in enumerate(numbers):
            if not any(self._lay(number, position) for position in self._candidates(self._last_kind, 0)):
                for other in numbers[:laid]:
                    self._lift(other)
                return False
        return True

    def _lay(self, number: int, position: int) -> bool:
        self._tries -= 1
        place = self._nodes[position].find(self._bundles[number]) if self._tries >= 0 else None
        if place is None:
            return False
        self._nodes[position].change(place, -1)
        self._places[number] = place
        self._used[place.node] = self._used.get(place.node, 0) + 1
        return True

    def _lift(self, number: int) -> None:
        place = self._places.pop(number)
        self._by_name[place.node].change(place, +1)
        self._used[place.node] -= 1

    def _candidates(self, bundle: Mapping[str, float], first_node: int) -> list[int]:
        used = [self._used.get(node.node.name, 0) for node in self._nodes]
        positions = range(first_node, len(used))
        match self._strategy:
            case "STRICT_SPREAD":
                return [position for position in positions if not used[position]]
            case "SPREAD":
                return sorted(positions, key=lambda position: used[position])
            case _:
                room = [_how_many(node, bundle) for node in self._nodes]
                return sorted(positions, key=lambda position: (not used[position], -room[position]))


def _how_many(node: Free, bundle: Mapping[str, float]) -> float:
    return min((node.left(name) // units(amount) for name, amount in bundle.items()), default=0)


@contextmanager
def taken(placement: Placement, nodes: Mapping[str, Free]) -> Iterator[None]:
    """Hold a placement for as long as the block lasts."""
    for bundle in placement.bundles:
        nodes[bundle.node].change(bundle, -1)
    try:
        yield
    finally:
        for bundle in placement.bundles:
            nodes[bundle.node].change(bundle, +1)


def what_lacks(node: Node, bundle: Mapping[str, float]) -> list[str]:
    """Return in words what a node could never give of one bundle."""
    others = node.resources.get(ANYTHING, 0)
    return [
        f"{name} {amount:g} of {node.resources.get(name, 0):g}"
        for name, amount in bundle.items()
        if units(node.resources.get(name, others)) < units(amount)
    ]


def told_once(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes that a message about all of them names: of those to come that are alike, one."""
    seen: set[tuple[tuple[str, float], ...]] = set()
    found = []
    for node in nodes:
        key = tuple(sorted(node.resources.items()))
        if not node.expected or key not in seen:
            found.append(node)
        if node.expected:
            seen.add(key)
    return found


def why_never(request: Mapping[str, float], nodes: Sequence[Node]) -> str:
    """Return in words why no set of empty nodes could hold a request of several bundles; "" when one could."""
    if find_all(request, [Free(node) for node in nodes]) is not None:
        return ""
    bundles, strategy = split(request)
    for number, bundle in enumerate(bundles):
        lacks = [f"{node.name} lacks {', '.join(what_lacks(node, bundle))}" for node in told_once(nodes)]
        if all(what_lacks(node, bundle) for node in nodes):
            told = "; ".join(lacks) or "no node at all"
            return f"bundle {number} ({request_text(bundle)}) fits on no node: {told}"
    wanted: dict[str, float] = {}
    for bundle in bundles:
        for name, amount in bundle.items():
            wanted[name] = wanted.get(name, 0) + amount
    if strategy == "STRICT_PACK":
        lacks = [
            f"{node.name} lacks {', '.join(what_lacks(node, wanted)) or 'whole GPUs'}" for node in told_once(nodes)
        ]
        return f"STRICT_PACK wants all on one node: {'; '.join(lacks)}"
    for name, amount in wanted.items():
        total = sum(node.resources.get(name, 0) for node in nodes)
        if units(total) < units(amount):
            return f"together they need {name} {amount:g} of {total:g} that {_counted(len(nodes))} have"
    if strategy == "STRICT_SPREAD":
        fitting = sum(any(not what_lacks(node, bundle) for bundle in bundles) for node in nodes)
        return f"STRICT_SPREAD wants each on another node: {len(bundles)} of {fitting} nodes that have room for one"
    amounts = "; ".join(f"{node.name} has {request_text(node.resources)}" for node in told_once(nodes))
    return f"they do not fit side by side: {amounts}"


def _counted(nodes: int) -> str:
    return "the node" if nodes == 1 else f"all {nodes} nodes"

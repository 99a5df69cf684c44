"""What the nodes have, what attempts hold, and whether a request fits. Amounts are compared in ten-thousandths.

A request is `{"cpu": 1, "gpu": 0.5, "anything": 2}`. A fraction of a GPU lies on one GPU; more than one GPU means whole
GPUs of one node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..errors import ResourceError
from .events import Node, Placement

_UNIT = 10_000


def _units(amount: float) -> int:
    return round(amount * _UNIT)


def checked_request(request: Mapping[str, float]) -> dict[str, float]:
    """Return a request as a plain dict without zeros.

    Raises:
        ResourceError: An amount that is negative or not a number, or a GPU request such as 1.5.
    """
    checked: dict[str, float] = {}
    for name, amount in request.items():
        if not isinstance(name, str) or isinstance(amount, bool) or not isinstance(amount, int | float):
            raise ResourceError(f"resources={dict(request)!r}: {name!r}: {amount!r} is not an amount. Give a number.")
        if not 0 <= amount < float("inf"):
            raise ResourceError(f"resources={dict(request)!r}: {name!r} is {amount}; it must be 0 or more.")
        if name == "gpu" and amount > 1 and amount != int(amount):
            raise ResourceError(f"resources={dict(request)!r}: gpu={amount}: above 1 ask for whole GPUs.")
        if _units(amount):
            checked[name] = amount
    return checked


class _Free:
    """What one node has left."""

    __slots__ = ("amounts", "gpus", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.amounts = {name: _units(amount) for name, amount in node.resources.items()}
        self.gpus = dict.fromkeys(node.gpus, _UNIT)

    def change(self, placement: Placement, sign: int) -> None:
        for name, amount in placement.resources.items():
            self.amounts[name] = self.amounts.get(name, 0) + sign * _units(amount)
        if placement.gpus:
            share = _units(placement.resources["gpu"] / len(placement.gpus))
            for gpu in placement.gpus:
                if gpu in self.gpus:
                    self.gpus[gpu] += sign * share

    def find(self, request: Mapping[str, float]) -> Placement | None:
        for name, amount in request.items():
            if self.amounts.get(name, 0) < _units(amount):
                return None
        gpus = self.find_gpus(request.get("gpu", 0))
        return None if gpus is None else Placement(node=self.node.name, resources=dict(request), gpus=gpus)

    def find_gpus(self, amount: float) -> tuple[str, ...] | None:
        if not amount or not self.gpus:
            return ()
        if amount < 1:
            # The fullest GPU that still has room, so that whole ones stay whole.
            fitting = [(free, gpu) for gpu, free in self.gpus.items() if free >= _units(amount)]
            return (min(fitting, key=lambda pair: pair[0])[1],) if fitting else None
        whole = [gpu for gpu, free in self.gpus.items() if free == _UNIT]
        return tuple(whole[: int(amount)]) if len(whole) >= amount else None


def _lacks(node: Node, request: Mapping[str, float]) -> list[str]:
    """Return in words what a node could never give of a request."""
    return [
        f"{name} {amount:g} of {node.resources.get(name, 0):g}"
        for name, amount in request.items()
        if _units(node.resources.get(name, 0)) < _units(amount)
    ]


class Pool:
    """The nodes' resources and who holds what."""

    _remembered = ("_full",)
    """Attributes that only remember answers, and are no state: who compares states leaves them out."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self._nodes: dict[str, _Free] = {}
        self._expected: tuple[Node, ...] = ()
        self._held: dict[int, Placement] = {}
        self._full: set[tuple[tuple[str, float], ...]] = set()
        """Requests that fit nowhere until something is released, so that nobody looks at 1,000 full nodes twice."""
        self.replace_nodes(nodes)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes that are there, as they were given."""
        return tuple(free.node for free in self._nodes.values())

    def is_awaited_for(self, request: Mapping[str, float]) -> bool:
        """Whether no node that is there could ever run it, and one that is expected could."""
        return any(not _lacks(node, request) for node in self._expected) and all(
            _lacks(node, request) for node in self.nodes
        )

    def find(self, request: Mapping[str, float]) -> Placement | None:
        """Return where a request fits now, or None. Takes nothing yet."""
        key = tuple(request.items())
        if key in self._full:
            return None
        for free in self._nodes.values():
            placement = free.find(request)
            if placement is not None:
                return placement
        self._full.add(key)
        return None

    def room(self, request: Mapping[str, float], *, at_most: int) -> int:
        """Return how many such requests fit now, counting up to `at_most`."""
        key = tuple(request.items())
        if key in self._full:
            return 0
        total = 0
        for free in self._nodes.values():
            fits = [free.amounts.get(name, 0) // _units(amount) for name, amount in request.items()]
            # A node that shrank under what it holds has less than nothing, which the others need not make up for.
            total += max(0, min(fits, default=at_most))
            if total >= at_most:
                return at_most
        if not total:
            self._full.add(key)
        return total

    def has(self, placement: Placement) -> bool:
        """Whether all of a placement is free, on its very node and GPUs."""
        free = self._nodes.get(placement.node)
        if free is None or any(free.amounts.get(name, 0) < _units(n) for name, n in placement.resources.items()):
            return False
        share = _units(placement.resources["gpu"] / len(placement.gpus)) if placement.gpus else 0
        return all(free.gpus.get(gpu, 0) >= share for gpu in placement.gpus)

    def free_on(self, node: str) -> dict[str, float]:
        """Return what one node has left."""
        free = self._nodes.get(node)
        return {} if free is None else {name: max(0, amount) / _UNIT for name, amount in free.amounts.items()}

    def take(self, trial: int, placement: Placement) -> None:
        """Give `placement` to a trial's attempt."""
        self._held[trial] = placement
        if placement.node in self._nodes:
            self._nodes[placement.node].change(placement, -1)

    def release(self, trial: int) -> None:
        """Take back what a trial's attempt holds; nothing when it holds nothing."""
        placement = self._held.pop(trial, None)
        self._full.clear()
        if placement is not None and placement.node in self._nodes:
            self._nodes[placement.node].change(placement, +1)

    def replace_nodes(self, nodes: Iterable[Node]) -> None:
        """Go on with these nodes; what is held stays held."""
        self._full.clear()
        nodes = tuple(nodes)
        self._nodes = {node.name: _Free(node) for node in nodes if not node.expected}
        self._expected = tuple(node for node in nodes if node.expected)
        for placement in self._held.values():
            if placement.node in self._nodes:
                self._nodes[placement.node].change(placement, -1)

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return for each resource (in use, total) over all nodes."""
        table: dict[str, tuple[float, float]] = {}
        for free in self._nodes.values():
            for name, total in free.node.resources.items():
                used, known = table.get(name, (0.0, 0.0))
                table[name] = (used + total - free.amounts[name] / _UNIT, known + total)
        return table

    def check(self, request: Mapping[str, float]) -> None:
        """Do nothing if the request fits on some empty node, of those that are there or expected.

        Raises:
            ResourceError: No node could ever run it; the message names what each one lacks.
        """
        lacks = []
        for node in (*self.nodes, *self._expected):
            missing = _lacks(node, request)
            if not missing:
                return
            lacks.append(f"{node.name} lacks {', '.join(missing)}")
        asked = ", ".join(f"{name}={amount:g}" for name, amount in request.items())
        advice = "Ask for less"
        if "cpu" in request:
            advice += (
                ", or oversubscribe on purpose with cpus=N (how many CPUs Tunesmith is to count on); "
                "max_concurrent_trials limits how many trials run at once"
            )
        raise ResourceError(
            f"a trial asks for {asked}, which no node can ever give: {'; '.join(lacks) or 'no node at all'}. {advice}."
        )

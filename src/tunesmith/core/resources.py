"""What the nodes have, what attempts hold, and whether a request fits. Amounts are compared in ten-thousandths.

What a request is, `bundles` says. A fraction of a GPU lies on one GPU; more than one GPU means whole GPUs of one node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack

from ..errors import ResourceError
from .bundles import SEVERAL, UNIT, checked_request, request_text, units
from .events import Node, Placement
from .packing import Free, find_all, taken, told_once, what_lacks, why_never

__all__ = ["Pool", "checked_request"]


class Pool:
    """The nodes' resources and who holds what."""

    _remembered = ("_full",)
    """Attributes that only remember answers, and are no state: who compares states leaves them out."""

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self._nodes: dict[str, Free] = {}
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
        """Whether the nodes that are there could never run it, and with those that are expected they could."""
        if SEVERAL in request:
            return bool(
                self._expected
                and why_never(request, self.nodes)
                and not why_never(request, (*self.nodes, *self._expected))
            )
        return any(not what_lacks(node, request) for node in self._expected) and all(
            what_lacks(node, request) for node in self.nodes
        )

    def find(self, request: Mapping[str, float]) -> Placement | None:
        """Return where a request fits now, or None. Takes nothing yet."""
        key = tuple(request.items())
        if key in self._full:
            return None
        if SEVERAL in request:
            placement = find_all(request, list(self._nodes.values()))
            if placement is not None:
                return placement
        else:
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
        if SEVERAL in request:
            return self._room_for_several(request, at_most)
        total = 0
        for free in self._nodes.values():
            fits = [free.amounts.get(name, 0) // units(amount) for name, amount in request.items()]
            # A node that shrank under what it holds has less than nothing, which the others need not make up for.
            total += max(0, min(fits, default=at_most))
            if total >= at_most:
                return at_most
        if not total:
            self._full.add(key)
        return total

    def _room_for_several(self, request: Mapping[str, float], at_most: int) -> int:
        total = 0
        with ExitStack() as held:
            while total < at_most and (placement := self.find(request)) is not None:
                held.enter_context(taken(placement, self._nodes))
                total += 1
        if total:
            self._full.discard(tuple(request.items()))
        return total

    def has(self, placement: Placement) -> bool:
        """Whether all of a placement is free, on its very nodes and GPUs."""
        with ExitStack() as held:
            for bundle in placement.bundles:
                free = self._nodes.get(bundle.node)
                if free is None or not free.has(bundle):
                    return False
                if placement.more:
                    alone = Placement(node=bundle.node, resources=bundle.resources, gpus=bundle.gpus)
                    held.enter_context(taken(alone, self._nodes))
        return True

    def free_on(self, node: str) -> dict[str, float]:
        """Return what one node has left."""
        free = self._nodes.get(node)
        return {} if free is None else {name: max(0, amount) / UNIT for name, amount in free.amounts.items()}

    def take(self, trial: int, placement: Placement) -> None:
        """Give `placement` to a trial's attempt."""
        self._held[trial] = placement
        self._change(placement, -1)

    def release(self, trial: int) -> None:
        """Take back what a trial's attempt holds; nothing when it holds nothing."""
        placement = self._held.pop(trial, None)
        self._full.clear()
        if placement is not None:
            self._change(placement, +1)

    def replace_nodes(self, nodes: Iterable[Node]) -> None:
        """Go on with these nodes; what is held stays held."""
        self._full.clear()
        nodes = tuple(nodes)
        self._nodes = {node.name: Free(node) for node in nodes if not node.expected}
        self._expected = tuple(node for node in nodes if node.expected)
        for placement in self._held.values():
            self._change(placement, -1)

    def _change(self, placement: Placement, sign: int) -> None:
        for bundle in placement.bundles:
            if bundle.node in self._nodes:
                self._nodes[bundle.node].change(bundle, sign)

    def usage(self) -> dict[str, tuple[float, float]]:
        """Return for each resource (in use, total) over all nodes."""
        table: dict[str, tuple[float, float]] = {}
        for free in self._nodes.values():
            for name, total in free.node.resources.items():
                used, known = table.get(name, (0.0, 0.0))
                table[name] = (used + total - free.amounts[name] / UNIT, known + total)
        return table

    def check(self, request: Mapping[str, float]) -> None:
        """Do nothing if the request fits on empty nodes, of those that are there or expected.

        Raises:
            ResourceError: No node, and no set of nodes, could ever run it; the message names what is missing.
        """
        nodes = (*self.nodes, *self._expected)
        if SEVERAL in request:
            who, why = "no set of nodes", why_never(request, nodes)
            if not why:
                return
        else:
            lacks = []
            for node in told_once(nodes):
                missing = what_lacks(node, request)
                if not missing:
                    return
                lacks.append(f"{node.name} lacks {', '.join(missing)}")
            who, why = "no node", "; ".join(lacks) or "no node at all"
        advice = "Ask for less"
        if any(name.rpartition(":")[2] == "cpu" for name in request):
            advice += (
                ", or oversubscribe on purpose with cpus=N (how many CPUs Tunesmith is to count on); "
                "max_concurrent_trials limits how many trials run at once"
            )
        raise ResourceError(f"a trial asks for {request_text(request)}, which {who} can ever give: {why}. {advice}.")

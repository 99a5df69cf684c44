"""The nodes of a Ray cluster: which there are, by our names and Ray's, and which are not to be trusted for now."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from ..core.events import Node
from .ray_agents import is_there

OUR_NAMES = {"CPU": "cpu", "GPU": "gpu"}
"""What Ray calls the resources that have names of ours; all others are called the same."""
RAYS_NAMES = {ours: theirs for theirs, ours in OUR_NAMES.items()}
NOT_FOR_TRIALS = ("node:", "object_store_memory", "accelerator_type:", "bundle_group")
"""What the names of Ray's own resources begin with."""
LOOK_EVERY = 1.0
"""Seconds between two looks at which nodes there are."""
NODE_LABEL = "ray.io/node-id"


class RayNodes:
    """The nodes that are there.

    Args:
        ray: The module, connected.
        changed: Called in another thread when there is something else to be `taken`.
        each_time: Called in that thread with every look, after it.
    """

    def __init__(self, ray: Any, changed: Callable[[], None], each_time: Callable[[], None]) -> None:
        self._ray = ray
        self._changed = changed
        self._each_time = each_time
        self._ids: dict[str, str] = {}
        """Our name of a node -> Ray's identifier."""
        self.known = self._alive()
        self._names = {node.name for node in self.known}
        self._has_news = False
        self._suspects: dict[str, Any] = {}
        """Nodes that have lost an agent -> a task there. Until it has run nothing is started there: it takes Ray many
        seconds to find a node dead."""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tunesmith-nodes", daemon=True)

    def watch(self) -> None:
        """Look from now on, about once a second."""
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(5 * LOOK_EVERY)

    @property
    def all(self) -> tuple[Node, ...]:
        """The nodes; those under suspicion are expected."""
        return tuple(replace(node, expected=node.name in self._suspects) for node in self.known)

    @property
    def identifiers(self) -> tuple[str, ...]:
        """What Ray calls those that are there."""
        return tuple(self._ids[node.name] for node in self.known)

    def has(self, name: str) -> bool:
        """Whether Ray takes a node to be there."""
        return name in self._names

    def offers(self, name: str, resource: str) -> float:
        """Return how much of a resource a node has in all."""
        return next((node.resources.get(resource, 0) for node in self.known if node.name == name), 0)

    def identifier(self, name: str) -> str:
        """Return what Ray calls a node that is there, or was."""
        return self._ids[name]

    def taken(self) -> bool:
        """Whether other nodes are there than when this was last asked."""
        had, self._has_news = self._has_news, False
        return had

    def only_on(self, name: str) -> Any:
        """Return Ray's scheduling strategy for what must run on one node."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(self._ids[name], soft=False)

    # Suspects.

    def suspect(self, name: str) -> bool:
        """Take a node for dead until it has shown that it lives; return whether that is new."""
        if name in self._suspects:
            return False
        self._suspects[name] = self._probe(name)
        return True

    def is_suspect(self, name: str) -> bool:
        """Whether a node that has lost an agent has not shown since that it lives."""
        return name in self._suspects

    def look_after_suspects(self) -> bool:
        """Return whether a node has shown that it lives."""
        has_news = False
        for name, probe in list(self._suspects.items()):
            if not self.has(name):
                del self._suspects[name]
            elif self._ray.wait([probe], timeout=0)[0]:
                try:
                    self._ray.get(probe)
                except Exception:  # noqa: BLE001  Ray has many, and all mean that it is not known to live
                    self._suspects[name] = self._probe(name)
                else:
                    del self._suspects[name]
                    has_news = True
        return has_news

    def _probe(self, name: str) -> Any:
        probe = self._ray.remote(num_cpus=0, max_retries=0)(is_there)
        return probe.options(scheduling_strategy=self.only_on(name)).remote()

    # Looking.

    def _watch(self) -> None:
        while not self._closing.wait(LOOK_EVERY):
            with contextlib.suppress(Exception):  # Ray's head may be away for a moment; it is asked again.
                nodes = self._alive()
                if nodes != self.known:
                    self.known, self._names, self._has_news = nodes, {node.name for node in nodes}, True
                self._each_time()
                if self._has_news:
                    self._changed()

    def _alive(self) -> tuple[Node, ...]:
        found = [
            Node(self._name(node["NodeManagerHostname"], node["NodeID"]), ours(node["Resources"]))
            for node in self._ray.nodes()
            if node["Alive"]
        ]
        return tuple(sorted(found, key=lambda each: each.name))

    def _name(self, host: str, identifier: str) -> str:
        name = f"{host}:{identifier[:8]}"
        if self._ids.setdefault(name, identifier) != identifier:
            name = f"{host}:{identifier}"
            self._ids[name] = identifier
        return name


def ours(offered: dict[str, float]) -> dict[str, float]:
    """Return what Ray says of a node's resources, in our names."""
    return {
        OUR_NAMES.get(name, name): float(amount)
        for name, amount in sorted(offered.items())
        if not name.startswith(NOT_FOR_TRIALS)
    }

"""Which nodes Ray's autoscaler could start, and how it is told that trials wait for some.

It is told by placement groups, which are demand for as long as they are pending, and go away with the driver. One that
has come about is removed, and so are all when there are other nodes: the trials that still wait get others. The group
of a trial of one bundle may lie only on nodes that are not there yet, and takes nothing from anybody.
`request_resources` would be one order for all who use the cluster, each overriding the one before, and would outlive a
driver that is killed.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.bundles import SEVERAL, split
from ..core.events import Node
from ..core.packing import ANYTHING
from .ray_nodes import NODE_LABEL, RayNodes, ours
from .ray_slots import can_place_groups, rays

MOST_ALIKE = 64
"""Of each type, so many nodes that may come are considered."""
ENDLESS = 1e9

Wanted = tuple[tuple[tuple[str, float], ...], tuple[str, ...]]
"""A request, and the nodes that are there."""


@dataclass(frozen=True, kw_only=True)
class NodeType:
    """What the autoscaler can start."""

    name: str
    resources: dict[str, float]
    most: float
    """How many nodes of it there may be."""

    def is_of(self, node: Node) -> bool:
        """Whether a node looks like one of these."""
        return all(node.resources.get(name, 0) == amount for name, amount in self.resources.items() if name != "memory")


class Demand:
    """What trials wait for that no node gives them.

    Args:
        ray: The module, connected.
        queue_trials: As of `RayExecutor`.
    """

    def __init__(self, ray: Any, queue_trials: bool | None) -> None:
        self._ray = ray
        self._types = [] if queue_trials is False else _node_types(ray)
        self._takes_anything = bool(queue_trials)
        self._can_be_shown = can_place_groups()
        """Older versions of Ray learn of what waits from nobody; it waits for nodes that others start."""
        self.wanted: Sequence[Mapping[str, float]] = ()
        """The requests of trials that wait."""
        self._groups: list[tuple[Wanted, Any]] = []

    @property
    def is_of_use(self) -> bool:
        """Whether nodes may come."""
        return bool(self._types) or self._takes_anything

    def may_come(self, there: Sequence[Node]) -> tuple[Node, ...]:
        """Return the nodes that could be started beside those that are there."""
        found = []
        for kind in self._types:
            left = int(min(kind.most - sum(map(kind.is_of, there)), MOST_ALIKE))
            found += [Node(f"{kind.name} (to come, {n})", kind.resources, expected=True) for n in range(1, left + 1)]
        if self._takes_anything and not self._types:
            anything = {ANYTHING: ENDLESS}
            found += [Node(f"a node to come, {n}", anything, expected=True) for n in range(1, MOST_ALIKE + 1)]
        return tuple(found)

    def meet(self, nodes: RayNodes) -> None:
        """Have Ray know what is wanted now beside the nodes that are there."""
        if self._can_be_shown:
            self._show(nodes.identifiers, self.wanted if self.may_come(nodes.known) else ())

    def close(self) -> None:
        """Want nothing any more."""
        self.wanted = ()
        self._show((), ())

    def _show(self, there: tuple[str, ...], requests: Sequence[Mapping[str, float]]) -> None:
        wanted = Counter((tuple(request.items()), there) for request in requests)
        kept = []
        for key, group in self._groups:
            is_wanted = wanted[key] > 0
            wanted[key] -= is_wanted
            if is_wanted and not (SEVERAL in dict(key[0]) and group.wait(0)):
                kept.append((key, group))
            else:
                # What it has taken is a trial's to have: another group comes only at the next look.
                self._remove(group)
        self._groups = kept
        for key in wanted.elements():
            self._groups.append((key, self._shown(dict(key[0]), there)))

    def _shown(self, request: dict[str, float], there: tuple[str, ...]) -> Any:
        from ray.util.placement_group import placement_group

        bundles, strategy = split(request)
        # Of several bundles some may lie where there is room; how many, only all together say.
        elsewhere = None if len(bundles) > 1 else [{NODE_LABEL: f"!in({','.join(there)})"}]
        return placement_group([rays(bundle) for bundle in bundles], strategy, bundle_label_selector=elsewhere)

    def _remove(self, group: Any) -> None:
        from ray.util.placement_group import remove_placement_group

        with contextlib.suppress(Exception):  # The cluster may be gone.
            remove_placement_group(group)


def _node_types(ray: Any) -> list[NodeType]:
    """Return what the autoscaler says that it can start; nothing where there is none, or where that cannot be known."""
    try:
        config = ray._private.state.state.get_cluster_config()
        if config is not None:
            return [
                NodeType(
                    name=group.name,
                    resources=ours(dict(group.resources)),
                    most=group.max_count if group.max_count >= 0 else ENDLESS,
                )
                for group in config.node_group_configs
            ]
        return _types_in_file(ray.get_runtime_context().gcs_address)
    except Exception:  # noqa: BLE001  not an interface that Ray promises: without it one says queue_trials=True
        return []


def _types_in_file(gcs_address: str) -> list[NodeType]:
    """Return the node types in the file that the cluster's autoscaler reads, if it runs on this machine."""
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = command.read_bytes().decode(errors="replace").split("\0")
            options = dict(word.partition("=")[::2] for word in words if word.startswith("--"))
            if options.get("--gcs-address") == gcs_address and "--autoscaling-config" in options:
                import yaml  # Ray brings it.

                config = yaml.safe_load(Path(options["--autoscaling-config"]).expanduser().read_text())
                most = config.get("max_workers", 0)
                return [
                    NodeType(
                        name=name, resources=ours(kind["resources"]), most=min(most, kind.get("max_workers", most))
                    )
                    for name, kind in config["available_node_types"].items()
                    if kind.get("resources") and name != config.get("head_node_type")
                ]
    return []

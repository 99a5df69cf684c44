"""What an attempt holds of a Ray cluster, and who runs it there: an agent's host, or an actor in a placement group."""

from __future__ import annotations

import contextlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from ..core.events import Placement
from ..errors import ConfigError
from .connection import AgentLine
from .listener import Call
from .ray_agents import TrialHost, host_agent
from .ray_nodes import NODE_LABEL, RAYS_NAMES, RayNodes

Bundle = tuple[str, frozenset[tuple[str, float]]]
"""A node, and what is held there."""
Held = tuple[Bundle, ...]
NOTHING = {"memory": 1}
"""A bundle must hold something; so much every node has."""


@dataclass(eq=False)
class Slot:
    """Resources that are held together, and the agent that has them."""

    held: Held
    line: AgentLine
    run: Any
    """Ray's reference to the agent's end."""
    actor: Any = None
    """The process that the attempt runs in, where that is an actor's."""
    group: Any = None
    """The placement group, where there is one."""
    since: float = field(default_factory=monotonic)
    idle_since: float | None = None

    @property
    def node(self) -> str:
        """Where the agent is."""
        return self.held[0][0]


class AgentSlots:
    """Each node's share of an attempt is a slot of its own: a task that holds it, with an agent beside it."""

    def __init__(self, ray: Any, nodes: RayNodes, call: Callable[[bytes], Call]) -> None:
        self._nodes = nodes
        self._call = call
        self._host = ray.remote(max_retries=0)(host_agent)

    def held_for(self, placement: Placement) -> list[Held]:
        """Return what each slot for an attempt is to hold, the one first that runs it."""
        return [((node, _amounts(placement.on(node))),) for node in placement.nodes]

    def start(self, held: Held, name: bytes) -> Slot:
        """Order a slot whose agent will connect as `name`."""
        ((node, amounts),) = held
        rest = dict(amounts)
        host = self._host.options(
            num_cpus=rest.pop("cpu", 0),
            num_gpus=rest.pop("gpu", 0),
            memory=rest.pop("memory", None),
            resources=rest or None,
            scheduling_strategy=self._nodes.only_on(node),
        )
        return Slot(held, AgentLine(), host.remote(*self._call(name)))


class GroupSlots:
    """All that an attempt holds is one slot: a placement group, and in it the actor that is the trial's process.

    The actor takes the GPUs of the first bundle, and no CPUs from the tasks that the trial starts in its group: it
    mostly waits for them, and a group whose only CPU it held would wait for ever.
    """

    def __init__(self, ray: Any, nodes: RayNodes, call: Callable[[bytes], Call], captures_child_tasks: bool) -> None:
        if not can_place_groups():
            raise ConfigError(
                f"trial_in_actor=True: Ray {ray.__version__} places the bundles of a group on nodes of its own choice "
                "only. Install a newer one, on all nodes: pip install -U ray."
            )
        self._nodes = nodes
        self._call = call
        self._captures_child_tasks = captures_child_tasks
        self._host = ray.remote(max_restarts=0, max_task_retries=0)(TrialHost)

    def held_for(self, placement: Placement) -> list[Held]:
        """Return what the slot for an attempt is to hold."""
        return [tuple((bundle.node, _amounts(bundle.resources)) for bundle in placement.bundles)]

    def start(self, held: Held, name: bytes) -> Slot:
        """Order a slot whose agent will connect as `name`."""
        from ray.util.placement_group import placement_group
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        group = placement_group(
            [rays(dict(amounts)) for _, amounts in held],
            bundle_label_selector=[{NODE_LABEL: self._nodes.identifier(node)} for node, _ in held],
        )
        actor = self._host.options(
            num_cpus=0,
            num_gpus=dict(held[0][1]).get("gpu", 0),
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                group,
                placement_group_bundle_index=0,
                placement_group_capture_child_tasks=self._captures_child_tasks,
            ),
        ).remote()
        return Slot(held, AgentLine(), actor.run.remote(*self._call(name)), actor, group)


def can_place_groups() -> bool:
    """Whether this version of Ray lets the bundles of a placement group choose their nodes by label."""
    from ray.util.placement_group import placement_group

    return "bundle_label_selector" in inspect.signature(placement_group).parameters


def give_back(ray: Any, slot: Slot) -> None:
    """Let Ray have what a slot holds, whose line is closed; what runs there ends, or is killed."""
    with contextlib.suppress(Exception):  # It may be gone, with its node.
        if slot.actor is not None:
            ray.kill(slot.actor)
        elif slot.line.socket is None:
            ray.cancel(slot.run)  # An agent that has come ends with its line, and with its lease if it hangs.
    if slot.group is not None:
        from ray.util.placement_group import remove_placement_group

        with contextlib.suppress(Exception):
            remove_placement_group(slot.group)


def held_on(node: str, held: Held) -> dict[str, float]:
    """Return what is held on one node."""
    amounts: dict[str, float] = {}
    for where, bundle in held:
        for name, amount in bundle if where == node else ():
            amounts[name] = amounts.get(name, 0) + amount
    return amounts


def rays(bundle: Mapping[str, float]) -> dict[str, float]:
    """Return a bundle in Ray's names."""
    return {RAYS_NAMES.get(name, name): amount for name, amount in bundle.items()} or dict(NOTHING)


def _amounts(held: Mapping[str, float]) -> frozenset[tuple[str, float]]:
    """Return what is to be held for an attempt; Ray gives whole GPUs above one."""
    gpus = held.get("gpu", 0)
    return frozenset({**held, "gpu": math.ceil(gpus) if gpus > 1 else gpus}.items() if gpus else held.items())

"""Runs attempts on a Ray cluster: an actor per bundle of resources holds them, and has an agent as on one machine.

Ray says which nodes there are, gives the bundles and tells of deaths; all else goes over a socket to each agent.
Only Ray's core is used.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from msgspec.structs import replace

from ..core.commands import Start
from ..core.events import Event, Node, NodesChanged
from ..errors import ConfigError, require
from ..worker.handshake import new_name
from .agents import AgentExecutor
from .base import Job
from .connection import AgentLine
from .listener import Listener
from .ray_agents import AgentHost, is_there

OUR_NAMES = {"CPU": "cpu", "GPU": "gpu"}
"""What Ray calls the resources that have names of ours; all others are called the same."""
NOT_FOR_TRIALS = ("node:", "object_store_memory", "accelerator_type:", "bundle_group")
"""What the names of Ray's own resources begin with."""
LOOK_EVERY = 1.0
"""Seconds between two looks at which nodes there are."""

Bundle = tuple[str, frozenset[tuple[str, float]]]
"""A node, and what is held there: of an attempt with several bundles on it, all together."""


@dataclass(eq=False)
class Slot:
    """One bundle of resources, and the agent that has it."""

    bundle: Bundle
    line: AgentLine
    actor: Any
    run: Any
    """Ray's reference to the agent's end."""
    idle_since: float | None = None


class RayExecutor(AgentExecutor):
    """Runs attempts on a Ray cluster: `executor="ray"`, or an object of this class.

    The driver must run on a machine of the cluster, in any Python of the same minor version as the workers' with
    `tunesmith[ray]` there and here. Checkpoints go to `storage_path`, which all machines must see: a shared folder, or
    a URL.

    Args:
        address: Of the cluster: "auto" for the one that this machine belongs to, or "host:port". None: what Ray has
            been initialised with, or the environment variable RAY_ADDRESS; without either a new Ray on this machine.
        idle_s: Seconds after which resources that no trial uses are given back to the cluster.
        start_method: As of `LocalExecutor`.
    """

    def __init__(self, address: str | None = None, *, idle_s: float = 10.0, start_method: str = "auto") -> None:
        if address is not None and address.startswith("ray://"):
            raise ConfigError(
                f"RayExecutor(address={address!r}): the driver must run on the cluster, for trials report to it. Start "
                "it there: ray job submit --address http://HEAD:8265 -- python your_script.py"
            )
        super().__init__(start_method=start_method)
        self._address = address
        self._idle_s = idle_s
        self._ray: Any = None
        self._owns_ray = False
        self._listener: Listener | None = None
        self._addresses: list[str] = []
        self._host: Any = None
        """The actor class."""
        self._nodes: dict[str, str] = {}
        """Our name of a node -> Ray's identifier."""
        self._known: tuple[Node, ...] = ()
        self._news: tuple[Node, ...] | None = None
        self._suspects: dict[str, Any] = {}
        """Nodes that have lost an agent -> a task there. Until it has run nothing is started there: it takes Ray many
        seconds to find a node dead."""
        self._closing = threading.Event()
        self._slots: dict[bytes, Slot] = {}
        """By the name of the agent."""
        self._slot_of: dict[AgentLine, tuple[bytes, Slot]] = {}
        self._idle: dict[Bundle, list[Slot]] = {}

    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        """Connect to the cluster; return its nodes.

        Raises:
            ConfigError: The trainable, or what goes with it, cannot be sent to another process.
            MissingExtra: Ray is not installed.
        """
        self._ray = require("ray", feature="executor='ray'", extra="ray")
        self._prepare(job, at, by_main_thread=True)
        self._connect()
        self._listener = Listener(self.wake)
        self._addresses = [self._ray.util.get_node_ip_address()]
        self._host = self._ray.remote(max_restarts=0, max_task_retries=0)(AgentHost)
        self._known = self._alive_nodes()
        threading.Thread(target=self._watch_nodes, name="tunesmith-nodes", daemon=True).start()
        return self._known

    def close(self) -> None:
        """End whatever still runs and give all resources back."""
        self._closing.set()
        for name in list(self._slots):
            self._release(name)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        super().close()
        if self._owns_ray:
            self._owns_ray = False
            self._ray.shutdown()

    def _connect(self) -> None:
        ray = self._ray
        if ray.is_initialized():
            return
        address = self._address or os.environ.get("RAY_ADDRESS")
        self._owns_ray = True
        if address is None:
            ray.init(address="local", include_dashboard=False, log_to_driver=False, configure_logging=False)
        else:
            ray.init(address=address, log_to_driver=False, configure_logging=False)

    # Nodes.

    def _watch_nodes(self) -> None:
        while not self._closing.wait(LOOK_EVERY):
            with contextlib.suppress(Exception):  # Ray's head may be away for a moment; it is asked again.
                nodes = self._alive_nodes()
                if nodes != self._known:
                    self._known = self._news = nodes
                    self.wake()

    def _tell_nodes(self) -> None:
        nodes = tuple(replace(node, expected=node.name in self._suspects) for node in self._known)
        self._events.append(NodesChanged(at=self.now(), nodes=nodes))

    def _suspect(self, node: str) -> None:
        if node not in self._suspects:
            self._suspects[node] = self._probe(node)
            self._tell_nodes()

    def _probe(self, node: str) -> Any:
        probe = self._ray.remote(num_cpus=0, max_retries=0)(is_there)
        return probe.options(scheduling_strategy=self._only_on(node)).remote()

    def _look_after_suspects(self) -> None:
        known = {node.name for node in self._known}
        for node, probe in list(self._suspects.items()):
            if node not in known:
                del self._suspects[node]
            elif self._ray.wait([probe], timeout=0)[0]:
                try:
                    self._ray.get(probe)
                except Exception:  # noqa: BLE001  Ray has many, and all mean that it is not known to live
                    self._suspects[node] = self._probe(node)
                else:
                    del self._suspects[node]
                    self._tell_nodes()

    def _only_on(self, node: str) -> Any:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        return NodeAffinitySchedulingStrategy(self._nodes[node], soft=False)

    def _alive_nodes(self) -> tuple[Node, ...]:
        found = []
        for node in self._ray.nodes():
            if node["Alive"]:
                name = f"{node['NodeManagerHostname']}:{node['NodeID'][:8]}"
                self._nodes[name] = node["NodeID"]
                found.append(Node(name, _resources(node["Resources"])))
        return tuple(sorted(found, key=lambda each: each.name))

    # Bundles.

    def _lines_for(self, command: Start) -> tuple[AgentLine, ...]:
        placement = command.placement
        return tuple(self._slot_for((node, _amounts(placement.on(node)))).line for node in placement.nodes)

    def _slot_for(self, bundle: Bundle) -> Slot:
        idle = self._idle.get(bundle)
        slot = idle.pop() if idle else self._new_slot(bundle)
        slot.idle_since = None
        return slot

    def _new_slot(self, bundle: Bundle) -> Slot:
        assert self._listener is not None
        node, held = bundle
        amounts = dict(held)
        actor = self._host.options(
            num_cpus=amounts.pop("cpu", 0),
            num_gpus=amounts.pop("gpu", 0),
            memory=amounts.pop("memory", None),
            resources=amounts or None,
            scheduling_strategy=self._only_on(node),
        ).remote()
        name, line = new_name(), AgentLine()
        run = actor.run.remote(self._addresses, self._listener.port, self._listener.key, name, sys.path)
        slot = Slot(bundle, line, actor, run)
        self._slots[name] = slot
        self._slot_of[line] = (name, slot)
        self._introduce(line)
        return slot

    def _on_woken(self) -> None:
        if self._news is not None:
            self._news = None
            self._tell_nodes()
        for name, sock in [] if self._listener is None else self._listener.taken():
            slot = self._slots.get(name)
            if slot is None or slot.line.socket is not None:
                sock.close()  # Its bundle was given back meanwhile.
            else:
                slot.line.connect(sock)
                self._listen_to(slot.line)

    def _on_end(self, line: AgentLine) -> None:
        known = self._slot_of.get(line)
        if known is not None and line.is_free and known[1].idle_since is None:
            slot = known[1]
            slot.idle_since = monotonic()
            self._idle.setdefault(slot.bundle, []).append(slot)

    def _on_beat(self) -> None:
        self._look_after_suspects()
        now = monotonic()
        for name, slot in list(self._slots.items()):
            if slot.idle_since is not None and now - slot.idle_since > self._idle_s:
                self._release(name)
        waiting = {slot.run: slot for slot in self._slots.values() if slot.line.socket is None}
        if waiting:
            ended, _ = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
            for run in ended:
                self._lose(waiting[run].line, self._why(run))

    def _on_lost(self, line: AgentLine, reason: str) -> str:
        known = self._slot_of.get(line)
        if known is not None:
            name, slot = known
            reason = reason or f"the agent on {slot.bundle[0]} went away"
            self._release(name)
            self._suspect(slot.bundle[0])
        return reason

    def _release(self, name: bytes) -> None:
        """Give a bundle back."""
        slot = self._slots.pop(name)
        del self._slot_of[slot.line]
        if slot.idle_since is not None:
            self._idle[slot.bundle].remove(slot)
        self._ignore(slot.line)
        slot.line.close(0.0)
        with contextlib.suppress(Exception):  # It may be gone, with its node.
            self._ray.kill(slot.actor)

    def _why(self, run: Any) -> str:
        try:
            return str(self._ray.get(run, timeout=1))
        except Exception as error:  # noqa: BLE001  Ray has many; what it says is what is known
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


def _amounts(held: dict[str, float]) -> frozenset[tuple[str, float]]:
    """Return what an actor is to hold for an attempt on one node; Ray gives whole GPUs above one."""
    gpus = held.get("gpu", 0)
    return frozenset({**held, "gpu": math.ceil(gpus) if gpus > 1 else gpus}.items() if gpus else held.items())


def _resources(offered: dict[str, float]) -> dict[str, float]:
    return {
        OUR_NAMES.get(name, name): float(amount)
        for name, amount in sorted(offered.items())
        if not name.startswith(NOT_FOR_TRIALS)
    }

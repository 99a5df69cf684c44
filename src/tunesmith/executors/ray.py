"""Runs attempts on a Ray cluster: Ray's tasks hold resources, and have agents beside them as on one machine.

Ray says which nodes there are, gives the bundles and tells of deaths; all else goes over a socket to each agent.
Only Ray's core is used.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from ..core.bundles import request_text, units
from ..core.commands import Halt, Kill, Start
from ..core.events import Event, Failure, Node, NodesChanged
from ..errors import ConfigError, require
from ..worker.handshake import new_name
from ..worker.protocol import Gather
from .agents import AgentExecutor
from .base import Job
from .connection import AgentLine
from .depot import Depot
from .listener import Listener
from .nodes import SAY_AFTER
from .ray_demand import Demand
from .ray_nodes import RayNodes
from .ray_slots import AgentSlots, GroupSlots, Held, Slot, give_back, held_on
from .ray_stalls import Stalls

JOBS_FOLDER = "working_dir_files"
"""In a folder of this name the working folders of Ray's jobs lie."""
MOST_DEATHS = 3
"""So often the process of one trial may die on nodes that live: then it is taken to be the trial's doing."""


class RayExecutor(AgentExecutor):
    """Runs attempts on a Ray cluster: `executor="ray"`, or an object of this class.

    The driver must run on a machine of the cluster, in any Python of the same minor version as the workers' with
    `tunesmith[ray]` there and here. Checkpoints go to `storage_path`, which all machines must see: a shared folder, or
    a URL.

    Args:
        address: Of the cluster: "auto" for the one that this machine belongs to, or "host:port". None: what Ray has
            been initialised with, or the environment variable RAY_ADDRESS; without either a new Ray on this machine.
        trial_in_actor: For trainables that call Ray themselves: each trial runs in a Ray actor of its own, in a
            placement group of its bundles, and so do the tasks and actors that it starts. Default: trials run in
            processes beside Ray, which start a hundred times faster, and in which Ray is not initialised.
        capture_child_tasks: With `trial_in_actor`: whether tasks and actors that a trial starts run in its placement
            group. Without it they run wherever the cluster has room, as Ray Data wants it; leave some for them.
        queue_trials: What to do with trials that fit on no node that is there. None: they wait if it is known that the
            cluster's autoscaler could start nodes that they fit on, and are announced to it. True: also where it
            cannot be known what may come. False: they are an error, and nothing is announced.
        idle_s: Seconds after which resources that no trial uses are given back to the cluster.
        start_method: As of `LocalExecutor`.
    """

    can_hold = False
    """Ray counts what is held, and would give nobody else the resources of a trial that stands still."""

    def __init__(
        self,
        address: str | None = None,
        *,
        trial_in_actor: bool = False,
        capture_child_tasks: bool = True,
        queue_trials: bool | None = None,
        idle_s: float = 10.0,
        start_method: str = "auto",
    ) -> None:
        if address is not None and address.startswith("ray://"):
            raise ConfigError(
                f"RayExecutor(address={address!r}): the driver must run on the cluster, for trials report to it. Start "
                "it there: ray job submit --address http://HEAD:8265 -- python your_script.py"
            )
        for name, value in (
            ("trial_in_actor", trial_in_actor),
            ("capture_child_tasks", capture_child_tasks),
            ("queue_trials", queue_trials),
        ):
            if not isinstance(value, bool) and (value is not None or name != "queue_trials"):
                raise ConfigError(f"RayExecutor({name}={value!r}): give True or False (in text: true or false).")
        if not capture_child_tasks and not trial_in_actor:
            raise ConfigError(
                "RayExecutor(capture_child_tasks=False): only trials in actors start any; see trial_in_actor."
            )
        super().__init__(start_method=start_method)
        self._address = address
        self._trial_in_actor = trial_in_actor
        self._capture_child_tasks = capture_child_tasks
        self._queue_trials = queue_trials
        self._idle_s = idle_s
        self._ray: Any = None
        self._owns_ray = False
        self._reuses = False
        self._listener: Listener | None = None
        self._nodes: RayNodes
        self._demand: Demand
        self._stalls: Stalls | None = None
        """Where trials call Ray themselves."""
        self._starter: AgentSlots | GroupSlots
        self._slots: dict[bytes, Slot] = {}
        """By the name of the agent."""
        self._slot_of: dict[AgentLine, tuple[bytes, Slot]] = {}
        self._idle: dict[Held, list[Slot]] = {}
        self._deaths: dict[int, int] = {}
        """Trial -> how often its process has died on a node that lives."""
        self._waits_since: float | None = None
        """Since when nothing runs for want of nodes."""
        self._told: set[str] = set()
        """What people have been told that is waited for."""

    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        """Connect to the cluster; return its nodes.

        Raises:
            ConfigError: The trainable, or what goes with it, cannot be sent to another process.
            MissingExtra: Ray is not installed.
        """
        self._ray = require("ray", feature="executor='ray'", extra="ray")
        self._prepare(job, at, by_main_thread=True)
        self._reuses = job.reuse_workers
        self._connect()
        self._demand = Demand(self._ray, self._queue_trials)
        self._stalls = Stalls(self._ray) if self._trial_in_actor else None
        self._nodes = RayNodes(self._ray, self.wake, self._look)
        listener = self._listener = Listener(self.wake, depot=Depot(job.folder.absolute()))
        call = functools.partial(listener.call, addresses=(self._ray.util.get_node_ip_address(),))
        if self._trial_in_actor:
            self._starter = GroupSlots(self._ray, self._nodes, call, self._capture_child_tasks)
        else:
            self._starter = AgentSlots(self._ray, self._nodes, call)
        self._warn_of_the_folder(job)
        self._nodes.watch()
        return self._all_nodes()

    def close(self) -> None:
        """End whatever still runs and give all resources back."""
        if self._listener is not None:
            self._nodes.close()
            self._demand.close()
            for name in list(self._slots):
                self._release(name)
            self._listener.close()
            self._listener = None
        super().close()
        if self._owns_ray:
            self._owns_ray = False
            self._ray.shutdown()

    def _look(self) -> None:
        """Learn what Ray knows, and tell it what it should; in another thread."""
        self._demand.meet(self._nodes)
        if self._stalls is not None:
            self._stalls.look()

    def _warn_of_the_folder(self, job: Job) -> None:
        if JOBS_FOLDER in job.folder.absolute().parts and not job.storage:
            self._tell_once(
                f"{job.folder.absolute()} is in the working folder of a job of Ray's, which Ray deletes later. Give a "
                "storage_path: an absolute path, or a URL such as s3://bucket/path"
            )

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

    # Nodes, those that are there and those that may come.

    @property
    def announces(self) -> bool:
        """Whether nodes may come for trials that wait."""
        return self._demand.is_of_use

    def announce(self, requests: Sequence[Mapping[str, float]]) -> None:
        """Ask the cluster for nodes on which trials fit that wait."""
        self._demand.wanted = requests
        if not requests or self._live:
            self._waits_since = None
        elif self._waits_since is None:
            self._waits_since = monotonic()
        elif monotonic() - self._waits_since > SAY_AFTER:
            self._tell_once(
                f"no node that is there could run a trial that asks for {request_text(requests[0])}; waiting for one "
                "that could to join the cluster, for as long as it takes (Ctrl-C ends the wait)"
            )

    def _all_nodes(self) -> tuple[Node, ...]:
        return (*self._nodes.all, *self._demand.may_come(self._nodes.known))

    def _tell_nodes(self) -> None:
        self._events.append(NodesChanged(at=self.now(), nodes=self._all_nodes()))

    def _tell_once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            print(f"tunesmith: {message}", file=sys.stderr, flush=True)

    # Attempts.

    def halt(self, command: Halt) -> None:
        """Ask an attempt to end at its next report."""
        if not self._is_withdrawn(command, "halted"):
            super().halt(command)

    def kill(self, command: Kill) -> None:
        """End an attempt by force."""
        if not self._is_withdrawn(command, "killed"):
            super().kill(command)

    def _is_withdrawn(self, command: Halt | Kill, outcome: str) -> bool:
        """Whether an attempt had no agent yet, and will not have one: it may be long until Ray has room for it."""
        key = (command.trial, command.attempt)
        line = self._live.get(key)
        if line is None or line.socket is not None or key in self._gangs:
            return False
        self._end(*key, outcome, None)
        return True

    def _lines_for(self, command: Start) -> tuple[AgentLine, ...]:
        return tuple(self._slot_for(held).line for held in self._starter.held_for(command.placement))

    def _gather(self, message: Gather) -> None:
        """Let the other nodes of an attempt run parts of it, if it has agents there."""
        if not self._trial_in_actor:
            super()._gather(message)
            return
        told = "ConfigError: parts of this trial run under agents on its other nodes: leave trial_in_actor=True out"
        self._end(message.trial, message.attempt, "failed", Failure("exception", told))

    # Slots.

    def _slot_for(self, held: Held) -> Slot:
        idle = self._idle.get(held)
        slot = idle.pop() if idle else self._new_slot(held)
        slot.idle_since = None
        return slot

    def _new_slot(self, held: Held) -> Slot:
        for node in {node for node, _ in held}:
            self._make_room(node, held)
        name = new_name()
        slot = self._starter.start(held, name)
        self._slots[name] = slot
        self._slot_of[slot.line] = (name, slot)
        self._introduce(slot.line)
        return slot

    def _make_room(self, node: str, held: Held) -> None:
        """Give back what idles on a node as far as it is in the way of what is to be held there."""
        idle = sorted(
            ((slot.idle_since, name) for name, slot in self._slots.items() if slot.idle_since is not None), reverse=True
        )
        while idle:
            wanted = held_on(node, (*held, *(bundle for slot in self._slots.values() for bundle in slot.held)))
            if all(units(amount) <= units(self._nodes.offers(node, name)) for name, amount in wanted.items()):
                return
            _, name = idle.pop()
            if held_on(node, self._slots[name].held):
                self._release(name)

    def _on_woken(self) -> None:
        if self._nodes.taken():
            self._tell_nodes()
        for name, sock in [] if self._listener is None else self._listener.taken():
            slot = self._slots.get(name)
            if slot is None or slot.line.socket is not None:
                sock.close()  # What it holds was given back meanwhile.
            else:
                slot.line.connect(sock)
                self._listen_to(slot.line)

    def _on_end(self, line: AgentLine) -> None:
        known = self._slot_of.get(line)
        if known is None or not line.is_free or known[1].idle_since is not None:
            return
        name, slot = known
        if slot.line.socket is None or (slot.group is not None and not self._reuses):
            # What it would begin when it came has been withdrawn; or its process is not for another trial.
            self._release(name)
        else:
            slot.idle_since = monotonic()
            self._idle.setdefault(slot.held, []).append(slot)

    def _on_beat(self) -> None:
        if self._nodes.look_after_suspects():
            self._tell_nodes()
        now = monotonic()
        waiting: dict[Any, Slot] = {}
        for name, slot in list(self._slots.items()):
            if slot.idle_since is not None and now - slot.idle_since > self._idle_s:
                self._release(name)
            elif slot.group is not None and (gone := self._lost_node(slot)):
                self._doubt(slot.line, f"node {gone} went away")
            elif slot.line.socket is None:
                waiting[slot.run] = slot
        if waiting:
            ended, _ = self._ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
            for run in ended:
                self._lose(waiting.pop(run).line, self._why(run))
        if self._stalls is not None and (told := self._stalls.told(SAY_AFTER)):
            self._tell_once(told)
        for slot in waiting.values():
            if self._nodes.is_suspect(slot.node) and now - slot.since > self.agent_timeout:
                # It takes Ray a minute more to find that out. Nothing can have begun there: no agent has come.
                self._lose(slot.line, f"{slot.node} does not answer")
            elif now - slot.since > SAY_AFTER and not slot.line.is_free:
                self._tell_once(f"waiting for Ray to start what a trial needs on {slot.node}: others may use it")

    def _lost_node(self, slot: Slot) -> str:
        """Return a node that is gone, of those on which a slot holds something; Ray lets the rest of it go on."""
        return next((node for node, _ in slot.held if not self._nodes.has(node)), "")

    def _on_lost(self, line: AgentLine, reason: str) -> str:
        known = self._slot_of.get(line)
        if known is None:
            return reason
        name, slot = known
        has_died = slot.group is not None and not self._lost_node(slot) and (not reason or self._has_ended(slot.run))
        reason = reason or (self._why(slot.run) if has_died else f"the agent on {slot.node} went away")
        self._release(name)
        if has_died:
            self._count_death(line, reason)
        if self._nodes.suspect(slot.node):
            self._tell_nodes()
        return reason

    def _count_death(self, line: AgentLine, reason: str) -> None:
        """End what ran in a process that has died, if that has happened too often."""
        for trial, attempt in sorted(line.live):
            self._deaths[trial] = self._deaths.get(trial, 0) + 1
            if self._deaths[trial] > MOST_DEATHS:
                message = f"its process died for the {self._deaths[trial]}th time: {reason}"
                self._end(trial, attempt, "failed", Failure("exit", message))

    def _release(self, name: bytes) -> None:
        """Give back what a slot holds."""
        slot = self._slots.pop(name)
        del self._slot_of[slot.line]
        if slot.idle_since is not None:
            self._idle[slot.held].remove(slot)
        self._ignore(slot.line)
        slot.line.close(0.0)
        give_back(self._ray, slot)

    def _has_ended(self, run: Any) -> bool:
        return bool(self._ray.wait([run], timeout=0)[0])

    def _why(self, run: Any) -> str:
        """Return in words how an agent ended, by what Ray knows."""
        try:
            return str(self._ray.get(run, timeout=1))
        except Exception as error:  # noqa: BLE001  Ray has many; what it says is what is known
            told = [line.strip() for line in str(error).strip().splitlines()]
            # After a first line that says nothing come the actor's particulars, and then why.
            telling = [line for line in told if line.startswith(("The actor is dead because", "Worker exit"))]
            return f"{type(error).__name__}: {' '.join(telling) or told[0]}"

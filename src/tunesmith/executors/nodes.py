"""Executors with one agent on each node, which runs all trials there: nodes come and go with their agents.

Where an engine has a queue, its nodes are expected until they come.
"""

from __future__ import annotations

import contextlib
import sys
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from msgspec.structs import replace

from ..core.commands import Start
from ..core.events import Event, Node, NodesChanged
from ..worker.addresses import own_addresses
from ..worker.handshake import new_name
from .agents import AgentExecutor
from .base import Job
from .connection import AgentLine
from .depot import Depot
from .listener import Call, Listener

SAY_AFTER = 10.0
"""Seconds after which people are told what is waited for."""


@dataclass(eq=False)
class Member:
    """A node, its agent, and what the engine knows them by."""

    node: Node
    line: AgentLine
    handle: Any
    since: float


class NodeExecutor(AgentExecutor):
    """What executors have in common that have one agent per node.

    Args:
        start_method: As of `LocalExecutor`.
        driver_address: Where the nodes reach this machine: a name or an IP address. Default: what others call it.
    """

    def __init__(self, *, start_method: str = "auto", driver_address: str | None = None) -> None:
        super().__init__(start_method=start_method)
        self._driver_address = driver_address
        self._listener: Listener | None = None
        self._members: dict[bytes, Member] = {}
        """By the names of their agents."""
        self._is_waiting_told = False

    # What is left to a subclass.

    @abstractmethod
    def _connect(self, job: Job) -> None:
        """Reach the engine, and order the first nodes by `_order`."""

    @abstractmethod
    def _look(self) -> None:
        """Look after the engine about once a second: `_give_up` nodes that will not come, order what is new."""

    def _make_up(self) -> None:
        """Order other nodes in place of those that have gone."""

    @abstractmethod
    def _dismiss(self, handle: Any) -> None:
        """Let the engine have a node back whose agent has been told to end."""

    @abstractmethod
    def _waiting(self, handle: Any) -> str:
        """Return in words why a node is not there yet."""

    # The executor's contract.

    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        """Reach the engine; return the nodes that are to come.

        Raises:
            ConfigError: The trainable, or what goes with it, cannot be sent to another process.
            MissingExtra: The engine's package is not installed.
        """
        self._prepare(job, at, by_main_thread=False)
        self._listener = Listener(self.wake, depot=Depot(job.folder.absolute()))
        self._connect(job)
        return self._all_nodes()

    def close(self) -> None:
        """End whatever still runs and give all nodes back."""
        for name, member in list(self._members.items()):
            # An agent that is there ends by itself, and with it what the engine started it by.
            self._part_with(name, dismisses=member.node.expected)
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        super().close()

    # For subclasses.

    def _order(self, node: Node, begin: Callable[[Call], Any]) -> None:
        """Have an agent started; `begin` returns the engine's handle of it."""
        assert self._listener is not None
        name = new_name()
        addresses = (self._driver_address,) if self._driver_address else own_addresses()
        call = self._listener.call(name, addresses)
        line = AgentLine()
        self._members[name] = Member(replace(node, expected=True), line, begin(call), monotonic())
        self._introduce(line)

    def _give_up(self, handle: Any, reason: str) -> None:
        """Take it that the agent behind a handle is gone, or will not come, as soon as that is certain."""
        for member in list(self._members.values()):
            if member.handle is handle and not member.line.is_over:
                self._say(f"node {member.node.name} is gone: {reason}")
                member.line.leaves = member.line.leaves or reason
                if not self._doubt(member.line, reason):
                    self._make_up()
                    self._tell_nodes()

    @property
    def _handles(self) -> list[Any]:
        return [member.handle for member in self._members.values()]

    def _say(self, message: str) -> None:
        print(f"tunesmith: {message}", file=sys.stderr, flush=True)

    # The base's hooks.

    def _lines_for(self, command: Start) -> tuple[AgentLine, ...]:
        lines = {each.node.name: each.line for each in self._members.values() if not each.node.expected}
        return tuple(lines[node] for node in command.placement.nodes)

    def _on_woken(self) -> None:
        for name, sock in [] if self._listener is None else self._listener.taken():
            member = self._members.get(name)
            if member is None or member.line.socket is not None:
                sock.close()  # It was given up meanwhile.
                continue
            member.line.connect(sock)
            self._listen_to(member.line)
            member.node = replace(member.node, expected=False)
            self._tell_nodes()

    def _on_leaving(self, line: AgentLine) -> None:
        self._say(line.leaves)
        self._make_up()
        self._tell_nodes()
        self._on_end(line)

    def _on_end(self, line: AgentLine) -> None:
        if line.leaves and line.is_free:
            self._lose(line, line.leaves)

    def _on_beat(self) -> None:
        self._look()
        expected = [each for each in self._members.values() if each.node.expected]
        if not self._is_waiting_told and expected and len(expected) == len(self._members):
            first = min(expected, key=lambda each: each.since)
            if monotonic() - first.since > SAY_AFTER:
                self._is_waiting_told = True
                self._say(
                    f"waiting for {len(expected)} nodes; of {first.node.name} is known: {self._waiting(first.handle)}"
                )

    def _on_lost(self, line: AgentLine, reason: str) -> str:
        for name, member in list(self._members.items()):
            if member.line is line:
                self._part_with(name)
                self._make_up()
                self._tell_nodes()
                return reason or f"node {member.node.name} went away"
        return reason

    def _part_with(self, name: bytes, *, dismisses: bool = True) -> None:
        member = self._members.pop(name)
        self._ignore(member.line)
        member.line.close(0.0)
        if dismisses:
            with contextlib.suppress(Exception):  # The engine may be gone, or have dismissed it itself.
                self._dismiss(member.handle)

    def _tell_nodes(self) -> None:
        self._events.append(NodesChanged(at=self.now(), nodes=tuple(self._all_nodes())))

    def _all_nodes(self) -> list[Node]:
        return [member.node for member in self._members.values() if not member.line.leaves]

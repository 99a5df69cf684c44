"""The driver's ends of the lines to agents: writing, reading, and on this machine starting and ending the agent."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from time import monotonic

import msgspec

from ..worker import system
from ..worker.protocol import Ended, Gather, Message, Report
from ..worker.wire import Alive, Bytes, FrameReader, Leaving, Outbox, Ping, Printed, Ready, Started, frame, header

Incoming = Report | Gather | Ended | Started | Alive | Ready | Leaving | Printed


class AgentLine:
    """The line to one agent, which may not be connected yet: what is sent before waits."""

    def __init__(self, sock: socket.socket | None = None) -> None:
        self.socket: socket.socket | None = None
        self.outbox: Outbox | None = None
        self.is_ready = False
        """Whether the agent has said that it can make workers."""
        self.leaves = ""
        """Why it must go, once it has said so."""
        self.live: set[tuple[int, int]] = set()
        """Attempts that it has been given and whose end has not been told."""
        self.held: set[tuple[int, int]] = set()
        """Attempts that run under another agent, and for which this one holds resources."""
        self.heard_at = monotonic()
        self.heard = float("-inf")
        """What its clock showed when it sent the newest `Alive` that has come."""
        self.greeted_at = float("-inf")
        """When it was last told that it is not taken for lost."""
        self.is_over = False
        """Whether all that is expected of it is its end."""
        self.watched_for = 0
        """The events of its socket that a poller waits for."""
        self._waiting: list[Bytes] = []
        self._reader: FrameReader | None = None
        self._decode = msgspec.msgpack.Decoder(Incoming).decode
        if sock is not None:
            self.connect(sock)

    def connect(self, sock: socket.socket) -> None:
        """Write what has waited to the agent at the other end of a socket; read from it from now on."""
        sock.setblocking(False)
        self.socket, self.outbox, self._reader = sock, Outbox(sock), FrameReader(sock)
        self.heard_at = monotonic()
        for data in self._waiting:
            self.outbox.put(data)
        self._waiting.clear()

    @property
    def is_free(self) -> bool:
        """Whether no attempt has anything of it."""
        return not self.live and not self.held

    def send(self, message: Message) -> None:
        """Write a message, now or when the socket takes it.

        Raises:
            OverflowError: The message holds an integer of more than 64 bits.
        """
        self._put(frame(message))

    def send_raw(self, body: Bytes) -> None:
        """Write a large buffer; it must not change until it is written."""
        self._put(header(body))
        self._put(body)

    def _put(self, data: Bytes) -> None:
        if self.outbox is None:
            self._waiting.append(data)
        else:
            self.outbox.put(data)

    def greet(self, now: float) -> None:
        """Tell the agent that it is not taken for lost."""
        self.greeted_at = now
        self.send(Ping(now, self.heard))

    def dismiss(self) -> None:
        """Tell the agent to end everything, and say nothing more to it; its end is still to come."""
        self.is_over = True
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def receive(self) -> list[Incoming] | None:
        """Return the messages that one read brings; None when the agent has ended.

        Raises:
            OSError: The connection has broken. Nobody knows what has become of the agent.
        """
        assert self._reader is not None, "there is nothing to read before a line is connected"
        assert self.socket is not None, "as above"
        try:
            frames = self._reader.read()
        except BlockingIOError:
            return []
        except ConnectionResetError:
            if self.socket.family != socket.AF_UNIX:
                raise
            return None  # On one machine that is an end as well: with something of ours unread.
        if frames is None:
            return None
        data, bounds = frames
        decode = self._decode
        return [decode(data[start + 4 : end]) for start, end in pairwise(bounds)]

    def close(self, patience: float) -> str:
        """Let the agent end everything and go. Return what is known of its end, in words.

        Args:
            patience: How many seconds it may take, where this side can do something about it.
        """
        if self.socket is not None:
            with contextlib.suppress(OSError):
                # Closing alone would tell the agent nothing while a child of this process has the socket open as well.
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()
        return ""


class LocalAgent(AgentLine):
    """An agent on this machine, from its start to its end."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, its = socket.socketpair()
        # Its complaints are kept for the day it ends by itself; a pipe that nobody reads would block it.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115  closed in `close`
        with its:
            self._process = subprocess.Popen(
                system.interpreter("tunesmith.worker.agent", its.fileno(), os.getpid()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
                env=environment,
                pass_fds=[its.fileno()],
                start_new_session=True,  # What a terminal sends to its processes is for the driver to interpret.
            )
        super().__init__(ours)

    @property
    def pid(self) -> int:
        """The agent's process."""
        return self._process.pid

    def close(self, patience: float) -> str:
        """Let the agent end everything and go; after `patience` seconds kill it. Return its end, and why, in words."""
        super().close(patience)
        try:
            code = self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        if self._complaints.closed:
            return ""
        with self._complaints as complaints:
            size = complaints.seek(0, os.SEEK_END)
            complaints.seek(max(0, size - system.LAST_WORDS))
            return system.end_of_agent(code, complaints.read())

"""The ranks of a trial on one machine: the lines to them, their processes, their ends. What it means, others decide.

A launcher in another thread starts them, by multiprocessing; each has a line to us, and its end is the end of its line.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Collection, Mapping
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic

import msgspec

from . import system
from .protocol import Ended, Message, Report
from .wire import FrameReader

LAUNCHER_PATIENCE = 20.0
"""So many seconds after its last rank a launcher may take to end."""
HURRIED_PATIENCE = 5.0
"""The same where the ranks were made to end: it may wait for those of other machines, in vain."""


class Hello(Message, frozen=True):
    """Rank to relay, first: who I am."""

    rank: int
    pid: int


class Over(Message, frozen=True):
    """Rank to relay, last: how my part of the attempt ended, and when, by the machine's monotonic clock."""

    rank: int
    at: float
    ended: Ended


class Gone(Message, frozen=True):
    """A rank's process has ended."""

    rank: int


Exits = Mapping[int, int]
"""Rank -> exit code, below 0 for a signal, of ranks that ended badly."""
Launch = Callable[[], Exits]
"""Starts the ranks and returns when all of them have ended, with what it knows of that."""
News = Hello | Report | Over | Gone
_decode = msgspec.msgpack.Decoder(Hello | Report | Over).decode


class RankHost:
    """Launches the ranks of this machine and tells what becomes of them."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tunesmith-"))
        self.address = str(self._folder / "ranks")
        """Where ranks report."""
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.address)
        self._listener.listen(socket.SOMAXCONN)
        self._woken, self._waker = socket.socketpair()
        self.poller = select.poll()
        """Of all that is to be looked at; others may add to it."""
        self.poller.register(self._listener, select.POLLIN)
        self.poller.register(self._woken, select.POLLIN)
        self._lines: dict[int, RankLine] = {}
        """By the descriptors of their sockets."""
        self._processes: dict[int, BaseProcess] = {}
        """Rank -> its process, where it has been seen alive."""
        self.begun: set[int] = set()
        self.error: BaseException | None = None
        """What went wrong with the launch."""
        self.was_ended = False
        """Whether the ranks were made to end."""
        self._exits: Exits = {}
        self._is_launched = False
        self._give_up_at: float | None = None

    def start(self, launch: Launch) -> None:
        """Launch the ranks."""
        self._is_launched = True
        threading.Thread(target=self._launch, args=(launch,), name="tunesmith-ranks", daemon=True).start()

    def _launch(self, launch: Launch) -> None:
        try:
            self._exits = launch()
        except BaseException as error:  # noqa: BLE001  it is told in the other thread
            self.error = error
        self._is_launched = False
        with contextlib.suppress(OSError):  # nobody waits for it any more
            self._waker.send(b"!")

    @property
    def is_over(self) -> bool:
        """Whether nothing is left of what was launched; its launcher may have been given up."""
        if self._lines:
            return False
        return not self._is_launched or (self._give_up_at is not None and monotonic() > self._give_up_at)

    @property
    def count(self) -> int:
        """How many ranks live."""
        return len(self._lines)

    def exit_codes(self) -> dict[int, int]:
        """Return the exit codes that are known by now."""
        seen = {rank: process.exitcode for rank, process in self._processes.items()}
        return {**self._exits, **{rank: code for rank, code in seen.items() if code is not None}}

    def take(self, ready: Collection[int]) -> list[News]:
        """Return what the ranks whose descriptors are ready have to say."""
        if self._listener.fileno() in ready:
            sock, _ = self._listener.accept()
            self._lines[sock.fileno()] = RankLine(sock)
            self.poller.register(sock, select.POLLIN)
        if self._woken.fileno() in ready:
            self._woken.recv(64)
        news: list[News] = []
        for line in [line for descriptor, line in self._lines.items() if descriptor in ready]:
            messages, is_gone = line.receive()
            news += messages
            if is_gone:
                news.append(Gone(line.rank))
                self._bury(line)
        self.begun.update(line.rank for line in self._lines.values() if line.rank >= 0)
        self.begun.update(each.rank for each in news if isinstance(each, Hello))
        if len(self._processes) < len(self.begun):
            self._welcome()
        return news

    def _bury(self, line: RankLine) -> None:
        self.poller.unregister(line.socket)
        del self._lines[line.socket.fileno()]
        line.socket.close()
        if not self._lines:
            self._give_up_at = monotonic() + (HURRIED_PATIENCE if self.was_ended else LAUNCHER_PATIENCE)

    def _welcome(self) -> None:
        """Let ranks begin of which something here will know the exit code."""
        # One that was started a moment ago may not be listed yet.
        found = {process.pid: process for process in multiprocessing.active_children()}
        for line in self._lines.values():
            if line.pid in found and line.rank not in self._processes:
                self._processes[line.rank] = found[line.pid]
                with contextlib.suppress(OSError):  # it is gone, which its line will say
                    line.socket.sendall(b"!")

    def tell(self, rank: int, data: bytes) -> bool:
        """Write to a rank; False if it has not begun, or has said its last word."""
        line = next((line for line in self._lines.values() if line.rank == rank and not line.is_over), None)
        if line is not None:
            with contextlib.suppress(OSError):  # it is gone, which its line will say
                line.socket.sendall(data)
        return line is not None

    def dying(self) -> list[int]:
        """Return ranks that have said no last word and never will: their lines may tell of that a moment later."""
        return [
            line.rank for line in self._lines.values() if line.pid and not line.is_over and system.is_exiting(line.pid)
        ]

    def signal(self, number: int) -> None:
        """Send a signal to all ranks that have not said their last word; SIGKILL to all."""
        self.was_ended = True
        if not self._lines and self._give_up_at is None:
            self._give_up_at = monotonic() + HURRIED_PATIENCE  # ranks may never come
        for line in self._lines.values():
            if line.pid and (not line.is_over or number == signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(line.pid, number)

    def close(self) -> None:
        """Close all lines."""
        for sock in (self._listener, self._woken, self._waker, *(line.socket for line in self._lines.values())):
            sock.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class RankLine:
    """The line to one rank."""

    __slots__ = ("_reader", "is_over", "pid", "rank", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.rank = -1
        self.pid = 0
        self.is_over = False
        """Whether it has said how its part ended."""
        self._reader = FrameReader(sock)

    def receive(self) -> tuple[list[Hello | Report | Over], bool]:
        """Return what has come, and whether the process is gone."""
        messages: list[Hello | Report | Over] = []
        while True:
            try:
                frames = self._reader.read(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return messages, False
            except ConnectionError:
                frames = None
            if frames is None:
                return messages, True
            data, bounds = frames
            for start, end in pairwise(bounds):
                message = _decode(data[start + 4 : end])
                messages.append(message)
                if isinstance(message, Hello):
                    self.rank, self.pid = message.rank, message.pid
                self.is_over = self.is_over or isinstance(message, Over)

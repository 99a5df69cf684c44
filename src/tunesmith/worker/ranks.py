"""A trial whose code runs in several processes of this machine, its ranks; its own process is their relay.

Each rank runs the user's function as a worker would, with a session of its own. What rank 0 reports goes to the driver,
and the driver's verdicts go to rank 0; what the others report is left out. The end of rank 0 by a verdict, or of any
rank by an error, ends all of them: first by an order as workers get it (SIGTERM), by SIGKILL after a grace. Who
launches them is a caller's business.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import select
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from itertools import pairwise
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic

import msgspec

from . import system
from .failure import Diagnosis, RankFailed
from .process import Line, Termination
from .protocol import Assignment, End, Ended, Go, Message, Report
from .runner import Runner, WorkerJob
from .session import Session, TrialHalted
from .wire import FrameReader, frame

LOOK_EVERY = 0.05
"""Seconds between two looks for a verdict that nobody waits for."""
LAUNCHER_PATIENCE = 20.0
"""So many seconds after its last rank a launcher may take to end."""


class Hello(Message, frozen=True):
    """Rank to relay, first: who I am."""

    rank: int
    pid: int


class Over(Message, frozen=True):
    """Rank to relay, last: how my part of the attempt ended, and when, by the machine's monotonic clock."""

    at: float
    ended: Ended


Exits = Mapping[int, int]
"""Rank -> exit code, below 0 for a signal, of ranks that ended badly."""
Launch = Callable[[], Exits]
"""Starts the ranks, by multiprocessing, and returns when all of them have ended, with what it knows of that."""
_decode = msgspec.msgpack.Decoder(Hello | Report | Over).decode


def be_rank(address: str, rank: int, order: bytes) -> Ended:
    """Run one rank of the trial whose relay listens at `address`; return how its part of the attempt ended.

    Its line stays open until this process has ended, and so tells the relay of that.

    Args:
        address: Of a Unix socket.
        rank: Which one this process is.
        order: A pickled `(WorkerJob, Assignment)`.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(address)
    sock.sendall(frame(Hello(rank, os.getpid())))
    if not sock.recv(1):
        os._exit(1)  # the relay is gone
    job, assignment = _opened(order)
    termination = Termination(job.order)
    line = Line(sock, termination)
    assignment = msgspec.structs.replace(assignment, rank=rank)
    line.open(assignment)
    try:
        termination.is_open = True
        ended = Runner(job).run(assignment, line)
    except TrialHalted:  # while it was put into words how the user's code ended
        ended = Ended(assignment.trial, assignment.attempt, "halted")
    termination.is_open = False
    sock.sendall(frame(Over(monotonic(), ended)))
    sock.detach()
    return ended


def _opened(order: bytes) -> tuple[WorkerJob, Assignment]:
    job, assignment = pickle.loads(order)  # noqa: S301  from our own parent process
    return job, assignment


class Relay:
    """The trial's end of the lines to its ranks.

    Args:
        session: The running attempt.
        count: How many ranks.
        grace_s: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(self, session: Session, count: int, grace_s: float) -> None:
        self._session = session
        self._count = count
        self._grace = grace_s
        self._folder = Path(tempfile.mkdtemp(prefix="tunesmith-"))
        self.address = str(self._folder / "ranks")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.address)
        self._listener.listen(count)
        self._woken, self._waker = socket.socketpair()
        self._poller = select.poll()
        self._poller.register(self._listener, select.POLLIN)
        self._poller.register(self._woken, select.POLLIN)
        self._lines: dict[int, _RankLine] = {}
        """By the descriptors of their sockets."""
        self._failures: list[tuple[float, int, Ended]] = []
        self._died: list[int] = []
        """Ranks that ended without a word before anything else went wrong."""
        self._is_ending = False
        self._kill_at: float | None = None
        self._give_up_at: float | None = None
        self._exits: Exits = {}
        self._begun: set[int] = set()
        self._processes: dict[int, BaseProcess] = {}
        """Rank -> its process, where it has been seen alive."""
        self._error: BaseException | None = None
        self._is_launched = True

    def run(self, launch: Launch) -> None:
        """Launch the ranks and serve them until all have ended.

        Raises:
            TrialHalted: The attempt was to end, and has.
            RankFailed: A rank failed.
        """
        thread = threading.Thread(target=self._launch, args=(launch,), name="tunesmith-ranks", daemon=True)
        thread.start()
        try:
            while not self._is_over():
                self._turn()
        except BaseException:
            # Most likely the order to end at once: the ranks get it too.
            self._end_ranks()
            while not self._is_over():
                self._turn()
            raise
        finally:
            self._close()
        self._conclude()

    def _launch(self, launch: Launch) -> None:
        try:
            self._exits = launch()
        except BaseException as error:  # noqa: BLE001  it is told in the other thread
            self._error = error
        self._is_launched = False
        self._waker.send(b"!")

    def _is_over(self) -> bool:
        if self._lines:
            return False
        return not self._is_launched or (self._give_up_at is not None and monotonic() > self._give_up_at)

    def _conclude(self) -> None:
        """Say how it ended, by an exception unless it ended well."""
        session = self._session
        if session.ending:
            raise TrialHalted
        if self._died:
            rank = self._died[0]
            raise RankFailed(_death(rank, self._count, self._exit_code(rank)))
        if self._failures:
            _, rank, ended = min(self._failures, key=lambda each: each[0])
            message = f"{ended.message} (in rank {rank} of {self._count})"
            raise RankFailed(Diagnosis(ended.kind, message, ended.where, ended.traceback))
        if self._error is not None:
            raise self._error
        for missing in sorted(set(range(self._count)) - self._begun):
            raise RankFailed(Diagnosis("exit", f"rank {missing} of {self._count} ended before it began", "", ""))

    def _exit_code(self, rank: int) -> int | None:
        process = self._processes.get(rank)
        code = None if process is None else process.exitcode
        return self._exits.get(rank) if code is None else code

    # One turn.

    def _turn(self) -> None:
        ready = [descriptor for descriptor, _ in self._poller.poll(1000 * LOOK_EVERY)]
        if self._listener.fileno() in ready:
            self._accept()
        if self._woken.fileno() in ready:
            self._woken.recv(64)
        received = [(line, *line.receive()) for descriptor, line in self._lines.items() if descriptor in ready]
        for line, messages, is_gone in received:
            # First of all, for a rank that died is why others fail.
            if is_gone and not line.is_over and not any(isinstance(message, Over) for message in messages):
                self._take_death(line)
        for line, messages, is_gone in received:
            for message in messages:
                self._take(line, message)
            if is_gone:
                self._bury(line)
        if len(self._processes) < len(self._begun):
            self._welcome()
        if self._kill_at is not None and monotonic() > self._kill_at:
            self._kill_at = None
            self._signal(signal.SIGKILL)
        if not self._session.ending:
            while (verdict := self._session.channel.receive(block=False)) is not None:
                self._pass_on(verdict)

    def _welcome(self) -> None:
        """Let ranks begin of which something here will know the exit code."""
        # One that was started a moment ago may not be listed yet.
        found = {process.pid: process for process in multiprocessing.active_children()}
        for line in self._lines.values():
            if line.pid in found and line.rank not in self._processes:
                self._processes[line.rank] = found[line.pid]
                with contextlib.suppress(OSError):  # it is gone, which its line will say
                    line.socket.sendall(b"!")

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        self._lines[sock.fileno()] = _RankLine(sock)
        self._poller.register(sock, select.POLLIN)

    def _take(self, line: _RankLine, message: Hello | Report | Over) -> None:
        match message:
            case Hello(rank, pid):
                line.rank, line.pid = rank, pid
                self._begun.add(rank)
                if self._is_ending:
                    self._end_ranks()  # it came late
            case Report():
                self._relay(message)
            case Over(at, ended):
                line.is_over = True
                self._take_end(line, at, ended)

    def _take_death(self, line: _RankLine) -> None:
        if not self._is_ending:
            self._died.append(line.rank)
            self._end_ranks()

    def _bury(self, line: _RankLine) -> None:
        self._poller.unregister(line.socket)
        del self._lines[line.socket.fileno()]
        line.socket.close()
        if not self._lines:
            self._give_up_at = monotonic() + LAUNCHER_PATIENCE

    def _relay(self, report: Report) -> None:
        session = self._session
        session.number = report.number
        if report.checkpoint is not None:
            session.checkpoint_number = report.number
        session.channel.send(report)
        if report.metrics.get("done"):
            session.ending = "done"
        elif report.waits:
            self._pass_on(session.channel.receive(block=True))

    def _pass_on(self, verdict: Go | End | None) -> None:
        """Tell rank 0: at its reports all ranks stand alike, so it is told first, and its end ends the others."""
        if verdict is None:
            return
        if isinstance(verdict, End):
            self._session.ending = "halted"
        first = next((line for line in self._lines.values() if line.rank == 0 and not line.is_over), None)
        if first is not None:
            with contextlib.suppress(OSError):  # it is gone, which its line will say
                first.socket.sendall(frame(verdict))
        elif isinstance(verdict, End):
            self._end_ranks()  # it has not begun, or has ended already

    def _take_end(self, line: _RankLine, at: float, ended: Ended) -> None:
        is_halted = bool(self._session.ending)
        if ended.outcome == "failed" and not is_halted:
            for other in self._lines.values():
                # Its line may tell of its death a moment later than what the failed one heard from it.
                if other.pid and not other.is_over and system.is_exiting(other.pid):
                    self._take_death(other)
            self._failures.append((at, line.rank, ended))
            self._end_ranks()
        elif line.rank == 0 and is_halted:
            self._end_ranks()
        elif len(self._lines) == self._count and all(each.is_over for each in self._lines.values()):
            self._kill_at = monotonic() + self._grace  # there is nothing left to do for them but to go

    # Ends.

    def _end_ranks(self) -> None:
        self._is_ending = True
        if self._kill_at is None:
            self._kill_at = monotonic() + self._grace
        self._signal(self._session.job.order)

    def _signal(self, number: int) -> None:
        for line in self._lines.values():
            if line.pid and (not line.is_over or number == signal.SIGKILL):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(line.pid, number)

    def _close(self) -> None:
        for sock in (self._listener, self._woken, *(line.socket for line in self._lines.values())):
            sock.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class _RankLine:
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
            messages += [_decode(data[start + 4 : end]) for start, end in pairwise(bounds)]


def _death(rank: int, count: int, code: int | None) -> Diagnosis:
    who = f"rank {rank} of {count}"
    if code is None or code == 0:
        return Diagnosis("exit", f"{who} ended without a word", "", "")
    if code > 0:
        return Diagnosis("exit", f"{who} ended with exit code {code}", "", "")
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    more = " (out of memory, perhaps)" if -code == signal.SIGKILL else ""
    return Diagnosis("signal", f"{who} was killed by {name}{more}", "", "")

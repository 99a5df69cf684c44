"""A trial whose code runs in several processes, its ranks; its own process is their relay.

Each rank runs the user's function as a worker would, with a session of its own. What rank 0 reports goes to the driver,
and the driver's verdicts go to rank 0; what the others report is left out. The end of rank 0 by a verdict, or of any
rank by an error, ends all of them: first by an order as workers get it (SIGTERM), by SIGKILL after a grace. Who
launches them is a caller's business; those on other machines are launched there (see `rank_nodes`).
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
from collections.abc import Callable, Sequence
from time import monotonic

import msgspec

from .failure import Diagnosis, RankFailed
from .process import Line, Termination
from .protocol import Assignment, End, Ended, Go, Report
from .rank_host import Gone, Hello, Launch, News, Over, RankHost
from .rank_nodes import Reception
from .runner import Runner, WorkerJob
from .session import Session, TrialHalted
from .wire import frame

LOOK_EVERY = 0.05
"""Seconds between two looks for a verdict that nobody waits for."""
HINDSIGHT = 3.0
"""For so many seconds after the first trouble a death may still turn out to be its cause."""
_NOT_OF_ITSELF = (0, -signal.SIGTERM, -signal.SIGABRT)
"""How ranks end without a word because they were told to, or because others are gone."""


def be_rank(address: str, rank: int, order: bytes) -> Ended:
    """Run one rank of the trial whose host listens at `address`; return how its part of the attempt ended.

    Its line stays open until this process has ended, and so tells the host of that.

    Args:
        address: Of a Unix socket.
        rank: Which one this process is.
        order: A pickled `(WorkerJob, Assignment)`.
    """
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.connect(address)
    sock.sendall(frame(Hello(rank, os.getpid())))
    if not sock.recv(1):
        os._exit(1)  # the host is gone
    job, assignment = _opened(order)
    termination = Termination(job.order)
    line = Line(sock, termination)
    assignment = msgspec.structs.replace(assignment, rank=rank, is_rank=True)
    line.open(assignment)
    try:
        termination.is_open = True
        ended = Runner(job).run(assignment, line)
    except TrialHalted:  # while it was put into words how the user's code ended
        ended = Ended(assignment.trial, assignment.attempt, "halted")
    termination.is_open = False
    sock.sendall(frame(Over(rank, monotonic(), ended)))
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
        elsewhere: The trial's further nodes, in order; they take part once all of them are there.
        opens: Opens what the ranks of several nodes meet at, and returns its port.
    """

    def __init__(
        self,
        session: Session,
        count: int,
        grace_s: float,
        *,
        elsewhere: Sequence[str] = (),
        opens: Callable[[], int] = lambda: 0,
    ) -> None:
        self._session = session
        self._count = count
        self._grace = grace_s
        self._host = RankHost()
        self._reception = Reception(session, elsewhere, opens, self._host.poller) if elsewhere else None
        self._failures: list[tuple[float, int, Ended]] = []
        self._died: list[int] = []
        """Ranks that ended without a word before anything else went wrong."""
        self._died_later: list[int] = []
        """Those that did so afterwards, not by our hand: what others said of their end may have been faster."""
        self._over: set[int] = set()
        """Ranks that have said how their part ended."""
        self._living: set[int] = set()
        self._begun: set[int] = set()
        self._is_ending = self._has_killed = False
        self._ended_at = float("inf")
        """When they were told to end."""
        self._kill_at: float | None = None

    @property
    def address(self) -> str:
        """Where the ranks of this machine report."""
        return self._host.address

    def run(self, launch: Launch) -> None:
        """Launch the ranks and serve them until all have ended.

        Raises:
            TrialHalted: The attempt was to end, and has.
            RankFailed: A rank failed.
        """
        if self._reception is None:
            self._host.start(launch)
        else:
            self._reception.open(lambda: self._host.start(launch))
        try:
            self._serve()
        except BaseException:
            # Most likely the order to end at once: the ranks get it too.
            self._end_ranks()
            self._serve()
            raise
        finally:
            if self._reception is not None:
                self._reception.close()
            self._host.close()
        self._conclude()

    def _serve(self) -> None:
        while not (self._host.is_over and (self._reception is None or self._reception.is_over)):
            self._turn()

    def _conclude(self) -> None:
        """Say how it ended, by an exception unless it ended well."""
        session = self._session
        if session.ending:
            raise TrialHalted
        codes = self._host.exit_codes() | (self._reception.exit_codes if self._reception is not None else {})
        told = (*_NOT_OF_ITSELF, -session.job.order)
        later = [rank for rank in self._died_later if codes.get(rank, 0) not in told]
        for rank in self._died or later:
            raise RankFailed(_death(rank, self._count, codes.get(rank)))
        if self._reception is not None and self._reception.losses:
            raise RankFailed(Diagnosis("lost", self._reception.losses[0], "", ""))
        if self._failures:
            _, rank, ended = min(self._failures, key=lambda each: each[0])
            message = f"{ended.message} (in rank {rank} of {self._count})"
            raise RankFailed(Diagnosis(ended.kind, message, ended.where, ended.traceback))
        if self._host.error is not None:
            raise self._host.error
        for missing in sorted(set(range(self._count)) - self._begun):
            raise RankFailed(Diagnosis("exit", f"rank {missing} of {self._count} ended before it began", "", ""))

    # One turn.

    def _turn(self) -> None:
        ready = [descriptor for descriptor, _ in self._host.poller.poll(1000 * LOOK_EVERY)]
        news = self._host.take(ready)
        if self._reception is not None:
            news += self._reception.take(ready)
            if self._reception.losses:
                self._end_ranks()
        self._over.update(each.rank for each in news if isinstance(each, Over))
        for each in news:
            # First of all, for a rank that died is why others fail.
            if isinstance(each, Gone) and each.rank not in self._over:
                self._take_death(each.rank)
        for each in news:
            self._take(each)
        if self._kill_at is not None and monotonic() > self._kill_at:
            self._kill_at = None
            self._has_killed = True
            self._signal(signal.SIGKILL)
        if not self._session.ending:
            while (verdict := self._session.channel.receive(block=False)) is not None:
                self._pass_on(verdict)

    def _take(self, news: News) -> None:
        match news:
            case Hello(rank, _):
                self._begun.add(rank)
                self._living.add(rank)
                if self._is_ending:
                    self._end_ranks()  # it came late
            case Report():
                self._relay(news)
            case Over(rank, at, ended):
                self._take_end(rank, at, ended)
            case Gone(rank):
                self._living.discard(rank)

    def _take_death(self, rank: int) -> None:
        if not self._is_ending:
            self._died.append(rank)
            self._end_ranks()
        elif not self._has_killed and monotonic() < self._ended_at + HINDSIGHT:
            self._died_later.append(rank)

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
        if not self._host.tell(0, frame(verdict)) and isinstance(verdict, End):
            self._end_ranks()  # it has not begun, or has ended already

    def _take_end(self, rank: int, at: float, ended: Ended) -> None:
        is_halted = bool(self._session.ending)
        if ended.outcome == "failed" and not is_halted:
            for other in self._host.dying():
                self._take_death(other)
            # Clocks of several machines are not the same; what has come first is first.
            self._failures.append((at if self._reception is None else len(self._failures), rank, ended))
            self._end_ranks()
        elif rank == 0 and is_halted:
            self._end_ranks()
        elif len(self._living) == self._count and self._living <= self._over:
            self._kill_at = monotonic() + self._grace  # there is nothing left to do for them but to go

    # Ends.

    def _end_ranks(self) -> None:
        if not self._is_ending:
            self._is_ending = True
            self._ended_at = monotonic()
        if self._kill_at is None:
            self._kill_at = monotonic() + self._grace
        self._signal(self._session.job.order)

    def _signal(self, number: int) -> None:
        self._host.signal(number)
        if self._reception is not None:
            self._reception.signal(number)


def _death(rank: int, count: int, code: int | None) -> Diagnosis:
    who = f"rank {rank} of {count}"
    if code is None or code == 0:
        return Diagnosis("exit", f"{who} ended without a word", "", "")
    if code > 0:
        return Diagnosis("exit", f"{who} ended with exit code {code}", "", "")
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    more = " (out of memory, perhaps)" if -code == signal.SIGKILL else ""
    return Diagnosis("signal", f"{who} was killed by {name}{more}", "", "")

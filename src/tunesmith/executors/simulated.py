"""Runs attempts in virtual time, in this process: thousands of workers on one core, days in seconds.

A trainable is a *curve* here: a function of the config that yields (metrics, seconds) for each report, `seconds` being
what it took to get there. Nothing sleeps and nothing reads a clock; the same arguments give the same events. Reports
wait, and attempts end, exactly as real workers do it (`worker.session`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import islice
from random import Random
from typing import Any

from msgspec.structs import replace

from ..core.commands import Halt, Kill, Proceed, Start
from ..core.events import AttemptEnded, AttemptStarted, Event, Failure, Metrics, Node, NodesChanged, Reported
from ..core.seeds import generator
from ..errors import ConfigError, ExecutorError, ReportError
from ..layout import checkpoint_folder
from ..worker.failure import diagnosed
from ..worker.runner import with_objects
from .base import Executor, Job

Curve = Callable[..., Iterator[tuple[Metrics, float]]]
Replay = Callable[[Start], Iterator[tuple[Metrics, float] | Failure]]
"""What an attempt does from where it starts: in a `Failure` it ends badly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong, drawn from a seed. Probabilities are per report of an attempt unless said otherwise."""

    seed: int = 0
    fails: float = 0.0
    """It raises instead of reporting."""
    is_lost: float = 0.0
    """Its process goes away without a word."""
    hangs: float = 0.0
    """It never does anything again until it is killed."""
    is_slow: float = 0.0
    """Per attempt: it takes `slowness` times as long."""
    slowness: float = 10.0
    damages_checkpoint: float = 0.0
    """Per attempt that starts from a checkpoint: it cannot be read."""
    start_delay: float = 0.0
    """Seconds that an attempt takes at most before it begins."""
    message_delay: float = 0.0
    """Seconds that a message takes at most; the messages of one attempt stay in order."""
    message_twice: float = 0.0
    """Per message. This and the next two break the contract of executors: only a bad network does that."""
    message_late: float = 0.0
    """Per message: it comes up to ten times `message_delay` later, after those that were sent after it."""
    message_lost: float = 0.0
    """Per report: it never arrives. The worker that waits for its verdict stands still for ever."""


class SimulatedExecutor(Executor):
    """Runs attempts in virtual time.

    Args:
        curve: What every trial does; by default the job's trainable.
        workers: How many attempts fit: one node with so many CPUs.
        nodes: The machines, in place of `workers`.
        checkpoint_every: Each so many results come with a checkpoint; 0: none does.
        checkpoint_bytes: How large each checkpoint is.
        start_delay: Seconds that every attempt takes before it begins.
        faults: What goes wrong; by default nothing.
        replay: What each attempt does, in place of a curve: it knows the trial and where the attempt starts.
    """

    can_hold = True

    def __init__(
        self,
        curve: Curve | None = None,
        *,
        workers: int = 1,
        nodes: Iterable[Node] = (),
        checkpoint_every: int = 0,
        checkpoint_bytes: int = 0,
        start_delay: float = 0.0,
        faults: Faults | None = None,
        replay: Replay | None = None,
    ) -> None:
        if workers < 1:
            raise ConfigError(f"workers={workers!r}: a simulation needs at least one worker.")
        self._curve = curve
        self._nodes = tuple(nodes) or (Node("simulated", {"cpu": float(workers)}),)
        self._checkpoint_every = checkpoint_every
        self._checkpoint_bytes = checkpoint_bytes
        self._start_delay = start_delay
        self._faults = faults
        self._replay = replay
        self._job: Job | None = None
        self._now = 0.0
        self._attempts: dict[tuple[int, int], _Attempt] = {}
        self._events: list[Event] = []
        """What has happened and is not yet known to anyone."""
        self._agenda: list[tuple[float, int, Callable[[Any], None], Any]] = []
        """A heap of what is to happen: (time, sequence, what, to whom)."""
        self._sequence = 0

    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        """Begin at virtual time `at`."""
        self._job, self._now = job, at
        return self._nodes

    def now(self) -> float:
        """Return the virtual time in seconds."""
        return self._now

    def start(self, command: Start) -> None:
        """Begin an attempt."""
        attempt = self._attempts[command.trial, command.attempt] = _Attempt(command, self._faults)
        faults = self._faults
        delay = self._start_delay
        if faults is not None and faults.start_delay:
            delay += attempt.random.uniform(0.0, faults.start_delay)
        self._plan(self._now + delay, self._begin, attempt)

    def proceed(self, command: Proceed) -> None:
        """Let a waiting attempt go on."""
        attempt = self._attempts.get((command.trial, command.attempt))
        if attempt is not None:
            attempt.until = command.until
            if attempt.is_waiting:
                attempt.is_waiting = False
                self._advance(attempt)

    def halt(self, command: Halt) -> None:
        """End an attempt at its next report; at once when it waits or has not begun."""
        attempt = self._attempts.get((command.trial, command.attempt))
        if attempt is not None:
            attempt.is_halted = True
            attempt.saves = attempt.saves or command.save
            if attempt.is_waiting or attempt.curve is None:
                self._halted(attempt)

    def kill(self, command: Kill) -> None:
        """End an attempt at once; one that hangs after the grace."""
        attempt = self._attempts.get((command.trial, command.attempt))
        if attempt is not None:
            self._plan(self._now + (command.grace if attempt.hangs else 0.0), self._killed, attempt)

    def wait(self, until: float | None) -> list[Event]:
        """Return what happens next, all that happens at the same time together, and move the time there.

        Raises:
            ExecutorError: `until` is None, and nothing can ever happen again.
        """
        agenda = self._agenda
        while not self._events:
            if not agenda or (until is not None and agenda[0][0] > until):
                if until is None:
                    raise ExecutorError(self._standstill())
                self._now = max(self._now, until)
                break
            self._now = now = agenda[0][0]
            while agenda and agenda[0][0] <= now:
                _, _, act, subject = heappop(agenda)
                act(subject)
        events, self._events = self._events, []
        return events

    def close(self) -> None:
        """Forget every attempt."""
        self._attempts.clear()
        self._agenda.clear()
        self._events.clear()

    def change_nodes(self, nodes: Iterable[Node]) -> None:
        """Let machines join and leave; the attempts on those that left are lost."""
        self._nodes = tuple(nodes)
        names = {node.name for node in self._nodes}
        self._events.append(NodesChanged(at=self._now, nodes=self._nodes))
        for attempt in list(self._attempts.values()):
            gone = next((node for node in attempt.start.placement.nodes if node not in names), None)
            if gone is not None:
                self._lost(attempt, f"the node {gone} went away")

    # An attempt's life.

    def _begin(self, attempt: _Attempt) -> None:
        if attempt.is_over:
            return
        start, job, faults = attempt.start, self._job, self._faults
        if job is None:
            raise ExecutorError("wait() came before open(). Open the executor first.")
        self._tell(
            attempt,
            AttemptStarted(at=self._now, trial=start.trial, attempt=start.attempt, pid=0, host=start.placement.node),
        )
        if faults is not None and start.checkpoint is not None and attempt.random.random() < faults.damages_checkpoint:
            self._end(attempt, "failed", Failure("checkpoint", f"the checkpoint {start.checkpoint} cannot be read"))
            return
        curve = self._curve or job.trainable
        try:
            if self._replay is not None:
                attempt.curve = self._replay(start)
            else:
                attempt.curve = iter(curve(with_objects(start.config, job.objects), **job.parameters))
                # Where its checkpoint was made.
                for _ in islice(attempt.curve, start.progress.number):
                    pass
        except Exception as error:  # noqa: BLE001  the edge of user code
            self._raised(attempt, error)
            return
        self._advance(attempt)

    def _advance(self, attempt: _Attempt) -> None:
        """Let it train up to its next report, or to its end."""
        assert attempt.curve is not None
        try:
            step = next(attempt.curve, None)
            if step is None:
                self._end(attempt, "done")
                return
            if type(step) is Failure:
                self._end(attempt, "failed", step)
                return
            attempt.metrics, seconds = step
        except Exception as error:  # noqa: BLE001  the edge of user code
            self._raised(attempt, error)
            return
        seconds *= attempt.slowness
        attempt.elapsed += seconds
        self._plan(self._now + seconds, self._report, attempt)

    def _report(self, attempt: _Attempt) -> None:
        if attempt.is_over or (self._faults is not None and self._strikes(attempt, self._faults)):
            return
        metrics, start = attempt.metrics, attempt.start
        attempt.number = number = attempt.number + 1
        try:
            waits = self._reaches_the_lease(attempt)
        except ReportError as error:
            self._raised(attempt, error)
            return
        checkpoint = None
        saves = self._job is not None and self._job.saves_when_waiting and waits
        if self._checkpoint_every and (saves or number % self._checkpoint_every == 0):
            checkpoint = checkpoint_folder(start.trial, start.attempt, number)
            attempt.checkpoint_number = number
        is_done = bool(metrics.get("done"))
        self._tell(
            attempt,
            Reported(
                at=self._now,
                trial=start.trial,
                attempt=start.attempt,
                number=number,
                metrics=metrics,
                elapsed=attempt.elapsed,
                checkpoint=checkpoint,
                waits=waits and not is_done,
                checkpoint_bytes=self._checkpoint_bytes if checkpoint is not None else 0,
            ),
        )
        if is_done:
            self._end(attempt, "done")
        elif attempt.is_halted:
            self._halted(attempt)
        elif waits:
            attempt.is_waiting = True
        else:
            self._advance(attempt)

    def _reaches_the_lease(self, attempt: _Attempt) -> bool:
        job = self._job
        assert job is not None
        result = attempt.number
        if job.time_attr == "training_iteration":
            reached = result >= attempt.until
        elif job.time_attr == "time_total_s":
            reached = attempt.elapsed >= attempt.until
        else:
            time = attempt.metrics.get(job.time_attr)
            if not isinstance(time, int | float):
                raise ReportError(f"the scheduler counts {job.time_attr!r}, which this report lacks.")
            reached = not time < attempt.until
        if reached or not job.thresholds:
            return reached
        counted = {"training_iteration": attempt.number, "time_total_s": attempt.elapsed}
        found = ((attempt.metrics.get(name, counted.get(name)), value) for name, value in job.thresholds.items())
        return any(isinstance(value, int | float) and value >= threshold for value, threshold in found)

    def _strikes(self, attempt: _Attempt, faults: Faults) -> bool:
        """Return whether a fault comes in the way of a report, after it has struck."""
        draw = attempt.random.random()
        if draw < faults.fails:
            self._end(attempt, "failed", Failure("exception", "SimulatedFault: it was told to fail", "curve"))
        elif (draw := draw - faults.fails) < faults.is_lost:
            self._lost(attempt, "its process went away")
        elif draw - faults.is_lost < faults.hangs:
            attempt.hangs = True
        else:
            return False
        return True

    def _halted(self, attempt: _Attempt) -> None:
        checkpoint = None
        # A halt that saves needs a checkpoint where the last report had none.
        if attempt.saves and self._checkpoint_every and attempt.number > attempt.checkpoint_number:
            checkpoint = checkpoint_folder(attempt.start.trial, attempt.start.attempt, attempt.number)
        self._end(attempt, "halted", checkpoint=checkpoint)

    def _killed(self, attempt: _Attempt) -> None:
        self._end(attempt, "killed")

    def _lost(self, attempt: _Attempt, message: str) -> None:
        self._end(attempt, "lost", Failure("lost", message))

    def _raised(self, attempt: _Attempt, error: Exception) -> None:
        found = diagnosed(error)
        self._end(attempt, "failed", Failure(found.kind, found.message, found.where, found.traceback))

    def _end(
        self, attempt: _Attempt, outcome: str, failure: Failure | None = None, *, checkpoint: str | None = None
    ) -> None:
        if attempt.is_over:
            return
        start = attempt.start
        ended = AttemptEnded(
            at=self._now,
            trial=start.trial,
            attempt=start.attempt,
            outcome=outcome,
            failure=failure,
            checkpoint=checkpoint,
            checkpoint_bytes=self._checkpoint_bytes if checkpoint is not None else 0,
        )
        self._tell(attempt, ended)
        attempt.is_over = True
        del self._attempts[start.trial, start.attempt]

    # Time and messages.

    def _plan(self, at: float, act: Callable[[Any], None], subject: Any) -> None:
        self._sequence += 1
        heappush(self._agenda, (at, self._sequence, act, subject))

    def _tell(self, attempt: _Attempt, event: Event) -> None:
        if self._faults is None:
            self._events.append(event)
        else:
            self._send(attempt, event, self._faults)

    def _send(self, attempt: _Attempt, event: Event, faults: Faults) -> None:
        draw = attempt.random.random
        if isinstance(event, Reported) and faults.message_lost and draw() < faults.message_lost:
            return
        for _ in range(2 if faults.message_twice and draw() < faults.message_twice else 1):
            arrival = max(attempt.arrival, self._now + draw() * faults.message_delay)
            if faults.message_late and draw() < faults.message_late:
                arrival += 10 * draw() * faults.message_delay
            else:
                attempt.arrival = arrival
            self._plan(arrival, self._arrive, event)

    def _arrive(self, event: Event) -> None:
        # As everywhere: an event's time is that at which the driver learns of it.
        self._events.append(replace(event, at=self._now))

    def _standstill(self) -> str:
        still = [f"trial {trial} (attempt {attempt})" for trial, attempt in self._attempts]
        who = ", ".join(still[:5]) + (f" and {len(still) - 5} more" if len(still) > 5 else "")
        return (
            f"nothing can happen any more: {who or 'no attempt'} stands still and no time limit is set. "
            "Set report_timeout_s, so that a hung trial is ended."
        )


class _Attempt:
    """A running attempt."""

    __slots__ = (
        "arrival",
        "checkpoint_number",
        "curve",
        "elapsed",
        "hangs",
        "is_halted",
        "is_over",
        "is_waiting",
        "metrics",
        "number",
        "random",
        "saves",
        "slowness",
        "start",
        "until",
    )

    def __init__(self, start: Start, faults: Faults | None) -> None:
        self.start = start
        self.curve: Iterator[Any] | None = None
        self.metrics: Metrics = {}
        self.number = self.checkpoint_number = start.progress.number
        self.elapsed = start.progress.elapsed
        self.until = start.until
        self.is_waiting = self.is_halted = self.is_over = self.saves = self.hangs = False
        self.arrival = 0.0
        """When its newest message arrives."""
        self.slowness = 1.0
        if faults is not None:
            self.random: Random = generator(faults.seed, f"faults/{start.trial}", start.attempt)
            if self.random.random() < faults.is_slow:
                self.slowness = faults.slowness

"""Runs attempts in this process, one at a time, in the main thread: for debuggers, notebooks and small examples.

User code runs inside `wait`, with nothing between it and its breakpoints: its output is not redirected. Whoever drives
this executor gets the word at the reports, through `deliver`; a halt or a kill takes effect at the next one, because
nothing can interrupt user code that shares our thread.
"""

from __future__ import annotations

import os
import platform
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue
from time import monotonic

from ..core.commands import Halt, Kill, Proceed, Start
from ..core.events import AttemptEnded, AttemptStarted, Event, Failure, Node, Reported
from ..errors import ExecutorError
from ..worker.protocol import End, Ended, Go, Report
from ..worker.runner import Runner, WorkerJob
from ..worker.seeds import restored_generators
from .base import Executor, Job, assignment_of
from .machine import chosen_gpus, cpu_count, visible_gpus

LARGEST_BATCH = 512
LONGEST_HOLD = 0.05
"""Seconds that a report which waits for nothing may lie here before it is delivered."""


class InlineExecutor(Executor):
    """Runs attempts in this process. Counts CPUs and GPUs as the local executor does, so that the same requests fit.

    Args:
        cpus: How many CPUs to count on; default: those this process may use.
        gpus: How many of the visible GPUs to count on, or which. The attempt sees what this process sees. Default: all.
        resources: Anything else that trials may ask for, e.g. `{"license": 2}`.
    """

    most_at_once = 1

    def __init__(
        self,
        *,
        cpus: float | None = None,
        gpus: int | Sequence[str] | None = None,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        self._cpus = cpus
        self._gpus = gpus
        self._resources = dict(resources or {})
        self._job: Job | None = None
        self._runner: Runner | None = None
        self._deliver: Callable[[list[Event]], None] = lambda events: None
        self._began = monotonic()
        self._queue: deque[Start] = deque()
        self._running: _Line | None = None
        self._events: list[Event] = []
        """What has happened and is not yet known to anyone."""
        # `put` is the one way to wake a waiting thread that is also safe in a signal handler of that very thread.
        self._wakes: SimpleQueue[None] = SimpleQueue()

    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        """Start the engine; the one node is this machine."""
        self._job, self._deliver, self._began = job, deliver, monotonic() - at
        self._runner = Runner(_worker_job(job))
        gpus = chosen_gpus(self._gpus, visible_gpus())
        cpus = float(cpu_count() if self._cpus is None else self._cpus)
        resources = {"cpu": cpus, **({"gpu": float(len(gpus))} if gpus else {}), **self._resources}
        return (Node(platform.node() or "localhost", resources, gpus),)

    def now(self) -> float:
        """Return the experiment's time in seconds."""
        return monotonic() - self._began

    def start(self, command: Start) -> None:
        """Queue an attempt; `wait` runs it."""
        self._queue.append(command)

    def proceed(self, command: Proceed) -> None:
        """Let the waiting attempt go on."""
        if (line := self._line_of(command)) is not None:
            line.verdicts.append(Go(command.trial, command.attempt, command.until))

    def halt(self, command: Halt) -> None:
        """Ask an attempt to end at its next report; one that has not begun never begins."""
        if (line := self._line_of(command)) is not None:
            line.verdicts.append(End(command.trial, command.attempt, command.save))
        else:
            self._take_from_queue(command, "halted")

    def kill(self, command: Kill) -> None:
        """End an attempt at its next report; one that has not begun never begins."""
        if (line := self._line_of(command)) is not None:
            line.is_killed = True
            line.verdicts.append(End(command.trial, command.attempt))
        else:
            self._take_from_queue(command, "killed")

    def wait(self, until: float | None) -> list[Event]:
        """Run the next queued attempt to its end, delivering its reports on the way; return what is left to tell.

        Raises:
            KeyboardInterrupt: A person interrupted the user's code. Its attempt has ended as halted by then.
        """
        # A `deliver` may itself wait, for room on a full disk say; no second attempt begins inside the first.
        if self._queue and not self._events and self._running is None:
            self._run(self._queue.popleft())
        elif not self._events:
            self._sleep(until)
        return self._taken_events()

    def wake(self) -> None:
        """Make `wait` return, or the running attempt deliver at its next report."""
        self._wakes.put(None)

    def close(self) -> None:
        """Forget what is queued and free what is kept between attempts."""
        self._queue.clear()
        if self._runner is not None:
            self._runner.close()

    def _line_of(self, command: Proceed | Halt | Kill) -> _Line | None:
        line = self._running
        return line if line is not None and (line.trial, line.attempt) == (command.trial, command.attempt) else None

    def _take_from_queue(self, command: Halt | Kill, outcome: str) -> None:
        for start in self._queue:
            if (start.trial, start.attempt) == (command.trial, command.attempt):
                self._queue.remove(start)
                self._events.append(self._attempt_ended(Ended(start.trial, start.attempt, outcome), is_killed=False))
                return

    def _taken_events(self) -> list[Event]:
        taken, self._events = self._events, []
        return taken

    def _sleep(self, until: float | None) -> None:
        timeout = None if until is None else max(0.0, until - self.now())
        try:
            self._wakes.get(timeout=timeout)
            self._drop_wakes()
        except Empty:
            pass

    def _drop_wakes(self) -> None:
        while not self._wakes.empty():
            self._wakes.get()

    def _run(self, start: Start) -> None:
        job, runner = self._job, self._runner
        if job is None or runner is None:
            raise ExecutorError("wait() came before open(). Open the executor first.")
        line = self._running = _Line(self, start)
        self._events.append(
            AttemptStarted(
                at=self.now(), trial=start.trial, attempt=start.attempt, pid=os.getpid(), host=platform.node()
            )
        )
        interrupt: KeyboardInterrupt | None = None
        try:
            with restored_generators():
                ended = runner.run_interruptibly(assignment_of(start, str(job.folder)), line)
            if not job.reuse_workers:
                runner.close()
        except KeyboardInterrupt as error:
            interrupt = error
            ended = Ended(start.trial, start.attempt, "halted")
        finally:
            self._running = None
        if isinstance(line.broken, KeyboardInterrupt):
            interrupt = line.broken
        elif line.broken is not None:
            # Not the user's error: whoever takes our events failed. They know best what to do.
            raise line.broken
        self._events.append(self._attempt_ended(ended, is_killed=line.is_killed))
        if interrupt is not None:
            self._deliver(self._taken_events())
            raise interrupt

    def _attempt_ended(self, ended: Ended, *, is_killed: bool) -> AttemptEnded:
        failure = None
        if ended.outcome == "failed":
            failure = Failure(ended.kind, ended.message, ended.where, ended.traceback)
        outcome = "killed" if is_killed and ended.outcome == "halted" else ended.outcome
        return AttemptEnded(
            at=self.now(),
            trial=ended.trial,
            attempt=ended.attempt,
            outcome=outcome,
            failure=failure,
            checkpoint=ended.checkpoint,
            checkpoint_bytes=ended.checkpoint_bytes,
            checkpoint_failure=ended.checkpoint_failure,
        )

    def take_report(self, report: Report) -> None:
        """Record a report of the running attempt, and deliver what has gathered if it is time."""
        now = self.now()
        self._events.append(
            Reported(
                at=now,
                trial=report.trial,
                attempt=report.attempt,
                number=report.number,
                metrics=report.metrics,
                elapsed=report.elapsed,
                checkpoint=report.checkpoint,
                waits=report.waits,
                checkpoint_bytes=report.checkpoint_bytes,
                checkpoint_failure=report.checkpoint_failure,
            )
        )
        is_due = now - self._events[0].at >= LONGEST_HOLD or len(self._events) >= LARGEST_BATCH
        if report.waits or is_due or not self._wakes.empty():
            self._drop_wakes()
            self._deliver(self._taken_events())


class _Line:
    """The running attempt's channel: what it reports is delivered within the call."""

    def __init__(self, executor: InlineExecutor, start: Start) -> None:
        self._executor = executor
        self.trial = start.trial
        self.attempt = start.attempt
        self.verdicts: deque[Go | End] = deque()
        self.is_killed = False
        self.broken: BaseException | None = None
        """What `deliver` raised: it must reach the caller of `wait`, not the user's code."""

    def send(self, report: Report) -> None:
        try:
            self._executor.take_report(report)
        except BaseException as error:  # noqa: BLE001  handed on by `wait`
            self.broken = error
            self.verdicts.append(End(self.trial, self.attempt))

    def receive(self, *, block: bool) -> Go | End | None:
        if self.verdicts:
            return self.verdicts.popleft()
        if block:
            self.broken = ExecutorError(
                f"trial {self.trial} waits for a verdict, but whoever took its report gave none. "
                "This is a bug in Tunesmith."
            )
            return End(self.trial, self.attempt)
        return None


def _worker_job(job: Job) -> WorkerJob:
    return WorkerJob(
        trainable=job.trainable,
        experiment=job.experiment,
        seed=job.seed,
        parameters=job.parameters,
        objects=job.objects,
        time_attr=job.time_attr,
        thresholds=job.thresholds,
        metric=job.metric,
        more_metrics=job.more_metrics,
        checkpoint_freq=job.checkpoint_freq,
        checkpoint_at_end=job.checkpoint_at_end,
        saves_when_waiting=job.saves_when_waiting,
        storage=job.storage,
    )

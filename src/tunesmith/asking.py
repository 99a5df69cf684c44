"""A session whose trials are run by whoever asks for them: the core, a journal, and no executor.

Asking gives the core one slot, which it fills as a free worker's: by a trial that waits, by a paused one that its
scheduler lets go on, or by one that the searcher proposes. Telling is what a worker's report is, or its end.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from .analysis.results import Results
from .core.commands import Halt, Kill, Proceed, Start
from .core.engine import Core, Step
from .core.events import (
    AttemptEnded,
    Config,
    Event,
    Failure,
    Metrics,
    Reported,
    SpaceExhausted,
    StopRequested,
    Suggested,
)
from .core.policy import Searcher
from .core.trial import Status, Trial
from .errors import ConfigError, TuneError
from .space.space import Space
from .store.journal import Journal
from .store.requests import read_requests

LOOK_EVERY = 0.5
"""Seconds between two looks for requests from other processes, and between two syncs of the journal."""


@dataclass(slots=True)
class _Line:
    """A trial that somebody works on, or holds."""

    attempt: int
    until: float
    """Up to where it may go without a verdict."""
    since: float
    """Experiment time at which it began or went on."""
    elapsed: float
    is_held: bool = False


class AskedSession:
    """One session. All methods may be called from several threads.

    Args:
        core: Of the experiment, which has folded its past.
        searcher: The core's.
        space: What its configs are of.
        journal: Where events are kept; None: in memory only.
    """

    def __init__(self, *, core: Core, searcher: Searcher, space: Space, journal: Journal | None) -> None:
        self.core = core
        self.experiment = core.experiment
        self.lock = threading.RLock()
        self._searcher = searcher
        self._space = space
        self._journal = journal
        self._folder = None if journal is None else journal.folder
        self._began = monotonic() - core.experiment.at
        self._asking = threading.Lock()
        """Suggestions are made one after the other: each must know of the one before."""
        self._lines: dict[int, _Line] = {}
        self._ready: list[int] = []
        """Trials that may begin or go on, and that nobody has yet been given."""
        self._unwritten: list[Event] = []
        self._copy: _Copy | None = None
        """Where an experiment that is in memory only was written to be read."""
        self._look_at = 0.0
        core.slots = 0

    def now(self) -> float:
        """Return the experiment's time in seconds."""
        return monotonic() - self._began

    def open(self, opening: Sequence[Event]) -> None:
        """Begin the session."""
        self._carry_out(self.core.handle(*opening))

    def ask(self) -> Trial | None:
        """Return the trial that is to run now; None when there is none, for now or for good."""
        with self._asking:
            with self.lock:
                self._look_around()
                if not self._ready:
                    self._carry_out(self.core.offer(1))
            try:
                while not self._ready and self.core.wants_suggestions:
                    answer = self._asked()  # may take long: others tell meanwhile
                    with self.lock:
                        self._carry_out(self.core.handle(answer()))
                with self.lock:
                    return self.experiment.trials[self._ready.pop(0)] if self._ready else None
            finally:
                self.core.slots = 0

    def _asked(self) -> Callable[[], Event]:
        with self.lock:
            work = self._searcher.prepared(1, self.experiment)
            configs = self._searcher.suggest(1, self.experiment) if work is None else ()
        if work is not None:
            configs = work()
        return lambda: self._answer(tuple(configs))

    def _answer(self, configs: tuple[Config, ...]) -> Event:
        if not configs and self._searcher.is_exhausted(self.experiment):
            return SpaceExhausted(at=self.now())
        return Suggested(at=self.now(), configs=configs[:1], origin=type(self._searcher).__name__)

    def report(self, number: int, attempt: int | None, metrics: Metrics, step: int | None) -> bool:
        """Take a result of a trial; return whether it is to go on.

        Args:
            number: The trial's.
            attempt: Which of its attempts speaks; None: the one that there is.
            metrics: What was reported.
            step: Its training_iteration; None: one after the last.
        """
        with self.lock:
            line = self._line(number, attempt)
            trial = self.experiment.trials[number]
            if line is None or (line.is_held and step is not None):
                return False
            if step is not None and step <= trial.number:
                where = f"after step {trial.number}" if trial.number else "from 1 on"
                raise ConfigError(f"trial {number}: step={step}: steps are counted {where}.")
            at = self.now()
            following = trial.number + 1 if step is None else step
            elapsed = line.elapsed + at - line.since
            # What it returns in the end needs no verdict.
            waits = step is not None and self._reaches(line, following, elapsed, metrics)
            event = Reported(
                at=at,
                trial=number,
                attempt=line.attempt,
                number=following,
                metrics=metrics,
                elapsed=elapsed,
                waits=waits,
            )
            self._carry_out(self.core.handle(event))
            if trial.status is Status.PAUSED and number in self._lines:
                line.is_held, line.elapsed = True, elapsed
            return trial.status is Status.RUNNING

    def end(self, number: int, attempt: int | None, failure: Failure | None) -> None:
        """Take the end of a trial: it has done all that it was to do, or failed."""
        with self.lock:
            line = self._line(number, attempt)
            if line is not None:
                outcome = "done" if failure is None else "failed"
                event = AttemptEnded(
                    at=self.now(), trial=number, attempt=line.attempt, outcome=outcome, failure=failure
                )
                self._lines.pop(number, None)
                self._carry_out(self.core.handle(event))

    def _line(self, number: int, attempt: int | None) -> _Line | None:
        """Return the line of a trial that is told of; None where what is told comes too late and is dropped."""
        trials = self.experiment.trials
        if not 0 <= number < len(trials):
            raise ConfigError(f"there is no trial {number}; {len(trials)} were asked for.")
        trial = trials[number]
        if self.experiment.finished is None and trial.status is Status.PENDING and attempt is None:
            # It was asked for in an earlier session. Who knows its number may tell of it.
            self._carry_out(self.core.launch(number))
            self._ready.remove(number)
        line = self._lines.get(number)
        if line is not None and attempt in (None, line.attempt):
            return line
        if trial.status in (Status.COMPLETED, Status.FAILED):
            raise ConfigError(f"trial {number} is over: it has {trial.status}. Each trial is told of once.")
        return None

    def _reaches(self, line: _Line, number: int, elapsed: float, metrics: Mapping[str, Any]) -> bool:
        """Return whether the scheduler is to be asked."""
        time_attr = self.core.scheduler.time_attr
        automatic = {"training_iteration": number, "time_total_s": elapsed}
        time = automatic.get(time_attr, metrics.get(time_attr))
        if not isinstance(time, int | float):
            raise ConfigError(f"the scheduler counts {time_attr!r}, which was not told: {', '.join(metrics)}.")
        return not time < line.until

    def close(self) -> None:
        """End the session. What is under way waits for the next one."""
        with self.lock:
            if self.experiment.finished is None:
                self._carry_out(self.core.handle(StopRequested(at=self.now(), reason="closed")))
            if self._journal is not None:
                self._journal.close()
                self._journal = None

    def results(self) -> Results:
        """Return what was found."""
        with self.lock:
            if self._folder is not None:
                return Results(self._folder, resolve=self._space.resolve)
            if self._copy is None:
                self._copy = _Copy(self.experiment.name, self._space)
            self._write(self._copy.journal)
            return Results(self._copy.journal.folder, resolve=self._copy.resolve)

    # Turns.

    def _carry_out(self, step: Step) -> None:
        while True:
            # As in the loop: remember, then act.
            self._unwritten += step.events
            if self._journal is not None:
                self._write(self._journal)
            ended: list[Event] = []
            for command in step.commands:
                if isinstance(command, Start):
                    elapsed = command.progress.elapsed
                    self._lines[command.trial] = _Line(command.attempt, command.until, self.now(), elapsed)
                    self._ready.append(command.trial)
                elif isinstance(command, Proceed):
                    self._proceed(command)
                elif isinstance(command, Halt | Kill) and self._lines.pop(command.trial, None) is not None:
                    if command.trial in self._ready:
                        self._ready.remove(command.trial)
                    ended.append(
                        AttemptEnded(at=self.now(), trial=command.trial, attempt=command.attempt, outcome="halted")
                    )
            if not ended:
                return
            step = self.core.handle(*ended)

    def _proceed(self, command: Proceed) -> None:
        line = self._lines[command.trial]
        line.until = command.until
        if line.is_held:
            line.is_held, line.since = False, self.now()
            self._ready.append(command.trial)

    def _write(self, journal: Journal) -> None:
        """Write what was not written; what cannot be is tried again with what comes next."""
        journal.append(self._unwritten, self.experiment)
        self._unwritten = []

    def _look_around(self) -> None:
        if self.experiment.finished is not None:
            return
        deadline = self.core.next_deadline()
        if deadline is not None and deadline <= self.now():
            self._carry_out(self.core.tick(self.now()))
        if self._journal is None or monotonic() < self._look_at:
            return
        self._look_at = monotonic() + LOOK_EVERY
        self._journal.sync()
        requests = read_requests(self._journal.folder)
        if requests:
            self._carry_out(
                self.core.handle(
                    *(StopRequested(at=self.now(), reason=each.reason, trial=each.trial) for each in requests)
                )
            )


class _Copy:
    """A journal of an experiment that is in memory only, for as long as somebody reads it."""

    def __init__(self, name: str, space: Space) -> None:
        folder = tempfile.mkdtemp(prefix="tunesmith-")
        self.journal = Journal.create(Path(folder) / name)
        self._space = space
        weakref.finalize(self, _remove, self.journal, folder)

    def resolve(self, config: Config) -> Config:
        """Return a config with the real objects in it. Who reads trials holds this, and with it the folder."""
        return self._space.resolve(config)


def _remove(journal: Journal, folder: str) -> None:
    journal.close()
    shutil.rmtree(folder, ignore_errors=True)


def failure_of(error: BaseException | str) -> Failure:
    """Return the failure that an error told by a person is."""
    if isinstance(error, BaseException):
        from .worker.failure import diagnosed

        found = diagnosed(error)
        return Failure(found.kind, found.message, found.where, found.traceback)
    if not isinstance(error, str) or not error:
        raise TuneError(f"error={error!r}: tell what went wrong: an exception, or text.")
    return Failure("exception", error)

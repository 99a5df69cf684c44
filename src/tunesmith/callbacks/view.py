"""What a person wants to know about a running experiment, as plain data; every display draws from this one place."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..core.events import EarlierTrials, Event, Failure, SpaceChanged
from ..core.experiment import Experiment
from ..core.trial import Status, Trial
from ..layout import trial_folder
from ..text import duration, printable, shown
from .base import Run
from .bests import best_words, config_words

STATUS_ORDER = (Status.RUNNING, Status.PENDING, Status.PAUSED, Status.COMPLETED, Status.STOPPED, Status.FAILED)
SHOWN_TRIALS = 8
RATE_WINDOW = 10.0
"""Seconds over which the rate of results is taken."""
REST = 20
"""What is best is looked up again when so many times the time has passed that it took: it may take O(trials)."""


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A line of the table of running trials."""

    id: int
    iteration: int
    value: str
    """The objective's newest value; empty before the first."""
    seconds: float
    """`time_total_s` so far."""
    silent: float
    """Seconds since its last report (or its start)."""
    config: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """An experiment at one moment, in words."""

    name: str
    seconds: float
    """Since this session began."""
    counts: tuple[tuple[str, int], ...]
    """(status, trials), without zeros."""
    done: int
    wanted: int | None
    results: int
    results_per_second: float
    seconds_left: float | None
    best: str
    """One line: the best trial and its value; empty while there is none."""
    best_config: str
    resources: str
    running: tuple[RunningTrial, ...]
    hidden: int
    """Running trials that the table leaves out."""
    failed: int
    failure: str
    """The first line of the newest failure."""


class View:
    """Watches a session's clock and rates, and takes snapshots of its experiment."""

    def __init__(self, run: Run, experiment: Experiment) -> None:
        self.run = run
        self._experiment = experiment
        self._started = time.monotonic()
        self._done_before = _done(experiment)
        self._results: deque[tuple[float, int]] = deque([(self._started, experiment.results)])
        self.last_failure: tuple[int, Failure] | None = None
        self._best = ("", "")
        self._best_due = 0.0

    def best(self) -> tuple[str, str]:
        """Return what is best in one line, and its config; nearly up to date."""
        before = time.monotonic()
        if before >= self._best_due:
            self._best = best_words(self.run, self._experiment)
            now = time.monotonic()
            self._best_due = now + REST * (now - before)
        return self._best

    def snapshot(self) -> Snapshot:
        """Return how things stand now."""
        experiment = self._experiment
        now = time.monotonic()
        seconds = now - self._started
        self._results.append((now, experiment.results))
        while now - self._results[0][0] > RATE_WINDOW and len(self._results) > 2:
            self._results.popleft()
        (then, before), done = self._results[0], _done(experiment)
        done_now = done - self._done_before
        left = None
        if experiment.trials_wanted is not None and done_now >= 2:
            left = seconds / done_now * max(0, experiment.trials_wanted - done)
        shown = [experiment.trials[number] for number in list(experiment.live)[:SHOWN_TRIALS]]
        best, best_config = self.best()
        failure = ""
        if self.last_failure is not None:
            number, why = self.last_failure
            failure = f"trial {number}: {failure_line(why)}"
        return Snapshot(
            name=printable(self.run.name),
            seconds=seconds,
            counts=tuple(
                (str(status), experiment.counts[status]) for status in STATUS_ORDER if experiment.counts[status]
            ),
            done=done,
            wanted=experiment.trials_wanted,
            results=experiment.results,
            results_per_second=(experiment.results - before) / (now - then) if now > then else 0.0,
            seconds_left=left,
            best=best,
            best_config=best_config,
            resources=usage_line(experiment),
            running=tuple(self._running(trial) for trial in shown),
            hidden=max(0, len(experiment.live) - len(shown)),
            failed=experiment.counts[Status.FAILED],
            failure=failure,
        )

    def _running(self, trial: Trial) -> RunningTrial:
        objective = self._experiment.objective
        value = trial.last.value(objective.metric) if trial.last is not None and objective is not None else None
        return RunningTrial(
            id=trial.id,
            iteration=trial.number,
            value="" if value is None else shown(value),
            seconds=trial.elapsed,
            silent=max(0.0, self._experiment.at - trial.last_at),
            config=config_line(self.run, trial),
        )


def summary_lines(run: Run, experiment: Experiment) -> list[tuple[str, str]]:
    """Return what is left to say when a session is over: (heading, text) pairs."""
    seconds = experiment.at - experiment.session_at
    counts = ", ".join(f"{experiment.counts[status]} {status}" for status in STATUS_ORDER if experiment.counts[status])
    finished = experiment.finished
    lines = [("trials", f"{len(experiment.trials)} in {duration(seconds)}: {counts or 'none'}")]
    if finished is not None and finished.reason != "completed":
        lines.insert(0, (finished.reason.replace("_", " "), finished.message))
    best, config = best_words(run, experiment)
    if best:
        lines.append(("best", f"{best}: {config}"))
    elif experiment.best is not None:
        lines.append(("best", "none: no replicate has completed"))
    elif experiment.objective is not None and experiment.results:
        reported = sorted({name for trial in experiment.trials[:100] if trial.last for name in trial.last.metrics})
        lines.append(("best", f"none: no result has a usable {experiment.objective.metric!r} (reported: {reported})"))
    saved = saved_line(experiment)
    if saved:
        lines.append(("saved", saved))
    failed = [trial for trial in experiment.trials if trial.status is Status.FAILED and trial.failure is not None]
    for trial in failed[:3]:
        assert trial.failure is not None
        lines.append(("failed", f"trial {trial.id}: {failure_line(trial.failure)} ({trial_folder(trial.id)})"))
    if len(failed) > 3:
        lines.append(("failed", f"... and {len(failed) - 3} more"))
    lines.append(("results", short_path(run.folder)))
    if finished is None or finished.reason != "completed":
        lines.append(("go on", run.resume_command))
    return lines


def saved_line(experiment: Experiment) -> str:
    """Return how much training early stopping saved, measured against the longest trial."""
    stopped = experiment.counts[Status.STOPPED]
    longest = max((trial.number for trial in experiment.trials), default=0)
    # One that was stopped before it began, in a race say, has saved all of its training; one that failed has not.
    ended = [
        trial.number
        for trial in experiment.trials
        if trial.status is Status.STOPPED or (trial.status.is_final and trial.number)
    ]
    trained = sum(ended)
    if not stopped or longest < 2 or trained >= longest * len(ended):
        return ""
    full, who = longest * len(ended), "trial was" if stopped == 1 else "trials were"
    return (
        f"{stopped} {who} stopped early: {trained:,} iterations instead of {full:,} "
        f"(if each had run for the longest one's {longest:,}), {1 - trained / full:.0%} less"
    )


def config_line(run: Run, trial: Trial) -> str:
    """Return what a trial's config has that others may not have: the searched parameters."""
    return config_words(run, trial.config)


def announcements(events: Iterable[Event]) -> list[str]:
    """Return lines for what a session begins with: how the space was changed, what earlier experiments brought."""
    lines = []
    for event in events:
        if isinstance(event, SpaceChanged):
            lines += [f"the space was changed: {printable(change)}" for change in event.changes]
        elif isinstance(event, EarlierTrials):
            lines.append(printable(event.told))
    return lines


def failure_line(failure: Failure) -> str:
    """Return a failure in one line, with the user's own frame."""
    return printable(failure.message + (f" ({failure.where})" if failure.where else ""))


def usage_line(experiment: Experiment) -> str:
    """Return the resources in use, e.g. `2/4 cpu, 1/1 gpu`."""
    usage = experiment.pool.usage()
    return ", ".join(f"{used:g}/{total:g} {name}" for name, (used, total) in usage.items() if total)


def _done(experiment: Experiment) -> int:
    return sum(number for status, number in experiment.counts.items() if status.is_final)


def short_path(folder: Path) -> str:
    """Return a path as it is shortest for somebody who stands where this process does."""
    return min(str(folder), os.path.relpath(folder), key=len)

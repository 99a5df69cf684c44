"""What `tunesmith ls`, `show`, `best` and `stop` print and do."""

from __future__ import annotations

import getpass
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from .analysis.results import Results, value_of
from .analysis.trial_result import TrialResult
from .callbacks.view import STATUS_ORDER, announcements, failure_line
from .core.bundles import request_text
from .core.events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    EarlierTrials,
    Event,
    Failure,
    Reported,
    SpaceChanged,
    TrialCompleted,
    TrialContinued,
    TrialExploited,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialReallocated,
    TrialRequeued,
    TrialStopped,
)
from .core.results import AUTOMATIC
from .core.trial import Status
from .errors import ConfigError, ExperimentNotFound, JournalError
from .layout import JOURNAL
from .remote import scheme
from .space.edits import summary
from .store.lock import lock_owner
from .store.reader import ExperimentInfo, JournalReader
from .store.remote import copied_state, remote_url
from .store.requests import StopRequest, write_request
from .terminal import Screen, ago
from .text import described, duration, flat, shown

LAST_RESULTS = 8


def show_experiments(directory: Path) -> None:
    """Print a table of the experiments in a folder, newest first.

    Raises:
        ExperimentNotFound: There is no such folder, or no experiment in it.
    """
    folders = [path.parent for path in directory.glob(f"*/{JOURNAL}")] if directory.is_dir() else []
    if not folders:
        what = "holds no experiment" if directory.is_dir() else "does not exist"
        raise ExperimentNotFound(f"{directory} {what}. Where are they? `tunesmith ls DIR` looks into another folder.")
    lines = sorted((_experiment_line(folder) for folder in folders), key=lambda line: -line[0])
    headings = ("experiment", "status", "trials", "best", "started")
    Screen().table(headings, [cells for _, cells in lines])


def _experiment_line(folder: Path) -> tuple[float, list[str]]:
    try:
        results = Results(folder)
        info = _info(results)
        started = info.session.started if info.session else 0.0
        best = results._best_value()
        when = ago(started) if started else ""
        return started, [folder.name, _status(folder, info)[0], _counts(results), best, when]
    except JournalError:
        return folder.stat().st_mtime, [folder.name, "damaged", f"tunesmith repair {folder}", "", ""]


def show_experiment(results: Results, limit: int, status: str | None) -> None:
    """Print how an experiment stands, its best trials, and why trials failed."""
    screen, info, trials = Screen(), _info(results), _listed(results, limit, status)
    word, more = _status(results.folder, info)
    screen.say(results.name, "bold")
    session = info.session
    screen.pairs(
        {
            "status": f"{word}{', ' + more if more else ''}",
            "trials": _counts(results),
            "best": results._best_line(),
            "searched": _searched(info),
            "by": f"{session.searcher}, {session.scheduler}" if session else "",
            "started": f"{_when(session.started)} ({ago(session.started)})" if session else "",
            "folder": _short(results.folder),
            "kept at": remote_url(results.folder) or "",
        }
    )
    beginnings = _beginnings(results)
    if beginnings:
        screen.say()
        lines = [[_time(event.at), line] for event in beginnings for line in announcements([event])]
        screen.table(("at", "news"), lines, right=("at",))
    if trials:
        screen.say()
        headings = ["trial", "status", results.metric or "results", "iterations", "seconds", "config"]
        lines = [_trial_line(trial, results.metric) for trial in trials]
        if status is not None and any(trial.reason for trial in trials):
            headings.append("why")
            lines = [[*line, trial.reason] for line, trial in zip(lines, trials, strict=True)]
        screen.table(headings, lines, right=_NUMBERS)
    hidden = len(results) - len(trials)
    if hidden > 0:
        screen.say(f"... and {hidden} more; --limit {len(results)} lists all", "dim")
    failed = results.errors
    if failed and status is None:
        screen.say()
        screen.table(
            ("failed", "why"), [(f"trial {t.id}", failure_line(t.error)) for t in failed[:5] if t.error is not None]
        )
        if len(failed) > 5:
            screen.say(f"... and {len(failed) - 5} more: tunesmith show {results.name} --status failed", "dim")


_NUMBERS = ("trial", "iterations", "seconds")


def _listed(results: Results, limit: int, status: str | None) -> list[TrialResult]:
    if limit < 0:
        raise ConfigError(f"--limit {limit}: give a number from 0.")
    if status is None:
        return results.top(limit)
    if status not in list(Status):
        raise ConfigError(f"--status {status}: give one of {', '.join(Status)}.")
    return results.top(limit, Status(status))


def _trial_line(trial: TrialResult, metric: str | None) -> list[str]:
    row = trial._row
    return [
        str(trial.id), trial.status.value, value_of(trial, metric), str(row.number), f"{trial.elapsed:.1f}",
        described(trial.config),
    ]  # fmt: skip


def show_trial(results: Results, number: int) -> None:
    """Print all there is to know about one trial.

    Raises:
        ExperimentNotFound: There is no such trial.
    """
    trial = _trial(results, number)
    screen, row, metric = Screen(), trial._row, results.metric
    screen.say(f"trial {number} of {results.name}", "bold")
    screen.pairs(
        {
            "status": trial.status.value + (f": {trial.reason}" if trial.reason else ""),
            "best": f"{metric}={value_of(trial, metric)} at iteration {row.best.number}" if metric and row.best else "",
            "trained": f"{row.number} iterations in {duration(trial.elapsed)}",
            "attempts": str(trial.attempts) if trial.attempts > 1 else "",
            "checkpoint": _location(trial.checkpoint_location),
            "folder": _short(trial.folder),
        }
    )
    _titled(screen, "config")
    screen.pairs({name: str(value) for name, value in flat(trial.config).items()})
    rows = trial.history[-LAST_RESULTS:]
    if rows:
        _titled(screen, f"last {len(rows)} of {row.results} results" if row.results > len(rows) else "results")
        names = [name for name in rows[-1] if name not in AUTOMATIC]
        headings = ["iteration", "seconds", *names]
        lines = [
            [str(one["training_iteration"]), f"{one['time_total_s']:.1f}", *(shown(one.get(key)) for key in names)]
            for one in rows
        ]
        screen.table(headings, lines, right=headings)
    _titled(screen, "story")
    with JournalReader(results.folder) as reader:
        lines = [[_time(event.at), *told] for event in reader.story(number) if (told := _told(event))]
    screen.table(("at", "what", "why"), lines, right=("at",))
    if trial.error is not None:
        _titled(screen, f"failure ({trial.error.kind})")
        screen.say(failure_line(trial.error), "red")
        screen.say(trial.error.traceback.rstrip())


def show_lineage(results: Results) -> None:
    """Print who became a clone of whom, and what changed in the config."""
    screen, rows = Screen(), results.lineage()
    screen.say(f"lineage of {results.name}", "bold")
    if not rows:
        screen.say("no trial was cloned")
        return
    lines = [
        [
            _time(row["at"]),
            str(row["trial"]),
            "itself" if row["source"] == row["trial"] else str(row["source"]),
            str(row["iteration"]),
            _changed(row["old_config"], row["new_config"]),
            row["reason"],
        ]
        for row in rows
    ]
    screen.table(
        ("at", "trial", "from", "iteration", "config", "why"), lines, right=("at", "trial", "from", "iteration")
    )


def _changed(old: dict[str, Any], new: dict[str, Any]) -> str:
    before, after = flat(old), flat(new)
    different = [name for name in after if name not in before or before[name] != after[name]]
    return ", ".join(f"{name} {shown(before.get(name))} -> {shown(after[name])}" for name in different) or "the same"


def show_best(trial: TrialResult) -> None:
    """Print the best trial, its metrics and its config."""
    screen, metrics = Screen(), trial.metrics
    screen.say(f"trial {trial.id}", "bold")
    own = {name: shown(value) for name, value in metrics.items() if name not in AUTOMATIC}
    screen.pairs({**own, "at iteration": str(metrics.get("training_iteration", ""))})
    _titled(screen, "config")
    screen.pairs({name: str(value) for name, value in flat(trial.config).items()})
    if trial.checkpoint_location is not None:
        _titled(screen, "checkpoint")
        screen.say(_location(trial.checkpoint_location))


def ask_to_stop(results: Results, number: int | None, now: bool) -> None:
    """Leave a request to stop for the process that drives the experiment.

    Raises:
        ConfigError: It is not running, or the trial has ended.
    """
    owner = lock_owner(results.folder)
    if owner is None:
        raise ConfigError(f"{results.name} is not running: there is nothing to stop.")
    if number is not None:
        trial = _trial(results, number)
        if trial.status.is_final:
            raise ConfigError(f"trial {number} of {results.name} is {trial.status} already.")
    write_request(results.folder, StopRequest(f"stopped by {_person()} (tunesmith stop)", number, now))
    what = results.name if number is None else f"trial {number} of {results.name}"
    how = "at once" if now else "at the next report"
    Screen().say(f"asked process {owner.pid} on {owner.host} to stop {what} {how}")


def _trial(results: Results, number: int) -> TrialResult:
    count = len(results)
    if not 0 <= number < count:
        there = f"It has trials 0 to {count - 1}." if count else "It has none yet."
        raise ExperimentNotFound(f"{results.name} has no trial {number}. {there}")
    return results[number]


def _info(results: Results) -> ExperimentInfo:
    with JournalReader(results.folder) as reader:
        return reader.experiment_info()


def _searched(info: ExperimentInfo) -> str:
    if info.session is not None and info.session.space:
        return " ".join(summary(info.session.space))
    return info.created.space.replace("\n", " ") if info.created else ""


def _beginnings(results: Results) -> list[SpaceChanged | EarlierTrials]:
    with JournalReader(results.folder) as reader:
        return reader.beginnings()


def _status(folder: Path, info: ExperimentInfo) -> tuple[str, str]:
    """Return what the experiment is doing, in a word, and more about it."""
    owner = lock_owner(folder)
    if owner is not None:
        return "running", f"process {owner.pid} on {owner.host}" if owner.pid else ""
    copied = copied_state(folder)
    if copied is not None and copied.is_alive:
        return "running", f"process {copied.pid} on {copied.host}, as of {ago(copied.heard_at)}"
    if info.finished is None:
        return "died", f"its process ended without notice; go on: tunesmith resume {_short(folder)}"
    message = info.finished.message
    if info.finished.reason != "completed":
        message = f"{message}; go on: tunesmith resume {_short(folder)}".lstrip("; ")
    return info.finished.reason.replace("_", " "), message


def _counts(results: Results) -> str:
    counts = results.counts
    each = ", ".join(f"{counts[status]} {status}" for status in STATUS_ORDER if counts[status])
    return f"{sum(counts.values())}: {each}" if each else "none yet"


def _told(event: Event) -> tuple[str, str] | None:
    """Return one event of a trial's story as (what, why)."""
    match event:
        case TrialLaunched():
            start = f"from {event.checkpoint}" if event.checkpoint else "from the beginning"
            why = f"{event.reason}; " if event.reason else ""
            return f"attempt {event.attempt} launched", f"{why}{start}, on {event.placement.node}"
        case TrialContinued():
            return "went on", event.reason
        case TrialExploited():
            start = f"at its iteration {event.number}" if event.checkpoint else "from the beginning"
            return f"became a clone of trial {event.source}", f"{event.reason}; {start}".lstrip("; ")
        case TrialReallocated():
            return f"asks for {request_text(event.request)} from now on", event.reason
        case AttemptStarted():
            return "worker started", f"process {event.pid} on {event.host}"
        case Reported():
            return f"checkpoint of iteration {event.number} not stored", event.checkpoint_failure
        case AttemptEnded():
            lost = event.checkpoint_failure and f"its last checkpoint was not stored: {event.checkpoint_failure}"
            return f"attempt {event.attempt} ended: {event.outcome}", _failure(event.failure) or lost
        case TrialPaused() | TrialStopped() | TrialRequeued():
            words = {TrialPaused: "paused", TrialStopped: "stopped", TrialRequeued: "queued again"}
            return words[type(event)], event.reason
        case TrialCompleted():
            return "completed", event.reason or "it ran to its own end"
        case TrialFailed():
            return "failed", _failure(event.failure)
        case CheckpointDropped() if event.reason:
            return "checkpoint dropped", f"{event.checkpoint}: {event.reason}"
    return None


def _failure(failure: Failure | None) -> str:
    return "" if failure is None else failure_line(failure)


def _titled(screen: Screen, title: str) -> None:
    screen.say()
    screen.say(title, "bold")


def _time(at: float) -> str:
    return f"{at:.2f} s" if at < 60 else duration(at)


def _when(wall: float) -> str:
    return datetime.fromtimestamp(wall).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _short(path: Path) -> str:
    relative = os.path.relpath(path)
    return relative if not relative.startswith("..") else str(path)


def _location(path_or_url: str | None) -> str:
    if path_or_url is None or scheme(path_or_url):
        return path_or_url or ""
    return _short(Path(path_or_url))


def _person() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "somebody"

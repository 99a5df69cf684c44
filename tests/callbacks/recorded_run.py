"""An experiment whose events a test writes itself: applied, journaled, shown to `TrialFiles`, as the loop does it."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

from tunesmith.callbacks.base import Run
from tunesmith.callbacks.files import TrialFiles
from tunesmith.core.events import (
    AttemptEnded,
    AttemptStarted,
    Event,
    ExperimentCreated,
    Node,
    Placement,
    Reported,
    SessionOpened,
    Suggested,
    TrialCompleted,
    TrialLaunched,
)
from tunesmith.core.experiment import Experiment
from tunesmith.layout import trial_folder
from tunesmith.store.journal import Journal
from tunesmith.store.reader import fold

CPU = Placement("here", {"cpu": 1.0})


class RecordedRun:
    """One session after another of one experiment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.at = 0.0
        self.session = 0

    def open(self, **run: Any) -> RecordedRun:
        """Begin a session, the first or the next."""
        self.experiment = Experiment()
        self.session += 1
        is_new = self.session == 1
        self.journal = Journal.create(self.folder) if is_new else Journal.open(self.folder)
        if not is_new:
            fold(self.folder, self.experiment)
            self.at = self.experiment.at
        self.files = TrialFiles()
        self.files.open(Run(folder=self.folder, name="run", **run), self.experiment)
        if is_new:
            self.feed(ExperimentCreated(at=0.0, name="run", seed=1, created=1.7e9))
        started = 1.7e9 + 1000 * (self.session - 1) + self.at
        nodes = (Node("here", {"cpu": 64.0}),)
        return self.feed(
            SessionOpened(at=self.at, session=self.session, started=started, metric="loss", mode="min", nodes=nodes)
        )

    def feed(self, *events: Event) -> RecordedRun:
        """Let these happen, in one turn."""
        for event in events:
            self.experiment.apply(event)
            self.at = event.at
        self.journal.append(events, self.experiment)
        self.files.handle(events, self.experiment)
        return self

    def launch(self, trial: int, attempt: int = 1, checkpoint: str | None = None, **config: Any) -> RecordedRun:
        """Launch an attempt; for the first one of all trials with this config."""
        self.at += 1
        if trial == len(self.experiment.trials):
            self.feed(Suggested(at=self.at, configs=({"lr": 0.5, **config},)))
        return self.feed(
            TrialLaunched(at=self.at, trial=trial, attempt=attempt, placement=CPU, checkpoint=checkpoint)
        ).feed(AttemptStarted(at=self.at, trial=trial, attempt=attempt, pid=100 + attempt, host="here"))

    def report(self, trial: int, number: int, *, checkpoint: str | None = None, **metrics: Any) -> RecordedRun:
        """Let the trial's attempt report."""
        self.at += 1
        attempt = self.experiment.trials[trial].attempt
        return self.feed(
            Reported(
                at=self.at, trial=trial, attempt=attempt, number=number, elapsed=2.0 * number, metrics=metrics,
                checkpoint=checkpoint,
            )
        )  # fmt: skip

    def complete(self, trial: int) -> RecordedRun:
        """Let the trial's attempt return."""
        attempt = self.experiment.trials[trial].attempt
        return self.feed(
            AttemptEnded(at=self.at, trial=trial, attempt=attempt, outcome="done"),
            TrialCompleted(at=self.at, trial=trial),
        )

    def flush(self) -> RecordedRun:
        """Write what there is, and wait until it is written."""
        self.files.flush(self.experiment)
        self.files._join()
        return self

    def close(self) -> RecordedRun:
        """End the session in order."""
        self.files.close(self.experiment)
        self.journal.close()
        return self

    def crash(self) -> RecordedRun:
        """End the session as `kill -9` does: what was not flushed is lost."""
        self.journal.close()
        return self

    def path(self, trial: int, name: str) -> Path:
        """Return where one of a trial's files lies."""
        return self.folder / trial_folder(trial) / name

    def rows(self, trial: int) -> list[dict[str, Any]]:
        """Return the lines of a trial's result.json."""
        return [json.loads(line) for line in self.path(trial, "result.json").read_text().splitlines()]

    def table(self, trial: int) -> list[dict[str, str]]:
        """Return the rows of a trial's progress.csv."""
        text = self.path(trial, "progress.csv").read_text()
        return list(csv.DictReader(io.StringIO(text), strict=True))

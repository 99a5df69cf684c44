"""A small experiment with a bit of everything, and the driving of a journal as a controller does it."""

from __future__ import annotations

import math
from pathlib import Path

from tunesmith.core.events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Event,
    ExperimentCreated,
    ExperimentFinished,
    Failure,
    Node,
    NodesChanged,
    Placement,
    Reported,
    SessionOpened,
    SpaceExhausted,
    StopRequested,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.store.journal import Journal
from tunesmith.store.reader import JournalReader
from tunesmith.store.summary import TrialRow, trial_row

CPU = Placement("here", {"cpu": 1.0})


def opening(trials: int = 3, *, session: int = 1, at: float = 0.0) -> list[Event]:
    """The first events of an experiment that minimizes `loss`."""
    return [
        ExperimentCreated(at=0.0, name="small", seed=7, created=1.7e9, version="0.1.0", trainable="train"),
        SessionOpened(
            at=at,
            session=session,
            started=1.7e9,
            metric="loss",
            mode="min",
            request={"cpu": 1.0},
            nodes=(Node("here", {"cpu": 64.0}),),
        ),
        Suggested(at=0.5, configs=tuple({"lr": 10.0**-i, "layers": [i, {"name": "π"}]} for i in range(trials))),
    ]


def launch(trial: int, attempt: int = 1, *, at: float = 1.0, checkpoint: str | None = None) -> TrialLaunched:
    return TrialLaunched(at=at, trial=trial, attempt=attempt, placement=CPU, checkpoint=checkpoint)


def report(trial: int, number: int, loss: float, *, attempt: int = 1, checkpoint: str | None = None) -> Reported:
    return Reported(
        at=1.0 + number, trial=trial, attempt=attempt, number=number, metrics={"loss": loss, "note": "é"},
        elapsed=0.5 * number, checkpoint=checkpoint,
    )  # fmt: skip


def name(trial: int, attempt: int, number: int) -> str:
    return f"trials/{trial:05d}/checkpoints/{attempt}-{number:06d}"


def ended(trial: int, attempt: int = 1, outcome: str = "done", **more: object) -> AttemptEnded:
    return AttemptEnded(at=20.0, trial=trial, attempt=attempt, outcome=outcome, **more)  # type: ignore[arg-type]


def small_run() -> list[list[Event]]:
    """Batches of events: three trials, a retry from a checkpoint, a pause, a failure, nan and inf, two sessions."""
    failure = Failure("exception", "ValueError: lr must be positive", "train.py:12 in train", "Traceback ...")
    return [
        opening(),
        [launch(0), launch(1), AttemptStarted(at=1.0, trial=0, attempt=1, pid=77, host="here")],
        [report(0, 1, 0.9), report(1, 1, math.nan), report(0, 2, 0.7, checkpoint=name(0, 1, 2))],
        [report(1, 2, math.inf), report(0, 3, 0.5), report(0, 4, 0.6)],
        [ended(0, outcome="failed", failure=failure), TrialRequeued(at=20.0, trial=0, reason="retry", failure=failure)],
        [launch(0, 2, at=21.0, checkpoint=name(0, 1, 2)), report(0, 3, 0.55, attempt=2)],
        [ended(1, outcome="failed", failure=failure), TrialFailed(at=20.0, trial=1, failure=failure)],
        [StopRequested(at=21.0, reason="by hand", trial=9), NodesChanged(at=21.0, nodes=(Node("here", {"cpu": 9.0}),))],
        [TrialPaused(at=22.0, trial=0, reason="pause"), ended(0, 2, "halted", checkpoint=name(0, 2, 3))],
        [CheckpointDropped(at=22.0, trial=0, checkpoint=name(0, 1, 2)), SpaceExhausted(at=22.0)],
        [ExperimentFinished(at=23.0, reason="interrupted", message="Ctrl-C")],
        [opening(session=2, at=23.0)[1]],
        [launch(0, 3, at=24.0, checkpoint=name(0, 2, 3)), report(0, 4, 0.4, attempt=3), launch(2, at=24.0)],
        [*(report(2, number, 1.0 / number) for number in range(1, 41))],
        [ended(0, 3), TrialCompleted(at=25.0, trial=0), TrialStopped(at=25.0, trial=2, reason="no better")],
        [ended(2, outcome="killed"), ExperimentFinished(at=26.0, reason="completed")],
    ]


def write(journal: Journal, batches: list[list[Event]], experiment: Experiment | None = None) -> Experiment:
    """Apply and append the batches, as a controller does."""
    experiment = experiment or Experiment()
    for events in batches:
        for event in events:
            experiment.apply(event)
        journal.append(events, experiment)
    return experiment


def written(folder: Path, batches: list[list[Event]] | None = None) -> list[Event]:
    """Make a journal, close it, and return its events."""
    batches = small_run() if batches is None else batches
    with Journal.create(folder) as journal:
        write(journal, batches)
    return [event for batch in batches for event in batch]


def read(folder: Path) -> list[Event]:
    with JournalReader(folder) as reader:
        return [event for _, event in reader.events()]


def folded(events: list[Event]) -> list[TrialRow]:
    """Where the trials stand after these events."""
    experiment = Experiment()
    for event in events:
        experiment.apply(event)
    return [trial_row(trial) for trial in experiment.trials]


def same(left: object, right: object) -> bool:
    """Whether two values are equal, nan included."""
    return repr(left) == repr(right)

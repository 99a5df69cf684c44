"""A result as the flat dict that people and their functions see: what was reported, and the automatic fields.

The only place that spells the automatic fields. A reported metric wins over an automatic field of its name.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from .events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Event,
    Reported,
    Result,
    SessionOpened,
    TrialExploited,
    TrialLaunched,
)


@dataclass(frozen=True)
class Origin:
    """What all results of one attempt share."""

    experiment: str
    trial: int
    zero: float
    """The wall-clock time at which experiment time was zero, as the attempt's session counts it."""
    pid: int = 0
    hostname: str = ""
    number: int = 0
    """How far the trial had come when the attempt began."""
    elapsed: float = 0.0

    @cached_property
    def fields(self) -> dict[str, Any]:
        """The automatic fields that are the same in all of them."""
        return dict(zip(SHARED_FIELDS, (self.trial, self.pid, self.hostname, self.experiment), strict=True))


def result_dict(result: Result) -> dict[str, Any]:
    """Return a result's metrics together with the automatic fields that it knows by itself."""
    fields: dict[str, Any] = {
        "trial_id": result.trial,
        "training_iteration": result.number,
        "time_total_s": result.elapsed,
        "done": False,
    }
    if "mean_loss" in result.metrics:
        fields["neg_mean_loss"] = result.value("neg_mean_loss")
    return {**fields, **result.metrics}


OWN_FIELDS = (
    "training_iteration",
    "time_total_s",
    "time_this_iter_s",
    "iterations_since_restore",
    "time_since_restore",
    "timestamp",
    "date",
    "done",
)
"""The automatic fields that differ from result to result."""
SHARED_FIELDS = ("trial_id", "pid", "hostname", "experiment")
"""Those that all results of an attempt share."""


def own_values(result: Result, origin: Origin, previous: float, done: bool) -> tuple[Any, ...]:
    """Return the values of `OWN_FIELDS`; arguments as in `result_fields`."""
    number, elapsed = result.number, result.elapsed
    seconds = int(origin.zero + result.at)
    return (
        number,
        elapsed,
        elapsed - previous,
        number - origin.number,
        elapsed - origin.elapsed,
        seconds,
        _date(seconds),
        done,
    )


def result_fields(result: Result, origin: Origin, *, previous: float, done: bool = False) -> dict[str, Any]:
    """Return the whole row of a result: metrics first, then every automatic field.

    Args:
        result: What was reported.
        origin: What it shares with the other results of its attempt.
        previous: `elapsed` of the attempt's result before it; for the first one `origin.elapsed`.
        done: Whether it is the trial's last one.
    """
    own = dict(zip(OWN_FIELDS, own_values(result, origin, previous, done), strict=True))
    row = {**result.metrics, **own, **origin.fields}
    if "mean_loss" in result.metrics:
        row["neg_mean_loss"] = result.value("neg_mean_loss")
    return row | result.metrics


class Lineage:
    """Where the results of one trial come from. Feed it the trial's events in order, each after it was used.

    Args:
        experiment: The experiment's name.
        trial: The trial's number.
        kept: How far it had come at checkpoints that lie before the first event: reference -> (number, elapsed).
    """

    __slots__ = ("elapsed", "kept", "number", "origin")

    def __init__(self, experiment: str, trial: int, kept: Mapping[str, tuple[int, float]] | None = None) -> None:
        self.origin = Origin(experiment, trial, 0.0)
        self.number = 0
        self.elapsed = 0.0
        """`elapsed` of the newest result, or of the checkpoint that the attempt started from."""
        self.kept = dict(kept) if kept else None

    def observe(self, event: Event, zero: float) -> None:
        """Learn from an event; `zero` is the wall-clock time at which experiment time was zero."""
        match event:
            case Reported():
                self.number, self.elapsed = event.number, event.elapsed
                if event.checkpoint is not None:
                    self._keep(event.checkpoint)
            case TrialLaunched():
                self.number, self.elapsed = (self.kept or {}).get(event.checkpoint or "", (0, 0.0))
                origin = self.origin
                self.origin = Origin(origin.experiment, origin.trial, zero, 0, "", self.number, self.elapsed)
            case AttemptStarted():
                origin = self.origin
                self.origin = Origin(
                    origin.experiment, origin.trial, origin.zero, event.pid, event.host, origin.number, origin.elapsed
                )
            case AttemptEnded(checkpoint=str() as checkpoint):
                self._keep(checkpoint)
            case TrialExploited(checkpoint=str() as checkpoint):
                self.kept = {**(self.kept or {}), checkpoint: (event.number, event.elapsed)}
            case CheckpointDropped() if self.kept:
                self.kept.pop(event.checkpoint, None)

    def _keep(self, checkpoint: str) -> None:
        if self.kept is None:
            self.kept = {}
        self.kept[checkpoint] = (self.number, self.elapsed)


def trial_results(
    events: Iterable[Event], sessions: Sequence[SessionOpened], *, experiment: str, trial: int, done: bool
) -> Iterator[tuple[Result, dict[str, Any]]]:
    """Yield each result of one trial with its whole row.

    Args:
        events: The trial's events, in order.
        sessions: The experiment's sessions, in order.
        experiment: The experiment's name.
        trial: The trial's number.
        done: Whether the trial is over, so that its last result is the last there will be.
    """
    lineage = Lineage(experiment, trial)
    held: tuple[Result, Origin, float] | None = None
    for event in events:
        if isinstance(event, Reported):
            if held is not None:
                yield held[0], result_fields(held[0], held[1], previous=held[2])
            held = (event, lineage.origin, lineage.elapsed)
        lineage.observe(event, zero_of(sessions, event.at))
    if held is not None:
        yield held[0], result_fields(held[0], held[1], previous=held[2], done=done)


def zero_of(sessions: Sequence[SessionOpened], at: float) -> float:
    """Return the wall-clock time at which experiment time was zero, as the session under way at time `at` counts it."""
    for session in reversed(sessions):
        if session.at <= at:
            return session.started - session.at
    return sessions[0].started - sessions[0].at if sessions else 0.0


@lru_cache(maxsize=16)
def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(seconds))


AUTOMATIC = frozenset((*OWN_FIELDS, *SHARED_FIELDS, "neg_mean_loss"))
"""Every automatic field."""

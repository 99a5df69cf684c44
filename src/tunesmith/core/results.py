"""A result as the flat dict that people and their functions see: what was reported, and the automatic fields.

The only place that spells the automatic fields. A reported metric wins over an automatic field of its name.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from .events import AttemptEnded, AttemptStarted, Event, Reported, Result, SessionOpened, TrialLaunched


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
        return {
            "trial_id": self.trial,
            "pid": self.pid,
            "hostname": self.hostname,
            "experiment": self.experiment,
        }


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


def own_fields(result: Result, origin: Origin, previous: float, done: bool) -> dict[str, Any]:
    """Return the metrics, then the automatic fields that differ from result to result. Arguments as `result_fields`."""
    metrics = result.metrics
    elapsed = result.elapsed
    seconds = int(origin.zero + result.at)
    fields = {
        **metrics,
        "training_iteration": result.number,
        "time_total_s": elapsed,
        "time_this_iter_s": elapsed - previous,
        "iterations_since_restore": result.number - origin.number,
        "time_since_restore": elapsed - origin.elapsed,
        "timestamp": seconds,
        "date": _date(seconds),
        "done": done,
    }
    if "mean_loss" in metrics:
        fields["neg_mean_loss"] = result.value("neg_mean_loss")
    if not AUTOMATIC.isdisjoint(metrics):
        fields.update(metrics)
    return fields


def result_fields(result: Result, origin: Origin, *, previous: float, done: bool = False) -> dict[str, Any]:
    """Return the whole row of a result: metrics first, then every automatic field.

    Args:
        result: What was reported.
        origin: What it shares with the other results of its attempt.
        previous: `elapsed` of the attempt's result before it; for the first one `origin.elapsed`.
        done: Whether it is the trial's last one.
    """
    own = own_fields(result, origin, previous, done)
    return {**own, **origin.fields, **{name: own[name] for name in origin.fields if name in own}}


def trial_results(
    events: Iterable[Event], sessions: Sequence[SessionOpened], *, experiment: str, done: bool
) -> Iterator[dict[str, Any]]:
    """Yield the whole rows of one trial's results.

    Args:
        events: The trial's events, in order.
        sessions: The experiment's sessions, in order.
        experiment: The experiment's name.
        done: Whether the trial is over, so that its last row is the last there will be.
    """
    kept: dict[str | None, tuple[int, float]] = {}
    held: tuple[Result, Origin, float] | None = None
    origin = Origin(experiment, 0, 0.0)
    number, elapsed = 0, 0.0
    for event in events:
        match event:
            case Reported():
                if held is not None:
                    yield result_fields(held[0], held[1], previous=held[2])
                held = (event, origin, elapsed)
                number, elapsed = event.number, event.elapsed
                if event.checkpoint is not None:
                    kept[event.checkpoint] = (number, elapsed)
            case TrialLaunched():
                number, elapsed = kept.get(event.checkpoint, (0, 0.0))
                origin = Origin(experiment, event.trial, _zero(sessions, event.at), 0, "", number, elapsed)
            case AttemptStarted():
                origin = Origin(experiment, event.trial, origin.zero, event.pid, event.host, origin.number, origin.elapsed)
            case AttemptEnded() if event.checkpoint is not None:
                kept[event.checkpoint] = (number, elapsed)
    if held is not None:
        yield result_fields(held[0], held[1], previous=held[2], done=done)


def _zero(sessions: Sequence[SessionOpened], at: float) -> float:
    under_way = next((session for session in reversed(sessions) if session.at <= at), None)
    return 0.0 if under_way is None else under_way.started - under_way.at


@lru_cache(maxsize=16)
def _date(seconds: int) -> str:
    return time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(seconds))


AUTOMATIC = frozenset(
    (
        "date",
        "done",
        "experiment",
        "hostname",
        "iterations_since_restore",
        "neg_mean_loss",
        "pid",
        "time_since_restore",
        "time_this_iter_s",
        "time_total_s",
        "timestamp",
        "training_iteration",
        "trial_id",
    )
)
"""Every automatic field."""

"""Runs one attempt: the user's function or class from its first line to its end, whatever that end is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .protocol import Assignment, Channel, Ended


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJob:
    """What all attempts of one experiment's session share, as far as a worker needs it. Fields as in `executors.base.Job`."""

    trainable: Callable[..., Any]
    experiment: str
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    objects: Mapping[str, Any] = field(default_factory=dict)
    time_attr: str = "training_iteration"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    metric: str | None = None
    checkpoint_freq: int = 0
    checkpoint_at_end: bool = False


def run_attempt(job: WorkerJob, assignment: Assignment, channel: Channel) -> Ended:
    """Run one attempt to its end and return how it ended. Never raises for an error of the user's code."""
    raise NotImplementedError

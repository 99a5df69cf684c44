"""A trial and the table of its life. Nothing here decides; `Experiment.apply` moves a trial along the table."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from ..errors import IllegalTransition
from .events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Config,
    Event,
    Failure,
    Placement,
    Reported,
    Result,
    Suggested,
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


class Status(StrEnum):
    """Where a trial stands."""

    PENDING = "pending"
    """Waits for resources: new, retried, or left over by an earlier session."""
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    """Ended before its own end: by a scheduler, a stop rule or a person."""
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether a trial in this status is over (a failed one may still be queued again by a later session)."""
        return self in (Status.STOPPED, Status.COMPLETED, Status.FAILED)


NEW_TRIAL = "new"

TRANSITIONS: dict[tuple[str, type[Event]], Status] = {
    (NEW_TRIAL, Suggested): Status.PENDING,
    (Status.PENDING, TrialLaunched): Status.RUNNING,
    (Status.PAUSED, TrialLaunched): Status.RUNNING,
    (Status.RUNNING, Reported): Status.RUNNING,
    (Status.PAUSED, Reported): Status.PAUSED,
    (Status.RUNNING, TrialPaused): Status.PAUSED,
    (Status.PAUSED, TrialContinued): Status.RUNNING,
    (Status.RUNNING, TrialExploited): Status.PAUSED,
    (Status.PAUSED, TrialExploited): Status.PAUSED,
    (Status.PENDING, TrialExploited): Status.PENDING,
    (Status.RUNNING, TrialReallocated): Status.PAUSED,
    (Status.PAUSED, TrialReallocated): Status.PAUSED,
    (Status.PENDING, TrialReallocated): Status.PENDING,
    (Status.RUNNING, TrialRequeued): Status.PENDING,
    (Status.PAUSED, TrialRequeued): Status.PENDING,
    (Status.FAILED, TrialRequeued): Status.PENDING,
    (Status.PENDING, TrialStopped): Status.STOPPED,
    (Status.PAUSED, TrialStopped): Status.STOPPED,
    (Status.RUNNING, TrialStopped): Status.STOPPED,
    (Status.RUNNING, TrialCompleted): Status.COMPLETED,
    (Status.PAUSED, TrialCompleted): Status.COMPLETED,
    (Status.PENDING, TrialCompleted): Status.COMPLETED,
    (Status.RUNNING, TrialFailed): Status.FAILED,
    (Status.PENDING, TrialFailed): Status.FAILED,
}
"""(status, event) -> the next status; whatever is not here is illegal.

A paused trial's attempt lives on until it obeys: what it still reports counts, and it may come to its own end first.
"""

ANY_STATUS: tuple[type[Event], ...] = (AttemptStarted, AttemptEnded, CheckpointDropped)
"""Events about an attempt's process or files, which may come in any status and do not change it."""


class Kept(msgspec.Struct, frozen=True):
    """A checkpoint that is kept: how far the trial had come at it, and how good it was."""

    number: int = 0
    elapsed: float = 0.0
    timesteps: float = 0.0
    episodes: float = 0.0
    loss: float = float("inf")
    """By the objective; inf for one that came from another trial."""
    score: float = float("inf")
    """By what checkpoints are kept by, lower being better."""
    size: int = 0
    """In bytes."""


class Trial:
    """One config under evaluation. Read it; only `Experiment.apply` writes it."""

    __slots__ = (
        "attempt",
        "best",
        "best_loss",
        "checkpoint",
        "checkpoints",
        "config",
        "elapsed",
        "failure",
        "failures",
        "first_at",
        "first_request",
        "held",
        "id",
        "interrupted",
        "is_clone",
        "last",
        "last_at",
        "number",
        "placement",
        "reason",
        "request",
        "results",
        "status",
        "story",
    )

    def __init__(self, trial: int, config: Config, request: dict[str, float] | None) -> None:
        self.id = trial
        self.config = config
        self.request = request
        """What it asks for; None: the experiment's default."""
        self.first_request = request
        """What it asked for before a scheduler gave it other resources."""
        self.status = Status.PENDING
        self.attempt = 0
        """Number of its newest attempt; 0 before the first."""
        self.placement: Placement | None = None
        """What its live attempt holds; None when no attempt is alive (it may outlive the status RUNNING)."""
        self.held = False
        """Whether its attempt stands still on purpose, with a process but without its resources."""
        self.is_clone = False
        """Whether it was made a clone since its newest attempt began: what that attempt still says is not its own."""
        self.number = 0
        """`training_iteration` of its newest result; goes back to the checkpoint's when an attempt restarts."""
        self.elapsed = 0.0
        """`time_total_s` of its newest result."""
        self.results = 0
        """How many results its attempts have reported, redone ones included."""
        self.last: Result | None = None
        self.best: Result | None = None
        """The result with the lowest loss it ever had; the earliest of equals."""
        self.best_loss = float("inf")
        self.checkpoint: str | None = None
        """What its next attempt starts from: the newest good checkpoint."""
        self.checkpoints: dict[str, Kept] | None = None
        """Its kept checkpoints by reference, oldest first."""
        self.failures = 0
        self.failure: Failure | None = None
        self.reason = ""
        """Why it was stopped, paused or queued again, in words."""
        self.interrupted = False
        """Whether it is paused only because a session ended."""
        self.first_at = -1.0
        """Experiment time of its first launch; -1 before."""
        self.last_at = -1.0
        """Experiment time of its last change."""
        self.story: tuple[str, ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether an attempt of it is (or may be) alive somewhere, holding resources."""
        return self.placement is not None

    @property
    def best_checkpoint(self) -> str | None:
        """The kept checkpoint with the lowest loss; the newest of equals."""
        kept = self.checkpoints
        return min(reversed(kept), key=lambda name: kept[name].loss) if kept else None

    def moved(self, event: Event) -> Status:
        """Return the status that `event` leads to.

        Raises:
            IllegalTransition: The table has no such step.
        """
        try:
            return TRANSITIONS[self.status, type(event)]
        except KeyError:
            raise IllegalTransition(
                f"trial {self.id} is {self.status} and cannot take {type(event).__name__}. "
                f"Its story: {' -> '.join(self.story) or 'none'}. This is a bug in Tunesmith."
            ) from None

    def __repr__(self) -> str:
        return f"<Trial {self.id} {self.status} attempt={self.attempt} number={self.number}>"

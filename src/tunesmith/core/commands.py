"""What the driver must do now. Never journaled: what it leads to comes back as events."""

from __future__ import annotations

import msgspec

from .events import Config, Placement


class Progress(msgspec.Struct, frozen=True):
    """How far a trial had come at the checkpoint that an attempt starts from; all zero without one."""

    number: int = 0
    elapsed: float = 0.0
    timesteps: float = 0.0
    episodes: float = 0.0


class Suggest(msgspec.Struct, frozen=True):
    """Ask the searcher for `count` configs."""

    count: int


class Start(msgspec.Struct, frozen=True):
    """Run an attempt."""

    trial: int
    attempt: int
    config: Config
    placement: Placement
    until: float
    """The lease: the value of the scheduler's time attribute at which the worker first waits for a verdict."""
    checkpoint: str | None = None
    progress: Progress = Progress()


class Proceed(msgspec.Struct, frozen=True):
    """Let a waiting attempt go on up to `until`."""

    trial: int
    attempt: int
    until: float


class Halt(msgspec.Struct, frozen=True):
    """End an attempt cleanly at its next report; `save` asks a class trainable for a checkpoint."""

    trial: int
    attempt: int
    save: bool = False


class Kill(msgspec.Struct, frozen=True):
    """End an attempt by force: SIGTERM, then SIGKILL to its whole process tree after `grace` seconds."""

    trial: int
    attempt: int
    grace: float = 0.0


class Discard(msgspec.Struct, frozen=True):
    """Delete a checkpoint that nothing needs any more; the path is relative to the experiment's folder."""

    checkpoint: str


Command = Suggest | Start | Proceed | Halt | Kill | Discard

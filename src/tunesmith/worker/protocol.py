"""The messages between a driver, its agents and their workers. Data only: msgpack, never pickle towards the driver.

(trial, attempt) is on every message; the attempt is the fencing token. The user's function and large constants travel
by cloudpickle, towards the worker only, once per worker.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec


class Message(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """The base of all messages."""


class Share(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What an attempt holds besides its own bundle, where it asked for several."""

    node: str
    resources: dict[str, float]
    gpus: tuple[str, ...] = ()


class Assignment(Message, frozen=True):
    """Driver to worker: run this attempt."""

    trial: int
    attempt: int
    config: dict[str, Any]
    """JSON values; `{"$object": id}` stands for an object of the job."""
    until: float
    """The lease: a report waits for a verdict once the job's time attribute has reached this."""
    experiment_folder: str
    trial_folder: str
    """Relative to the experiment's folder."""
    checkpoint: str | None = None
    """Relative to the experiment's folder."""
    number: int = 0
    elapsed: float = 0.0
    timesteps: float = 0.0
    episodes: float = 0.0
    """How far the trial had come at the checkpoint; results count on from there."""
    resources: dict[str, float] = {}
    gpus: tuple[str, ...] = ()
    node: str = ""
    more: tuple[Share, ...] = ()
    rank: int = 0
    """Which of the trial's own processes this is, where it has several that run the same code; only 0 reports."""
    is_rank: bool = False
    """Whether this is one of several such processes, and not the one that has started them."""
    at: str = ""
    """The node where this part of the attempt is to run; "": `node`, the first."""
    meeting: str = ""
    """For a part on another node than the first: what the first part has said in its `Gather`."""

    @property
    def shares_here(self) -> list[Share]:
        """What the attempt holds on the node where this part of it runs."""
        here = self.at or self.node
        return [share for share in (Share(self.node, self.resources, self.gpus), *self.more) if share.node == here]


class Report(Message, frozen=True):
    """Worker to driver: one result. Fields as in `core.events.Reported`."""

    trial: int
    attempt: int
    number: int
    metrics: dict[str, Any]
    elapsed: float
    checkpoint: str | None = None
    waits: bool = False
    checkpoint_bytes: int = 0
    checkpoint_failure: str = ""


class Gather(Message, frozen=True):
    """Worker to driver: have this attempt run on all other nodes too where it holds something.

    Each of these parts is told `meeting`, and has an end of its own, which the driver awaits before the attempt's.
    """

    trial: int
    attempt: int
    meeting: str


class Ended(Message, frozen=True):
    """Worker to driver: the attempt is over. Words as in `core.events.AttemptEnded` and `core.events.Failure`."""

    trial: int
    attempt: int
    outcome: str
    kind: str = ""
    message: str = ""
    where: str = ""
    traceback: str = ""
    checkpoint: str | None = None
    """Saved while it ended, after its last report."""
    checkpoint_bytes: int = 0
    checkpoint_failure: str = ""


class Go(Message, frozen=True):
    """Driver to worker: go on up to `until`."""

    trial: int
    attempt: int
    until: float


class End(Message, frozen=True):
    """Driver to worker: end at the next report; `save` asks a class trainable for a checkpoint first."""

    trial: int
    attempt: int
    save: bool = False


class Channel(Protocol):
    """A running attempt's line to its driver."""

    def send(self, report: Report) -> None:
        """Send a report. May block while the driver is slower (backpressure); never drops one."""

    def receive(self, *, block: bool) -> Go | End | None:
        """Return the next verdict for this attempt; without `block`, None when there is none yet."""

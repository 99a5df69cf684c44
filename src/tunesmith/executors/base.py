"""What every executor is. It runs attempts somewhere, owns time, and turns what happens into events.

The contract, per attempt: at most one `AttemptStarted`, then `Reported` in order of `number`, exactly one
`AttemptEnded`, nothing after it. `start`, `proceed`, `halt` and `kill` never block and never raise for an attempt that
has meanwhile ended; what they lead to comes back from `wait`. No result is ever dropped: when results come faster than
they are read, the workers wait.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.commands import Halt, Kill, Proceed, Start
from ..core.events import Event, Node
from ..layout import trial_folder
from ..worker.protocol import Assignment, Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What all attempts of one experiment's session share."""

    trainable: Callable[..., Any]
    """A function of (config) or (config, reporter), or a `Trainable` class."""
    experiment: str
    folder: Path
    """The experiment's folder; each attempt's files go to its trial's folder in it (see `layout`)."""
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """`with_parameters`: large data, sent to each worker once, passed by keyword (to `setup`, for a class)."""
    objects: Mapping[str, Any] = field(default_factory=dict)
    """What `{"$object": id}` in a config stands for."""
    time_attr: str = "training_iteration"
    """The field that leases count: a report waits for a verdict once it has reached `Start.until`/`Proceed.until`."""
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """A report also waits once one of these metrics has reached its value."""
    metric: str | None = None
    """The objective: a report whose value for it is not a number is refused in the user's own frame."""
    more_metrics: tuple[str, ...] = ()
    """With several objectives: the others, for which the same holds."""
    reuse_workers: bool = False
    checkpoint_freq: int = 0
    """For class trainables: save after each so many steps; 0 never."""
    checkpoint_at_end: bool = False
    saves_when_waiting: bool = False
    """For class trainables: save with each result that waits for a verdict."""
    storage: str = ""
    """The URL under which checkpoints are kept; "": in the experiment's folder."""


def assignment_of(command: Start, folder: str) -> Assignment:
    """Return what a worker is told of an attempt; `folder` is the experiment's."""
    progress, placement = command.progress, command.placement
    return Assignment(
        trial=command.trial,
        attempt=command.attempt,
        config=command.config,
        until=command.until,
        experiment_folder=folder,
        trial_folder=trial_folder(command.trial),
        checkpoint=command.checkpoint,
        number=progress.number,
        elapsed=progress.elapsed,
        timesteps=progress.timesteps,
        episodes=progress.episodes,
        resources=placement.resources,
        gpus=placement.gpus,
        node=placement.node,
        more=tuple(Share(other.node, other.resources, other.gpus) for other in placement.more),
    )


class Executor(ABC):
    """Runs attempts and owns time."""

    most_at_once: int | None = None
    """How many attempts it can run at once, whatever its nodes' resources allow; None is no bound."""
    can_hold: bool = False
    """Whether an attempt that waits for a verdict may wait for as long as it takes, while others run."""
    runs_beside: bool = False
    """Whether attempts run beside this thread, in real time, and `wake` ends a `wait`: then what takes long (a
    searcher's suggestion) may be computed in another thread meanwhile."""

    lease: float = 0.0
    """Seconds for which an attempt may outlive a driver that is gone: it runs where the kernel does not end both."""

    @abstractmethod
    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        """Start the engine; return its nodes. Experiment time goes on from `at` seconds.

        `deliver` hands events over at once and comes back when they are decided and acted on. It is for an executor
        that runs the user's code inside `wait`, in this very thread; any other one returns its events from `wait`.
        """

    @abstractmethod
    def now(self) -> float:
        """Return the experiment's time in seconds."""

    @abstractmethod
    def start(self, command: Start) -> None:
        """Begin an attempt. Its resources are the caller's business."""

    @abstractmethod
    def proceed(self, command: Proceed) -> None:
        """Let a waiting attempt go on."""

    @abstractmethod
    def halt(self, command: Halt) -> None:
        """Ask an attempt to end at its next report."""

    @abstractmethod
    def kill(self, command: Kill) -> None:
        """End an attempt by force."""

    @abstractmethod
    def wait(self, until: float | None) -> list[Event]:
        """Return what has happened, waiting for it up to time `until` (None: as long as it takes).

        Empty when that time has come, or after `wake`.
        """

    def wake(self) -> None:  # noqa: B027  only executors that block need it
        """Make a `wait` that is under way return soon. Safe from a signal handler and from other threads."""

    @property
    def announces(self) -> bool:
        """Whether nodes may come for trials that wait, so that `announce` is of use."""
        return False

    def announce(self, requests: Sequence[Mapping[str, float]]) -> None:  # noqa: B027  only where nodes may come
        """Learn what those trials ask for that wait for room, from time to time."""

    @abstractmethod
    def close(self) -> None:
        """End whatever still runs, at once, and free the engine. May be called twice."""

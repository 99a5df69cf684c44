"""What happened, in the past tense. Frozen, journaled, and the only thing that changes an experiment.

`at` is seconds of experiment time (time between sessions does not count), given by the executor. New fields get a
default, so that old journals stay readable; a field is never renamed or given another meaning.
"""

from __future__ import annotations

from typing import Any

import msgspec

Config = dict[str, Any]
"""One point of the search space, as JSON values; objects that JSON cannot hold stand as `{"$object": id}`."""

Metrics = dict[str, Any]
"""What one report carried: flat (`{"val/accuracy": 0.9}`), JSON values, nan and inf allowed."""


class Node(msgspec.Struct, frozen=True):
    """One machine: its name and what it offers, e.g. `{"cpu": 8, "gpu": 2}`."""

    name: str
    resources: dict[str, float]
    gpus: tuple[str, ...] = ()
    """Identifiers of the GPUs (as CUDA_VISIBLE_DEVICES takes them), one per whole unit of `resources["gpu"]`."""
    expected: bool = False
    """Whether it is not there yet: ordered, and waited for when no other one could run a trial."""


class Placement(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where an attempt runs and what it holds there."""

    node: str
    resources: dict[str, float]
    gpus: tuple[str, ...] = ()
    more: tuple[Placement, ...] = ()
    """What it holds besides, for a trial of several bundles: each one's place, in the request's order."""

    @property
    def bundles(self) -> tuple[Placement, ...]:
        """All that it holds, bundle by bundle; the first is where its process runs."""
        return (self, *self.more)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes on which it holds anything, the one where its process runs first."""
        return tuple(dict.fromkeys(bundle.node for bundle in self.bundles)) if self.more else (self.node,)

    def on(self, node: str) -> dict[str, float]:
        """Return what it holds on one node, all of its bundles there together."""
        held: dict[str, float] = {}
        for bundle in self.bundles:
            if bundle.node == node:
                for name, amount in bundle.resources.items():
                    held[name] = held.get(name, 0) + amount
        return held


class Failure(msgspec.Struct, frozen=True):
    """Why an attempt ended badly.

    `kind` is one of: exception, out_of_memory, signal, exit, time_limit, hung, nan, lost, checkpoint, resources; in a
    simulation also censored: its recorded curve ends there.
    """

    kind: str
    message: str
    """One line that a person can act on, e.g. `ValueError: lr must be positive`."""
    where: str = ""
    """The user's own frame, e.g. `train.py:12 in train`."""
    traceback: str = ""

    @property
    def signature(self) -> tuple[str, str, str]:
        """What two failures share when they are alike: kind, type of exception and place."""
        return (self.kind, self.message.partition(":")[0], self.where)


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The base of all events."""

    at: float


class ExperimentCreated(Event, frozen=True):
    """A new experiment; the first event of every journal."""

    name: str
    seed: int
    created: float
    """Wall-clock time, seconds since 1970 (UTC)."""
    version: str = ""
    """The version of Tunesmith that wrote it."""
    trainable: str = ""
    """The trainable's name, for people."""
    space: str = ""
    """The space as text, for people."""


class SessionOpened(Event, frozen=True):
    """A controller began to drive the experiment: the first session or a resumed one."""

    session: int
    started: float
    """Wall-clock time, seconds since 1970 (UTC)."""
    metric: str | None = None
    mode: str = "max"
    trials_wanted: int | None = None
    """How many trials the experiment is to have in total; None is no bound."""
    request: dict[str, float] = msgspec.field(default_factory=lambda: {"cpu": 1})
    """What a trial asks for that has no request of its own."""
    nodes: tuple[Node, ...] = ()
    scheduler: str = ""
    searcher: str = ""
    host: str = ""
    pid: int = 0
    retry_failed: bool = False
    """Whether this session queues failed trials again."""
    objects: dict[str, str] = msgspec.field(default_factory=dict)
    """What `{"$object": id}` in configs stand for, as text for people."""
    more_objectives: tuple[tuple[str, str], ...] = ()
    """With several objectives: (metric, mode) of those after the first."""
    checkpoint_score: tuple[str, str] | None = None
    """(metric, mode) by which checkpoints are kept; None: the objective."""
    replicates: int = 1
    """How many trials each config has; the index stands in it, as `replicate`."""
    space: dict[str, Any] = msgspec.field(default_factory=dict)
    """What is searched, as `space/edits.py` describes it, to be compared with what a later session searches."""
    lease: float = 0.0
    """Seconds for which its attempts may go on elsewhere once this session's controller is gone."""


class SpaceChanged(Event, frozen=True):
    """The session that has just opened searches another space than the one before it."""

    changes: tuple[str, ...]
    """What is different, a sentence for each parameter."""
    outside: tuple[int, ...] = ()
    """Trials whose configs do not lie in the space any more: they stay, and searchers do not learn from them."""


class EarlierTrials(Event, frozen=True):
    """What other experiments found, for the searcher to begin with; taken once, so that they may go away."""

    source: str
    """What the user called it: a folder, say."""
    configs: tuple[Config, ...]
    losses: tuple[tuple[float, ...], ...]
    """Of each config, for each objective; lower is better, and they compare with each other only."""
    objectives: tuple[tuple[str, str], ...] = ()
    """(metric, mode) of this experiment's objectives that the losses stand for."""
    told: str = ""
    """How many were taken and why others were not, in a sentence."""


class NodesChanged(Event, frozen=True):
    """Machines joined or left."""

    nodes: tuple[Node, ...]


class Suggested(Event, frozen=True):
    """The searcher proposed configs; trial numbers follow in order."""

    configs: tuple[Config, ...]
    requests: tuple[dict[str, float], ...] | None = None
    """What each asks for; None: what the experiment's trials ask for by default."""
    origin: str = ""


class SpaceExhausted(Event, frozen=True):
    """The searcher has nothing more to propose, ever."""


class Reported(Event, frozen=True):
    """One `report` of a running attempt. Also what policies see as a *result*."""

    trial: int
    attempt: int
    number: int
    """Which result of the trial's line of work this is: `training_iteration`, counted on from the checkpoint."""
    metrics: Metrics
    elapsed: float = 0.0
    """`time_total_s`: seconds the trial has trained, counted on from the checkpoint."""
    checkpoint: str | None = None
    """Path relative to the experiment's folder."""
    waits: bool = False
    """Whether the worker stands still until it is told to proceed or to halt."""
    checkpoint_bytes: int = 0
    """How large the checkpoint is."""
    checkpoint_failure: str = ""
    """Why it has none, where one was given that could not be stored."""

    def value(self, name: str) -> Any:
        """Return the metric or the automatic field called `name`; None when the result has neither."""
        found = self.metrics.get(name)
        if found is not None:
            return found
        match name:
            case "training_iteration":
                return self.number
            case "time_total_s":
                return self.elapsed
            case "trial_id":
                return self.trial
            case "neg_mean_loss":
                loss = self.metrics.get("mean_loss")
                return None if loss is None else -loss
        return None


class AttemptStarted(Event, frozen=True):
    """A worker took the attempt up."""

    trial: int
    attempt: int
    pid: int
    host: str


class AttemptEnded(Event, frozen=True):
    """A worker's life for a trial is over; exactly one per attempt, and nothing after it.

    `outcome` is one of: done (it returned), halted (it obeyed a halt), failed (its fault), killed (on our order), lost
    (its process, node or session went away).
    """

    trial: int
    attempt: int
    outcome: str
    failure: Failure | None = None
    checkpoint: str | None = None
    """Saved while it ended, after its last report."""
    checkpoint_bytes: int = 0
    checkpoint_failure: str = ""


class StopRequested(Event, frozen=True):
    """A person or a signal asked to stop one trial, or with `trial` None everything."""

    reason: str
    trial: int | None = None
    now: bool = False
    """Kill at once instead of letting the attempts finish cleanly."""


class TrialLaunched(Event, frozen=True):
    """Decided: the trial gets resources and a new attempt."""

    trial: int
    attempt: int
    placement: Placement
    checkpoint: str | None = None
    """What the attempt goes on from."""
    reason: str = ""
    """Why it goes on, where a scheduler says so: a promotion, say."""


class TrialPaused(Event, frozen=True):
    """Decided: the attempt ends and the trial may go on later, from its last checkpoint."""

    trial: int
    reason: str = ""
    interrupted: bool = False
    """True when the controller itself ends: the next session queues the trial again."""
    held: bool = False
    """True when its process does not end: it stands still, without resources, until the trial goes on."""


class TrialContinued(Event, frozen=True):
    """Decided: a trial whose process was held gets its resources back, and its attempt goes on."""

    trial: int
    reason: str = ""


class TrialExploited(Event, frozen=True):
    """Decided: the trial becomes a clone of `source`, with a config of its own; paused until it is resumed."""

    trial: int
    source: int
    config: Config
    checkpoint: str | None = None
    """The source's newest; what the trial's next attempt goes on from."""
    number: int = 0
    """How far the source had come at it: `training_iteration`."""
    elapsed: float = 0.0
    """The same in seconds: `time_total_s`."""
    reason: str = ""


class TrialReallocated(Event, frozen=True):
    """Decided: the trial asks for other resources from now on; paused until it is resumed."""

    trial: int
    request: dict[str, float]
    reason: str = ""


class TrialStopped(Event, frozen=True):
    """Decided: the trial ends early, for it is not worth going on, or because somebody asked."""

    trial: int
    reason: str


class TrialCompleted(Event, frozen=True):
    """Decided: the trial ran to its own end, or has had all that it was to get."""

    trial: int
    reason: str = ""
    """Empty when its own code ended it; otherwise the rule, e.g. `accuracy=0.991 reached 0.99`."""


class TrialFailed(Event, frozen=True):
    """Decided: the trial failed for good."""

    trial: int
    failure: Failure


class TrialRequeued(Event, frozen=True):
    """Decided: the trial waits for resources again, to go on from its last good checkpoint."""

    trial: int
    reason: str = ""
    failure: Failure | None = None
    """What went wrong, when this is a retry that counts against `max_failures`."""


class CheckpointDropped(Event, frozen=True):
    """Decided: nothing needs this checkpoint any more, or it was found damaged."""

    trial: int
    checkpoint: str
    reason: str = ""


class ExperimentFinished(Event, frozen=True):
    """Decided: this session is over.

    `reason` is one of: completed, stopped, interrupted, time_budget, failed, stuck.
    """

    reason: str
    message: str = ""


Result = Reported
"""A result is the event that reported it."""

EVENT_TYPES: tuple[type[Event], ...] = (
    ExperimentCreated,
    SessionOpened,
    SpaceChanged,
    EarlierTrials,
    NodesChanged,
    Suggested,
    SpaceExhausted,
    Reported,
    AttemptStarted,
    AttemptEnded,
    StopRequested,
    TrialLaunched,
    TrialPaused,
    TrialContinued,
    TrialExploited,
    TrialReallocated,
    TrialStopped,
    TrialCompleted,
    TrialFailed,
    TrialRequeued,
    CheckpointDropped,
    ExperimentFinished,
)

"""What a searcher, a scheduler and a stop rule are. They get a read-only view of the experiment and return decisions.

One law: `observe` is the only method that changes a policy; every other one is a query. At a resume `observe` is fed
the journal's events, each right after the experiment has applied it, exactly as it happened live; so a policy needs
no way to be saved, and may be exchanged for another between two sessions.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

import msgspec

from .events import Config, Event, Result

if TYPE_CHECKING:
    from .experiment import Experiment
    from .trial import Trial

P = TypeVar("P", bound="Policy")
FOREVER = float("inf")
ONE_RESULT = float("-inf")


class Continue(msgspec.Struct, frozen=True):
    """Let the trial go on."""


class Pause(msgspec.Struct, frozen=True):
    """End the attempt and keep the trial for later."""

    reason: str = "paused by the scheduler"


class Stop(msgspec.Struct, frozen=True):
    """End the trial early: it is not worth going on."""

    reason: str


class Complete(msgspec.Struct, frozen=True):
    """End the trial: it has had all that it was to get."""

    reason: str


class Exploit(msgspec.Struct, frozen=True):
    """Make the trial a clone: it goes on from the newest checkpoint of `source`, with another config.

    Its attempt ends, and it is paused until `choose` resumes it. With `source` the trial itself it goes on from its own
    checkpoint. A source without a checkpoint makes it start from the beginning.
    """

    source: int
    config: Config
    reason: str


class Reallocate(msgspec.Struct, frozen=True):
    """Give the trial other resources: its attempt ends with a checkpoint, and it pauses until `choose` resumes it."""

    request: dict[str, float]
    reason: str


Decision = Continue | Pause | Stop | Complete | Exploit | Reallocate
CONTINUE = Continue()


class New(msgspec.Struct, frozen=True):
    """Give the free resources to the next trial in the queue (or to a new suggestion)."""


class Resume(msgspec.Struct, frozen=True):
    """Give them to this paused trial."""

    trial: int
    reason: str = ""


class Decided(msgspec.Struct, frozen=True):
    """Before anybody gets them: this is decided of a trial that is paused or waits for resources."""

    trial: int
    decision: Stop | Complete | Exploit | Reallocate


class Wait(msgspec.Struct, frozen=True):
    """Give them to nobody for now."""


Choice = New | Resume | Decided | Wait
NEW = New()
WAIT = Wait()


class Policy:
    """What searchers, schedulers and stop rules share."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn from an event that `experiment` has just applied."""

    @property
    def warnings(self) -> Sequence[str]:
        """What a person should be told once; it only grows. A query like every other."""
        return ()

    @property
    def notes(self) -> Sequence[str]:
        """What a person may want to know: what was chosen and why. It only grows; displays show each once."""
        return ()


class Searcher(Policy, ABC):
    """Proposes configs."""

    ignores_earlier_trials: bool = False
    """Whether it has no use for the `EarlierTrials` that it observes; then `warm_from=` is refused."""

    @abstractmethod
    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return up to `count` configs for the trials that come next; fewer means none for now.

        The first one is for trial number `experiment.next_number`. A query: the same experiment gives the same answer.
        """

    def prepared(self, count: int, experiment: Experiment) -> Callable[[], Sequence[Config]] | None:
        """Return what computes `suggest(count, experiment)` later, in any thread; None: `suggest` is quick enough.

        A snapshot is taken now, and what is returned looks at nothing else: neither at the experiment nor at anything
        that `observe` changes. So it may take its time beside the trials, while the loop goes on.
        """
        return None

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether there is nothing more to propose, ever."""
        return False


class Scheduler(Policy, ABC):
    """Says what a running trial does next and which trial gets free resources.

    `time_attr` is the field of a result that counts its resource (training_iteration, time_total_s, or a metric that
    grows such as timesteps_total). A running trial holds a *lease*: it streams its results without waiting until
    `time_attr` reaches `lease(trial)`; at that result it waits, and `decide` is asked. A scheduler that defines
    `decide` alone gets a lease of one result, so its decisions are exact.
    """

    time_attr: str = "training_iteration"
    compares_trials: bool = True
    """Whether what it does with a trial may depend on other trials, on resources or on the order in which results come
    in. Then the same trials come to other ends with another number of workers, and `deterministic=` is refused."""
    saves_when_waiting: bool = False
    """Whether class trainables save a checkpoint with each result that waits for a verdict. What functions report is
    theirs to say."""

    @abstractmethod
    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Return what the trial does after this result. `observe` has already seen the result."""

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the value of `time_attr` up to which the trial may run before it must wait for `decide`."""
        return ONE_RESULT

    def choose(self, experiment: Experiment) -> Choice:
        """Return who gets resources that are free now. Asked again until it says Wait or nothing fits.

        By default new trials come first; when there are no more, the one that has been paused for longest.
        """
        resumable = None if experiment.has_more_to_come else experiment.first_resumable()
        return NEW if resumable is None else Resume(resumable)

    def unblock(self, experiment: Experiment) -> Choice:
        """Return who goes on in spite of `choose`: nothing runs, nobody new can start, and trials are paused.

        By default the one that has been paused for longest. `Wait` lets the session end as stuck.
        """
        resumable = experiment.first_resumable()
        return WAIT if resumable is None else Resume(resumable, "nothing else could run")


class Stopper(Policy):
    """Says when a trial, or the whole experiment, is to stop.

    `thresholds` are rules that a worker can judge alone: it waits for a verdict at the first result where one of these
    metrics has reached its value. A stopper that must see every result says so by `every_result = True`.
    """

    thresholds: Mapping[str, float] = MappingProxyType({})
    every_result: bool = True
    deadline: float | None = None
    """Experiment time at which `stop_experiment` is to be asked even if nothing has happened; None: no such time."""

    def stop_trial(self, result: Result, experiment: Experiment) -> str | None:
        """Return why this trial is to stop now, or None."""
        return None

    def stop_experiment(self, experiment: Experiment) -> str | None:
        """Return why everything is to stop now, or None. Asked after every turn that brought results or ends."""
        return None


def unused(policy: P) -> P:
    """Return a copy of a policy, so that its owner may give the same object to another run, where it starts anew."""
    with suppress(Exception):  # of what cannot be copied, a lock say, there is only the one
        return copy.deepcopy(policy)
    return policy

"""Gives running trials more or fewer resources, around any other scheduler.

A method of its own kind: it decides nothing about who is good. It asks an allocation function (`allocation`) what a
trial should hold, and if that differs lets it save, end, and go on with the new grant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..core.bundles import checked_request, is_request, request_text
from ..core.events import (
    Event,
    Reported,
    Result,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialReallocated,
    TrialRequeued,
    TrialStopped,
)
from ..core.objective import Objective
from ..core.policy import ONE_RESULT, WAIT, Choice, Continue, Decided, Decision, Reallocate, Resume, Scheduler
from ..core.trial import Status
from ..errors import ConfigError, ResourceError
from .allocation import Allocation, DistributeResources, DistributeResourcesToTopJob, free_for
from .arguments import number, time_of
from .fifo import FIFOScheduler

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class ResourceChangingScheduler(Scheduler):
    """Wraps a scheduler, and gives running trials more or fewer resources.

    A running trial is asked for at every `interval` of the base scheduler's `time_attr`, and wherever the base
    scheduler looks at it anyway. If that lets it go on and the allocation function wants it to hold something else, it
    ends with a checkpoint, and at once starts again from there with the new grant: `tune.get_context().resources`, or
    `trial_resources` in a class, say which. While it changes nobody else takes what it was promised.

    Nothing is lost: a trial changes only at a result that has a checkpoint. Class trainables save one at each of these
    results; a function says itself when it does, and is asked for again at each result until then; one that never does
    keeps what it has, and a warning says so. A trial that fails or is lost asks for its first request again.

    Everything else (the decisions, who comes next, the objective, what the display says) is the base scheduler's.

    Args:
        base_scheduler: Decides about the trials; by default they run to their end in their order.
        resources_allocation_function: A callable of (experiment, trial); see `allocation`. Default: an even share.
        interval: How often to ask, in units of `time_attr`: each so many results, by default.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    saves_when_waiting = True

    def __init__(
        self,
        base_scheduler: Scheduler | None = None,
        resources_allocation_function: Allocation | None = None,
        *,
        interval: float = 10,
    ) -> None:
        owner = type(self).__name__
        if base_scheduler is not None and not isinstance(base_scheduler, Scheduler):
            raise ConfigError(f"{owner}: base_scheduler={base_scheduler!r}: give a tune.Scheduler, or leave it out.")
        if isinstance(base_scheduler, ResourceChangingScheduler):
            raise ConfigError(f"{owner}: base_scheduler is a {owner} itself. Give the scheduler inside it.")
        if resources_allocation_function is not None and not callable(resources_allocation_function):
            raise ConfigError(
                f"{owner}: resources_allocation_function={resources_allocation_function!r}: give a callable of "
                "(experiment, trial), such as DistributeResources()."
            )
        self.base_scheduler = base_scheduler or FIFOScheduler()
        self.resources_allocation_function = resources_allocation_function or DistributeResources()
        self.interval = number(owner, "interval", interval, above=0)
        self.time_attr = self.base_scheduler.time_attr
        self._grown_again: dict[int, None] = {}
        """Trials that are queued again and still ask for what a trial before its failure had."""
        self._own_warnings: list[str] = []
        self._warnings: list[str] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "base_scheduler":
            raise AttributeError(name)
        return getattr(self.base_scheduler, name)  # the display and reports ask schedulers for more than the interface

    @property
    def objective(self) -> Objective | None:
        """What the base scheduler ranks by, or the allocation function; AttributeError when neither ranks anything."""
        allocate = self.resources_allocation_function
        if isinstance(allocate, DistributeResourcesToTopJob):
            own: Objective | None = getattr(self.base_scheduler, "objective", None)
            return own or allocate.objective
        objective: Objective | None = self.base_scheduler.objective  # type: ignore[attr-defined]
        return objective

    @property
    def warnings(self) -> Sequence[str]:
        """Its own and the base scheduler's, in the order in which they came."""
        return self._warnings

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Let the base scheduler learn; see who cannot change, and who asks for too much when it is queued again."""
        seen = len(self.base_scheduler.warnings)
        self.base_scheduler.observe(event, experiment)
        self._warnings += self.base_scheduler.warnings[seen:]
        kind = type(event)
        if kind is Reported:
            if event.waits and not self._own_warnings:  # type: ignore[attr-defined]
                self._see_who_cannot_change(event, experiment)  # type: ignore[arg-type]
        elif kind is TrialRequeued:
            trial = experiment.trials[event.trial]  # type: ignore[attr-defined]
            if trial.request is not None and trial.request != experiment.first_request_of(trial):
                self._grown_again[trial.id] = None
        elif self._grown_again and kind in _NO_MORE_QUEUED:
            self._grown_again.pop(event.trial, None)  # type: ignore[attr-defined]

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Return what the base scheduler decides; if the trial may go on, perhaps with other resources."""
        decision = self.base_scheduler.decide(result, experiment)
        if not isinstance(decision, Continue) or result.checkpoint is None:
            return decision
        trial = experiment.trials[result.trial]
        request = self._wish(trial, experiment)
        if request is None:
            return decision
        return Reallocate(request, f"{request_text(experiment.request_of(trial))} -> {request_text(request)}")

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the base scheduler's lease, or the next time at which to ask what the trial should hold."""
        lease = self.base_scheduler.lease(trial, experiment)
        last = trial.last
        is_between = last is not None and last.attempt == trial.attempt and last.checkpoint is None
        if is_between and trial.checkpoint is not None and self._wish(trial, experiment) is not None:
            return ONE_RESULT  # until it reports a checkpoint again
        return min(lease, self._time(trial) + self.interval)

    def choose(self, experiment: Experiment) -> Choice:
        """Let trials that change go on first; then ask the base scheduler."""
        for number_ in self._grown_again:
            return self._first_request(experiment.trials[number_], experiment, "it is queued again")
        ready = [
            trial
            for trial in map(experiment.trials.__getitem__, experiment.reallocated)
            if experiment.is_resumable(trial)
        ]
        for trial in ready:
            if experiment.pool.find(experiment.request_of(trial)) is not None:
                return Resume(trial.id, f"with {request_text(experiment.request_of(trial))}")
        for trial in ready:
            if experiment.request_of(trial) != experiment.first_request_of(trial):
                return self._first_request(trial, experiment, "what it was to get is gone")
        if experiment.reallocated and (experiment.live or experiment.leaving):
            return WAIT  # what they were promised is for nobody else
        return self._fitting(self.base_scheduler.choose(experiment), experiment)

    def unblock(self, experiment: Experiment) -> Choice:
        """Ask the base scheduler."""
        return self._fitting(self.base_scheduler.unblock(experiment), experiment)

    def _fitting(self, choice: Choice, experiment: Experiment) -> Choice:
        """Return the choice; if a paused trial is to go on that once grew and does not fit now, let it shrink first."""
        if isinstance(choice, Resume):
            trial = experiment.trials[choice.trial]
            if experiment.is_resumable(trial) and not trial.held:
                request, first = experiment.request_of(trial), experiment.first_request_of(trial)
                if request != first and experiment.pool.find(request) is None:
                    return self._first_request(trial, experiment, "what it had is not free")
        return choice

    def describe(self) -> str:
        """Return what the base scheduler says of itself."""
        describe = getattr(self.base_scheduler, "describe", None)
        return "" if describe is None else str(describe())

    def _wish(self, trial: Trial, experiment: Experiment) -> dict[str, float] | None:
        """Return what a running trial should hold from now on, if that differs from what it has and can be given."""
        asked = self.resources_allocation_function(experiment, trial)
        if asked is None or trial.placement is None:
            return None
        if not is_request(asked):
            raise ConfigError(
                f"resources_allocation_function returned {asked!r} for trial {trial.id}; "
                "it must return a dict such as {'cpu': 2}, or None."
            )
        try:
            request = checked_request(asked)
            experiment.pool.check(request)
        except ResourceError as error:
            raise ResourceError(f"resources_allocation_function, for trial {trial.id}: {error}") from error
        has = experiment.request_of(trial)
        if request == has:
            return None
        room = free_for(experiment, trial, {})
        fits = all(amount <= has.get(name, 0.0) + room.get(name, 0.0) + 1e-6 for name, amount in request.items())
        return request if fits else None

    def _see_who_cannot_change(self, result: Result, experiment: Experiment) -> None:
        trial = experiment.trials[result.trial]
        if result.checkpoint is None and trial.checkpoint is None and trial.status is Status.RUNNING:
            wish = self._wish(trial, experiment)
            if wish is not None:
                warning = (
                    f"trial {trial.id} could go on with {request_text(wish)}, but it has no checkpoint to go on from: "
                    "it keeps what it has, and so does every trial without one. Report checkpoints "
                    "(tune.report(..., checkpoint=folder)), or define save_checkpoint()."
                )
                self._own_warnings.append(warning)
                self._warnings.append(warning)

    def _first_request(self, trial: Trial, experiment: Experiment, reason: str) -> Decided:
        first = dict(experiment.first_request_of(trial))
        return Decided(trial.id, Reallocate(first, f"back to {request_text(first)}: {reason}"))

    def _time(self, trial: Trial) -> float:
        if self.time_attr == "training_iteration":
            return trial.number
        if self.time_attr == "time_total_s":
            return trial.elapsed
        return (None if trial.last is None else time_of(trial.last, self.time_attr)) or 0.0


_NO_MORE_QUEUED = (TrialCompleted, TrialFailed, TrialLaunched, TrialReallocated, TrialStopped)

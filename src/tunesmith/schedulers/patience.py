"""The patience rule: a trial stops when it has not got better for a while. It compares a trial with nobody but itself.

Known as early stopping; Prechelt 1998, "Early Stopping - But When?", section 2 (its criterion UP in units of time).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Result, TrialCompleted, TrialStopped
from ..core.objective import WORST, Objective
from ..core.policy import CONTINUE, Decision, Scheduler, Stop
from .arguments import number, objective_of, own_objective, time_attribute, time_of

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class _Progress:
    """What the rule must remember of one trial."""

    __slots__ = ("best", "is_over", "since")

    def __init__(self, time: float) -> None:
        self.best = WORST
        self.since = time
        """Its time when it last got better; before its first number, when it first reported."""
        self.is_over = False
        """Whether its newest result came too late to be better."""


class PatienceRule(Scheduler):
    """Stops a trial that has not got better by more than `min_delta` for `patience` units of time.

    The first number counts as better, and after it one that is more than `min_delta` better than the last one that
    counted. A trial that never has a number is given `patience` from its first result on. Steps that an attempt redoes
    after a restart count like others; time that has passed is not taken back: a trial that improved at time 8 and
    restarts at 5 has until 8 + `patience`. A missing or nan metric is no improvement.

    A result costs O(1); a trial runs without waiting up to the time at which its patience would end.

    Args:
        patience: How long a trial may go without getting better, in units of `time_attr`.
        min_delta: By how much a value must be better; 0: by anything.
        grace_period: No trial is stopped before this time.
        time_attr: What counts as time: training_iteration, time_total_s, or a reported metric that grows.
        metric: What must get better, with `mode`; by default the experiment's.
        mode: "min" or "max".

    Raises:
        ConfigError: An argument that makes no sense.
    """

    compares_trials = False

    def __init__(
        self,
        patience: float,
        *,
        min_delta: float = 0.0,
        grace_period: float = 0.0,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, None)
        self.patience = number(owner, "patience", patience, above=0)
        self.min_delta = number(owner, "min_delta", min_delta, least=0)
        self.grace_period = number(owner, "grace_period", grace_period, least=0)
        self._forget(None)

    def _forget(self, objective: Objective | None) -> None:
        self._ranked_by = objective
        self._trials: dict[int, _Progress] = {}

    def observe(self, event: Event, experiment: Experiment) -> None:
        """See whether a trial got better."""
        if type(event) is Reported:
            self._record(event, experiment)
        elif type(event) is TrialStopped or type(event) is TrialCompleted:
            self._trials.pop(event.trial, None)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Stop a trial whose patience has ended with this result."""
        progress = self._trials.get(result.trial)
        if progress is None or not progress.is_over or self._ranked_by is None:
            return CONTINUE
        metric = self._ranked_by.metric
        if progress.best == WORST:
            return Stop(f"it has had no number for {metric} since {self.time_attr} {progress.since:g}")
        more = f" by more than {self.min_delta:g}" if self.min_delta else ""
        return Stop(
            f"{metric} has not got better{more} for {self.patience:g} of {self.time_attr}: "
            f"{self._ranked_by.value_of(progress.best):.6g} at {progress.since:g}"
        )

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the earliest time at which the trial could be stopped."""
        progress = self._trials.get(trial.id)
        since = 0.0 if progress is None else progress.since
        return max(since + self.patience, self.grace_period)

    def _record(self, result: Reported, experiment: Experiment) -> None:
        objective = objective_of(type(self).__name__, self.objective, experiment)
        if objective is not self._ranked_by and objective != self._ranked_by:
            self._forget(objective)  # Losses of another metric, of an earlier session, compare with nothing.
        time = time_of(result, self.time_attr)
        progress = self._trials.get(result.trial)
        if progress is None:
            if time is None:
                return
            progress = self._trials[result.trial] = _Progress(time)
        loss = objective.loss(result)
        if time is None:
            progress.is_over = False
            return
        if loss < progress.best and (math.isinf(progress.best) or loss < progress.best - self.min_delta):
            progress.best = loss
            # Never earlier than before: leases that others hold were given for the later time.
            progress.since = max(progress.since, time)
        progress.is_over = time >= max(progress.since + self.patience, self.grace_period)

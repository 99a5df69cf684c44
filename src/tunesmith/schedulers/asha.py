"""ASHA, stopping variant: a trial that reaches a rung goes on only if it is among the rung's best so far.

Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"; the stopping rule is Ray Tune's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Result, TrialCompleted, TrialStopped
from ..core.objective import WORST, Objective
from ..core.policy import CONTINUE, FOREVER, Complete, Decision, Scheduler, Stop
from ..core.seeds import generator
from ..errors import ConfigError
from .arguments import number, objective_of, own_objective, time_attribute, time_of, whole_number
from .quantile import RunningQuantile

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


@dataclass(frozen=True, slots=True)
class Rung:
    """A rung as people see it."""

    bracket: int
    milestone: float
    """The time at which trials are judged here."""
    trials: int
    """How many have been recorded here."""
    cutoff: float | None
    """The metric's value that the next trial must reach; None while nobody was here."""


class ASHAScheduler(Scheduler):
    """Stops a trial at a rung when it is strictly worse than the best 1/`reduction_factor` of those there before it.

    Bracket s has its rungs at `grace_period * reduction_factor**(s + k)`, up to `max_t`. A trial's bracket is drawn by
    its number with softmax weights over the brackets' numbers of rungs. At the highest rung that a result reaches, the
    cutoff is the `1/reduction_factor` quantile of the losses recorded there, itself not counted; the first to arrive
    goes on, and so does a tie. Rungs that a result jumps over record the same loss, without a decision.

    One record per trial and rung, and the first one stands: other trials have been judged against it. So steps that an
    attempt redoes after a restart from a checkpoint are neither recorded nor judged again. Failed trials keep theirs.
    A missing or nan metric ranks worst.

    A result costs O(log n) at a rung and O(1) elsewhere; a trial runs from rung to rung without waiting.

    Args:
        time_attr: What rungs count: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        max_t: No trial runs for longer, if `stop_last_trials`; no rung lies above.
        grace_period: No trial is stopped before it.
        reduction_factor: Keep the best 1/reduction_factor at each rung; at least 1.1.
        brackets: How many brackets; each next one starts a rung later.
        stop_last_trials: Whether to stop trials that reach `max_t`.
        reward_attr: Early Tune's way to say metric=..., mode="max".

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def __init__(
        self,
        *,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float = 100,
        grace_period: float = 1,
        reduction_factor: float = 4,
        brackets: int = 1,
        stop_last_trials: bool = True,
        reward_attr: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, reward_attr)
        self.max_t = number(owner, "max_t", max_t, above=0)
        grace_period = number(owner, "grace_period", grace_period, above=0)
        self.reduction_factor = number(owner, "reduction_factor", reduction_factor, least=1.1)
        self.stop_last_trials = stop_last_trials
        if grace_period > max_t:
            raise ConfigError(f"{owner}: grace_period={grace_period:g} is above max_t={max_t:g}. Swap them?")
        milestones = [grace_period]
        while milestones[-1] * self.reduction_factor <= self.max_t:
            milestones.append(milestones[-1] * self.reduction_factor)
        brackets = whole_number(owner, "brackets", brackets, least=1)
        if brackets > len(milestones):
            raise ConfigError(
                f"{owner}: brackets={brackets}: only the first {len(milestones)} have a rung up to max_t={max_t:g}. "
                f"Use at most brackets={len(milestones)}, or a smaller grace_period."
            )
        self._milestones = [milestones[start:] for start in range(brackets)]
        # Softmax over the numbers of rungs; the largest is subtracted, so that nothing overflows.
        self._weights = [math.exp(len(own) - len(milestones)) for own in self._milestones]
        self._forget(None)

    def _forget(self, objective: Objective | None) -> None:
        self._ranked_by = objective
        self._rungs = [[RunningQuantile(self.reduction_factor) for _ in own] for own in self._milestones]
        self._bracket: dict[int, int] = {}
        """Drawn brackets, as drawing costs more than the rest of a result."""
        self._passed: dict[int, int] = {}
        """How many rungs of its bracket a trial has passed. Jumped ones are recorded too, so there are never gaps."""
        self._stops: dict[int, tuple[int, int, str]] = {}
        """Trial -> (attempt, number, reason) while its newest result is one that it must stop at."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Record the rungs that a result reaches."""
        if type(event) is Reported:
            self._record(event, experiment)
        elif type(event) is TrialStopped or type(event) is TrialCompleted:
            # It will never run again; its records stay.
            for memory in (self._bracket, self._passed, self._stops):
                memory.pop(event.trial, None)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Stop a trial that was not good enough for the rung that it has just reached, or that has reached `max_t`."""
        time = time_of(result, self.time_attr)
        if self.stop_last_trials and time is not None and time >= self.max_t:
            return Complete(f"reached max_t = {self.max_t:g}")
        attempt, number_, reason = self._stops.get(result.trial, (0, 0, ""))
        return Stop(reason) if (attempt, number_) == (result.attempt, result.number) else CONTINUE

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next rung that the trial has not reached; after the last one `max_t`, or forever."""
        milestones = self._milestones[self._bracket_of(trial.id, experiment)]
        passed = self._passed.get(trial.id, 0)
        if passed < len(milestones):
            return milestones[passed]
        return self.max_t if self.stop_last_trials else FOREVER

    @property
    def rungs(self) -> list[Rung]:
        """All rungs, bracket by bracket, lowest first."""
        objective = self._ranked_by
        rungs = []
        for bracket, milestones in enumerate(self._milestones):
            for milestone, recorded in zip(milestones, self._rungs[bracket], strict=True):
                loss = recorded.value()
                cutoff = None if loss is None or objective is None else objective.value_of(loss)
                rungs.append(Rung(bracket, milestone, len(recorded), cutoff))
        return rungs

    def describe(self) -> str:
        """Return one line per bracket: how many trials each rung has seen, and its cutoff."""
        lines = []
        for bracket in range(len(self._milestones)):
            rungs = [rung for rung in self.rungs if rung.bracket == bracket]
            shown = ", ".join(
                f"{rung.milestone:g}: {rung.trials}" + ("" if rung.cutoff is None else f" ({rung.cutoff:.4g})")
                for rung in rungs
            )
            name = f"bracket {bracket}" if len(self._milestones) > 1 else "rungs"
            lines.append(f"{name}: {shown}")
        return "\n".join(lines)

    def _bracket_of(self, trial: int, experiment: Experiment) -> int:
        if len(self._weights) == 1:
            return 0
        known = self._bracket.get(trial)
        if known is not None:
            return known
        # Keyed by the trial's number: the order in which trials arrive does not matter.
        draw = generator(experiment.seed, "bracket", trial)
        return draw.choices(range(len(self._weights)), self._weights)[0]

    def _record(self, result: Reported, experiment: Experiment) -> None:
        objective = objective_of(type(self).__name__, self.objective, experiment)
        if objective is not self._ranked_by and objective != self._ranked_by:
            self._forget(objective)  # Losses of another metric, of an earlier session, compare with nothing.
        trial = result.trial
        self._stops.pop(trial, None)
        time = time_of(result, self.time_attr)
        if time is None:
            return
        bracket = self._bracket[trial] = self._bracket_of(trial, experiment)
        milestones = self._milestones[bracket]
        before = passed = self._passed.get(trial, 0)
        while passed < len(milestones) and milestones[passed] <= time:
            passed += 1
        if passed == before:
            return
        loss = objective.loss(result)
        highest = self._rungs[bracket][passed - 1]
        cutoff = highest.value()
        if cutoff is not None and loss > cutoff:
            reason = self._reason(result, loss, cutoff, milestones[passed - 1], len(highest))
            self._stops[trial] = (result.attempt, result.number, reason)
        for rung in self._rungs[bracket][before:passed]:
            rung.add(loss)
        self._passed[trial] = passed

    def _reason(self, result: Result, loss: float, cutoff: float, milestone: float, trials: int) -> str:
        assert self._ranked_by is not None
        metric, mode = self._ranked_by.metric, self._ranked_by.mode
        if loss == WORST:
            found = f"{metric} is {result.value(metric)}, which ranks worst; the cutoff is"
        else:
            side = "below" if mode == "max" else "above"
            found = f"{metric} {self._ranked_by.value_of(loss):.6g} is {side} the cutoff"
        edge = self._ranked_by.value_of(cutoff)
        return (
            f"rung {milestone:g}: {found} {edge:.6g} of {trials} trial{'s' * (trials != 1)} "
            f"(the best 1/{self.reduction_factor:g} go on)"
        )


AsyncHyperBandScheduler = ASHAScheduler

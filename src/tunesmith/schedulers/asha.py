"""ASHA, stopping variant: a trial that reaches a rung goes on only if it is among the rung's best so far.

Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning"; the stopping rule is Ray Tune's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Result, TrialCompleted, TrialStopped
from ..core.objective import WORST, Objective
from ..core.policy import CONTINUE, FOREVER, Complete, Decision, Scheduler, Stop
from .arguments import objective_of, own_objective, time_attribute, time_of
from .quantile import RunningQuantile
from .rungs import Brackets, RankingWatch, Rung, described

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class ASHAScheduler(Scheduler):
    """Stops a trial at a rung when it is strictly worse than the best 1/`reduction_factor` of those there before it.

    Bracket s has its rungs at `grace_period * reduction_factor**(s + k)`, up to `max_t`. A trial's bracket is drawn by
    its number with softmax weights over the brackets' numbers of rungs. At the highest rung that a result reaches, the
    cutoff is the `1/reduction_factor` quantile of the losses recorded there, itself not counted; the first to arrive
    goes on, and so does a tie. Rungs that a result jumps over record the same loss, without a decision.

    One record per trial and rung, and the first one stands: other trials have been judged against it. So steps that an
    attempt redoes after a restart from a checkpoint are neither recorded nor judged again. Failed trials keep theirs.
    A missing or nan metric ranks worst.

    A result costs O(log n) at a rung and O(1) elsewhere; a trial runs from rung to rung without waiting. When the
    ranking at a rung says little about that at the next one, a warning says so (`rungs.RankingWatch`).

    *Rungs learned from the trials.* With `max_t=None` no trial is ended for its length, and rungs go up without bound
    (the paper's infinite horizon). With `grace_period=None` the lowest rung is the first one of t, t *
    reduction_factor, ... (t being the time of the very first result) at which the ranking of trials is found to predict
    their later ranking; until that is known no trial is stopped. `rungs.Ladder` says it exactly.

    Args:
        time_attr: What rungs count: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        max_t: No trial runs for longer, if `stop_last_trials`; no rung lies above. None: no bound.
        grace_period: No trial is stopped before it. None: learned.
        reduction_factor: Keep the best 1/reduction_factor at each rung; at least 1.1.
        brackets: How many brackets; each next one starts a rung later. More than one need max_t and grace_period.
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
        max_t: float | None = 100,
        grace_period: float | None = 1,
        reduction_factor: float = 4,
        brackets: int = 1,
        stop_last_trials: bool = True,
        reward_attr: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, reward_attr)
        self._brackets = Brackets(
            owner, max_t=max_t, grace_period=grace_period, reduction_factor=reduction_factor, brackets=brackets
        )
        self.max_t = self._brackets.max_t
        self.reduction_factor = self._brackets.reduction_factor
        self.stop_last_trials = stop_last_trials
        self._end = self.max_t if self.max_t is not None and stop_last_trials else FOREVER
        self._watch = RankingWatch()
        self._forget(None)

    def _forget(self, objective: Objective | None) -> None:
        self._ranked_by = objective
        self._brackets.forget()
        self._watch.forget()
        self._rungs: list[list[RunningQuantile]] = [[] for _ in range(len(self._brackets))]
        self._bracket: dict[int, int] = {}
        """Drawn brackets, as drawing costs more than the rest of a result."""
        self._passed: dict[int, tuple[int, float, int, int]] = {}
        """How many rungs of its bracket a trial has passed, its loss at the highest, and the attempt and number of that
        result. Jumped ones are recorded too, so there are never gaps."""
        self._stops: dict[int, tuple[int, int, str]] = {}
        """Trial -> (attempt, number, reason) while its newest result is one that it must stop at."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Record the rungs that a result reaches."""
        if type(event) is Reported:
            self._record(event, experiment)
        elif type(event) is TrialStopped or type(event) is TrialCompleted:
            if type(event) is TrialCompleted:
                self._learn_from_end(event.trial, experiment)
            # It will never run again; its records stay.
            for memory in (self._bracket, self._passed, self._stops):
                memory.pop(event.trial, None)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Stop a trial that was not good enough for the rung that it has just reached, or that has reached `max_t`."""
        time = time_of(result, self.time_attr)
        if time is not None and time >= self._end:
            return Complete(f"reached max_t = {self.max_t:g}")
        attempt, number_, reason = self._stops.get(result.trial, (0, 0, ""))
        return Stop(reason) if (attempt, number_) == (result.attempt, result.number) else CONTINUE

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next rung that the trial has not reached; after the last one `max_t`, or forever."""
        ladder = self._brackets.ladders[self._bracket_of(trial.id, experiment)]
        record = self._passed.get(trial.id)
        return ladder.next(0 if record is None else record[0], self._end)

    @property
    def warnings(self) -> Sequence[str]:
        """Rungs that judge too early."""
        return self._watch.warnings

    @property
    def rungs(self) -> list[Rung]:
        """All rungs, bracket by bracket, lowest first."""
        objective = self._ranked_by
        rungs = []
        for bracket, ladder in enumerate(self._brackets.ladders):
            for index, milestone in enumerate(ladder.milestones):
                recorded = self._rungs[bracket][index] if index < len(self._rungs[bracket]) else None
                loss = None if recorded is None else recorded.value()
                cutoff = None if loss is None or objective is None else objective.value_of(loss)
                rungs.append(Rung(bracket, milestone, 0 if recorded is None else len(recorded), cutoff))
        return rungs

    def describe(self) -> str:
        """Return one line per bracket: how many trials each rung has seen, and its cutoff."""
        return described(self.rungs, self._brackets)

    def _bracket_of(self, trial: int, experiment: Experiment) -> int:
        known = self._bracket.get(trial)
        return self._brackets.draw(trial, experiment.seed) if known is None else known

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
        ladder = self._brackets.ladders[bracket]
        record = self._passed.get(trial)
        before = 0 if record is None else record[0]
        passed = ladder.passed(time, before)
        if passed == before:
            return
        loss = objective.loss(result)
        rungs = self._rungs[bracket]
        while len(rungs) < passed:
            rungs.append(RunningQuantile(self.reduction_factor))
        cutoff = rungs[passed - 1].value()
        if cutoff is not None and loss > cutoff and ladder.judges(passed):
            reason = self._reason(result, loss, cutoff, ladder.milestones[passed - 1], len(rungs[passed - 1]))
            self._stops[trial] = (result.attempt, result.number, reason)
        for rung in rungs[before:passed]:
            rung.add(loss)
        self._passed[trial] = (passed, loss, result.attempt, result.number)
        if record is not None:
            ladder.learn(before - 1, record[1], loss)
            if ladder.judges(before):
                self._watch.add(bracket, before - 1, ladder.milestones, record[1], loss)

    def _learn_from_end(self, trial: int, experiment: Experiment) -> None:
        record, last = self._passed.get(trial), experiment.trials[trial].last
        if record is None or last is None or self._ranked_by is None or record[2:] == (last.attempt, last.number):
            return
        self._brackets.ladders[self._bracket[trial]].learn(record[0] - 1, record[1], self._ranked_by.loss(last))

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

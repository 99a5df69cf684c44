"""ASHA as published: a trial pauses at each rung, and free resources go to the best that wait, else to new trials.

Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Result, SessionOpened, TrialCompleted
from ..core.objective import Objective
from ..core.policy import (
    CONTINUE,
    FOREVER,
    NEW,
    WAIT,
    Choice,
    Complete,
    Decided,
    Decision,
    Pause,
    Resume,
    Scheduler,
    Stop,
)
from .arguments import objective_of, own_objective, time_attribute, time_of
from .promotion import Climber, Climbers, PromotionRung
from .rungs import Brackets, RankingWatch, Rung, described

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class PromotionASHAScheduler(Scheduler):
    """Pauses a trial at each rung, and lets it go on when it is among the best 1/`reduction_factor` of those there.

    Bracket s has its rungs at `grace_period * reduction_factor**(s + k)`, up to `max_t`. A trial's bracket is drawn by
    its number with softmax weights over the brackets' numbers of rungs.

    Whenever resources are free, the highest rung is looked for at which a trial waits that is among the best
    `floor(n / reduction_factor)` of the n ever recorded there (of equals the earlier one is better); the best such
    trial goes on from its checkpoint. If there is none, a new trial starts; if none is to come, the resources stay
    free. Once nothing runs, nothing new is to come and nobody may go on, the trials that still wait are stopped. So
    less than `reduction_factor**k` trials bring nobody beyond rung k: the stopping variant, `ASHAScheduler`, is
    the better one for a handful of trials, this one for many.

    One record per trial and rung, and the first one stands: others have been ranked by it. Rungs that a result jumps
    over record the same loss; the trial waits at the highest. A trial that fails or is stopped keeps its records,
    which may hold a place among the best, and does not go on. A missing or nan metric ranks worst. A trial that
    somebody else has paused between two rungs goes on before new ones start. When nobody new can start although some
    are to come, and nothing runs, the best trial that waits at the highest rung goes on.

    A class trainable saves a checkpoint at each rung; a function goes on from what it has reported last, and from the
    beginning if that is nothing. A decision costs O(log n). When the ranking at a rung says little about that at the
    next one, a warning says so (`rungs.RankingWatch`).

    *Rungs learned from the trials.* With `max_t=None` no trial is ended for its length, and rungs go up without bound
    (the paper's infinite horizon). With `grace_period=None` the lowest rung is the earliest one of t, t *
    reduction_factor, ... (t being the time of the very first result) at which the ranking of ten trials predicted
    their later ranking; until that is known no trial is paused. `rungs.Ladder` says it exactly.

    Args:
        time_attr: What rungs count: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        max_t: A trial that has come so far is complete; no rung lies above. None: no bound.
        grace_period: The lowest rung. None: learned.
        reduction_factor: The best 1/reduction_factor at each rung go on; at least 1.1.
        brackets: How many brackets; each next one starts a rung later. More than one need max_t and grace_period.
        reward_attr: Early Tune's way to say metric=..., mode="max".

    Raises:
        ConfigError: An argument that makes no sense.
    """

    saves_when_waiting = True

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
        self._end = FOREVER if self.max_t is None else self.max_t
        self._watch = RankingWatch(owner)
        self._climbers = Climbers(self._changed)
        self._ranked_by: Objective | None = None
        self._rungs: list[list[PromotionRung]] = [[] for _ in range(len(self._brackets))]

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Record the rungs that a result reaches, and who waits at them."""
        if type(event) is Reported:
            self._rank_by(objective_of(type(self).__name__, self.objective, experiment), experiment)
            self._record(event, experiment)
            return
        if type(event) is TrialCompleted:
            self._learn_from_end(event.trial, experiment)
        elif type(event) is SessionOpened and self._ranked_by is not None:
            self._rank_by(self.objective or experiment.objective or self._ranked_by, experiment)
        self._climbers.observe(event, experiment)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Pause a trial at a rung; complete it at `max_t`."""
        time = time_of(result, self.time_attr)
        if time is not None and time >= self._end:
            return Complete(f"reached max_t = {self._end:g}")
        climber = self._climbers.stands(result.trial)
        if climber is None or self._ranked_by is None:
            return CONTINUE
        milestone, value = self._milestone(climber), result.value(self._ranked_by.metric)
        if time is not None and time < milestone:
            return CONTINUE  # It does again what an interruption has cost it.
        shown = f"{value:.6g}" if isinstance(value, int | float) else f"{value}"
        return Pause(f"waits at rung {milestone:g} with {self._ranked_by.metric} {shown}")

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next rung; after the last one `max_t`, or forever."""
        climber = self._climbers.known.get(trial.id)
        if climber is None:
            return self._brackets.ladders[self._brackets.draw(trial.id, experiment.seed)].next(0, self._end)
        ladder = self._brackets.ladders[climber.bracket]
        # One that stands at a rung and yet runs was started again after an interruption: it pauses where it can.
        return ladder.next(climber.passed, self._end) if climber.is_free else ladder.milestones[climber.passed - 1]

    def choose(self, experiment: Experiment) -> Choice:
        """Return the best trial of the highest rung with one that may go on; else a new one."""
        climber = self._promotable()
        if climber is not None:
            return Resume(climber.trial, self._compared(climber, "is"))
        stray = next(iter(self._climbers.strays), None)
        if stray is not None:
            return Resume(stray, "goes on from where it was paused")
        if experiment.has_more_to_come:
            return NEW
        trial = None if experiment.live else experiment.first_resumable()
        if trial is None:
            return WAIT
        return Decided(trial, self._verdict(self._climbers.known[trial]))

    def unblock(self, experiment: Experiment) -> Choice:
        """Return the best trial that waits at the highest rung: nobody new can start although some are to come."""
        climber = self._highest(lambda rung: rung.first_waiting)
        return super().unblock(experiment) if climber is None else Resume(climber.trial, "nothing else could run")

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
                edge = None if recorded is None else recorded.edge
                cutoff = None if edge is None or objective is None else objective.value_of(edge)
                rungs.append(Rung(bracket, milestone, 0 if recorded is None else len(recorded), cutoff))
        return rungs

    def describe(self) -> str:
        """Return one line per bracket: how many trials each rung has seen, and what the worst that may go on had."""
        return described(self.rungs, self._brackets)

    def _promotable(self) -> Climber | None:
        return self._highest(lambda rung: rung.promotable)

    def _highest(self, of: Callable[[PromotionRung], Climber | None]) -> Climber | None:
        """Return what `of` finds at the highest rung where it finds something; of equally high ones bracket 0's."""
        found, height = None, 0.0
        for ladder, rungs in zip(self._brackets.ladders, self._rungs, strict=True):
            for index in range(len(rungs) - 1, -1, -1):
                if ladder.milestones[index] <= height:
                    break
                climber = of(rungs[index])
                if climber is not None:
                    found, height = climber, ladder.milestones[index]
                    break
        return found

    def _verdict(self, climber: Climber) -> Stop | Complete:
        return Stop(f"{self._compared(climber, 'is not')}, and nothing more is to come")

    def _compared(self, climber: Climber, verb: str) -> str:
        assert self._ranked_by is not None
        rung = self._rungs[climber.bracket][climber.passed - 1]
        return rung.compared(climber, self._milestone(climber), self._ranked_by, verb)

    def _milestone(self, climber: Climber) -> float:
        return self._brackets.ladders[climber.bracket].milestones[climber.passed - 1]

    def _rank_by(self, objective: Objective, experiment: Experiment) -> None:
        if objective is self._ranked_by or objective == self._ranked_by:
            return
        self._ranked_by = objective
        self._brackets.forget()
        self._watch.forget()
        self._climbers.reset(experiment)  # Losses of another metric, of an earlier session, compare with nothing.
        self._rungs = [[] for _ in range(len(self._brackets))]

    def _changed(self, climber: Climber) -> None:
        self._rungs[climber.bracket][climber.passed - 1].update(climber)

    def _record(self, result: Reported, experiment: Experiment) -> None:
        time = time_of(result, self.time_attr)
        if time is None:
            return
        assert self._ranked_by is not None
        known = self._climbers.known.get(result.trial)
        bracket = self._brackets.draw(result.trial, experiment.seed) if known is None else known.bracket
        ladder = self._brackets.ladders[bracket]
        before, earlier = (0, 0.0) if known is None else (known.passed, known.loss)
        passed = ladder.passed(time, before)
        if passed == before:
            return
        loss = self._ranked_by.loss(result)
        rungs = self._rungs[bracket]
        while len(rungs) < passed:
            rungs.append(PromotionRung(self.reduction_factor))
        climber = self._climbers.record(result, bracket, ladder, passed, loss)
        for rung in rungs[before:passed]:
            rung.add(*climber.key)
        if known is not None:
            ladder.learn(before - 1, earlier, loss)
            if ladder.judges(before):
                self._watch.add(bracket, before - 1, ladder.milestones, earlier, loss)

    def _learn_from_end(self, trial: int, experiment: Experiment) -> None:
        climber, last = self._climbers.known.get(trial), experiment.trials[trial].last
        if climber is None or last is None or self._ranked_by is None:
            return
        if climber.recorded != (last.attempt, last.number):
            ladder = self._brackets.ladders[climber.bracket]
            ladder.learn(climber.passed - 1, climber.loss, self._ranked_by.loss(last))

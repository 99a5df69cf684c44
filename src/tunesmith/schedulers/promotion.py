"""Pausing at rungs and promoting the best: what the schedulers after algorithm 2 of the ASHA paper share.

Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Result, SessionOpened, TrialCompleted, TrialStopped
from ..core.objective import Objective
from ..core.policy import CONTINUE, FOREVER, NEW, WAIT, Choice, Complete, Decided, Decision, Pause, Resume, Stop
from .arguments import objective_of, time_of
from .climbers import Climber, Climbers, PromotionRung
from .rungs import Brackets, RankingWatch, Rung, described

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class Promotions:
    """What has happened at the rungs of all brackets, and what follows from it.

    Args:
        owner: The scheduler's name, for messages.
        time_attr: What rungs count.
        objective: What to rank by; None: by what the experiment does.
        brackets: Where the rungs lie.
        height: So many rungs are in use: at the highest of them everybody waits until it grows. None: all are.
    """

    def __init__(
        self, owner: str, *, time_attr: str, objective: Objective | None, brackets: Brackets, height: int | None = None
    ) -> None:
        self._owner = owner
        self.time_attr = time_attr
        self.objective = objective
        self.height = height
        self.ranked_by: Objective | None = None
        """What the losses at the rungs are losses of."""
        self.watch = RankingWatch()
        self._brackets = brackets
        self._end = FOREVER if brackets.max_t is None else brackets.max_t
        self._climbers = Climbers(self._changed)
        self._rungs: list[list[PromotionRung]] = [[] for _ in range(len(brackets))]
        self._drawn: dict[int, int] = {}
        """The brackets of trials that have yet to come to a rung: drawing costs more than all the rest of a result."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Record the rungs that a result reaches, and who waits at them."""
        if type(event) is Reported:
            self._rank_by(objective_of(self._owner, self.objective, experiment), experiment)
            self._record(event, experiment)
            return
        if type(event) is TrialCompleted or type(event) is TrialStopped:
            self._drawn.pop(event.trial, None)
            if type(event) is TrialCompleted:
                self._learn_from_end(event.trial, experiment)
        elif type(event) is SessionOpened and self.ranked_by is not None:
            self._rank_by(self.objective or experiment.objective or self.ranked_by, experiment)
        self._climbers.observe(event, experiment)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Pause a trial at a rung; complete it at `max_t`."""
        time = time_of(result, self.time_attr)
        if time is not None and time >= self._end:
            return Complete(f"reached max_t = {self._end:g}")
        climber = self._climbers.stands(result.trial)
        if climber is None or self.ranked_by is None:
            return CONTINUE
        milestone, value = self._milestone(climber), result.value(self.ranked_by.metric)
        if time is not None and time < milestone:
            return CONTINUE  # It does again what an interruption has cost it.
        shown = f"{value:.6g}" if isinstance(value, int | float) else f"{value}"
        return Pause(f"waits at rung {milestone:g} with {self.ranked_by.metric} {shown}")

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next rung; after the last one `max_t`, or forever."""
        climber = self._climbers.known.get(trial.id)
        if climber is None:
            return self._brackets.ladders[self._bracket_of(trial.id, experiment)].next(0, self._end)
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
        number = experiment.first_resumable() if climber is None else climber.trial
        return WAIT if number is None else Resume(number, "nothing else could run")

    @property
    def rungs(self) -> list[Rung]:
        """All rungs, bracket by bracket, lowest first."""
        objective = self.ranked_by
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
                if self.height is not None and index >= self.height - 1:
                    continue
                climber = of(rungs[index])
                if climber is not None:
                    found, height = climber, ladder.milestones[index]
                    break
        return found

    def _verdict(self, climber: Climber) -> Stop | Complete:
        if self.height is not None and climber.passed >= self.height:
            return Complete(f"reached rung {self._milestone(climber):g}, beyond which no ranking has called for more")
        return Stop(f"{self._compared(climber, 'is not')}, and nothing more is to come")

    def _compared(self, climber: Climber, verb: str) -> str:
        assert self.ranked_by is not None
        rung = self._rungs[climber.bracket][climber.passed - 1]
        return rung.compared(climber, self._milestone(climber), self.ranked_by, verb)

    def _milestone(self, climber: Climber) -> float:
        return self._brackets.ladders[climber.bracket].milestones[climber.passed - 1]

    def _rank_by(self, objective: Objective, experiment: Experiment) -> None:
        if objective is self.ranked_by or objective == self.ranked_by:
            return
        self.ranked_by = objective
        self._brackets.forget()
        self.watch.forget()
        self._climbers.reset(experiment)  # Losses of another metric, of an earlier session, compare with nothing.
        self._rungs = [[] for _ in range(len(self._brackets))]

    def _bracket_of(self, trial: int, experiment: Experiment) -> int:
        known = self._drawn.get(trial)
        return self._brackets.draw(trial, experiment.seed) if known is None else known

    def _changed(self, climber: Climber) -> None:
        self._rungs[climber.bracket][climber.passed - 1].update(climber)

    def _record(self, result: Reported, experiment: Experiment) -> None:
        time = time_of(result, self.time_attr)
        if time is None:
            return
        assert self.ranked_by is not None
        known = self._climbers.known.get(result.trial)
        bracket = self._bracket_of(result.trial, experiment) if known is None else known.bracket
        ladder = self._brackets.ladders[bracket]
        before, earlier = (0, 0.0) if known is None else (known.passed, known.loss)
        passed = ladder.passed(time, before)
        if passed == before:
            if known is None:
                self._drawn[result.trial] = bracket
            return
        self._drawn.pop(result.trial, None)
        loss = self.ranked_by.loss(result)
        rungs = self._rungs[bracket]
        while len(rungs) < passed:
            rungs.append(PromotionRung(self._brackets.reduction_factor))
        climber = self._climbers.record(result, bracket, ladder, passed, loss)
        for rung in rungs[before:passed]:
            rung.add(*climber.key)
        if known is not None:
            ladder.learn(before - 1, earlier, loss)
            if ladder.judges(before):
                self.watch.add(bracket, before - 1, ladder.milestones, earlier, loss)

    def _learn_from_end(self, trial: int, experiment: Experiment) -> None:
        climber, last = self._climbers.known.get(trial), experiment.trials[trial].last
        if climber is None or last is None or self.ranked_by is None:
            return
        if climber.recorded != (last.attempt, last.number):
            ladder = self._brackets.ladders[climber.bracket]
            ladder.learn(climber.passed - 1, climber.loss, self.ranked_by.loss(last))

"""HyperBand, synchronous: trials of a bracket wait for each other at milestones, and the best of them go on.

Source: Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", algorithm 1.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Event,
    Reported,
    Result,
    SessionOpened,
    SpaceExhausted,
    Suggested,
    TrialCompleted,
    TrialContinued,
    TrialExploited,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialReallocated,
    TrialRequeued,
    TrialStopped,
)
from ..core.objective import WORST, Objective
from ..core.policy import (
    CONTINUE,
    FOREVER,
    NEW,
    ONE_RESULT,
    WAIT,
    Choice,
    Complete,
    Decided,
    Decision,
    New,
    Pause,
    Resume,
    Scheduler,
    Stop,
)
from ..core.trial import Status
from .arguments import number, objective_of, own_objective, time_attribute, time_of
from .brackets import Bracket, Shape, places, table

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial

_NEUTRAL = (AttemptStarted, AttemptEnded, CheckpointDropped)
_Going = TrialLaunched | TrialContinued | TrialPaused | TrialRequeued | TrialExploited | TrialReallocated
_Ending = TrialStopped | TrialCompleted | TrialFailed


@dataclass(frozen=True, slots=True)
class _Closing:
    """How a bracket was before the newest result ended its round."""

    trial: int
    """Whose result it was."""
    bracket: Bracket
    round: int
    members: dict[int, Result | None]


class HyperBandScheduler(Scheduler):
    """Runs brackets of successive halving: many trials stopped early in the first, a few run in full in the last.

    With max_t=81 and reduction_factor=3 the brackets have 81, 34, 15, 8 and 5 trials, whose first milestones are 1, 3,
    9, 27 and 81; then the next five begin (`table` has the rows). A trial pauses at its milestone until each trial of
    its round has reached it or is over; the best n // reduction_factor of those n that wait go on to a milestone
    `reduction_factor` times as far, and the others are stopped. Of equals the earlier trial goes on; a missing or nan
    metric ranks worst.

    *Who is next.* Trials enter brackets in the order of their numbers. Free resources go to trials that were promoted,
    the oldest bracket's first, so that rounds end soon, and otherwise to new trials: more brackets fill idle workers.

    *Nothing waits for what does not come.* A trial that fails or ends by itself leaves its round, which goes on with
    the others; one that is tried again keeps its place, or, when its round has ended meanwhile, enters a bracket like a
    new trial. A bracket that cannot be filled, as no more trials are to come, starts with those it has; so does one
    for which the searcher has nothing at the moment while everybody else waits.

    *Late and early results.* The first result at or after a milestone counts; steps that are redone after a restart do
    not. A result that lies beyond the next milestone too counts there as well, and the trial need not run for it.

    A result costs O(1), and the end of a round O(n log n) for its n trials.

    Args:
        time_attr: What milestones count: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        max_t: The most that a trial gets: the paper's R.
        reduction_factor: The best 1/reduction_factor go on: the paper's eta.
        stop_last_trials: Whether to end trials that reach `max_t`.
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
        max_t: float = 81,
        reduction_factor: float = 3,
        stop_last_trials: bool = True,
        reward_attr: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, reward_attr)
        self.max_t = number(owner, "max_t", max_t, least=1)
        self.reduction_factor = number(owner, "reduction_factor", reduction_factor, least=1.1)
        self.stop_last_trials = stop_last_trials
        self.table: tuple[Shape, ...] = table(self.max_t, self.reduction_factor)
        """The brackets, in the order in which they are filled again and again."""
        self._brackets: dict[int, Bracket] = {}
        """Those with trials that are not over, and the newest one."""
        self._newest = self._next_bracket()
        self._bracket_of: dict[int, Bracket] = {}
        """Of every trial that is not over."""
        self._verdicts: dict[int, Stop | Complete] = {}
        """What is to become of trials that are not over, but are through with their bracket."""
        self._undecided: dict[int, None] = {}
        """Those of them that stand still, so that nobody asks what becomes of them."""
        self._with_ready: list[int] = []
        """The brackets in which somebody may go on, oldest first."""
        self._failed: dict[int, tuple[Bracket, int]] = {}
        """Failed trials -> where they were: somebody may have them tried again."""
        self._torn: set[int] = set()
        """Waiting trials that were queued again: their launch does not mean that their bracket is closed."""
        self._closing: _Closing | None = None

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Follow who is where; end rounds that are complete."""
        kind = type(event)
        if kind in _NEUTRAL:
            return
        closing, self._closing = self._closing, None
        if type(event) is Reported:
            self._record(event, experiment)
        elif type(event) is Suggested:
            for trial in range(experiment.next_number - len(event.configs), experiment.next_number):
                self._enter(trial)
            self._settle(self._newest, experiment)
        elif kind is SpaceExhausted or kind is SessionOpened:
            self._settle(self._newest, experiment)
        elif isinstance(event, _Going):
            self._follow(event, experiment)
        elif isinstance(event, _Ending):
            self._leave(event, experiment, closing)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Pause a trial at its milestone; stop or go on with the one that was the last to arrive there."""
        verdict = self._verdicts.get(result.trial)
        if verdict is not None:
            return verdict
        bracket = self._bracket_of.get(result.trial)
        if bracket is None or not bracket.waits(result.trial):
            return CONTINUE
        room = f", {bracket.size - bracket.entered} to come" if bracket.is_open else ""
        others = f"{bracket.waiting} of {len(bracket.members)} trials are there{room}"
        return Pause(f"{self._place(bracket)}: waits for the end of the round ({others})")

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the trial's milestone; one result where it has no business to run."""
        bracket = self._bracket_of.get(trial.id)
        if bracket is None or trial.id in self._verdicts or bracket.waits(trial.id):
            return ONE_RESULT
        return bracket.milestone if trial.id in bracket.members else FOREVER

    def choose(self, experiment: Experiment) -> Choice:
        """Return first what is to become of who lost; then who was promoted, the oldest bracket's first; then New."""
        for trial in self._undecided:
            return Decided(trial, self._verdicts[trial])
        for bracket_number in self._with_ready:
            bracket = self._brackets[bracket_number]
            # Nearly always the first: who cannot go on yet is one whose attempt is just about to end.
            for trial in bracket.ready:
                if experiment.is_resumable(experiment.trials[trial]):
                    return Resume(trial, bracket.promotion)
        return NEW

    def unblock(self, experiment: Experiment) -> Choice:
        """Return the best trial of the bracket that is still being filled, which thereby starts with what it has."""
        choice = self.choose(experiment)
        bracket = self._newest
        if type(choice) is not New or bracket.round or not bracket.everybody_waits:
            return WAIT if type(choice) is New else choice
        best = next(
            (t for t in bracket.ranked(self._loss(experiment)) if experiment.is_resumable(experiment.trials[t])), None
        )
        if best is None:
            return WAIT
        found = f"nobody else comes for now, so it starts with {len(bracket.members)} of {bracket.size} trials"
        return Resume(best, f"{self._place(bracket)}: {found}")

    def describe(self) -> str:
        """Return one line per bracket that trials are in: its milestones, and who is where."""
        lines = []
        for bracket in self._brackets.values():
            if not bracket.members and not bracket.is_open:
                continue  # Its last trials are about to end.
            rounds = " -> ".join(f"{milestone:g}" for milestone in bracket.milestones)
            under_way = len(bracket.members) - bracket.waiting
            now = f"{under_way} of {len(bracket.members)} are on their way to {bracket.milestone:g}"
            lines.append(f"bracket {bracket.number} ({bracket.entered} of {bracket.size} trials, {rounds}): {now}")
        return "\n".join(lines) or "no bracket is under way"

    # Who is where.

    def _next_bracket(self) -> Bracket:
        count = 0 if not self._brackets else self._newest.number + 1
        bracket = self._brackets[count] = Bracket(count, self.table[count % len(self.table)])
        return bracket

    def _enter(self, trial: int) -> None:
        if not self._newest.is_open:
            before = self._newest
            self._newest = self._next_bracket()
            self._forget_if_over(before)
        self._newest.enter(trial)
        self._bracket_of[trial] = self._newest

    def _leave(self, event: _Ending, experiment: Experiment, closing: _Closing | None) -> None:
        """Follow a trial that is over: its round goes on without it."""
        trial = event.trial
        bracket = self._bracket_of.pop(trial, None)
        if bracket is None:
            return
        is_ours = type(event) is TrialStopped and type(self._verdicts.get(trial)) is Stop
        if closing is not None and closing.trial == trial and not is_ours:
            # The result that ended the round ended the trial as well (a stop rule, say): nobody has acted on it yet,
            # and the trial must not take a place among those that go on.
            self._reopen(closing)
        has_lost = type(self._verdicts.pop(trial, None)) is Stop
        self._undecided.pop(trial, None)
        self._torn.discard(trial)
        self._set_ready(bracket, trial, is_ready=False)
        if type(event) is TrialFailed and not has_lost:
            self._failed[trial] = (bracket, bracket.round)
        bracket.remove(trial)
        bracket.population -= 1
        self._settle(bracket, experiment)
        self._forget_if_over(bracket)

    def _forget_if_over(self, bracket: Bracket) -> None:
        if bracket is not self._newest and not bracket.population:
            self._brackets.pop(bracket.number, None)

    def _come_back(self, trial: int) -> None:
        """Take in a trial that had failed, and is tried again."""
        bracket, round_ = self._failed.pop(trial, (self._newest, -1))
        if bracket.round != round_:
            self._enter(trial)
            return
        self._brackets[bracket.number] = self._bracket_of[trial] = bracket
        bracket.members[trial] = None
        bracket.population += 1

    def _follow(self, event: _Going, experiment: Experiment) -> None:
        """Follow what happened to a trial that is not over."""
        trial = event.trial
        if trial not in self._bracket_of:
            self._come_back(trial)
        bracket = self._bracket_of[trial]
        if isinstance(event, TrialLaunched | TrialContinued):
            if type(self._verdicts.get(trial)) is Stop:
                # Somebody else let it go on, an earlier session's scheduler perhaps: then it competes again.
                del self._verdicts[trial]
                bracket.members[trial] = None
                self._catch_up(bracket, trial, None, experiment)
            elif trial in self._torn:
                self._torn.discard(trial)
            elif bracket.waits(trial) and bracket.round == 0:
                bracket.is_closed = True  # `unblock` said so.
        elif type(event) is TrialRequeued and bracket.waits(trial):
            self._torn.add(trial)
        self._stand(trial, experiment)
        self._settle(bracket, experiment)

    def _stand(self, trial: int, experiment: Experiment) -> None:
        """Put a trial among those that may go on, or that are to be decided of, if it stands still."""
        bracket = self._bracket_of[trial]
        status = experiment.trials[trial].status
        is_still = status is Status.PAUSED or status is Status.PENDING
        if is_still and trial in self._verdicts:
            self._undecided[trial] = None
        else:
            self._undecided.pop(trial, None)
        may_go_on = trial not in self._verdicts and not bracket.waits(trial)
        self._set_ready(bracket, trial, is_ready=may_go_on and status is Status.PAUSED)

    def _set_ready(self, bracket: Bracket, trial: int, *, is_ready: bool) -> None:
        before = bool(bracket.ready)
        if is_ready:
            bracket.ready[trial] = None
        else:
            bracket.ready.pop(trial, None)
        if bool(bracket.ready) != before:
            if before:
                self._with_ready.remove(bracket.number)
            else:
                insort(self._with_ready, bracket.number)

    # Rounds.

    def _record(self, result: Reported, experiment: Experiment) -> None:
        bracket = self._bracket_of.get(result.trial)
        if bracket is None or bracket.members.get(result.trial, result) is not None:
            return  # It is no member of the round, or is recorded already.
        time = time_of(result, self.time_attr)
        if time is not None and time >= bracket.milestone:
            self._loss(experiment)
            round_, members = bracket.round, bracket.members
            self._arrive(bracket, result.trial, result, experiment)
            self._settle(bracket, experiment)
            if bracket.round != round_:
                self._closing = _Closing(result.trial, bracket, round_, members)

    def _arrive(self, bracket: Bracket, trial: int, result: Result, experiment: Experiment) -> None:
        """Note that a trial has reached the milestone; at the last one it is through."""
        if not bracket.is_last_round:
            bracket.record(trial, result)
        else:
            bracket.remove(trial)
            if self.stop_last_trials:
                self._verdicts[trial] = Complete(f"reached max_t = {self.max_t:g}")
        self._stand(trial, experiment)

    def _settle(self, bracket: Bracket, experiment: Experiment) -> None:
        """End the bracket's round if everybody is there, and the next ones that are thereby complete."""
        may_fill = bracket.is_open and experiment.wants_suggestions
        while bracket.everybody_waits and not bracket.is_last_round and not may_fill:
            self._advance(bracket, experiment)

    def _advance(self, bracket: Bracket, experiment: Experiment) -> None:
        loss = self._loss(experiment)
        ranked = bracket.ranked(loss)
        before, where = bracket.members, self._place(bracket)
        count = places(len(ranked), self.reduction_factor)
        bracket.begin(bracket.round + 1, dict.fromkeys(ranked[:count]))
        best = f"the best of {len(ranked)} goes" if count == 1 else f"the best {count} of {len(ranked)} go"
        bracket.promotion = f"{where}: {best} on to {bracket.milestone:g}"
        for rank, trial in enumerate(ranked[count:], count + 1):
            result = before[trial]
            assert result is not None, "who is ranked has a result"
            self._verdicts[trial] = Stop(f"{where}: {self._value(result, experiment)} is no. {rank}; {best} on")
            self._stand(trial, experiment)
        for trial in ranked[:count]:
            self._stand(trial, experiment)
            self._catch_up(bracket, trial, before[trial], experiment)

    def _catch_up(self, bracket: Bracket, trial: int, result: Result | None, experiment: Experiment) -> None:
        """Let a trial that has already reached the milestone arrive there."""
        for known in (result, experiment.trials[trial].last):
            time = None if known is None else time_of(known, self.time_attr)
            if known is not None and time is not None and time >= bracket.milestone:
                self._arrive(bracket, trial, known, experiment)
                return

    def _reopen(self, closing: _Closing) -> None:
        """Take back the end of a round, which nobody has acted on yet."""
        bracket = closing.bracket
        for trial in closing.members:
            self._verdicts.pop(trial, None)
            self._undecided.pop(trial, None)
            self._set_ready(bracket, trial, is_ready=False)
        bracket.begin(closing.round, closing.members)

    # Words and numbers.

    def _objective(self, experiment: Experiment) -> Objective:
        return objective_of(type(self).__name__, self.objective, experiment)

    def _loss(self, experiment: Experiment) -> Callable[[Result], float]:
        return self._objective(experiment).loss

    def _value(self, result: Result, experiment: Experiment) -> str:
        objective = self._objective(experiment)
        loss = objective.loss(result)
        if loss == WORST:
            return f"{objective.metric} {result.value(objective.metric)}, which ranks worst,"
        return f"{objective.metric} {objective.value_of(loss):.6g}"

    def _place(self, bracket: Bracket) -> str:
        return f"bracket {bracket.number}, {self.time_attr} {bracket.milestone:g}"


HyperBandForBOHB = HyperBandScheduler
"""Ray Tune's scheduler for BOHB fills the bracket with the most trials first, as the paper does; and so does ours."""

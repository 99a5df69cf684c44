"""Top k after the first rung: all trials run a little, then the k best run to their end and the others stop.

Source: successive halving with a single cut (Jamieson and Talwalkar 2016), for a number of survivors that is given.
"""

from __future__ import annotations

from bisect import bisect, insort
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Result, SessionOpened
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
from ..errors import ConfigError
from .arguments import number, objective_of, own_objective, time_attribute, time_of, whole_number
from .climbers import Climber, Climbers
from .rungs import Ladder

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class TopKScheduler(Scheduler):
    """Lets the `k` best of all trials at the first rung run to their end, and stops the others there.

    A trial that comes to `first_rung` pauses. When all that are to come have come there, or have ended before, the
    trials that wait are ranked by what they had at the rung (of equals the earlier one is better): the k best go on,
    best first, and the others are stopped. One that has failed or was stopped before that is none of the k; one that
    fails later is not replaced. When a later session adds trials, those go on that are among the k best of themselves
    and all that went on before.

    The first record at the rung stands. A missing or nan metric ranks worst. A result that jumps over the rung is the
    record. Nobody goes on before all have come, so this is for a given number of trials: give `num_samples`. Should
    nothing be able to run although more trials are to come (a searcher that offers none for now), the best goes on.

    A class trainable saves a checkpoint at the rung; a function goes on from what it has reported last, and from the
    beginning if that is nothing. A decision costs O(log n).

    Args:
        k: How many go on.
        first_rung: When they are compared.
        time_attr: What `first_rung` counts: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        max_t: A trial that has come so far is complete. None: the k best run to their own end.
        reward_attr: Early Tune's way to say metric=..., mode="max".

    Raises:
        ConfigError: An argument that makes no sense.
    """

    saves_when_waiting = True

    def __init__(
        self,
        *,
        k: int = 5,
        first_rung: float = 1,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float | None = None,
        reward_attr: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.k = whole_number(owner, "k", k, least=1)
        self.first_rung = number(owner, "first_rung", first_rung, above=0)
        self.time_attr = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, reward_attr)
        self.max_t = FOREVER if max_t is None else number(owner, "max_t", max_t, above=0)
        if self.first_rung > self.max_t:
            raise ConfigError(f"{owner}: first_rung={first_rung:g} is above max_t={max_t:g}. Swap them?")
        # A ladder of one rung.
        self._ladder = Ladder(2, grace_period=self.first_rung, max_t=self.first_rung)
        self._climbers = Climbers(self._changed)
        self._ranked_by: Objective | None = None
        self._forget()

    def _forget(self) -> None:
        self._recorded = 0
        self._best: list[tuple[float, int, int]] = []
        """(loss, order, trial) of those that wait at the rung, the best first; and the same, negated, the worst first.
        Those that have left are taken out when they come to the front."""
        self._worst: list[tuple[float, int, int]] = []
        self._waiting = 0
        self._gone_on: list[tuple[float, int]] = []
        """(loss, order) of those that went on, the best first."""
        self._coming: set[int] = set()
        """Trials with a live attempt that have yet to come to the rung, or to pause there."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Record the trials that come to the rung, and who waits there."""
        if type(event) is Reported:
            self._rank_by(objective_of(type(self).__name__, self.objective, experiment), experiment)
            self._record(event)
            return
        if type(event) is SessionOpened and self._ranked_by is not None:
            self._rank_by(self.objective or experiment.objective or self._ranked_by, experiment)
        trial: int | None = getattr(event, "trial", None)
        known = None if trial is None else self._climbers.known.get(trial)
        was_free = known is not None and known.is_free
        self._climbers.observe(event, experiment)
        if known is not None and known.is_free and not was_free:
            insort(self._gone_on, known.key)
        if trial is not None and trial in experiment.live and not (known is not None and known.is_free):
            self._coming.add(trial)
        elif trial is not None:
            self._coming.discard(trial)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Pause a trial at the rung; complete it at `max_t`."""
        time = time_of(result, self.time_attr)
        if time is not None and time >= self.max_t:
            return Complete(f"reached max_t = {self.max_t:g}")
        if self._climbers.stands(result.trial) is None or (time is not None and time < self.first_rung):
            return CONTINUE
        return Pause(f"waits at rung {self.first_rung:g} for the others")

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the rung; for one that goes on beyond it `max_t`, or forever."""
        climber = self._climbers.known.get(trial.id)
        return self.max_t if climber is not None and climber.is_free else self.first_rung

    def choose(self, experiment: Experiment) -> Choice:
        """Return new trials until all have come; then whom to stop, and the best of the others."""
        stray = next(iter(self._climbers.strays), None)
        if stray is not None:
            return Resume(stray, "goes on from where it was paused")
        if experiment.has_more_to_come:
            return NEW
        if self._coming or not self._waiting:
            return WAIT
        worst = self._climbers.known[self._worst[0][2]]
        if self._waiting - 1 + bisect(self._gone_on, worst.key) >= self.k:
            return Decided(worst.trial, Stop(self._compared(worst, "is not")))
        best = self._climbers.known[self._best[0][2]]
        return Resume(best.trial, self._compared(best, "is"))

    def unblock(self, experiment: Experiment) -> Choice:
        """Return the best trial that waits: nobody new can start although some are to come."""
        trial = self._best[0][2] if self._best else experiment.first_resumable()
        return WAIT if trial is None else Resume(trial, "nothing else could run")

    def describe(self) -> str:
        """Return one line: how many trials the rung has seen, how many wait there and how many went on."""
        return (
            f"rung {self.first_rung:g}: {self._recorded} trials, {self._waiting} wait, {len(self._gone_on)} went on "
            f"(the best {self.k} do)"
        )

    def _compared(self, climber: Climber, verb: str) -> str:
        assert self._ranked_by is not None
        return (
            f"rung {self.first_rung:g}: {climber.shown(self._ranked_by)} {verb} among the best {self.k} of all trials"
        )

    def _rank_by(self, objective: Objective, experiment: Experiment) -> None:
        if objective is self._ranked_by or objective == self._ranked_by:
            return
        self._ranked_by = objective
        self._climbers.reset(experiment)  # Losses of another metric, of an earlier session, compare with nothing.
        self._forget()
        self._coming = set(experiment.live)

    def _record(self, result: Reported) -> None:
        time = time_of(result, self.time_attr)
        if time is None or time < self.first_rung or result.trial in self._climbers.known:
            return
        assert self._ranked_by is not None
        self._recorded += 1
        self._climbers.record(result, 0, self._ladder, 1, self._ranked_by.loss(result))

    def _changed(self, climber: Climber) -> None:
        loss, order = climber.key
        if climber.waits:
            self._waiting += 1
            heappush(self._best, (loss, order, climber.trial))
            heappush(self._worst, (-loss, -order, climber.trial))
        else:
            self._waiting -= 1
        for heap in (self._best, self._worst):
            while heap and not self._is_waiting(heap[0][2]):
                heappop(heap)

    def _is_waiting(self, trial: int) -> bool:
        climber = self._climbers.known.get(trial)
        return climber is not None and climber.waits

"""Who waits at which rung, and who of them is among its best: the bookkeeping of schedulers that pause and promote.

It learns from events alone, whoever decided them. Nothing here decides.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from typing import TYPE_CHECKING

from ..core.events import (
    AttemptEnded,
    Event,
    Reported,
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

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from .rungs import Ladder

_BEGINS = (TrialLaunched, TrialContinued)
_ENDS = (TrialStopped, TrialCompleted)
_MOVES = frozenset(
    {*_BEGINS, *_ENDS, AttemptEnded, TrialPaused, TrialFailed, TrialRequeued, TrialExploited, TrialReallocated}
)


class Climber:
    """A trial that has been recorded at a rung."""

    __slots__ = ("bracket", "is_free", "loss", "order", "passed", "recorded", "trial", "waits")

    def __init__(self, trial: int, bracket: int) -> None:
        self.trial = trial
        self.bracket = bracket
        self.passed = 0
        """How many rungs of its bracket it has passed; jumped ones are recorded too, so there are never gaps."""
        self.loss = WORST
        """At the highest of them."""
        self.order = 0
        """Its turn among all records; of equal losses the earlier one ranks better."""
        self.recorded = (0, 0)
        """The attempt and number of that result."""
        self.is_free = False
        """Whether it may go on beyond its highest rung: it was promoted, or that rung judges nobody."""
        self.waits = False
        """Whether it is paused at its highest rung and can be resumed."""

    @property
    def key(self) -> tuple[float, int]:
        """What it ranks by at its highest rung, lower being better."""
        return (self.loss, self.order)

    def shown(self, objective: Objective) -> str:
        """Return what it has at its highest rung, in words."""
        if self.loss == WORST:
            return f"no number for {objective.metric}, which ranks worst,"
        return f"{objective.metric} {objective.value_of(self.loss) + 0.0:.6g}"


class PromotionRung:
    """One rung: the edge of the best 1/`reduction_factor` of its records, and the best trial that waits here.

    O(log n) per change, O(1) per question.
    """

    __slots__ = ("_factor", "_listed", "_rest", "_top", "_waiting")

    def __init__(self, reduction_factor: float) -> None:
        self._factor = reduction_factor
        # The best floor(n / factor) records (negated, the worst of them first) and the others (the best first).
        self._top: list[tuple[float, int]] = []
        self._rest: list[tuple[float, int]] = []
        # Who waits, the best first; those that have left are taken out when they come to the front.
        self._waiting: list[tuple[float, int]] = []
        self._listed: dict[int, Climber] = {}

    def __len__(self) -> int:
        return len(self._top) + len(self._rest)

    @property
    def places(self) -> int:
        """How many records are among the best 1/`reduction_factor`, rounded down."""
        return len(self._top)

    @property
    def edge(self) -> float | None:
        """The worst loss among them; None while there is none."""
        return -self._top[0][0] if self._top else None

    def add(self, loss: float, order: int) -> None:
        """Record a loss; `order` grows from record to record."""
        if self._top and (loss, order) < (-self._top[0][0], -self._top[0][1]):
            heappush(self._top, (-loss, -order))
        else:
            heappush(self._rest, (loss, order))
        wanted = int(len(self) // self._factor)
        if len(self._top) > wanted:
            loss, order = heappop(self._top)
            heappush(self._rest, (-loss, -order))
        elif len(self._top) < wanted:
            loss, order = heappop(self._rest)
            heappush(self._top, (-loss, -order))

    def update(self, climber: Climber) -> None:
        """Learn that a trial now waits here, or no longer does."""
        if climber.waits and climber.order not in self._listed:
            heappush(self._waiting, climber.key)
            self._listed[climber.order] = climber
        while self._waiting and not self._is_waiting(self._waiting[0][1]):
            del self._listed[heappop(self._waiting)[1]]

    def _is_waiting(self, order: int) -> bool:
        climber = self._listed[order]
        return climber.waits and climber.order == order

    @property
    def first_waiting(self) -> Climber | None:
        """The best of those that wait here."""
        return self._listed[self._waiting[0][1]] if self._waiting else None

    @property
    def promotable(self) -> Climber | None:
        """The best of those that wait here, if it is among the best 1/`reduction_factor` of all records."""
        if not self._waiting or not self._top:
            return None
        loss, order = self._top[0]
        return self.first_waiting if self._waiting[0] <= (-loss, -order) else None

    def compared(self, climber: Climber, milestone: float, objective: Objective, verb: str) -> str:
        """Return where a trial stands here, in words."""
        count = len(self)
        return (
            f"rung {milestone:g}: {climber.shown(objective)} {verb} among the best {self.places} "
            f"of {count} trial{'s' * (count != 1)} (the best 1/{self._factor:g} go on)"
        )


class Climbers:
    """Where every trial stands: what it has passed, whether it waits at a rung, or was paused between two.

    Args:
        changed: Told of each trial that begins or ceases to wait at its highest rung.
    """

    def __init__(self, changed: Callable[[Climber], None]) -> None:
        self._changed = changed
        self._records = 0
        self.known: dict[int, Climber] = {}
        """Trials that may still run and have been recorded at a rung."""
        self.strays: dict[int, None] = {}
        """Trials that are paused, can be resumed and wait at no rung: somebody else has paused them."""

    def reset(self, experiment: Experiment) -> None:
        """Forget all records; whoever is paused waits at no rung then. Linear; for another objective only."""
        self.known.clear()
        self.strays = {
            number: None for number in experiment.paused if experiment.is_resumable(experiment.trials[number])
        }

    def record(self, result: Reported, bracket: int, ladder: Ladder, passed: int, loss: float) -> Climber:
        """Note that a trial has passed more rungs of its ladder than before."""
        climber = self.known.get(result.trial)
        if climber is None:
            climber = self.known[result.trial] = Climber(result.trial, bracket)
        self._set_waits(climber, False)
        self._records += 1
        climber.passed, climber.loss, climber.order = passed, loss, self._records
        climber.recorded = (result.attempt, result.number)
        climber.is_free = not ladder.judges(passed)
        return climber

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn what became of a trial; every event but a result."""
        kind = type(event)
        if kind not in _MOVES:
            return
        number: int = event.trial  # type: ignore[attr-defined]
        climber = self.known.get(number)
        if climber is not None and kind in _BEGINS and climber.waits:
            climber.is_free = True  # Whoever resumed it: it goes on.
        is_resumable = experiment.is_resumable(experiment.trials[number])
        waits = is_resumable and climber is not None and not climber.is_free
        if climber is not None:
            self._set_waits(climber, waits)
        if is_resumable and not waits:
            self.strays.setdefault(number)
        else:
            self.strays.pop(number, None)
        if kind in _ENDS:
            self.known.pop(number, None)  # It will never run again; its records stay.

    def stands(self, trial: int) -> Climber | None:
        """Return the trial if its highest rung keeps it from going on; None when it may run."""
        climber = self.known.get(trial)
        return None if climber is None or climber.is_free else climber

    def _set_waits(self, climber: Climber, waits: bool) -> None:
        if climber.waits is not waits:
            climber.waits = waits
            self._changed(climber)

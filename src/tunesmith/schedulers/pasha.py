"""PASHA: ASHA that adds a rung only when the ranking at the two highest ones calls for it.

Source: Bohdal et al. 2023, "PASHA: Efficient HPO and NAS with Progressive Resource Allocation", ICLR, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Result, TrialCompleted, TrialStopped
from ..core.objective import WORST, Objective
from ..core.policy import Choice, Decision, Scheduler
from .arguments import number, objective_of, own_objective, time_attribute
from .promotion import Promotions
from .quantile import RunningQuantile
from .rungs import Brackets, Rung

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial

FEWEST_RUNGS = 2
NEIGHBOURS = 32
"""A trial's curve is compared with those of so many that came to the highest rung before it."""
NOISE_QUANTILE = 10
"""The noise is the distance that the widest 1/10 of the crossing pairs exceed: their 90th percentile."""


class PASHAScheduler(Scheduler):
    """Promotes as `PromotionASHAScheduler` does, with as few rungs as the rankings allow; no `max_t` is needed.

    At first there are two rungs, at `grace_period` and `reduction_factor` times that. Trials that have come to the
    highest rung wait there. Each time one comes there, the trials that have been at both of the two highest rungs are
    ranked at each of them. If the rankings are not consistent, a rung is added on top: what happens lower down does
    not tell yet who is best.

    *Consistent* (soft ranking): for each place i, the trial that is i-th at the higher rung has, at the lower rung, a
    loss no further than epsilon from that of the trial that is i-th there.

    *Epsilon* is how far apart two trials may be just by noise. Two curves that cross and cross back show it: a pair of
    trials that are in one order at the last step that both have reported, were in the opposite order before, and in
    the first order again still earlier. Epsilon is the 90th percentile of the distances of such pairs at that last
    step, over all pairs of trials at the highest rung. While there is no such pair, it is what it was when the rung was
    added; 0 at first. Curves are compared at equal `training_iteration`.

    Once nothing runs, nothing new is to come and nobody may go on, the trials at the highest rung are complete, and
    those that wait below are stopped. The best of the highest rung is what the method finds.

    Where this is not the paper to the letter: with m trials at the two highest rungs the next look comes after m // 16
    more, at least 1; a trial's curve is compared with those of the 32 trials that came to the highest rung last
    (both keep a decision at O(log n)); rungs that one result jumps over together tell nothing of each other.

    Args:
        time_attr: What rungs count: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        max_t: A trial that has come so far is complete; no rung lies above. None: no bound.
        grace_period: The lowest rung.
        reduction_factor: The best 1/reduction_factor at each rung go on; at least 1.1.
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
        max_t: float | None = None,
        grace_period: float = 1,
        reduction_factor: float = 3,
        reward_attr: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, reward_attr)
        grace_period = number(owner, "grace_period", grace_period, above=0)
        brackets = Brackets(
            owner, max_t=max_t, grace_period=grace_period, reduction_factor=reduction_factor, brackets=1
        )
        self.max_t = brackets.max_t
        self.reduction_factor = brackets.reduction_factor
        self._promotions = Promotions(
            owner, time_attr=self.time_attr, objective=self.objective, brackets=brackets, height=FEWEST_RUNGS
        )
        self._forget(None)

    def _forget(self, objective: Objective | None) -> None:
        self._ranked_by = objective
        self.epsilon = 0.0
        """How far apart two losses may be just by noise."""
        self._curves: dict[int, dict[int, float]] = {}
        """The losses that trials which may still run have reported, by training_iteration."""
        self._promotions.height = FEWEST_RUNGS
        self._begin_top()

    def _begin_top(self) -> None:
        self._top: list[int] = []
        """The trials that have come to the highest rung, in that order."""
        self._distances = RunningQuantile(NOISE_QUANTILE)
        self._next_look = 1

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Record the rungs that a result reaches, who waits at them, and whether the rankings call for a rung more."""
        if type(event) is Reported:
            objective = objective_of(type(self).__name__, self.objective, experiment)
            if objective != self._ranked_by:
                self._forget(objective)
            curve = self._curves.setdefault(event.trial, {})
            curve.setdefault(event.number, objective.loss(event))
        self._promotions.observe(event, experiment)
        if type(event) is Reported:
            self._look_at_the_top(event.trial)
        elif type(event) is TrialStopped or type(event) is TrialCompleted:
            self._curves.pop(event.trial, None)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Pause a trial at a rung; complete it at `max_t`."""
        return self._promotions.decide(result, experiment)

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next rung; after the last one `max_t`."""
        return self._promotions.lease(trial, experiment)

    def choose(self, experiment: Experiment) -> Choice:
        """Return the best trial of the highest rung but the last with one that may go on; else a new one."""
        return self._promotions.choose(experiment)

    def unblock(self, experiment: Experiment) -> Choice:
        """Return the best trial that waits below the highest rung: nobody new can start although some are to come."""
        return self._promotions.unblock(experiment)

    @property
    def warnings(self) -> Sequence[str]:
        """Rungs that judge too early."""
        return self._promotions.watch.warnings

    @property
    def rungs(self) -> list[Rung]:
        """The rungs that are in use, lowest first."""
        return self._promotions.rungs[: self._promotions.height]

    def describe(self) -> str:
        """Return one line: how many trials each rung has seen, and what the worst that may go on had."""
        return f"{self._promotions.describe()}; {len(self.rungs)} rungs in use, noise {self.epsilon:.3g}"

    def _look_at_the_top(self, trial: int) -> None:
        """Add a rung if the two highest ones are not consistent, now that `trial` may have come to the highest."""
        height = self._promotions.height
        assert height is not None
        pairs = self._promotions.watch.pairs.get((0, height - 2), ())
        if len(pairs) <= len(self._top):
            return
        for other in self._top[-NEIGHBOURS:]:
            if other in self._curves:
                distance = crossing_distance(self._curves[trial], self._curves[other])
                if distance is not None:
                    self._distances.add(-distance)
        self._top.append(trial)
        noise = self._distances.value()
        if noise is not None:
            self.epsilon = -noise
        if len(pairs) >= self._next_look:
            self._next_look = len(pairs) + max(1, len(pairs) // 16)
            if not is_consistent(pairs, self.epsilon):
                self._promotions.height = height + 1
                self._begin_top()


def is_consistent(pairs: Sequence[tuple[float, float]], epsilon: float) -> bool:
    """Return whether two rankings agree up to `epsilon`.

    Args:
        pairs: Of each trial its loss at the lower rung and at the higher one.
        epsilon: Losses at the lower rung that are no further apart count as equal.
    """
    lower = sorted(pair[0] for pair in pairs)
    # Of trials that tie at the higher rung the order is free, so it is that of the lower one.
    higher = sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    return all(own == there or abs(own - there) <= epsilon for (own, _), there in zip(higher, lower, strict=True))


def crossing_distance(one: dict[int, float], other: dict[int, float]) -> float | None:
    """Return how far apart two curves are at the last step that both have; None if they do not cross and cross back."""
    wanted: bool | None = None
    distance = 0.0
    has_crossed = False
    for step in sorted(one.keys() & other.keys(), reverse=True):
        first, second = one[step], other[step]
        if wanted is None:
            if WORST in (first, second) or first == second:
                return None
            wanted, distance = first < second, abs(first - second)
        elif first != second:
            is_same = (first < second) is wanted
            if has_crossed and is_same:
                return distance
            has_crossed = has_crossed or not is_same
    return None

"""Rules that judge a trial by what the others had at the same time: what the median and the percentile rule share."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from ..core.events import Event, Reported, Result, TrialCompleted, TrialPaused, TrialStopped
from ..core.objective import WORST, Objective
from ..core.policy import CONTINUE, FOREVER, Decision, Pause, Scheduler, Stop
from ..errors import ConfigError
from .arguments import number, objective_of, own_objective, time_attribute, time_of, whole_number
from .quantile import RunningQuantile

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial

GROWTH = 1.1
"""Ratio of two decision times where times are continuous and no `interval` is given."""
_UNIT = 1074
"""Every finite float is a whole multiple of 2**-1074."""


class Running(Protocol):
    """What a trial counts with for the others: a number made of its losses so far."""

    count: int

    def add(self, value: float) -> None:
        """Take the next loss; not nan."""

    def value(self) -> float:
        """Return the number; at least one loss must have been added."""


class RunningMean:
    """The exact mean of numbers, rounded once.

    A trial that stands still at 0.1 must have the mean 0.1: a sum that rounds would stop trials that merely tie.
    """

    __slots__ = ("count", "infinite", "total")

    def __init__(self) -> None:
        self.total = 0
        self.count = 0
        self.infinite = 0.0

    def add(self, value: float) -> None:
        """Take one more number; not nan."""
        self.count += 1
        if math.isinf(value):
            self.infinite = max(self.infinite, value) if self.infinite else value
        else:
            numerator, denominator = value.as_integer_ratio()
            self.total += numerator << (_UNIT + 1 - denominator.bit_length())

    def value(self) -> float:
        """Return the mean of what has been added; at least one number must have been."""
        return self.infinite or self.total / (self.count << _UNIT)


class Newest:
    """The newest number."""

    __slots__ = ("count", "newest")

    def __init__(self) -> None:
        self.newest = WORST
        self.count = 0

    def add(self, value: float) -> None:
        """Take one more number."""
        self.newest = value
        self.count += 1

    def value(self) -> float:
        """Return the number added last."""
        return self.newest


class _Curve:
    """What the rule must remember of one trial."""

    __slots__ = ("best", "furthest", "is_spared", "passed", "paused_at", "running", "verdict")

    def __init__(self, running: Running) -> None:
        self.best = WORST
        self.running = running
        """Over its results since the grace period, up to `furthest`."""
        self.furthest = -math.inf
        """The latest time that it has reported since the grace period."""
        self.passed = 0
        """How many decision times lie at or before `furthest`."""
        self.paused_at = 0.0
        """Its time when it was last paused."""
        self.is_spared = False
        """Whether the rule has paused it (`hard_stop=False`): it is not judged again."""
        self.verdict: tuple[int, int, str] | None = None
        """(attempt, number, reason) while its newest result is one that it must stop at; with the reason "" there were
        too few others to judge it."""


@dataclass(frozen=True, slots=True)
class Edge:
    """A decision time as people see it."""

    time: float
    trials: int
    """How many can be compared with there."""
    value: float | None
    """What a trial's best must reach, as the metric's value; None while there is nothing to compare with."""


class RelativeRule(Scheduler):
    """Stops a trial whose best so far is strictly worse than an edge of what the other trials count with.

    The subclasses say which edge, and what the others count with; `MedianStoppingRule` tells the rest.
    """

    _divisor: float | Fraction = 2
    """The edge is the 1/divisor quantile of the others' losses."""
    _edge_name = "median"
    _counted = "means"

    def __init__(
        self,
        *,
        time_attr: str,
        metric: str | None,
        mode: str | None,
        grace_period: float,
        min_samples_required: int,
        min_time_slice: float,
        hard_stop: bool,
        interval: float | None,
        reward_attr: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, reward_attr)
        self.grace_period = number(owner, "grace_period", grace_period, least=0)
        self.min_samples_required = whole_number(owner, "min_samples_required", min_samples_required, least=1)
        self.min_time_slice = number(owner, "min_time_slice", min_time_slice, least=0)
        self.hard_stop = hard_stop
        if interval is None and time_attr == "training_iteration":
            interval = 1
        if interval is None and grace_period == 0:
            raise ConfigError(
                f"{owner}: grace_period=0 leaves open when to judge by {time_attr}. "
                "Say how often with interval=..., or give a grace_period above 0."
            )
        self.interval = None if interval is None else number(owner, "interval", interval, above=0)
        self._first = 0 if self.interval is None else math.ceil(self.grace_period / self.interval)
        self._forget(None)

    @abstractmethod
    def _new_running(self) -> Running:
        """Return what a new trial counts with."""

    def _forget(self, objective: Objective | None) -> None:
        self._ranked_by = objective
        self._curves: dict[int, _Curve] = {}
        self._others: list[RunningQuantile] = []
        """For each decision time what the trials that have passed it count with there."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn a result, and what became of a trial."""
        if type(event) is Reported:
            self._record(event, experiment)
        elif type(event) is TrialStopped or type(event) is TrialCompleted:
            self._curves.pop(event.trial, None)  # It will never run again; its means stay.
        elif type(event) is TrialPaused and not event.interrupted and event.trial in self._curves:
            curve = self._curves[event.trial]
            last = experiment.trials[event.trial].last
            time = None if last is None else time_of(last, self.time_attr)
            curve.paused_at = curve.paused_at if time is None else time
            curve.is_spared |= curve.verdict is not None and curve.verdict[2] != ""

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Stop (or pause) a trial whose best was too bad at the decision time that it has reached."""
        curve = self._curves.get(result.trial)
        if curve is None or curve.verdict is None or curve.verdict[:2] != (result.attempt, result.number):
            return CONTINUE
        reason = curve.verdict[2]
        if reason:
            return Stop(reason) if self.hard_stop else Pause(reason)
        time = time_of(result, self.time_attr)
        if not self.min_time_slice or time is None or time - curve.paused_at <= self.min_time_slice:
            return CONTINUE
        if experiment.has_more_to_come or experiment.paused:
            return Pause(f"gives others a turn: fewer than {self.min_samples_required} have come as far")
        return CONTINUE

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next decision time that the trial has not passed."""
        curve = self._curves.get(trial.id)
        if curve is None:
            return self._time_at(0)
        return FOREVER if curve.is_spared else self._time_at(curve.passed)

    @property
    def edges(self) -> list[Edge]:
        """All decision times that a trial has passed, earliest first."""
        objective = self._ranked_by
        edges = []
        for index, others in enumerate(self._others):
            edge = others.value()
            value = None if edge is None or objective is None else objective.value_of(edge)
            edges.append(Edge(self._time_at(index), len(others), value))
        return edges

    def describe(self) -> str:
        """Return one line: the latest decision time with enough trials to judge by, and what must be reached there."""
        for index in range(len(self._others) - 1, -1, -1):
            others = self._others[index]
            edge = others.value()
            if len(others) >= self.min_samples_required and edge is not None and self._ranked_by is not None:
                shown = f"{self._ranked_by.value_of(edge):.4g} ({len(others)} trials)"
                return f"{self._edge_name} at {self.time_attr} {self._time_at(index):g}: {shown}"
        return f"{self._edge_name}: too few trials to judge by"

    def _time_at(self, index: int) -> float:
        if self.interval is None:
            return self.grace_period * GROWTH**index
        return (self._first + index) * self.interval

    def _record(self, result: Reported, experiment: Experiment) -> None:
        objective = objective_of(type(self).__name__, self.objective, experiment)
        if objective is not self._ranked_by and objective != self._ranked_by:
            self._forget(objective)  # Losses of another metric, of an earlier session, compare with nothing.
        curve = self._curves.get(result.trial)
        if curve is None:
            curve = self._curves[result.trial] = _Curve(self._new_running())
        loss = objective.loss(result)
        curve.best = min(curve.best, loss)
        curve.verdict = None
        time = time_of(result, self.time_attr)
        if time is None or time < self.grace_period or time <= curve.furthest:
            return
        curve.furthest = time
        first = passed = curve.passed
        while self._time_at(passed) <= time:
            passed += 1
        if passed == first:
            curve.running.add(loss)
            return
        while len(self._others) < passed:
            self._others.append(RunningQuantile(self._divisor))
        if not curve.is_spared:
            curve.verdict = self._verdict(result, curve, passed - 1)
        # What counts at a decision time includes a result at that very time, but none after it.
        is_on_time = self._time_at(passed - 1) == time
        if curve.running.count:
            value = curve.running.value()
            for index in range(first, passed - is_on_time):
                self._others[index].add(value)
        curve.running.add(loss)
        if is_on_time:
            self._others[passed - 1].add(curve.running.value())
        curve.passed = passed

    def _verdict(self, result: Result, curve: _Curve, index: int) -> tuple[int, int, str] | None:
        others = self._others[index]
        edge = others.value()
        if edge is None or len(others) < self.min_samples_required:
            return (result.attempt, result.number, "")
        if curve.best <= edge:
            return None
        assert self._ranked_by is not None
        metric, mode = self._ranked_by.metric, self._ranked_by.mode
        if curve.best == WORST:
            found = f"it has had no number for {metric} so far, which ranks worst; the {self._edge_name} is"
        else:
            side = "below" if mode == "max" else "above"
            found = f"its best {metric} {self._ranked_by.value_of(curve.best):.6g} is {side} the {self._edge_name}"
        value = self._ranked_by.value_of(edge)
        compared = f"{len(others)} other trials' {self._counted}"
        reason = f"{self.time_attr} {self._time_at(index):g}: {found} {value:.6g} of {compared}"
        return (result.attempt, result.number, reason)

"""The median stopping rule: a trial stops when its best is worse than the median of what the others were on average.

Source: Golovin et al. 2017, "Google Vizier", section 3.2.1; parameters and the set of the others as in Ray Tune.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Result, TrialCompleted, TrialPaused, TrialStopped
from ..core.objective import WORST, Objective
from ..core.policy import CONTINUE, FOREVER, NEW, Choice, Decision, Pause, Resume, Scheduler, Stop
from ..core.trial import Status
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


class _Mean:
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


class _Curve:
    """What the rule must remember of one trial."""

    __slots__ = ("best", "furthest", "is_spared", "mean", "passed", "paused_at", "verdict")

    def __init__(self) -> None:
        self.best = WORST
        self.mean = _Mean()
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
class Median:
    """A decision time as people see it."""

    time: float
    trials: int
    """How many have a running mean there."""
    median: float | None
    """Of their running means, as the metric's value; None while there are none."""


class MedianStoppingRule(Scheduler):
    """Stops a trial whose best result so far is strictly worse than the median of the other trials' running means.

    At a decision time t the others are all trials that have reported a time of t or later, whatever became of them
    since; each one's running mean is over its results from `grace_period` to t. Ties go on. A missing or nan metric
    ranks worst, in the means too.

    *Decision times.* The rule asks for the others' means at the very time of the trial that is judged. When trials
    share their times, each trial's mean at each of them is final once it has got there: it is kept once, in a
    structure that knows its median, and a result costs O(log n). When times are continuous (seconds), no two trials
    share one; every decision would need a mean of its own from every other trial, and n trials would cost n^2. So
    there the rule is held at decision times that all trials share, and exactly there: `grace_period * 1.1**k`, so that
    a bad trial runs at most a tenth longer than it had to. A trial is judged by the first result at or after a
    decision time; one that passes several is judged at the last and has its mean counted at all of them.
    `training_iteration` is shared, and judged at every result. For another attribute with shared steps
    (timesteps_total in thousands) give `interval`.

    Steps that an attempt redoes after a restart from a checkpoint count towards its best result only: at each
    decision time a trial has one mean, and the first stands, since others have been judged against it. Failed trials
    keep theirs.

    A trial runs without waiting up to the next decision time.

    Args:
        time_attr: What counts as time: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        grace_period: No trial is judged before this time, and the running means begin there.
        min_samples_required: Judge only against at least so many others.
        min_time_slice: While there are fewer, a trial is paused after so much time if others wait for its resources;
            0 never.
        hard_stop: False: pause a trial instead of stopping it. It goes on when no other trial waits any more, and
            is then left alone.
        interval: Judge at the multiples of this; by default 1 for training_iteration, else as said above. Not smaller
            than the usual step between two results: a result pays for every decision time that it passes.
        reward_attr: Early Tune's way to say metric=..., mode="max".

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def __init__(
        self,
        *,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        grace_period: float = 60.0,
        min_samples_required: int = 3,
        min_time_slice: float = 0,
        hard_stop: bool = True,
        interval: float | None = None,
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

    def _forget(self, objective: Objective | None) -> None:
        self._ranked_by = objective
        self._curves: dict[int, _Curve] = {}
        self._means: list[RunningQuantile] = []
        """For each decision time the running means of the trials that have passed it."""

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
        """Stop (or pause) a trial whose best was worse than the median at the decision time that it has reached."""
        curve = self._curves.get(result.trial)
        if curve is None or curve.verdict is None or curve.verdict[:2] != (result.attempt, result.number):
            return CONTINUE
        reason = curve.verdict[2]
        if reason:
            return Stop(reason) if self.hard_stop else Pause(reason)
        time = time_of(result, self.time_attr)
        if not self.min_time_slice or time is None or time - curve.paused_at <= self.min_time_slice:
            return CONTINUE
        if experiment.counts[Status.PENDING] or experiment.paused or _has_more_to_come(experiment):
            return Pause(f"gives others a turn: fewer than {self.min_samples_required} have come as far")
        return CONTINUE

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next decision time that the trial has not passed."""
        curve = self._curves.get(trial.id)
        if curve is None:
            return self._time_at(0)
        return FOREVER if curve.is_spared else self._time_at(curve.passed)

    def choose(self, experiment: Experiment) -> Choice:
        """Return the next new trial; when there are no more, the one that has been paused for longest."""
        if experiment.paused and not experiment.counts[Status.PENDING] and not _has_more_to_come(experiment):
            for trial in experiment.paused:
                if not experiment.trials[trial].is_live:
                    return Resume(trial)
        return NEW

    @property
    def medians(self) -> list[Median]:
        """All decision times that a trial has passed, earliest first."""
        objective = self._ranked_by
        medians = []
        for index, means in enumerate(self._means):
            median = means.value()
            value = None if median is None or objective is None else objective.value_of(median)
            medians.append(Median(self._time_at(index), len(means), value))
        return medians

    def describe(self) -> str:
        """Return one line: the latest decision time with enough trials to judge by, and its median."""
        for index in range(len(self._means) - 1, -1, -1):
            means = self._means[index]
            median = means.value()
            if len(means) >= self.min_samples_required and median is not None and self._ranked_by is not None:
                value = self._ranked_by.value_of(median)
                return f"median at {self.time_attr} {self._time_at(index):g}: {value:.4g} ({len(means)} trials)"
        return "median: too few trials to judge by"

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
            curve = self._curves[result.trial] = _Curve()
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
            curve.mean.add(loss)
            return
        while len(self._means) < passed:
            self._means.append(RunningQuantile(2))
        if not curve.is_spared:
            curve.verdict = self._verdict(result, curve, passed - 1)
        # A mean at a decision time includes a result at that very time, but none after it.
        is_on_time = self._time_at(passed - 1) == time
        if curve.mean.count:
            mean = curve.mean.value()
            for index in range(first, passed - is_on_time):
                self._means[index].add(mean)
        curve.mean.add(loss)
        if is_on_time:
            self._means[passed - 1].add(curve.mean.value())
        curve.passed = passed

    def _verdict(self, result: Result, curve: _Curve, index: int) -> tuple[int, int, str] | None:
        others = self._means[index]
        median = others.value()
        if median is None or len(others) < self.min_samples_required:
            return (result.attempt, result.number, "")
        if curve.best <= median:
            return None
        assert self._ranked_by is not None
        metric, mode = self._ranked_by.metric, self._ranked_by.mode
        if curve.best == WORST:
            found = f"it has had no number for {metric} so far, which ranks worst; the median is"
        else:
            side = "below" if mode == "max" else "above"
            found = f"its best {metric} {self._ranked_by.value_of(curve.best):.6g} is {side} the median"
        edge = self._ranked_by.value_of(median)
        reason = f"{self.time_attr} {self._time_at(index):g}: {found} {edge:.6g} of {len(others)} other trials' means"
        return (result.attempt, result.number, reason)


def _has_more_to_come(experiment: Experiment) -> bool:
    """Whether the searcher may still propose trials."""
    wanted = experiment.trials_wanted
    return not experiment.is_exhausted and (wanted is None or experiment.next_number < wanted)

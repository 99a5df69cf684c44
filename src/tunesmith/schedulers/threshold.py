"""The threshold rule: a trial stops when a metric leaves the bounds that hold at its time. It compares nobody."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..core.events import Result
from ..core.objective import Objective
from ..core.policy import CONTINUE, ONE_RESULT, Decision, Scheduler, Stop
from ..errors import ConfigError
from .arguments import number, time_attribute, time_of

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial

Bounds = float | Mapping[float, float]


class ThresholdRule(Scheduler):
    """Stops a trial whose metric lies outside its bounds, or is nan while one of them holds.

    A bound is a number, which holds from the beginning, or a dict from times to numbers: `{10: 0.5, 50: 0.8}` holds
    nothing before time 10, 0.5 from there and 0.8 from time 50. A value on a bound is inside. A result without the
    metric is not judged. Each verdict follows from one result alone, so nothing is remembered.

    A trial runs without waiting up to the first time at which a bound holds; from there every result waits.

    Args:
        lower: What the metric must not be below.
        upper: What the metric must not be above.
        metric: The reported metric; by default the experiment's first objective.
        time_attr: What counts as time: training_iteration, time_total_s, or a reported metric that grows.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    compares_trials = False

    def __init__(
        self,
        *,
        lower: Bounds | None = None,
        upper: Bounds | None = None,
        metric: str | None = None,
        time_attr: str = "training_iteration",
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        if metric is not None and (not isinstance(metric, str) or not metric):
            raise ConfigError(f"{owner}: metric={metric!r}: give the name of a reported metric, e.g. metric='loss'.")
        if lower is None and upper is None:
            raise ConfigError(f"{owner}: neither lower= nor upper= is given, so nothing would be stopped. Give one.")
        self.metric = metric
        self.objective: Objective | None = None
        """None: it takes only the name of the experiment's."""
        self._lower = _steps(owner, "lower", lower)
        self._upper = _steps(owner, "upper", upper)
        for time in (*self._lower[0], *self._upper[0]):
            low, high = _at(self._lower, time), _at(self._upper, time)
            if low is not None and high is not None and low > high:
                raise ConfigError(f"{owner}: at time {time:g} lower={low:g} is above upper={high:g}. Swap them?")
        self._first = min((*self._lower[0], *self._upper[0]))

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Stop a trial whose metric is outside."""
        time = time_of(result, self.time_attr)
        metric = self._metric(experiment)
        value = result.value(metric)
        if time is None or not isinstance(value, int | float):
            return CONTINUE
        low, high = _at(self._lower, time), _at(self._upper, time)
        if low is None and high is None:
            return CONTINUE
        found = f"{self.time_attr} {time:g}: {metric} "
        if math.isnan(value):
            return Stop(f"{found}is nan, which lies outside every bound")
        if low is not None and value < low:
            return Stop(f"{found}{value:.6g} is below the lower bound {low:g}")
        if high is not None and value > high:
            return Stop(f"{found}{value:.6g} is above the upper bound {high:g}")
        return CONTINUE

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the first time at which a bound holds; from there on one result."""
        last = trial.last
        time = None if last is None or last.attempt != trial.attempt else time_of(last, self.time_attr)
        return ONE_RESULT if time is not None and time >= self._first else self._first

    def _metric(self, experiment: Experiment) -> str:
        if self.metric is not None:
            return self.metric
        if experiment.objective is None:
            raise ConfigError(
                "ThresholdRule has no metric to watch. Give metric= to it, or metric= and mode= to the run."
            )
        return experiment.objective.metric


def _steps(owner: str, name: str, bounds: Bounds | None) -> tuple[list[float], list[float]]:
    """Return the times from which on each bound holds, ascending, and the bounds."""
    if bounds is None:
        return [], []
    if not isinstance(bounds, Mapping):
        return [-math.inf], [number(owner, name, bounds)]
    if not bounds:
        raise ConfigError(f"{owner}: {name}={{}} names no time. Give {{time: bound}}, or a number.")
    times = sorted(number(owner, f"a time of {name}", time) for time in bounds)
    return times, [number(owner, f"{name} at {time:g}", bounds[time]) for time in times]


def _at(steps: tuple[list[float], list[float]], time: float) -> float | None:
    index = bisect_right(steps[0], time)
    return steps[1][index - 1] if index else None

"""When a trial, or the whole experiment, is to stop. The names and meanings are Ray Tune's.

What a rule remembers it learns in `observe`, once per result, also when a journal is folded at a resume; the questions
only read it.
"""

from __future__ import annotations

import inspect
import math
from bisect import insort
from collections import deque
from collections.abc import Callable, Mapping
from datetime import timedelta
from numbers import Real
from typing import TYPE_CHECKING, Any, Final

from .core.events import Event, Reported, Result, TrialCompleted, TrialStopped
from .core.objective import WORST, Objective
from .core.policy import Stopper
from .core.results import result_dict
from .errors import ConfigError
from .schedulers.arguments import number, whole_number

if TYPE_CHECKING:
    from .core.experiment import Experiment

StopFunction = Callable[[Any, dict[str, Any]], Any]
"""Of a trial's id and a result; true when the trial is to stop."""
_ADVICE: Final = (
    'Give a dict of thresholds (stop={"accuracy": 0.99}), a function of (trial_id, result), a Stopper, '
    "a list of these, or None."
)


def as_stopper(stop: object) -> Stopper:
    """Return the stop rule that `stop` stands for.

    Args:
        stop: A dict of thresholds, a function of (trial_id, result), a `Stopper`, an object with Ray Tune's
            `__call__` and `stop_all`, a list of these (any of them stops), or None.

    Raises:
        ConfigError: It is nothing of the kind.
    """
    if stop is None:
        return NoopStopper()
    if isinstance(stop, type):
        raise ConfigError(f"stop={stop.__name__} is a class. Give an object of it: stop={stop.__name__}(...).")
    if isinstance(stop, Mapping):
        return ThresholdStopper(stop)
    if isinstance(stop, list | tuple):
        return CombinedStopper(*stop)
    if callable(stop):
        # Also a `Stopper` written in Ray Tune's form, which is one that can be called.
        return FunctionStopper(stop)
    if isinstance(stop, Stopper):
        return stop
    raise ConfigError(f"stop={stop!r} is no stop rule. {_ADVICE}")


class NoopStopper(Stopper):
    """Never stops anything."""

    every_result = False


class ThresholdStopper(Stopper):
    """Stops a trial at the first result in which one of these metrics (or automatic fields) is at least its value.

    Whatever the objective's mode. Workers judge it alone, so it costs nothing while no threshold is reached.
    """

    every_result = False

    def __init__(self, thresholds: Mapping[str, Any]) -> None:
        for name, value in thresholds.items():
            if not isinstance(name, str):
                raise ConfigError(f"stop={{{name!r}: ...}}: the keys are names of metrics. {_ADVICE}")
            if not isinstance(value, Real) or math.isnan(value):
                raise ConfigError(
                    f"stop={{{name!r}: {value!r}}}: the value is not a number. "
                    f"A trial stops when its {name} is at least that number; for other rules give a function."
                )
        self.thresholds = {name: float(value) for name, value in thresholds.items()}

    def stop_trial(self, result: Result, experiment: Experiment) -> str | None:
        """Return which threshold the result has reached."""
        for name, threshold in self.thresholds.items():
            value = result.value(name)
            if isinstance(value, int | float) and value >= threshold:
                return f"{name} = {value:.6g} has reached {threshold:g}"
        return None


class MaximumIterationStopper(Stopper):
    """Stops a trial after `max_iter` results; results that an attempt redoes after a restart do not count twice."""

    every_result = False

    def __init__(self, max_iter: int) -> None:
        self._most = whole_number("MaximumIterationStopper", "max_iter", max_iter, least=1)
        self.thresholds = {"training_iteration": float(max_iter)}

    def stop_trial(self, result: Result, experiment: Experiment) -> str | None:
        """Return that the trial has had its results."""
        return f"it has reported {self._most} results" if result.number >= self._most else None


class TimeoutStopper(Stopper):
    """Stops everything after `timeout` (seconds, or a timedelta) of experiment time; time between sessions is free."""

    every_result = False

    def __init__(self, timeout: float | timedelta) -> None:
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        self.deadline = self._seconds = number("TimeoutStopper", "timeout", seconds, above=0)

    def stop_experiment(self, experiment: Experiment) -> str | None:
        """Return that time is up."""
        return f"the timeout of {self._seconds:g} s is over" if experiment.at >= self._seconds else None


class TargetStopper(Stopper):
    """Stops everything once a trial has reported a `metric` at least as good as `target`."""

    every_result = False

    def __init__(self, metric: str, target: float, *, mode: str = "max") -> None:
        self._objective = Objective(metric, mode)
        self._target = number("TargetStopper", "target", target)
        self._reached: str | None = None

    def observe(self, event: Event, experiment: Experiment) -> None:
        """See whether a result reaches the target."""
        if type(event) is not Reported or self._reached is not None:
            return
        loss = self._objective.loss(event)
        if loss < WORST and loss <= (-self._target if self._objective.mode == "max" else self._target):
            value = self._objective.value_of(loss)
            self._reached = (
                f"trial {event.trial} has {self._objective.metric} = {value:.6g}; the target is {self._target:g}"
            )

    def stop_experiment(self, experiment: Experiment) -> str | None:
        """Return who has reached the target."""
        return self._reached


class TrialPlateauStopper(Stopper):
    """Stops a trial whose metric stands still: the last `num_results` values deviate by at most `std`.

    Args:
        metric: The metric to watch.
        std: Standard deviation (of the values themselves, not of a sample) from which on it counts as standing still.
        num_results: How many of the last results to look at.
        grace_period: No trial is stopped before it has reported so many results.
        metric_threshold: Only when the metric is at least as good as this; needs `mode`.
        mode: "min" or "max": which side of `metric_threshold` is good.
    """

    def __init__(
        self,
        metric: str,
        *,
        std: float = 0.01,
        num_results: int = 4,
        grace_period: int = 4,
        metric_threshold: float | None = None,
        mode: str | None = None,
    ) -> None:
        owner = type(self).__name__
        if metric_threshold is not None and mode is None:
            raise ConfigError(f"{owner}: metric_threshold={metric_threshold!r} needs mode='min' or mode='max'.")
        self._objective = Objective(metric, mode or "max")
        self._std = number(owner, "std", std, least=0)
        self._count = whole_number(owner, "num_results", num_results, least=2)
        self._grace = whole_number(owner, "grace_period", grace_period, least=0)
        self._threshold = None if metric_threshold is None else number(owner, "metric_threshold", metric_threshold)
        self._recent: dict[int, deque[tuple[int, float]]] = {}
        """Trial -> (number, loss) of its last results."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Remember a trial's last results."""
        if type(event) is Reported:
            recent = self._recent.setdefault(event.trial, deque(maxlen=self._count))
            while recent and recent[-1][0] >= event.number:
                recent.pop()  # An attempt that restarted from a checkpoint is redoing these.
            recent.append((event.number, self._objective.loss(event)))
        elif type(event) is TrialStopped or type(event) is TrialCompleted:
            self._recent.pop(event.trial, None)

    def stop_trial(self, result: Result, experiment: Experiment) -> str | None:
        """Return how still the trial stands."""
        recent = self._recent.get(result.trial, ())
        if result.number < self._grace or len(recent) < self._count:
            return None
        losses = [loss for _, loss in recent]
        deviation = _deviation(losses)
        if deviation > self._std:
            return None
        if self._threshold is not None:
            least = -self._threshold if self._objective.mode == "max" else self._threshold
            if losses[-1] > least:
                return None
        found = f"a standard deviation of {deviation:.3g} (at most {self._std:g})"
        return f"{self._objective.metric} stands still: {found} over its last {self._count} results"


class ExperimentPlateauStopper(Stopper):
    """Stops everything when the `top` best values ever reported deviate by at most `std`.

    Args:
        metric: The metric to watch.
        std: Standard deviation (of the values themselves, not of a sample) from which on they count as equal.
        top: How many of the best values to look at.
        mode: "min" or "max".
        patience: Wait until that has held for so many results in a row.
    """

    every_result = False

    def __init__(self, metric: str, *, std: float = 0.001, top: int = 10, mode: str = "min", patience: int = 0) -> None:
        owner = type(self).__name__
        self._objective = Objective(metric, mode)
        self._std = number(owner, "std", std, least=0)
        self._top = whole_number(owner, "top", top, least=2)
        self._patience = whole_number(owner, "patience", patience, least=0)
        self._best: list[float] = []
        """Losses, best first."""
        self._deviation = math.inf
        self._still_for = 0

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn a result."""
        if type(event) is not Reported:
            return
        loss = self._objective.loss(event)
        if loss < WORST and (len(self._best) < self._top or loss < self._best[-1]):
            insort(self._best, loss)
            del self._best[self._top :]
            self._deviation = _deviation(self._best) if len(self._best) == self._top else math.inf
        self._still_for = self._still_for + 1 if self._deviation <= self._std else 0

    def stop_experiment(self, experiment: Experiment) -> str | None:
        """Return how alike the best values are."""
        if self._still_for < max(1, self._patience):
            return None
        found = f"a standard deviation of {self._deviation:.3g} (at most {self._std:g})"
        return f"the {self._top} best values of {self._objective.metric} are alike: {found}"


class FunctionStopper(Stopper):
    """Stops a trial when `function(trial_id, result)` is true; `result` is a dict with the automatic fields.

    Also takes an object in Ray Tune's form: it is called the same way, and when its method `stop_all()` is true
    everything stops. Both are called once per result, in the order of the results, also when a session is resumed.

    Raises:
        ConfigError: It cannot be called with two arguments.
    """

    def __init__(self, function: StopFunction) -> None:
        if not callable(function):
            raise ConfigError(f"FunctionStopper({function!r}): that cannot be called. {_ADVICE}")
        self._name = getattr(function, "__name__", type(function).__name__)
        try:
            inspect.signature(function).bind(0, {})
        except TypeError:
            raise ConfigError(
                f"stop={self._name}: it must take two arguments, (trial_id, result), but its signature is "
                f"{self._name}{inspect.signature(function)}."
            ) from None
        except ValueError:
            pass  # Built-in functions may have no signature to look at.
        self._function = function
        self._stop_all: Callable[[], Any] | None = getattr(function, "stop_all", None)
        self._stops: dict[int, tuple[int, int]] = {}
        """Trial -> (attempt, number) of its newest result, if the function stopped it there."""
        self._all_stop = False

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Ask the function about a result."""
        if type(event) is Reported:
            self._stops.pop(event.trial, None)
            if self._function(event.trial, result_dict(event)):
                self._stops[event.trial] = (event.attempt, event.number)
            self._all_stop = self._stop_all is not None and bool(self._stop_all())
        elif type(event) is TrialStopped or type(event) is TrialCompleted:
            self._stops.pop(event.trial, None)

    def stop_trial(self, result: Result, experiment: Experiment) -> str | None:
        """Return whose decision it was."""
        is_stopped = self._stops.get(result.trial) == (result.attempt, result.number)
        return f"the stop rule {self._name} said so" if is_stopped else None

    def stop_experiment(self, experiment: Experiment) -> str | None:
        """Return whose decision it was."""
        return f"the stop rule {self._name} said so for everything" if self._all_stop else None


class CombinedStopper(Stopper):
    """Stops when any of `stoppers` does; each may be whatever `stop=` takes."""

    def __init__(self, *stoppers: object) -> None:
        self._stoppers = tuple(as_stopper(stopper) for stopper in stoppers)
        self.every_result = any(stopper.every_result for stopper in self._stoppers)
        self.deadline = min((each.deadline for each in self._stoppers if each.deadline is not None), default=None)
        thresholds: dict[str, float] = {}
        for stopper in self._stoppers:
            for name, value in stopper.thresholds.items():
                thresholds[name] = min(value, thresholds.get(name, math.inf))
        self.thresholds = thresholds

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Let each of them learn."""
        for stopper in self._stoppers:
            stopper.observe(event, experiment)

    def stop_trial(self, result: Result, experiment: Experiment) -> str | None:
        """Return the first reason that one of them has."""
        reasons = (stopper.stop_trial(result, experiment) for stopper in self._stoppers)
        return next((reason for reason in reasons if reason is not None), None)

    def stop_experiment(self, experiment: Experiment) -> str | None:
        """Return the first reason that one of them has."""
        reasons = (stopper.stop_experiment(experiment) for stopper in self._stoppers)
        return next((reason for reason in reasons if reason is not None), None)


def _deviation(values: list[float]) -> float:
    """Return the standard deviation; inf when there is none, because a value is infinite."""
    # From the first value, so that equal values deviate by exactly nothing.
    shifts = [value - values[0] for value in values]
    mean = sum(shifts) / len(shifts)
    variance = sum((shift - mean) * (shift - mean) for shift in shifts) / len(shifts)
    return math.sqrt(variance) if math.isfinite(variance) else math.inf

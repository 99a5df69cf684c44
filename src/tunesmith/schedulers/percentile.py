"""The percentile rule: a trial stops when its best is outside the best p percent of what the others had by then.

Source: the median rule of Golovin et al. 2017, "Google Vizier", with another percentile than 50.
"""

from __future__ import annotations

from fractions import Fraction

from ..errors import ConfigError
from .arguments import number
from .relative import Newest, RelativeRule, Running, RunningMean

_COUNTED = {"values": "values", "means": "means"}


class PercentileRule(RelativeRule):
    """Stops a trial whose best result so far is strictly worse than the best `percentile` percent of the others.

    At a decision time t the others are all trials that have reported a time of t or later, whatever became of them
    since. Each counts with its newest value at or before t (`against="values"`), or with the mean of its values from
    `grace_period` to t (`against="means"`). The edge is the `percentile`-th percentile of these, counted from the best
    and linearly interpolated; so `percentile=25` lets those go on that have been as good as the best quarter, and
    `PercentileRule(percentile=50, against="means")` is the median rule. Ties go on. A missing or nan metric ranks
    worst.

    Decision times, redone steps and failed trials are as `MedianStoppingRule` has them; so is the cost: O(log n).

    Args:
        percentile: Of the others, counted from the best: above 0, at most 100. At 100 a trial goes on that is not worse
            than the worst one.
        against: "values" or "means".
        time_attr: What counts as time: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        grace_period: No trial is judged before this time; values before it do not count for the others.
        min_samples_required: Judge only against at least so many others.
        min_time_slice: While there are fewer, a trial is paused after so much time if others wait for its resources;
            0 never.
        hard_stop: False: pause a trial instead of stopping it. It goes on when no other trial waits any more, and
            is then left alone.
        interval: Judge at the multiples of this; by default 1 for training_iteration, else at `grace_period * 1.1**k`.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def __init__(
        self,
        percentile: float = 25.0,
        *,
        against: str = "values",
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        grace_period: float = 1,
        min_samples_required: int = 3,
        min_time_slice: float = 0,
        hard_stop: bool = True,
        interval: float | None = None,
    ) -> None:
        owner = type(self).__name__
        self.percentile = number(owner, "percentile", percentile, above=0)
        if self.percentile > 100:
            raise ConfigError(f"{owner}: percentile={percentile!r} is too large: it must be at most 100.")
        if against not in _COUNTED:
            raise ConfigError(f"{owner}: against={against!r}: give one of {', '.join(map(repr, _COUNTED))}.")
        self.against = against
        self._divisor = 100 / Fraction(self.percentile)
        self._edge_name = f"best {self.percentile:g} %"
        self._counted = _COUNTED[against]
        super().__init__(
            time_attr=time_attr,
            metric=metric,
            mode=mode,
            grace_period=grace_period,
            min_samples_required=min_samples_required,
            min_time_slice=min_time_slice,
            hard_stop=hard_stop,
            interval=interval,
        )

    def _new_running(self) -> Running:
        return RunningMean() if self.against == "means" else Newest()

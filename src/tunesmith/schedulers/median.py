"""The median stopping rule: a trial stops when its best is worse than the median of what the others were on average.

Source: Golovin et al. 2017, "Google Vizier", section 3.2.1; parameters and the set of the others as in Ray Tune.
"""

from __future__ import annotations

from dataclasses import dataclass

from .relative import RelativeRule, RunningMean


@dataclass(frozen=True, slots=True)
class Median:
    """A decision time as people see it."""

    time: float
    trials: int
    """How many have a running mean there."""
    median: float | None
    """Of their running means, as the metric's value; None while there are none."""


class MedianStoppingRule(RelativeRule):
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
        super().__init__(
            time_attr=time_attr,
            metric=metric,
            mode=mode,
            grace_period=grace_period,
            min_samples_required=min_samples_required,
            min_time_slice=min_time_slice,
            hard_stop=hard_stop,
            interval=interval,
            reward_attr=reward_attr,
        )

    @property
    def medians(self) -> list[Median]:
        """All decision times that a trial has passed, earliest first."""
        return [Median(edge.time, edge.trials, edge.value) for edge in self.edges]

    def _new_running(self) -> RunningMean:
        return RunningMean()

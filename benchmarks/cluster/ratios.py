"""How many times one thing is another, measured in pairs that stand side by side: with an interval."""

import math
import statistics
from collections.abc import Sequence

from benchmarks.figures import Figure
from benchmarks.subjects import Answer

QUANTILES = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
"""Student's t for 95%, by degrees of freedom; beyond these a normal's will do."""


def ratio(above: Sequence[float], below: Sequence[float]) -> tuple[float, tuple[float, float] | None]:
    """Return the geometric mean of the pairs' quotients, and its 95% interval where there is more than one pair."""
    logs = [math.log(one / other) for one, other in zip(above, below, strict=True)]
    middle = statistics.fmean(logs)
    if len(logs) < 2:
        return math.exp(middle), None
    freedom = len(logs) - 1
    quantile = QUANTILES[freedom - 1] if freedom <= len(QUANTILES) else 1.96
    half = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(middle), (math.exp(middle - half), math.exp(middle + half))


def times(name: str, ours: Sequence[Answer], theirs: Sequence[Answer], key: str, target: float | None = None) -> Figure:
    """Return the figure of how many times theirs ours is; round by round."""
    pairs = [(one[key], other[key]) for one, other in zip(ours, theirs, strict=False) if key in one and key in other]
    if not pairs:
        missing = next((str(answer["missing"]) for answer in (*ours, *theirs) if "missing" in answer), "has none")
        return Figure(name, "times", missing, target=target)
    middle, interval = ratio(*zip(*pairs, strict=True))
    return Figure(name, "times", middle, target=target, interval=interval)

"""The quantile of numbers that only come and never go. Knows nothing of trials."""

from __future__ import annotations

import math
from fractions import Fraction
from heapq import heappop, heappush


class RunningQuantile:
    """The `1/divisor` quantile of the numbers added so far; O(log n) per number, O(1) per question.

    Interpolated linearly, as `numpy.percentile` does; infinite numbers are ranked, and never make it nan.

    Args:
        divisor: From 1 on: 2 for the median, 4 for the best quarter's edge (lower being better). A fraction is taken
            exactly, as 4/3 must be for the best three quarters.
    """

    __slots__ = ("_denominator", "_high", "_low", "_numerator")

    def __init__(self, divisor: float | Fraction) -> None:
        self._numerator, self._denominator = divisor.as_integer_ratio()
        # The quantile lies between the k-th smallest number and the next, and k grows by at most one per number:
        # the k smallest (negated, largest first) and the rest (smallest first) are all that is needed.
        self._low: list[float] = []
        self._high: list[float] = []

    def __len__(self) -> int:
        return len(self._low) + len(self._high)

    def add(self, number: float) -> None:
        """Take one more number; not nan."""
        if self._low and number < -self._low[0]:
            heappush(self._low, -number)
        else:
            heappush(self._high, number)
        wanted = (len(self) - 1) * self._denominator // self._numerator + 1
        if len(self._low) > wanted:
            heappush(self._high, -heappop(self._low))
        elif len(self._low) < wanted:
            heappush(self._low, -heappop(self._high))

    def value(self) -> float | None:
        """Return the quantile; None while there is no number."""
        if not self._low:
            return None
        below = -self._low[0]
        numerator = self._numerator
        rest = (len(self) - 1) * self._denominator % numerator
        if not rest or not self._high or self._high[0] == below:
            return below
        above = self._high[0]
        if math.isinf(above - below):
            return below if below == -math.inf else above
        # The median as the mean of two, else from the nearer end: as numpy rounds, and alike in both directions.
        if 2 * rest == numerator:
            return (below + above) / 2
        if 2 * rest > numerator:
            return above - (above - below) * ((numerator - rest) / numerator)
        return below + (above - below) * (rest / numerator)

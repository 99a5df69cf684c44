"""Kernel density estimates over mixed coordinates: products of one kernel per parameter. Pure functions of the data.

Source: Falkner et al. 2018, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", section 3.2 and
supplement B: a Gaussian truncated to [0, 1] for numbers, Aitchison and Aitken's kernel for one of several values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NORMAL_REFERENCE = 1.06
"""The bandwidth that is best for normally distributed data is 1.06 * sigma * n**(-1 / (4 + d))."""
NEAREST_TO_AN_END = 2.0**-53


class ProductDensity:
    """The density of which some points are a sample.

    A coordinate that a point does not have (nan) is spread evenly over all of its values: the point says nothing about
    it. The same holds for a place at which the density is asked: what it does not have, it is not asked for.

    Args:
        points: The sample, one row per point, shape (n, d) with n > 0: numbers in [0, 1], indices of values, or nan.
        options: For each coordinate how many values there are to choose from; 0 for a number.
        min_bandwidth: No bandwidth is below it.
    """

    def __init__(self, points: Sequence[Sequence[float]], options: Sequence[int], min_bandwidth: float) -> None:
        import numpy as np  # a searcher's extra quarter of a second is for those who use one

        self.points: FloatArray = np.asarray(points, dtype=float)
        self.options = tuple(options)
        self.bandwidths = [
            self._bandwidth(self.points[:, index], count, min_bandwidth) for index, count in enumerate(self.options)
        ]

    def _bandwidth(self, column: FloatArray, options: int, least: float) -> float:
        """Return the normal-reference bandwidth of one coordinate.

        One more point, spread evenly over all values, counts in it. Without it a value or a region that the first few
        good points share by chance has a deviation near 0, and nothing else is ever drawn again; its weight fades as
        points come.

        The deviation of categorical data is sqrt(P(two points differ) / 2), which does not depend on how the values are
        numbered; for two values it is the deviation of their indices.
        """
        import numpy as np

        known = column[~np.isnan(column)]
        size = len(known) + 1
        if options:
            shares: FloatArray = (np.bincount(known.astype(int), minlength=options) + 1 / options) / size
            variance = (1 - float(np.dot(shares, shares))) / 2
            most = (options - 1) / options
        else:
            mean = (float(known.sum()) + 0.5) / size
            variance = (float(((known - mean) ** 2).sum()) + (0.5 - mean) ** 2 + 1 / 12) / size
            most = math.inf
        bandwidth = NORMAL_REFERENCE * math.sqrt(variance) * size ** (-1 / (4 + len(self.options)))
        return float(min(max(bandwidth, least), most))

    def at(self, places: Sequence[Sequence[float]]) -> FloatArray:
        """Return the density at some places, shape (m, d) -> (m,)."""
        import numpy as np

        where = np.asarray(places, dtype=float)
        product = np.ones((len(self.points), len(where)))
        for index, (options, bandwidth) in enumerate(zip(self.options, self.bandwidths, strict=True)):
            own, asked = self.points[:, index, None], where[None, :, index]
            if options:
                kernel = np.where(own == asked, 1 - bandwidth, bandwidth / (options - 1))
                kernel = np.where(np.isnan(own), 1 / options, kernel)
            else:
                inside = _normal_below((1 - own) / bandwidth) - _normal_below(-own / bandwidth)
                kernel = np.exp(-0.5 * ((asked - own) / bandwidth) ** 2) / (math.sqrt(2 * math.pi) * bandwidth * inside)
                kernel = np.where(np.isnan(own), 1.0, kernel)
            product *= np.where(np.isnan(asked), 1.0, kernel)
        mean: FloatArray = product.mean(axis=0)
        return mean

    def draw(self, random: Random, row: int, index: int, widening: float) -> float:
        """Return a random value of a coordinate near that of one point, with a bandwidth `widening` times as large."""
        options, own = self.options[index], float(self.points[row, index])
        bandwidth = self.bandwidths[index] * widening
        if options:
            if math.isnan(own):
                return float(random.randrange(options))
            if random.random() >= min(bandwidth, (options - 1) / options):
                return own
            other = random.randrange(options - 1)
            return float(other + (other >= own))
        if math.isnan(own):
            return random.random()
        from statistics import NormalDist

        normal = NormalDist()
        below, above = normal.cdf(-own / bandwidth), normal.cdf((1 - own) / bandwidth)
        level = below + (above - below) * random.random()
        drawn = own + bandwidth * normal.inv_cdf(min(max(level, NEAREST_TO_AN_END), 1 - NEAREST_TO_AN_END))
        return min(max(drawn, 0.0), 1.0)


def _normal_below(values: Any) -> Any:
    """Return the standard normal distribution function of an array."""
    import numpy as np

    erf = np.frompyfunc(math.erf, 1, 1)
    return 0.5 * (1 + erf(values / math.sqrt(2)).astype(float))

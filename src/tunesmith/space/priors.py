"""How a prior bends a distribution: half of it stays as it is, the other half moves near to what a user believes in.

For numbers that is a mixture on [0, 1], the domain's own scale (its logarithm, say), of the uniform density and a
triangular one around the prior, a quarter of the range to each side, cut off at the ends. Its distribution function is
piecewise quadratic, so that it and its inverse are exact, and cheap for whole columns too.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

WEIGHT = 0.5
"""The part of the distribution that goes near the prior."""
HALF_WIDTH = 0.25
"""How far the triangle reaches to each side."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """A piecewise linear density on [0, 1], by its values at the ends of its pieces."""

    knots: tuple[float, ...]
    densities: tuple[float, ...]
    masses: tuple[float, ...]
    """The distribution function at the knots."""

    def below(self, fraction: float) -> float:
        """Return the mass below a point of [0, 1]: the distribution function."""
        piece = min(max(bisect_right(self.knots, fraction) - 1, 0), len(self.knots) - 2)
        density, slope = self._piece(piece)
        along = fraction - self.knots[piece]
        return min(max(self.masses[piece] + along * (density + slope * along / 2), 0.0), 1.0)

    def at(self, mass: float) -> float:
        """Return the point below which so much of the mass lies: the inverse of `below`."""
        piece = min(max(bisect_right(self.masses, mass) - 1, 0), len(self.knots) - 2)
        density, slope = self._piece(piece)
        rest = mass - self.masses[piece]
        # This form of the quadratic formula holds for a slope of 0 as well, and does not cancel.
        along = 2 * rest / (density + sqrt(max(density * density + 2 * slope * rest, 0.0)))
        return min(max(self.knots[piece] + along, 0.0), 1.0)

    def all_below(self, fractions: FloatArray) -> FloatArray:
        """Return `below` of many points."""
        import numpy as np

        knots, densities, masses, slopes = self._arrays()
        piece = np.clip(np.searchsorted(knots, fractions, side="right") - 1, 0, len(knots) - 2)
        along = fractions - knots[piece]
        return np.asarray(np.clip(masses[piece] + along * (densities[piece] + slopes[piece] * along / 2), 0.0, 1.0))

    def all_at(self, quantiles: FloatArray) -> FloatArray:
        """Return `at` of many masses."""
        import numpy as np

        knots, densities, masses, slopes = self._arrays()
        piece = np.clip(np.searchsorted(masses, quantiles, side="right") - 1, 0, len(knots) - 2)
        density, rest = densities[piece], quantiles - masses[piece]
        root = np.sqrt(np.maximum(density * density + 2 * slopes[piece] * rest, 0.0))
        return np.asarray(np.clip(knots[piece] + 2 * rest / (density + root), 0.0, 1.0))

    def _piece(self, piece: int) -> tuple[float, float]:
        """Return the density at the left end of a piece, and its slope."""
        width = self.knots[piece + 1] - self.knots[piece]
        return self.densities[piece], (self.densities[piece + 1] - self.densities[piece]) / width

    def _arrays(self) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        import numpy as np

        knots, densities = np.array(self.knots), np.array(self.densities)
        return knots, densities, np.array(self.masses), np.diff(densities) / np.diff(knots)


@lru_cache(maxsize=1024)
def mixture(center: float) -> Mixture:
    """Return the distribution for a prior that lies at `center` of [0, 1]."""
    candidates = (0.0, center - HALF_WIDTH, center, center + HALF_WIDTH, 1.0)
    knots = tuple(sorted({knot for knot in candidates if 0.0 <= knot <= 1.0}))
    heights = [max(0.0, 1 - abs(knot - center) / HALF_WIDTH) for knot in knots]
    area = sum(
        (right - left) * (low + high) / 2
        for left, right, low, high in zip(knots, knots[1:], heights, heights[1:], strict=False)
    )
    densities = tuple(1 - WEIGHT + WEIGHT * height / area for height in heights)
    masses = [0.0]
    for left, right, low, high in zip(knots, knots[1:], densities, densities[1:], strict=False):
        masses.append(masses[-1] + (right - left) * (low + high) / 2)
    return Mixture(knots, densities, (*masses[:-1], 1.0))

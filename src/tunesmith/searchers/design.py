"""Where to look first: designs that spread a few points over the unit cube. Pure functions of a generator."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

TRIES = 20


def latin_hypercube(count: int, width: int, random: np.random.Generator) -> FloatArray:
    """Return `count` points of [0, 1)**width, of which each of `count` equal slices holds one, in every coordinate.

    Source: McKay et al. 1979, "A Comparison of Three Methods for Selecting Values of Input Variables".
    """
    import numpy as np

    slices = random.permuted(np.tile(np.arange(count), (width, 1)), axis=1).T
    return np.asarray((slices + random.random((count, width))) / count)


def spread_design(count: int, width: int, random: np.random.Generator) -> FloatArray:
    """Return of some Latin hypercubes that one whose nearest two points lie farthest apart.

    Source: Morris and Mitchell 1995, "Exploratory Designs for Computational Experiments" (maximin designs).
    """
    import numpy as np

    designs = [latin_hypercube(count, width, random) for _ in range(TRIES if 1 < count <= 200 else 1)]
    if len(designs) == 1:
        return designs[0]

    def nearest(design: FloatArray) -> float:
        squares = (design**2).sum(axis=1)
        distances = squares[:, None] + squares[None, :] - 2 * design @ design.T
        return float(distances[np.triu_indices(count, 1)].min())

    return max(designs, key=nearest)

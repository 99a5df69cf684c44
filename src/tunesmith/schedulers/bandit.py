"""A Gaussian process whose function drifts with time, and the point that looks best by it. Knows nothing of trials.

Source: Parker-Holder et al. 2020, "Provably Efficient Online Hyperparameter Optimization with Population-Based
Bandits" (algorithm 2); the kernel is Bogunovic et al. 2016's. numpy and scipy are imported on use.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ..threads import one_thread

Array = Any
"""Of numpy, which is imported on use."""
DRIFT = 0.1
"""epsilon: how much of what was known is forgotten from one interval to the next."""
MOST_FITTED = 200
"""The kernel's length and noise are fitted to so many of the newest points; it costs the cube of them."""
CANDIDATES = 400
FEWEST = 3
"""With fewer points than this nothing is modelled."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one interval of one trial has brought."""

    time: float
    """In intervals."""
    point: tuple[float, ...]
    """In the unit cube."""
    gain: float
    """How much better the trial got; higher is better."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """Squared exponential in the point times `(1 - DRIFT) ** (|dt| / 2)`; the gains are standardised."""

    length: float
    noise: float

    def between(self, points: Array, times: Array, others: Array, other_times: Array) -> Array:
        """Return the covariances, shape (n, m), of points of shape (n, d) and (m, d)."""
        import numpy as np

        # Not by differences of all pairs: 1,000 x 1,000 x d floats would be many megabytes.
        squares = (points**2).sum(1)[:, None] + (others**2).sum(1)[None, :] - 2 * points @ others.T
        apart = np.abs(times[:, None] - other_times[None, :])
        return np.exp(-np.maximum(squares, 0.0) / (2 * self.length**2) + 0.5 * math.log(1 - DRIFT) * apart)


def best_point(
    observations: Sequence[Observation],
    running: Sequence[tuple[float, ...]],
    time: float,
    dimensions: int,
    draw: Random,
) -> tuple[float, ...]:
    """Return the point of the unit cube that the upper confidence bound likes best.

    Args:
        observations: What is known, oldest first.
        running: The points that are being tried now: the bound's width shrinks around them, so that a population
            spreads out.
        time: Now, in intervals.
        dimensions: Of the cube.
        draw: Where its randomness comes from.
    """
    if len(observations) < FEWEST or len({each.gain for each in observations}) == 1:
        return tuple(draw.random() for _ in range(dimensions))
    with one_thread():
        return _modelled_point(observations, running, time, dimensions, draw)


def _modelled_point(
    observations: Sequence[Observation],
    running: Sequence[tuple[float, ...]],
    time: float,
    dimensions: int,
    draw: Random,
) -> tuple[float, ...]:
    import numpy as np

    points = np.array([each.point for each in observations])
    times = np.array([each.time for each in observations])
    gains = np.array([each.gain for each in observations])
    spread = gains.std()
    gains = (gains - gains.mean()) / (spread if spread > 0 else 1.0)
    newest = slice(-MOST_FITTED, None)
    kernel = _fitted(points[newest], times[newest], gains[newest])
    model = _Posterior(kernel, points, times, gains, np.array(running).reshape(-1, dimensions), time)
    rng = np.random.default_rng(draw.getrandbits(64))
    # As Ray Tune's: sqrt(c1 + log(c2 t)), which grows slowly.
    width = math.sqrt(max(0.2 + math.log(max(0.4 * time, 1.0)), 0.2))
    candidates = rng.random((CANDIDATES, dimensions))
    best = candidates[np.argmax(model.bound(candidates, width))]
    # Then ever closer around the best one so far.
    for radius in (0.1, 0.03, 0.01):
        near = np.clip(best + radius * rng.standard_normal((CANDIDATES // 5, dimensions)), 0.0, 1.0)
        near[0] = best
        best = near[np.argmax(model.bound(near, width))]
    return tuple(map(float, best))


class _Posterior:
    """The process given what is known: its mean by that alone, its width by the running points too."""

    def __init__(self, kernel: Kernel, points: Array, times: Array, gains: Array, running: Array, time: float) -> None:
        import numpy as np
        from scipy.linalg import cho_factor, cho_solve

        self._kernel, self._time = kernel, time
        self._points, self._times = points, times
        known = kernel.between(points, times, points, times) + kernel.noise * np.eye(len(points))
        self._weights = cho_solve(cho_factor(known, lower=True), gains)
        self._all_points = np.vstack([points, running])
        self._all_times = np.concatenate([times, np.full(len(running), time)])
        everything = kernel.between(self._all_points, self._all_times, self._all_points, self._all_times)
        self._factor = cho_factor(everything + kernel.noise * np.eye(len(everything)), lower=True)

    def bound(self, candidates: Array, width: float) -> Array:
        """Return mean + width * standard deviation at each candidate."""
        import numpy as np
        from scipy.linalg import solve_triangular

        now = np.full(len(candidates), self._time)
        mean = self._kernel.between(candidates, now, self._points, self._times) @ self._weights
        across = self._kernel.between(self._all_points, self._all_times, candidates, now)
        explained = (solve_triangular(self._factor[0], across, lower=True, check_finite=False) ** 2).sum(0)
        return mean + width * np.sqrt(np.maximum(1.0 - explained, 0.0))


def _fitted(points: Array, times: Array, gains: Array) -> Kernel:
    """Return the kernel under which the gains are likeliest, by a grid: no start, no local optimum."""
    grid = [Kernel(length, noise) for length in (0.1, 0.2, 0.4, 0.8, 1.6) for noise in (0.01, 0.1, 0.5)]
    return max(grid, key=lambda kernel: _likelihood(kernel, points, times, gains))


def _likelihood(kernel: Kernel, points: Array, times: Array, gains: Array) -> float:
    import numpy as np
    from scipy.linalg import cho_factor, cho_solve

    covariance = kernel.between(points, times, points, times) + kernel.noise * np.eye(len(points))
    factor = cho_factor(covariance, lower=True)
    return float(-0.5 * gains @ cho_solve(factor, gains) - np.log(np.diag(factor[0])).sum())

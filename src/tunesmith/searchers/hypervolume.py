"""How much of the space that no known point dominates a new one is expected to dominate. Lower is better.

Sources: the expected hypervolume improvement over disjoint boxes is Yang et al. 2019's ("Multi-Objective Bayesian
Global Optimization using Expected Hypervolume Improvement Gradient"); in logarithms as Ament et al. 2023.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from .acquisition import LOG_ROOT_TWO_PI, log_expected_excess
from .fronts import front_ranks

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Disjoint boxes that fill what lies below the reference and no point of the front dominates."""

    levels: Floats
    """The front's values in each objective in ascending order, between -inf and the reference, shape (m, n + 2)."""
    low: Indices
    """Each box's lower corner, as indices into `levels`, shape (k, m)."""
    high: Indices
    """Its upper corner."""


def boxes_below(front: Floats, reference: Floats) -> Boxes:
    """Return the boxes for a front of shape (n, m); what is beyond the reference counts for nothing.

    There are n + 1 for two objectives, at most (n + 1)(n + 2) / 2 for three.
    """
    front = front[(front < reference).all(axis=1)]
    front = front[front_ranks(front, 1) == 0]
    objectives = len(reference)
    levels = np.empty((objectives, len(front) + 2))
    ranks = np.empty(front.shape, dtype=np.intp)
    levels[:, 0], levels[:, -1] = -np.inf, reference
    for index in range(objectives):
        order = np.argsort(front[:, index], kind="stable")
        levels[index, 1:-1] = front[order, index]
        ranks[order, index] = np.arange(1, len(front) + 1)
    corners = _corners(ranks, len(front) + 1)
    return Boxes(levels, corners[:, 0], corners[:, 1])


def _corners(ranks: Indices, top: int) -> Indices:
    """Return the boxes' corners by slicing along the last objective, shape (k, 2, m)."""
    objectives = ranks.shape[1]
    if objectives == 1:
        return np.array([[[0], [int(ranks.min()) if len(ranks) else top]]], dtype=np.intp)
    order = np.argsort(ranks[:, -1])
    ends = [0, *ranks[order, -1].tolist(), top]
    slices = []
    for count in range(len(ranks) + 1):
        # Between two values of the last objective, only those points dominate that are better in it.
        below = _corners(ranks[order[:count], :-1], top)
        last = np.empty((len(below), 2, 1), dtype=np.intp)
        last[:, 0, 0], last[:, 1, 0] = ends[count], ends[count + 1]
        slices.append(np.concatenate([below, last], axis=2))
    return np.concatenate(slices)


def _log_difference(large: Floats, small: Floats) -> Floats:
    """Return log(exp(large) - exp(small)); -inf where they are equal."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(np.isneginf(small), -np.inf, small - large)
        return np.asarray(large + np.log(-np.expm1(np.minimum(gap, 0.0))))


def log_hypervolume_improvement(means: Floats, deviations: Floats, boxes: Boxes) -> Floats:
    """Return the logarithm of the expected improvement at points, for means and deviations of shape (k, m)."""
    total: Floats = np.zeros((len(means), len(boxes.low)))
    for index in range(means.shape[1]):
        below = _log_below(boxes.levels[index], means[:, index, None], deviations[:, index, None])[0]
        total = total + _log_difference(below[:, boxes.high[:, index]], below[:, boxes.low[:, index]])
    return _log_sum(total)


def log_hypervolume_slopes(means: Floats, variances: Floats, boxes: Boxes) -> tuple[float, Floats, Floats]:
    """Return it at one point, and its derivatives by the means and the variances, for arrays of shape (m,)."""
    deviations = np.sqrt(variances)
    sides, by_mean, by_deviation = [], [], []
    for index in range(len(means)):
        level = boxes.levels[index]
        below, z = _log_below(level, means[None, index, None], deviations[None, index, None])
        low, high = boxes.low[:, index], boxes.high[:, index]
        side = _log_difference(below[0, high], below[0, low])
        tails, density = log_ndtr(z[0]), -0.5 * z[0] ** 2 - LOG_ROOT_TWO_PI
        # E[(c - y)+] has the derivatives -Phi(z) by the mean and phi(z) by the deviation.
        with np.errstate(invalid="ignore"):
            by_mean.append(-np.exp(_log_difference(tails[high], tails[low]) - side))
            by_deviation.append(np.exp(density[high] - side) - np.exp(density[low] - side))
        sides.append(side)
    each = np.sum(sides, axis=0)
    value = float(_log_sum(each[None])[0])
    share = np.exp(each - value)
    lean = np.array([np.nansum(share * slopes) for slopes in by_mean])
    widen = np.array([np.nansum(share * slopes) for slopes in by_deviation])
    return value, lean, widen / (2.0 * deviations)


def _log_below(levels: Floats, mean: Floats, deviation: Floats) -> tuple[Floats, Floats]:
    """Return log E[(level - y)+] of a normal y for each level, and the standardised levels."""
    z = (levels - mean) / deviation
    finite = np.where(np.isneginf(z), 0.0, z)
    return np.where(np.isneginf(z), -np.inf, np.log(deviation) + log_expected_excess(finite)), z


def _log_sum(logs: Floats) -> Floats:
    most = logs.max(axis=1)
    most = np.where(np.isfinite(most), most, -1e300)
    return np.asarray(most + np.log(np.exp(logs - most[:, None]).sum(axis=1)))

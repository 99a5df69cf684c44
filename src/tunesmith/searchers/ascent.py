"""The row of a space where a function is largest: many candidates, then climbs from the best of them.

The function is cheap and has slopes along the numbers; integers are rounded, choices are changed one by one. Only rows
of real configs that the space's constraints allow are ever compared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import qmc

if TYPE_CHECKING:
    from .features import Features

Floats = NDArray[np.float64]
Wanted = Callable[[Floats], NDArray[np.bool_]]

SPREAD_CANDIDATES = 512
NEAR_CANDIDATES = 64
RADII = (0.2, 0.05, 0.01, 0.002)
STARTS = 6
ROUNDS = 3
CLIMB_STEPS = 30
LEAST_GAIN = 1e-9
MOST_SOBOL = 21201
"""Dimensions that scipy's sequence has."""


class Goal(Protocol):
    """What is to be largest."""

    def at(self, rows: Floats) -> Floats:
        """Return it at settled rows, shape (k,)."""

    def with_slope(self, row: Floats) -> tuple[float, Floats]:
        """Return it at one row, and its slopes by the coordinates."""


def best_row(
    goal: Goal, features: Features, anchors: Floats, wanted: Wanted, random: np.random.Generator
) -> Floats | None:
    """Return the settled row where the goal is largest, as far as it is found; None when no candidate was wanted.

    Args:
        goal: What is to be largest.
        features: Of the space.
        anchors: Settled rows that are known to be good, best first: many candidates lie near them.
        wanted: Which settled rows may be returned.
        random: Where randomness comes from.
    """
    rows = candidates(features, anchors, random)
    rows = rows[wanted(rows)]
    if not len(rows):
        return None
    values = goal.at(rows)
    order = np.argsort(-values, kind="stable")[:STARTS]
    best: Floats = rows[order[0]]
    most = float(values[order[0]])
    for start in order:
        row, value = _climbed(goal, features, rows[start], float(values[start]), wanted)
        if value > most:
            best, most = row, value
    return best


def candidates(features: Features, anchors: Floats, random: np.random.Generator) -> Floats:
    """Return settled rows all over the space, and many near the anchors at several distances."""
    encoding = features.encoding
    width = encoding.width
    engine = qmc.Sobol(min(width, MOST_SOBOL), seed=random)
    is_number = np.array([not parameter.options for parameter in encoding.parameters])
    groups = [encoding.from_unit(engine.random(SPREAD_CANDIDATES))]
    if len(anchors):
        for radius in RADII:
            base = anchors[random.integers(len(anchors), size=NEAR_CANDIDATES)]
            elsewhere = encoding.from_unit(random.random((NEAR_CANDIDATES, width)))
            moved = base + radius * random.standard_normal(base.shape)
            changed = random.random(base.shape) < np.where(is_number, max(0.3, 3.0 / width), 1.0 / width)
            groups.append(encoding.settled(np.where(changed, np.where(is_number, moved, elsewhere), base)))
    return np.concatenate(groups)


def _climbed(goal: Goal, features: Features, row: Floats, value: float, wanted: Wanted) -> tuple[Floats, float]:
    """Return where numbers and choices in turn lead to from a row."""

    def best_of(rows: Floats) -> bool:
        nonlocal row, value
        rows = rows[wanted(rows)]
        values = goal.at(rows) if len(rows) else np.array([-np.inf])
        top = int(values.argmax())
        if not values[top] > value + LEAST_GAIN:
            return False
        row, value = rows[top], float(values[top])
        return True

    for _ in range(ROUNDS):
        best_of(_along_slopes(goal, features, row))
        if features.is_climbed.all() or not best_of(_one_by_one(features, row)):
            break
        for _ in range(2 * len(row)):
            if not best_of(_one_by_one(features, row)):
                break
    return row, value


def _along_slopes(goal: Goal, features: Features, row: Floats) -> Floats:
    """Return where the slopes of numbers lead to, and points on the way there."""
    free = np.flatnonzero(features.is_climbed & ~np.isnan(row))
    if not len(free):
        return row[None]

    def cost(numbers: Floats) -> tuple[float, Floats]:
        at = row.copy()
        at[free] = numbers
        value, slopes = goal.with_slope(at)
        return -value, -slopes[free]

    found = minimize(
        cost, row[free], jac=True, method="L-BFGS-B", bounds=[(0.0, 1.0)] * len(free),
        options={"maxiter": CLIMB_STEPS, "maxcor": 10},
    )  # fmt: skip
    # Where a constraint lies in between, part of the way is better than none.
    ends = np.tile(row, (3, 1))
    ends[:, free] += np.array([[1.0], [0.5], [0.25]]) * (found.x - row[free])
    return features.encoding.settled(ends)


def _one_by_one(features: Features, row: Floats) -> Floats:
    """Return the rows that differ in one choice, or by a level or two in one integer."""
    encoding = features.encoding
    rows = []
    for index, parameter in enumerate(encoding.parameters):
        if np.isnan(row[index]):
            continue
        if parameter.options:
            others: Floats = np.arange(parameter.options, dtype=float)
        elif parameter.levels:
            others = row[index] + np.array([-2.0, -1.0, 1.0, 2.0]) / parameter.levels
        else:
            continue
        changed = np.tile(row, (len(others), 1))
        changed[:, index] = others
        rows.append(changed)
    return encoding.settled(np.concatenate(rows)) if rows else row[None]

"""Rows of the unit cube as features whose distances a stationary kernel can measure; knows no values.

A number is itself. One of several values is a corner of a simplex, so that any two differ equally. A number that is
there only under a condition lies on an arc of one radian around the centre where it is absent: being there and not is
as much of a difference as from one end to the other, and along the arc distances are nearly the plain ones.

Source: the arc is Swersky et al. 2013's ("Raiders of the Lost Architecture: Kernels for Bayesian Optimization in
Conditional Parameter Spaces"), with a fixed angle.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .gaussian_process import Trend

if TYPE_CHECKING:
    from ..space.encoding import Encoding

Floats = NDArray[np.float64]

CORNER = math.sqrt(0.5)
"""Corners of a simplex so far from the origin are 1 apart."""
SMOOTH_LEVELS = 9
"""A number with so many levels is climbed as if it were of a continuum, then rounded."""


class Features:
    """How the rows of one encoding become features, shape (n, width), and slopes by features slopes by coordinates."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        plain: list[int] = []
        self._arcs: list[tuple[int, int]] = []
        self._corners: list[tuple[int, int, int]] = []
        groups: list[int] = []
        for index, parameter in enumerate(encoding.parameters):
            if parameter.options:
                self._corners.append((index, len(groups), parameter.options))
                groups += [index] * parameter.options
            elif parameter.is_conditional:
                self._arcs.append((index, len(groups)))
                groups += [index] * 2
            else:
                plain.append(index)
                groups.append(index)
        self.groups = np.array(groups, dtype=np.intp)
        """Which coordinate each feature stands for."""
        self._plain = np.array(plain, dtype=np.intp)
        self._plain_features = np.array([groups.index(index) for index in plain], dtype=np.intp)
        self.trend = Trend.over(self._plain_features, encoding.width)
        """Along the numbers that are always there."""
        self.is_climbed = np.array(
            [not parameter.options and not 0 < parameter.levels < SMOOTH_LEVELS for parameter in encoding.parameters]
        )
        """Which coordinates a gradient can follow, shape (d,)."""

    def of(self, rows: Floats) -> Floats:
        """Return the features of settled rows."""
        features = np.zeros((len(rows), len(self.groups)))
        features[:, self._plain_features] = rows[:, self._plain]
        for index, at in self._arcs:
            column = rows[:, index]
            there = ~np.isnan(column)
            features[there, at] = np.cos(column[there])
            features[there, at + 1] = np.sin(column[there])
        for index, at, _ in self._corners:
            there = np.flatnonzero(~np.isnan(rows[:, index]))
            features[there, at + rows[there, index].astype(np.intp)] = CORNER
        return features

    def slopes(self, row: Floats, by_features: Floats) -> Floats:
        """Return what a slope by the features of a row is by its coordinates; 0 for those that are not climbed."""
        slopes = np.zeros(len(row))
        slopes[self._plain] = by_features[self._plain_features]
        for index, at in self._arcs:
            if not math.isnan(row[index]):
                angle = row[index]
                slopes[index] = math.cos(angle) * by_features[at + 1] - math.sin(angle) * by_features[at]
        return slopes

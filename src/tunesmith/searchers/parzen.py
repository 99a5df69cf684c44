"""Densities over rows of the unit cube: mixtures of one kernel per observed row and the prior. Pure functions of data.

The kernel of a row is a product over coordinates: for a number a Gaussian truncated to [0, 1], for one of several
values Aitchison and Aitken's, for a number of a few levels a Gaussian's share of each level's cell. Densities are
relative to random search's, so that the prior is 1 everywhere, and so is the kernel of a coordinate that a row does not
have. Thus one mixture stands for a space with conditions: a row says nothing about what it does not have.

Source: Watanabe 2023, "Tree-Structured Parzen Estimator: Understanding Its Algorithm Components and Their Roles for
Better Empirical Performance", sections 2 and 3 (multivariate kernels, the prior, categorical and discrete kernels).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from ..space.quantiles import level_quantiles

if TYPE_CHECKING:
    from ..space.encoding import Encoding

Floats = NDArray[np.float64]
Integers = NDArray[np.int_]

MOST_TABLED_LEVELS = 12
"""Numbers with more levels count as a continuum."""
LEAST_OF_A_CELL = 0.25
"""The kernel of a number with levels is at least so wide, as a share of a cell: now and then a neighbour is drawn."""
NORMAL_REFERENCE = 1.06
"""The bandwidth that is best for normally distributed data is 1.06 * sigma * n**(-1 / (4 + d))."""
LEAST_SPREAD = 0.05
"""At least so much of a choice's kernel is spread over all values."""
LEAST = 1e-300
NEAREST_TO_AN_END = 2.0**-53


@dataclass(frozen=True, eq=False)
class Table:
    """A coordinate that has few values."""

    column: int
    options: int
    """How many values there are to choose from; 0 for levels of a number."""
    edges: Floats
    """Of levels: where the cells end, ascending, from 0 to 1. Empty for a choice."""
    middles: Floats
    """Of levels: where each lies."""

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.options or len(self.middles)

    def codes(self, column: Floats) -> Integers:
        """Return the index of each row's value, given the rows' coordinates here; `count` where it is nan."""
        found = column if self.options else np.searchsorted(self.edges[1:-1], column).astype(float)
        return np.where(np.isnan(column), self.count, found).astype(int)

    def log_kernels(self, bandwidth: float) -> Floats:
        """Return the logarithms of all kernels at all values, shape (count + 1, count + 1): [at, of].

        The last ones are those of nan, which says nothing: 0.
        """
        count = self.count
        if self.options:
            table = np.full((count + 1, count + 1), math.log(bandwidth))
            table[np.arange(count), np.arange(count)] = math.log(bandwidth + (1 - bandwidth) * count)
            table[-1] = table[:, -1] = 0.0
            return table
        table = np.zeros((count + 1, count + 1))
        below = ndtr((self.edges[:, None] - self.middles) / bandwidth)
        widths = self.edges[1:] - self.edges[:-1]
        share = (below[1:] - below[:-1]) / (below[-1] - below[0]) / widths[:, None]
        table[:-1, :-1] = np.log(np.maximum(share, LEAST))
        return table


class Columns:
    """What kind of coordinates a space has, sorted by how their kernels are computed."""

    def __init__(self, encoding: Encoding) -> None:
        self.width = encoding.width
        self.tables: list[Table] = []
        smooth, self._cells = [], np.zeros(self.width)
        for index, parameter in enumerate(encoding.parameters):
            if parameter.options:
                self.tables.append(Table(index, parameter.options, np.empty(0), np.empty(0)))
                continue
            if parameter.levels:
                self._cells[index] = 1 / parameter.levels
            if parameter.domain is not None and 0 < parameter.levels <= MOST_TABLED_LEVELS:
                middles = level_quantiles(parameter.domain)
                edges = np.concatenate([[0.0], (middles[1:] + middles[:-1]) / 2, [1.0]])
                self.tables.append(Table(index, 0, edges, middles))
            else:
                smooth.append(index)
        self.smooth = np.array(smooth, dtype=int)
        """Numbers of a continuum."""
        self.choices = [table for table in self.tables if table.options]
        self.numbers = np.array([i for i, parameter in enumerate(encoding.parameters) if not parameter.options], int)

    def bandwidths(self, rows: Floats, weights: Floats, least: float) -> Floats:
        """Return the normal-reference bandwidth of each coordinate, shape (d,).

        One more row, spread evenly over all values, counts in it. Without it a value or a region that the first few
        rows share by chance has a deviation near 0, and nothing else is ever drawn again. Its weight fades as rows
        come.

        The deviation of a choice is sqrt(P(two rows differ)), which does not depend on how its values are numbered; its
        bandwidth is the share of its kernel that is spread over all values.

        Args:
            rows: Shape (n, d), with n > 0.
            weights: Their weights, of any sum.
            least: No bandwidth of a number is below it.
        """
        there = ~np.isnan(rows)
        each = np.where(there, weights[:, None], 0.0)
        total = np.maximum(each.sum(axis=0), LEAST)
        each /= total
        # So many rows of equal weight would say as much.
        size = np.where(total > LEAST, 1 / np.maximum((each**2).sum(axis=0), LEAST), 0.0)
        size[~there.any(axis=0)] = 0.0
        share = size / (size + 1)
        shrinking = NORMAL_REFERENCE * (size + 1) ** (-1 / (4 + self.width))
        known = np.where(there, rows, 0.0)
        mean = share * (each * known).sum(axis=0) + (1 - share) * 0.5
        off = (each * np.where(there, (rows - mean) ** 2, 0.0)).sum(axis=0)
        variance = share * off + (1 - share) * ((0.5 - mean) ** 2 + 1 / 12)
        narrowest = np.minimum(np.maximum(least, LEAST_OF_A_CELL * self._cells), 1.0)
        found: Floats = np.minimum(np.maximum(shrinking * np.sqrt(variance), narrowest), 1.0)
        for table in self.choices:
            column = table.column
            codes = table.codes(rows[:, column])
            counts = np.bincount(codes, weights=each[:, column], minlength=table.count + 1)[:-1]
            shares = share[column] * counts + (1 - share[column]) / table.count
            differ = 1 - float(shares @ shares)
            found[column] = min(max(float(shrinking[column]) / NORMAL_REFERENCE * math.sqrt(differ), LEAST_SPREAD), 1.0)
        return found


class Density:
    """A mixture of the prior and of the kernels of some rows.

    Args:
        columns: Of the space.
        rows: Settled rows, shape (n, d); n may be 0.
        weights: Of their kernels, shape (n,), of any positive sum.
        bandwidths: Shape (d,).
        prior: The weight of the prior, in (0, 1]; the kernels have the rest.
    """

    def __init__(self, columns: Columns, rows: Floats, weights: Floats, bandwidths: Floats, prior: float) -> None:
        self.columns = columns
        self.rows = rows
        self.bandwidths = bandwidths
        self.prior = prior if len(rows) else 1.0
        self.weights = weights / weights.sum() * (1 - prior) if len(rows) else weights
        self._log_weights = np.log(np.maximum(self.weights, LEAST))
        self._kernels = _Kernels(
            columns, rows, bandwidths, [table.log_kernels(float(bandwidths[table.column])) for table in columns.tables]
        )

    def log_kernels(self, rows: Floats) -> Floats:
        """Return the logarithm of each row's kernel at some settled rows, shape (m, n)."""
        return self._kernels.at(rows)

    def log_density(self, rows: Floats, more: Floats | None = None) -> Floats:
        """Return the logarithm of the density at some settled rows, shape (m,).

        Args:
            rows: Where.
            more: Further rows that have a kernel, each with the mean weight of the others, shape (k, d).
        """
        kernels = self.log_kernels(rows) + self._log_weights
        parts = [kernels, np.full((len(rows), 1), math.log(self.prior))]
        added = 0.0
        if more is not None and len(more):
            # With no rows here the prior counts as one.
            mean = (1 - self.prior) / len(self.rows) if len(self.rows) else 1.0
            further = _Kernels(self.columns, more, self.bandwidths, self._kernels.tables)
            parts.append(further.at(rows) + math.log(mean))
            added = mean * len(more)
        every = np.concatenate(parts, axis=1)
        most = every.max(axis=1)
        return np.asarray(most + np.log(np.exp(every - most[:, None]).sum(axis=1)) - math.log1p(added))

    def draw(self, count: int, random: np.random.Generator) -> Floats:
        """Return `count` rows of the mixture, shape (count, d), not settled.

        What the space has under one option of a choice alone is drawn too, whatever was chosen; `Encoding.settled`
        takes it away.
        """
        limits = np.cumsum(self.weights)
        kernel = np.searchsorted(limits, random.random(count), side="right")
        uniform = random.random((count, self.columns.width))
        blank = np.full((1, self.columns.width), np.nan)
        centres = np.concatenate([self.rows, blank])[kernel]
        drawn = uniform.copy()
        numbers = self.columns.numbers
        scale = self.bandwidths[numbers]
        middle = centres[:, numbers]
        below = ndtr(-middle / scale)
        inside = ndtr((1 - middle) / scale) - below
        level = np.clip(below + inside * uniform[:, numbers], NEAREST_TO_AN_END, 1 - NEAREST_TO_AN_END)
        drawn[:, numbers] = np.where(
            np.isnan(middle), uniform[:, numbers], np.clip(middle + scale * ndtri(level), 0, 1)
        )
        for table in self.columns.choices:
            column = table.column
            other = np.floor(random.random(count) * table.count)
            keeps = (uniform[:, column] >= self.bandwidths[column]) & ~np.isnan(centres[:, column])
            drawn[:, column] = np.where(keeps, centres[:, column], other)
        return drawn


class _Kernels:
    """The kernels of some rows, ready to be asked for."""

    def __init__(self, columns: Columns, rows: Floats, bandwidths: Floats, tables: list[Floats]) -> None:
        self._columns = columns
        self.tables = tables
        self._of_rows = [
            # One row of it per value: at a value it is then one copy for all kernels.
            kernels[:, table.codes(rows[:, table.column])]
            for table, kernels in zip(columns.tables, tables, strict=True)
        ]
        smooth = rows[:, columns.smooth]
        self._scale = bandwidths[columns.smooth]
        there = ~np.isnan(smooth)
        self._is_whole = bool(there.all())
        centres = np.where(there, smooth, 0.0) / self._scale
        inside = ndtr(1 / self._scale - centres) - ndtr(-centres)
        self._centres = centres
        self._there = there.astype(float)
        self._constant = -(np.log(math.sqrt(2 * math.pi) * self._scale * inside) + 0.5 * centres**2) * there

    def at(self, rows: Floats) -> Floats:
        """Return the logarithm of each kernel at some settled rows, shape (m, n)."""
        places = rows[:, self._columns.smooth] / self._scale
        there = ~np.isnan(places)
        if self._is_whole and there.all():
            found: Floats = places @ self._centres.T
            found -= 0.5 * (places**2).sum(axis=1)[:, None]
            found += self._constant.sum(axis=1)
        else:
            # The square of the distance, term by term, over the coordinates that both have.
            places = np.where(there, places, 0.0)
            found = places @ self._centres.T + there.astype(float) @ self._constant.T
            found -= 0.5 * (places**2) @ self._there.T
        for table, kernels in zip(self._columns.tables, self._of_rows, strict=True):
            found += kernels[table.codes(rows[:, table.column])]
        return found

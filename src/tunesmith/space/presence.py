"""Which parameters a config has, said of its coordinates: the conditions of a space for whole columns of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .domains import Float, Integer
from .quantiles import indices_at, level_quantiles
from .when import Test

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """One of these options of a choice is taken."""

    coordinate: int
    options: frozenset[int]
    indices: Integer | None = None
    """The domain of the index of an ordered choice; None for a plain one, whose coordinate is the index."""

    def holds(self, rows: FloatArray) -> BoolArray:
        """Return for each row whether it is so."""
        import numpy as np

        column = rows[:, self.coordinate]
        if self.indices is not None:
            column = indices_at(self.indices, column)
        if len(self.options) == 1:
            return np.asarray(column == next(iter(self.options)))
        return np.isin(column, list(self.options))


@dataclass(frozen=True, slots=True, eq=False)
class Tested:
    """What some coordinates stand for passes a test."""

    coordinates: tuple[int, ...]
    value_of: Callable[[FloatArray], Any]
    test: Test
    leveled: Float | Integer | None = None
    """The domain, where there is a single coordinate that has a few levels: then each of them is tested once."""
    table: list[bool] = field(default_factory=list)
    """A memo of what came of that."""

    def holds(self, rows: FloatArray) -> BoolArray:
        """Return for each row whether it is so; never where nothing is."""
        import numpy as np

        block = rows[:, self.coordinates]
        there = ~np.isnan(block).any(axis=1)
        passes = np.zeros(len(rows), dtype=bool)
        if self.leveled is not None:
            indices = indices_at(self.leveled, block[there, 0]).astype(np.intp)
            passes[there] = self._table()[indices]
            return passes
        distinct, inverse = np.unique(block[there], axis=0, return_inverse=True)
        verdicts = np.array([self.test.passes(self.value_of(values)) for values in distinct], dtype=bool)
        passes[there] = verdicts[inverse.ravel()]
        return passes

    def _table(self) -> BoolArray:
        import numpy as np

        assert self.leveled is not None, "asked for such only"
        if not self.table:
            quantiles = level_quantiles(self.leveled)[:, None]
            # All at once, for another thread may be asking too.
            self.table[:] = [self.test.passes(self.value_of(quantile)) for quantile in quantiles]
        return np.array(self.table, dtype=bool)


@dataclass(frozen=True, slots=True, eq=False)
class Rule:
    """All atoms of one of these alternatives hold, or (`wanted` False) of none."""

    alternatives: tuple[tuple[Taken | Tested | Rule, ...], ...]
    wanted: bool = True

    def holds(self, rows: FloatArray) -> BoolArray:
        """Return for each row whether it is so."""
        import numpy as np

        found = np.zeros(len(rows), dtype=bool)
        for atoms in self.alternatives:
            every = np.ones(len(rows), dtype=bool)
            for atom in atoms:
                every &= atom.holds(rows)
            found |= every
        return found if self.wanted else ~found

    def coordinates(self) -> set[int]:
        """Return the coordinates that it speaks of."""
        found: set[int] = set()
        for atoms in self.alternatives:
            for atom in atoms:
                match atom:
                    case Rule():
                        found |= atom.coordinates()
                    case Taken():
                        found.add(atom.coordinate)
                    case Tested():
                        found.update(atom.coordinates)
        return found

"""Searchers whose points are planned before anything is known: a plan, and the walk along it. Nothing is learned.

A plan gives rows block by block, each block a pure function of its number, so that any point is found again after a
restart. What the space's constraints forbid is left out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.objective import Objective
from ..errors import ConfigError, SpaceError
from ..space.space import Space
from .learning import LearningSearcher, LearningSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .history import History
    from .learning import Row

    FloatArray = NDArray[np.float64]

BARREN_BLOCKS = 200
"""After so many blocks without one allowed row the constraints are taken to let nothing through."""


@dataclass(frozen=True, kw_only=True)
class PlannedSettings(LearningSettings):
    """Settings of a searcher that looks at no loss: it needs no metric, and all of its points are initial ones."""

    n_earlier_points: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_initial_points is not None:
            raise ConfigError(
                f"{self._name}: n_initial_points={self.n_initial_points!r}: all of its points are of one plan. "
                "Leave the argument out."
            )

    def check(self, objective: Objective | None) -> None:
        """Accept an experiment without an objective."""


class Planned(LearningSearcher):
    """Walks along a plan.

    Args:
        settings: What the user said.
        space: What may be tried.
        total: How many trials there are to be; None without end.
        seed: What the draws are keyed by.
        block: Number of a block -> what makes its uniform numbers, shape (count, width), from this searcher.
    """

    default_initial_points = 0

    def __init__(
        self,
        settings: PlannedSettings,
        space: Space,
        total: int | None,
        seed: int,
        block: Callable[[Planned, int], FloatArray],
    ) -> None:
        super().__init__(settings, space, total, seed)
        self.ignores_earlier_trials = not settings.n_earlier_points
        self._block = block
        self._rows: list[Row] = []
        """A memo: the allowed rows of the first `_blocks` blocks."""
        self._blocks = 0

    @property
    def given_points(self) -> int:
        """How many points to evaluate come before the plan's."""
        return len(self._points)

    def initial(self, history: History, number: int) -> Row | None:
        """Return the plan's next row: which one depends on the trial's number alone."""
        if not self.encoding.width:
            return []
        index, barren = number - len(self._points), 0
        while len(self._rows) <= index:
            rows = self.encoding.from_unit(self._block(self, self._blocks))
            allowed = rows[self.encoding.allowed(rows)]
            self._blocks += 1
            self._rows.extend(allowed)
            barren = 0 if len(allowed) else barren + 1
            if barren >= BARREN_BLOCKS:
                raise SpaceError(
                    f"of the last {barren} blocks of {len(rows)} configs none holds what the space requires. "
                    "Narrow the domains to what is allowed, or loosen the constraints."
                )
        return self._rows[index]

    def propose(self, history: History, number: int) -> Row:
        """Return nothing: every row is the plan's."""
        raise AssertionError("`initial` has a row for every number")

"""Rows of numbers moved to those of real configs, as if everything were there: what is not is the encoding's to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .domains import Integer
from .layout import Slot
from .quantiles import settled_quantiles
from .tree import Composed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

LARGEST_COUNT = 2**52
"""Beyond it a float does not tell levels apart."""


class Settling:
    """Moves rows onto levels and into the cube. What is alike is moved together: a single row is asked for often."""

    def __init__(self, slots: Sequence[Slot]) -> None:
        self._defaults = np.array([0.0 if slot.options else 0.5 for slot in slots])
        self._most = np.array([slot.options - 1.0 if slot.options else 1.0 for slot in slots])
        self._choices = np.array([index for index, slot in enumerate(slots) if slot.options], dtype=np.intp)
        even = [index for index, slot in enumerate(slots) if _is_even(slot)]
        self._even = np.array(even, dtype=np.intp)
        self._counts = np.array([float(slots[index].levels) for index in even])
        self._others = [
            (index, slot)
            for index, slot in enumerate(slots)
            if not slot.options and not _is_even(slot) and not _is_continuum(slot) and not slot.part
        ]

    def settled(self, rows: FloatArray) -> FloatArray:
        """Return the nearest rows of real configs; nan becomes the middle, or the first of several values."""
        # np.clip takes ten times as long for a single row.
        moved = np.minimum(np.maximum(np.where(np.isnan(rows), self._defaults, rows), 0.0), self._most)
        if len(self._choices):
            moved[:, self._choices] = np.rint(moved[:, self._choices])
        if len(self._even):
            levels = np.minimum(np.floor(moved[:, self._even] * self._counts), self._counts - 1)
            moved[:, self._even] = (levels + 0.5) / self._counts
        for index, slot in self._others:
            if isinstance(slot.node, Composed):
                columns = slice(index, index + slot.width)
                moved[:, columns] = slot.node.domain.settled(moved[:, columns])
            elif slot.domain is not None:
                moved[:, index] = settled_quantiles(slot.domain, moved[:, index])
        return np.asarray(moved)


def _is_even(slot: Slot) -> bool:
    """Whether its values are levels of the same width."""
    domain = slot.domain
    if isinstance(slot.node, Composed) or not isinstance(domain, Integer) or domain.log or domain.prior is not None:
        return False
    return slot.levels <= LARGEST_COUNT


def _is_continuum(slot: Slot) -> bool:
    """Whether every number in [0, 1] is a value of its own."""
    if isinstance(slot.node, Composed) or isinstance(slot.domain, Integer) or slot.domain is None:
        return False
    return slot.domain.step is None

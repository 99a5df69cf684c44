"""Which configs of a finite space nobody has proposed yet: learned from events, one at a time."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from ..core.seeds import generator
from ..space.encoding import Encoding
from ..space.placing import wholly_placed
from ..space.sizes import LISTABLE

Key = tuple[float, ...]
"""What two configs share exactly when they are the same: their coordinates, -1 for what is not there."""


class Untried:
    """The configs of a finite space that are still to be proposed."""

    def __init__(self, encoding: Encoding) -> None:
        self._encoding = encoding
        self._tried: set[Key] = set()
        self._listed: _Listed | None = None
        """A memo, made when few are left."""

    @property
    def size(self) -> float:
        """How many configs there are in all; a bound for a space with constraints that is too large to be listed."""
        return self._encoding.size

    @property
    def count(self) -> float:
        """How many there are."""
        return self._encoding.size - len(self._tried)

    def key(self, config: Mapping[str, Any]) -> Key | None:
        """Return what a config goes by; None for one of another space."""
        coordinates = wholly_placed(self._encoding, config)
        return None if coordinates is None else _key(coordinates)

    def learn(self, config: Mapping[str, Any]) -> None:
        """Take note of a config that has been proposed."""
        key = self.key(config)
        if key is not None and key not in self._tried:
            self._tried.add(key)
            if self._listed is not None:
                self._listed.take_out(key)

    def has(self, key: Key | None) -> bool:
        """Whether a config is untried, as far as is known; one of another space is."""
        return key not in self._tried

    def some(self, seed: int, number: int, *, but: Collection[Key]) -> dict[str, Any] | None:
        """Return an untried config, each as likely as the others; None when there is none, or there are too many.

        Args:
            seed: What the draw is keyed by.
            number: The trial's number, which it is keyed by too.
            but: These are not to be taken.
        """
        if self._encoding.size > LISTABLE:
            return None
        if self._listed is None:
            self._listed = _Listed(self._encoding, self._tried)
        count = self._listed.count
        first = generator(seed, "untried", number).randrange(count) if count else 0
        for offset in range(min(count, len(but) + 1)):
            row = self._listed.row((first + offset) % count)
            if _key(row) not in but:
                return self._encoding.config(row, seed=seed, number=number)
        return None


def is_worth_it(encoding: Encoding) -> bool:
    """Whether a space is finite, and its grids are not all that there is to choose."""
    grids = {grid.path.name for grid in encoding.layout.grids}
    return any(slot.name not in grids for slot in encoding.slots) and encoding.size < math.inf


def _key(coordinates: Collection[float]) -> Key:
    return tuple(-1.0 if math.isnan(coordinate) else round(coordinate, 12) for coordinate in coordinates)


class _Listed:
    """All configs of a space in a fixed order, of which some are taken out.

    A Fenwick tree counts what is left, so that the n-th of these is found, and one is taken out, in logarithmic time;
    and what is found depends only on what was taken out, not on when.
    Source: Fenwick 1994, "A new data structure for cumulative frequency tables".
    """

    def __init__(self, encoding: Encoding, tried: Collection[Key]) -> None:
        self._rows: list[list[float]] = encoding.every().tolist()
        self._places = {_key(row): place for place, row in enumerate(self._rows)}
        self.count = len(self._rows)
        self._sums = [index & -index for index in range(len(self._rows) + 1)]
        for key in tried:
            self.take_out(key)

    def take_out(self, key: Key) -> None:
        """Let a config count no longer; nothing happens with one that is not there."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self.count -= 1
        index = place + 1
        while index < len(self._sums):
            self._sums[index] -= 1
            index += index & -index

    def row(self, position: int) -> list[float]:
        """Return the coordinates of the config at a position among those that are left."""
        index = 0
        step = 1 << len(self._rows).bit_length()
        while step := step >> 1:
            if index + step < len(self._sums) and self._sums[index + step] <= position:
                index += step
                position -= self._sums[index]
        return self._rows[index]

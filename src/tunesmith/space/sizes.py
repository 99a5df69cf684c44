"""How many distinct configs a space has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .conditions import walked
from .tree import Composed, Computed

if TYPE_CHECKING:
    from .encoding import Encoding
    from .layout import Slot

LISTABLE = 100_000
"""Up to so many combinations are gone through to count them exactly."""


def size(encoding: Encoding) -> float:
    """Return how many distinct configs there are, inf where there is no end of them; a bound where it is not exact."""
    if any(isinstance(node, Computed) for node in walked(encoding.space.root)):
        return math.inf
    counts = [_count(slot) for slot in encoding.slots]
    if math.inf in counts:
        return math.inf
    total = _total(encoding, counts)
    if not encoding.space.constraints or total > LISTABLE:
        return total
    rows = encoding.listed(range(encoding.width))
    return int(encoding.allowed(rows).sum())


def _count(slot: Slot) -> float:
    """Return how many values there are, all coordinates of a composed value taken together at the first of them."""
    if slot.part:
        return 1
    if isinstance(slot.node, Composed):
        return slot.node.domain.count
    return slot.options or slot.levels or math.inf


def _total(encoding: Encoding, counts: list[float]) -> float:
    """Return the number of combinations: those of what decides about conditions are listed, the rest is multiplied."""
    deciding = _deciding(encoding)
    if not deciding:
        return math.prod(counts)
    import numpy as np

    combinations = math.prod(counts[index] for index in deciding)
    if combinations > LISTABLE:
        return math.prod(counts)
    rows = encoding.listed(deciding)
    others = [index for index in range(encoding.width) if index not in deciding and counts[index] > 1]
    there = np.array([encoding.present(encoding.parameters[index], rows) for index in others]).reshape(-1, len(rows))
    patterns, repeats = np.unique(there, axis=1, return_counts=True)
    total: float = 0
    for pattern, repeat in zip(patterns.T, repeats.tolist(), strict=True):
        total += repeat * math.prod(counts[index] for index, is_there in zip(others, pattern, strict=True) if is_there)
    return total


def _deciding(encoding: Encoding) -> set[int]:
    """Return the coordinates on which it depends whether others are there."""
    found: set[int] = set()
    for slot in encoding.slots:
        found.update(index for index, _ in slot.conditions)
        for rule in slot.rules:
            found.update(rule.coordinates())
    return found

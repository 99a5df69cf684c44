"""What the final loss of a trial will be that has come only so far, from what became of others. Pure functions.

The last values of trials that were stopped early do not compare with the final ones of others, and a model that is fed
with both is worse than none. So every loss is first brought to the level of the complete ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean, pstdev

FEWEST_PAIRS = 3


def final_losses(
    final: Mapping[int, float], partial: Mapping[int, int], rungs: Mapping[int, Mapping[int, float]]
) -> dict[int, tuple[float, float]]:
    """Return a predicted final loss and its standard deviation for each trial that is not complete.

    Args:
        final: Complete trial -> its loss.
        partial: Trial -> the highest level (a key of `rungs`) at which its loss is known.
        rungs: Level -> trial -> its loss there.
    """
    shifts = {level: _shift(rungs[level], final) for level in set(partial.values())}
    predicted = {}
    for trial, level in partial.items():
        shift, spread = shifts[level]
        predicted[trial] = (rungs[level][trial] + shift, spread)
    return predicted


def _shift(rung: Mapping[int, float], final: Mapping[int, float]) -> tuple[float, float]:
    """Return by how much losses change on average from a rung to the end, and the standard deviation of that."""
    finite = [loss for loss in rung.values() if math.isfinite(loss)]
    changes = [final[trial] - loss for trial, loss in rung.items() if trial in final and math.isfinite(loss)]
    if len(changes) < FEWEST_PAIRS:
        return 0.0, pstdev(finite) if len(finite) > 1 else 1.0
    return fmean(changes), pstdev(changes) + 1e-12

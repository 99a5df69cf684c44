"""What the final loss of a trial will be that has come only so far, from what became of others. Pure functions.

The last values of trials that were stopped early do not compare with the final ones of others, and a model that is fed
with both is worse than none. So every loss is first brought to the level of the complete ones, level by level from the
highest down: those that went beyond a level, with what is known or predicted of their ends, say how an end follows from
a loss there. They are the better ones of the level; so for the others the line is continued, which keeps the order: who
was stopped is never predicted to end better than those that it was worse than.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

FEWEST_PAIRS = 3
"""With fewer trials that went beyond a level, its losses are taken as they are."""
AS_IS = 3.0
"""That an end differs from another by as much as the losses did at the level counts like so many pairs."""
LEAST_SLOPE = 0.05
"""Even where ends seem to have nothing to do with losses, the order of losses says a little."""


def final_losses(
    final: Mapping[int, float], partial: Mapping[int, int], rungs: Mapping[int, Mapping[int, float]]
) -> dict[int, tuple[float, float]]:
    """Return a predicted final loss and its standard deviation for each trial that is not complete.

    Args:
        final: Complete trial -> its loss.
        partial: Trial -> the highest level (a key of `rungs`) at which its loss is known.
        rungs: Level -> trial -> its loss there.
    """
    waiting: dict[int, list[int]] = {}
    for trial, level in partial.items():
        waiting.setdefault(level, []).append(trial)
    known = {trial: (loss, 0.0) for trial, loss in final.items()}
    predicted: dict[int, tuple[float, float]] = {}
    lowest = min(waiting, default=0)
    for level in sorted(rungs, reverse=True):
        if level < lowest:
            break
        if level in waiting:
            found = _predicted(rungs[level], waiting[level], known)
            predicted |= found
            known |= found
    return predicted


def _predicted(
    rung: Mapping[int, float], waiting: list[int], known: Mapping[int, tuple[float, float]]
) -> dict[int, tuple[float, float]]:
    """Return what is predicted of the trials that wait at a level, given what is known of those that went beyond."""
    import numpy as np

    losses = np.array([rung[trial] for trial in waiting])
    beyond = [trial for trial, loss in rung.items() if trial in known and math.isfinite(loss)]
    before = np.array([rung[trial] for trial in beyond])
    if len(beyond) < FEWEST_PAIRS:
        every = np.concatenate([losses, before])
        ends, spread = losses, np.full(len(losses), every.std() if len(every) > 1 else 1.0)
    else:
        after = np.array([known[trial] for trial in beyond])
        ends, spread = _continued(losses, before, after[:, 0], after[:, 1])
    return {
        trial: (float(end), float(deviation))
        for trial, end, deviation in zip(waiting, ends, spread, strict=True)
    }  # fmt: skip


def _continued(
    losses: FloatArray, before: FloatArray, after: FloatArray, spread: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the ends and their deviations that a line through pairs of losses gives for other losses.

    The line is that of least squares, shrunk towards one of slope 1, and never steeper: curves come closer to each
    other as they fall. The deviation is that of the pairs from the line, and of what it grows by outside of them.
    """
    import numpy as np

    count = len(before)
    middle, level = before.mean(), after.mean()
    variance = float(((before - middle) ** 2).mean())
    slope = 1.0
    if variance > 0:
        fitted = float(((before - middle) * (after - level)).mean()) / variance
        slope = min(max((count * fitted + AS_IS) / (count + AS_IS), LEAST_SLOPE), 1.0)
    off = after - (level + slope * (before - middle))
    noise = float((off**2).sum()) / max(count - 1, 1) + float((spread**2).mean())
    reach = (losses - middle) ** 2 / max(variance, 1e-300)
    deviation = np.sqrt(noise * (1 + np.minimum(1 + reach, 25.0) / count))
    return level + slope * (losses - middle), np.maximum(deviation, 1e-12)

"""What is known of an experiment when a config is asked for: plain arrays, which nobody changes afterwards.

A searcher's answer is a function of a history and a trial's number. So it may be computed in another thread, and again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..space.encoding import Encoding

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class History:
    """n trials with a loss, p that are pending, f that failed, in a space of d coordinates, with m objectives.

    A trial that was stopped early, is paused or still runs counts among the n as soon as something is known that can be
    compared with others: its final loss is predicted then (see `fidelity.py`), with a `spread`.
    """

    encoding: Encoding
    points: FloatArray
    """Settled rows, shape (n, d)."""
    losses: FloatArray
    """Finite, lower is better, shape (n,); with several objectives those of the first."""
    objectives: FloatArray
    """The losses of all objectives, shape (n, m)."""
    spread: FloatArray
    """Standard deviation of `losses` where they are predictions, shape (n,); 0 where a trial is complete."""
    trials: NDArray[np.int_]
    """The trials' numbers, shape (n,)."""
    seconds: FloatArray
    """How long they have trained, shape (n,)."""
    pending: FloatArray
    """Rows of the trials that wait or run and have no loss yet, by number, shape (p, d)."""
    failed: FloatArray
    """Rows of trials that failed or whose loss is nan, infinite or missing, shape (f, d)."""
    failed_trials: NDArray[np.int_]
    """Their numbers, shape (f,)."""
    proposed: FloatArray
    """Rows of all trials that there ever were, whatever became of them, by number."""
    rungs: Mapping[int, Mapping[int, float]]
    """training_iteration at which a scheduler has judged trials -> trial -> its loss there."""
    stamp: int
    """Another number whenever something was learned (a new pending trial is nothing learned), for memos."""
    total: int | None
    """How many trials there are to be; None without end."""
    workers: int
    """The most trials that were seen running at once."""
    earlier: int = 0
    """So many of the n, the last ones, are of earlier experiments (see `earlier.py`); their numbers are negative."""

    def own(self) -> History:
        """Return the history without what earlier experiments found."""
        count = len(self.losses) - self.earlier
        return replace(
            self,
            points=self.points[:count],
            losses=self.losses[:count],
            objectives=self.objectives[:count],
            spread=self.spread[:count],
            trials=self.trials[:count],
            seconds=self.seconds[:count],
            stamp=-1 - self.stamp,
            earlier=0,
        )

    def with_pending(self, row: FloatArray) -> History:
        """Return the history in which one more config has been proposed."""
        import numpy as np

        return replace(
            self, pending=np.vstack([self.pending, row[None]]), proposed=np.vstack([self.proposed, row[None]])
        )

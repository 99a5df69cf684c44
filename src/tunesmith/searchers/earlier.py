"""What other experiments found, as observations beside a searcher's own: fewer and fewer, and on the scale of its own.

Their losses are of other tasks, so only their order within a source counts: normal scores, brought to the scale of the
own losses by a line through what the source predicts for the own configs. How many of a source's trials are believed
falls with the number of own ones, and faster where the source ranks the own configs otherwise than they turned out.

Source: Salinas et al. 2020, "A Quantile-based Approach for Hyperparameter Transfer Learning" (normal scores across
tasks); Feurer et al. 2018, "Practical Transfer Learning for Bayesian Optimization" (trust by ranking own results).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..core.events import EarlierTrials
from ..space.encoding import Encoding
from ..space.placing import placed
from .history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

MOST_POINTS = 100
"""So many earlier trials count at most, of all sources together: a model's time goes with its points."""
MOST_COMPARED = 200
"""So many of a source's trials, and of the own ones, are compared to see how well it predicts these."""
HALF_LIFE = 25.0
"""After so many own losses half of them count, after twice as many a fifth."""
NEIGHBOURS = 5
"""What a source predicts for a config is the mean of so many of its trials that are nearest."""
FEWEST_TO_DOUBT = 4
"""With fewer own losses a source is believed whatever it says."""
EXPECTED_AGREEMENT = 0.2
"""What a useful source comes to at least, as `trust` measures agreement, from -1 to 1."""
ERROR = 0.5
"""Standard deviation of what a source predicts, in units of its normal scores, at least."""
APART = 0.1
"""Configs that are tried first are so far apart at least: root mean square over the coordinates."""


@dataclass(frozen=True)
class Source:
    """The trials of one earlier experiment that lie in the space, best first."""

    rows: FloatArray
    """Shape (m, d)."""
    scores: FloatArray
    """Normal scores of the losses of each objective, shape (m, k)."""


class Earlier:
    """What is known of earlier experiments. `observe` is the only way it changes.

    Args:
        encoding: Of the space.
        seed: What draws are keyed by, for parameters that earlier configs do not say.
        first: How many of the best configs are to be tried first.
    """

    def __init__(self, encoding: Encoding, seed: int, first: int) -> None:
        self._encoding = encoding
        self._seed = seed
        self._first = first
        self._sources: list[Source] = []
        self._since = 0
        self._firsts: list[FloatArray] = []
        self._memo: tuple[int, tuple[FloatArray, FloatArray, FloatArray]] | None = None
        """The stamp of a history, and what belongs to it."""

    @property
    def count(self) -> int:
        """How many earlier trials are known."""
        return sum(len(source.rows) for source in self._sources)

    def observe(self, event: EarlierTrials, next_number: int) -> None:
        """Take in the trials of one more source. What lies outside the space, which may have changed since, is left."""
        import numpy as np

        rows, losses = [], []
        for index, config in enumerate(event.configs):
            row = placed(self._encoding, config, seed=self._seed, number=-1 - self.count - index)
            if row is not None:
                rows.append(row)
                losses.append(event.losses[index])
        if not rows:
            return
        scores = np.column_stack([normal_scores(column) for column in np.array(losses, dtype=float).T])
        order = np.lexsort(scores.T[::-1])
        self._sources.append(Source(np.array(rows, dtype=float)[order], scores[order]))
        if not self._firsts:
            self._since = next_number
        self._firsts = self._best_ones()

    def first(self, number: int, given: int) -> FloatArray | None:
        """Return the earlier config that trial `number` is to try, if any; before them, `given` points were."""
        index = number - max(self._since, given)
        return self._firsts[index] if 0 <= index < len(self._firsts) else None

    def end(self, given: int) -> int:
        """Return the number of the first trial after these."""
        return max(self._since, given) + len(self._firsts)

    def fewer(self, initial_points: int) -> int:
        """Return how many of the usual initial points are needed beside the earlier trials."""
        return max(math.ceil(initial_points / 2), initial_points - self.count) if self._since < initial_points else 0

    def joined(self, history: History) -> History:
        """Return a history with earlier trials after the own ones."""
        import numpy as np

        if not self._sources:
            return history
        if self._memo is None or self._memo[0] != history.stamp:
            self._memo = (history.stamp, self._observations(history))
        points, objectives, spread = self._memo[1]
        count = len(points)
        seconds = float(np.median(history.seconds)) if len(history.seconds) else 0.0
        own = history.objectives if len(history.objectives) else np.empty((0, objectives.shape[1]))
        joined = np.concatenate([own, objectives])
        return replace(
            history,
            points=np.concatenate([history.points, points]),
            losses=joined[:, 0],
            objectives=joined,
            spread=np.concatenate([history.spread, spread]),
            trials=np.concatenate([history.trials, -1 - np.arange(count)]),
            seconds=np.concatenate([history.seconds, np.full(count, seconds)]),
            earlier=count,
        )

    def _best_ones(self) -> list[FloatArray]:
        """Return the configs to try first: in turn the best of each source, those apart that are alike."""
        chosen: list[FloatArray] = []
        longest = max(len(source.rows) for source in self._sources)
        for rank in range(longest):
            for source in self._sources:
                if len(chosen) == self._first:
                    return chosen
                if rank < len(source.rows):
                    row = source.rows[rank]
                    if all(self._squares(row[None], other[None])[0, 0] >= APART**2 for other in chosen):
                        chosen.append(row)
        return chosen

    def _observations(self, history: History) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return rows, losses and spreads of the earlier trials that still count."""
        import numpy as np

        share = max(1, MOST_POINTS // len(self._sources))
        width = self._sources[0].scores.shape[1]
        found = [self._of_source(source, share, history) for source in self._sources]
        return (
            np.concatenate([np.empty((0, self._encoding.width)), *(rows for rows, _, _ in found)]),
            np.concatenate([np.empty((0, width)), *(objectives for _, objectives, _ in found)]),
            np.concatenate([np.empty(0), *(spread for _, _, spread in found)]),
        )

    def _of_source(self, source: Source, share: int, history: History) -> tuple[FloatArray, FloatArray, FloatArray]:
        import numpy as np

        count = len(history.losses)
        kept = _evenly(len(source.rows), min(share, len(source.rows)))
        believed = 1 / (1 + (count / HALF_LIFE) ** 2)
        if round(believed * len(kept)) == 0:
            return source.rows[:0], source.scores[:0], np.empty(0)
        compared = _evenly(count, min(count, MOST_COMPARED))
        predicted, own = self._predicted(source, history.points[compared]), history.objectives[compared]
        if count >= FEWEST_TO_DOUBT:
            believed *= trust(predicted[:, 0], own[:, 0])
        # Those that stay longest come first, spread over all ranks; the best is the last to go.
        indices = np.array(kept)[_van_der_corput(len(kept))][: round(believed * len(kept))]
        scores = source.scores[indices]
        if count < 2:
            shift = own.mean(axis=0) if count else np.zeros(scores.shape[1])
            return source.rows[indices], scores + shift, np.full(len(indices), ERROR)
        lines = [line(predicted[:, column], own[:, column]) for column in range(scores.shape[1])]
        mapped = np.column_stack([base + slope * scores[:, column] for column, (base, slope, _) in enumerate(lines)])
        # Nothing of another task is better than the best that is known of this one.
        mapped[:, 0] = np.maximum(mapped[:, 0], history.losses.min())
        return source.rows[indices], mapped, np.full(len(indices), lines[0][2])

    def _predicted(self, source: Source, points: FloatArray) -> FloatArray:
        """Return the scores that a source's trials near some points have, shape (n, k)."""
        import numpy as np

        if not len(points):
            return np.empty((0, source.scores.shape[1]))
        indices = np.array(_evenly(len(source.rows), min(MOST_COMPARED, len(source.rows))))
        squares = self._squares(points, source.rows[indices])
        nearest = np.argsort(squares, axis=1, kind="stable")[:, :NEIGHBOURS]
        weights = 1 / (np.take_along_axis(squares, nearest, axis=1) + 1e-4)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.asarray((weights[:, :, None] * source.scores[indices][nearest]).sum(axis=1))

    def _squares(self, left: FloatArray, right: FloatArray) -> FloatArray:
        """Return mean squared distances, shape (n, m). Values of a choice are 1 apart, as is one that is not there."""
        import numpy as np

        total = np.zeros((len(left), len(right)))
        for index, parameter in enumerate(self._encoding.parameters):
            a, b = left[:, index, None], right[None, :, index]
            apart = (a != b).astype(float) if parameter.options else (a - b) ** 2
            apart = np.where(np.isnan(a) | np.isnan(b), np.isnan(a) != np.isnan(b), apart)
            total += apart
        return total / max(1, self._encoding.width)


def normal_scores(losses: FloatArray) -> FloatArray:
    """Return what normal variables would be at the losses' ranks; equal losses share theirs."""
    import numpy as np
    from scipy.special import ndtri

    _, inverse, counts = np.unique(losses, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - counts / 2
    return np.asarray(ndtri(middles / len(losses))[inverse.ravel()])


def trust(predicted: FloatArray, losses: FloatArray) -> float:
    """Return how much a source is to be believed, from 0 to 1, that makes such predictions of these losses.

    Agreement is Kendall's tau with each pair weighed by how far apart it is predicted to be: own configs are soon all
    alike, and their order says nothing. Trust is about how likely the agreement is above what is expected of a useful
    source, were it half a standard error better than it looks.
    """
    import numpy as np

    apart = predicted[:, None] - predicted[None, :]
    weights = np.abs(apart).sum()
    if weights == 0:
        return 1.0
    agreement = float((apart * np.sign(losses[:, None] - losses[None, :])).sum() / weights)
    pairs = float(weights**2 / (apart**2).sum()) / 2
    count = (1 + math.sqrt(1 + 8 * pairs)) / 2
    error = math.sqrt(2 * (2 * count + 5) / (9 * count * (count - 1)))
    return 0.5 * (1 + math.erf(((agreement - EXPECTED_AGREEMENT) / error + 0.5) / math.sqrt(2)))


def line(predicted: FloatArray, losses: FloatArray) -> tuple[float, float, float]:
    """Return (base, slope, standard deviation) of own losses over the scores that a source predicts for them.

    The slope is drawn towards what makes scores as wide as the losses: own configs are soon all good ones, and then
    say little of it.
    """
    import numpy as np

    middle = float(np.median(losses))
    reach = float(np.quantile(losses, 0.75) - np.quantile(losses, 0.25)) or float(np.ptp(losses)) or 1.0
    clipped = np.clip(losses, middle - 3 * reach, middle + 3 * reach)
    x, y = predicted - predicted.mean(), clipped - clipped.mean()
    usual = max(float(y.std()), 1e-12) / max(float(x.std()), ERROR)
    slope = (float(x @ y) + 2 * usual) / (float(x @ x) + 2)
    slope = min(max(slope, usual / 3), 3 * usual)
    rest = float((y - slope * x).std())
    return float(clipped.mean() - slope * predicted.mean()), slope, max(rest, ERROR * slope)


def _evenly(count: int, wanted: int) -> list[int]:
    """Return `wanted` of `count` ranks, the first and the last among them."""
    if wanted <= 1:
        return [0] * min(wanted, count)
    return [round(step * (count - 1) / (wanted - 1)) for step in range(wanted)]


def _van_der_corput(count: int) -> Sequence[int]:
    """Return 0..count-1 in an order of which each beginning is spread over all of them."""
    bits = max(1, (count - 1).bit_length())
    reversed_bits = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [number for number in reversed_bits if number < count]

"""From a history to Gaussian processes of it: which losses they are made of, how these are bent, what is remembered.

Everything here is a pure function of a history. Hyperparameters are found from the first so many losses, for a few
numbers of them only, and starting from what a smaller number has said; so they are found rarely, and again after a
restart exactly as before.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .features import Features
from .gaussian_process import NO_TREND, Data, Hyperparameters, Posterior, fitted
from .warping import Warp, fitted_warp

if TYPE_CHECKING:
    from ..space.encoding import Encoding
    from .history import History

Floats = NDArray[np.float64]

EACH_UNTIL = 30
"""Hyperparameters are found anew for each loss so long, then whenever there are `GROWTH` times as many."""
GROWTH = 1.06
WARM_GROWTH = 1.3
FEWEST_WARM = 8
MOST_FITTED = 250
"""Hyperparameters are found from so many losses at most, which are chosen as those of the model are."""
MOST_REMEMBERED = 64
OF_LABELS = 0.25
"""Variance of a label: without it the edge of the region that fails, a step, would make all lengths tiny."""


class Surrogates:
    """Makes the processes of one space; remembers hyperparameters by the losses that they were found from."""

    def __init__(self, encoding: Encoding, most: int) -> None:
        self.features = Features(encoding)
        self.dimensions = max(1, encoding.width)
        self._most = most
        self._found: OrderedDict[bytes, Hyperparameters] = OrderedDict()

    def of_losses(self, history: History, losses: Floats) -> Modelled:
        """Return what is modelled of one objective's losses, shape (n,)."""
        # Those of earlier experiments first: they do not change.
        order = np.roll(np.arange(len(losses)), history.earlier)
        points, losses, spread = history.points[order], losses[order], history.spread[order]
        parameters = self._hyperparameters(points, losses, spread, fixed_number(len(losses)))
        chosen = chosen_points(losses, self._most)
        points, losses, spread = points[chosen], losses[chosen], spread[chosen]
        warp = fitted_warp(losses)
        return Modelled(parameters, self._data(points, losses, spread, warp), warp, points)

    def of_failures(self, history: History) -> Posterior:
        """Return the process of a label: 1 where a trial came to a loss, -1 where it failed."""
        failed = history.failed[-self._most // 2 :]
        fine = history.points[chosen_points(history.losses, self._most // 2)]
        points = np.concatenate([fine, failed])
        key = b"failures" + points.tobytes()
        labels = np.concatenate([np.ones(len(fine)), -np.ones(len(failed))])
        data = Data(self.features.of(points), self.features.groups, labels, np.full(len(labels), OF_LABELS))
        if key not in self._found:
            self._remember(key, fitted(data, [Hyperparameters.expected(self.dimensions)])[0])
        return Posterior(self._found[key], data)

    def _data(self, points: Floats, losses: Floats, spread: Floats, warp: Warp) -> Data:
        extra = np.minimum(spread * warp.slope(losses), 10.0) ** 2
        # Where losses are predictions a trend made the search slower: it takes the predictor's line for the function's.
        trend = NO_TREND if spread.any() else self.features.trend
        return Data(self.features.of(points), self.features.groups, warp.of(losses), extra, trend)

    def _hyperparameters(self, points: Floats, losses: Floats, spread: Floats, count: int) -> Hyperparameters:
        points, losses, spread = points[:count], losses[:count], spread[:count]
        key = points.tobytes() + losses.tobytes() + spread.tobytes()
        if key in self._found:
            return self._found[key]
        starts = [Hyperparameters.expected(self.dimensions)]
        smaller = warm_number(count)
        if smaller:
            starts.append(self._hyperparameters(points, losses, spread, smaller))
        chosen = chosen_points(losses, min(self._most, MOST_FITTED))
        points, losses, spread = points[chosen], losses[chosen], spread[chosen]
        found, _ = fitted(self._data(points, losses, spread, fitted_warp(losses)), starts)
        self._remember(key, found)
        return found

    def _remember(self, key: bytes, found: Hyperparameters) -> None:
        self._found[key] = found
        while len(self._found) > MOST_REMEMBERED:
            self._found.popitem(last=False)


class Modelled:
    """One objective's losses, bent, and the hyperparameters of the process over them."""

    def __init__(self, parameters: Hyperparameters, data: Data, warp: Warp, points: Floats) -> None:
        self.parameters = parameters
        self.data = data
        self.warp = warp
        self.points = points

    def posterior(self, pending: Floats) -> Posterior:
        """Return the process, with the features of pending points."""
        return Posterior(self.parameters, self.data, pending)


def chosen_points(losses: Floats, most: int) -> NDArray[np.intp]:
    """Return the indices of the losses that a model is made of, in order: half the best, a quarter the newest, the rest
    evenly from what is left.
    """
    count = len(losses)
    if count <= most:
        return np.arange(count)
    chosen = np.zeros(count, dtype=bool)
    chosen[np.argsort(losses, kind="stable")[: most // 2]] = True
    chosen[-(most // 4) :] = True
    others = np.flatnonzero(~chosen)
    chosen[others[np.linspace(0, len(others) - 1, most - int(chosen.sum())).astype(np.intp)]] = True
    return np.flatnonzero(chosen)


def fixed_number(count: int) -> int:
    """Return of the numbers for which hyperparameters are found the largest that is not above `count`."""
    number = EACH_UNTIL
    if count <= number:
        return count
    while True:
        larger = int(number * GROWTH) + 1
        if larger > count:
            return number
        number = larger


def warm_number(count: int) -> int:
    """Return for how many losses hyperparameters are found before those of `count`, to start from; 0 for none."""
    number = FEWEST_WARM
    if count <= number:
        return 0
    while int(number * WARM_GROWTH) < count:
        number = int(number * WARM_GROWTH)
    return number

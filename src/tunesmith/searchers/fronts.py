"""Which losses are better when there are several: fronts, and the order within a front. Pure functions of arrays.

Lower is better in each loss; inf is the worst there is. One row dominates another when it is no worse in any loss and
better in one.

Source: Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int_]


def front_ranks(losses: FloatArray, enough: int | None = None) -> IntArray:
    """Return each row's front, 0 for those that nobody dominates; shape (n, m) to (n,).

    Once `enough` rows have a front, the others all share one more.
    """
    import numpy as np

    count = len(losses)
    if losses.shape[1] == 1:
        return np.unique(losses[:, 0], return_inverse=True)[1].reshape(count)
    ranks = np.full(count, -1)
    left = np.lexsort(losses.T[::-1])
    front = 0
    while len(left) and (enough is None or count - len(left) < enough):
        mine = _plane_front(losses[left]) if losses.shape[1] == 2 else _space_front(losses[left])
        ranks[left[mine]] = front
        left, front = left[~mine], front + 1
    ranks[left] = front
    return ranks


def _plane_front(ordered: FloatArray) -> NDArray[np.bool_]:
    """Return which of some rows, ordered by the first loss and then by the second, nobody dominates."""
    import numpy as np

    second = ordered[:, 1]
    best_before = np.concatenate([[np.inf], np.minimum.accumulate(second)[:-1]])
    # Equal rows follow each other, and do not dominate each other.
    new = np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])
    first_equal = np.maximum.accumulate(np.where(new, np.arange(len(ordered)), 0))
    on = (second < best_before) | ((second == np.inf) & (np.arange(len(ordered)) == 0))
    return np.asarray(on[first_equal])


def _space_front(ordered: FloatArray) -> NDArray[np.bool_]:
    """Return the same for any number of losses. One row after the other: fronts are small beside all rows."""
    import numpy as np

    on = np.ones(len(ordered), dtype=bool)
    for index in range(len(ordered)):
        if on[index]:
            worse = (ordered[index] <= ordered).all(axis=1) & (ordered[index] < ordered).any(axis=1)
            on &= ~worse
    return on


def crowding(losses: FloatArray) -> FloatArray:
    """Return how far apart each row's neighbours of its front are, inf at the ends of a front.

    Source: Deb et al. 2002, "crowding-distance-assignment".
    """
    import numpy as np

    distance = np.zeros(len(losses))
    for column in losses.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        finite = ordered[np.isfinite(ordered)]
        distance[order[[0, -1]]] = np.inf
        width = finite[-1] - finite[0] if len(finite) else 0.0
        if width > 0 and len(order) > 2:
            gaps = np.where(np.isfinite(ordered[2:]), ordered[2:], ordered[:-2]) - ordered[:-2]
            distance[order[1:-1]] += np.nan_to_num(gaps, nan=0.0, posinf=0.0) / width
    return distance


def order_of(losses: FloatArray) -> IntArray:
    """Return the indices of rows, best first: by front, and within a front the least crowded first; shape (n, m)."""
    import numpy as np

    if losses.shape[1] == 1:
        return np.argsort(losses[:, 0], kind="stable")
    ranks = front_ranks(losses)
    crowds = np.zeros(len(losses))
    for front in range(int(ranks.max(initial=-1)) + 1):
        of_front = ranks == front
        crowds[of_front] = crowding(losses[of_front])
    return np.lexsort((np.arange(len(losses)), -crowds, ranks))

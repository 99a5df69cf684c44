"""Who dominates whom: fronts of points with several losses, and the order within a front. Knows nothing of trials.

Lower is better in each loss; inf is the worst there is, and nan is not allowed. One point dominates another when it is
no worse in any loss and better in one; equal points do not dominate each other.

Sources: Deb et al. 2002 (NSGA-II) for the fronts; Zhang et al. 2015 for the search over fronts; Salinas et al. 2021 and
Schmucker et al. 2021 (MO-ASHA) for the epsilon-net; Emmerich et al. 2005 (SMS-EMOA) for the share of the hypervolume.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Protocol

Losses = tuple[float, ...]
Member = tuple[Losses, int]
"""A point and its number, which counts the points in order of their arrival."""
Moving = tuple[list[float], list[float], list[Member]]
"""Points that move to the next front, side by side: their first losses, their second ones negated, and themselves."""

BEYOND = 2.0
"""Where a loss of inf lies when the finite ones of its front are scaled to [0, 1]."""
REFERENCE = 1.1
"""The same for the corner that hypervolumes are measured from; customary, so that a front's ends have a share."""


def dominates(one: Losses, other: Losses) -> bool:
    """Return whether `one` is no worse than `other` anywhere, and better somewhere."""
    return one != other and all(mine <= theirs for mine, theirs in zip(one, other, strict=True))


def non_dominated(points: Sequence[Losses]) -> list[int]:
    """Return the indices of the points that no other point dominates, ascending; equal points are all there."""
    # In this order a point is dominated by none that comes after it.
    order = sorted(range(len(points)), key=lambda index: points[index])
    if points and len(points[0]) == 2:
        return sorted(_sweep(points, order))
    front: list[int] = []
    for index in order:
        if not any(dominates(points[other], points[index]) for other in front):
            front.append(index)
    return sorted(front)


def _sweep(points: Sequence[Losses], order: Sequence[int]) -> list[int]:
    front: list[int] = []
    for index in order:
        if not front or points[index][1] < points[front[-1]][1] or points[index] == points[front[-1]]:
            front.append(index)
    return front


class Fronts:
    """Points that only come and never go, sorted into fronts: the first is what nobody dominates, and so on.

    A new point's front is found by a binary search over the fronts, O(log n) each with two losses and O(its size) with
    more. The points that it dominates there move one front down, those that these dominate another one, and so on; with
    two losses they lie side by side in each front, so that a move is one slice.

    Args:
        losses: How many losses a point has.
    """

    __slots__ = ("_fronts", "_losses", "_sizes", "count")

    def __init__(self, losses: int) -> None:
        self._losses = losses
        self._fronts: list[_Front] = []
        self._sizes: list[int] = []
        self.count = 0

    def add(self, losses: Losses) -> int:
        """Take one more point, number `count`; return the index of its front."""
        fronts = self._fronts
        # Whoever is dominated in a front is dominated in every better one.
        low, high = 0, len(fronts)
        while low < high:
            middle = (low + high) // 2
            if fronts[middle].has_dominator_of(losses):
                low = middle + 1
            else:
                high = middle
        moving: Moving = ([losses[0]], [-losses[-1]], [(losses, self.count)])
        self.count += 1
        index = low
        while moving[2]:
            if index == len(fronts):
                fronts.append(_PlaneFront() if self._losses == 2 else _SpaceFront())
                self._sizes.append(0)
            coming = len(moving[2])
            moving = fronts[index].take(moving)
            self._sizes[index] += coming - len(moving[2])
            index += 1
        return low

    def sizes(self) -> list[int]:
        """Return how many points each front has, best front first."""
        return list(self._sizes)

    def size(self, index: int) -> int:
        """Return how many points a front has."""
        return self._sizes[index]

    def before(self, index: int) -> int:
        """Return how many points lie in better fronts."""
        return sum(self._sizes[:index])

    def members(self, index: int) -> list[Member]:
        """Return the points of a front in order of their arrival."""
        return sorted(self._fronts[index].members(), key=itemgetter(1))


class _Front(Protocol):
    def has_dominator_of(self, losses: Losses) -> bool: ...

    def take(self, coming: Moving) -> Moving:
        """Take points that nobody here dominates and that do not dominate each other; return those who must leave."""

    def members(self) -> list[Member]: ...


class _PlaneFront:
    """A front of two losses: where the first one ascends, the second one descends."""

    __slots__ = ("_first", "_members", "_second")

    def __init__(self) -> None:
        self._first: list[float] = []
        self._second: list[float] = []
        """Negated, so that it ascends too."""
        self._members: list[Member] = []

    def has_dominator_of(self, losses: Losses) -> bool:
        # Of those that are no worse in the first loss, the last one is the best in the second.
        index = bisect_right(self._first, losses[0]) - 1
        return index >= 0 and -self._second[index] <= losses[1] and self._members[index][0] != losses

    def take(self, coming: Moving) -> Moving:
        # Who leaves lies between the first of those that come and the last, and all who lie there leave: each was
        # dominated by one of the front above, and that one came along, or lies outside and is passed by one who came.
        first, second, members = coming
        low, high = bisect_left(self._first, first[0]), bisect_right(self._second, second[-1])
        if high <= low or self._members[low][0] == members[0][0]:
            low = high = bisect_right(self._first, first[0])
        leaving = self._first[low:high], self._second[low:high], self._members[low:high]
        self._first[low:high], self._second[low:high], self._members[low:high] = first, second, members
        return leaving

    def members(self) -> list[Member]:
        return self._members


class _SpaceFront:
    """A front of any number of losses: an array, since all of it is gone through."""

    __slots__ = ("_members", "_points")

    def __init__(self) -> None:
        self._members: list[Member] = []
        self._points: Any = None

    def has_dominator_of(self, losses: Losses) -> bool:
        points = self._points
        if points is None:
            return False
        return bool(((points <= losses).all(axis=1) & (points < losses).any(axis=1)).any())

    def take(self, coming: Moving) -> Moving:
        import numpy as np

        points = np.array([losses for losses, _ in coming[2]])
        leaving: list[Member] = []
        if self._points is not None:
            theirs, ours = points[:, None], self._points[None]
            leaves = ((theirs <= ours).all(axis=2) & (theirs < ours).any(axis=2)).any(axis=0)
            points = np.concatenate([self._points[~leaves], points])
            if leaves.any():
                leaving = [self._members[index] for index in leaves.nonzero()[0]]
                self._members = [self._members[index] for index in (~leaves).nonzero()[0]]
        self._members.extend(coming[2])
        self._points = points
        return [], [], leaving

    def members(self) -> list[Member]:
        return self._members


def epsilon_net(points: Sequence[Losses], count: int) -> list[int]:
    """Return the indices of `count` points of a front that cover it best, in the order in which they are picked.

    First the point that is best in the first loss (of equals in the next one; then the earliest); after that always the
    one that is farthest from all picked ones, the earliest of equals. Distances are Euclidean, with each loss scaled
    from its finite values in the front to [0, 1], so that no loss counts more for its unit; inf lies at 2.

    Cost: O(count * points).
    """
    import numpy as np

    columns = [np.array(column) for column in zip(*_scaled(points), strict=True)]
    index = min(range(len(points)), key=lambda each: (points[each], each))
    nearest = np.full(len(points), np.inf)
    picked: list[int] = []
    for _ in range(min(count, len(points))):
        picked.append(index)
        distance = np.zeros(len(points))
        for column in columns:
            distance += (column - column[index]) ** 2
        nearest = np.minimum(nearest, distance)
        nearest[picked] = -1.0
        index = int(nearest.argmax())
    return picked


def hypervolume_order(points: Sequence[Losses]) -> list[int]:
    """Return the indices of a front's points by their own share of its hypervolume, largest first.

    A point's share is what the front's hypervolume loses without it. It is measured with each loss scaled from its
    finite values in the front to [0, 1], from a corner at 1.1; inf lies outside. Of equal points the first has the
    share of them all. Of equal shares the earliest comes first.

    Cost: O(n log n) with two losses; with more a hypervolume for each point.
    """
    first: dict[Losses, int] = {}
    for index, losses in enumerate(points):
        first.setdefault(losses, index)
    distinct = list(first)
    scaled = dict(zip(first.values(), _scaled(distinct), strict=True))
    shares = _plane_shares(scaled) if len(distinct[0]) == 2 else _shares(scaled)
    return sorted(range(len(points)), key=lambda index: (-shares.get(index, 0.0), index))


def hypervolume(points: Sequence[Sequence[float]], reference: Sequence[float]) -> float:
    """Return the volume that lies between the points and a corner that is worse than they are.

    Points that are not better than the corner in every loss count nothing. O(n log n) with two losses; each further one
    multiplies that by n.
    """
    inside = [
        tuple(each) for each in points if all(mine < corner for mine, corner in zip(each, reference, strict=True))
    ]
    if not inside:
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - min(each[0] for each in inside))
    if len(reference) == 2:
        total, height = 0.0, reference[1]
        for x, y in sorted(inside):
            if y < height:
                total += (reference[0] - x) * (height - y)
                height = y
        return total
    # Slices along the last loss: each is as thick as the way to the next point.
    total, ranked = 0.0, sorted(inside, key=lambda each: each[-1])
    for index, each in enumerate(ranked):
        until = ranked[index + 1][-1] if index + 1 < len(ranked) else reference[-1]
        if until > each[-1]:
            slab = [below[:-1] for below in ranked[: index + 1]]
            total += (until - each[-1]) * hypervolume(slab, reference[:-1])
    return total


def _plane_shares(scaled: dict[int, Losses]) -> dict[int, float]:
    inside = sorted((losses, index) for index, losses in scaled.items() if max(losses) < REFERENCE)
    shares = {}
    for position, ((x, y), index) in enumerate(inside):
        above = inside[position - 1][0][1] if position else REFERENCE
        right = inside[position + 1][0][0] if position + 1 < len(inside) else REFERENCE
        shares[index] = (right - x) * (above - y)
    return shares


def _shares(scaled: dict[int, Losses]) -> dict[int, float]:
    corner = (REFERENCE,) * len(next(iter(scaled.values())))
    whole = hypervolume(list(scaled.values()), corner)
    return {
        index: whole - hypervolume([losses for other, losses in scaled.items() if other != index], corner)
        for index in scaled
    }


def _scaled(points: Sequence[Losses]) -> list[Any]:
    """Return the points with the finite values of each loss scaled to [0, 1], and inf at `BEYOND`."""
    columns = []
    for column in zip(*points, strict=True):
        finite = [value for value in column if value < float("inf")]
        low = min(finite, default=0.0)
        # Halves, so that the width of all floats is one.
        width = max(finite, default=0.0) / 2 - low / 2
        columns.append(
            [BEYOND if value == float("inf") else (value / 2 - low / 2) / width if width else 0.0 for value in column]
        )
    return list(zip(*columns, strict=True))

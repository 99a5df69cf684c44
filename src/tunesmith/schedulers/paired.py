"""Tests of paired differences, one-sided: is the first of each pair larger? Knows nothing of trials.

Sources: Wilcoxon 1945, "Individual Comparisons by Ranking Methods"; Student 1908.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def wilcoxon(differences: Sequence[float]) -> float:
    """Return how likely so high ranks of the positive differences are when both signs are equally likely.

    Exact for any number of differences and with ties, which share their mean rank; differences of zero are left out, as
    Wilcoxon did it. 1 when nothing is left. O(n^3) for n differences.
    """
    sizes = sorted(abs(each) for each in differences if each)
    if not sizes:
        return 1.0
    # Twice the mean rank of each size is a whole number.
    first = {size: index for index, size in reversed(list(enumerate(sizes)))}
    last = {size: index for index, size in enumerate(sizes)}
    doubled = {size: first[size] + last[size] + 2 for size in first}
    observed = sum(doubled[each] for each in differences if each > 0)
    # ways[s]: in how many of the 2**n signings the positive ranks sum up to s.
    ways = [1] + [0] * sum(doubled[size] for size in sizes)
    for size in sizes:
        rank = doubled[size]
        for total in range(len(ways) - 1, rank - 1, -1):
            ways[total] += ways[total - rank]
    return float(sum(ways[observed:]) / 2 ** len(sizes))


def paired_t(differences: Sequence[float]) -> float:
    """Return how likely so high a mean is when the differences are normal around zero.

    Of equal differences, which have no spread, 0 when they are positive and 1 else. At least two.
    """
    from scipy.special import stdtr

    count = len(differences)
    mean = math.fsum(differences) / count
    variance = math.fsum((each - mean) ** 2 for each in differences) / (count - 1)
    # Differences that are equal but for rounding have no spread.
    if variance <= (1e-12 * mean) ** 2:
        return 0.0 if mean > 0 else 1.0
    return float(stdtr(count - 1, -mean / math.sqrt(variance / count)))

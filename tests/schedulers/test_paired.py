import itertools
import random
import warnings

import pytest
from scipy import stats

from tunesmith.schedulers.paired import paired_t, wilcoxon


def naive_wilcoxon(differences):
    """From the definition: the share of all signings whose positive ranks sum up to at least what was seen."""
    sizes = [abs(each) for each in differences if each]
    if not sizes:
        return 1.0
    ranks = [sum(other < each for other in sizes) + (sizes.count(each) + 1) / 2 for each in sizes]
    seen = sum(rank for rank, each in zip(ranks, [each for each in differences if each], strict=True) if each > 0)
    signings = list(itertools.product([0, 1], repeat=len(sizes)))
    sums = [sum(rank for rank, sign in zip(ranks, signs, strict=True) if sign) for signs in signings]
    return sum(total >= seen for total in sums) / len(signings)


def samples(kind, count, seed):
    draw = random.Random(seed)
    if kind == "lattice":
        return [float(draw.randint(-2, 3)) for _ in range(count)]
    return [draw.gauss(0.4, 1) for _ in range(count)]


@pytest.mark.parametrize("kind", ["lattice", "continuous"])
@pytest.mark.parametrize("count", range(1, 10))
def test_the_signed_rank_test_is_exact_also_with_ties_and_zeros(kind, count):
    for seed in range(12):
        differences = samples(kind, count, seed)

        assert wilcoxon(differences) == naive_wilcoxon(differences)


@pytest.mark.parametrize("count", [2, 5, 11, 24])
def test_the_signed_rank_test_is_scipys(count):
    for seed in range(10):
        differences = samples("continuous", count, seed)

        wanted = stats.wilcoxon(differences, alternative="greater", method="exact").pvalue
        assert wilcoxon(differences) == pytest.approx(wanted)


@pytest.mark.parametrize("kind", ["lattice", "continuous"])
@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_the_paired_t_test_is_scipys(kind, count):
    for seed in range(15):
        differences = samples(kind, count, seed)
        if len(set(differences)) == 1:
            continue

        wanted = stats.ttest_rel(differences, [0.0] * count, alternative="greater").pvalue
        assert paired_t(differences) == pytest.approx(wanted)


def test_differences_without_spread_are_sure():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paired_t([0.1, 0.1 + 1e-17, 0.1]) == 0.0
        assert paired_t([0.0, 0.0]) == 1.0
        assert paired_t([-1.0, -1.0]) == 1.0
    assert wilcoxon([0.0, 0.0]) == 1.0

import math
import random
from statistics import NormalDist

import numpy as np
import pytest

from tunesmith.searchers.density import ProductDensity

NORMAL = NormalDist()


def naive_bandwidth(values, options, d):
    """1.06 * sigma * n**(-1/(4+d)), where a point that is spread evenly counts among the n.

    For categories sigma**2 is half the chance that two of the points differ.
    """
    known = [value for value in values if not math.isnan(value)]
    n = len(known) + 1
    if options:
        shares = [(known.count(value) + 1 / options) / n for value in range(options)]
        sigma = math.sqrt(sum(a * b for i, a in enumerate(shares) for j, b in enumerate(shares) if i != j) / 2)
        most = (options - 1) / options
    else:
        mean, mean_square = (sum(known) + 1 / 2) / n, (sum(value**2 for value in known) + 1 / 3) / n
        sigma, most = math.sqrt(mean_square - mean**2), math.inf
    return min(max(1.06 * sigma * n ** (-1 / (4 + d)), 1e-3), most)


def naive_density(points, options, place):
    """The mean over the points of the product over the coordinates of one kernel each."""
    d = len(options)
    total = 0.0
    for point in points:
        product = 1.0
        for j in range(d):
            h = naive_bandwidth([row[j] for row in points], options[j], d)
            x, own = place[j], point[j]
            if math.isnan(x):
                kernel = 1.0
            elif math.isnan(own):
                kernel = 1 / options[j] if options[j] else 1.0
            elif options[j]:
                kernel = 1 - h if x == own else h / (options[j] - 1)
            else:
                inside = NORMAL.cdf((1 - own) / h) - NORMAL.cdf(-own / h)
                kernel = NORMAL.pdf((x - own) / h) / h / inside
            product *= kernel
        total += product
    return total / len(points)


def a_sample(seed, n, options, holes=0.0):
    draw = random.Random(seed)

    def value(count):
        if draw.random() < holes:
            return math.nan
        return float(draw.randrange(count)) if count else draw.random() ** 2

    return [[value(count) for count in options] for _ in range(n)]


@pytest.mark.parametrize("holes", [0.0, 0.4])
@pytest.mark.parametrize("options", [(0,), (3,), (0, 0, 4), (0, 2, 0, 5)], ids=str)
@pytest.mark.parametrize("n", [1, 2, 30])
def test_the_density_is_the_naive_formulas(n, options, holes):
    points = a_sample(n, n, options, holes)
    places = a_sample(99, 20, options, holes)

    found = ProductDensity(points, options, 1e-3).at(places)

    assert found == pytest.approx([naive_density(points, options, place) for place in places], rel=1e-9)


def test_a_density_of_numbers_integrates_to_one():
    density = ProductDensity(a_sample(3, 12, (0,)), (0,), 1e-3)
    grid = (np.arange(20_000) + 0.5) / 20_000

    assert density.at(grid[:, None]).mean() == pytest.approx(1, abs=1e-6)


def test_a_density_of_mixed_coordinates_sums_to_one():
    density = ProductDensity(a_sample(3, 12, (0, 3), 0.3), (0, 3), 1e-3)
    grid = (np.arange(2000) + 0.5) / 2000

    total = sum(density.at([[x, option] for x in grid]).mean() for option in range(3))

    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("points", [[[0.3]] * 5, [[0.0], [1.0]], [[0.2], [0.25], [0.9]]], ids=str)
def test_numbers_that_are_drawn_follow_the_density(points):
    density = ProductDensity(points, (0,), 1e-3)
    draw = random.Random(5)
    n = 4000
    drawn = sorted(density.draw(draw, draw.randrange(len(points)), 0, 1.0) for _ in range(n))

    # Kolmogorov's distance to the distribution function, integrated from the density on a fine grid.
    grid = (np.arange(50_000) + 0.5) / 50_000
    below = np.cumsum(density.at(grid[:, None])) / 50_000
    distance = np.abs(np.searchsorted(drawn, grid) / n - below).max()
    # 2 exp(-2 n d^2) is below 1e-6 at this distance; the seed is fixed.
    assert distance < math.sqrt(math.log(2e6) / (2 * n)) + 1e-3


def test_categories_that_are_drawn_follow_the_kernel():
    density = ProductDensity([[0.0], [0.0], [1.0]], (4,), 1e-3)
    draw = random.Random(2)
    n = 20_000
    drawn = [density.draw(draw, draw.randrange(3), 0, 1.0) for _ in range(n)]

    expected = density.at([[0.0], [1.0], [2.0], [3.0]])
    for option in range(4):
        share = drawn.count(option) / n
        # 5 standard errors.
        assert abs(share - expected[option]) < 5 * math.sqrt(expected[option] * (1 - expected[option]) / n)


def test_the_bandwidth_of_categories_does_not_depend_on_their_order():
    one = ProductDensity([[0.0], [0.0], [1.0], [3.0]], (4,), 1e-3)
    other = ProductDensity([[2.0], [2.0], [0.0], [1.0]], (4,), 1e-3)

    assert one.bandwidths == pytest.approx(other.bandwidths)


def test_no_bandwidth_is_below_the_least():
    assert ProductDensity([[0.5, 1.0]] * 50, (0, 3), 0.2).bandwidths == [0.2, 0.2]


def test_everything_that_is_drawn_is_in_the_cube():
    density = ProductDensity([[0.0], [1e-9], [1.0], [math.nan]], (0,), 1e-3)
    draw = random.Random(0)

    drawn = [density.draw(draw, row % 4, 0, widening) for row in range(4000) for widening in (1.0, 3.0, 100.0)]

    assert min(drawn) >= 0
    assert max(drawn) <= 1

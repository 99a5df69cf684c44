import math
import random

import numpy as np
import pytest

from tunesmith.schedulers.quantile import RunningQuantile


@pytest.mark.parametrize("divisor", [1.01, 1.5, 2, 2.5, 3, 4, 10, 100])
@pytest.mark.parametrize("values", ["continuous", "tied"])
def test_it_is_numpys_percentile_after_every_number(divisor, values):
    draw = random.Random(f"{divisor} {values}")
    quantile, numbers = RunningQuantile(divisor), []

    for _ in range(300):
        number = draw.gauss(0, 1) if values == "continuous" else draw.randint(0, 3)
        quantile.add(number)
        numbers.append(number)

        assert quantile.value() == pytest.approx(np.percentile(numbers, 100 / divisor), rel=1e-12, abs=1e-12)
        assert len(quantile) == len(numbers)


def test_the_median_is_exactly_numpys():
    draw = random.Random(1)
    quantile, numbers = RunningQuantile(2), []
    for _ in range(500):
        numbers.append(draw.random())
        quantile.add(numbers[-1])
        assert quantile.value() == np.median(numbers)


def test_no_number_has_no_quantile():
    assert RunningQuantile(4).value() is None


@pytest.mark.parametrize(
    ("numbers", "median"),
    [
        ([math.inf], math.inf),
        ([math.inf, math.inf], math.inf),
        ([1.0, math.inf], math.inf),
        ([1.0, 2.0, math.inf], 2.0),
        ([-math.inf, 1.0], -math.inf),
        ([-math.inf, -math.inf, 3.0, 4.0], -math.inf),
        ([7.0, 7.0], 7.0),
    ],
)
def test_infinite_numbers_are_ranked_and_never_make_it_nan(numbers, median):
    quantile = RunningQuantile(2)
    for number in numbers:
        quantile.add(number)

    assert quantile.value() == median


def test_the_quantile_of_equal_numbers_is_that_number_exactly():
    quantile = RunningQuantile(3)
    for _ in range(100):
        quantile.add(0.1)
        assert quantile.value() == 0.1

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.searchers.features import Features
from tunesmith.searchers.gaussian_process import squared_distances
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space

SPACE = {
    "x": tune.uniform(0, 1),
    "kind": tune.choice(
        ["a", "b", {"depth": tune.randint(1, 5), "rate": tune.loguniform(1e-3, 1), "of": tune.choice([1, 2])}]
    ),
}


def features_of(space):
    return Features(Encoding(Space(space)))


def distances(features, first, second):
    return float(squared_distances(features.of(np.array([first])), features.of(np.array([second])))[0, 0])


NAN = float("nan")


def test_distances_are_those_of_numbers_and_any_two_choices_differ_equally():
    features = features_of(SPACE)

    assert distances(features, [0.2, 0, NAN, NAN, NAN], [0.5, 0, NAN, NAN, NAN]) == pytest.approx(0.09)
    assert distances(features, [0.2, 0, NAN, NAN, NAN], [0.2, 1, NAN, NAN, NAN]) == pytest.approx(1.0)


def test_being_there_is_a_difference_that_does_not_depend_on_the_value():
    features = features_of(SPACE)
    absent = [0.2, 0, NAN, NAN, NAN]

    apart = [distances(features, absent, [0.2, 2, 0.1, rate, 1]) for rate in (0.0, 0.3, 1.0)]

    assert np.ptp(apart) < 1e-12


def test_along_the_arc_distances_are_nearly_the_plain_ones():
    features = features_of(SPACE)

    for there in (0.0, 0.4, 1.0):
        apart = distances(features, [0.2, 2, 0.1, 0.3, 1], [0.2, 2, 0.1, there, 1]) ** 0.5
        assert apart == pytest.approx(abs(there - 0.3), rel=0.03)


def test_slopes_by_coordinates_are_what_finite_differences_say():
    features = features_of(SPACE)
    row, direction = np.array([0.2, 2.0, 0.125, 0.3, 1.0]), np.random.default_rng(0).random(features.groups.size)

    slopes = features.slopes(row, direction)

    for index in (0, 2, 3):
        moved = row.copy()
        moved[index] += 1e-6
        by_difference = (features.of(moved[None])[0] - features.of(row[None])[0]) @ direction / 1e-6
        assert slopes[index] == pytest.approx(by_difference, rel=1e-4)
    assert slopes[1] == slopes[4] == 0


def test_few_levels_and_choices_are_not_climbed():
    features = features_of({"few": tune.randint(0, 4), "many": tune.randint(0, 400), "one": tune.choice([1, 2])})

    assert features.is_climbed.tolist() == [False, True, False]

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.searchers.ascent import best_row, candidates
from tunesmith.searchers.features import Features
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space


class Hill:
    """Highest at a point of the cube; a wrong choice costs."""

    def __init__(self, top, choices=()):
        self.top, self.choices = np.array(top), list(choices)

    def at(self, rows):
        off = np.nan_to_num(rows - self.top)
        off[:, self.choices] = off[:, self.choices] != 0
        return -(off**2).sum(axis=1)

    def with_slope(self, row):
        return float(self.at(row[None])[0]), -2 * np.nan_to_num(row - self.top)


def everything(rows):
    return np.ones(len(rows), dtype=bool)


def features_of(space):
    return Features(Encoding(Space(space)))


def test_the_top_is_found_along_slopes():
    features = features_of({f"x{index}": tune.uniform(0, 1) for index in range(6)})
    top = [0.1, 0.9, 0.5, 0.33, 0.0, 1.0]

    found = best_row(Hill(top), features, np.empty((0, 6)), everything, np.random.default_rng(0))

    assert np.allclose(found, top, atol=1e-4)


def test_choices_and_levels_are_found_one_by_one():
    space = {f"c{index}": tune.choice(list("abcdefgh")) for index in range(8)} | {"n": tune.randint(0, 5)}
    features = features_of(space)
    top = [3, 1, 7, 0, 2, 5, 6, 4, 0.5]

    found = best_row(Hill(top, range(8)), features, np.empty((0, 9)), everything, np.random.default_rng(0))

    assert found.tolist() == pytest.approx(top)


def test_what_is_not_wanted_is_never_returned_even_where_it_is_the_top():
    features = features_of({"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)})

    def wanted(rows):
        return rows[:, 0] < 0.4

    found = best_row(Hill([0.9, 0.7]), features, np.empty((0, 2)), wanted, np.random.default_rng(0))

    assert 0.35 < found[0] < 0.4
    assert found[1] == pytest.approx(0.7, abs=0.1)


def test_where_nothing_is_wanted_there_is_no_row():
    features = features_of({"x": tune.uniform(0, 1)})

    found = best_row(Hill([0.5]), features, np.empty((0, 1)), lambda rows: rows[:, 0] > 2, np.random.default_rng(0))

    assert found is None


def test_candidates_are_real_configs_everywhere_and_near_the_anchors():
    features = features_of({"x": tune.uniform(0, 1), "k": tune.choice(["a", {"n": tune.randint(0, 4)}])})
    anchor = np.array([[0.77, 1.0, 0.375]])

    rows = candidates(features, anchor, np.random.default_rng(0))

    assert np.array_equal(features.encoding.settled(rows), rows, equal_nan=True)
    assert np.histogram(rows[:, 0], 10, (0, 1))[0].min() > 20
    assert (np.abs(rows[:, 0] - 0.77) < 0.01).sum() > 100

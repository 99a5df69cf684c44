import time

import numpy as np
import pytest

from tunesmith.searchers.trees import grown

NUMBERS = np.zeros(4, dtype=int)


def drawn(count, seed=0, width=4):
    return np.random.default_rng(seed).random((count, width))


def forest_of(rows, losses, options=NUMBERS, seed=0, **more):
    return grown(rows, losses, options, np.random.default_rng(seed), **more)


def fit_of(forest, rows, losses):
    """Return the share of the variance that is explained."""
    return 1 - ((forest.predict(rows)[0] - losses) ** 2).mean() / losses.var()


def test_it_learns_a_smooth_function_of_numbers():
    def of(rows):
        return (rows[:, 0] - 0.3) ** 2 + 0.5 * rows[:, 1]

    rows, others = drawn(200), drawn(500, seed=1)

    assert fit_of(forest_of(rows, of(rows)), others, of(others)) > 0.85


def test_it_learns_which_options_are_good():
    def of(rows):
        return np.isin(rows[:, 0], [1, 4, 6]) + 0.1 * rows[:, 1]

    rows, others = drawn(200), drawn(500, seed=1)
    rows[:, 0], others[:, 0] = np.floor(8 * rows[:, 0]), np.floor(8 * others[:, 0])

    assert fit_of(forest_of(rows, of(rows), np.array([8, 0, 0, 0])), others, of(others)) > 0.85


def test_it_learns_from_what_is_not_there():
    def of(rows):
        return np.where(np.isnan(rows[:, 2]), 0.7, rows[:, 2]) + (rows[:, 0] == 1)

    rows, others = drawn(200), drawn(500, seed=1)
    for each in (rows, others):
        each[:, 0] = np.floor(3 * each[:, 0])
        each[each[:, 0] != 2, 2] = np.nan

    assert fit_of(forest_of(rows, of(rows), np.array([3, 0, 0, 0])), others, of(others)) > 0.85


def test_with_single_rows_in_its_leaves_it_gives_back_what_it_has_seen():
    rows, losses = drawn(100), np.random.default_rng(2).random(100)

    mean, deviation = forest_of(rows, losses, candidates=10).predict(rows)

    assert np.abs(mean - losses).max() < 1e-9
    assert deviation.max() < 1e-7


def test_it_is_less_certain_where_it_has_seen_nothing():
    rows = drawn(100)
    rows[:, 0] = np.where(rows[:, 0] < 0.5, 0.2 * rows[:, 0], 1 - 0.2 * (1 - rows[:, 0]))
    between, forest = drawn(100, seed=1), forest_of(rows, rows[:, 0])
    between[:, 0] = 0.5

    assert forest.predict(between)[1].min() > 2 * forest.predict(rows)[1].max()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_rows_are_enough(count):
    rows = drawn(count)

    mean, deviation = forest_of(rows, np.arange(count, dtype=float)).predict(drawn(5, seed=1))

    assert np.isfinite(mean).all()
    assert np.isfinite(deviation).all()
    assert mean.min() >= 0


def test_equal_losses_and_equal_rows_are_leaves():
    assert len(forest_of(drawn(50), np.ones(50), trees=7).left) == 7
    mean, deviation = forest_of(np.full((50, 4), 0.5), np.arange(50.0)).predict(drawn(3))
    assert mean.tolist() == [24.5] * 3
    assert deviation[0] == pytest.approx(np.arange(50.0).std())


def test_a_tree_has_only_the_rows_that_are_its_own():
    rows, losses = drawn(20), np.arange(20.0)
    weights = np.zeros((2, 20))
    weights[0, :10], weights[1, 10:] = 1, 1

    forest = forest_of(rows, losses, trees=2, weights=weights)

    assert forest.mean[:2].tolist() == [4.5, 14.5]


def test_the_same_draws_grow_the_same_forest():
    rows = drawn(60)

    one, same, other = (forest_of(rows, rows.sum(axis=1), seed=seed).predict(drawn(9, seed=3))[0] for seed in (1, 1, 2))

    assert (one == same).all()
    assert (one != other).any()


def test_growing_at_200_rows_takes_milliseconds():
    rows, took = drawn(200, width=10), []
    for seed in range(5):
        began = time.process_time()
        forest_of(rows, rows.sum(axis=1), np.zeros(10, dtype=int), seed=seed).predict(rows)
        took.append(time.process_time() - began)

    # About 30; a machine that is busy or slow may take a few times as long.
    assert min(took) < 0.2

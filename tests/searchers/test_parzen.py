import numpy as np
import pytest
from scipy.special import ndtr

import tunesmith as tune
from tunesmith.searchers.parzen import Columns, Density
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space

FLAT = {"a": tune.uniform(0, 1), "b": tune.loguniform(1e-3, 1)}
MIXED = {"x": tune.uniform(0, 1), "k": tune.randint(0, 5), "c": tune.choice(["a", "b", "c"])}
NESTED = {
    "c": tune.choice(["none", {"depth": tune.uniform(0, 1)}, {"units": tune.randint(0, 4)}]),
    "x": tune.uniform(0, 1),
}
SPACES = {"flat": FLAT, "mixed": MIXED, "nested": NESTED}


def random_of(seed):
    return np.random.default_rng(seed)


def density_of(space, count, seed=0, bandwidth=0.2, prior=0.1):
    encoding = Encoding(Space(space))
    rows = encoding.uniform(count, random_of(seed))
    weights = random_of(seed + 1).uniform(0.5, 2, count)
    return encoding, Density(Columns(encoding), rows, weights, np.full(encoding.width, bandwidth), prior)


@pytest.mark.parametrize("space", SPACES)
def test_a_density_has_a_mean_of_1_over_what_random_search_draws(space):
    encoding, density = density_of(SPACES[space], 6)

    at = np.exp(density.log_density(encoding.uniform(40_000, random_of(5))))

    # 5 standard errors of the mean: fails by chance once in 1.7 million runs.
    assert abs(at.mean() - 1) < 5 * at.std() / 200


@pytest.mark.parametrize("space", SPACES)
def test_rows_are_drawn_as_the_density_says(space):
    encoding, density = density_of(SPACES[space], 6)
    drawn = encoding.settled(density.draw(20_000, random_of(7)))
    elsewhere = encoding.uniform(20_000, random_of(8))
    weights = np.exp(density.log_density(elsewhere))
    for index in range(encoding.width):
        ours = np.nan_to_num(drawn[:, index], nan=-1.0)
        theirs = np.nan_to_num(elsewhere[:, index], nan=-1.0) * weights
        # 6 standard errors of the difference of two means: fails by chance once in 500 million runs.
        error = 6 * np.hypot(ours.std(), theirs.std()) / np.sqrt(20_000)
        assert abs(ours.mean() - theirs.mean()) < error + 1e-9


def test_the_kernel_of_a_number_is_a_gaussian_that_is_cut_at_the_ends():
    encoding = Encoding(Space({"x": tune.uniform(0, 1)}))
    density = Density(Columns(encoding), np.array([[0.1]]), np.ones(1), np.array([0.3]), 0.2)

    (found,) = np.exp(density.log_density(np.array([[0.5]])))

    inside = ndtr(0.9 / 0.3) - ndtr(-0.1 / 0.3)
    gaussian = np.exp(-0.5 * (0.4 / 0.3) ** 2) / (np.sqrt(2 * np.pi) * 0.3 * inside)
    assert found == pytest.approx(0.2 + 0.8 * gaussian)


def test_the_kernel_of_a_level_is_the_gaussians_share_of_its_cell():
    encoding = Encoding(Space({"k": tune.randint(0, 2)}))
    density = Density(Columns(encoding), np.array([[0.25]]), np.ones(1), np.array([0.3]), 0.5)

    low, high = np.exp(density.log_kernels(np.array([[0.25], [0.75]])))[:, 0]

    below, above = ndtr(0.25 / 0.3) - ndtr(-0.25 / 0.3), ndtr(0.75 / 0.3) - ndtr(0.25 / 0.3)
    assert low == pytest.approx(2 * below / (below + above))
    assert high == pytest.approx(2 * above / (below + above))


def test_levels_of_a_logarithm_have_cells_of_their_own_width():
    encoding = Encoding(Space({"k": tune.lograndint(1, 9)}))
    (table,) = Columns(encoding).tables

    assert table.count == 8
    assert np.diff(table.edges).argmax() == 0
    assert list(table.codes(table.middles)) == list(range(8))


def test_a_row_says_nothing_about_what_it_does_not_have():
    encoding = Encoding(Space(NESTED))
    rows = encoding.settled(np.array([[0, np.nan, np.nan, 0.5]]))
    density = Density(Columns(encoding), rows, np.ones(1), np.full(4, 0.1), 0.1)

    deep = encoding.settled(np.array([[1, 0.1, np.nan, 0.5], [1, 0.9, np.nan, 0.5]]))

    one, other = density.log_density(deep)
    assert one == pytest.approx(other)


def test_with_no_rows_there_is_the_prior():
    encoding = Encoding(Space(MIXED))
    density = Density(Columns(encoding), np.empty((0, 3)), np.empty(0), np.full(3, 0.1), 0.5)

    assert density.log_density(encoding.uniform(5, random_of(1))) == pytest.approx(np.zeros(5))
    assert density.draw(5, random_of(2)).shape == (5, 3)


def test_more_rows_count_as_the_rows_that_are_there():
    encoding = Encoding(Space(FLAT))
    columns, rows = Columns(encoding), encoding.uniform(5, random_of(1))
    bandwidths = np.full(2, 0.2)
    whole = Density(columns, rows, np.ones(5), bandwidths, 1 / 6)
    part = Density(columns, rows[:3], np.ones(3), bandwidths, 1 / 4)
    places = encoding.uniform(10, random_of(2))

    assert part.log_density(places, rows[3:]) == pytest.approx(whole.log_density(places))


def test_bandwidths_shrink_with_the_spread_of_rows_and_never_below_the_least():
    columns = Columns(Encoding(Space(FLAT)))
    wide = columns.bandwidths(np.tile(np.linspace(0, 1, 20)[:, None], 2), np.ones(20), 0.01)
    narrow = columns.bandwidths(0.5 + 0.01 * np.tile(np.linspace(0, 1, 20)[:, None], 2), np.ones(20), 0.01)

    assert (narrow < wide / 2).all()
    assert (columns.bandwidths(np.full((10_000, 2), 0.5), np.ones(10_000), 0.01) == 0.01).all()


def test_a_value_that_few_rows_share_does_not_rule_out_the_others():
    columns = Columns(Encoding(Space(MIXED)))
    rows = np.array([[0.5, 0.5, 1.0]] * 3)

    assert 0.2 < columns.bandwidths(rows, np.ones(3), 0.01)[2] < 0.9

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.searchers.variation import crossed, filled, mutated, polynomially_mutated, reflected
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space

ENCODING = Encoding(
    Space(
        {
            "x": tune.uniform(0, 1),
            "k": tune.randint(0, 5),
            "c": tune.choice(["a", {"inner": tune.uniform(0, 1)}, "c"]),
        }
    )
)
NAMES = [parameter.name for parameter in ENCODING.parameters]


def draw(seed=0):
    return np.random.default_rng(seed)


def rows_of(count=1000, seed=0):
    return ENCODING.uniform(count, draw(seed))


def differences(one, other):
    return (np.nan_to_num(one, nan=-1) != np.nan_to_num(other, nan=-1)).sum(axis=1)


def test_a_mutant_always_differs():
    rows = rows_of()

    mutants = ENCODING.settled(mutated(ENCODING, rows, draw(1), changes=0.0, scale=1e-6))

    assert differences(rows, mutants).min() == 1


def test_steps_are_as_wide_as_they_are_wanted():
    rows = np.tile(np.array([0.5, 0.5, 0.0, np.nan]), (4000, 1))

    steps = mutated(ENCODING, rows, draw(1), changes=0.0, scale=0.1)[:, NAMES.index("x")] - 0.5

    # A third of the rows, so about 1,333 steps: 5 standard errors.
    assert abs(steps[steps != 0].std() - 0.1) < 5 * 0.1 / (2 * 1333) ** 0.5


def test_a_level_moves_to_another_level_and_an_option_to_another_option():
    rows = np.tile(np.array([0.5, 0.5, 1.0, 0.5]), (2000, 1))

    mutants = ENCODING.settled(mutated(ENCODING, rows, draw(1), changes=4.0, scale=1e-6))

    assert set(np.round(mutants[:, NAMES.index("k")], 2)) == {0.3, 0.7}
    assert set(mutants[:, NAMES.index("c")]) == {0.0, 2.0}


@pytest.mark.parametrize("number", [0.2, -0.2, 1.8, 2.2, -1.8])
def test_steps_beyond_a_border_are_reflected(number):
    assert reflected(np.array([number]))[0] == pytest.approx(0.2)


def test_what_is_not_there_is_drawn():
    rows = filled(ENCODING, np.full((3000, 4), np.nan), draw())

    assert not np.isnan(rows).any()
    # 5 standard errors: fails by chance once in 1.7 million runs.
    assert abs(rows[:, NAMES.index("x")].mean() - 0.5) < 5 * (1 / 12 / 3000) ** 0.5
    assert np.bincount(rows[:, NAMES.index("c")].astype(int)).min() > 1000 - 5 * (3000 * 2 / 9) ** 0.5


@pytest.mark.parametrize("place", [0.0, 0.1, 0.5, 1.0])
def test_polynomial_mutation_stays_inside_and_near(place):
    rows = np.tile(np.array([place, 0.5, 0.0, np.nan]), (2000, 1))

    numbers = polynomially_mutated(ENCODING, rows, draw(), chance=1.0, eta=20)[:, 0]

    assert 0 <= numbers.min() <= numbers.max() <= 1
    assert 0.005 < np.abs(numbers - place).mean() < 0.1


def test_without_a_chance_nothing_mutates():
    rows = rows_of()

    assert (
        differences(rows, ENCODING.settled(polynomially_mutated(ENCODING, rows, draw(), chance=0, eta=20))).max() == 0
    )


def test_children_lie_around_their_parents_and_have_their_options():
    mothers = np.tile(np.array([0.2, 0.3, 0.0, np.nan]), (4000, 1))
    fathers = np.tile(np.array([0.6, 0.3, 1.0, 0.9]), (4000, 1))

    children = crossed(ENCODING, mothers, fathers, draw(), eta=15)

    numbers = children[:, NAMES.index("x")]
    assert abs(np.median(np.minimum(abs(numbers - 0.2), abs(numbers - 0.6)))) < 0.05
    assert set(children[:, NAMES.index("c")]) == {0.0, 1.0}
    # What only the father has comes from him.
    assert np.allclose(children[:, 3], 0.9)

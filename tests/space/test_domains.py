import math
import random

import numpy as np
import pytest

from tunesmith.space.domains import (
    boolean,
    choice,
    grid_search,
    lograndint,
    loguniform,
    ordinal,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)  # fmt: skip

EVERY = [
    uniform(-2, 3), quniform(0, 1, 0.1), loguniform(1e-4, 1), qloguniform(0.1, 10, 0.1), randint(-3, 4),
    qrandint(3, 12, 3), qrandint(1, 4), lograndint(1, 100), qlograndint(8, 256, 8), randn(5, 2), qrandn(0, 1, 0.25),
    uniform(-2, 3, prior=1), loguniform(1e-4, 1, prior=1e-4), quniform(0, 1, 0.1, prior=0.3), randint(-3, 4, prior=3),
    lograndint(1, 100, prior=7), qlograndint(8, 256, 8, prior=64),
    choice(["a", 1, None]), choice(["a", 1, None], prior="a"), ordinal([3, 1, 2], prior=2), boolean(prior=True),
    grid_search([1, 2]),
]  # fmt: skip
LOWEST, HIGHEST = 2.0**-53, 1 - 2.0**-53


@pytest.mark.parametrize("domain", EVERY, ids=repr)
def test_every_sample_is_contained(domain):
    rng = random.Random(1)
    assert all(domain.contains(domain.sample(rng)) for _ in range(500))


@pytest.mark.parametrize("domain", EVERY, ids=repr)
def test_the_repr_is_how_the_domain_is_written(domain):
    assert eval(repr(domain)) == domain  # noqa: S307  # our own text


@pytest.mark.parametrize("domain", [domain for domain in EVERY if hasattr(domain, "step")], ids=repr)
def test_at_grows_with_the_quantile(domain):
    values = [domain.at((i + 0.5) / 1000) for i in range(1000)]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("domain", "lowest", "highest"),
    [
        (uniform(0, 1), 0.0, 1.0),
        (uniform(1, 1 + 2e-16), 1.0, 1.0),
        (quniform(0, 1, 0.1), 0.0, 1.0),
        (loguniform(1e-4, 1e-1), 1e-4, 1e-1),
        (qloguniform(0.1, 0.5, 0.1), 0.1, 0.5),
        (randint(3, 6), 3, 5),
        (qrandint(3, 6), 3, 6),
        (qrandint(0, 6, 2), 0, 6),
        (lograndint(1, 6), 1, 5),
        (qlograndint(2, 6, 2), 2, 6),
        (randint(-(2**63), 2**63), -(2**63), 2**63 - 1),
    ],
    ids=repr,
)
def test_the_ends_are_where_the_documentation_says(domain, lowest, highest):
    low, high = domain.at(LOWEST), domain.at(HIGHEST)
    assert math.isclose(low, lowest, rel_tol=1e-12, abs_tol=1e-12)
    assert math.isclose(high, highest, rel_tol=1e-12)
    if domain.step is None and isinstance(high, float):
        assert domain.low <= low <= high < domain.high


def test_multiples_of_a_decimal_step_are_exact_decimals():
    values = {quniform(0, 1, 0.1).at((i + 0.5) / 1000) for i in range(1000)}
    assert values == {0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0}


def test_integers_are_equally_likely():
    values = [qrandint(2, 10, 2).at((i + 0.5) / 1000) for i in range(1000)]
    assert {value: values.count(value) for value in values} == {2: 200, 4: 200, 6: 200, 8: 200, 10: 200}


def test_lograndint_gives_each_integer_its_share_of_the_logarithm():
    values = [lograndint(1, 8).at((i + 0.5) / 10_000) for i in range(10_000)]
    for value in range(1, 8):
        assert values.count(value) == pytest.approx(10_000 * math.log2((value + 1) / value) / 3, abs=1.5)


def test_loguniform_is_uniform_in_the_logarithm():
    rng = random.Random(0)
    u = np.log10([loguniform(1e-4, 1).sample(rng) for _ in range(10_000)]) / -4
    # 5 standard errors of the mean: fails for one seed in 1.7 million.
    assert abs(u.mean() - 0.5) < 0.0145


def test_randn_has_its_mean_and_its_deviation():
    rng = random.Random(0)
    draws = np.array([randn(3, 2).sample(rng) for _ in range(10_000)])
    # 5 standard errors each: fails for one seed in 850,000.
    assert abs(draws.mean() - 3) < 5 * 2 / 100
    assert abs(draws.std() - 2) < 5 * 2 / math.sqrt(20_000)


def test_a_normal_domain_takes_the_quantile_zero_that_a_generator_may_give():
    assert math.isfinite(randn().at(0.0))


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (uniform(0, 1), 1.1), (uniform(0, 1), True), (uniform(0, 1), "0.5"), (uniform(0, 1), math.nan),
        (quniform(0, 1, 0.1), 0.25), (randint(1, 5), 5), (randint(1, 5), 2.0), (randint(0, 5), False),
        (qrandint(2, 6, 2), 3), (randn(), math.inf), (qrandn(0, 1, 0.5), 0.3), (choice([0, 1]), False),
        (choice([1, "a"]), "b"), (choice([1]), np.array([1, 2])),
    ],
)  # fmt: skip
def test_what_lies_outside_is_not_contained(domain, value):
    assert not domain.contains(value)


def test_numpy_numbers_are_contained_and_bound_as_python_numbers():
    domain = randint(np.int32(1), np.int64(5))
    assert domain.contains(np.int64(4))
    assert type(domain.at(0.5)) is int
    assert type(uniform(np.float32(0), np.float64(1)).at(0.5)) is float


def test_whole_floats_may_bound_integers():
    assert randint(1e3, 1e4) == randint(1000, 10_000)


def test_old_scripts_may_give_a_base():
    assert loguniform(1e-4, 1, 10) == loguniform(1e-4, 1)
    assert lograndint(1, 10, base=2) == lograndint(1, 10)


def test_a_lambda_is_shown_by_where_it_stands():
    assert repr(sample_from(lambda spec: 1)).startswith("sample_from(lambda at test_domains.py:")
    assert repr(sample_from(math.sqrt)) == "sample_from(sqrt)"
    assert sample_from(math.sqrt).contains("anything")


def test_long_choices_are_cut_in_the_middle():
    assert repr(choice(range(1000))) == "choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, ... 999])"


def test_a_boolean_is_a_choice_of_false_and_true():
    assert boolean() == choice([False, True])


def test_an_ordinal_gives_each_value_its_share_and_more_to_those_around_its_prior():
    even = [ordinal(["s", "m", "l", "xl"]).at((i + 0.5) / 1000) for i in range(1000)]
    assert {value: even.count(value) for value in even} == {"s": 250, "m": 250, "l": 250, "xl": 250}
    assert even == sorted(even, key=["s", "m", "l", "xl"].index)

    bent = [ordinal(list(range(8)), prior=2).at((i + 0.5) / 1000) for i in range(1000)]
    assert bent.count(2) > bent.count(1) > bent.count(0) > bent.count(7) > 50

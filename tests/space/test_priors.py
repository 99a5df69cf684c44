"""Where a user believes the best value to be."""

import math
import random
import re

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import SpaceError
from tunesmith.space.domains import scaled
from tunesmith.space.draws import first_points
from tunesmith.space.encoding import Encoding
from tunesmith.space.priors import mixture
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants

CENTERS = [0.0, 0.1, 0.25, 0.5, 0.6, 0.9, 1.0]


@pytest.mark.parametrize("center", CENTERS)
def test_the_distribution_and_its_inverse_undo_each_other(center):
    bend, fractions = mixture(center), np.linspace(0, 1, 2001)

    np.testing.assert_allclose(bend.all_at(bend.all_below(fractions)), fractions, atol=1e-12)
    np.testing.assert_allclose([bend.at(bend.below(fraction)) for fraction in fractions], fractions, atol=1e-12)
    np.testing.assert_allclose(bend.all_below(fractions), [bend.below(fraction) for fraction in fractions], atol=1e-14)
    np.testing.assert_allclose(bend.all_at(fractions), [bend.at(fraction) for fraction in fractions], atol=1e-14)


@pytest.mark.parametrize("center", CENTERS)
def test_half_of_it_is_uniform_and_half_a_triangle_around_the_prior(center):
    fractions = (np.arange(20_000) + 0.5) / 20_000
    triangle = np.maximum(0, 1 - np.abs(fractions - center) / 0.25)
    density = 0.5 + 0.5 * triangle / triangle.mean()

    below = mixture(center).all_below(fractions)

    np.testing.assert_allclose(below, (np.cumsum(density) - density / 2) / 20_000, atol=1e-4)


@pytest.mark.parametrize(
    "domain",
    [
        tune.uniform(0, 10, prior=7),
        tune.loguniform(1e-5, 1e-1, prior=3e-4),
        tune.quniform(0, 1, 0.1, prior=0.3),
        tune.randint(0, 100, prior=20),
        tune.lograndint(1, 1000, prior=32),
        tune.qlograndint(8, 512, 8, prior=64),
    ],
    ids=repr,
)
def test_draws_are_dense_around_it_in_the_domains_own_scale(domain):
    rng, n, center = random.Random(0), 4000, scaled(domain, domain.prior)
    near = sum(abs(scaled(domain, domain.sample(rng)) - center) < 0.125 for _ in range(n)) / n

    # 1/8 to each side has 1/4 of the uniform half and 3/4 of the triangle, 1/2 in all, if the prior is not at an end; a
    # level more or less makes up to 0.1. The standard error is 0.008.
    assert abs(near - 0.5) < 0.1 + 5 * 0.008
    assert abs(near - 0.25) > 0.1


def test_a_prior_of_a_choice_gets_half_of_the_draws_and_its_even_share():
    domain, rng, n = tune.choice(["a", "b", "c", "d"], prior="b"), random.Random(1), 8000

    drawn = [domain.sample(rng) for _ in range(n)]

    assert domain.weights == (0.125, 0.625, 0.125, 0.125)
    for value, weight in zip("abcd", domain.weights, strict=True):
        # 5 standard deviations of a binomial count, for 4 of them.
        assert abs(drawn.count(value) - n * weight) < 5 * math.sqrt(n * weight * (1 - weight))
    assert tune.choice(["a"]).weights is None


def test_rows_have_the_same_weights_as_draws():
    encoding = Encoding(Space({"c": tune.choice(["a", "b", "c", "d"], prior="b")}))
    n = 8000
    counts = np.bincount(encoding.uniform(n, np.random.default_rng(0))[:, 0].astype(int)) / n

    assert encoding.parameters[0].weights == (0.125, 0.625, 0.125, 0.125)
    # 5 standard errors, at most 0.0056 each.
    assert np.abs(counts - encoding.parameters[0].weights).max() < 5 * 0.0056


@pytest.mark.parametrize(
    ("domain", "expected"),
    [
        (tune.choice([None, 1], prior=None), None),
        (tune.boolean(prior=True), True),
        (tune.ordinal(["s", "m", "l"], prior="m"), "m"),
        (tune.choice([{"kind": "a", "x": 1}, {"kind": "b", "x": 2}], prior={"kind": "b"}), {"kind": "b", "x": 2}),
        (tune.choice([dict, list], prior=list), {"$object": "x[1]"}),
        (tune.uniform(0, 10, prior=7), 7.0),
        (tune.quniform(0, 1, 0.1, prior=0.3), 0.3),
        (tune.randint(0, 10, prior=7), 7),
        (tune.loguniform(1e-5, 1e-1, prior=3e-4), 3e-4),
    ],
    ids=repr,
)
def test_the_first_config_has_it(domain, expected):
    variants = Variants(Space({"x": domain, "free": tune.uniform(0, 1)}), num_samples=9)

    assert variants.config(0)["x"] == expected
    assert type(variants.config(0)["x"]) is type(expected)
    assert len({repr(variants.config(number)["x"]) for number in range(9)}) > 1


def test_it_comes_after_the_points_and_goes_through_the_grid():
    space = Space({"x": tune.uniform(0, 1, prior=0.25), "g": tune.grid_search([1, 2])})
    variants = Variants(space, num_samples=3, points_to_evaluate=[{"x": 0.5, "g": 1}])

    found = [variants.config(number) for number in range(variants.total)]

    assert found[:3] == [{"x": 0.5, "g": 1}, {"x": 0.25, "g": 1}, {"x": 0.25, "g": 2}]
    assert found[3]["x"] != 0.25


def test_one_that_the_constraints_forbid_is_not_tried():
    space = Space({"x": tune.uniform(0, 1, prior=0.25)}, require=[lambda c: c.x > 0.5])

    assert Variants(space).config(0)["x"] > 0.5


def test_priors_inside_an_option_count_where_it_is_taken():
    model = tune.choice([{"k": tune.uniform(0, 1, prior=0.5)}, {"k": tune.uniform(0, 1, prior=0.1)}])

    assert Variants(Space({"model": model})).config(0)["model"]["k"] in (0.5, 0.1)


def test_without_priors_nothing_is_first():
    assert Encoding(Space({"x": tune.uniform(0, 1)})).prior_point() is None
    point = Encoding(Space({"x": tune.uniform(0, 1, prior=0.5), "c": tune.choice([1, 2], prior=2)})).prior_point()
    assert (point.values, point.options) == ({"x": 0.5}, {"c": 1})


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        (tune.uniform(0, 1, prior=2), "uniform(0.0, 1.0, prior=2.0): its prior 2.0 does not lie in it."),
        (tune.quniform(0, 1, 0.25, prior=0.3), "its prior 0.3 does not lie in it. Give a value that it may draw."),
        (tune.randint(0, 5, prior=5), "randint(0, 5, prior=5): its prior 5 does not lie in it."),
        (tune.randint(0, 5, prior="3"), "prior='3' is text, not a number."),
        (tune.choice([1, 2], prior=3), "choice([1, 2], prior=3): its prior is none of its values. Give one of them."),
        (tune.ordinal([1, 2], prior=3), "ordinal([1, 2], prior=3): its prior is none of its values."),
        (tune.ordinal("abc", prior="a"), "ordinal('abc'"),
    ],
)
def test_a_prior_outside_is_refused(domain, message):
    with pytest.raises(SpaceError, match=re.escape(message)):
        Space({"x": domain})


def test_what_else_is_drawn_is_drawn_until_the_constraints_hold():
    spec = {"x": tune.uniform(0, 1, prior=0.25), "y": tune.uniform(0, 1), "z": tune.uniform(0, 1)}

    for seed in range(20):
        config = Variants(Space(spec, require=[lambda c: c.x < c.y < c.z]), seed=seed).config(0)
        assert config["x"] == 0.25


def test_one_that_cannot_be_reached_is_not_among_the_first_points():
    spec = {"x": tune.uniform(0, 1, prior=0.25), "y": tune.uniform(0.5, 1)}

    assert first_points(Space(spec), [{}], 9)[1].values == {"x": 0.25}
    assert len(first_points(Space(spec), [{}], 1)) == 1
    assert len(first_points(Space(spec, require=[lambda c: c.x > c.y]), [{}], 9)) == 1
    assert Variants(Space(spec, require=[lambda c: c.x > c.y])).config(0)["x"] > 0.5

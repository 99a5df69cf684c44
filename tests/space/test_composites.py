"""Orders, subsets and proportions."""

import itertools
import math
import random
import re
from collections import Counter

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import SpaceError
from tunesmith.space.composites import Permutation, Simplex, Subset
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants

permutation, subset, simplex = tune.permutation, tune.subset, tune.simplex
EVERY = [
    permutation(["a", "b", "c", "d"]),
    permutation([1]),
    subset(["x", "y", "z"]),
    subset(["x", "y", "z", 4], min_size=1, max_size=2),
    subset(["x", "y"], 2),
    simplex(4),
    simplex(1),
    simplex(["u", "v", "w"]),
]


def drawn(domain, count, seed=0):
    rng = random.Random(seed)
    return [domain.sample(rng) for _ in range(count)]


@pytest.mark.parametrize("domain", EVERY, ids=repr)
def test_every_sample_is_contained_and_comes_back_from_its_coordinates(domain):
    for value in drawn(domain, 200):
        assert domain.contains(value)
        coordinates = domain.coordinates(domain.arrangement(value))
        assert len(coordinates) == len(domain.parts)
        again = domain.value(domain.arranged(coordinates))
        assert again == (pytest.approx(value, abs=1e-12) if isinstance(domain, Simplex) else value)


@pytest.mark.parametrize("domain", EVERY, ids=repr)
def test_the_repr_is_how_the_domain_is_written(domain):
    assert eval(repr(domain)) == domain  # noqa: S307  # our own text


@pytest.mark.parametrize("domain", EVERY, ids=repr)
def test_rows_settle_where_the_same_value_lies(domain):
    rng = np.random.default_rng(0)
    block = rng.random((200, len(domain.parts)))

    settled = domain.settled(block)

    np.testing.assert_array_equal(domain.settled(settled), settled)
    for one, other in zip(block.tolist(), settled.tolist(), strict=True):
        assert domain.arranged(other) == domain.arranged(one)
        np.testing.assert_allclose(domain.coordinates(domain.arranged(one)), other, atol=1e-9)


@pytest.mark.parametrize("domain", [domain for domain in EVERY if domain.count < math.inf], ids=repr)
def test_every_value_is_listed_once(domain):
    values = [domain.arranged(row) for row in domain.every().tolist()]

    assert len(values) == len(set(values)) == domain.count


def test_every_order_is_as_likely_as_the_others():
    n = 24_000
    counts = Counter(map(tuple, drawn(permutation(list("abcd")), n)))

    assert set(counts) == set(itertools.permutations("abcd"))
    # Chi-squared of 24 orders against its mean of 23: 74.7 is passed once in 4 million runs, and the seed is fixed.
    assert sum((count - n / 24) ** 2 / (n / 24) for count in counts.values()) < 74.7


def test_proportions_are_uniform_on_the_simplex():
    n = 20_000
    x = np.array(drawn(simplex(4), n))

    np.testing.assert_allclose(x.sum(axis=1), 1, atol=1e-12)
    # Each proportion is Beta(1, 3): P(x > t) = (1 - t)**3. The distance of the empirical distribution passes
    # 2.6 / sqrt(n) by chance once in 370,000 tests (Kolmogorov), of which there are 4; the seed is fixed.
    for column in np.sort(x, axis=0).T:
        expected = 1 - (1 - column) ** 3
        assert np.abs(expected - np.arange(1, n + 1) / n).max() < 2.6 / math.sqrt(n)
    # All 6 pairs have the covariance -1/80, with a standard error of 0.035 / sqrt(n): 5 of these.
    covariances = np.cov(x.T)[np.triu_indices(4, 1)]
    assert np.abs(covariances + 1 / 80).max() < 5 * 0.035 / math.sqrt(n)


def test_a_subset_has_each_item_half_of_the_time_and_keeps_to_its_sizes():
    n = 8_000
    free = drawn(subset(["x", "y", "z"]), n)
    for item in "xyz":
        # 6 standard deviations of a binomial count.
        assert abs(sum(item in one for one in free) - n / 2) < 6 * math.sqrt(n) / 2

    held = Counter(map(tuple, drawn(subset(list("abcde"), min_size=2, max_size=3), n)))
    assert {len(one) for one in held} == {2, 3}
    assert len(held) == 10 + 10
    pairs = [count for one, count in held.items() if len(one) == 2]
    # Sizes 0, 1 and 2 come as 2: half of all. Within a size all are alike: 10 counts of 400, 6 standard deviations.
    assert max(abs(count - n / 20) for count in pairs) < 6 * math.sqrt(n / 20)


@pytest.mark.parametrize(
    ("domain", "value"),
    [
        (permutation(["a", "b"]), ["a"]),
        (permutation(["a", "b"]), ["a", "a"]),
        (permutation(["a", "b"]), ["a", "c"]),
        (permutation(["a", "b"]), "ab"),
        (subset(["x", "y"], 1), []),
        (subset(["x", "y"], 0, 1), ["x", "y"]),
        (subset(["x", "y"]), ["x", "x"]),
        (simplex(2), [0.5, 0.6]),
        (simplex(2), [1.5, -0.5]),
        (simplex(2), [1.0]),
        (simplex(2), {"a": 1}),
        (simplex(2), [math.nan, 1]),
        (simplex(["u", "v"]), {"u": 1}),
        (simplex(["u", "v"]), [0.5, 0.5]),
    ],
)
def test_what_lies_outside_is_not_contained(domain, value):
    assert not domain.contains(value)


class Adam:
    pass


SPEC = {
    "order": permutation(["a", Adam, 3]),
    "features": subset(["x", (1, 2), "z"], min_size=1),
    "mix": simplex(["u", "v"]),
    "parts": simplex(3),
    "first": lambda spec: spec.config.order[0] if isinstance(spec.config.order[0], str) else "other",
    "share": lambda spec: spec.config.mix.u + spec.config.parts[0],
    "count": lambda spec: len(spec.config.features),
}


def test_configs_hold_lists_and_dicts_and_lambdas_read_them():
    space = Space(SPEC)
    variants = Variants(space, num_samples=30)
    for number in range(30):
        config = variants.config(number)
        real = space.resolve(config)
        assert set(map(str, real["order"])) == {"a", str(Adam), "3"}
        assert all(item in ("x", (1, 2), "z") for item in real["features"])
        assert config["count"] == len(config["features"]) > 0
        assert list(config["mix"]) == ["u", "v"]
        assert config["share"] == config["mix"]["u"] + config["parts"][0]
        assert config["first"] == (config["order"][0] if isinstance(config["order"][0], str) else "other")


def test_points_give_them_as_configs_or_as_they_are():
    point = {"order": [3, Adam, "a"], "features": [(1, 2)], "mix": {"u": 0.25, "v": 0.75}, "parts": [0.2, 0.3, 0.5]}
    [config] = [Variants(Space(SPEC), points_to_evaluate=[point]).config(0)]

    assert Space(SPEC).resolve(config)["order"] == [3, Adam, "a"]
    assert Space(SPEC).resolve(config)["features"] == [(1, 2)]
    assert (config["mix"], config["parts"]) == ({"u": 0.25, "v": 0.75}, [0.2, 0.3, 0.5])
    assert Variants(Space(SPEC), points_to_evaluate=[config]).config(0) == config
    with pytest.raises(SpaceError, match=r"points_to_evaluate\[0\]\['mix'\]: \{'u': 1, 'v': 1\} is outside simplex"):
        Variants(Space(SPEC), points_to_evaluate=[{"mix": {"u": 1, "v": 1}}])


def test_a_subset_is_given_in_any_order_and_stands_in_its_own():
    variants = Variants(Space({"s": subset(["x", "y", "z"])}), points_to_evaluate=[{"s": ["z", "x"]}])

    assert variants.config(0) == {"s": ["x", "z"]}


def test_they_are_several_numbers_to_searchers():
    encoding = Encoding(
        Space({"order": permutation([1, 2, 3]), "s": subset([1, 2]), "mix": simplex(3), "x": tune.boolean()})
    )

    names = [parameter.name for parameter in encoding.parameters]
    assert names == ["order/0", "order/1", "order/2", "s/0", "s/1", "mix/0", "mix/1", "x"]
    assert [parameter.is_part for parameter in encoding.parameters] == [True] * 7 + [False]
    assert [parameter.levels for parameter in encoding.parameters] == [0, 0, 0, 2, 2, 0, 0, 0]


CASES = {
    "a string": (permutation("abc"), "permutation('abc'): give a list of values, not a str."),
    "nothing": (subset([]), "subset([]) is empty. Give at least one value."),
    "twice": (permutation([1, 2, 1.0]), "permutation([1, 2, 1.0]): it has 1.0 twice. Give each item once."),
    "too many": (subset([1, 2], 3), "min_size=3: give a whole number from 0 to 2, its number of items."),
    "too few": (subset([1, 2], 0, -1), "max_size=-1: give a whole number from 0 to 2"),
    "reversed": (subset([1, 2], 2, 1), "is empty: its min_size is above its max_size. Swap them?"),
    "no proportions": (simplex(0), "simplex(0): 0 proportions cannot sum to 1."),
    "the same name": (simplex(["a", "a"]), "give how many proportions there are, or names for them, each another one."),
    "no names": (simplex([1, 2]), "give how many proportions there are, or names for them"),
    "searched items": (
        permutation([1, tune.uniform(0, 1)]),
        "space['x'].permutation[1]: uniform(0.0, 1.0) is searched itself. The items of a permutation are plain values",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_one_is_refused(case):
    domain, message = CASES[case]
    with pytest.raises(SpaceError, match=re.escape(message)):
        Space({"x": domain})


def test_the_classes_are_those_of_the_functions():
    assert [type(domain) for domain in (permutation([1]), subset([1]), simplex(1))] == [Permutation, Subset, Simplex]

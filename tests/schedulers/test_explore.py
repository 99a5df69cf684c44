import random

import pytest

from tunesmith.errors import ConfigError
from tunesmith.schedulers.explore import Key, Mutations, changes, custom_explored, multiplied
from tunesmith.space.domains import (
    Float,
    choice,
    grid_search,
    lograndint,
    loguniform,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)

DOMAINS = [
    uniform(0, 1),
    uniform(-2, 3),
    loguniform(1e-4, 1e-1),
    quniform(0, 1, 0.1),
    qloguniform(0.5, 8, 0.5),
    randint(1, 9),
    randint(0, 2),
    lograndint(1, 100),
    qrandint(8, 128, 8),
    qlograndint(8, 512, 8),
    qrandn(0, 10, 0.5),
]


def mutations(spec, *, resample=0.25, factors=(1.2, 0.8)):
    return Mutations("PBT", "hyperparam_mutations", spec, resample_probability=resample, factors=factors)


def keys(count):
    return [Key(5, trial, number) for trial in range(10) for number in range(count // 10)]


@pytest.mark.parametrize("domain", DOMAINS, ids=str)
def test_a_value_stays_in_its_domain_however_often_it_is_mutated(domain):
    explored = mutations({"x": domain}, factors=(1.2, 0.8, 3.0, 0.1))
    config = {"x": domain.sample(random.Random(0))}

    values = set()
    for key in keys(400):
        config = explored.explored(config, key, {})
        assert domain.contains(config["x"]), config
        values.add(config["x"])
    assert len(values) > 1


@pytest.mark.parametrize("value", range(1, 9))
def test_an_integer_is_never_stuck(value):
    moved = {multiplied(randint(1, 9), value, factor) for factor in (1.2, 0.8)}

    assert moved == {max(value - max(1, round(0.2 * value)), 1), min(value + max(1, round(0.2 * value)), 8)}


def test_a_value_that_already_lies_outside_comes_back_to_the_bounds():
    assert multiplied(uniform(0, 1), 7.0, 0.8) == 1.0
    assert multiplied(uniform(2, 3), 0.1, 1.2) == 2.0


def test_without_resampling_a_number_is_multiplied_by_one_of_the_factors():
    explored = mutations({"x": loguniform(1e-6, 1)}, resample=0)

    assert {explored.explored({"x": 0.01}, key, {})["x"] for key in keys(50)} == {0.01 * 1.2, 0.01 * 0.8}


@pytest.mark.parametrize(
    "options", [["a", "b", "c", "d"], choice(["a", "b", "c", "d"]), grid_search(["a", "b", "c", "d"])]
)
def test_of_a_list_a_neighbour_is_taken_and_at_the_end_it_may_stay(options):
    explored = mutations({"x": options}, resample=0)

    assert {explored.explored({"x": "b"}, key, {})["x"] for key in keys(50)} == {"a", "c"}
    assert {explored.explored({"x": "d"}, key, {})["x"] for key in keys(50)} == {"c", "d"}
    assert {explored.explored({"x": "?"}, key, {})["x"] for key in keys(100)} == set("abcd")


def test_true_and_one_are_different_choices():
    explored = mutations({"x": [True, 1, "z"]}, resample=0)

    assert {explored.explored({"x": 1}, key, {})["x"] for key in keys(50)} == {True, "z"}


def test_with_resampling_always_every_value_comes_up():
    explored = mutations({"x": list(range(5)), "y": randint(0, 3)}, resample=1)
    found = [explored.explored({"x": 0, "y": 0}, key, {}) for key in keys(200)]

    assert {config["x"] for config in found} == set(range(5))
    assert {config["y"] for config in found} == {0, 1, 2}


def test_a_quarter_is_drawn_anew():
    explored = mutations({"x": uniform(0, 1)})
    values = [explored.explored({"x": 0.5}, key, {})["x"] for key in keys(4000)]

    share = sum(value not in (0.5 * 1.2, 0.5 * 0.8) for value in values) / 4000
    assert abs(share - 0.25) < 6 * (0.25 * 0.75 / 4000) ** 0.5  # six standard errors; the seed is fixed


def test_nested_configs_keep_what_is_not_mutated_and_the_source_is_left_alone():
    explored = mutations({"net": {"width": randint(1, 100)}}, resample=0)
    source = {"net": {"width": 10, "kind": "cnn", "layers": [1, 2]}, "seed": 3}

    config = explored.explored(source, Key(1, 2, 3), {})

    assert config["net"]["width"] in (8, 12)
    config["net"]["layers"].append(3)
    assert source == {"net": {"width": 10, "kind": "cnn", "layers": [1, 2]}, "seed": 3}


def test_draws_depend_on_the_key_and_not_on_the_other_parameters():
    alone, together = mutations({"x": uniform(0, 1)}), mutations({"y": uniform(0, 1), "x": uniform(0, 1)})

    for key in keys(20):
        config = {"x": 0.5, "y": 0.5}
        assert alone.explored(config, key, {})["x"] == together.explored(config, key, {})["x"]


def test_a_function_is_seeded_and_leaves_the_global_generators_alone():
    explored = mutations(
        {"x": lambda: random.uniform(5, 6), "y": sample_from(lambda config: config["x"] * 2)}, resample=1
    )
    random.seed(0)
    before = random.getstate()

    first = explored.explored({"x": 1.0, "y": 1.0}, Key(1, 2, 3), {})

    assert random.getstate() == before
    assert first == explored.explored({"x": 1.0, "y": 1.0}, Key(1, 2, 3), {})
    assert 5 <= first["x"] <= 6
    assert first["y"] == first["x"] * 2


def test_what_a_function_draws_that_is_no_number_is_only_drawn_anew():
    explored = mutations({"x": lambda: random.choice(["a", "b"]), "y": lambda: True}, resample=0)

    assert {explored.explored({"x": "a", "y": False}, key, {})["x"] for key in keys(50)} == {"a", "b"}
    assert explored.explored({"x": "a", "y": False}, Key(1, 1, 1), {})["y"] is True


@pytest.mark.parametrize("function", [lambda: 1 / 0, lambda a, b: 1, lambda: object()])
def test_a_function_that_fails_or_returns_no_value_is_named(function):
    with pytest.raises(ConfigError, match="the function that draws 'net/x'"):
        mutations({"net": {"x": function}}, resample=1).explored({"net": {"x": 1}}, Key(1, 1, 1), {})


def test_a_normal_number_has_no_bounds():
    assert multiplied(randn(0, 1), -50.0, 1.2) == -60.0
    assert multiplied(qrandn(0, 1, 0.5), 1.0, 1.2) == 1.5


def test_what_is_missing_is_drawn_and_what_is_there_stays():
    fills = mutations({"x": uniform(0, 1), "net": {"depth": [1, 2]}})

    assert fills.lacks({"x": 0.3})
    filled = fills.filled({"x": 0.3}, Key(1, 1, 0), {})

    assert not fills.lacks(filled)
    assert filled["x"] == 0.3
    assert filled["net"]["depth"] in (1, 2)


def test_changes_are_told_in_words():
    before = {"lr": 0.1, "net": {"depth": 3, "kind": {"$object": "net/kind[0]"}}, "same": 1}
    after = {"lr": 0.12, "net": {"depth": 3, "kind": {"$object": "net/kind[1]"}}, "same": 1, "new": "x"}

    assert changes(before, after, {"net/kind[0]": "Adam", "net/kind[1]": "Sgd"}) == [
        "lr 0.1 -> 0.12", "net/kind Adam -> Sgd", "new none -> 'x'",
    ]  # fmt: skip


def test_a_users_explore_function_gets_a_copy_and_its_config_is_used():
    source = {"lr": 0.1}

    def halved(config):
        config["lr"] /= 2
        return config

    assert custom_explored(halved, source, Key(1, 1, 1), {}, "PBT") == {"lr": 0.05}
    assert source == {"lr": 0.1}


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda config: None, "returned None for .* It must return the config"),
        (lambda config: 1 / 0, "custom_explore_fn failed for .*ZeroDivisionError"),
        (lambda config: {"lr": object()}, "'lr' is <object>, which is not a JSON value"),
        (lambda config: {"lr": {"$object": "unknown"}}, "'lr' is .*which is not a JSON value"),
    ],
)
def test_an_explore_function_that_returns_no_config_is_refused(function, message):
    with pytest.raises(ConfigError, match=f"PBT: custom_explore_fn.*{message}|{message}"):
        custom_explored(function, {"lr": 0.1}, Key(1, 1, 1), {}, "PBT")


def test_numpy_numbers_from_an_explore_function_become_plain_ones():
    numpy = pytest.importorskip("numpy")

    config = custom_explored(
        lambda config: {"lr": numpy.float64(0.5), "n": [numpy.int64(3)]}, {}, Key(1, 1, 1), {}, "PBT"
    )

    assert config == {"lr": 0.5, "n": [3]}
    assert type(config["lr"]) is float


def test_a_range_whose_product_is_no_number_stays():
    assert multiplied(Float(0.0, 1e308), 1e308, 1e10) == 1e308

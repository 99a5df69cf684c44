import math
import random
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tunesmith as tune
from tunesmith.core.seeds import generator
from tunesmith.errors import SpaceError
from tunesmith.space.encoding import Encoding, quantile
from tunesmith.space.quantiles import indices_at, level_quantiles, levels, settled_quantiles, values_at
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants

from .kinds import NUMBERS, SPACES, close

NESTED = {
    "lr": tune.loguniform(1e-5, 1e-1),
    "batch": tune.qrandint(16, 256, 16),
    "layers": [tune.randint(4, 9), tune.lograndint(1, 1000)],
    "noise": tune.randn(3, 2),
    "model": tune.choice(
        [
            "linear",
            {"kind": "tree", "depth": tune.randint(2, 10)},
            {"kind": "net", "opt": tune.choice(["sgd", {"name": "adam", "beta": tune.uniform(0.8, 1)}])},
        ]
    ),
    "fold": tune.grid_search([0, 1, 2]),
    "only": tune.choice(["this"]),
    "one": tune.randint(7, 8),
    "fixed": 5,
    "double": lambda spec: spec.config.batch * 2,
    "klass": dict,
}


def encoding(space):
    return Encoding(Space(space))


def test_its_parameters_are_all_that_differs_and_parents_come_first():
    found = encoding(NESTED)

    names = [parameter.name for parameter in found.parameters]
    assert names == [
        "lr", "batch", "layers/0", "layers/1", "noise",
        "model", "model[1]/depth", "model[2]/opt", "model[2]/opt[1]/beta", "fold",
    ]  # fmt: skip
    assert [parameter.options for parameter in found.parameters] == [0, 0, 0, 0, 0, 3, 0, 2, 0, 3]
    assert found.parameters[8].conditions == ((5, 2), (7, 1))


def test_a_config_comes_back_from_its_coordinates():
    space = Space(NESTED)
    found = Encoding(space)
    for number in range(200):
        config = found.completed(seed=3, number=number)

        again = found.config(found.coordinates(config), seed=3, number=number)

        assert again.keys() == config.keys()
        for name in ("batch", "layers", "fold", "only", "one", "fixed", "double", "klass"):
            assert again[name] == config[name]
        assert again["lr"] == pytest.approx(config["lr"], rel=1e-12)
        assert again["noise"] == pytest.approx(config["noise"], rel=1e-9, abs=1e-9)
        assert close(again["model"], config["model"])


def test_what_a_config_does_not_have_is_nan():
    found = encoding(NESTED)
    config = {**found.completed(seed=0, number=0), "model": "linear"}

    coordinates = dict(zip([parameter.name for parameter in found.parameters], found.coordinates(config), strict=True))

    assert coordinates["model"] == 0
    assert [name for name, value in coordinates.items() if math.isnan(value)] == [
        "model[1]/depth", "model[2]/opt", "model[2]/opt[1]/beta",
    ]  # fmt: skip


@pytest.mark.parametrize("domain", NUMBERS, ids=repr)
def test_a_quantile_leads_back_to_its_value(domain):
    draw = random.Random(1)
    for _ in range(300):
        value = domain.sample(draw)
        where = quantile(domain, value)

        assert 0 <= where <= 1
        assert domain.at(min(max(where, 1e-15), 1 - 1e-15)) == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_the_coordinates_of_random_configs_are_uniform():
    found = encoding({"lr": tune.loguniform(1e-5, 1e-1), "n": tune.randn(0, 1)})
    n = 4000
    rows = [found.coordinates(found.completed(seed=1, number=number)) for number in range(n)]

    # The mean of n uniform numbers; 5 standard errors: fails by chance once in 1.7 million runs, and the seed is fixed.
    for column in zip(*rows, strict=True):
        assert abs(sum(column) / n - 0.5) < 5 / math.sqrt(12 * n)


@pytest.mark.parametrize("end", [0.0, 1.0])
def test_the_ends_of_the_cube_are_configs(end):
    found = encoding({"a": tune.uniform(0, 1), "b": tune.randint(3, 6), "c": tune.loguniform(1, 8), "d": tune.randn()})

    config = found.config([end] * 4, seed=0, number=0)

    space = Space({"a": tune.uniform(0, 1), "b": tune.randint(3, 6), "c": tune.loguniform(1, 8), "d": tune.randn()})
    assert all(space.parameters[name].contains(value) for name, value in config.items())
    assert config["b"] == (5 if end else 3)


def test_what_is_drawn_is_what_random_search_draws_but_for_grids():
    space = Space({"a": tune.uniform(0, 1), "b": tune.choice([1, 2, {"c": tune.uniform(0, 1)}])})
    variants = Variants(space, num_samples=20, seed=9)

    assert [Encoding(space).completed(seed=9, number=n) for n in range(20)] == [variants.config(n) for n in range(20)]


def test_a_grid_is_taken_by_chance_each_value_as_often():
    found = encoding({"g": tune.grid_search(["a", "b", {"h": tune.grid_search([1, 2])}])})
    drawn = [found.completed(seed=0, number=number)["g"] for number in range(3000)]

    # 1000 expected each, with a standard deviation of 26: 6 of these; the seed is fixed.
    assert abs(drawn.count("a") - 1000) < 6 * 26
    assert abs(drawn.count({"h": 1}) - 500) < 6 * 21


def test_no_generator_is_shared_with_random_search():
    assert generator(0, "grid/g", 0).random() != generator(0, "variant/g", 0).random()


def test_a_config_of_another_space_is_refused():
    with pytest.raises(SpaceError, match="config\\['lr'\\]: 5 is outside"):
        encoding({"lr": tune.uniform(0, 1)}).coordinates({"lr": 5})


ROWS = {
    "lr": tune.loguniform(1e-5, 1e-1),
    "step": tune.quniform(0, 1, 0.1),
    "log_step": tune.qloguniform(0.1, 1, 0.1),
    "batch": tune.qrandint(16, 256, 16),
    "log_batch": tune.qlograndint(16, 256, 16),
    "layers": tune.randint(4, 9),
    "units": tune.lograndint(1, 1000),
    "noise": tune.randn(3, 2),
    "model": tune.choice(
        ["linear", {"depth": tune.randint(2, 10)}, {"opt": tune.choice(["sgd", {"b": tune.uniform(0, 1)}])}]
    ),
    "fold": tune.grid_search([0, 1, 2]),
}


def test_settled_rows_are_those_of_real_configs():
    found = encoding(ROWS)
    rows = found.uniform(300, np.random.default_rng(1))

    again = np.array([found.coordinates(found.config(row.tolist(), seed=0, number=0)) for row in rows])

    np.testing.assert_allclose(rows, again, atol=1e-9)
    np.testing.assert_array_equal(rows, found.settled(rows))


@pytest.mark.parametrize("name", [name for name in ROWS if name not in ("model", "fold")])
def test_a_uniform_number_stands_for_the_same_value_one_by_one_and_in_rows(name):
    found = encoding({name: ROWS[name]})
    uniforms = np.random.default_rng(2).random((500, 1))

    rows = found.from_unit(uniforms)

    for uniform, row in zip(uniforms[:, 0], rows, strict=True):
        value = found.config(row.tolist(), seed=0, number=0)[name]
        assert value == pytest.approx(ROWS[name].at(uniform), rel=1e-9)


def test_what_is_there_and_has_no_coordinate_becomes_the_middle():
    found = encoding({"x": tune.uniform(0, 1), "kind": tune.choice(["a", {"n": tune.randint(0, 4)}])})

    rows = found.settled(np.array([[math.nan, math.nan, 0.3], [2.0, 7.0, math.nan]]))

    np.testing.assert_array_equal(rows, [[0.5, 0.0, math.nan], [1.0, 1.0, 0.625]])


def test_every_config_of_a_finite_space_is_listed_once():
    found = encoding(
        {
            "n": tune.qrandint(0, 20, 5),
            "kind": tune.choice(["a", {"n": tune.lograndint(1, 4), "m": tune.choice([1, 2])}, "b"]),
            "only": tune.choice([1]),
        }
    )

    rows = found.every()

    assert len(rows) == found.size == 5 * (1 + 3 * 2 + 1)
    assert len({found.key(row) for row in rows}) == len(rows)
    np.testing.assert_array_equal(rows, found.settled(rows))


@pytest.mark.parametrize("open_ended", [tune.uniform(0, 1), tune.randn(), lambda spec: 1])
def test_a_continuum_and_a_lambda_are_not_finite(open_ended):
    assert encoding({"x": open_ended, "y": tune.randint(0, 3)}).size == math.inf


@pytest.mark.parametrize("domain", NUMBERS, ids=repr)
def test_a_domains_columns_say_the_same_as_its_numbers(domain):
    uniforms = np.random.default_rng(3).random(400)

    np.testing.assert_allclose(values_at(domain, uniforms), [domain.at(one) for one in uniforms], rtol=1e-9, atol=1e-9)
    settled = settled_quantiles(domain, uniforms)
    np.testing.assert_allclose(settled, [quantile(domain, domain.at(one)) for one in uniforms], atol=1e-9)
    np.testing.assert_allclose(settled_quantiles(domain, settled), settled, atol=1e-12)


@pytest.mark.parametrize("domain", [domain for domain in NUMBERS if levels(domain)], ids=repr)
def test_each_level_is_where_its_value_lies(domain):
    where = level_quantiles(domain)
    values = [domain.at(min(max(one, 1e-15), 1 - 1e-15)) for one in where]

    assert len(set(values)) == len(values) == levels(domain)
    assert values == sorted(values)
    np.testing.assert_allclose([quantile(domain, value) for value in values], where, atol=1e-12)
    np.testing.assert_array_equal(indices_at(domain, where), np.arange(len(where)))


@pytest.mark.parametrize("name", SPACES)
def test_every_config_of_every_kind_of_space_comes_back_from_its_coordinates(name):
    found = encoding(SPACES[name])
    for number in range(100):
        config = found.completed(seed=5, number=number)
        coordinates = found.coordinates(config)

        assert close(found.config(coordinates, seed=5, number=number), config)
        np.testing.assert_allclose(found.settled(np.array([coordinates]))[0], coordinates, atol=1e-9)
        for index, parameter in enumerate(found.parameters):
            is_there = not math.isnan(coordinates[index])
            assert found.is_there(parameter, coordinates[:index]) is is_there
            assert found.present(parameter, np.array([coordinates]))[0] == is_there


@pytest.mark.parametrize("name", SPACES)
def test_every_row_of_every_kind_of_space_is_a_config(name):
    found = encoding(SPACES[name])
    rows = found.uniform(100, np.random.default_rng(4))

    np.testing.assert_array_equal(found.settled(rows), rows)
    for row in rows:
        again = found.coordinates(found.config(row.tolist(), seed=0, number=0))
        np.testing.assert_allclose(again, row, atol=1e-9)
        assert found.key(np.array(again)) == found.key(row)


DOMAINS = st.sampled_from(
    [*NUMBERS, *SPACES["choices"].values(), tune.permutation([1, 2, 3]), tune.simplex(["a", "b"])]
)


def conditional(children):
    """Spaces in which everything may depend on a choice, a whole number or a float at the top."""
    parents = st.sampled_from([("kind", ["a", "b"]), ("kind", "a"), ("n", 2), ("n", lambda n: n != 1), ("x", half)])
    return st.one_of(
        st.builds(lambda parent, then: tune.when(*parent, then=then), parents, children),
        st.builds(
            lambda parent, then, other: tune.when(*parent, then=then, otherwise=other), parents, children, children
        ),
        st.dictionaries(st.sampled_from(["p", "q"]), children, min_size=1),
        st.lists(children, min_size=1, max_size=2).map(as_options),
    )


def half(x):
    return x > 0.5


def as_options(values):
    return tune.choice([{"is": index, "value": value} for index, value in enumerate(values)])


TOP = {"kind": tune.choice(["a", "b", "c"]), "n": tune.randint(0, 4), "x": tune.uniform(0, 1)}


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.dictionaries(st.sampled_from(["first", "y", "z"]), st.recursive(DOMAINS, conditional, max_leaves=5)))
def test_any_nesting_of_dicts_choices_and_conditions_comes_back(spec):
    found = encoding({**spec, **TOP})
    rows = found.uniform(12, np.random.default_rng(0))

    for row in rows:
        config = found.config(row.tolist(), seed=0, number=0)
        np.testing.assert_allclose(found.coordinates(config), row, atol=1e-9)
        assert close(Variants(found.space, points_to_evaluate=[config]).config(0), config)


def test_an_ordered_choice_is_a_number_of_levels():
    found = encoding({"size": tune.ordinal(["s", "m", {"l": tune.uniform(0, 1)}])})

    size, inner = found.parameters
    assert (size.options, size.levels, size.domain) == (0, 3, tune.randint(0, 3))
    assert inner.is_conditional
    rows = found.settled(np.array([[0.1, 0.5], [0.6, 0.5], [0.99, 0.5]]))
    np.testing.assert_allclose(rows[:, 0], [1 / 6, 1 / 2, 5 / 6])
    assert np.isnan(rows[:, 1]).tolist() == [True, True, False]


def test_a_simple_condition_is_an_option_of_a_choice_and_any_other_a_rule():
    found = encoding(SPACES["conditions"])
    by_name = {parameter.name: parameter for parameter in found.parameters}
    optimizer, model = ([*by_name].index(name) for name in ("optimizer", "model"))

    assert by_name["momentum"].conditions == ((optimizer, 0),)
    assert by_name["dropout"].conditions == ((model, 1),)
    assert by_name["betas/0"].conditions == ()
    assert len(by_name["betas/0"].rules) == 1
    assert [by_name[name].is_conditional for name in ("optimizer", "nesterov", "layers")] == [False, True, False]


def test_parents_come_first_wherever_they_stand():
    found = encoding({"b": tune.when("a", 1, then=tune.uniform(0, 1)), "a": tune.choice([0, 1])})

    assert [parameter.name for parameter in found.parameters] == ["a", "b"]


def test_a_config_that_lacks_a_parameter_does_not_lie_in_the_space():
    found = encoding({"a": tune.choice([0, 1]), "b": tune.when("a", 1, then=tune.uniform(0, 1))})

    assert found.coordinates({"a": 0})[0] == 0
    for lacking in ({}, {"a": 1}, {"b": 0.5}, {"a": 0, "b": 0.5}):
        with pytest.raises(SpaceError):
            found.coordinates(lacking)


FINITE = {
    "a": tune.boolean(),
    "b": tune.when("a", True, then=tune.randint(0, 5), otherwise=tune.when("c", 2, then=tune.choice([1, 2]))),
    "c": tune.choice([1, 2, 3]),
    "order": tune.permutation([1, 2, 3]),
    "few": tune.subset(["x", "y", "z"], max_size=1),
    "o": tune.ordinal([1, {"q": tune.quniform(0, 1, 0.5)}]),
}


@pytest.mark.parametrize("require", [[], [lambda c: c.b < 3], [lambda c: c.order[0] == 1, lambda c: c.c < 3]])
def test_the_size_of_a_finite_space_counts_its_configs(require):
    found = Encoding(Space(FINITE, require=require))

    rows = found.every()

    assert found.size == len(rows) == len({found.key(row) for row in rows})
    configs = {repr(found.config(row.tolist(), seed=0, number=0)) for row in rows}
    assert len(configs) == len(rows)
    if not require:
        assert found.size == (3 * 5 + 2 + 1 + 1) * 6 * 4 * (1 + 3)


def test_the_size_of_a_large_space_is_counted_without_listing_it():
    large = {f"x{index}": tune.randint(0, 1000) for index in range(10)}
    conditional = {"a": tune.boolean(), "b": tune.when("a", True, then=tune.randint(0, 10**6))}

    assert encoding(large).size == 1000**10
    assert encoding({**conditional, "n": tune.randint(0, 10**6)}).size == (10**6 + 1) * 10**6


def test_ten_thousand_rows_take_milliseconds():
    space = Space(
        {f"x{index}": tune.loguniform(1e-3, 1, prior=0.1) for index in range(6)}
        | {"n": tune.randint(0, 9), "c": tune.choice([1, 2, 3]), "m": tune.when("c", 1, then=tune.uniform(0, 1))},
        require=[lambda c: c.x0 < c.x1 or c.c == 2],
    )
    found = Encoding(space)
    uniforms = np.random.default_rng(0).random((10_000, found.width))

    best = min(seconds(found, uniforms) for _ in range(5))

    assert best < 0.2  # 8 ms on an idle core; one by one it would be seconds


def seconds(found, uniforms):
    began = time.perf_counter()
    found.allowed(found.from_unit(uniforms))
    return time.perf_counter() - began


def test_the_size_may_be_beyond_every_float():
    spec = {"order": tune.permutation(list(range(200))), "a": tune.boolean(), "b": tune.when("a", True, then=1)}

    assert encoding(spec).size == 2 * math.factorial(200)

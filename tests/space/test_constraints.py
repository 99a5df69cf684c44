"""What configs must hold before they are tried."""

import re

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import SpaceError
from tunesmith.space.constraints import MOST_TRIES
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants

PAIR = {"low": tune.uniform(0, 1), "high": tune.uniform(0, 1)}


def configs(space, **settings):
    variants = Variants(space, **settings)
    return [variants.config(number) for number in range(variants.total)]


@pytest.mark.parametrize(
    "function",
    [
        lambda c: c.low < c.high,
        lambda c: c["low"] < c["high"],
        lambda c: c.config.low < c["config"]["high"],
    ],
)
def test_random_configs_hold_what_is_required(function):
    space = Space(PAIR).require(function)

    assert all(config["low"] < config["high"] for config in configs(space, num_samples=100))


def test_it_may_be_required_in_three_ways():
    one, other = (lambda c: c.low < c.high), (lambda c: c.low > 0.1)
    stated = Space(PAIR)
    stated.require(one)
    stated.require(other)

    for space in (stated, Space(PAIR).require(one).require(other), Space(PAIR, require=[one, other])):
        assert [constraint.function for constraint in space.constraints] == [one, other]
    assert len(Space(PAIR, require=one).constraints) == 1


def test_a_draw_that_holds_is_the_one_that_it_would_be_without():
    free = configs(Space(PAIR), num_samples=50)
    held = configs(Space(PAIR, require=[lambda c: c.low < c.high]), num_samples=50)

    kept = [one == other for one, other in zip(free, held, strict=True)]
    assert kept == [config["low"] < config["high"] for config in free]


def test_a_config_does_not_depend_on_what_was_asked_before():
    variants = Variants(Space(PAIR, require=[lambda c: c.low < c.high / 3]), num_samples=20)

    assert [variants.config(number) for number in reversed(range(20))] == configs(variants.space, num_samples=20)[::-1]


def test_it_sees_objects_lists_and_lambdas_as_they_are():
    seen = []
    space = Space(
        {
            "net": [{"units": tune.randint(1, 5)}, tune.uniform(0, 1)],
            "kind": tune.choice([dict, list]),
            "twice": lambda spec: spec.config.net[0].units * 2,
        },
        require=[lambda c: seen.append((c.net[0].units, c["net/0/units"], c.kind, c.twice)) or True],
    )

    configs(space, num_samples=3)

    for units, by_place, kind, twice in seen:
        assert units == by_place
        assert kind in (dict, list)
        assert twice == 2 * units


BRANCHES = {
    "model": tune.choice(["linear", {"kind": "tree", "depth": tune.randint(1, 9)}, {"kind": "net"}]),
    "optimizer": tune.choice(["sgd", "adam"]),
    "momentum": tune.when("optimizer", "sgd", then=tune.uniform(0, 1)),
}


@pytest.mark.parametrize(
    "function",
    [lambda c: c.model.depth > 4, lambda c: c["model/depth"] > 4, lambda c: c.model["depth"] > 4],
    ids=["attribute", "place", "item"],
)
def test_a_config_without_the_parameter_may_be_tried(function):
    spec = {**BRANCHES, "model": tune.choice([{"kind": "tree", "depth": tune.randint(1, 9)}, {"kind": "net"}])}
    found = configs(Space(spec, require=[function]), num_samples=60)

    kinds = {config["model"]["kind"] for config in found}
    assert kinds == {"tree", "net"}
    assert all(config["model"].get("depth", 9) > 4 for config in found)


def test_so_may_one_whose_choice_is_no_dict_at_all():
    found = configs(Space(BRANCHES, require=[lambda c: c.model.depth > 4]), num_samples=60)

    assert "linear" in [config["model"] for config in found]


def test_a_parameter_under_a_condition_is_absent_where_that_does_not_hold():
    found = configs(
        Space(BRANCHES, require=[lambda c: c.momentum > 0.5, lambda c: c.get("momentum", 0) < 0.9]), num_samples=60
    )

    assert {config["optimizer"] for config in found} == {"sgd", "adam"}
    assert all(0.5 < config.get("momentum", 0.6) < 0.9 for config in found)


def test_a_place_leads_through_lists_and_dicts():
    space = Space({"a": [[tune.randint(0, 9)], {"b": tune.randint(0, 9)}]})
    space.require(lambda c: c["a/0/0"] < c["a/1/b"])

    assert all(config["a"][0][0] < config["a"][1]["b"] for config in configs(space, num_samples=20))
    for wrong in ("a/0/1", "a/2/b", "a/1/c", "a/1/b/d", "b/c", "/"):
        with pytest.raises(SpaceError, match="has no key"):
            Variants(Space({"a": [[1], {"b": 2}]}, require=[lambda c, wrong=wrong: c[wrong] > 1]))


def where(function):
    return f"require(lambda at test_constraints.py:{function.__code__.co_firstlineno})"


def test_what_is_never_held_is_an_error_that_names_the_line():
    impossible = lambda c: c.low > 2  # noqa: E731
    with pytest.raises(SpaceError) as error:
        Variants(Space(PAIR, require=[impossible]))
    assert str(error.value).startswith(f"{where(impossible)} did not hold in {MOST_TRIES} tries to draw a config.")


def test_a_mistake_in_it_is_told():
    typo = lambda c: c.lwo < 1  # noqa: E731
    with pytest.raises(SpaceError, match=re.escape(f"{where(typo)}: space has no key 'lwo'. Did you mean 'low'?")):
        Variants(Space(PAIR, require=[typo]))
    failing = lambda c: c.low + "x"  # noqa: E731
    with pytest.raises(SpaceError, match=re.escape(f"{where(failing)} failed for {{'low': ")):
        Variants(Space(PAIR, require=[failing]))
    silent = lambda c: None  # noqa: E731
    with pytest.raises(SpaceError, match=r"returned None for .* Return whether the config may be tried"):
        Variants(Space(PAIR, require=[silent]))
    with pytest.raises(SpaceError, match=r"require\(3\): give a function of the config"):
        Space(PAIR).require(3)


def test_it_is_described():
    function = lambda c: c.low < c.high  # noqa: E731

    assert Space(PAIR, require=[function]).describe().split("\n")[-1] == where(function)


GRID = {"a": tune.grid_search([1, 2, 3]), "b": tune.grid_search([1, 2, 3]), "x": tune.uniform(0, 4)}


def test_grid_points_that_are_not_allowed_have_no_number():
    variants = Variants(Space(GRID, require=[lambda c: c.a < c.b]), num_samples=2)
    found = [variants.config(number) for number in range(variants.total)]

    assert variants.total == 6
    assert [(config["a"], config["b"]) for config in found] == [(1, 2), (1, 3), (2, 3)] * 2
    assert Variants(variants.space, num_samples=-1).config(10**9)["a"] in (1, 2)


def test_a_grid_point_that_is_allowed_for_some_draws_is_drawn_until_it_holds():
    found = configs(Space(GRID, require=[lambda c: c.x < c.a]), num_samples=1)

    assert len(found) == 9
    assert all(config["x"] < config["a"] for config in found)


def test_a_grid_without_an_allowed_point_is_an_error():
    with pytest.raises(SpaceError, match=r"none of the grid's 9 points holds require\(lambda at"):
        Variants(Space(GRID, require=[lambda c: c.a > 5]))


def test_a_grid_too_large_to_be_looked_through_is_an_error():
    spec = {f"p{index}": tune.grid_search(range(100)) for index in range(4)}
    with pytest.raises(SpaceError, match=r"the grid has 100000000 points, and each would have to be held against"):
        Variants(Space(spec, require=[lambda c: c.p0 < c.p1]))


def test_points_to_evaluate_must_hold_it():
    space = Space(
        {**PAIR, "g": tune.grid_search([1, 2, 3])}, require=[lambda c: c.low < c.high, lambda c: c.g < c.low * 4]
    )
    with pytest.raises(SpaceError, match=r"points_to_evaluate\[1\]: \{'low': 0.5, 'high': 0.2\} does not hold require"):
        Variants(space, num_samples=3, points_to_evaluate=[{}, {"low": 0.5, "high": 0.2}])

    found = configs(space, num_samples=2, points_to_evaluate=[{"low": 0.7}])
    assert [config["g"] for config in found] == [1, 2, 1, 2, 3]
    assert found[0]["low"] == 0.7
    assert found[0]["high"] > 0.7


def test_held_draws_of_a_constant_grid_search_still_hold():
    space = Space(GRID, require=[lambda c: c.x < 2])
    found = configs(space, num_samples=2, constant_grid_search=True)

    assert len({config["x"] for config in found}) == 2
    assert all(config["x"] < 2 for config in found)


# Many at once.

WIDE = {
    **BRANCHES,
    "low": tune.uniform(0, 1),
    "n": tune.randint(0, 20),
    "q": tune.quniform(0, 1, 0.1),
    "units": tune.lograndint(1, 4000),
    "size": tune.ordinal([8, 16, {"of": tune.randint(1, 3)}]),
    "flag": tune.boolean(),
    "class": tune.choice([dict, list]),
    "order": tune.permutation(["a", "b", "c"]),
    "long": tune.permutation(list(range(6))),
    "items": tune.subset(["x", "y", "z"]),
    "mix": tune.simplex(["u", "v", "w"]),
    "pair": [tune.randint(0, 5), tune.randn(0, 1)],
    "mode": tune.choice(list(range(300))),
    "constant": 3,
}
LIMITS = {"sgd": 5, "adam": 15}


@pytest.mark.parametrize(
    "function",
    [
        lambda c: c.low < c.q,
        lambda c: c.n * c.units < 4000,
        lambda c: c.n < 5 or c.optimizer == "sgd",
        lambda c: c.n < 5 and not c.flag,
        lambda c: 2 < c.n < 9,
        lambda c: c.n in (1, 2, 3),
        lambda c: c.flag is True,
        lambda c: c["class"] is dict,
        lambda c: c.n < LIMITS[c.optimizer],
        lambda c: max(c.n, 5) < 9,
        lambda c: c.q == 0.3,
        lambda c: c.momentum > c.low,
        lambda c: "momentum" not in c or c.low > 0.5,
        lambda c: c.model.depth < c.n,
        lambda c: c["model/depth"] < c.n,
        lambda c: isinstance(c.size, int) and c.size < c.n,
        lambda c: c.size.of < 2,
        lambda c: c.order[0] == "a",
        lambda c: c.long[0] < c.long[5],
        lambda c: "x" in c["items"],
        lambda c: len(c["items"]) <= 1,
        lambda c: c.mix.u < 0.5 and c.mix["v"] < 0.5,
        lambda c: sum(c.pair) < 3,
        lambda c: c.pair[0] < c.n,
        lambda c: round(c.low, 1) > 0.5,
        lambda c: f"{c.n}" < "3",
        lambda c: c.mode > 150,
        lambda c: 10 / c.n > 1 if c.n else True,
        lambda c: c.constant == 3,
        lambda c: [c.n, c.q] < [5, 0.5],
    ],
)
def test_many_rows_are_judged_as_one_by_one(function):
    encoding = Encoding(Space(WIDE, require=[function]))
    rows = encoding.from_unit(np.random.default_rng(1).random((120, encoding.width)))

    one_by_one = [bool(encoding.allowed(row[None])[0]) for row in rows]

    assert encoding.allowed(rows).tolist() == one_by_one
    assert all(
        encoding.space.constraints[0].holds(_config(encoding, row)) == verdict
        for row, verdict in zip(rows[:40], one_by_one, strict=False)
    )


def _config(encoding, row):
    from tunesmith.space.spec import Spec

    return Spec(encoding.space.root, encoding.resolution(encoding.point(row.tolist()), seed=0, number=0))


def test_a_constraint_that_reads_a_lambda_is_judged_too():
    space = Space({"x": tune.uniform(0, 1), "twice": lambda spec: 2 * spec.config.x}, require=[lambda c: c.twice < 1])
    encoding = Encoding(space)
    rows = encoding.from_unit(np.linspace(0, 0.99, 50)[:, None])

    assert encoding.allowed(rows).tolist() == (rows[:, 0] < 0.5).tolist()


def test_uniform_rows_hold_it_and_are_spread_as_those_that_random_search_draws():
    encoding = Encoding(Space(PAIR, require=[lambda c: c.low < c.high]))

    rows = encoding.uniform(4000, np.random.default_rng(0))

    assert len(rows) == 4000
    assert (rows[:, 0] < rows[:, 1]).all()
    # The smaller of two uniform numbers has the mean 1/3 and the variance 1/18: 5 standard errors.
    assert abs(rows[:, 0].mean() - 1 / 3) < 5 / np.sqrt(18 * 4000)


def test_uniform_rows_that_are_too_rare_are_an_error_that_names_the_strictest():
    rare = lambda c: c.low > 2  # noqa: E731
    encoding = Encoding(Space(PAIR, require=[lambda c: c.low < 0.9, rare]))

    with pytest.raises(SpaceError, match=re.escape(where(rare))):
        encoding.uniform(1, np.random.default_rng(0))


def test_a_mistake_is_told_for_rows_too():
    encoding = Encoding(Space(PAIR, require=[lambda c: c.low + "x" > 2]))

    with pytest.raises(SpaceError, match=r"failed for .*TypeError"):
        encoding.uniform(20, np.random.default_rng(0))

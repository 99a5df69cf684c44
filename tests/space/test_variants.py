import subprocess
import sys

import numpy as np
import pytest

from tunesmith.errors import ConfigError
from tunesmith.space.domains import choice, grid_search, lograndint, loguniform, quniform, randint, randn, uniform
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants


def configs(spec, **settings):
    variants = Variants(Space(spec), **settings)
    return [variants.config(number) for number in range(variants.total)]


def test_the_first_grid_in_sorted_order_varies_fastest():
    spec = {"b": grid_search([1, 2]), "c": {"d": {"grid_search": [5, 6]}}, "a": grid_search(["x", "y", "z"])}
    rows = [(c["a"], c["b"], c["c"]["d"]) for c in configs(spec)]
    assert rows == [(a, b, d) for d in (5, 6) for b in (1, 2) for a in "xyz"]


def test_list_items_are_sorted_by_number():
    spec = {"x": [grid_search([0, 1]), *[0] * 9, grid_search([0, 1])]}
    assert [(c["x"][0], c["x"][10]) for c in configs(spec)] == [(0, 0), (1, 0), (0, 1), (1, 1)]


def test_the_grid_is_repeated_for_each_sample():
    rows = configs({"m": grid_search([0.2, 0.4, 0.6]), "lr": uniform(0, 1)}, num_samples=4)
    assert [row["m"] for row in rows] == [0.2, 0.4, 0.6] * 4
    assert len({row["lr"] for row in rows}) == 12


def test_constant_grid_search_holds_the_draws_over_a_sample():
    spec = {"m": grid_search([1, 2]), "lr": uniform(0, 1), "f": lambda spec: np.random.rand(), "c": choice(range(99))}
    rows = configs(spec, num_samples=3, constant_grid_search=True)
    draws = [(row["lr"], row["f"], row["c"]) for row in rows]
    assert draws[0::2] == draws[1::2]
    assert len(set(draws)) == 3


def test_without_a_grid_there_is_a_config_for_each_sample():
    assert Variants(Space({}), num_samples=7).total == 7
    assert configs({}, num_samples=2) == [{}, {}]


def test_a_grid_inside_a_grids_value_is_gone_through_where_that_value_stands():
    spec = {
        "model": grid_search([{"kind": "tree", "depth": grid_search([1, 2, 3])}, "linear", grid_search([8, 9])]),
        "z": grid_search([0, 1]),
    }
    rows = configs(spec)
    models = [{"kind": "tree", "depth": d} for d in (1, 2, 3)] + ["linear", 8, 9]
    assert [(row["model"], row["z"]) for row in rows] == [(model, z) for z in (0, 1) for model in models]


def test_every_combination_comes_once():
    inner = grid_search([1, {"deep": [grid_search([1, 2]), grid_search([3, 4, 5])]}])
    spec = {"a": grid_search([inner, {"x": inner}, {"y": inner, "z": grid_search([0, 1])}]), "b": inner}
    rows = configs(spec)
    assert len(rows) == (7 + 7 + 7 * 2) * 7
    assert len({repr(row) for row in rows}) == len(rows)


def test_a_million_combinations_cost_nothing_until_they_are_asked_for():
    variants = Variants(Space({f"p{i}": grid_search(range(100)) for i in range(9)}), num_samples=10)
    assert variants.total == 10 * 100**9
    assert set(variants.config(variants.total - 1).values()) == {99}


def test_without_end_there_is_no_total():
    variants = Variants(Space({"a": uniform(0, 1), "g": grid_search([1, 2])}), num_samples=-1)
    assert variants.total is None
    assert variants.config(10**12)["g"] == 1


def test_configs_do_not_depend_on_what_was_asked_before_or_on_num_samples():
    spec = {"a": uniform(0, 1), "g": grid_search([1, 2, 3]), "f": lambda spec: np.random.rand()}
    forwards = configs(spec, num_samples=5, seed=2)
    longer = Variants(Space(spec), num_samples=50, seed=2)
    assert [longer.config(number) for number in reversed(range(15))] == forwards[::-1]


def test_another_parameter_leaves_the_draws_of_the_others_as_they_were():
    few = configs({"a": uniform(0, 1), "f": lambda spec: np.random.rand()}, num_samples=5)
    more = configs({"0": randint(0, 9), "f": lambda spec: np.random.rand(), "a": uniform(0, 1)}, num_samples=5)
    assert [(row["a"], row["f"]) for row in more] == [(row["a"], row["f"]) for row in few]


def test_seeds_give_different_configs():
    spec = {"a": uniform(0, 1)}
    assert len({configs(spec, seed=seed)[0]["a"] for seed in range(50)}) == 50


def test_a_seed_draws_what_it_drew_in_earlier_versions():
    spec = {
        "a": uniform(0, 1), "b": randint(0, 1000), "c": choice(["x", "y", {"z": lograndint(1, 1000)}]),
        "d": [quniform(0, 1, 0.1)],
    }  # fmt: skip
    assert configs(spec, num_samples=4, seed=1) == [
        {"a": 0.002435169054831099, "b": 265, "c": "x", "d": [0.4]},
        {"a": 0.9012493067162201, "b": 236, "c": {"z": 978}, "d": [0.9]},
        {"a": 0.3463278223047136, "b": 986, "c": "y", "d": [0.4]},
        {"a": 0.002617095746539566, "b": 13, "c": {"z": 513}, "d": [1.0]},
    ]


PROGRAM = """
from tunesmith.space.domains import *
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants
space = Space({"a": uniform(0, 1), "b": choice(["x", "y", print]), "c": grid_search([1, 2]), "d": randn()})
variants = Variants(space, num_samples=5, seed=11)
print([variants.config(number) for number in range(10)])
"""


def test_configs_are_the_same_in_every_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("0", "1", "77")
    }
    assert len(outputs) == 1


def test_draws_are_uniform_and_independent_of_each_other_and_of_their_neighbours():
    n = 10_000
    spec = {"u": uniform(0, 1), "log": loguniform(1e-3, 1e3), "normal": randn(), "c": choice([0, 1, 2, 3])}
    variants = Variants(Space(spec), num_samples=n, seed=1)
    rows = [variants.config(number) for number in range(n)]
    u = np.array([row["u"] for row in rows])
    log = (np.log10([row["log"] for row in rows]) + 3) / 6
    normal = np.array([row["normal"] for row in rows])
    counts = np.bincount([row["c"] for row in rows], minlength=4)
    # Each of the 11 checks at 5 standard errors: one seed in 150,000 would fail.
    assert abs(u.mean() - 0.5) < 5 / np.sqrt(12 * n)
    assert abs(log.mean() - 0.5) < 5 / np.sqrt(12 * n)
    assert abs((u**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / n)
    assert abs(normal.mean()) < 5 / np.sqrt(n)
    assert np.all(np.abs(counts - n / 4) < 5 * np.sqrt(n * 3 / 16))
    for left, right in ((u, log), (u, normal), (u[1:], u[:-1])):
        assert abs(np.corrcoef(left, right)[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize("wrong", [0, -2, 1.5, True, "3", None])
def test_a_wrong_number_of_samples_is_refused(wrong):
    with pytest.raises(ConfigError, match=r"num_samples=.*: give a whole number above 0, or -1 for no end\."):
        Variants(Space({}), num_samples=wrong)


def test_there_is_no_config_beyond_the_total():
    variants = Variants(Space({}), num_samples=2)
    with pytest.raises(IndexError, match="there is no trial 2: the space has 2 variants, from 0 on"):
        variants.config(2)
    with pytest.raises(IndexError):
        variants.config(-1)

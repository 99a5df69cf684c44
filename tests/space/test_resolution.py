"""Values that depend on other values, and what lambdas may use."""

import random
import re
import subprocess
import sys

import numpy as np
import pytest

from tunesmith.errors import SpaceError
from tunesmith.space.domains import choice, grid_search, randint, sample_from, uniform
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants


def config_of(spec, number=0, **settings):
    return Variants(Space(spec), num_samples=-1, **settings).config(number)


@pytest.mark.parametrize(
    "function",
    [
        lambda spec: spec.config.alpha * 2,
        lambda spec: spec["config"]["alpha"] * 2,
        lambda spec: spec.config["alpha"] * 2,
        lambda spec: spec["config"].alpha * 2,
        lambda config: config["alpha"] * 2,
        lambda config: config.alpha * 2,
        lambda config: config.get("alpha") * 2,
        sample_from(lambda config: config["alpha"] * 2),
        sample_from(lambda spec: spec.config.alpha * 2),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_value_may_depend_on_another_in_every_spelling_and_order(function, first):
    spec = {"alpha": randint(3, 4), "beta": function} if first else {"beta": function, "alpha": randint(3, 4)}
    assert config_of(spec)["beta"] == 6


def test_values_are_reached_at_any_depth_and_through_other_functions():
    config = config_of(
        {
            "z": lambda spec: spec.config.a.b[1].c + spec.config.y,
            "y": lambda spec: spec["config"]["a"]["b"][-1]["c"] * 10,
            "a": {"b": [0, {"c": lambda spec: spec.config.x["deep"].value}]},
            "x": lambda spec: {"deep": {"value": spec.config.model.depth}},
            "model": choice([{"depth": 4}]),
        }
    )
    assert config["y"] == 40
    assert config["z"] == 44


def test_an_item_may_read_its_own_neighbours():
    assert config_of({"layers": [8, lambda spec: spec.config.layers[0] * 2]}) == {"layers": [8, 16]}


def test_views_behave_like_dicts_and_lists():
    seen = {}

    def look(spec):
        config = spec.config
        seen["keys"] = list(config)
        seen["in"] = "a" in config, "nope" in config, "config" in spec, "a" in spec
        seen["get"] = config.get("nope", 7), getattr(config, "nope", 8), hasattr(spec, "a")
        seen["equal"] = config.a == {"x": [1, 2]}, config.a.x == [1, 2], config.a.x != [1]
        seen["slice"] = config.a.x[:1], len(config.a.x), sum(config.a.x), len(config.a)
        seen["repr"] = repr(config.a), repr(spec.a.x)
        return 0

    config_of({"a": {"x": [1, 2]}, "f": sample_from(look)})
    assert seen == {
        "keys": ["a", "f"],
        "in": (True, False, True, True),
        "get": (7, 8, True),
        "equal": (True, True, True),
        "slice": ([1], 2, 3, 1),
        "repr": ("{'x': [1, 2]}", "[1, 2]"),
    }


def test_a_function_sees_real_objects_and_may_return_a_part_of_the_space():
    spec = {
        "pair": (3, 4),
        "kind": lambda spec: type(spec.config.pair).__name__,
        "part": {"pair": (1, 2), "n": randint(3, 4)},
        "copy": lambda spec: spec.config.part,
    }
    config = config_of(spec)
    assert config["kind"] == "tuple"
    assert config["copy"] == config["part"] == {"pair": {"$object": "part/pair"}, "n": 3}


def test_a_function_sees_the_grid_value_of_its_trial():
    variants = Variants(Space({"g": grid_search([1, 2, 3]), "f": lambda spec: spec.config.g * 10}))
    assert [variants.config(number)["f"] for number in range(3)] == [10, 20, 30]


def test_a_function_is_called_once_for_each_config():
    calls = []
    spec = {"a": lambda spec: calls.append(1) or 5, "b": lambda spec: spec.config.a, "c": lambda spec: spec.config.a}
    variants = Variants(Space(spec))
    calls.clear()
    assert variants.config(0) == {"a": 5, "b": 5, "c": 5}
    assert calls == [1]


def test_values_that_read_each_other_in_a_circle_are_an_error_that_names_it():
    spec = {
        "a": {"x": lambda spec: spec.config.b},
        "b": lambda spec: spec.config.c[0] + 1,
        "c": [lambda spec: spec.config.a.x],
    }
    message = "space['a']['x'] -> space['b'] -> space['c'][0] -> space['a']['x']: these values read each other in a"
    with pytest.raises(SpaceError, match=re.escape(message)):
        config_of(spec)


def test_a_value_that_reads_itself_is_a_circle():
    with pytest.raises(SpaceError, match=re.escape("space['a'] -> space['a']: these values read")):
        config_of({"a": lambda spec: spec.config.a})


def test_a_space_whose_first_config_fails_is_refused_before_anything_runs():
    with pytest.raises(SpaceError, match=re.escape("space['a'] -> space['a']")):
        Variants(Space({"a": lambda spec: spec.config.a}))


@pytest.mark.parametrize("function", [lambda s: s.config.model.alhpa, lambda s: s["config"]["model"]["alhpa"]])
def test_an_unknown_key_is_an_error_with_the_path_and_the_nearest_key(function):
    with pytest.raises(SpaceError) as error:
        config_of({"model": {"alpha": 1}, "f": function})
    assert str(error.value).startswith("space['f']: its function failed for trial 0: ")
    assert str(error.value).endswith("Error: space['model'] has no key 'alhpa'. Did you mean 'alpha'?")


def test_an_unknown_key_without_a_neighbour_lists_what_there_is():
    with pytest.raises(SpaceError, match=re.escape("space has no key 'q'. It has 'width', 'f'.")):
        config_of({"width": 1, "f": lambda spec: spec.q})


def test_an_error_in_a_function_names_path_trial_and_error_and_is_chained():
    variants = Variants(Space({"g": grid_search([3, 2, 1, 0]), "f": [lambda spec: 1 / spec.config.g]}))
    message = "space['f'][0]: its function failed for trial 3: ZeroDivisionError: division by zero"
    with pytest.raises(SpaceError, match=re.escape(message)) as error:
        variants.config(3)
    assert isinstance(error.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        ((1, 2), "(1, 2) (tuple)"),
        (np.zeros(2), "array([0., 0.]) (ndarray)"),
        (dict, "dict (type)"),
        (float("nan"), "nan (float)"),
        ({1: 2}, "{1: 2} (dict)"),
        ({"$object": "x"}, "{'$object': 'x'} (dict)"),
        (2**70, "1180591620717411303424 (int)"),
        (uniform(0, 1), "uniform(0.0, 1.0) (Float)"),
    ],
)
def test_a_function_must_return_what_a_journal_can_hold(result, shown):
    message = f"space['f']: its function returned {shown} for trial 0, which a journal cannot hold. Return a number"
    with pytest.raises(SpaceError, match=re.escape(message)):
        config_of({"f": lambda spec: result})


def test_the_place_inside_a_result_is_named():
    with pytest.raises(SpaceError, match=re.escape("space['f']['a'][1]: its function returned (1,) (tuple)")):
        config_of({"f": lambda spec: {"a": [0, (1,)]}})


def test_numpy_scalars_that_a_function_returns_become_python_scalars():
    config = config_of({"f": lambda spec: np.float32(0.5), "g": lambda spec: [np.int64(3), {"s": np.str_("x")}]})
    assert config == {"f": 0.5, "g": [3, {"s": "x"}]}
    assert type(config["f"]) is float
    assert type(config["g"][0]) is int


def test_global_generators_are_seeded_by_seed_and_trial():
    spec = {"a": lambda spec: np.random.uniform(), "b": lambda spec: random.random()}
    random.seed(1)
    np.random.seed(1)
    first = config_of(spec, number=4, seed=9)
    random.seed(2)
    np.random.seed(2)
    assert config_of(spec, number=4, seed=9) == first
    others = [config_of(spec, number=5, seed=9), config_of(spec, number=4, seed=10)]
    assert len({tuple(config.values()) for config in [first, *others]}) == 3
    assert first["a"] != first["b"]


def test_a_function_draws_the_same_whoever_reads_it_first():
    draw, reader = (lambda spec: [random.random(), np.random.randn()]), (lambda spec: [spec.config.a, random.random()])
    assert config_of({"a": draw, "b": reader}) == config_of({"b": reader, "a": draw})


@pytest.mark.parametrize("fails", [False, True])
def test_global_generators_are_put_back(fails):
    def draw(spec):
        random.random()
        np.random.randn()
        assert not fails
        return 0

    random.seed(5)
    np.random.seed(5)
    np.random.randn()  # leaves a second normal number in the generator, which must survive too
    python_state, numpy_state = random.getstate(), np.random.get_state()
    if fails:
        with pytest.raises(SpaceError):
            config_of({"a": sample_from(draw)})
    else:
        config_of({"a": sample_from(draw), "b": lambda spec: spec.config.a})

    assert random.getstate() == python_state
    now = np.random.get_state()
    assert now[0] == numpy_state[0]
    assert (now[1] == numpy_state[1]).all()
    assert now[2:] == numpy_state[2:]


SCRIPT = """
import sys, random
from tunesmith.space.domains import randint, randn, uniform
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants
def draw(spec):
    import numpy as np
    return np.random.uniform()
plain = Variants(Space({"a": uniform(0, 1), "b": randn(), "c": lambda spec: random.random()}))
plain.config(0)
assert "numpy" not in sys.modules, "a space loaded numpy"
variants = Variants(Space({"a": lambda spec: draw(spec)}), num_samples=2, seed=3)
state = random.getstate()
print(variants.config(0)["a"] == variants.config(0)["a"], random.getstate() == state)
"""


def test_a_function_that_is_the_first_to_import_numpy_draws_like_every_later_one():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True True\n", "")

import math
from enum import IntEnum

import msgspec
import numpy as np
import pytest

from tunesmith.errors import SpaceError
from tunesmith.space.domains import choice, grid_search, randint, sample_from, uniform
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants
from tunesmith.space.when import when


class Adam:
    pass


def relu(x):
    return x


def only_config(spec):
    return Variants(Space(spec)).config(0)


def test_what_json_holds_stays_as_it_is():
    spec = {"a": 1, "b": [1.5, None, True, {"c": "text"}], "d": {}, "e": "\u00e4"}
    assert only_config(spec) == spec
    assert Space(spec).objects == {}


def test_numpy_scalars_become_python_scalars():
    config = only_config({"a": np.float64(0.5), "b": grid_search(np.arange(3)), "c": np.bool_(True), "d": np.str_("x")})
    assert config == {"a": 0.5, "b": 0, "c": True, "d": "x"}
    assert [type(value) for value in config.values()] == [float, int, bool, str]


@pytest.mark.parametrize(
    "value",
    [
        Adam,
        relu,
        (1, 2),
        {1: 2},
        {1, 2},
        b"bytes",
        math.inf,
        math.nan,
        2**64,
        -(2**63) - 1,
        np.zeros(2),
        "\ud800",
        IntEnum("Size", "BIG").BIG,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_json_cannot_hold_is_replaced_by_an_id_and_comes_back(value):
    space = Space({"net": {"layers": [0, value]}, "pick": choice([value])})
    config = Variants(space).config(0)

    assert config == {"net": {"layers": [0, {"$object": "net/layers/1"}]}, "pick": {"$object": "pick[0]"}}
    assert msgspec.json.decode(msgspec.json.encode(config)) == config
    assert space.resolve(config)["net"]["layers"][1] is value
    assert space.resolve(config)["pick"] is value


def test_object_ids_do_not_depend_on_the_order_of_keys():
    first = Space({"a": Adam, "b": grid_search([relu, 1, Adam])})
    second = Space({"b": grid_search([relu, 1, Adam]), "a": Adam})
    assert first.objects == second.objects == {"a": Adam, "b[0]": relu, "b[2]": Adam}


def test_an_unknown_object_is_an_error():
    with pytest.raises(SpaceError, match=r"mentions the object 'b\[7\]', which this space does not have"):
        Space({"a": 1}).resolve({"a": {"$object": "b[7]"}})


def test_objects_are_labelled_for_people():
    space = Space({"f": relu, "c": choice([Adam, (1, Adam), Adam(), (3,)])})
    labels = [space.object_label(name) for name in ("f", "c[0]", "c[1]", "c[2]", "c[3]", "gone")]
    assert labels == ["relu", "Adam", "(1, Adam)", "<Adam>", "(3,)", "gone"]


def test_a_tuple_that_holds_a_domain_becomes_a_list():
    assert only_config({"x": (randint(3, 4), (1, 2))}) == {"x": [3, {"$object": "x/1"}]}


def test_configs_share_no_containers():
    variants = Variants(Space({"a": [1, {"b": 2}], "c": choice([[1]]), "d": Adam}))
    variants.config(0)["a"][1]["b"] = variants.config(0)["c"][0] = 99
    variants.config(0)["d"]["$object"] = "x"
    assert variants.config(0) == {"a": [1, {"b": 2}], "c": [1], "d": {"$object": "d"}}


def test_functions_made_by_def_are_objects_and_lambdas_are_evaluated():
    assert only_config({"f": relu, "g": lambda spec: 5}) == {"f": {"$object": "f"}, "g": 5}


def test_domains_and_lambdas_inside_choices_and_grids_are_drawn():
    space = Space(
        {
            "model": choice([{"kind": "a", "depth": randint(5, 6)}]),
            "head": grid_search([uniform(0, 1), lambda spec: spec.config.model.depth * 2]),
        }
    )
    variants = Variants(space)
    first, second = variants.config(0), variants.config(1)
    assert first["model"] == {"kind": "a", "depth": 5}
    assert 0 <= first["head"] < 1
    assert second["head"] == 10


def test_parameters_are_listed_by_their_path_in_a_config():
    depth, width, other = randint(1, 5), uniform(0, 1), randint(10, 20)
    model = choice([{"depth": depth, "width": width}, {"depth": other}])
    grid = grid_search([1, 2])
    function = sample_from(relu)
    space = Space({"model": model, "net": [{"grid": grid}, function], "constant": 3})
    assert space.parameters == {
        "model": model,
        "model/depth": depth,
        "model/width": width,
        "model[1]/depth": other,
        "net/0/grid": grid,
        "net/1": function,
    }


def test_the_description_shows_parameters_then_constants():
    space = Space({"epochs": 10, "lr": uniform(0, 1), "opt": choice([Adam, "sgd"]), "act": relu, "long": "x" * 500})
    lines = space.describe().split("\n")
    assert lines[:4] == ["lr: uniform(0.0, 1.0)", "opt: choice([Adam, 'sgd'])", "epochs: 10", "act: relu"]
    assert lines[4].endswith("...")


def test_the_description_says_under_which_conditions_something_is_there():
    space = Space(
        {
            "a": choice([1, 2]),
            "b": when("a", 1, then=uniform(0, 1), otherwise=0),
            "c": {"d": when("a", [1, 2], then=randint(1, 5))},
            "e": when("a", lambda a: a > 1, then=randint(0, 2)),
        }
    )

    lines = space.describe().split("\n")

    assert lines[1:4] == [
        "b: uniform(0.0, 1.0) when 'a' is 1",
        "c/d: randint(1, 5) when 'a' is one of [1, 2]",
        f"e: randint(0, 2) when 'a' passes lambda at test_space.py:{line_of(lines)}",
    ]
    assert lines[4] == "b: 0 unless 'a' is 1"


def line_of(lines):
    return lines[3].rpartition(":")[2]


def test_the_size_of_a_space_counts_its_configs():
    assert Space({}).size == 1
    assert Space({"a": choice([1, 2]), "b": when("a", 1, then=randint(0, 5))}).size == 6
    assert Space({"x": uniform(0, 1)}).size == math.inf
    assert Space({"a": randint(0, 5), "b": randint(0, 5)}, require=[lambda c: c.a < c.b]).size == 10


def test_a_space_may_be_given_where_a_dict_is():
    space = Space({"a": 1})

    assert Space.of(space) is space
    assert Space.of(None).parameters == {}
    assert Space.of({"a": choice([1])}).parameters == {"a": choice([1])}


def test_a_sample_is_a_config_with_the_real_objects_in_it():
    space = Space({"x": uniform(0, 1), "kind": choice([Adam]), "g": grid_search([1, 2])}, require=[lambda c: c.x > 0.5])
    samples = [space.sample(number, seed=3) for number in range(20)]

    assert all(sample["x"] > 0.5 and sample["kind"] is Adam for sample in samples)
    assert {sample["g"] for sample in samples} == {1, 2}
    assert space.sample(7, seed=3) == samples[7] != space.sample(7, seed=4)

"""Parameters that are only there under a condition."""

import re

import pytest

import tunesmith as tune
from tunesmith.errors import SpaceError
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants


def configs(spec, count=60, **settings):
    variants = Variants(Space(spec), num_samples=count, **settings)
    return [variants.config(number) for number in range(count)]


OPTIMIZER = tune.choice(["sgd", "adam", "rms"])


def test_a_parameter_is_there_where_its_condition_holds():
    spec = {"optimizer": OPTIMIZER, "momentum": tune.when("optimizer", "sgd", then=tune.uniform(0, 1))}

    for config in configs(spec):
        assert ("momentum" in config) == (config["optimizer"] == "sgd")


def test_otherwise_says_what_else_is_there():
    spec = {
        "optimizer": OPTIMIZER,
        "rate": tune.when("optimizer", "sgd", then=tune.uniform(1, 2), otherwise={"fixed": tune.randint(3, 5)}),
    }

    for config in configs(spec):
        if config["optimizer"] == "sgd":
            assert 1 <= config["rate"] < 2
        else:
            assert config["rate"]["fixed"] in (3, 4)


@pytest.mark.parametrize("value", [["sgd", "rms"], {"sgd", "rms"}, lambda name: name != "adam"])
def test_a_condition_may_name_several_values_or_be_a_function(value):
    spec = {"optimizer": OPTIMIZER, "x": tune.when("optimizer", value, then=1)}

    for config in configs(spec):
        assert ("x" in config) == (config["optimizer"] != "adam")


def test_where_it_stands_before_its_parent_makes_no_difference():
    momentum = tune.when("optimizer", "sgd", then=tune.uniform(0, 1))

    before = configs({"momentum": momentum, "optimizer": OPTIMIZER})
    after = configs({"optimizer": OPTIMIZER, "momentum": momentum})

    assert before == after


def test_conditions_may_follow_each_other_and_an_absent_parent_is_a_condition_that_does_not_hold():
    spec = {
        "a": tune.boolean(),
        "b": tune.when("a", True, then=tune.boolean()),
        "c": tune.when("b", True, then=tune.uniform(0, 1), otherwise="no b"),
    }

    found = configs(spec, 200)

    for config in found:
        assert ("b" in config) == config["a"]
        assert (config["c"] != "no b") == config.get("b", False)
    assert len({(config["a"], config.get("b")) for config in found}) == 3


def test_a_parent_may_lie_in_an_option_of_a_choice():
    spec = {
        "model": tune.choice([{"kind": "tree"}, {"kind": "net", "layers": tune.randint(1, 4)}, "none"]),
        "depth": tune.when("model/kind", "tree", then=tune.randint(1, 9)),
        "width": tune.when("model/layers", lambda layers: layers > 1, then=tune.randint(1, 9)),
    }

    for config in configs(spec, 200):
        model = config["model"] if isinstance(config["model"], dict) else {}
        assert ("depth" in config) == (model.get("kind") == "tree")
        assert ("width" in config) == (model.get("layers", 0) > 1)


@pytest.mark.parametrize(
    ("parent", "value", "holds"),
    [
        (tune.randint(0, 5), [1, 4], lambda parent: parent in (1, 4)),
        (tune.quniform(0, 1, 0.5), 0.5, lambda parent: parent == 0.5),
        (tune.ordinal(["s", "m", "l"]), ["m", "l"], lambda parent: parent != "s"),
        (tune.boolean(), True, lambda parent: parent),
        (tune.uniform(0, 1), lambda x: x > 0.3, lambda parent: parent > 0.3),
        (tune.grid_search([1, 2]), 2, lambda parent: parent == 2),
        (tune.subset(["a", "b"]), lambda items: "a" in items, lambda parent: "a" in parent),
        (tune.permutation(["a", "b"]), [["a", "b"]], lambda parent: parent == ["a", "b"]),
        (tune.simplex(["a", "b"]), lambda mix: mix["a"] > 0.5, lambda parent: parent["a"] > 0.5),
        (tune.choice([{"k": 1}, {"k": 2}]), [{"k": 2}], lambda parent: parent == {"k": 2}),
        ("constant", "constant", lambda parent: True),
    ],
)
def test_every_kind_of_parameter_can_decide(parent, value, holds):
    space = Space({"parent": parent, "child": tune.when("parent", value, then=tune.uniform(0, 1))})
    encoding = Encoding(space)

    for number in range(60):
        config = encoding.completed(seed=1, number=number)
        again = encoding.config(encoding.coordinates(config), seed=1, number=number)
        assert ("child" in config) == ("child" in again) == holds(config["parent"])


class Adam:
    pass


class SGD:
    pass


def relu(x):
    return x


def test_classes_and_functions_of_a_choice_are_values_and_not_questions():
    spec = {
        "kind": tune.choice([Adam, SGD]),
        "x": tune.when("kind", SGD, then=1),
        "activation": tune.choice([relu, "none"]),
        "y": tune.when("activation", relu, then=1),
    }

    for config in configs(spec):
        assert ("x" in config) == (config["kind"] == {"$object": "kind[1]"})
        assert ("y" in config) == (config["activation"] != "none")


def test_lambdas_see_what_is_there():
    spec = {
        "optimizer": OPTIMIZER,
        "momentum": tune.when("optimizer", "sgd", then=tune.uniform(0, 1)),
        "twice": lambda spec: 2 * spec.config.get("momentum", 0),
        "has": lambda spec: "momentum" in spec.config and len(spec.config) == 4,
    }

    for config in configs(spec):
        assert config["twice"] == 2 * config.get("momentum", 0)
        assert config["has"] == ("momentum" in config)


def test_a_lambda_that_reads_what_is_not_there_is_told_so():
    spec = {"a": tune.choice([1]), "b": tune.when("a", lambda a: a > 1 or a < 5, then=1), "c": lambda s: s.config.b}
    assert configs(spec, 1) == [{"a": 1, "b": 1, "c": 1}]
    spec = {"a": tune.grid_search([1, 2]), "b": tune.when("a", 2, then=1), "c": lambda s: s.config.b}
    with pytest.raises(SpaceError, match=r"space\['b'\]: its condition does not hold in this config"):
        configs(spec, 1)


def test_draws_under_a_condition_are_keyed_like_others():
    plain = configs({"optimizer": OPTIMIZER, "momentum": tune.uniform(0, 1)})
    conditional = configs({"optimizer": OPTIMIZER, "momentum": tune.when("optimizer", "sgd", then=tune.uniform(0, 1))})

    for one, other in zip(plain, conditional, strict=True):
        assert other.get("momentum", one["momentum"]) == one["momentum"]


def first(spec, point):
    return configs(spec, 1, points_to_evaluate=[point])[0]


CONDITIONAL = {
    "optimizer": OPTIMIZER,
    "momentum": tune.when("optimizer", "sgd", then=tune.uniform(0, 1), otherwise="none"),
    "beta": tune.when("optimizer", ["adam", "rms"], then=tune.uniform(0, 1)),
}


def test_points_are_held_against_conditions():
    assert first(CONDITIONAL, {"optimizer": "sgd", "momentum": 0.5})["momentum"] == 0.5
    assert first(CONDITIONAL, {"optimizer": "adam", "momentum": "none", "beta": 0.5}) == {
        "optimizer": "adam",
        "momentum": "none",
        "beta": 0.5,
    }
    with pytest.raises(SpaceError, match=re.escape("points_to_evaluate[0]['momentum']: 'none' is outside uniform(0")):
        first(CONDITIONAL, {"optimizer": "sgd", "momentum": "none"})
    message = "points_to_evaluate[0]['beta']: this is only there where 'optimizer' is one of ['adam', 'rms']. Leave it"
    with pytest.raises(SpaceError, match=re.escape(message)):
        first(CONDITIONAL, {"optimizer": "sgd", "beta": 0.5})


def test_a_point_that_gives_what_needs_a_choice_makes_that_choice():
    for seed in range(5):
        config = configs(CONDITIONAL, 1, points_to_evaluate=[{"beta": 0.5}], seed=seed)[0]
        assert config["beta"] == 0.5


def nested_whens():
    inner = tune.when("a", 2, then=1, otherwise=2)
    return tune.when("a", [1, 2], then=inner, otherwise=tune.when("b", True, then=3, otherwise=4))


def test_conditions_may_be_nested():
    spec = {"a": tune.choice([0, 1, 2]), "b": tune.boolean(), "x": nested_whens()}

    for config in configs(spec, 100):
        expected = {2: 1, 1: 2, 0: 3 if config["b"] else 4}[config["a"]]
        assert config["x"] == expected


CASES = {
    "an unknown place": (
        {"optimizer": OPTIMIZER, "m": tune.when("optimiser", "sgd", then=1)},
        "space['m']: when('optimiser', ...): the space has no parameter 'optimiser'. Did you mean 'optimizer'?",
    ),
    "an unknown place below": (
        {"model": tune.choice([{"kind": 1}]), "m": tune.when("kind", 1, then=1)},
        "the space has no parameter 'kind'. Did you mean 'model/kind'?",
    ),
    "an unknown value": (
        {"optimizer": OPTIMIZER, "m": tune.when("optimizer", "sdg", then=1)},
        "space['m']: when('optimizer', ...): it is never 'sdg'. Did you mean 'sgd'?",
    ),
    "a list that is itself a value": (
        {"a": tune.choice([[1, 2], [3]]), "m": tune.when("a", [3], then=1)},
        "it is never 3. A list is one of several values; if the list itself is meant, write [[3]].",
    ),
    "one of the values is unknown": (
        {"n": tune.randint(0, 3), "m": tune.when("n", [1, 7], then=1)},
        "it is never 7. It is one of randint(0, 3).",
    ),
    "a function that never says yes": (
        {"a": tune.choice([1, 2]), "m": tune.when("a", lambda a: a > 5, then=1)},
        "space['m']: its condition never holds: no value of 'a' passes",
    ),
    "a function that fails": (
        {"a": tune.choice([1, "x"]), "m": tune.when("a", lambda a: a > 5, then=1)},
        "when('a', ...): its function failed for 'x': TypeError",
    ),
    "a value of a continuum": (
        {"a": tune.uniform(0, 1), "m": tune.when("a", 0.5, then=1)},
        "uniform(0.0, 1.0) hardly ever draws exactly that. Give a function, e.g. lambda value: value > 0.5.",
    ),
    "a lambda as parent": (
        {"a": lambda spec: 1, "m": tune.when("a", 1, then=1)},
        "space['m']: when('a', ...): what stands there is computed by a function, and known too late.",
    ),
    "a function of a dict with parameters": (
        {"a": tune.choice([{"x": tune.uniform(0, 1)}]), "m": tune.when("a", lambda a: True, then=1)},
        "space['a'].choice[0] holds parameters of its own, so it has no single value to pass or not.",
    ),
    "itself": (
        {"a": tune.when("a", 1, then=1)},
        "space['a'] -> space['a']: these conditions depend on each other in a",
    ),
    "a circle": (
        {"a": tune.when("b", 1, then=tune.choice([1])), "b": tune.when("a", 1, then=tune.choice([1]))},
        "space['a'] -> space['b'] -> space['a']: these conditions depend on each other in a circle.",
    ),
    "absent from a list": (
        {"a": tune.boolean(), "b": [tune.when("a", True, then=1)]},
        "space['b'][0]: only a dict's item may be absent, and this when has no otherwise=.",
    ),
    "absent from a choice": (
        {"a": tune.boolean(), "b": tune.choice([tune.when("a", True, then=1)])},
        "space['b'].choice[0]: only a dict's item may be absent",
    ),
    "a grid": (
        {"a": tune.boolean(), "b": tune.when("a", True, then=tune.grid_search([1, 2]))},
        "space['b'].then: a grid_search inside a when has no clear number of trials.",
    ),
    "no place": ({"a": tune.when(1, True, then=1)}, "its first argument is the place of another parameter"),
    "a wrong domain inside": (
        {"a": tune.boolean(), "b": tune.when("a", True, then=tune.uniform(2, 1))},
        "space['b'].then: uniform(2.0, 1.0) is empty",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_condition_is_refused_at_the_door(case):
    spec, message = CASES[case]
    with pytest.raises(SpaceError) as error:
        Space(spec)
    assert message in str(error.value)


def test_in_words_a_condition_is_the_same_in_every_process_and_wherever_it_stands():
    space = Space(
        {"a": OPTIMIZER, "b": tune.when("a", {"sgd", "rms"}, then=1), "c": tune.when("a", lambda a: True, then=1)}
    )
    several, asked = (space.root.children[key].test for key in "bc")

    assert str(several) == several.gist == "'a' is one of ['rms', 'sgd']"
    assert str(asked).startswith("'a' passes lambda at test_conditions.py:")
    assert asked.gist == "'a' passes <lambda>"

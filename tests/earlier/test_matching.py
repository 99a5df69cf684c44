"""Configs of another experiment in the names and values of a space."""

import pytest

import tunesmith as tune
from tunesmith.earlier.matching import Matching
from tunesmith.space.space import Space


class Relu:
    pass


def matched(space, config):
    return Matching(Space(space).root).config(config)


NESTED = {"model": {"depth": tune.randint(1, 9), "width": tune.randint(1, 99)}, "lr": tune.uniform(0, 1)}


@pytest.mark.parametrize(
    "config",
    [
        {"model": {"depth": 3, "width": 5}, "lr": 0.5},
        {"model/depth": 3, "model/width": 5, "lr": 0.5},
        {"model.depth": 3, "model.width": 5, "lr": 0.5},
        {"depth": 3, "width": 5, "lr": 0.5},
        {"net": {"depth": 3}, "width": 5, "opt/lr": 0.5},
    ],
)
def test_a_parameter_is_found_by_its_path_or_its_last_name(config):
    assert matched(NESTED, config) == {"model": {"depth": 3, "width": 5}, "lr": 0.5}


def test_a_last_name_that_two_have_is_not_guessed_at():
    space = {"a": {"lr": tune.uniform(0, 1)}, "b": {"lr": tune.uniform(0, 1)}, "x": tune.uniform(0, 1)}

    assert matched(space, {"lr": 0.5, "x": 0.1}) == {"x": 0.1}
    assert matched({"x": tune.uniform(0, 1), "lr": tune.uniform(0, 1)}, {"p/lr": 0.5, "q/lr": 0.4, "x": 0.1}) == {
        "x": 0.1
    }


@pytest.mark.parametrize(
    ("domain", "value", "own"),
    [
        (tune.randint(1, 9), 3.0, 3),
        (tune.choice([16, 32]), 16.0, 16.0),
        (tune.choice(["1", "2"]), 1, "1"),
        (tune.choice([Relu, None]), "Relu", {"$object": "x[0]"}),
        (tune.choice([(8, 4), (2, 2)]), [8, 4], {"$object": "x[0]"}),
        (tune.choice([[8, 4], [2]]), "[8, 4]", [8, 4]),
        (tune.choice([True, False]), "True", True),
        (tune.choice([{"k": "a", "n": tune.randint(1, 9)}]), {"k": "a", "n": 4.0}, {"k": "a", "n": 4}),
        (Relu, "Relu", {"$object": "x"}),
        (tune.when("y", 1, then=tune.randint(1, 9)), 2.0, 2),
    ],
)
def test_a_value_is_found_by_what_it_is_or_how_it_is_written(domain, value, own):
    config = matched({"x": domain, "y": tune.choice([1, 2])}, {"x": value, "y": 1})

    assert config == {"x": own, "y": 1}
    assert type(config["x"]) is type(own)


@pytest.mark.parametrize("config", [{"lr": 2.0, "depth": 3}, {"depth": "many"}, {"other": 1}, {}])
def test_a_config_outside_the_space_is_none(config):
    assert matched(NESTED, config) is None


def test_what_is_not_said_and_what_is_not_known_is_noted():
    matching = Matching(Space(NESTED).root)

    matching.config({"depth": 3, "lr": 0.5, "momentum": 1})
    matching.config({"depth": 3, "width": 4, "lr": 0.5})

    assert matching.strangers == {"momentum"}
    assert matching.missing == {"model/width": 1}

"""A space of every kind, for contracts that must hold in each of them."""

from __future__ import annotations

from ..space.composites import permutation, simplex, subset
from ..space.domains import (
    boolean,
    choice,
    lograndint,
    loguniform,
    ordinal,
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
from ..space.space import Space
from ..space.when import when


def every_kind_of_space() -> dict[str, Space]:
    """Return a new space of each kind, by a name that says what is special about it."""
    kinds = {name: Space(spec) for name, spec in _specs().items()}
    kinds["constrained"] = Space({"low": uniform(0, 1), "high": uniform(0, 1), "kind": choice(["a", "b"])}).require(
        lambda config: config["low"] < config["high"]
    )
    return kinds


def _specs() -> dict[str, dict[str, object]]:
    forest = {"name": "forest", "depth": randint(1, 9), "leaf": choice([1, 2, 5])}
    kernel = choice([{"kind": "rbf", "gamma": loguniform(1e-4, 1)}, {"kind": "linear"}])
    return {
        "one number": {"x": uniform(-3, 5)},
        "numbers": {
            "x": uniform(0, 1),
            "rate": loguniform(1e-5, 1),
            "dropout": quniform(0, 1, 0.25),
            "decay": qloguniform(1e-3, 1e2, 1e-3),
            "shift": randn(1, 2),
            "rough": qrandn(0, 1, 0.5),
        },
        "integers": {
            "layers": randint(1, 5),
            "units": lograndint(1, 1000),
            "batch": qrandint(8, 64, 8),
            "width": qlograndint(16, 1024, 16),
        },
        "priors": {"rate": loguniform(1e-5, 1e-1, prior=3e-4), "kind": choice(["a", "b", "c"], prior="b")},
        "choices": {
            "kind": choice(["a", "b", "c"]),
            "on": boolean(),
            "size": ordinal(["s", "m", "l"]),
            "x": uniform(0, 1),
        },
        "many choices": {f"gene{index}": choice(list("acgt")) for index in range(9)},
        "nested": {
            "model": choice([{"name": "svm", "c": loguniform(1e-3, 1e3), "kernel": kernel}, forest, "mean"]),
            "data": {"scale": choice([True, False]), "fixed": [1, {"deep": uniform(0, 1)}]},
        },
        "conditions": {
            "kind": choice(["sgd", "adam"]),
            "momentum": when("kind", "sgd", then=uniform(0, 1)),
            "beta": when("kind", "adam", then=loguniform(1e-3, 1)),
        },
        "composed": {
            "order": permutation(["a", "b", "c", "d"]),
            "features": subset(["x", "y", "z"], min_size=1),
            "mixture": simplex(["red", "green", "blue"]),
            "x": uniform(0, 1),
        },
        "objects": {"kind": choice([int, float, len]), "pair": choice([(1, 2), (3, 4)]), "x": uniform(0, 1)},
        "lambdas": {"x": uniform(1, 2), "twice": sample_from(lambda spec: 2 * spec.config.x)},
        "nothing to choose": {"a": 1, "b": {"c": "text"}},
        "tiny": {"on": boolean(), "size": randint(0, 3)},
        "one value": {"only": choice(["this"]), "fixed": randint(3, 4)},
    }

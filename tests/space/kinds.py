"""Spaces of every kind, for properties that all of them have."""

import math

import tunesmith as tune

NUMBERS = [
    tune.uniform(-2, 5),
    tune.uniform(-2, 5, prior=4),
    tune.quniform(0, 1, 0.25),
    tune.quniform(0, 1, 0.1, prior=0.3),
    tune.loguniform(1e-4, 10),
    tune.loguniform(1e-5, 1e-1, prior=3e-4),
    tune.loguniform(1e-5, 1e-1, prior=1e-5),
    tune.qloguniform(1, 100, 1),
    tune.qloguniform(0.1, 10, 0.1, prior=10),
    tune.randint(-3, 9),
    tune.randint(-3, 9, prior=-3),
    tune.qrandint(10, 50, 5),
    tune.qrandint(10, 50, 5, prior=45),
    tune.lograndint(1, 5000),
    tune.lograndint(1, 5000, prior=64),
    tune.qlograndint(2, 64, 2),
    tune.qlograndint(2, 64, 2, prior=16),
    tune.randn(1, 4),
    tune.qrandn(0, 3, 0.5),
]

SPACES = {
    "numbers": {f"x{index}": domain for index, domain in enumerate(NUMBERS)},
    "choices": {
        "c": tune.choice(["a", None, 3]),
        "p": tune.choice(["a", "b", "c"], prior="b"),
        "o": tune.ordinal(["small", "medium", "large"], prior="large"),
        "b": tune.boolean(),
        "one": tune.choice(["only"]),
        "objects": tune.choice([dict, (1, 2)]),
    },
    "nested": {
        "model": tune.choice(
            [
                "linear",
                {"kind": "tree", "depth": tune.randint(2, 10)},
                {"kind": "net", "opt": tune.choice(["sgd", {"name": "adam", "beta": tune.uniform(0.8, 1)}])},
            ]
        ),
        "size": tune.ordinal([1, {"width": tune.lograndint(1, 100)}]),
    },
    "composites": {
        "order": tune.permutation(["a", dict, 3, 4.5]),
        "features": tune.subset(["x", "y", (1, 2), "z"], min_size=1, max_size=3),
        "mix": tune.simplex(["u", "v", "w"]),
        "parts": tune.simplex(5),
        "single": [tune.permutation([1]), tune.simplex(1), tune.subset([1], 1)],
    },
    "conditions": {
        "momentum": tune.when("optimizer", "sgd", then=tune.uniform(0, 1), otherwise=0.0),
        "nesterov": tune.when("momentum", lambda momentum: momentum > 0.5, then=tune.boolean()),
        "optimizer": tune.choice(["sgd", "adam", "rms"], prior="adam"),
        "betas": tune.when(
            "optimizer", ["adam", "rms"], then=[tune.uniform(0.8, 1, prior=0.9), tune.loguniform(1e-3, 1)]
        ),
        "layers": tune.randint(1, 4),
        "units": [tune.lograndint(8, 512), tune.when("layers", [2, 3], then=tune.lograndint(8, 512), otherwise=1)],
        "deep": tune.when(
            "layers", 3, then=tune.when("optimizer", "sgd", then=tune.randint(0, 3), otherwise=tune.randint(5, 9))
        ),
        "model": tune.choice([{"kind": "tree", "depth": tune.randint(1, 5)}, {"kind": "net"}]),
        "dropout": tune.when("model/kind", "net", then=tune.quniform(0, 0.5, 0.1)),
        "late": tune.when("betas/0", lambda beta: beta < 0.9, then={"a": tune.boolean(), "b": tune.choice([1, 2])}),
        "few": tune.when("features", lambda features: len(features) < 2, then=tune.uniform(0, 1)),
        "features": tune.subset(["x", "y", "z"]),
    },
    "grids": {"g": tune.grid_search([1, 2, {"h": tune.grid_search([3, 4])}]), "x": tune.uniform(0, 1)},
}


def close(one, other):
    """Whether two configs are the same, rounding errors apart."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    return one == other and type(one) is type(other)

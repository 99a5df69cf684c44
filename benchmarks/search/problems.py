"""What is searched: BBOB functions, synthetic mixed and conditional spaces, scikit-learn models on its own data.

`problem("bbob-f8-10d")` makes one; `suite("core")` names those of a suite. A loss is the same number for the same
config, always. What none of ours was ever tuned on is called `held-out`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from .spaces import Parameter, choice, real, whole

Loss = Callable[[Mapping[str, Any]], float]


@dataclass(frozen=True)
class Problem:
    """A space and what to minimise over it."""

    name: str
    kind: str
    """bbob, mixed, conditional or sklearn."""
    parameters: tuple[Parameter, ...]
    loss: Loss
    optimum: float | None
    """The smallest loss there is; None where nobody knows, so that the best ever found has to do."""


CORE = (
    "bbob-f1-20d",  # sphere
    "bbob-f3-5d",  # Rastrigin, separable
    "bbob-f6-5d",  # attractive sector
    "bbob-f8-10d",  # Rosenbrock
    "bbob-f10-10d",  # ellipsoid, rotated, condition 1e6
    "bbob-f15-20d",  # Rastrigin, rotated
    "bbob-f17-10d",  # Schaffers F7
    "bbob-f21-5d",  # Gallagher, 101 peaks
    "mixed-valley",
    "mixed-categories",
    "conditional-kinds",
    "conditional-network",
    "sklearn-digits-svm",
    "sklearn-cancer-pipeline",
    "sklearn-wine-network",
    "sklearn-diabetes-pipeline",
)
HELD_OUT = (
    "bbob-f2-10d",
    "bbob-f5-5d",
    "bbob-f7-20d",
    "bbob-f11-5d",
    "bbob-f13-10d",
    "bbob-f18-5d",
    "bbob-f20-10d",
    "bbob-f22-20d",
    "mixed-valley-2",
    "mixed-categories-2",
    "conditional-kinds-2",
    "conditional-network-2",
    "sklearn-digits-forest",
    "sklearn-diabetes-boosting",
)
BBOB = tuple(f"bbob-f{function}-{dimension}d" for dimension in (5, 10, 20) for function in range(1, 25))

SUITES = ("core", "held-out", "bbob", "full")


def suite(name: str) -> tuple[str, ...]:
    """Return the names of a suite's problems: core, held-out, bbob, or full (all of them)."""
    suites = {"core": CORE, "held-out": HELD_OUT, "bbob": BBOB}
    if name == "full":
        return tuple(dict.fromkeys((*BBOB, *CORE, *HELD_OUT)))
    return suites[name]


@cache
def problem(name: str) -> Problem:
    """Return the problem of that name.

    Raises:
        KeyError: There is none.
    """
    family, _, rest = name.partition("-")
    if family == "bbob":
        function, _, dimension = rest.partition("-")
        return _bbob(name, int(function.removeprefix("f")), int(dimension.removesuffix("d")))
    if family == "sklearn":
        from .models import MODELS

        parameters, loss = MODELS[rest]()
        return Problem(name, "sklearn", parameters, loss, None)
    made, _, instance = rest.partition("-")
    parameters, loss = _SYNTHETIC[f"{family}-{made}"](np.random.default_rng([17, int(instance or 1)]))
    return Problem(name, family, parameters, loss, 0.0)


def _bbob(name: str, function: int, dimension: int) -> Problem:
    import ioh

    # Instance 7 for all: any one would do, and the functions are hidden from the searchers anyway.
    one = ioh.get_problem(function, instance=7, dimension=dimension, problem_class=ioh.ProblemClass.BBOB)
    names = [f"x{index}" for index in range(dimension)]
    optimum = float(one.optimum.y)

    def loss(config: Mapping[str, Any]) -> float:
        return float(one([config[name] for name in names])) - optimum

    return Problem(name, "bbob", tuple(real(name, -5.0, 5.0) for name in names), loss, 0.0)


# Synthetic spaces. Each loss is a sum of terms that are at least 0, and 0 together at one point drawn by chance, from
# nearly the whole space: near the middle, which some peers try first, it would be too easy.


def _unit(value: float, low: float, high: float, log: bool = False) -> float:
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _valley(rng: np.random.Generator) -> tuple[tuple[Parameter, ...], Loss]:
    """A curved valley over four floats, two integers and two choices that shift it: they all interact."""
    parameters = (
        *(real(f"x{index}", -3.0, 3.0) for index in range(3)),
        real("rate", 1e-5, 1e-1, log=True),
        whole("width", 8, 512, log=True),
        whole("depth", 1, 10),
        choice("activation", ("relu", "tanh", "gelu", "silu")),
        choice("norm", ("none", "batch", "layer")),
    )
    centre = rng.uniform(-2.2, 2.2, 3)
    shifts = {option: rng.normal(0, 0.7, 3) for option in parameters[6].options}
    penalties = dict(zip(parameters[7].options, rng.permutation([0, 0.4, 1]), strict=True))
    best = str(rng.choice(parameters[6].options))
    rate, width, depth = rng.uniform(0.1, 0.9), rng.uniform(0.15, 0.85), int(rng.integers(2, 10))
    # The best width is a whole number, so that the optimum is 0.
    best_width = round(8 * (512 / 8) ** width)

    def loss(config: Mapping[str, Any]) -> float:
        at = np.array([config[f"x{index}"] for index in range(3)])
        off = at - centre - (0 if config["activation"] == best else shifts[config["activation"]])
        valley = 10 * (off[1] - off[0] ** 2 / 2) ** 2 + off[0] ** 2 + 3 * (off[2] - off[1]) ** 2
        size = math.log2(config["width"] / best_width)
        fits = _unit(config["rate"], 1e-5, 1e-1, log=True) - rate + 0.05 * size
        deep = (config["depth"] - depth) / 4
        other = 0 if config["activation"] == best else 0.3
        return float(valley + 40 * fits**2 + 0.3 * size**2 + (deep + 2 * fits) ** 2 + other + penalties[config["norm"]])

    return parameters, loss


def _categories(rng: np.random.Generator) -> tuple[tuple[Parameter, ...], Loss]:
    """Eight choices with effects of their own and in pairs, and two floats: what tree models are for."""
    sizes = (2, 3, 3, 4, 4, 5, 6, 8)
    parameters = (
        *(choice(f"c{index}", [f"v{value}" for value in range(size)]) for index, size in enumerate(sizes)),
        real("x0", 0.0, 1.0),
        real("x1", 1e-4, 1.0, log=True),
    )
    best = [int(rng.integers(size)) for size in sizes]
    own = [rng.gamma(1.0, 0.5, size) for size in sizes]
    pairs = [(int(a), int(b)) for a, b in (rng.choice(len(sizes), 2, replace=False) for _ in range(6))]
    tables = [rng.gamma(1.0, 0.6, (sizes[a], sizes[b])) for a, b in pairs]
    target = rng.uniform(0.1, 0.9, 2)
    for table, value in zip(own, best, strict=True):
        table[value] = 0
    for table, (a, b) in zip(tables, pairs, strict=True):
        table[best[a], best[b]] = 0

    def loss(config: Mapping[str, Any]) -> float:
        values = [int(config[f"c{index}"][1:]) for index in range(len(sizes))]
        total = sum(table[value] for table, value in zip(own, values, strict=True))
        total += sum(table[values[a], values[b]] for table, (a, b) in zip(tables, pairs, strict=True))
        total += 8 * (config["x0"] - target[0]) ** 2
        return float(total + 8 * (_unit(config["x1"], 1e-4, 1.0, log=True) - target[1]) ** 2)

    return parameters, loss


def _kinds(rng: np.random.Generator) -> tuple[tuple[Parameter, ...], Loss]:
    """Four kinds of model with two to five parameters each; the second best kind is good sooner than the best."""
    counts = (2, 3, 4, 5)
    parameters = [choice("kind", [f"k{index}" for index in range(4)])]
    parameters.append(real("shared", 1e-3, 1e3, log=True))
    for kind, count in enumerate(counts):
        parameters += [real(f"k{kind}_x{index}", 0.0, 1.0, when=("kind", f"k{kind}")) for index in range(count)]
    floors = [0.3, 0.1, 0.0, 0.2]
    slopes = [1.0, 4.0, 8.0, 12.0]
    centres = [rng.uniform(0.1, 0.9, count) for count in counts]
    shared = rng.uniform(0.1, 0.9, 4)

    def loss(config: Mapping[str, Any]) -> float:
        kind = int(config["kind"][1:])
        at = np.array([config[f"k{kind}_x{index}"] for index in range(counts[kind])])
        off = at - centres[kind]
        off[1:] += 0.5 * off[:-1]
        ripples = 0.05 * float(np.sum(1 - np.cos(12 * off)))
        here = _unit(config["shared"], 1e-3, 1e3, log=True) - shared[kind]
        return floors[kind] + slopes[kind] * float(np.mean(off**2)) + ripples + 3 * here**2

    return tuple(parameters), loss


def _network(rng: np.random.Generator) -> tuple[tuple[Parameter, ...], Loss]:
    """A made-up network: rates that depend on the optimiser, widths that are there only for deep enough ones."""
    parameters = (
        choice("optimizer", ("sgd", "adam", "lion")),
        real("sgd_rate", 1e-4, 1.0, log=True, when=("optimizer", "sgd")),
        real("momentum", 0.0, 0.99, when=("optimizer", "sgd")),
        real("adam_rate", 1e-5, 1e-1, log=True, when=("optimizer", "adam")),
        real("lion_rate", 1e-6, 1e-2, log=True, when=("optimizer", "lion")),
        real("decay", 1e-6, 1e-1, log=True),
        real("dropout", 0.0, 0.7),
        choice("layers", (1, 2, 3)),
        *(whole(f"width{depth}_{layer}", 8, 256, log=True, when=("layers", depth))
          for depth in (1, 2, 3) for layer in range(depth)),
        choice("schedule", ("constant", "cosine", "step")),
    )  # fmt: skip
    rates = dict(zip(("sgd", "adam", "lion"), rng.uniform(0.15, 0.85, 3), strict=True))
    behind = dict(zip(("sgd", "adam", "lion"), rng.permutation([0.0, 0.05, 0.15]), strict=True))
    schedules = dict(zip(("constant", "cosine", "step"), rng.permutation([0.0, 0.04, 0.1]), strict=True))
    decay, dropout = rng.uniform(0.1, 0.9), rng.uniform(0.05, 0.6)
    widths = [int(width) for width in rng.integers(10, 230, 3)]
    short = {1: 0.25, 2: 0.06, 3: 0.0}

    def loss(config: Mapping[str, Any]) -> float:
        optimizer, depth = config["optimizer"], config["layers"]
        low, high = {"sgd": (1e-4, 1.0), "adam": (1e-5, 1e-1), "lion": (1e-6, 1e-2)}[optimizer]
        rate = _unit(config[f"{optimizer}_rate"], low, high, log=True) - rates[optimizer]
        total = behind[optimizer] + short[depth] + schedules[config["schedule"]]
        if optimizer == "sgd":
            rate += 0.3 * (config["momentum"] - 0.9)
            total += 0.5 * (config["momentum"] - 0.9) ** 2
        sizes = [math.log2(config[f"width{depth}_{layer}"] / widths[layer]) for layer in range(depth)]
        regular = _unit(config["decay"], 1e-6, 1e-1, log=True) - decay + 0.6 * (config["dropout"] - dropout)
        too_fast = 6 if rate > 0 else 2  # above the best rate training blows up
        total += too_fast * rate**2 + 0.05 * sum(size**2 for size in sizes) / depth
        return float(total + 1.5 * regular**2 + 0.6 * (config["dropout"] - dropout) ** 2)

    return parameters, loss


_SYNTHETIC: dict[str, Callable[[np.random.Generator], tuple[tuple[Parameter, ...], Loss]]] = {
    "mixed-valley": _valley,
    "mixed-categories": _categories,
    "conditional-kinds": _kinds,
    "conditional-network": _network,
}

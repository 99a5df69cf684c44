"""Smooth problems of each kind of space, and how well a searcher does on them beside random search."""

from __future__ import annotations

import math
import random

import tunesmith as tune
from tunesmith.core.engine import Limits, fold
from tunesmith.core.events import Suggested
from tunesmith.core.experiment import Experiment
from tunesmith.executors.simulated import SimulatedExecutor
from tunesmith.schedulers.fifo import FIFOScheduler
from tunesmith.space.space import Space
from tunesmith.stoppers import NoopStopper
from tunesmith.testing.driver import Driver

NUMBERS = {f"x{index}": tune.uniform(0, 1) for index in range(4)}
MIXED = {
    "a": tune.uniform(0, 1),
    "lr": tune.loguniform(1e-5, 1),
    "k": tune.randint(0, 20),
    "c": tune.choice(["x", "y", "z"]),
    "is_on": tune.choice([True, False]),
}
CATEGORIES = {f"c{index}": tune.choice(list(range(4))) for index in range(7)}
CONDITIONAL = {
    "model": tune.choice(
        [
            {"kind": "linear", "penalty": tune.uniform(0, 1)},
            {"kind": "trees", "depth": tune.randint(1, 17), "share": tune.uniform(0, 1)},
            {"kind": "network", "units": tune.lograndint(8, 1024), "act": tune.choice(["relu", "tanh", "gelu"])},
        ]
    ),
    "a": tune.uniform(0, 1),
}


def of_numbers(config):
    return sum((index + 1) * (config[f"x{index}"] - 0.25 - index / 8) ** 2 for index in range(4))


def of_mixed(config):
    return (
        4 * (config["a"] - 0.7) ** 2
        + ((math.log10(config["lr"]) + 3) / 2.5) ** 2
        + ((config["k"] - 5) / 10) ** 2
        + {"x": 0.3, "y": 0.0, "z": 0.6}[config["c"]]
        + 0.2 * config["is_on"]
    )


def of_categories(config):
    return float(sum((index % 3 + 1) * abs(config[f"c{index}"] - index % 4) for index in range(7)))


def of_conditional(config):
    model = config["model"]
    loss = (config["a"] - 0.4) ** 2
    if model["kind"] == "linear":
        return loss + 0.3 + (model["penalty"] - 0.5) ** 2
    if model["kind"] == "trees":
        return loss + 0.2 + ((model["depth"] - 8) / 16) ** 2 + (model["share"] - 0.7) ** 2
    act = {"relu": 0.1, "tanh": 0.2, "gelu": 0.0}[model["act"]]
    return loss + act + (math.log(model["units"] / 128) / 4) ** 2


PROBLEMS = {
    "numbers": (NUMBERS, of_numbers),
    "mixed": (MIXED, of_mixed),
    "categories": (CATEGORIES, of_categories),
    "conditional": (CONDITIONAL, of_conditional),
}


GOOD = {"numbers": 0.03, "mixed": 0.048, "categories": 2.0, "conditional": 0.0036}
"""Losses that at most one in 1,000 configs of random search reaches (of 150,000 drawn): at most one in 10 of its runs
of 100 trials."""


def driven(settings, space, loss, *, seed=0, trials=60, workers=1, faults=None, past=(), curve=None, **more):
    def once(config):
        # With several workers trials end in another order than they began.
        seconds = 1.0 if workers == 1 else random.Random(repr(config)).uniform(0.5, 1.5)
        yield {"loss": loss(config)}, seconds

    return Driver(
        searcher=settings.bound_to(Space.of(space), trials, seed),
        scheduler=FIFOScheduler(),
        stopper=NoopStopper(),
        executor=SimulatedExecutor(curve or once, workers=workers, checkpoint_every=1, faults=faults),
        limits=Limits(fail_fast=False),
        trials_wanted=trials,
        past=past,
        seed=seed,
        **more,
    ).run()


def all_are_good(settings, problem, *, workers=1, trials=100, runs=4):
    """Return whether all runs reach `GOOD`. A searcher that is no better than chance does so once in 10,000 times: of
    100 trials in 4 runs; of 50 in 3."""
    space, loss = PROBLEMS[problem]
    every = (driven(settings, space, loss, seed=seed, trials=trials, workers=workers) for seed in range(runs))
    return all(run.experiment.best.best_loss <= GOOD[problem] for run in every)


def check_that_a_resume_changes_nothing(settings, run, space, *, trials, seed):
    """Assert that after any event the searcher of a new session says what the one that ran on has said."""
    folded, experiment = settings.bound_to(Space.of(space), trials, seed), Experiment()
    said = 0
    for index, event in enumerate(run.events):
        if isinstance(event, Suggested):
            assert folded.suggest(len(event.configs), experiment) == list(event.configs)
            if said % 8 == 7:  # without any memo
                fresh = settings.bound_to(Space.of(space), trials, seed)
                fold(run.events[:index], Experiment(), [fresh])
                assert fresh.suggest(len(event.configs), experiment) == list(event.configs)
            said += len(event.configs)
        fold([event], experiment, [folded])
    assert said == trials

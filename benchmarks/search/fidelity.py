"""Searching with early stopping: how long until the best 1% and 2%, against random configs under the same scheduler.

`python -m benchmarks.search.fidelity [--schedulers asha ...] [--searchers tpe ...] [--tasks digits ...] [--seeds 20]`.
Virtual time, 8 asynchronous workers. A time is that at which a result is first as good as the best of the whole curves
of the best 1% (2%) of all configs. Shown is the ratio of the mean times, searcher to random, with a 95% interval by
bootstrap over the seeds; below 1 is faster. Who does not get there counts with the time at which all was tried. The
third number is how many trials were begun before the one that got to the best 1%: the searcher's own part, as the rest
of the time is that trial's training.

Tasks:
    digits: 400 networks trained on digits, `benchmarks/schedulers/digits.npz`: real curves, real seconds.
    epochs: the same with one second for every epoch.
    crossing: power laws with noise in a mixed, conditional space; what falls fast often ends high.

In a table a searcher gets the curve of the nearest config that was not used yet, and learns whose curve it was.
"""

import argparse
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import tunesmith as tune
from benchmarks.schedulers import make_digits_table
from tunesmith.core.events import Config, Event, Suggested
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Searcher
from tunesmith.core.seeds import derived_seed, generator
from tunesmith.searchers.named import searcher_named
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space

EPOCHS = 81
WORKERS = 8
SHARES = (0.01, 0.02)
OTHER_CHOICE = 0.5
"""How far two configs are apart that differ in one choice; a number's whole range is 1."""
MOST_TRIALS = 1_000

SCHEDULERS: dict[str, Callable[[], Any]] = {
    "asha": lambda: tune.ASHAScheduler(max_t=EPOCHS, reduction_factor=3),
    "promotion": lambda: tune.PromotionASHAScheduler(max_t=EPOCHS, reduction_factor=3),
    "hyperband": lambda: tune.HyperBandScheduler(max_t=EPOCHS, reduction_factor=3),
    "pasha": lambda: tune.PASHAScheduler(max_t=EPOCHS, reduction_factor=3),
    "median": lambda: tune.MedianStoppingRule(),
    "fifo": lambda: None,
}


# Tasks.


class Table:
    """Curves that are on record: some hundred configs of a space, and nothing in between."""

    def __init__(self, path: Path, metric: str, space: Mapping[str, Any], *, alike: bool = False) -> None:
        self.metric, self.space, self.alike = metric, space, alike
        self.curves = list(tune.CurveTable.load(path))
        self.most = len(self.curves)
        self._number = {_key(curve.config): number for number, curve in enumerate(self.curves)}
        encoding = Encoding(Space(space))
        self.rows = np.array([encoding.coordinates(curve.config) for curve in self.curves])
        self.is_choice = np.array([parameter.options > 0 for parameter in encoding.parameters])
        self.encoding = encoding

    def number(self, config: Config) -> int:
        return self._number[_key(config)]

    def curve(self, config: Config, epoch: int) -> tuple[dict[str, float], float] | None:
        curve = self.curves[self.number(config)]
        if epoch > len(curve.seconds):
            return None
        return {self.metric: curve.metrics[self.metric][epoch - 1]}, 1.0 if self.alike else curve.seconds[epoch - 1]

    def best_losses(self) -> list[float]:
        return sorted(min(curve.metrics[self.metric]) for curve in self.curves)

    def searcher(self, name: str, seed: int) -> Searcher:
        return Listed(self, name, seed)

    def distances(self, config: Config) -> np.ndarray[Any, Any]:
        row = np.array(self.encoding.coordinates(config))
        apart = np.abs(self.rows - row)
        apart[:, self.is_choice] = np.where(apart[:, self.is_choice] > 0, OTHER_CHOICE, 0.0)
        return np.nansum(apart**2, axis=1)


class Listed(Searcher):
    """Another searcher, of whose configs the nearest of a table is taken that was not used yet."""

    def __init__(self, table: Table, name: str, seed: int) -> None:
        self._table, self._seed = table, seed
        self._inner = None if name == "random" else searcher_named(name).bound_to(Space(table.space), -1, seed)
        self._used: set[int] = set()

    def observe(self, event: Event, experiment: Experiment) -> None:
        if isinstance(event, Suggested):
            self._used.update(map(self._table.number, event.configs))
        if self._inner is not None:
            self._inner.observe(event, experiment)

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        used, chosen = set(self._used), []
        count = min(count, self._table.most - len(used))
        wished = [None] * count if self._inner is None else self._inner.suggest(count, experiment)
        for index, config in enumerate(wished):
            free = [number for number in range(self._table.most) if number not in used]
            if config is None:
                number = generator(self._seed, "listed", experiment.next_number + index).choice(free)
            else:
                number = free[int(self._table.distances(config)[free].argmin())]
            used.add(number)
            chosen.append(dict(self._table.curves[number].config))
        return chosen

    def is_exhausted(self, experiment: Experiment) -> bool:
        return len(self._used) >= self._table.most


class Crossing:
    """A formula: loss = end + (start - end) * (1 + epoch)**-speed, with noise in its logarithm."""

    metric = "loss"
    most = MOST_TRIALS
    space: Mapping[str, Any] = {
        "learning_rate": tune.loguniform(1e-5, 1.0),
        "width": tune.lograndint(8, 513),
        "decay": tune.loguniform(1e-7, 1e-1),
        "dropout": tune.uniform(0.0, 0.8),
        "warmup": tune.choice(["none", "linear", "cosine"]),
        "optimizer": tune.choice(
            [
                {"name": "sgd", "momentum": tune.uniform(0.0, 0.99)},
                {"name": "adam", "beta": tune.uniform(0.8, 0.999)},
                {"name": "rprop"},
            ]
        ),
    }

    def __init__(self, instance: int = 0) -> None:
        self.instance = instance

    def curve(self, config: Config, epoch: int) -> tuple[dict[str, float], float] | None:
        if epoch > EPOCHS:
            return None
        end, speed, seconds = self._shape(config)
        loss = end + (2.3 - end) * (1 + epoch) ** -speed
        noise = random.Random(f"{self.instance}/{_key(config)}/{epoch}").gauss(0, 1)
        return {"loss": loss * math.exp(0.01 * noise)}, seconds

    def _shape(self, config: Config) -> tuple[float, float, float]:
        optimizer, rate = config["optimizer"], math.log10(config["learning_rate"])
        at = {"sgd": -1.7, "adam": -3.0, "rprop": -2.3}[optimizer["name"]]
        if optimizer["name"] == "sgd":
            at += 1.2 * (0.9 - optimizer["momentum"])
        width, decay = math.log2(config["width"]) / 9, math.log10(config["decay"])
        off = rate - at
        # Too large a rate is worse than one too small, which is mostly slow.
        end = 0.10 + (0.25 * off**2 if off > 0 else 0.05 * off**2)
        end += 0.3 * (1 - width) ** 2 + 0.02 * (decay + 4) ** 2 + 0.4 * (config["dropout"] - 0.3 * width) ** 2
        end += {"none": 0.03, "linear": 0.01, "cosine": 0.0}[config["warmup"]]
        end += {"sgd": 0.1 * abs(optimizer.get("momentum", 0) - 0.9), "adam": 0.02, "rprop": 0.15}[optimizer["name"]]
        speed = min(max(1.6 + 0.4 * min(off, 1.0) - 0.5 * width * config["dropout"], 0.3), 2.0)
        speed *= {"none": 1.1, "linear": 1.0, "cosine": 0.9}[config["warmup"]]
        return min(end, 2.3), speed, 0.5 + width

    def best_losses(self) -> list[float]:
        encoding = Encoding(Space(self.space))
        rows = encoding.uniform(3_000, np.random.default_rng(0))
        configs = [encoding.config(row.tolist(), seed=0, number=number) for number, row in enumerate(rows)]
        return sorted(min(self._losses(config)) for config in configs)

    def _losses(self, config: Config) -> list[float]:
        found = [self.curve(config, epoch) for epoch in range(1, EPOCHS + 1)]
        return [one[0]["loss"] for one in found if one is not None]

    def searcher(self, name: str, seed: int) -> Searcher:
        return searcher_named(name).bound_to(Space(self.space), self.most, seed)


def _key(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True)


TASKS: dict[str, Callable[[], Any]] = {
    "digits": lambda: Table(make_digits_table.TABLE, "error", make_digits_table.SPACE),
    "epochs": lambda: Table(make_digits_table.TABLE, "error", make_digits_table.SPACE, alike=True),
    "crossing": Crossing,
}


@cache
def task_named(name: str) -> Any:
    return TASKS[name]()


@cache
def targets(name: str) -> list[float]:
    losses = task_named(name).best_losses()
    return [losses[max(round(share * len(losses)), 1) - 1] for share in SHARES]


# Measuring.


def times(job: tuple[str, str, str, int]) -> list[float]:
    """Return when each target was reached, and how many trials had been begun before the one that reached the first."""
    name, scheduler, searcher, seed = job
    task, wanted = task_named(name), targets(name)
    simulation = tune.simulate(
        task.curve,
        space=task.space,
        metric=task.metric,
        mode="min",
        scheduler=SCHEDULERS[scheduler](),
        searcher=task.searcher(searcher, derived_seed(seed, searcher) if searcher == "random" else seed),
        num_samples=task.most,
        workers=WORKERS,
        seed=seed,
        stop=tune.TargetStopper(task.metric, min(wanted), mode="min"),
    )
    found = [simulation.time_to(target) for target in wanted]
    winner = len(simulation.trials) if found[0] is None else simulation.best.id
    return [*(simulation.seconds if one is None else one for one in found), float(winner)]


def ratio(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> str:
    """Return the ratio of the means with its 95% interval by bootstrap over the seeds."""
    draws = np.random.default_rng(0).integers(len(ours), size=(2_000, len(ours)))
    low, high = np.quantile(ours[draws].mean(axis=1) / theirs[draws].mean(axis=1), [0.025, 0.975])
    return f"{ours.mean() / theirs.mean():.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedulers", nargs="+", default=[name for name in SCHEDULERS if name != "fifo"])
    parser.add_argument("--searchers", nargs="+", default=["bohb", "tpe"])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=None)
    options = parser.parse_args()
    with ProcessPoolExecutor(options.processes) as pool:
        for task in options.tasks:
            print(f"\n## {task}: {WORKERS} workers, {options.seeds} seeds, targets {targets(task)}", flush=True)
            for scheduler in options.schedulers:
                found = {}
                for searcher in ("random", *options.searchers):
                    jobs = [(task, scheduler, searcher, seed) for seed in range(options.seeds)]
                    found[searcher] = np.array(list(pool.map(times, jobs)))
                reference = found["random"]
                first, second, trials = reference.mean(axis=0)
                print(f"{scheduler:10s} random {first:.1f} s, {second:.1f} s, {trials:.0f} trials", end="")
                for searcher in options.searchers:
                    shown = [ratio(found[searcher][:, i], reference[:, i]) for i in range(len(SHARES) + 1)]
                    print(f" | {searcher} {', '.join(shown)}", end="")
                print(flush=True)


if __name__ == "__main__":
    main()

"""Searching with early stopping: how long until the best few percent, against random configs under the same scheduler.

`python -m benchmarks.search.fidelity [--schedulers asha ...] [--searchers tpe ...] [--tasks digits ...] [--seeds 20]`.
Virtual time, 8 asynchronous workers. A time is that at which a result is first as good as the whole curves of the best
1% (2%; of the formula 0.2%) of all configs. Shown is the ratio of the mean times to the best 1%, with a 95% interval
by bootstrap over the seeds, below 1 is faster: once to random configs under the same scheduler, and once to random
configs under stopping ASHA, which is what most people would else have. Then to random under the same scheduler the
ratio for the second target, and that of the trials begun before the one that reached the harder target. Who does not
get there counts with the time at which all was tried; with `--first-target` runs end at the best 1%.

Tasks:
    digits: 400 networks trained on digits, `benchmarks/schedulers/digits.npz`: real curves, real seconds.
    epochs: the same with one second for every epoch.
    cancer: 400 boosted models of the breast cancer data, `cancer.npz`, one second for every epoch; only to confirm on.
        The best learn slowly and are hardly among the first third after an epoch, so nobody is stopped before the 9th.
    crossing: power laws with noise in a mixed, conditional space; what falls fast often ends high.

In a table a searcher gets the curve of the nearest config that was not used yet, and learns whose curve it was.
"""

import argparse
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import tunesmith as tune
from benchmarks.schedulers import make_digits_table
from benchmarks.search import make_cancer_table
from tunesmith.core.events import Config, Event, Suggested
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Searcher
from tunesmith.core.seeds import derived_seed, generator
from tunesmith.searchers.named import searcher_named
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space

EPOCHS = 81
WORKERS = 8
OTHER_CHOICE = 0.5
"""How far two configs are apart that differ in one choice; a number's whole range is 1."""
MOST_TRIALS = 2_000
YARDSTICK = "asha"
"""Each searcher under each scheduler is compared with random configs under this one, too."""

SCHEDULERS: dict[str, Callable[[int], Any]] = {
    "asha": lambda grace: tune.ASHAScheduler(max_t=EPOCHS, reduction_factor=3, grace_period=grace),
    "promotion": lambda grace: tune.PromotionASHAScheduler(max_t=EPOCHS, reduction_factor=3, grace_period=grace),
    "hyperband": lambda grace: tune.HyperBandScheduler(max_t=EPOCHS, reduction_factor=3),
    "pasha": lambda grace: tune.PASHAScheduler(max_t=EPOCHS, reduction_factor=3, grace_period=grace),
    "median": lambda grace: tune.MedianStoppingRule(),
    "fifo": lambda grace: None,
}
"""Given the epoch before which no trial is stopped; the median rule keeps its own."""


# Tasks.


class Table:
    """Curves that are on record: some hundred configs of a space, and nothing in between."""

    shares = (0.01, 0.02)

    def __init__(
        self, path: Path, metric: str, space: Mapping[str, Any], *, alike: bool = False, grace_period: int = 1
    ) -> None:
        self.metric, self.space, self.alike, self.grace_period = metric, space, alike, grace_period
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
    grace_period = 1
    most = MOST_TRIALS
    shares = (0.01, 0.002)
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
        rows = encoding.uniform(5_000, np.random.default_rng(0))
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
    "cancer": lambda: Table(make_cancer_table.TABLE, "loss", make_cancer_table.SPACE, alike=True, grace_period=9),
    "crossing": Crossing,
}


@cache
def task_named(name: str) -> Any:
    return TASKS[name]()


@cache
def targets(name: str) -> list[float]:
    losses = task_named(name).best_losses()
    return [losses[max(round(share * len(losses)), 1) - 1] for share in task_named(name).shares]


# Measuring.


@dataclass(frozen=True)
class Job:
    """One run."""

    task: str
    scheduler: str
    searcher: str
    seed: int
    only_first: bool = False
    """Whether the run ends at the first target."""


def times(job: Job) -> list[float]:
    """Return when each target was reached, and how many trials had been begun before the last one's winner."""
    task, wanted = task_named(job.task), targets(job.task)
    if job.only_first:
        wanted = wanted[:1]
    random_seed = derived_seed(job.seed, job.searcher)
    simulation = tune.simulate(
        task.curve,
        space=task.space,
        metric=task.metric,
        mode="min",
        scheduler=SCHEDULERS[job.scheduler](task.grace_period),
        searcher=task.searcher(job.searcher, random_seed if job.searcher == "random" else job.seed),
        num_samples=task.most,
        workers=WORKERS,
        seed=job.seed,
        stop=tune.TargetStopper(task.metric, min(wanted), mode="min"),
    )
    found = [simulation.time_to(target) for target in wanted]
    winner = len(simulation.trials) if None in found else simulation.best.id
    return [*(simulation.seconds if one is None else one for one in found), float(winner)]


def ratio(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> str:
    """Return the ratio of the means with its 95% interval by bootstrap over the seeds."""
    draws = np.random.default_rng(0).integers(len(ours), size=(2_000, len(ours)))
    low, high = np.quantile(ours[draws].mean(axis=1) / theirs[draws].mean(axis=1), [0.025, 0.975])
    return f"{ours.mean() / theirs.mean():.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--schedulers", nargs="+", default=[name for name in SCHEDULERS if name != "fifo"])
    parser.add_argument("--searchers", nargs="+", default=["auto", "tpe", "bohb"])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first-seed", type=int, default=0, help="others than those that something was tuned on")
    parser.add_argument("--first-target", action="store_true", help="end a run at the best 1%%; several times as quick")
    parser.add_argument("--processes", type=int, default=None)
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    with ProcessPoolExecutor(options.processes) as pool:

        def measured(task: str, scheduler: str, searcher: str) -> np.ndarray[Any, Any]:
            jobs = [Job(task, scheduler, searcher, seed, options.first_target) for seed in seeds]
            return np.array(list(pool.map(times, jobs)))

        for task in options.tasks:
            print(
                f"\n## {task}: {WORKERS} workers, seeds {seeds[0]} to {seeds[-1]}, targets {targets(task)}", flush=True
            )
            yardstick = measured(task, YARDSTICK, "random")
            for scheduler in options.schedulers:
                alike = yardstick if scheduler == YARDSTICK else measured(task, scheduler, "random")
                print(
                    f"{scheduler:10s} random: {alike[:, 0].mean():.4g} s, {alike[:, -1].mean():.0f} trials", flush=True
                )
                for searcher in options.searchers:
                    found = measured(task, scheduler, searcher)
                    shown = [f"{ratio(found[:, 0], alike[:, 0])} of random's", ratio(found[:, 0], yardstick[:, 0])]
                    others = ", ".join(ratio(found[:, i], alike[:, i]) for i in range(1, found.shape[1]))
                    print(f"  {searcher:8s} {shown[0]}, {shown[1]} of {YARDSTICK} with random's; {others}", flush=True)


if __name__ == "__main__":
    main()

"""What a result costs each scheduler: a million of them through the real core, in virtual time.

The time per result (all that the core and the scheduler do for it) in the first tenth is set against that in the last
one: nothing may get slower as trials and results become many.

    python -m benchmarks.schedulers.cost [--quick] [NAME ...]
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from tunesmith import schedulers
from tunesmith.core.engine import Limits
from tunesmith.core.policy import Scheduler
from tunesmith.executors.simulated import SimulatedExecutor
from tunesmith.schedulers.asha_promotion import PromotionASHAScheduler
from tunesmith.schedulers.pasha import PASHAScheduler
from tunesmith.schedulers.top_k import TopKScheduler
from tunesmith.space.domains import uniform
from tunesmith.stoppers import NoopStopper
from tunesmith.testing.driver import Driver
from tunesmith.testing.searcher import KeyedSearcher

WORKERS = 100
LENGTH = 100
BOUND = 1.5
POPULATION: dict[str, Any] = {"time_attr": "training_iteration", "perturbation_interval": 10}
MUTATIONS = {"x": uniform(0.0, 1.0)}

MAKERS: dict[str, Callable[[], Scheduler]] = {
    "fifo": schedulers.FIFOScheduler,
    "asha": lambda: schedulers.ASHAScheduler(max_t=LENGTH),
    "asha, promotion": lambda: PromotionASHAScheduler(max_t=LENGTH),
    "hyperband": schedulers.HyperBandScheduler,
    "pasha": lambda: PASHAScheduler(max_t=LENGTH),
    "top k": lambda: TopKScheduler(first_rung=10),
    "median": lambda: schedulers.MedianStoppingRule(time_attr="training_iteration", grace_period=1),
    "percentile": schedulers.PercentileRule,
    "patience": lambda: schedulers.PatienceRule(20),
    "threshold": lambda: schedulers.ThresholdRule(upper={50: 0.9}),
    "pbt": lambda: schedulers.PopulationBasedTraining(hyperparam_mutations=MUTATIONS, **POPULATION),
    "mf-pbt": lambda: schedulers.MultiFrequencyPBT(hyperparam_mutations=MUTATIONS, **POPULATION),
    "multi-objective asha": lambda: schedulers.MultiObjectiveASHA(
        metric=["loss", "size"], mode=["min", "min"], max_t=LENGTH
    ),
    "resource changing": lambda: schedulers.ResourceChangingScheduler(schedulers.ASHAScheduler(max_t=LENGTH)),
}


def curve(config: dict[str, float]) -> Iterator[tuple[dict[str, float], float]]:
    """A noisy learning curve that ends where x says, on average."""
    noise = random.Random(config["x"])
    for step in range(LENGTH):
        yield {"loss": config["x"] + noise.random() / (step + 1), "size": 1 - config["x"]}, 0.5 + noise.random()


def measured(make: Callable[[], Scheduler], results: int) -> tuple[int, float, float, float]:
    """Return how many results there were, and the microseconds per result: in all, in the first and the last tenth."""
    driver = Driver(
        searcher=KeyedSearcher(draw=lambda draw: {"x": draw.random()}),
        scheduler=make(),
        stopper=NoopStopper(),
        executor=SimulatedExecutor(curve, workers=WORKERS, checkpoint_every=10),
        limits=Limits(),
        trials_wanted=None,
    )
    driver.remember = lambda step: None  # type: ignore[method-assign]  # the journal is not what is measured
    driver.turn(driver.opening)
    gc.collect()
    gc.freeze()
    marks = [(0, time.process_time())]
    while driver.experiment.results < results and driver.experiment.finished is None:
        driver.turn(driver.next_events())
        if driver.experiment.results >= marks[-1][0] + results / 10:
            marks.append((driver.experiment.results, time.process_time()))
    gc.unfreeze()
    cost = [(b[1] - a[1]) / (b[0] - a[0]) * 1e6 for a, b in pairwise(marks)]
    total = (marks[-1][1] - marks[0][1]) / max(1, marks[-1][0]) * 1e6
    return driver.experiment.results, total, cost[0], cost[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(MAKERS)}")
    parser.add_argument("--quick", action="store_true", help="a hundred thousand results in place of a million")
    arguments = parser.parse_args()
    results = 100_000 if arguments.quick else 1_000_000
    print(f"{'scheduler':22} {'results':>9} {'us/result':>10} {'first tenth':>12} {'last tenth':>11} {'ratio':>6}")
    for name in arguments.names or MAKERS:
        count, total, first, last = measured(MAKERS[name], results)
        verdict = "" if last <= BOUND * first else f"  above {BOUND}"
        print(f"{name:22} {count:9,} {total:10.1f} {first:12.1f} {last:11.1f} {last / first:6.2f}{verdict}", flush=True)


if __name__ == "__main__":
    main()

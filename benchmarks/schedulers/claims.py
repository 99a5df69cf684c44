"""What the papers say of their schedulers, measured in virtual time with many seeds: mean and 95% interval.

`python -m benchmarks.schedulers.claims [NAMES] [--seeds 20] [--quick]`. The curves are those of 400 networks trained on
the digits (`digits.npz`, made by `make_digits_table`), or where more are needed a formula's, which the text names.
"""

import argparse
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from pathlib import Path
from typing import Any

import tunesmith as tune

TABLE = Path(__file__).with_name("digits.npz")
EPOCHS = 81
WORKERS = (1, 10, 100, 500)


@cache
def digits() -> Any:
    return tune.CurveTable.load(TABLE)


def errors(number: int) -> list[float]:
    return list(digits()[number].metrics["error"])


def lowest(number: int) -> float:
    return min(errors(number))


def best_errors() -> list[float]:
    return sorted(map(lowest, range(len(digits()))))


def asha(**options: Any) -> Any:
    return tune.ASHAScheduler(max_t=EPOCHS, reduction_factor=3, **options)


def promotion(**options: Any) -> Any:
    return tune.PromotionASHAScheduler(max_t=EPOCHS, reduction_factor=3, **options)


# ASHA: more workers, and the first good config.


def formula(config: dict[str, float], epoch: int) -> dict[str, float] | None:
    """A power law with noise: where it ends has next to nothing to do with how fast it gets there."""
    if epoch > EPOCHS:
        return None
    noise = random.Random(f"{config['end']}/{epoch}").gauss(0, 0.02)
    return {"error": config["end"] + (1 - config["end"]) * epoch ** -config["speed"] + noise / epoch}


def wall_clock(workers: int, count: int, seed: int) -> float:
    simulation = tune.simulate(
        formula,
        space={"end": tune.uniform(0, 1), "speed": tune.uniform(0.3, 1.5)},
        metric="error",
        mode="min",
        scheduler=asha(),
        num_samples=count,
        workers=workers,
        seed=seed,
    )
    return float(simulation.seconds)


def scaling(run: "Runs") -> list[str]:
    """ASHA's wall-clock gain grows about linearly from 1 to 500 workers."""
    count = 2_000 if run.quick else 20_000
    lines = [f"{count:,} configs of a formula, {EPOCHS} epochs of 1 s at most, ASHA (eta 3):"]
    seconds = {workers: run.each(partial(wall_clock, workers, count)) for workers in WORKERS}
    for workers in WORKERS:
        gains = [one / many for one, many in zip(seconds[1], seconds[workers], strict=True)]
        share = statistics.mean(gains) / workers
        lines.append(
            f"  {workers:4} workers: {interval(seconds[workers])} s, gain {interval(gains)}, {share:.0%} of linear"
        )
    return lines


def lookup(config: dict[str, int], epoch: int) -> dict[str, float] | None:
    return {"accuracy": 1 - errors(config["number"])[epoch - 1]} if epoch <= EPOCHS else None


def first_good(make: Callable[[], Any], target: float, seed: int) -> float:
    simulation = tune.simulate(
        lookup,
        space={"number": tune.randint(0, len(digits()))},
        metric="accuracy",
        mode="max",
        scheduler=make(),
        num_samples=5_000,
        workers=500,
        seed=seed,
    )
    found = simulation.time_to(target)
    return math.inf if found is None else float(found)


def first(run: "Runs") -> list[str]:
    """ASHA with 500 workers finds a config within 2% of the best in less than twice one full training."""
    best = 1 - best_errors()[0]
    lines = [f"digits, 1 s an epoch, one full training {EPOCHS} s, best accuracy {best:.4f}, 500 workers:"]
    targets = {"accuracy within 2%": 0.98 * best, "error within 2%": 1 - 1.02 * (1 - best)}
    for name, make in {"ASHA (stopping)": asha, "ASHA (promotion)": promotion}.items():
        for label, target in targets.items():
            found = run.each(partial(first_good, make, target))
            trainings = statistics.mean(found) / EPOCHS
            lines.append(f"  {name:17} {label} of the best after {interval(found)} s, {trainings:.2f} trainings")
    return lines


# On the table: compute to a target, and quality for compute.


def compute_to(make: Callable[[], Any] | None, target: float, seed: int) -> float:
    scheduler = None if make is None else make()
    simulation = tune.simulate(digits(), metric="error", mode="min", scheduler=scheduler, seed=seed)
    found = simulation.time_to(target, compute=True)
    return math.inf if found is None else float(found)


def hyperband(run: "Runs") -> list[str]:
    """HyperBand is at least 5 times faster to a target than random search with full trainings."""
    ranked = best_errors()
    lines = ["digits, CPU seconds of training until an error is first seen:"]
    for place, name in ((0, "the best of all 400 configs"), (3, "the fourth best (1%)"), (7, "the eighth best (2%)")):
        full = run.each(partial(compute_to, None, ranked[place]))
        lines.append(f"  {name} ({ranked[place]:.4f}): random search {interval(full)} s")
        for label, make in {
            "HyperBand": tune.HyperBandScheduler,
            "ASHA (stopping)": asha,
            "ASHA (promotion)": promotion,
        }.items():
            found = run.each(partial(compute_to, make, ranked[place]))
            ratio = statistics.mean(full) / statistics.mean(found)
            lines.append(f"    {label:33} {interval(found)} s, {ratio:.1f} times faster")
    return lines


def spent_and_found(make: Callable[[], Any], seed: int) -> tuple[int, float]:
    """Return the epochs trained, and how good the config that came out best would be when trained to its end."""
    simulation = tune.simulate(digits(), metric="error", mode="min", scheduler=make(), workers=4, seed=seed)
    config = simulation.best.config
    number = next(number for number, curve in enumerate(digits()) if curve.config == config)
    return simulation.iterations, lowest(number)


def pasha(run: "Runs") -> list[str]:
    """PASHA needs at most half of ASHA's compute at equal quality."""
    lines = ["digits, 4 workers; epochs trained, and the error of the config found when it is trained to its end:"]
    asha_epochs = 0.0
    for name, make in {
        "ASHA (stopping)": asha,
        "ASHA (promotion)": promotion,
        "PASHA": tune.PASHAScheduler,
        "PASHA, rungs from 3": partial(tune.PASHAScheduler, grace_period=3),
    }.items():
        found = run.each(partial(spent_and_found, make))
        epochs = [float(spent) for spent, _ in found]
        asha_epochs = asha_epochs or statistics.mean(epochs)
        share = statistics.mean(epochs) / asha_epochs
        lines.append(f"  {name:20} {interval(epochs)} epochs ({share:.0%}), error {interval([e for _, e in found])}")
    return lines


# A moving optimum.


def chased(config: dict[str, float], epoch: int, state: Any) -> Any:
    """A score that grows fast only while the rate is near an optimum that moves from 0.9 down to 0.1."""
    if epoch > 100:
        return None
    optimum = 0.9 - 0.8 * epoch / 100
    score = (state or 0.0) + math.exp(-(((config["rate"] - optimum) / 0.1) ** 2))
    return {"score": score}, 1.0, score


def chase(make: Callable[[], Any] | None, members: int, seed: int) -> float:
    space = {"rate": tune.grid_search([number / 100 for number in range(101)])} if make is None else {
        "rate": tune.uniform(0, 1)
    }  # fmt: skip
    simulation = tune.simulate(
        chased,
        space=space,
        metric="score",
        mode="max",
        scheduler=None if make is None else make(),
        num_samples=members,
        workers=16,
        seed=seed,
    )
    return float(simulation.best_value)


POPULATION: dict[str, Any] = {"time_attr": "training_iteration", "perturbation_interval": 5}


def population(run: "Runs") -> list[str]:
    """PBT beats the best fixed schedule where the optimum moves."""
    lines = ["the best rate moves from 0.9 to 0.1 over 100 steps; final score (100 would follow it exactly):"]
    lines.append(f"  best of 101 fixed rates   {chase(None, 1, 0):.1f}")
    pbt = partial(tune.PopulationBasedTraining, hyperparam_mutations={"rate": tune.uniform(0, 1)}, **POPULATION)
    pb2 = partial(tune.PB2, hyperparam_bounds={"rate": [0, 1]}, **POPULATION)
    for name, make, members in (("PBT", pbt, 16), ("PB2", pb2, 8)):
        found = run.each(partial(chase, make, members))
        lines.append(f"  {name} with {members:2} members       {interval(found)}, worst {min(found):.1f}")
    return lines


# How it is run and shown.


class Runs:
    """Runs one measurement for each seed, on all cores."""

    def __init__(self, seeds: int, quick: bool, pool: ProcessPoolExecutor) -> None:
        self.seeds, self.quick, self._pool = seeds, quick, pool

    def each(self, measure: Callable[[int], Any]) -> list[Any]:
        return list(self._pool.map(measure, range(self.seeds)))


def interval(values: Sequence[float]) -> str:
    """Return the mean with half its 95% interval."""
    if any(map(math.isinf, values)):
        return f"not reached in {sum(map(math.isinf, values))} of {len(values)} runs"
    from scipy.stats import t

    mean = statistics.mean(values)
    half = t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return f"{mean:.4g} ± {half:.2g}"


CLAIMS: dict[str, Callable[[Runs], list[str]]] = {
    "scaling": scaling,
    "first": first,
    "hyperband": hyperband,
    "pasha": pasha,
    "population": population,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(CLAIMS)} (default: all)")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--quick", action="store_true", help="4 seeds and fewer configs")
    options = parser.parse_args()
    if unknown := set(options.names) - set(CLAIMS):
        sys.exit(f"there is no claim called {', '.join(sorted(unknown))}; there are {', '.join(CLAIMS)}")
    with ProcessPoolExecutor() as pool:
        run = Runs(4 if options.quick else options.seeds, options.quick, pool)
        for name in options.names or CLAIMS:
            began = time.perf_counter()
            lines = CLAIMS[name](run)
            took = time.perf_counter() - began
            print(
                f"\n## {name}\n{CLAIMS[name].__doc__} ({run.seeds} seeds, {took:.0f} s)\n", *lines, sep="\n", flush=True
            )


if __name__ == "__main__":
    main()

"""`compare`: what would other schedulers have cost and found on the runs that are there? Nothing is run for it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush
from typing import Any

from . import arguments
from .analysis.comparisons import Compared, Comparison, Outcome
from .analysis.curves import CurveTable
from .analysis.simulations import Simulation
from .core.objective import Objective
from .core.policy import Scheduler
from .errors import ConfigError
from .schedulers.fifo import FIFOScheduler
from .schedulers.named import scheduler_named
from .simulation import Curves, drawn, simulate, table_of

FIRST = "fifo"
"""The row that all others are measured by."""
USUAL = ("asha", "median")


def compare(
    experiment: Curves,
    schedulers: Mapping[str, Scheduler | str] | Iterable[Scheduler | str] = USUAL,
    *,
    metric: str | None = None,
    mode: str | None = None,
    workers: int | None = None,
    seeds: int = 20,
    start_delay: float = 0.0,
    on_progress: Callable[[str, int], None] | None = None,
) -> Comparison:
    """Return what each scheduler would have found and cost on curves that are on record.

    Each is simulated on all recorded trials, in `seeds` random orders; the first row is first come, first served, which
    lets every trial run to its end. A comparison is exact only where a scheduler stops a trial no later than the run
    that recorded it did; trials that want to go on there are counted as censored, and their scheduler is not ranked.

    Args:
        experiment: An experiment that has run (its `Results` or folder), or a table of curves as `simulate` takes it.
        schedulers: Names such as "asha" or "asha(max_t=27, grace_period=1)", objects, or a dict of these by label. What
            is named gets the longest curve as its `max_t`, if it has one and nothing else is said.
        metric: What to rank by; default: what the experiment optimised.
        mode: "min" or "max".
        workers: How many trials run at once; default: as many as did when it was recorded.
        seeds: How many random orders.
        start_delay: Seconds that a worker takes to begin with a trial, also with one that was paused.
        on_progress: Called with the scheduler's name and how many of its simulations are done.

    Raises:
        ConfigError: An argument makes no sense, or there is nothing to compare.
    """
    table = table_of(experiment)
    if table is None:
        raise ConfigError(
            f"compare({experiment!r}): give an experiment that has run, or a table of learning curves. "
            "What a function would do: tune.simulate."
        )
    objective = _objective(table, metric, mode)
    best = table.best(objective)
    if best is None:
        raise ConfigError(f"no recorded curve has a usable {objective.metric!r}, so there is nothing to compare.")
    seeds = arguments.whole_number("seeds", seeds, at_least=1)
    workers = table.workers or 1 if workers is None else arguments.whole_number("workers", workers, at_least=1)
    start_delay = arguments.number("start_delay", start_delay, at_least=0)
    whole = table.seconds + len(table) * start_delay
    rows = [Compared(FIRST, _to_the_end(table, best, workers, seeds, start_delay), best, objective.mode)]
    said = dict.fromkeys(table.notes)
    for label, scheduler in _labelled(schedulers, table.longest).items():
        outcomes = []
        for seed in range(seeds):
            found = simulate(
                table,
                metric=objective.metric,
                mode=objective.mode,
                scheduler=scheduler,
                workers=workers,
                seed=seed,
                start_delay=start_delay,
            )
            outcomes.append(_outcome(found, seed, best, whole))
            if not seed:
                said.update(dict.fromkeys(f"{label}: {word}" for word in found.said))
            if on_progress is not None:
                on_progress(label, seed + 1)
        rows.append(Compared(label, tuple(outcomes), best, objective.mode))
    return Comparison(
        rows=tuple(rows),
        objective=objective,
        best=best,
        trials=len(table),
        cut=sum(not curve.is_complete for curve in table),
        workers=workers,
        seeds=seeds,
        notes=tuple(said),
    )


def _outcome(found: Simulation, seed: int, best: float, whole: float) -> Outcome:
    value = found.best_value if found.incumbent else math.nan
    return Outcome(
        seed=seed,
        value=value,
        regret=abs(value - best),
        compute=found.compute_seconds / whole if whole else 1.0,
        seconds=found.seconds,
        stopped=found.stopped_early,
        censored=found.censored,
    )


def _to_the_end(table: CurveTable, best: float, workers: int, seeds: int, start_delay: float) -> tuple[Outcome, ...]:
    """Return what first come, first served finds and costs: all there is. To simulate it would take longest of all."""
    cut = sum(not curve.is_complete for curve in table)
    outcomes = []
    for seed in range(seeds):
        free = [0.0] * workers
        for curve in drawn(table, seed):
            at = heappop(free) + start_delay
            for seconds in curve.seconds:  # one by one, so that they round as in a simulation
                at += seconds
            heappush(free, at)
        outcomes.append(Outcome(seed, best, 0.0, 1.0, max(free), 0, cut))
    return tuple(outcomes)


def _objective(table: CurveTable, metric: str | None, mode: str | None) -> Objective:
    own = table.objective
    if own is not None and metric in (None, own.metric):
        metric, mode = own.metric, mode or own.mode
    if metric is None:
        raise ConfigError(f"compare by what? Add metric= and mode=. The curves have: {', '.join(table.names)}.")
    table.check_metric(metric)
    if mode is None:
        raise ConfigError(f"metric={metric!r}: is lower or higher better? Add mode='min' or mode='max'.")
    return Objective(metric, mode)


def _labelled(schedulers: Any, longest: int) -> dict[str, Scheduler]:
    """Return the schedulers by their labels, those that were named as objects."""
    if isinstance(schedulers, str | Scheduler):
        schedulers = [schedulers]
    if isinstance(schedulers, Mapping):
        given = {str(label): scheduler for label, scheduler in schedulers.items()}
    else:
        given = {}
        for scheduler in schedulers:
            label = scheduler if isinstance(scheduler, str) else type(scheduler).__name__
            if label in given and not isinstance(scheduler, str):
                raise ConfigError(f"two schedulers are a {label}. Give them names: {{'small': ..., 'large': ...}}.")
            given[label] = scheduler
    found = {}
    for label, scheduler in given.items():
        chosen = scheduler_named(scheduler, max_t=longest) if isinstance(scheduler, str) else scheduler
        if not isinstance(chosen, Scheduler):
            raise ConfigError(f"schedulers=: {scheduler!r} is no scheduler. Give a name such as 'asha', or an object.")
        if label == FIRST and type(chosen) is not FIFOScheduler:
            raise ConfigError(f"the label {FIRST!r} is that of the first row, every trial to its end. Choose another.")
        if label != FIRST:
            found[label] = chosen
    return found

"""Runs what is missing: methods x problems x modes x seeds, and adds each run to the records as soon as it is done."""

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path

from . import records
from .clock import Mode, losses_of
from .methods import PEERS, Method, Missing, Peer, peers_python
from .problems import problem
from .records import Key, Record


def run_missing(
    methods: Sequence[str],
    problems: Sequence[str],
    *,
    modes: Sequence[Mode],
    seeds: Iterable[int],
    path: Path,
    known: Mapping[Key, Record],
    pythons: Sequence[str] = (),
) -> dict[tuple[str, str], str]:
    """Run it, seed by seed, so that who stops early has all problems.

    Returns:
        (peer, problem) -> why it could not.
    """
    missing: dict[tuple[str, str], str] = {}
    drivers: dict[str, Peer] = {}
    try:
        for seed, method, name, (workers, budget) in product(seeds, methods, problems, modes):
            if (method, name, workers, budget, seed) in known or (method, name) in missing:
                continue
            try:
                record = one(method, name, (workers, budget), seed, drivers, pythons)
            except Missing as reason:
                if method in drivers:
                    drivers.pop(method).close()
                missing[method, name] = str(reason)
                print(f"{method} cannot run {name}: {reason}", flush=True)
            else:
                records.add(path, record)
    finally:
        for driver in drivers.values():
            driver.close()
    return missing


def one(name: str, of: str, mode: Mode, seed: int, drivers: dict[str, Peer], pythons: Sequence[str]) -> Record:
    """Return one run."""
    workers, budget = mode
    began = time.perf_counter()
    chosen = problem(of)
    if name in PEERS:
        if name not in drivers:
            drivers[name] = Peer(name, peers_python(pythons, name))
        drivers[name].start(chosen.parameters, seed, budget, workers)
        method: Method = drivers[name]
    else:
        from .ours import Tunesmith  # here, so that peers run whatever state ours are in

        method = Tunesmith(name, chosen.parameters, seed, budget, workers)
    losses = losses_of(method, chosen, seed=seed, budget=budget, workers=workers)
    took = time.perf_counter() - began
    print(f"{name:14s} {of:28s} workers={workers} seed={seed} best={min(losses):.6g} {took:.1f} s", flush=True)
    return Record(name, of, workers, budget, seed, losses, 1e3 * method.cpu / budget)

"""Runs what is missing: methods x problems x modes x seeds, and adds each run to the records as soon as it is done."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from . import records
from .clock import losses_of
from .methods import PEERS, Method, Missing, Peer, Tunesmith, peers_python
from .problems import problem
from .records import Key, Record


def run_missing(
    methods: Sequence[str],
    problems: Sequence[str],
    *,
    workers: Sequence[int],
    budget: int,
    seeds: Iterable[int],
    path: Path,
    known: Mapping[Key, Record],
    pythons: Sequence[str] = (),
) -> dict[str, str]:
    """Run it, seed by seed, so that whoever stops early has all problems. Return why a peer could not: name -> reason."""
    missing: dict[str, str] = {}
    drivers: dict[str, Peer] = {}
    try:
        for seed in seeds:
            for method in methods:
                for name in problems:
                    for count in workers:
                        if (method, name, count, budget, seed) in known or method in missing:
                            continue
                        try:
                            record = one(method, name, count, budget, seed, drivers, pythons)
                        except Missing as reason:
                            if method in drivers:
                                drivers.pop(method).close()
                            missing[method] = f"{name}: {reason}"
                            print(f"{method} cannot run {name}: {reason}", flush=True)
                        else:
                            records.add(path, record)
    finally:
        for driver in drivers.values():
            driver.close()
    return missing


def one(
    name: str, of: str, workers: int, budget: int, seed: int, drivers: dict[str, Peer], pythons: Sequence[str]
) -> Record:
    """Return one run."""
    began = time.perf_counter()
    chosen = problem(of)
    if name in PEERS:
        if name not in drivers:
            drivers[name] = Peer(name, peers_python(pythons, name))
        drivers[name].start(chosen.parameters, seed, budget, workers)
        method: Method = drivers[name]
    else:
        method = Tunesmith(name, chosen.parameters, seed, budget, workers)
    losses = losses_of(method, chosen, seed=seed, budget=budget, workers=workers)
    took = time.perf_counter() - began
    print(f"{name:14s} {of:28s} workers={workers} seed={seed} best={min(losses):.6g} {took:.1f} s", flush=True)
    return Record(name, of, workers, budget, seed, losses, 1e3 * method.cpu / budget)

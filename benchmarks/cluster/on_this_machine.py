"""Tunesmith on this machine alone, where no machine here has as many workers as a cluster (see `peers.common`)."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import tunesmith as tune
from benchmarks.peers.common import Answer, main


def rates(folder: Path, trials: int, rate: float, seconds: float) -> Answer:
    """Trials that all run at once, in processes of this machine, and report `rate` times a second: seconds in all."""

    def train(config: dict[str, Any]) -> None:
        began = time.monotonic()
        for step in range(int(rate * seconds)):
            # As a loop with work of a constant length does it: late once is late for good.
            time.sleep(max(0.0, 1 / rate))
            tune.report({"score": config["x"], "step": step, "late": time.monotonic() - began - (step + 1) / rate})

    driver = time.process_time()
    began = time.perf_counter()
    run(folder, train, trials, cpus=trials)
    taken = time.perf_counter() - began
    stored, _ = reports(folder)
    return {
        "seconds": taken,
        "ideal": seconds,
        "over": taken / seconds,
        "lost": trials * int(rate * seconds) - stored,
        "busy": (time.process_time() - driver) / taken,
    }


def keeps_up(folder: Path, workers: int, seconds: int) -> Answer:
    """Virtual workers that report once a second: which part of that time the driver works, journal and files included.

    What the simulator does in place of the workers, and the workers' own code, is counted too.
    """

    def curve(config: dict[str, Any]) -> Iterator[tuple[dict[str, float], float]]:
        # Spread over the second, as real workers are.
        yield {"score": 0.0}, config["x"]
        for step in range(1, seconds):
            yield {"score": 1 - config["x"] / step}, 1.0

    driver = time.process_time()
    began = time.perf_counter()
    run(folder, curve, workers, executor=tune.SimulatedExecutor(workers=workers), metric="score", mode="max")
    taken, driver = time.perf_counter() - began, time.process_time() - driver
    stored, until = reports(folder)
    return {
        "busy": driver / until,
        "busy_wall": taken / until,
        "rate": stored / until,
        "us": 1e6 * driver / stored,
        "lost": workers * seconds - stored,
    }


def run(folder: Path, train: Any, samples: int, **options: Any) -> tune.Results:
    return tune.run(
        train,
        space={"x": tune.uniform(0, 1)},
        num_samples=samples,
        storage_path=folder,
        name="experiment",
        verbose=False,
        **options,
    )


def reports(folder: Path) -> tuple[int, float]:
    """Return how many results the journal has, and the time of its newest event."""
    with closing(sqlite3.connect(folder / "experiment" / "journal.db")) as journal:
        ((count,),) = journal.execute("SELECT count(*) FROM events WHERE kind = 'Reported'")
        ((payload,),) = journal.execute("SELECT payload FROM events ORDER BY seq DESC LIMIT 1")
        return count, json.loads(payload)["at"]


if __name__ == "__main__":
    main("tunesmith", {"rates": rates, "keeps_up": keeps_up})

"""Tunesmith over Ray's core, and a bare actor of Ray's beside it (called as `benchmarks.peers.common` says)."""

from __future__ import annotations

import json
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import tunesmith as tune
from benchmarks.cluster.ray_alone import ray_alone, steady_rate
from benchmarks.peers.common import CPUS, Answer, main


def run(folder: Path | str, train: Any, samples: int, **options: Any) -> tune.Results:
    options = {"space": {"x": tune.uniform(0, 1)}, "executor": "ray", **options}
    return tune.run(train, num_samples=samples, storage_path=folder, verbose=False, **options)


def no_op(config: dict[str, Any]) -> None:
    tune.report({"score": config["x"]})


def trials(folder: Path, fresh: int, reused: int) -> Answer:
    """No-op trials per second: whole calls of `tune.run`, and what it comes to after the first one's end."""
    with ray_alone(CPUS):
        # What is imported on first use is in nobody's figure.
        run(folder, no_op, 1, name="warm-up")
        answer: Answer = {}
        for name, count, reuse in (("fresh", fresh, False), ("reused", reused, True)):
            began = time.perf_counter()
            run(folder, no_op, count, name=name, reuse_workers=reuse)
            answer[name] = count / (time.perf_counter() - began)
            ended = times(folder / name, "AttemptEnded")
            assert len(ended) == len(times(folder / name, "Reported")) == count
            answer[f"{name}_steady"] = steady_rate(ended)
    return answer


def results(folder: Path, count: int) -> Answer:
    """Two trials that report as fast as they can: results per second into the journal, and how many are not there."""

    def train(config: dict[str, Any]) -> None:
        for step in range(count):
            tune.report({"loss": 1 / (step + 1), "accuracy": step / count, "score": config["x"]})

    with ray_alone(CPUS):
        run(folder, no_op, 1, name="warm-up")
        began = time.perf_counter()
        run(folder, train, CPUS, name="results")
        seconds = time.perf_counter() - began
    rows = query(
        folder / "results",
        "SELECT trial, count(DISTINCT json_extract(payload, '$.number')), max(json_extract(payload, '$.number')) "
        "FROM events WHERE kind = 'Reported' GROUP BY trial",
    )
    assert [most for _, _, most in rows] == [count] * CPUS
    stored = sum(each for _, each, _ in rows)
    return {
        "count": CPUS * count,
        "rate": stored / seconds,
        "steady": steady_rate(times(folder / "results", "Reported")),
        "lost": CPUS * count - stored,
    }


class Bare:
    """An actor that does nothing."""

    def when(self) -> float:
        """Return the time."""
        return time.time()


def first(folder: Path, times: int) -> Answer:
    """Seconds until a first trial runs, and until a bare actor's first method does, in turns.

    The first of each finds a process of Ray's that waits for work; for all others Ray has to start one.
    """
    import ray

    def train(config: dict[str, Any]) -> None:
        tune.report({"at": time.time()})

    def ours(number: int) -> float:
        began = time.time()
        return run(folder, train, 1, name=f"first-{number}")[0].history[-1]["at"] - began

    def bare() -> float:
        began = time.time()
        actor = ray.remote(num_cpus=1)(Bare).remote()
        seconds: float = ray.get(actor.when.remote()) - began
        ray.kill(actor)
        return seconds

    # What Tunesmith imports on first use is imported by now, as Ray is.
    tune.run(no_op, storage_path=folder, name="warm-up", verbose=False, executor="local")
    answer: Answer = {"ours": [], "bare": []}
    with ray_alone(CPUS):
        for number in range(times + 1):
            for name in ("ours", "bare") if number % 2 else ("bare", "ours"):
                answer[name].append(ours(number) if name == "ours" else bare())
                time.sleep(1.0)
    return {
        **answer,
        "seconds": answer["ours"][1:],
        "bare_seconds": answer["bare"][1:],
        "idle": answer["ours"][0],
        "bare_idle": answer["bare"][0],
    }


def bookkeeping(folder: Path, trials: int, slots: int) -> Answer:
    """Trials of one second, `slots` at a time, on reused workers: seconds in all."""

    def train(config: dict[str, Any]) -> None:
        time.sleep(1.0)
        tune.report({"score": config["x"]})

    with ray_alone(slots):
        began = time.perf_counter()
        run(folder, train, trials, name="bookkeeping", reuse_workers=True)
        seconds = time.perf_counter() - began
    assert len(times(folder / "bookkeeping", "TrialCompleted")) == trials
    return {"seconds": seconds, "ideal": trials / slots, "over": seconds / (trials / slots)}


def durable(folder: Path, port: int, trials: int, seconds: float, every: float, megabytes: float) -> Answer:
    """Trials over Ray that save to S3 each so many seconds, all at once: seconds in all, and how many have saved."""
    import fsspec

    # In place before Ray's processes start, which take them over.
    os.environ.update(
        AWS_ENDPOINT_URL=f"http://127.0.0.1:{port}",
        AWS_ACCESS_KEY_ID="key",
        AWS_SECRET_ACCESS_KEY="secret",
        AWS_DEFAULT_REGION="us-east-1",
    )

    def train(config: dict[str, Any]) -> None:
        file = tune.get_context().trial_folder / "weights"
        for _ in range(int(seconds / every)):
            time.sleep(every)
            file.write_bytes(os.urandom(int(megabytes * 1e6)))
            tune.report({"score": config["x"]}, checkpoint=file)

    fsspec.filesystem("s3").mkdir("bench")
    with ray_alone(trials):
        began = time.perf_counter()
        run("s3://bench/durable", train, trials, name="durable")
        taken = time.perf_counter() - began
    names = fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True).find("bench")
    kept = {name.rpartition("/checkpoints/")[0] for name in names if name.endswith("/.checkpoint.json")}
    return {"seconds": taken, "ideal": seconds, "over": taken / seconds, "kept": len(kept)}


def times(folder: Path, kind: str) -> list[float]:
    """Return when something happened, in seconds of the experiment."""
    return [json.loads(text)["at"] for (text,) in query(folder, f"SELECT payload FROM events WHERE kind = '{kind}'")]


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        return journal.execute(sql).fetchall()


if __name__ == "__main__":
    main(
        "ray",
        {
            "trials": trials,
            "results": results,
            "first": first,
            "bookkeeping": bookkeeping,
            "durable": durable,
        },
    )

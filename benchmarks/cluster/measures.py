"""The measures of `benchmarks.cluster.run`, each a function from how to measure to the figures."""

import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.cluster.ratios import ratio, times
from benchmarks.figures import Figure
from benchmarks.subjects import ON_THIS_MACHINE, OVER_RAY, TUNESMITH, Answer, Bench, compared

RAY_TUNE = "benchmarks.cluster.with_ray_tune"
TUNE, BARE = "Ray Tune", "bare actor"


def trials(bench: Bench) -> list[Figure]:
    """No-op trials per second: 1,000 of each kind over Ray, of which Ray Tune gets 30 with a fresh process each."""
    few = 4 if bench.quick else 1
    answers = bench.rounds(
        3,
        {
            TUNESMITH: lambda: bench.ask(OVER_RAY, "trials", fresh=1000 // few, reused=1000 // few),
            TUNE: lambda: bench.ask(RAY_TUNE, "trials", fresh=32 // few, reused=1000 // few),
        },
    )
    ours, theirs = answers[TUNESMITH], answers[TUNE]
    return [
        compared("no-op trials, a fresh process each", "trials/s", answers, "fresh"),
        times("the same", ours, theirs, "fresh", 100),
        compared("after the first one's end", "trials/s", answers, "fresh_steady"),
        times("the same", ours, theirs, "fresh_steady"),
        compared("no-op trials, processes used again", "trials/s", answers, "reused"),
        times("the same", ours, theirs, "reused", 50),
        compared("after the first one's end", "trials/s", answers, "reused_steady"),
        times("the same", ours, theirs, "reused_steady"),
    ]


def results(bench: Bench) -> list[Figure]:
    """Results of three metrics from two workers of Ray's into the store, as fast as they can."""
    few = 4 if bench.quick else 1
    answers = bench.rounds(
        3,
        {
            TUNESMITH: lambda: bench.ask(OVER_RAY, "results", count=100_000 // few),
            TUNE: lambda: bench.ask(RAY_TUNE, "results", count=500 // few),
        },
    )
    return [
        compared("results, the call of `run` in all", "results/s", answers, "rate", 20_000),
        compared("from the first one to the last", "results/s", answers, "steady"),
        times("the same", answers[TUNESMITH], answers[TUNE], "steady"),
        compared("results reported", "", answers, "count"),
        compared("of these, not in the store", "", answers, "lost", 0, at_most=True),
    ]


def first(bench: Bench) -> list[Figure]:
    """From the call of `run` until the first trial runs, beside a bare actor of Ray's, on a Ray that is up."""
    count = 3 if bench.quick else 8
    ours = bench.ask(OVER_RAY, "first", times=count)
    theirs = bench.ask(RAY_TUNE, "first", times=2 if bench.quick else 4)
    if "missing" in ours:
        return [Figure("the first trial", "s", ours["missing"])]
    middle, interval = ratio(ours["seconds"], ours["bare_seconds"])
    others = {TUNE: _median(theirs, "seconds"), BARE: _median(ours, "bare_seconds")}
    where_idle = {TUNE: theirs.get("idle"), BARE: ours["bare_idle"]}
    return [
        Figure("the first trial runs", "s", _median(ours, "seconds"), others),
        Figure("the same, a bare actor being 1", "times", middle, target=1.5, at_most=True, interval=interval),
        Figure("where a process of Ray's waits idle", "s", ours["idle"], where_idle),
    ]


def _median(answer: Answer, key: str) -> float | str:
    return statistics.median(answer[key]) if key in answer else str(answer.get("missing"))


def bookkeeping(bench: Bench) -> list[Figure]:
    """Ray's release test: 10,000 trials of a second, 16 at a time, on reused workers; 800 s where 625 s are ideal."""
    trials = 640 if bench.quick else 10_000
    answer = bench.ask(OVER_RAY, "bookkeeping", until=1800, trials=trials, slots=16)
    return _against_ideal(f"{trials:,} trials of 1 s, 16 at a time, over Ray", answer, 800 / 625)


def rates(bench: Bench) -> list[Figure]:
    """Ray's release test, on one machine: 1,000 trials that report 10 times a second; 120 s where 100 s are ideal."""
    trials, seconds = (200, 20) if bench.quick else (1000, 100)
    answer = bench.ask(ON_THIS_MACHINE, "rates", trials=trials, rate=10, seconds=seconds)
    return [
        *_against_ideal(f"{trials:,} trials at once, 10 results/s each", answer, 120 / 100),
        Figure("results that are not in the journal", "", _of(answer, "lost"), target=0, at_most=True),
        Figure("of that time the driver worked", "", _of(answer, "busy")),
    ]


def durable(bench: Bench) -> list[Figure]:
    """Ray's release test, a fifth of it: 16 trials, 10 MB each to S3 every 10 s; 500 s where 300 s are ideal."""
    seconds, every = (20, 10) if bench.quick else (60, 10)
    with s3() as port:
        answer = bench.ask(OVER_RAY, "durable", trials=16, seconds=seconds, every=every, megabytes=10, port=port)
    return [
        *_against_ideal(f"16 trials, 10 MB each to S3 every {every} s, for {seconds} s", answer, 500 / 300),
        Figure("trials with their last checkpoint there", "", _of(answer, "kept"), target=16),
    ]


def keeps_up(bench: Bench) -> list[Figure]:
    """Virtual workers that report once a second, over real lines: which part of its time the driver works."""
    workers, seconds = (2000, 20) if bench.quick else (10_000, 60)
    answer = bench.ask(ON_THIS_MACHINE, "keeps_up", workers=workers, seconds=seconds)
    return [
        Figure(
            f"{workers:,} workers, a result a second each", "of time", _of(answer, "busy"), target=0.5, at_most=True
        ),
        Figure("results that came", "results/s", _of(answer, "rate"), target=0.98 * workers),
        Figure("the driver's CPU time for each", "us", _of(answer, "us")),
        Figure("results that are not in the journal", "", _of(answer, "lost"), target=0, at_most=True),
    ]


def _against_ideal(name: str, answer: Answer, bound: float) -> list[Figure]:
    return [
        Figure(name, "s", _of(answer, "seconds"), {"ideal": answer.get("ideal")}),
        Figure("the same, the ideal being 1", "times", _of(answer, "over"), target=bound, at_most=True),
    ]


def _of(answer: Answer, key: str) -> float | str:
    found: float | str = answer.get(key, answer.get("missing", "has none"))
    return found


@contextlib.contextmanager
def s3() -> Iterator[int]:
    """Have an S3 server of moto's on this machine; give its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while server.poll() is None and time.monotonic() < until:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port)).close()
                break
            time.sleep(0.1)
        yield port
    finally:
        server.kill()
        server.wait()

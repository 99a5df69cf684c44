"""No-op trials per second: what a tuner costs per trial when the training costs nothing."""

from benchmarks.figures import Figure
from benchmarks.subjects import OPTUNA, OURS, POOL, RAY, SYNE, TUNESMITH, Bench, compared


def measure(bench: Bench) -> list[Figure]:
    few = 4 if bench.quick else 1
    counts = {"fresh": 1000 // few, "reused": 10_000 // few, "torch": 1000 // few}
    answers = bench.rounds(
        3,
        {
            TUNESMITH: lambda: bench.ask(OURS, "trials", **counts),
            "Ray Tune": lambda: bench.ask(RAY, "trials", fresh=8, reused=100, torch=4),
            "Syne Tune": lambda: bench.ask(SYNE, "trials", fresh=12, torch=4),
            "Optuna SQLite": lambda: bench.ask(OPTUNA, "trials", reused=200, store="sqlite"),
            "Optuna journal": lambda: bench.ask(OPTUNA, "trials", reused=2000 // few, store="journal"),
            "bare process pool": lambda: bench.ask(POOL, "trials", reused=10_000),
        },
    )
    return [
        compared("no-op trials, a fresh process each", "trials/s", answers, "fresh", 150),
        compared("the same, their module imports torch", "trials/s", answers, "torch", 80),
        compared("no-op trials, reused workers", "trials/s", answers, "reused", 2000),
    ]

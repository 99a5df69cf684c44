"""Results per second from one trial into the store, none lost, and the wait of a report that needs a verdict."""

from typing import Any

from benchmarks.figures import Figure
from benchmarks.subjects import OPTUNA, OURS, RAY, SYNE, TUNESMITH, Answer, Bench, compared

COUNTS = {TUNESMITH: 100_000, "Ray Tune": 2000, "Optuna SQLite": 1000, "Optuna journal": 10_000, "Syne Tune": 10_000}
"""How many results each is asked for: what it does in some ten seconds."""


def measure(bench: Bench) -> list[Figure]:
    answers = bench.rounds(
        3,
        {
            TUNESMITH: lambda: {**ask(bench, TUNESMITH, OURS), **bench.ask(OURS, "round_trip", count=5000)},
            "Ray Tune": lambda: ask(bench, "Ray Tune", RAY),
            "Optuna SQLite": lambda: ask(bench, "Optuna SQLite", OPTUNA, store="sqlite"),
            "Optuna journal": lambda: ask(bench, "Optuna journal", OPTUNA, store="journal"),
            "Syne Tune": lambda: ask(bench, "Syne Tune", SYNE),
        },
    )
    return [
        compared("one trial's results, all the way into the store", "results/s", answers, "rate", 50_000),
        compared("results reported", "", answers, "count"),
        compared("of these, not in the store", "", answers, "lost", 0, at_most=True),
        compared("a report that waits for its verdict", "us", answers, "round_trip_us", 100, at_most=True),
    ]


def ask(bench: Bench, name: str, script: str, **options: Any) -> Answer:
    answer = bench.ask(script, "results", count=COUNTS[name], **options)
    if "stored" in answer:
        answer |= {"count": COUNTS[name], "lost": COUNTS[name] - answer["stored"]}
    return answer

"""A trial hangs: how long after it has been given up the next trial runs in its place."""

from benchmarks.figures import Figure
from benchmarks.subjects import OPTUNA, OURS, RAY, SYNE, TUNESMITH, Bench, compared


def measure(bench: Bench) -> list[Figure]:
    answers = bench.rounds(3, {TUNESMITH: lambda: bench.ask(OURS, "hang", limit=1.0)})
    deaf = dict(answers)
    # Ray Tune looks at its limit on a trial's time when a result comes, and a hung trial sends none.
    answers["Ray Tune"] = [bench.ask(RAY, "hang", until=40, limit=1.0)]
    answers["Optuna"] = [bench.ask(OPTUNA, "hang")]
    answers["Syne Tune"] = [bench.ask(SYNE, "hang")]
    return [
        compared("hung trial: its limit is reached -> the next runs", "ms", answers, "ready_ms", 50, at_most=True),
        compared("the same, deaf to SIGTERM, after the grace", "ms", deaf, "deaf_ms", 50, at_most=True),
    ]

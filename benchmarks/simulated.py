"""Events per second of a simulation: ASHA over 1,000 virtual workers, 27 steps at most, nothing but bookkeeping."""

from benchmarks.figures import Figure
from benchmarks.subjects import OPTUNA, OURS, SYNE, TUNESMITH, Bench, compared


def measure(bench: Bench) -> list[Figure]:
    few = 5 if bench.quick else 1
    shape = {"workers": 1000, "max_t": 27}
    answers = bench.rounds(
        3,
        {
            TUNESMITH: lambda: bench.ask(OURS, "simulated", trials=20_000 // few, **shape),
            "Optuna in memory": lambda: bench.ask(OPTUNA, "simulated", trials=5000 // few, **shape),
        },
    )
    # Its simulator takes a minute and a half for this; once must do.
    answers["Syne Tune"] = [bench.ask(SYNE, "simulated", trials=1000, workers=200 if bench.quick else 1000, max_t=27)]
    return [
        compared("through the core and ASHA", "events/s", answers, "rate", 20_000),
        compared("the same with journal and files", "events/s", answers, "journaled"),
        compared("events", "", answers, "events"),
    ]

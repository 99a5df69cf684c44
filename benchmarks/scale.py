"""Many trials, many results: whether the last costs what the first did, what is kept in memory, how fast it opens."""

from typing import Any

from benchmarks.figures import Figure
from benchmarks.subjects import OPTUNA, OURS, RAY, TUNESMITH, Answer, Bench, compared


def measure(bench: Bench) -> list[Figure]:
    few = 10 if bench.quick else 1
    figures = []
    for trials, results in ((100_000 // few, 1), (10_000 // few, 100)):
        figures += shape(bench, trials, results)
    return figures


def shape(bench: Bench, trials: int, results: int) -> list[Figure]:
    """The peers get as many trials as they can do in half a minute or so; the table says how many."""
    ray_trials, optuna_trials = (200, 1000) if results == 1 else (20, 100)
    answers = {
        TUNESMITH: [grown(bench, OURS, trials, results)],
        "Ray Tune": [grown(bench, RAY, ray_trials, results)],
        "Optuna journal": [grown(bench, OPTUNA, optuna_trials, results, store="journal")],
    }
    label = f"{results} result{'s' if results > 1 else ''} each"
    return [
        compared(f"trials of {label}", "", answers, "trials"),
        compared(f"{label}: one event, first tenth", "us", answers, "first_us"),
        compared(f"{label}: last tenth over the first", "times", answers, "growth", 1.3, at_most=True),
        compared(f"{label}: driver memory per trial", "bytes", answers, "bytes_per_trial", 3000, at_most=True),
        compared(f"{label}: open, find the best", "s", answers, "seconds", 1, at_most=True),
        compared(f"{label}: `tunesmith show`", "s", answers, "show_s", 1, at_most=True),
    ]


def grown(bench: Bench, script: str, trials: int, results: int, **options: Any) -> Answer:
    """Return what an experiment of this size says about itself, and what opening it afterwards takes."""
    folder = bench.new_folder()
    answer = bench.ask_in(folder, script, "scale", trials=trials, results=results, **options)
    if "missing" in answer:
        return answer
    answer |= {"trials": trials, "growth": answer["last_us"] / answer["first_us"]}
    return answer | bench.ask_in(folder, script, "opening", **options)

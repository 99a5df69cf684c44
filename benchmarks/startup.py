"""What it costs before anything is tuned: the import, one trivial trial, and what is installed."""

import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.subjects import OPTUNA, OURS, RAY, SIZES, SYNE, TUNESMITH, Answer, Bench, compared, environment

EVERY_NAME = "every name of Tunesmith"
IMPORTS = {
    TUNESMITH: "import tunesmith",
    # Its names are imported when they are first used; this is all of them.
    EVERY_NAME: "from tunesmith import *",
    "Ray Tune": "from ray import tune",
    "Optuna": "import optuna",
    "Syne Tune": "from syne_tune import Tuner",
}


def measure(bench: Bench) -> list[Figure]:
    answers = bench.rounds(
        3,
        {
            TUNESMITH: lambda: bench.ask(OURS, "startup"),
            "Ray Tune": lambda: bench.ask(RAY, "startup"),
            "Optuna": lambda: bench.ask(OPTUNA, "startup", store="sqlite"),
            "Syne Tune": lambda: bench.ask(SYNE, "startup"),
        },
    )
    imports = import_seconds(bench)
    every_name = {TUNESMITH: imports.pop(EVERY_NAME)}
    here = replace(bench, peers_python=sys.executable)
    sizes = {
        TUNESMITH: [here.ask(SIZES, "size", of="tunesmith")],
        "Ray Tune": [bench.ask(SIZES, "size", of="ray+tune")],
        "Optuna": [bench.ask(SIZES, "size", of="optuna")],
        "Syne Tune": [bench.ask(SIZES, "size", of="syne-tune")],
    }
    return [
        compared("import", "CPU s", imports, "cpu_s", 0.2, at_most=True),
        compared("import with every public name", "CPU s", every_name, "cpu_s"),
        compared("one trivial trial, end to end", "s", answers, "seconds", 0.5, at_most=True),
        compared("installed, numpy and scipy left out", "MB", sizes, "megabytes", 20, at_most=True),
        compared("packages, numpy and scipy left out", "", sizes, "packages"),
    ]


def import_seconds(bench: Bench) -> dict[str, list[Answer]]:
    """Return the CPU seconds of each import beyond those of a bare interpreter, taken in turns."""
    pythons = {name: sys.executable if "tunesmith" in IMPORTS[name] else bench.peers_python for name in IMPORTS}
    found: dict[str, list[Answer]] = {name: [] for name in IMPORTS}
    for turn in range(3 if bench.quick else 8):
        for name, statement in IMPORTS.items():
            bare = cpu_seconds(pythons[name], "pass") or 0.0
            seconds = cpu_seconds(pythons[name], statement)
            # The first turn may still compile and read from the disk.
            if turn > 0:
                found[name].append({"missing": "not installed"} if seconds is None else {"cpu_s": seconds - bare})
    return found


def cpu_seconds(python: str, statement: str) -> float | None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [python, "-c", statement], env=environment(""), cwd=Path("/"), capture_output=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        return None
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

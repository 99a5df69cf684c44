"""The driver is killed by -9 in the middle of an experiment: what survives that should not, and what is lost.

Each trial starts a grandchild in a session of its own, and writes down every step that `report` has come back from.
"""

import json
import math
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure
from benchmarks.subjects import (
    OPTUNA,
    OURS,
    RAY,
    ROOT,
    SYNE,
    TUNESMITH,
    Answer,
    Bench,
    compared,
    environment,
    kill,
    marked,
)

KILL_AFTER_STEPS = (70, 150, 230)
WATCHED_SECONDS = 5.0
"""How long after the kill processes are watched; one that is still there then counts as never gone."""


def measure(bench: Bench) -> list[Figure]:
    subjects: dict[str, tuple[str, dict[str, Any]]] = {
        TUNESMITH: (OURS, {}),
        "Ray Tune": (RAY, {}),
        "Optuna SQLite": (OPTUNA, {"store": "sqlite"}),
        "Optuna journal": (OPTUNA, {"store": "journal"}),
        "Syne Tune": (SYNE, {}),
    }
    answers: dict[str, list[Answer]] = {name: [] for name in subjects}
    for steps in KILL_AFTER_STEPS[: 1 if bench.quick else None]:
        for name, (script, options) in subjects.items():
            if not answers[name] or "missing" not in answers[name][-1]:
                answers[name].append(crash(bench, script, options, steps))
    slowest = {name: found and [max(found, key=lambda one: one.get("gone_s", 0))] for name, found in answers.items()}
    return [
        compared("driver killed: its last process is gone", "s", answers, "gone_s", 0.5, at_most=True),
        compared("the same, the slowest run", "s", slowest, "gone_s", 0.5, at_most=True),
        compared("processes running when it was killed", "", answers, "running"),
        compared("processes alive 0.5 s after", "", answers, "alive_half", 0, at_most=True),
        compared("processes alive 5 s after", "", answers, "alive_end", 0, at_most=True),
        compared("results that `report` took", "", answers, "taken"),
        compared("of these, lost by the store", "", answers, "lost", 0, at_most=True),
    ]


def crash(bench: Bench, script: str, options: dict[str, Any], steps: int) -> Answer:
    """Start an experiment, kill its driver once `steps` results have been taken, and look."""
    mark = uuid.uuid4().hex
    folder = bench.new_folder()
    with (folder / "output.txt").open("w", encoding="utf-8") as output:
        call = bench.call(script, "crash", folder=folder, **options)
        driver = subprocess.Popen(call, cwd=ROOT, env=environment(mark), stdout=output, stderr=output)
        try:
            while len(taken(folder)) < steps and driver.poll() is None:
                time.sleep(0.02)
            if driver.poll() is not None:
                text = (folder / "output.txt").read_text(encoding="utf-8").strip()
                last = text.splitlines()[-1] if text else ""
                if last.startswith("{") and driver.returncode == 0:
                    answer: Answer = json.loads(last)
                    return answer or {"missing": "ended first"}
                print(text[-3000:])
                return {"missing": "failed"}
            running = len(marked(mark))
            driver.kill()
            before = taken(folder)
            watched = watch(mark)
            driver.wait()
        finally:
            for pid in marked(mark):
                kill(pid)
        kept = bench.ask_in(folder, script, "stored", **options)
        if "missing" in kept:
            return kept
        stored = {tuple(row) for row in kept["rows"]}
        return {
            **watched,
            "running": running,
            "taken": len(before),
            "lost": len([step for step in before if step not in stored]),
        }


def taken(folder: Path) -> set[tuple[int, int]]:
    """Return (trial, step) of every result that `report` has come back from."""
    return {(fact["number"], fact["step"]) for fact in facts(folder) if "step" in fact}


def facts(folder: Path) -> list[Answer]:
    lines = [line for file in folder.glob("truth-*.jsonl") for line in file.read_text(encoding="utf-8").splitlines()]
    return [json.loads(line) for line in lines if line.endswith("}")]


def watch(mark: str) -> Answer:
    """Watch the processes of a run whose driver was just killed."""
    began = time.perf_counter()
    gone = math.inf
    answer: Answer = {}
    passed = 0.0
    while passed < WATCHED_SECONDS:
        alive = marked(mark)
        passed = time.perf_counter() - began
        gone = math.inf if alive else min(gone, passed)
        if passed >= 0.5:
            answer.setdefault("alive_half", len(alive))
        time.sleep(0.005)
    return {**answer, "gone_s": gone, "alive_end": len(alive)}

"""Runs the measured scripts, each in a process of its own, and collects their answers."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, Value

ROOT = Path(__file__).resolve().parent.parent
TUNESMITH = "Tunesmith"
OURS = "benchmarks.ours"
RAY = "benchmarks.peers.with_ray"
OPTUNA = "benchmarks.peers.with_optuna"
SYNE = "benchmarks.peers.with_syne"
POOL = "benchmarks.peers.bare_pool"
OVER_RAY = "benchmarks.cluster.over_ray"
ON_THIS_MACHINE = "benchmarks.cluster.on_this_machine"
SIZES = "benchmarks.peers.sizes"

MARK = "TUNESMITH_BENCHMARK_RUN"
"""By this mark in their environment all processes of a run are found, whoever their parent is by then."""

Answer = dict[str, Any]


@dataclass(frozen=True)
class Bench:
    """How to measure: which Python has the peers, where to work, and whether a rough figure will do."""

    peers_python: str
    folder: Path
    """Nothing in it is deleted before the end: ext4 makes new files several times slower for half a minute after many
    have been deleted."""
    quick: bool = False

    def python(self, script: str) -> str:
        return sys.executable if script in (OURS, POOL, OVER_RAY, ON_THIS_MACHINE) else self.peers_python

    def ask(self, script: str, command: str, *, until: float = 600, **keywords: Any) -> Answer:
        """Run one command of a script in a new folder; return its answer, or {"missing": why there is none}."""
        return self.ask_in(self.new_folder(), script, command, until=until, **keywords)

    def ask_in(self, folder: Path, script: str, command: str, *, until: float = 600, **keywords: Any) -> Answer:
        mark = uuid.uuid4().hex
        call = self.call(script, command, folder=folder, **keywords)
        try:
            done = subprocess.run(
                call, cwd=ROOT, env=environment(mark), capture_output=True, text=True, timeout=until, check=False
            )
        except subprocess.TimeoutExpired:
            return {"missing": f"not in {until:.0f} s"}
        finally:
            for pid in marked(mark):
                kill(pid)
        if done.returncode != 0:
            print(" ".join(call), *done.stderr.splitlines()[-12:], sep="\n", file=sys.stderr)
            return {"missing": "failed"}
        answer: Answer = json.loads(done.stdout.strip().splitlines()[-1])
        return answer

    def new_folder(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.folder, prefix=""))

    def call(self, script: str, command: str, **keywords: Any) -> list[str]:
        return [self.python(script), "-m", script, command, *(f"{key}={value}" for key, value in keywords.items())]

    def rounds(self, count: int, subjects: Mapping[str, Callable[[], Answer]]) -> dict[str, list[Answer]]:
        """Ask every subject `count` times, in turns, so that a slow minute of the machine hurts all alike."""
        answers: dict[str, list[Answer]] = {name: [] for name in subjects}
        for _ in range(1 if self.quick else count):
            for name, ask in subjects.items():
                # A peer that is not there, or failed, is not asked again.
                if not answers[name] or "missing" not in answers[name][-1]:
                    answers[name].append(ask())
        return answers


def median(answers: Sequence[Answer], key: str) -> Value:
    """Return the median of what the answers say under `key`, or why there is none."""
    found: list[float] = [answer[key] for answer in answers if isinstance(answer.get(key), int | float)]
    if found:
        return statistics.median(found)
    reasons = [str(answer.get(key) or answer.get("missing") or "has none") for answer in answers]
    return reasons[0] if reasons else None


def compared(
    name: str,
    unit: str,
    answers: Mapping[str, Sequence[Answer]],
    key: str,
    target: float | None = None,
    *,
    at_most: bool = False,
) -> Figure:
    """Return the figure of what everybody's answers say under `key`; ours are under `TUNESMITH`."""
    peers = {peer: median(found, key) for peer, found in answers.items() if peer != TUNESMITH}
    return Figure(name, unit, median(answers[TUNESMITH], key), peers, target, at_most)


def environment(mark: str) -> dict[str, str]:
    """Return the environment of a measured script: the repository importable, compiled bytecode written and used."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0", MARK: mark}


def marked(mark: str) -> list[int]:
    """Return the living processes with this mark. Zombies have no environment, so they do not count."""
    needle = f"{MARK}={mark}".encode()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            with suppress(OSError):
                if needle in (process / "environ").read_bytes():
                    found.append(int(process.name))
    return found


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)

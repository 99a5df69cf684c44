"""Tunesmith on this machine alone, where no machine here has as many workers as a cluster (see `peers.common`)."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import tunesmith as tune
from benchmarks.peers.common import Answer, main
from tunesmith.core.commands import Start
from tunesmith.core.events import Event, Node, Reported
from tunesmith.executors.agents import AgentExecutor
from tunesmith.executors.base import Job
from tunesmith.executors.connection import AgentLine

NODES = 20
"""How many agents the virtual workers have."""


def rates(folder: Path, trials: int, rate: float, seconds: float) -> Answer:
    """Trials that all run at once, in processes of this machine, and report `rate` times a second: seconds in all."""

    def train(config: dict[str, Any]) -> None:
        began = time.monotonic()
        for step in range(int(rate * seconds)):
            # As a loop with work of a constant length does it: late once is late for good.
            time.sleep(max(0.0, 1 / rate))
            tune.report({"score": config["x"], "step": step, "late": time.monotonic() - began - (step + 1) / rate})

    driver = time.process_time()
    began = time.perf_counter()
    run(folder, train, trials, cpus=trials)
    taken = time.perf_counter() - began
    stored = reports(folder)
    return {
        "seconds": taken,
        "ideal": seconds,
        "over": taken / seconds,
        "lost": trials * int(rate * seconds) - stored,
        "busy": (time.process_time() - driver) / taken,
    }


class VirtualCluster(AgentExecutor):
    """Nodes with real lines to agents whose workers are virtual (`virtual_agents`)."""

    lease = 0.0

    def __init__(self, workers: int, reports: int) -> None:
        super().__init__()
        self._each = workers / NODES
        self._reports = reports
        self._agents: subprocess.Popen[bytes] | None = None
        self._nodes: dict[str, AgentLine] = {}
        self.began: tuple[float, float, int] | None = None
        """The time, our CPU time and how many results there were, when all workers had begun."""
        self.ended: tuple[float, float, int] | None = None
        """The same when the first one ended."""
        self._left = workers
        self._results = 0

    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        self._prepare(job, at, by_main_thread=True)
        pairs = [socket.socketpair() for _ in range(NODES)]
        theirs = [its.fileno() for _, its in pairs]
        command = [sys.executable, "-m", "benchmarks.cluster.virtual_agents", str(self._reports), *map(str, theirs)]
        self._agents = subprocess.Popen(command, pass_fds=theirs)
        for number, (ours, its) in enumerate(pairs):
            its.close()
            line = self._nodes[f"node {number}"] = AgentLine(ours)
            self._introduce(line)
            self._listen_to(line)
        return [Node(name, {"cpu": self._each}) for name in self._nodes]

    def close(self) -> None:
        for line in self._nodes.values():
            line.close(0.0)
        if self._agents is not None:
            self._agents.kill()
            self._agents.wait()
        super().close()

    def start(self, command: Start) -> None:
        super().start(command)
        self._left -= 1
        if not self._left:
            self.began = self._so_far()

    def wait(self, until: float | None) -> list[Event]:
        events = super().wait(until)
        self._results += sum(isinstance(event, Reported) for event in events)
        return events

    def _on_end(self, line: AgentLine) -> None:
        self.ended = self.ended or self._so_far()

    def _so_far(self) -> tuple[float, float, int]:
        return time.perf_counter(), time.process_time(), self._results

    def _lines_for(self, command: Start) -> tuple[AgentLine, ...]:
        return (self._nodes[command.placement.node],)

    def _on_lost(self, line: AgentLine, reason: str) -> str:
        return reason


def keeps_up(folder: Path, workers: int, seconds: int) -> Answer:
    """Which part of its time the driver works while virtual workers report once a second each.

    Counted from when the last of them has begun to when the first of them ends: the CPU time of the whole process, with
    the journal and the trials' files, for the results that came. `busy` is that of what so many workers report in a
    second, also where a busy machine lets the driver have less.
    """

    def train(config: dict[str, Any]) -> None:
        raise AssertionError("nobody trains")

    cluster = VirtualCluster(workers, seconds)
    run(folder, train, workers, executor=cluster, searcher="random", metric="score", mode="max")
    assert cluster.began is not None
    assert cluster.ended is not None
    taken, worked, came = (after - before for before, after in zip(cluster.began, cluster.ended, strict=True))
    stored = reports(folder)
    return {
        "busy": worked / came * workers,
        "rate": came / taken,
        "us": 1e6 * worked / came,
        "lost": workers * seconds - stored,
    }


def run(folder: Path, train: Any, samples: int, **options: Any) -> tune.Results:
    return tune.run(
        train,
        space={"x": tune.uniform(0, 1)},
        num_samples=samples,
        storage_path=folder,
        name="experiment",
        verbose=False,
        **options,
    )


def reports(folder: Path) -> int:
    """Return how many results the journal has."""
    with closing(sqlite3.connect(folder / "experiment" / "journal.db")) as journal:
        count: int = journal.execute("SELECT count(*) FROM events WHERE kind = 'Reported'").fetchone()[0]
        return count


if __name__ == "__main__":
    main("tunesmith", {"rates": rates, "keeps_up": keeps_up})

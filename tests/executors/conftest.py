from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.commands import Start
from tunesmith.core.events import AttemptEnded, AttemptStarted, Event, Placement, Reported
from tunesmith.executors.base import Job
from tunesmith.executors.local import LocalExecutor
from tunesmith.layout import trial_folder

FOREVER = float("inf")
PATIENCE = 30.0
"""Far more than anything here takes; on a busy machine too."""


class Drive:
    """Drives a real local executor the way the loop does."""

    def __init__(self, trainable: Callable[..., Any], folder: Path, executor: dict[str, Any], job: dict[str, Any]):
        self.executor = LocalExecutor(**executor)
        self.folder = folder
        settled = Job(trainable=trainable, experiment="tests", folder=folder, **job)
        self.nodes = self.executor.open(settled, at=0.0, deliver=lambda events: None)
        self.events: list[Event] = []

    def start(
        self, trial: int, *, attempt: int = 1, until: float = FOREVER, cpu: float = 1, gpus: Any = (), **config: Any
    ) -> None:
        held = {"cpu": cpu, "gpu": float(len(gpus))} if gpus else {"cpu": cpu}
        self.executor.start(Start(trial, attempt, config, Placement("here", held, tuple(gpus)), until))

    def until(self, is_enough: Callable[[], Any]) -> None:
        deadline = self.executor.now() + PATIENCE
        while not is_enough():
            assert self.executor.now() < deadline, f"nothing more came after {self.events[-3:]}"
            self.events += self.executor.wait(deadline)

    def ended(self, count: int = 1) -> list[AttemptEnded]:
        self.until(lambda: len(self.ends()) >= count)
        return self.ends()

    def end_of(self, trial: int = 0, *, attempt: int = 1, **options: Any) -> AttemptEnded:
        self.start(trial, attempt=attempt, **options)
        self.until(lambda: any((end.trial, end.attempt) == (trial, attempt) for end in self.ends()))
        return next(end for end in self.ends() if (end.trial, end.attempt) == (trial, attempt))

    def ends(self) -> list[AttemptEnded]:
        return [event for event in self.events if isinstance(event, AttemptEnded)]

    def results(self, trial: int = 0, attempt: int = 1) -> list[Reported]:
        wanted = (trial, attempt)
        return [e for e in self.events if isinstance(e, Reported) and (e.trial, e.attempt) == wanted]

    def metrics(self, trial: int = 0, attempt: int = 1) -> dict[str, Any]:
        return self.results(trial, attempt)[-1].metrics

    def pid(self, trial: int = 0) -> int:
        def started() -> list[int]:
            return [e.pid for e in self.events if isinstance(e, AttemptStarted) and e.trial == trial]

        self.until(started)
        return started()[-1]

    def output(self, trial: int = 0, name: str = "stdout") -> str:
        file = self.folder / trial_folder(trial) / name
        return file.read_text() if file.exists() else ""


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    drives: list[Drive] = []

    def make(trainable: Callable[..., Any], **options: Any) -> Drive:
        names = ("cpus", "gpus", "resources", "start_method", "driver_timeout")
        executor = {name: options.pop(name) for name in names if name in options}
        drives.append(Drive(trainable, tmp_path / f"experiment-{len(drives)}", executor, options))
        return drives[-1]

    yield make
    for each in drives:
        each.executor.close()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def gone() -> Callable[..., float]:
    """Seconds until none of these processes runs any more."""

    def wait(pids: list[int], *, within: float) -> float:
        began = time.monotonic()
        while any(map(is_running, pids)):
            assert time.monotonic() - began < within, [pid for pid in pids if is_running(pid)]
            os.sched_yield()
        return time.monotonic() - began

    return wait

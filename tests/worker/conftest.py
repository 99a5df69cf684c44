"""An attempt's surroundings in memory: run a trainable through the real runner and look at what came out."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

import pytest

from tunesmith.worker.protocol import Assignment, End, Ended, Go, Report
from tunesmith.worker.runner import Runner, WorkerJob, run_attempt


class MemoryChannel:
    """Keeps reports; answers waiting ones from `verdicts`, and free ones from `early` (by the report's number)."""

    def __init__(self, verdicts=(), early=None):
        self.reports: list[Report] = []
        self.verdicts = deque(verdicts)
        self.early = dict(early or {})
        self.blocked = 0

    def send(self, report: Report) -> None:
        self.reports.append(report)

    def receive(self, *, block: bool) -> Go | End | None:
        if block:
            self.blocked += 1
            return self.verdicts.popleft()
        return self.early.pop(self.reports[-1].number, None)


@dataclass
class Run:
    ended: Ended
    channel: MemoryChannel
    folder: Path

    @property
    def reports(self) -> list[Report]:
        return self.channel.reports

    @property
    def metrics(self) -> list[dict]:
        return [report.metrics for report in self.channel.reports]

    @property
    def waits(self) -> list[bool]:
        return [report.waits for report in self.channel.reports]

    @property
    def trial_folder(self) -> Path:
        return self.folder / "trials/00007"


JOB_FIELDS = set(WorkerJob.__dataclass_fields__) - {"trainable", "experiment"}


@pytest.fixture
def attempt(tmp_path):
    """Run one attempt: `attempt(function, config, verdicts=[...], metric=..., until=...)`."""

    def run(trainable, config=None, *, verdicts=(), early=None, channel=None, runner: Runner | None = None, **fields):
        job_fields = {name: value for name, value in fields.items() if name in JOB_FIELDS}
        rest = {name: value for name, value in fields.items() if name not in JOB_FIELDS}
        assignment = Assignment(
            **{
                "trial": 7,
                "attempt": 1,
                "config": {} if config is None else config,
                "until": float("inf"),
                "experiment_folder": str(tmp_path),
                "trial_folder": "trials/00007",
                **rest,
            }
        )
        channel = channel or MemoryChannel(verdicts, early)
        if runner is not None:
            ended = runner.run(assignment, channel)
        else:
            ended = run_attempt(WorkerJob(trainable=trainable, experiment="digits", **job_fields), assignment, channel)
        return Run(ended, channel, tmp_path)

    return run


@pytest.fixture
def go():
    """`go(until)`: the verdict to go on, for trial 7."""
    return lambda until: Go(7, 1, until)


@pytest.fixture
def end():
    """`end(save=False)`: the verdict to end, for trial 7."""
    return lambda save=False: End(7, 1, save)

"""What stands outside and looks: starts drivers, kills them, and remembers everything that was ever visible."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tunesmith.core.events import Event, Reported
from tunesmith.errors import ExperimentNotFound
from tunesmith.layout import JOURNAL
from tunesmith.store.reader import JournalReader

SUBJECT = Path(__file__).with_name("subject.py")
SOON = 2.0
"""What is promised is 0.5 s, and 10 to 60 ms are measured; a busy machine gets more."""
PATIENCE = 60.0
"""Far more than anything here takes; on a busy machine too."""
MARK = "TUNESMITH_CRASH_TEST"
BEST_LINE = re.compile(r"best so far: trial (\d+), score=(\S+) at iteration (\d+)")


class Driver:
    """A driver process, with all that descends from it. Killed at the end of its `with` block, whatever happens."""

    def __init__(self, storage: Path, *, output: Path | None = None, **options: Any) -> None:
        options = {"name": "e", "storage_path": str(storage), "config": {}, **options}
        self.folder = storage / options["name"]
        self.output = output or storage.parent / f"{storage.name}-output.txt"
        """What this driver and those before it have printed."""
        self._mark = uuid.uuid4().hex
        self._before = self.said()
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, str(SUBJECT), json.dumps(options)],
                stdout=output, stderr=output, env={**os.environ, MARK: self._mark},
            )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.process.kill()
        self.process.wait()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)

    def said(self) -> str:
        """Return all that was printed so far."""
        return self.output.read_text() if self.output.exists() else ""

    def words(self) -> str:
        """Return what this driver has printed."""
        return self.said()[len(self._before) :]

    def processes(self) -> list[int]:
        """Return the processes that descend from this driver, itself included, wherever they have put themselves."""
        wanted = f"{MARK}={self._mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and wanted in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:  # gone, or not ours
                continue
        return found

    def kill(self) -> float:
        """Kill the driver by -9; return how long its last descendant lived on."""
        self.process.kill()
        began = time.monotonic()
        self.process.wait()
        return self.wait_until_gone(began)

    def wait_until_gone(self, began: float) -> float:
        """Return how long after `began` the last descendant was gone."""
        while alive := self.processes():
            assert time.monotonic() - began < SOON, f"still alive: {[command_of(pid) for pid in alive]}"
        return time.monotonic() - began

    def signal(self, number: int) -> None:
        """Send the driver a signal."""
        self.process.send_signal(number)

    def ends(self, within: float = PATIENCE) -> int:
        """Wait for the driver's end; return its exit code. Nothing of it may be left then."""
        code = self.process.wait(within)
        self.wait_until_gone(time.monotonic())
        return code

    def until(self, is_so: Callable[[], Any]) -> Any:
        """Wait until something is the case, and return it."""
        deadline = time.monotonic() + PATIENCE
        while not (found := is_so()):
            assert time.monotonic() < deadline, self.words()
            assert self.process.poll() is None, f"it ended first: {self.words()}"
            time.sleep(0.005)
        return found


def command_of(pid: int) -> str:
    """Return what a process is, for people."""
    try:
        return f"{pid} {Path(f'/proc/{pid}/cmdline').read_bytes().replace(bytes(1), b' ').decode()}"
    except OSError:
        return f"{pid} (gone by now)"


class Observer:
    """Remembers what the journal, the files and the display of an experiment have ever shown."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.lines: dict[tuple[int, str], list[tuple[int, float]]] = {}
        """(trial, file) -> (iteration, score) of each line."""
        self._reader: JournalReader | None = None

    def look(self) -> int:
        """Read what is new in the journal; return how many results it holds now."""
        if self._reader is None:
            try:
                self._reader = JournalReader(self.folder)
            except ExperimentNotFound:
                return 0
        self.events += (event for _, event in self._reader.events(len(self.events)))
        return len(self.results())

    def results(self) -> list[Reported]:
        """Return the results seen so far."""
        return [event for event in self.events if type(event) is Reported]

    def look_at_files(self) -> None:
        """Read the trials' files; what they had shown before must still be there, in its place."""
        for name, read in (("result.json", json_lines), ("progress.csv", csv_lines)):
            for file in self.folder.glob(f"trials/*/{name}"):
                key = (int(file.parent.name), name)
                lines = read(file)
                before = self.lines.get(key, [])
                assert lines[: len(before)] == before, f"{file} has lost what it had shown"
                self.lines[key] = lines

    def check(self, display: str) -> None:
        """Check that all that was ever visible is in the journal now, and that nothing is there twice."""
        self.look_at_files()
        with JournalReader(self.folder) as reader:
            events = [event for _, event in reader.events()]
        assert events[: len(self.events)] == self.events, "the journal has lost what it had shown"
        results = [event for event in events if type(event) is Reported]
        assert max(Counter((event.trial, event.attempt, event.number) for event in results).values()) == 1
        told = [(event.trial, event.number, event.metrics["score"]) for event in results]
        for (trial, name), lines in self.lines.items():
            missing = Counter(lines) - Counter((number, score) for owner, number, score in told if owner == trial)
            assert not missing, f"{name} of trial {trial} shows {missing}, and the journal does not"
        shown = {(str(trial), f"{score:.4g}", str(number)) for trial, number, score in told}
        for line in BEST_LINE.finditer(display):
            assert line.groups() in shown, f"{line[0]!r} was displayed and is not in the journal"

    def close(self) -> None:
        """Let go of the journal."""
        if self._reader is not None:
            self._reader.close()


def json_lines(file: Path) -> list[tuple[int, float]]:
    """Return (iteration, score) of each whole line of a `result.json`."""
    rows = [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [(row["training_iteration"], row["score"]) for row in rows]


def csv_lines(file: Path) -> list[tuple[int, float]]:
    """Return (iteration, score) of each whole line of a `progress.csv`."""
    whole = [line for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return [(int(row["training_iteration"]), float(row["score"])) for row in csv.DictReader(whole)]


def has_journal(driver: Driver) -> bool:
    """Whether the experiment has a journal yet."""
    return (driver.folder / JOURNAL).exists()

"""The disk of the experiment is full: a real one, small, that a file fills while trials run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.core.events import TrialFailed, TrialLaunched, TrialRequeued
from tunesmith.store.reader import JournalReader

from .observer import Driver, Observer

FULL = "No new trial starts, and nothing is lost"
ROOM = "There is room on the disk again"
STEPS = 60
ALL = list(range(1, STEPS + 1))
CONFIG = {"steps": STEPS, "every": 10**6, "seconds": 0.02}


class Disk:
    """A small disk, and a file that takes what is free of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.filler = folder / "filler"

    def fill(self, but: int = 0) -> None:
        """Take all room but for so many bytes."""
        with self.filler.open("wb", buffering=0) as file:
            block = bytes(4096)
            try:
                while self.free() > but:
                    file.write(block)
            except OSError:
                assert self.free() == 0

    def free(self) -> int:
        """Return how many bytes are free."""
        return shutil.disk_usage(self.folder).free

    def make_room(self) -> None:
        """Give it back."""
        self.filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tunesmith-test", str(folder)]
    if shutil.which("mount") is None or (failed := subprocess.run(command, capture_output=True, text=True)).returncode:
        pytest.skip(f"a small disk cannot be mounted here: {failed.stderr.strip() if shutil.which('mount') else ''}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def started(disk: Disk, **options) -> Driver:
    config = {**CONFIG, **options.pop("config", {})}
    defaults = {"num_samples": 4, "cpus": 2, "output": disk.folder.parent / "output.txt"}
    return Driver(disk.folder / "results", config=config, **{**defaults, **options})


def of_kind(driver: Driver, kind: type) -> list:
    with JournalReader(driver.folder) as reader:
        return [event for _, event in reader.events() if isinstance(event, kind)]


def check_whole(driver: Driver, observer: Observer) -> None:
    """Check that every trial has all of its results, in the journal and in its files."""
    observer.look()
    observer.look_at_files()
    observer.check(driver.said())
    observer.close()
    results = tune.load(driver.folder)
    assert [str(trial.status) for trial in results] == ["completed"] * 4
    for trial in results:
        assert [row["training_iteration"] for row in trial.history] == ALL
        for name in ("result.json", "progress.csv"):
            lines = [number for number, _ in observer.lines[trial.id, name]]
            assert lines[-1] == STEPS
            assert lines == ALL or trial.attempts > 1


def cpu_time(pids: list[int]) -> int:
    """Return how long these processes have computed, in ticks."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields)


def test_a_full_disk_is_told_once_burns_no_trial_and_the_run_goes_on_once_there_is_room(disk):
    with started(disk) as driver:
        observer = Observer(driver.folder)
        driver.until(lambda: observer.look() > 20)
        disk.fill()
        driver.until(lambda: FULL in driver.words())
        launched = len(of_kind(driver, TrialLaunched))
        # Long enough for the running trials to come to their end, and for the run to try again, several times.
        time.sleep(3.5)
        assert driver.words().count(FULL) == 1
        assert len(of_kind(driver, TrialLaunched)) == launched
        observer.look()
        disk.make_room()
        driver.until(lambda: ROOM in driver.words())
        assert driver.ends() == 0, driver.words()

    assert "ended: completed" in driver.words()
    assert driver.words().count(FULL) == 1
    assert "Traceback" not in driver.words()
    assert of_kind(driver, TrialFailed) == []
    check_whole(driver, observer)
    assert [trial.attempts for trial in tune.load(driver.folder)] == [1, 1, 1, 1]


def test_ctrl_c_on_a_full_disk_ends_the_run_soon_and_it_goes_on_later(disk):
    with started(disk) as driver:
        observer = Observer(driver.folder)
        driver.until(lambda: observer.look() > 20)
        disk.fill()
        driver.until(lambda: FULL in driver.words())
        driver.signal(signal.SIGINT)
        began = time.monotonic()
        assert driver.ends(within=10) == 1
        took = time.monotonic() - began
        assert "JournalFull" in driver.words()
        assert "Make room on its disk" in driver.words()
        observer.look()
    # Still full: no fresh start, no guess, and nothing is harmed.
    with started(disk) as refused:
        assert refused.ends() == 1
    assert "JournalFull" in refused.words(), refused.words()
    disk.make_room()
    with started(disk) as again:
        assert again.ends() == 0, again.words()
    check_whole(again, observer)
    assert took < 5  # [1 s]


def test_on_a_full_disk_fast_trials_stand_still_instead_of_filling_the_memory(disk):
    with started(disk, config={"steps": 10**7, "seconds": 0}, num_samples=2) as driver:
        observer = Observer(driver.folder)
        driver.until(lambda: observer.look() > 20)
        disk.fill()
        driver.until(lambda: FULL in driver.words())
        everyone = driver.processes()

        def stand_still() -> bool:
            before = cpu_time(everyone)
            time.sleep(1.0)
            return cpu_time(everyone) - before < 0.3 * os.sysconf("SC_CLK_TCK")

        driver.until(stand_still)
        driver.kill()
    observer.close()


def test_a_checkpoint_that_does_not_fit_fails_its_attempt_and_the_retry_waits_for_room(disk):
    config = {"every": 10, "ballast": 2**20}
    with started(disk, config=config, max_failures=1) as driver:
        observer = Observer(driver.folder)
        driver.until(lambda: observer.look() and any(event.checkpoint for event in observer.results()))
        disk.fill(but=600_000)  # The journal has room, no checkpoint has.
        driver.until(lambda: "No new trial starts" in driver.words())
        time.sleep(2.5)
        assert len(of_kind(driver, TrialLaunched)) == 2
        disk.make_room()
        assert driver.ends() == 0, driver.words()

    requeued = [event.failure for event in of_kind(driver, TrialRequeued) if event.failure]
    assert len(requeued) in (1, 2)
    assert all("No space left on device" in failure.message for failure in requeued)
    check_whole(driver, observer)


def test_without_retries_a_checkpoint_that_does_not_fit_fails_the_trial_with_its_reason(disk):
    config = {"every": 10, "ballast": 2**20}
    with started(disk, config=config) as driver:
        observer = Observer(driver.folder)
        driver.until(lambda: observer.look() and any(event.checkpoint for event in observer.results()))
        disk.fill(but=600_000)
        driver.until(lambda: "No new trial starts" in driver.words())
        disk.make_room()
        assert driver.ends() == 0, driver.words()
    observer.close()

    results = tune.load(driver.folder)
    assert 1 <= results.num_errors <= 2  # those that ran; no other was burnt
    for trial in results.errors:
        assert (trial.error.kind, "No space left on device" in trial.error.message) == ("exception", True)
        assert [row["training_iteration"] for row in trial.history] == ALL[: len(trial.history)]
        assert trial.checkpoint is None or Path(trial.checkpoint).is_dir()
    assert len(results) - results.num_errors == results.num_terminated
    leftovers = list(driver.folder.glob("trials/*/checkpoints/.*"))
    assert leftovers == []

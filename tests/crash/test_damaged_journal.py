"""A journal whose bytes are not what was written: said by name, never a fresh start; and two drivers on one journal."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.callbacks.trial_folder import written_until
from tunesmith.core.events import SessionOpened, TrialLaunched
from tunesmith.store.reader import JournalReader

from . import subject
from .observer import Driver, Observer

STEPS = 10
ALL = list(range(1, STEPS + 1))


def resumed(folder: Path, **options) -> tune.Results:
    """Run the command again, with some more trials, in this process."""
    space = {"x": tune.uniform(0, 1), "steps": STEPS, "every": 5, "seconds": 0}
    defaults = {"metric": "score", "mode": "max", "searcher": "random", "seed": 7, "executor": "inline", "verbose": 0}
    defaults["num_samples"] = 44
    place = {"name": folder.name, "storage_path": folder.parent, "resume": "auto"}
    return tune.run(subject.climb, space=space, **{**defaults, **place, **options})


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """An experiment of 40 trials that ended as it should."""
    resumed(tmp_path / "results" / "e", num_samples=40)
    return tmp_path / "results" / "e"


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path, table: str = "events") -> None:
    """Flip one bit of a score in the middle of a table."""
    with closing(sqlite3.connect(f"file:{file}?immutable=1", uri=True)) as connection:
        rows = connection.execute(f"SELECT payload FROM {table} WHERE payload LIKE '%score%'").fetchall()
    data, later = bytearray(file.read_bytes()), [row[0].encode() for row in rows[len(rows) // 2 :]]
    payload = next(payload for payload in later if data.count(payload) == 1)  # the best and last results stand twice
    data[data.index(payload) + payload.index(b'"score":') + 10] ^= 0x01
    file.write_bytes(data)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def garble(file: Path) -> None:
    file.write_bytes(os.urandom(2 * 4096) + file.read_bytes()[2 * 4096 :])


def contents(folder: Path) -> dict[str, bytes]:
    """Return all that lies there, but for the lock and what SQLite keeps beside a file that is open."""
    passing = {"journal.lock", "journal.db-wal", "journal.db-shm"}
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file() and file.name not in passing}


def tunesmith(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tunesmith.cli", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("damage", [cut, flip])
def test_a_damaged_journal_is_named_with_its_cure_and_after_that_the_experiment_goes_on(finished, damage):
    file = finished / "journal.db"
    before = [trial.config for trial in tune.load(finished)]
    damage(file)
    as_it_was = contents(finished)

    for opening in (lambda: resumed(finished), lambda: [trial.history for trial in tune.load(finished)]):
        with pytest.raises(tune.JournalDamaged) as refused:
            opening()
        assert str(file) in str(refused.value)
        assert f"tunesmith repair {finished}" in str(refused.value)
    assert contents(finished) == as_it_was

    repaired = tunesmith("repair", str(finished))
    assert repaired.returncode == 0, repaired.stderr
    assert "which are intact" in repaired.stdout
    results = resumed(finished)
    assert [trial.config for trial in results][:40] == before
    assert [str(trial.status) for trial in results] == ["completed"] * 44
    assert [[row["training_iteration"] for row in trial.history] for trial in results] == [ALL] * 44
    assert (finished / "journal.damaged-1.db").exists()


@pytest.mark.parametrize("damage", [empty, garble])
def test_where_nothing_is_intact_nothing_is_touched_and_nothing_is_started(finished, damage):
    file = finished / "journal.db"
    damage(file)
    as_it_was = contents(finished)

    for opening in (lambda: resumed(finished), lambda: tune.load(finished)):
        with pytest.raises(tune.JournalDamaged, match="Put back a copy of the file, or move the folder away"):
            opening()
    assert tunesmith("repair", str(finished)).returncode != 0
    assert contents(finished) == as_it_was


def test_a_damaged_table_of_where_trials_stand_is_made_anew_from_the_events(finished):
    flip(finished / "journal.db", "trials")
    with pytest.raises(tune.JournalDamaged):
        list(tune.load(finished))

    results = resumed(finished)

    assert [[row["training_iteration"] for row in trial.history] for trial in results] == [ALL] * 44


def killed_early(storage: Path, **options) -> Path:
    """Leave an experiment whose driver was killed while its journal was still in its log."""
    config = {"steps": 100, "seconds": 0.01}
    with Driver(storage, config=config, num_samples=4, **options) as driver:
        observer = Observer(driver.folder)
        # Just after the trials' files were written, so that more was seen than half of the log holds.
        driver.until(lambda: observer.look() > 100 and written_until(driver.folder) > 0.9 * observer.events[-1].at)
        observer.close()
        driver.kill()
    return driver.folder


def test_a_lost_end_of_the_log_is_said_and_done_again(tmp_path):
    folder = killed_early(tmp_path / "results")
    cut(folder / "journal.db-wal")
    (folder / "journal.db-shm").unlink()

    with Driver(tmp_path / "results", config={"steps": 100, "seconds": 0.001}, num_samples=4) as driver:
        assert driver.ends() == 0, driver.words()

    assert "log is lost" in driver.words()
    results = tune.load(folder)
    observer = Observer(folder)
    observer.look()
    observer.check(driver.words())
    observer.close()
    for trial in results:
        assert [row["training_iteration"] for row in trial.history] == list(range(1, 101))
        shown = [number for number, _ in observer.lines[trial.id, "result.json"]]
        assert len(shown) == len([event for event in observer.results() if event.trial == trial.id])


@pytest.mark.parametrize("lost", [["-wal"], [""], ["", "-wal"]], ids=["log", "file", "both"])
def test_a_lost_log_or_file_is_damage_and_not_a_fresh_start(tmp_path, lost):
    folder = killed_early(tmp_path / "results")
    for suffix in lost:
        (folder / f"journal.db{suffix}").rename(tmp_path / f"lost{suffix}")
    (folder / "journal.db-shm").unlink()

    with Driver(tmp_path / "results", num_samples=4) as driver:
        assert driver.ends() == 1
    assert "JournalDamaged" in driver.words()
    assert "or move the folder away" in driver.words()
    if "" in lost:
        with pytest.raises(tune.JournalDamaged, match="is missing, but"):
            tune.load(folder)
    for suffix in lost:
        (tmp_path / f"lost{suffix}").rename(folder / f"journal.db{suffix}")
    with Driver(tmp_path / "results", num_samples=4) as driver:
        assert driver.ends() == 0, driver.words()


def test_a_second_driver_is_refused_by_name_and_goes_on_at_once_when_the_first_is_killed(tmp_path):
    config = {"steps": 100, "seconds": 0.02}
    with Driver(tmp_path / "results", config=config, num_samples=2) as first:
        observer = Observer(first.folder)
        first.until(lambda: observer.look() > 20)
        with Driver(tmp_path / "results", config=config, num_samples=2) as second:
            assert second.ends() == 1
        assert "JournalLocked" in second.words()
        assert socket.gethostname() in second.words()
        assert str(first.process.pid) in second.words()
        assert first.process.poll() is None
        before = observer.look()
        first.kill()

    began = time.monotonic()
    with Driver(tmp_path / "results", config=config, num_samples=2) as third:
        third.until(lambda: observer.look() > before)
        took = time.monotonic() - began
        assert third.ends() == 0, third.words()
    observer.look()
    observer.check(third.said())
    observer.close()
    with JournalReader(third.folder) as reader:
        events = [event for _, event in reader.events()]
    assert [event.session for event in events if isinstance(event, SessionOpened)] == [1, 2]
    assert len([event for event in events if isinstance(event, TrialLaunched)]) == 4
    assert took < 5  # [0.4 s, the start of Python included]

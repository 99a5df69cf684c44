"""An experiment's copies under a URL; here a folder's, for on S3 the same lies there (see ../test_storage_url.py)."""

import json
import os
import time
from pathlib import Path

import pytest

from tunesmith.core.events import CheckpointDropped, ExperimentCreated, Reported, SessionOpened
from tunesmith.core.experiment import Experiment
from tunesmith.errors import ExperimentNotFound, JournalLocked, StorageError
from tunesmith.layout import JOURNAL, checkpoint_folder
from tunesmith.store import remote
from tunesmith.store.journal import Journal
from tunesmith.store.reader import JournalReader
from tunesmith.store.remote import RemoteExperiment, RemoteState, remote_url

pytest.importorskip("fsspec")


class Machine:
    """One place where the experiment at `there` is worked on."""

    def __init__(self, folder: Path, there: Path):
        self.folder, self.there = folder, there
        self.remote = RemoteExperiment(folder, there.as_uri())

    def drive(self, session: int) -> Journal:
        new = not (self.folder / JOURNAL).exists()
        journal = Journal.create(self.folder) if new else Journal.open(self.folder)
        experiment = Experiment()
        with JournalReader(self.folder) as reader:
            for _, event in reader.events():
                experiment.apply(event)
        events = [ExperimentCreated(at=0, name="e", seed=7, created=0.0)] if new else []
        events.append(SessionOpened(at=0, session=session, started=0.0))
        for event in events:
            experiment.apply(event)
        journal.append(events, experiment)
        return journal


@pytest.fixture
def machine(tmp_path):
    return lambda name="here": Machine(tmp_path / name, tmp_path / "there")


def checkpoint(there: Path, trial: int, number: int) -> str:
    reference = checkpoint_folder(trial, 1, number)
    (there / reference).mkdir(parents=True)
    (there / reference / "model").write_bytes(b"x")
    return reference


def test_a_copy_of_a_journal_that_is_being_written_is_whole(machine):
    here = machine()
    with here.drive(1):
        here.remote.push(is_running=True)

    state = here.remote.state()
    assert (state.age, state.is_running, state.pid) == ((1, 2), True, os.getpid())
    assert sorted(path.name for path in here.there.iterdir()) == ["experiment.json", JOURNAL]
    with JournalReader(here.there) as reader:
        assert reader.last_seq() == 2


def test_it_is_fetched_and_the_one_that_was_there_is_kept(machine):
    here, other = machine("here"), machine("other")
    here.drive(1).close()
    here.remote.push(is_running=False)
    other.remote.pull()
    other.drive(2).close()
    other.remote.push(is_running=False)

    assert here.remote.state().age > here.remote.local_state().age
    here.remote.pull()
    assert here.remote.local_state().age == other.remote.local_state().age == (2, 3)
    assert (here.folder / "journal.replaced-1.db").exists()
    assert remote_url(here.folder) == here.remote.url
    here.drive(3).close()


def test_a_checkpoint_is_deleted_after_the_journal_that_no_longer_needs_it_has_arrived(machine, monkeypatch):
    here = machine()
    unneeded, needed = checkpoint(here.there, 0, 1), checkpoint(here.there, 0, 2)
    with here.drive(1):
        here.remote.discard(unneeded)
        assert (here.there / unneeded).exists()
        with monkeypatch.context() as broken:
            broken.setattr(remote, "_snapshot", raises)
            with pytest.raises(StorageError, match="broken"):
                here.remote.push(is_running=True)
        assert (here.there / unneeded).exists()
        here.remote.push(is_running=True)

    assert not (here.there / unneeded / "model").exists()
    assert (here.there / needed / "model").exists()


def raises(*arguments):
    raise StorageError("broken")


def test_what_no_trial_keeps_is_pruned(machine):
    here = machine()
    kept, dropped, unknown = (checkpoint(here.there, 0, number) for number in (1, 2, 3))
    damaged = checkpoint(here.there, 1, 1)
    (here.there / "trials" / "notes").touch()
    events = [
        *(Reported(at=0, trial=0, attempt=1, number=1, metrics={}, checkpoint=name) for name in (kept, dropped)),
        CheckpointDropped(at=0, trial=0, checkpoint=dropped),
        Reported(at=0, trial=1, attempt=1, number=1, metrics={}, checkpoint=damaged),
        CheckpointDropped(at=0, trial=1, checkpoint=damaged, reason="it cannot be read"),
    ]

    assert sorted(here.remote.prune(events)) == [dropped, unknown]
    assert [(here.there / name / "model").exists() for name in (kept, dropped, unknown, damaged)] == [
        True, False, False, True,
    ]  # fmt: skip


def state(**fields):
    return RemoteState(**{"host": "far away", "pid": 1, "is_running": True, "heard_at": time.time() - 10, **fields})


def test_who_is_driven_elsewhere_is_left_alone(machine):
    with pytest.raises(
        JournalLocked, match=r"is driven by process 1 on far away, heard of 1\d s ago. Wait for its end; "
    ):
        machine().remote.check_alone(state())


@pytest.mark.parametrize(
    "fields",
    [
        {"is_running": False},
        {"heard_at": time.time() - 1000},
        {"host": remote.socket.gethostname(), "pid": os.getpid()},  # an earlier run of this process
        {"host": remote.socket.gethostname(), "pid": 2**22 - 7},  # nobody's
    ],
)
def test_who_has_ended_or_died_is_taken_over(machine, fields):
    machine().remote.check_alone(state(**fields))


def test_who_was_taken_over_writes_no_more(machine):
    here = machine()
    with here.drive(1):
        here.remote.push(is_running=True)
        taken = json.loads((here.there / "experiment.json").read_text()) | {"host": "far away"}
        (here.there / "experiment.json").write_text(json.dumps(taken))
        with pytest.raises(StorageError, match=r"has been taken over by process \d+ on far away; what this one does"):
            here.remote.push(is_running=True)

    assert here.remote.state().host == "far away"


def test_what_is_not_there_or_not_readable_says_so(machine):
    here = machine()
    assert here.remote.state() is None
    assert here.remote.local_state() is None
    assert remote_url(here.folder) is None
    with pytest.raises(ExperimentNotFound, match=r"there is no experiment at file://.*/there \(no journal.db\)"):
        here.remote.pull()
    here.there.mkdir()
    (here.there / "experiment.json").write_text("{")
    with pytest.raises(StorageError, match=r"experiment\.json is not what was written"):
        here.remote.state()
    (here.folder / "remote.json").write_text("{")
    with pytest.raises(StorageError, match=r"remote\.json cannot be read \(JSONDecodeError\): under which URL"):
        remote_url(here.folder)

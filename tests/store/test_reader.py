import math
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from small_runs import ended, folded, launch, name, opening, read, report, same, small_run, write, written

from tunesmith.core.events import (
    CheckpointDropped,
    SessionOpened,
    TrialCompleted,
    TrialRequeued,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.objective import Objective
from tunesmith.core.policy import Policy
from tunesmith.core.trial import Status
from tunesmith.errors import ExperimentNotFound, JournalDamaged
from tunesmith.store.journal import Journal
from tunesmith.store.reader import JournalReader, effective_results, fold


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    written(tmp_path)
    return tmp_path


def test_a_reader_wants_a_journal(tmp_path: Path):
    with pytest.raises(ExperimentNotFound, match="Is the path right"):
        JournalReader(tmp_path)


def test_an_empty_journal_has_nothing(tmp_path: Path):
    Journal.create(tmp_path).close()
    with JournalReader(tmp_path) as reader:
        assert (list(reader.events()), reader.last_seq(), reader.best(), reader.trial_rows()) == ([], 0, None, [])
        assert reader.experiment_info().created is None
        assert set(reader.counts().values()) == {0}
        assert (reader.history(0), reader.story(0), reader.trial_row(0), reader.sessions()) == ([], [], None, [])


def test_events_come_from_any_number_on(folder: Path):
    with JournalReader(folder) as reader:
        events = list(reader.events())
        assert [seq for seq, _ in events] == list(range(1, reader.last_seq() + 1))
        assert same(list(reader.events(after=20)), events[20:])
        assert list(reader.events(after=reader.last_seq())) == []


def test_the_newest_session_and_how_it_ended_are_known(tmp_path: Path):
    batches = small_run()
    experiment = Experiment()
    with Journal.create(tmp_path) as journal, JournalReader(tmp_path) as reader:
        write(journal, batches[:11], experiment)
        info = reader.experiment_info()
        assert (info.created.name, info.session.session, info.finished.reason) == ("small", 1, "interrupted")
        write(journal, batches[11:12], experiment)
        info = reader.experiment_info()
        assert (info.session.session, info.finished, info.last_seq) == (2, None, journal.last_seq)
        write(journal, batches[12:], experiment)
        assert reader.experiment_info().finished.reason == "completed"
        assert [opened.session for opened in reader.sessions()] == [1, 2]
        assert all(type(opened) is SessionOpened for opened in reader.sessions())


def test_trials_are_counted_sorted_and_filtered(tmp_path: Path):
    losses = [0.5, math.nan, -3.0, 0.5, 0.1, math.inf]
    batches = [opening(7), *([launch(trial), report(trial, 1, loss)] for trial, loss in enumerate(losses))]
    written(tmp_path, [*batches, [ended(4), TrialCompleted(at=9.0, trial=4)]])
    with JournalReader(tmp_path) as reader:
        counts = reader.counts()
        assert (counts[Status.RUNNING], counts[Status.COMPLETED], counts[Status.PENDING]) == (5, 1, 1)

        def ids(**query: object) -> list[int]:
            return [row.id for row in reader.trial_rows(**query)]  # type: ignore[arg-type]

        assert ids() == [0, 1, 2, 3, 4, 5, 6]
        assert ids(order_by="loss") == [2, 4, 0, 3, 1, 5, 6]
        assert ids(order_by="loss", limit=3, offset=1) == [4, 0, 3]
        assert ids(order_by="loss", status=Status.RUNNING) == [2, 0, 3, 1, 5]
        assert ids(status=Status.COMPLETED) == [4]
        assert ids(limit=0) == []
        assert reader.best().id == 2
        assert reader.best().loss == -3.0
        assert reader.trial_row(1).loss is None


def test_a_row_says_where_a_trial_stands(folder: Path):
    with JournalReader(folder) as reader:
        row = reader.trial_row(0)
    assert (row.status, row.attempt, row.number, row.results, row.failures) == (Status.COMPLETED, 3, 4, 6, 1)
    assert (row.loss, row.best.attempt, row.last.metrics["loss"]) == (0.4, 3, 0.4)
    assert (row.checkpoint, row.best_checkpoint) == (name(0, 2, 3), name(0, 2, 3))
    assert row.config["layers"] == [0, {"name": "π"}]
    assert row.failure.where == "train.py:12 in train"


def test_the_best_checkpoint_is_the_one_with_the_lowest_loss(tmp_path: Path):
    results = [report(0, n, loss, checkpoint=name(0, 1, n)) for n, loss in enumerate([0.4, 0.2, math.nan, 0.3], 1)]
    experiment = Experiment()
    with Journal.create(tmp_path) as journal, JournalReader(tmp_path) as reader:
        write(journal, [opening(1), [launch(0), *results]], experiment)
        assert (reader.best().checkpoint, reader.best().best_checkpoint) == (name(0, 1, 4), name(0, 1, 2))
        for dropped in (1, 2, 4):
            write(journal, [[CheckpointDropped(at=9.0, trial=0, checkpoint=name(0, 1, dropped))]], experiment)
        assert reader.best().best_checkpoint == name(0, 1, 3)


def test_the_history_holds_each_step_once(folder: Path):
    with JournalReader(folder) as reader:
        assert [(result.attempt, result.number) for result in reader.history(0)] == [(1, 1), (1, 2), (2, 3), (3, 4)]
        assert [result.number for result in reader.history(2)] == list(range(1, 41))
        assert [type(event).__name__ for event in reader.story(0)][:4] == [
            "TrialLaunched", "AttemptStarted", "AttemptEnded", "TrialRequeued",
        ]  # fmt: skip
        assert len(reader.trial_events(0)) == len(reader.story(0)) + 6


@pytest.mark.parametrize(
    ("checkpoint", "kept"),
    [
        (None, []),
        (name(0, 1, 2), [1, 2]),
        (name(0, 1, 3), [1, 2, 3]),  # saved while the attempt ended
        (name(8, 5, 1), [1]),  # another trial's: its name tells
        (name(0, 1, 2) + "/model.pt", [1, 2]),
        ("somewhere/else", []),
    ],
)
def test_what_a_restart_goes_back_behind_is_superseded(checkpoint: str | None, kept: list[int]):
    events = [
        launch(0), report(0, 1, 0.5), report(0, 2, 0.4, checkpoint=name(0, 1, 2)), report(0, 3, 0.3),
        ended(0, 1, "failed", checkpoint=name(0, 1, 3)), TrialRequeued(at=9.0, trial=0),
        launch(0, 2, checkpoint=checkpoint),
    ]  # fmt: skip
    assert [result.number for result in effective_results(events)] == kept


def test_a_reader_follows_while_the_writer_writes(tmp_path: Path):
    experiment = Experiment()
    with Journal.create(tmp_path) as journal, JournalReader(tmp_path) as reader:
        write(journal, [opening(), [launch(0)]], experiment)
        for start in range(1, 400, 20):
            stream = reader.events()
            first = next(stream)
            write(journal, [[report(0, number, 1.0 / number) for number in range(start, start + 20)]], experiment)
            under_way = [seq for seq, _ in (first, *stream)]
            assert under_way == list(range(1, len(under_way) + 1))
            assert len(under_way) in (journal.last_seq - 20, journal.last_seq)
            assert len(list(reader.events())) == reader.last_seq() == journal.last_seq
            assert reader.trial_row(0).number == start + 19
            assert [result.number for result in reader.history(0)] == list(range(1, start + 20))


def test_a_reader_cannot_write(folder: Path):
    with JournalReader(folder) as reader, pytest.raises(Exception, match="readonly"):
        reader._connection.execute("DELETE FROM events")


def test_a_changed_row_of_the_table_of_trials_is_found(folder: Path):
    file = folder / "journal.db"
    data = file.read_bytes()
    assert b'"status":"completed"' in data
    file.write_bytes(data.replace(b'"status":"completed"', b'"status":"cOmpleted"'))
    with JournalReader(folder) as reader, pytest.raises(JournalDamaged, match="checksum"):
        reader.trial_rows()


IN_A_FOLDER_THAT_CANNOT_BE_WRITTEN = """
import os, sys
from tunesmith.errors import JournalError
from tunesmith.store.reader import JournalReader
if os.geteuid() == 0:
    os.setuid(65534)  # root may write anywhere
assert not os.access(sys.argv[1], os.W_OK)
try:
    with JournalReader(sys.argv[1]) as reader:
        print(len(list(reader.events())))
except JournalError as error:
    print(error)
"""


def read_in_a_folder_that_cannot_be_written(files: dict[str, bytes]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for file, data in files.items():
            (Path(folder) / file).write_bytes(data)
        Path(folder).chmod(0o555)
        command = [sys.executable, "-c", IN_A_FOLDER_THAT_CANNOT_BE_WRITTEN, folder]
        out = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        Path(folder).chmod(0o755)
    return out.strip()


def test_a_journal_on_a_disk_that_cannot_be_written_is_read(folder: Path):
    data = (folder / "journal.db").read_bytes()

    assert read_in_a_folder_that_cannot_be_written({"journal.db": data}) == str(len(read(folder)))


def test_a_journal_whose_log_cannot_be_read_in_place_says_so(folder: Path):
    data = (folder / "journal.db").read_bytes()

    answer = read_in_a_folder_that_cannot_be_written({"journal.db": data, "journal.db-wal": b"x" * 5000})

    assert "Copy both to another folder" in answer


def test_folding_gives_the_state_and_lets_policies_observe_each_event(folder: Path):
    class Witness(Policy):
        def __init__(self) -> None:
            self.seen: list[tuple[float, float]] = []

        def observe(self, event: object, experiment: Experiment) -> None:
            self.seen.append((event.at, experiment.at))  # type: ignore[attr-defined]

    experiment, witness = Experiment(), Witness()
    count = fold(folder, experiment, (witness,))

    assert count == len(witness.seen) == len(read(folder))
    assert all(at == now for at, now in witness.seen)
    again = Experiment()
    assert fold(read(folder), again) == count
    assert [repr(trial) for trial in again.trials] == [repr(trial) for trial in experiment.trials]


def test_another_objective_is_summarized_anew(folder: Path):
    experiment = Experiment(Objective("training_iteration", "max"))
    fold(folder, experiment)
    with Journal.open(folder) as journal:
        journal.summarize(experiment)

    with JournalReader(folder) as reader:
        assert (reader.best().id, reader.best().loss, reader.best().best.number) == (2, -40.0, 40)
        assert len(reader.trial_rows()) == len(folded(read(folder)))
        assert reader.last_seq() == len(read(folder))


def test_an_index_that_lost_a_result_is_found(folder: Path):
    connection = sqlite3.connect(folder / "journal.db")
    connection.execute("PRAGMA writable_schema = ON")
    # The index is now one of the rows that have an odd number, and claims to be whole.
    connection.execute("CREATE INDEX odd ON events (trial) WHERE seq % 2")
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'odd'").fetchone()
    connection.execute("UPDATE sqlite_master SET rootpage = ? WHERE name = 'events_of_trial'", (page,))
    connection.execute("DELETE FROM sqlite_master WHERE name = 'odd'")
    connection.commit()
    connection.close()

    with JournalReader(folder) as reader, pytest.raises(JournalDamaged, match="trial 2 has 40 results, but its index"):
        reader.history(2)

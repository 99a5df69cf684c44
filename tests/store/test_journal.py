import os
import resource
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from small_runs import folded, launch, opening, read, report, same, small_run, write, written

from tunesmith.core.experiment import Experiment
from tunesmith.errors import (
    ExperimentExists,
    ExperimentNotFound,
    JournalDamaged,
    JournalFull,
    JournalLocked,
    JournalTooNew,
)
from tunesmith.store.journal import Journal
from tunesmith.store.reader import JournalReader, fold

PREAMBLE = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from small_runs import *
folder = Path(sys.argv[1])
"""

THREE_RESULTS = [opening(), [launch(0), report(0, 1, 0.5)], [report(0, 2, 0.9)], [report(0, 3, 0.9)]]
"""Of a trial whose first one is its best."""


def controller(script: str, folder: Path) -> subprocess.Popen[str]:
    """Another process that drives a journal."""
    command = [sys.executable, "-c", PREAMBLE + textwrap.dedent(script), str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_what_was_appended_is_there_when_it_is_opened_again(tmp_path: Path):
    events = written(tmp_path)

    assert same(read(tmp_path), events)
    with JournalReader(tmp_path) as reader:
        assert reader.last_seq() == len(events)
        assert same(reader.trial_rows(), folded(events))
    with Journal.open(tmp_path) as journal:
        assert journal.last_seq == len(events)


def test_the_rows_of_the_trials_follow_each_append(tmp_path: Path):
    experiment, seen = Experiment(), []
    with Journal.create(tmp_path) as journal, JournalReader(tmp_path) as reader:
        for batch in small_run():
            write(journal, [batch], experiment)
            seen += batch
            assert same(reader.trial_rows(), folded(seen))


def test_with_a_lag_rows_may_be_behind_and_events_never_are(tmp_path: Path):
    experiment = Experiment()
    with Journal.create(tmp_path) as journal, JournalReader(tmp_path) as reader:
        journal.rows.lag = 1000.0
        write(journal, THREE_RESULTS, experiment)

        assert [result.number for result in reader.history(0)] == [1, 2, 3]
        assert reader.trial_rows()[0].number == 2  # the first one that is behind is written at once


def test_catching_up_writes_the_rows_whose_time_has_come(tmp_path: Path):
    experiment = Experiment()
    with Journal.create(tmp_path) as journal, JournalReader(tmp_path) as reader:
        journal.rows.lag = 0.2
        write(journal, THREE_RESULTS, experiment)
        journal.catch_up(experiment)
        assert reader.trial_rows()[0].number == 2

        time.sleep(0.3)
        journal.catch_up(experiment)

        assert same(reader.trial_rows(), folded([event for _, event in reader.events()]))


def test_whatever_moves_a_trial_writes_its_row_in_spite_of_a_lag(tmp_path: Path):
    experiment = Experiment()
    with Journal.create(tmp_path) as journal, JournalReader(tmp_path) as reader:
        journal.rows.lag = 1000.0
        write(journal, small_run(), experiment)
        journal.catch_up(experiment)

        assert same(reader.trial_rows(), folded([event for _, event in reader.events()]))


def test_a_resumed_journal_goes_on(tmp_path: Path):
    batches = small_run()
    written(tmp_path, batches[:6])

    experiment = Experiment()
    assert fold(tmp_path, experiment) == sum(map(len, batches[:6]))
    with Journal.open(tmp_path) as journal:
        write(journal, batches[6:], experiment)

    events = [event for batch in batches for event in batch]
    assert same(read(tmp_path), events)
    with JournalReader(tmp_path) as reader:
        assert same(reader.trial_rows(), folded(events))


def test_a_batch_of_any_size_is_whole(tmp_path: Path):
    experiment = Experiment()
    with Journal.create(tmp_path) as journal:
        write(journal, [opening(), [launch(0)], []], experiment)
        number = 0
        for size in (1, 39, 40, 41, 80, 1234):
            write(journal, [[report(0, number + step, 0.1) for step in range(1, size + 1)]], experiment)
            number += size
        assert journal.last_seq == 4 + number
    assert [event.number for event in read(tmp_path)[4:]] == list(range(1, number + 1))


def test_create_refuses_a_folder_with_a_journal(tmp_path: Path):
    written(tmp_path)

    with pytest.raises(ExperimentExists, match="Resume it, or choose another name"):
        Journal.create(tmp_path)


def test_open_wants_a_journal(tmp_path: Path):
    with pytest.raises(ExperimentNotFound, match=r"has no journal\.db"):
        Journal.open(tmp_path)


def test_a_second_controller_is_refused_by_name(tmp_path: Path):
    with (
        Journal.create(tmp_path),
        pytest.raises(JournalLocked, match=rf"process {os.getpid()} on .* since .*tunesmith stop"),
    ):
        Journal.open(tmp_path)
    Journal.open(tmp_path).close()


def test_a_second_controller_that_got_past_the_lock_cannot_append(tmp_path: Path):
    with Journal.create(tmp_path) as first:
        write(first, [opening()])
        (tmp_path / "journal.lock").unlink()  # as if the file system had no locks
        with Journal.open(tmp_path) as second:
            experiment = Experiment()
            fold(tmp_path, experiment)
            write(second, [[launch(0)]], experiment)

            experiment = Experiment()
            for event in opening():
                experiment.apply(event)
            with pytest.raises(JournalLocked, match="another controller"):
                write(first, [[launch(1)]], experiment)
    assert same(read(tmp_path), [*opening(), launch(0)])


def test_sync_works_with_and_without_something_to_sync(tmp_path: Path):
    with Journal.create(tmp_path) as journal:
        journal.sync()
        write(journal, [opening()])
        journal.sync()
        journal.sync()
    assert same(read(tmp_path), opening())


def test_a_disk_that_cannot_do_wal_is_said_once_and_works(tmp_path: Path):
    with pytest.warns(RuntimeWarning, match="rollback journal") as warned:
        journal = Journal.create(tmp_path, wal=False)
    with journal, JournalReader(tmp_path) as reader:
        experiment = Experiment()
        for batch in small_run():
            write(journal, [batch], experiment)
            journal.sync()
            assert reader.last_seq() == journal.last_seq
    assert len(warned) == 1
    assert not (tmp_path / "journal.db-wal").exists()
    # Back on a local disk.
    with Journal.open(tmp_path) as journal:
        assert same(read(tmp_path), [event for batch in small_run() for event in batch])
        assert (tmp_path / "journal.db-wal").exists()


def test_a_full_disk_leaves_nothing_half_written_and_the_append_can_be_repeated(tmp_path: Path):
    with Journal.create(tmp_path) as journal:
        experiment = write(journal, [opening(), [launch(0)]])
        (pages,) = journal._connection.execute("PRAGMA page_count").fetchone()
        journal._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        more = [report(0, number, 1.0 / number) for number in range(1, 500)]
        for event in more:
            experiment.apply(event)

        for _ in range(2):
            with pytest.raises(JournalFull, match="nothing was half-written"):
                journal.append(more, experiment)
            assert same(read(tmp_path), [*opening(), launch(0)])
        journal._connection.execute("PRAGMA max_page_count = 1000000")
        journal.append(more, experiment)

    assert same(read(tmp_path), [*opening(), launch(0), *more])
    with JournalReader(tmp_path) as reader:
        assert same(reader.trial_rows(), folded([*opening(), launch(0), *more]))


def test_a_write_that_fails_in_the_kernel_can_be_repeated(tmp_path: Path):
    script = """
    import resource
    with Journal.create(folder) as journal:
        experiment = write(journal, [opening(), [launch(0)]])
        failed = 0
        for start in range(1, 2000, 100):
            events = [report(0, number, 1.0 / number) for number in range(start, start + 100)]
            for event in events:
                experiment.apply(event)
            try:
                limit = (folder / "journal.db-wal").stat().st_size + 1000 * (start // 100)  # cuts a page in two
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                journal.append(events, experiment)
            except JournalFull:
                failed += 1
                assert journal.last_seq == 3 + start, journal.last_seq
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                journal.append(events, experiment)
        print(failed)
    """
    process = controller("from tunesmith.errors import JournalFull\n" + textwrap.dedent(script), tmp_path)
    out, _ = process.communicate()

    assert process.returncode == 0
    assert int(out) >= 10
    assert [event.number for event in read(tmp_path)[4:]] == list(range(1, 2001))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_killing_the_controller_loses_nothing_that_was_acknowledged(tmp_path: Path):
    script = """
    from tunesmith.errors import ExperimentNotFound
    from tunesmith.store.reader import fold
    experiment = Experiment()
    try:
        journal = Journal.open(folder)
        fold(folder, experiment)
    except ExperimentNotFound:
        journal = Journal.create(folder)
        write(journal, [opening(), [launch(0), launch(1)]], experiment)
    size = 0
    while True:
        size = size % 90 + 1
        start = experiment.trials[0].number + 1
        events = [report(trial, number, 1 / number) for number in range(start, start + size) for trial in (0, 1)]
        write(journal, [events], experiment)
        print(journal.last_seq, flush=True)
        journal.sync()
    """
    acknowledged = 0
    for kill in range(10):
        process = controller(script, tmp_path)
        assert process.stdout is not None
        for _ in range(1 + 7 * kill):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().splitlines(keepends=True)
        process.wait()
        process.stdout.close()
        whole = [int(line) for line in lines if line.endswith("\n")]

        events = read(tmp_path)

        assert len(events) >= (whole[-1] if whole else acknowledged + 1)
        acknowledged = len(events)
        for trial in (0, 1):
            numbers = [event.number for event in events[5:] if event.trial == trial]
            assert numbers == list(range(1, len(numbers) + 1))
        with JournalReader(tmp_path) as reader:
            assert same(reader.trial_rows(), folded(events))
    # What a kill leaves behind is no trace of damage.
    Journal.open(tmp_path).close()


def test_a_journal_whose_creation_was_cut_off_is_made_anew(tmp_path: Path):
    (tmp_path / "journal.db.new").write_bytes(b"half a file")

    assert same(written(tmp_path), read(tmp_path))
    assert not (tmp_path / "journal.db.new").exists()


def test_a_log_without_its_journal_is_damage_and_not_a_fresh_start(tmp_path: Path):
    (tmp_path / "journal.db-wal").write_bytes(b"x" * 100)

    with pytest.raises(ExperimentExists):
        Journal.create(tmp_path)
    with pytest.raises(JournalDamaged, match="is missing, but its write-ahead log"):
        Journal.open(tmp_path)


def test_trials_without_a_journal_are_damage_and_not_a_fresh_start(tmp_path: Path):
    (tmp_path / "trials" / "00000").mkdir(parents=True)

    with pytest.raises(JournalDamaged, match="is missing, but the folders of its trials are there"):
        Journal.open(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM trials; END", "holds a trigger called 't'"),
        ("CREATE VIEW v AS SELECT 1", "holds a view called 'v'"),
        ("DROP TABLE about", "table 'about' is missing"),
        ("DELETE FROM events", "it knows of event"),
        ("DELETE FROM events WHERE seq > 40", "it knows of event"),
        ("PRAGMA application_id = 7", "not a journal of Tunesmith"),
    ],
)
def test_a_file_that_is_no_sound_journal_is_refused(tmp_path: Path, change: str, message: str):
    written(tmp_path)
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute(change)
    connection.commit()
    connection.close()

    for opener in (Journal.open, JournalReader):
        with pytest.raises(JournalDamaged, match=message):
            opener(tmp_path)


def test_tables_of_a_newer_build_are_refused_and_say_who_wrote_them(tmp_path: Path):
    written(tmp_path)
    connection = sqlite3.connect(tmp_path / "journal.db")
    connection.execute("PRAGMA user_version = 2")
    connection.execute("UPDATE about SET value = '9.8' WHERE key = 'written_by'")
    connection.commit()
    connection.close()

    for opener in (Journal.open, JournalReader):
        with pytest.raises(JournalTooNew, match=r"version 2; .* last written by Tunesmith 9\.8\. Update Tunesmith"):
            opener(tmp_path)

import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import folded, launch, opening, read, report, same, small_run, write, written

from tunesmith.core.events import Event
from tunesmith.core.experiment import Experiment
from tunesmith.errors import ExperimentNotFound, JournalDamaged, JournalLocked, JournalTooNew
from tunesmith.store.journal import Journal
from tunesmith.store.reader import JournalReader, fold
from tunesmith.store.repair import salvage

# A flipped bit in the one number that nothing repeats, the version of the tables, looks like a newer build's.
REFUSALS = (JournalDamaged, JournalTooNew)


def damaged(folder: Path, data: bytes, log: bytes = b"") -> Path:
    """A folder with these bytes as its journal."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "journal.db").write_bytes(data)
    if log:
        (folder / "journal.db-wal").write_bytes(log)
    return folder


def is_refused_or_prefix(folder: Path, events: list[Event]) -> bool:
    """Check that readers and writers see the truth up to some event or say that there is damage; did they?"""
    refused = False
    try:
        found = read(folder)
        assert found, "a fresh start in silence"
        assert same(found, events[: len(found)])
    except REFUSALS as error:
        refused = str(folder / "journal.db") in str(error)
        assert refused
    try:
        with JournalReader(folder) as reader:
            truth = {row.id: row for row in folded(events)}
            assert all(same(row, truth[row.id]) for row in reader.trial_rows())
            for trial in truth:
                assert {repr(result) for result in reader.history(trial)} <= {repr(event) for event in events}
    except REFUSALS:
        refused = True
    try:
        Journal.open(folder).close()
    except REFUSALS:
        refused = True
    return refused


def test_a_journal_cut_anywhere_is_refused(tmp_path: Path):
    events = written(tmp_path / "whole")
    data = (tmp_path / "whole" / "journal.db").read_bytes()
    for size in (0, 1, 15, 16, 99, 100, *range(512, len(data), 1024), len(data) - 1):
        assert is_refused_or_prefix(damaged(tmp_path / "cut", data[:size]), events), size


def test_a_journal_with_flipped_bits_shows_the_truth_or_is_refused(tmp_path: Path):
    events = written(tmp_path / "whole")
    data = (tmp_path / "whole" / "journal.db").read_bytes()
    draw = random.Random(5)
    refused = 0
    for _ in range(150):
        flipped = bytearray(data)
        for _ in range(draw.choice([1, 1, 30])):
            position = draw.randrange(8 * len(data))
            flipped[position // 8] ^= 1 << position % 8
        refused += is_refused_or_prefix(damaged(tmp_path / "flipped", bytes(flipped)), events)
    assert refused > 30


def test_a_journal_with_garbled_pages_shows_the_truth_or_is_refused(tmp_path: Path):
    events = written(tmp_path / "whole")
    data = (tmp_path / "whole" / "journal.db").read_bytes()
    draw = random.Random(6)
    for page in range(0, len(data), 4096):
        garbled = data[:page] + draw.randbytes(4096) + data[page + 4096 :]
        assert is_refused_or_prefix(damaged(tmp_path / "garbled", garbled), events), page
    assert not is_refused_or_prefix(damaged(tmp_path / "garbled", data + draw.randbytes(100)), events)


@pytest.mark.parametrize(
    ("position", "value", "message"),
    [(0, b"X", "is not a database"), (18, b"\x07", "a format that may not be written"), (68, b"\0", "not a journal")],
)
def test_a_changed_header_is_named_and_repaired(tmp_path: Path, position: int, value: bytes, message: str):
    events = written(tmp_path)
    with (tmp_path / "journal.db").open("r+b") as file:
        file.seek(position)
        file.write(value)

    with pytest.raises(JournalDamaged, match=message):
        Journal.open(tmp_path)
    if position:
        assert salvage(tmp_path) == len(events)
        assert same(read(tmp_path), events)


def killed_with_a_log(folder: Path) -> None:
    """A journal whose controller died: its newest events are in the log only."""
    script = (
        f"import os, sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); from pathlib import Path\n"
        "from small_runs import *\nwrite(Journal.create(Path(sys.argv[1])), small_run()); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", script, str(folder)], check=True)


def test_a_log_cut_or_garbled_anywhere_leaves_a_prefix(tmp_path: Path):
    killed_with_a_log(tmp_path / "whole")
    data, log = ((tmp_path / "whole" / f"journal.db{suffix}").read_bytes() for suffix in ("", "-wal"))
    events = [event for batch in small_run() for event in batch]
    lengths = set()
    draw = random.Random(7)
    for case in range(60):
        position = len(log) * case // 60
        bad = log[:position] if case % 2 else log[:position] + draw.randbytes(10) + log[position + 10 :]
        folder = damaged(tmp_path / "cut", data, bad)
        with JournalReader(folder) as reader:
            found = [event for _, event in reader.events()]
            assert same(found, events[: len(found)])
            assert same(reader.trial_rows(), folded(found))
        lengths.add(len(found))
        Journal.open(folder).close()
    assert len(lengths) > 10


def test_the_message_says_what_is_intact_and_how_to_go_on(tmp_path: Path):
    written(tmp_path)
    with (tmp_path / "journal.db").open("r+b") as file:
        data = file.read()
        where = data.index(b'"number":17,')
        file.seek(where)
        file.write(b'"number":71,')

    message = (
        rf"{tmp_path}/journal\.db is damaged: event 46 cannot be trusted: its checksum .*\. "
        rf"Intact: its first 45 events, up to 17\.0 s, with 3 trials\. "
        rf"To keep the damaged file and go on from there: tunesmith repair {tmp_path}"
    )
    with pytest.raises(JournalDamaged, match=message):
        read(tmp_path)


def test_salvage_keeps_the_intact_events_and_the_damaged_file(tmp_path: Path):
    events = written(tmp_path)
    file = tmp_path / "journal.db"
    bad = file.read_bytes().replace(b'"number":17,', b'"number":71,')
    file.write_bytes(bad)

    assert salvage(tmp_path) == 45

    assert same(read(tmp_path), events[:45])
    with JournalReader(tmp_path) as reader:
        assert same(reader.trial_rows(), folded(events[:45]))
    assert (tmp_path / "journal.damaged-1.db").read_bytes() == bad
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.endswith(("-wal", "-shm"))) == [
        "journal.damaged-1.db", "journal.db", "journal.lock",
    ]  # fmt: skip
    # And the experiment goes on.
    experiment = Experiment()
    fold(tmp_path, experiment)
    with Journal.open(tmp_path) as journal:
        write(journal, [[report(2, 18, 0.01)]], experiment)
    assert same(read(tmp_path), [*events[:45], report(2, 18, 0.01)])


def test_salvage_reads_a_file_that_was_cut(tmp_path: Path):
    experiment = Experiment()
    with Journal.create(tmp_path) as journal:
        write(journal, [opening(), [launch(0)]], experiment)
        write(journal, [[report(0, number, 0.1)] for number in range(1, 1000)], experiment)
    events = read(tmp_path)
    data = (tmp_path / "journal.db").read_bytes()
    (tmp_path / "journal.db").write_bytes(data[: len(data) // 2])

    kept = salvage(tmp_path)

    assert 100 < kept < len(events)
    assert same(read(tmp_path), events[:kept])


def test_salvage_takes_the_log_along(tmp_path: Path):
    killed_with_a_log(tmp_path)
    log = (tmp_path / "journal.db-wal").read_bytes()

    assert salvage(tmp_path) == len([event for batch in small_run() for event in batch])

    assert (tmp_path / "journal.damaged-1.db-wal").read_bytes() == log
    assert same(read(tmp_path), [event for batch in small_run() for event in batch])
    assert salvage(tmp_path) > 0
    assert (tmp_path / "journal.damaged-2.db").exists()


def test_salvage_refuses_when_nothing_is_intact(tmp_path: Path):
    (tmp_path / "journal.db").write_bytes(b"")
    with pytest.raises(JournalDamaged, match=r"Intact: nothing\. Put back a copy of the file, or move the folder away"):
        salvage(tmp_path)
    assert (tmp_path / "journal.db").read_bytes() == b""
    with pytest.raises(JournalDamaged, match="the file is empty"):
        Journal.open(tmp_path)
    with pytest.raises(ExperimentNotFound):
        salvage(tmp_path / "elsewhere")


def test_salvage_refuses_while_a_controller_writes(tmp_path: Path):
    with Journal.create(tmp_path) as journal:
        write(journal, [opening()])
        with pytest.raises(JournalLocked):
            salvage(tmp_path)


def test_salvage_never_cuts_off_what_a_newer_build_wrote(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    events = written(tmp_path)
    before = (tmp_path / "journal.db").read_bytes()
    monkeypatch.delitem(sys.modules["tunesmith.store.codec"].VERSIONS, type(events[-1]).__name__)

    with pytest.raises(JournalTooNew, match="'ExperimentFinished'"):
        salvage(tmp_path)
    with pytest.raises(JournalTooNew, match=r"'ExperimentFinished' .* last written by Tunesmith .*Update"):
        read(tmp_path)
    assert (tmp_path / "journal.db").read_bytes() == before

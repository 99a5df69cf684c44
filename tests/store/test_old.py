"""Every journal that a released version has written is read by every later one. Made by `old/make.py`."""

import math
import shutil
from pathlib import Path

import pytest
from small_runs import folded, read, same, write

from tunesmith.core import events as event_types
from tunesmith.core.events import Event
from tunesmith.core.experiment import Experiment
from tunesmith.store.journal import Journal
from tunesmith.store.reader import JournalReader, fold

OLD = sorted((Path(__file__).parent / "old").glob("*.db"))


def recorded(file: Path) -> list[Event]:
    """What the build that wrote the journal read back from it; fields added since have their defaults."""
    names = {**vars(event_types), "nan": math.nan, "inf": math.inf}
    return [eval(line, names) for line in file.with_suffix(".events").read_text().splitlines()]  # noqa: S307


def test_there_is_an_old_journal():
    assert OLD


@pytest.mark.parametrize("file", OLD, ids=lambda file: file.stem)
def test_an_old_journal_is_read_and_goes_on(file: Path, tmp_path: Path):
    shutil.copy(file, tmp_path / "journal.db")

    events = read(tmp_path)

    assert same(events, recorded(file))
    with JournalReader(tmp_path) as reader:
        assert same(reader.trial_rows(), folded(events))
        assert reader.best().id == 2
        assert len(reader.history(2)) == 40
    experiment = Experiment()
    fold(tmp_path, experiment)
    again = events[-1]
    with Journal.open(tmp_path) as journal:
        write(journal, [[again]], experiment)
    assert same(read(tmp_path), [*events, again])

"""What SQLite's troubles mean for an experiment, in words: which file, what is intact, how to go on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..core.events import Event, Suggested
from ..errors import ExperimentNotFound, JournalDamaged, JournalError, JournalFull, JournalLocked, JournalTooNew
from ..layout import JOURNAL, TRIALS
from .codec import BadRow, decode
from .schema import Unusable, connect

SELECT_EVENTS = "SELECT seq, kind, v, CAST(payload AS BLOB), crc FROM events "

_DAMAGED = {
    sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_ERROR,
}  # fmt: skip
_FULL = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM}


SQLITE_FAULTS = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises; the second is Python's, when a message of SQLite quotes garbled text."""

ROW_FAULTS = (*SQLITE_FAULTS, BadRow, TypeError)
"""What may come up while rows are read: where bytes were changed, a value may have another type than its column."""


def journal_error(folder: Path, error: Exception) -> JournalError:
    """Return what to raise in place of an error that came up while the journal in `folder` was used."""
    if isinstance(error, JournalTooNew):
        return JournalTooNew(f"{folder / JOURNAL}: {error}{_written_by(folder)} Update Tunesmith to open it.")
    # An error without a code is Python's own: text that is no UTF-8.
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if not isinstance(error, sqlite3.Error) or code in _DAMAGED:
        return damage(folder, str(error))
    if code == sqlite3.SQLITE_READONLY and os.access(folder, os.W_OK) and os.access(folder / JOURNAL, os.W_OK):
        return damage(folder, "its header says that it is of a format that may not be written")
    if code in _FULL:
        return JournalFull(
            f"{folder / JOURNAL} cannot be written ({error}): nothing was half-written. Make room on its disk; "
            "what could not be written can be written then."
        )
    if code == sqlite3.SQLITE_CONSTRAINT:
        return JournalLocked(f"{folder / JOURNAL} has events of another controller ({error}). End one of the two.")
    return JournalError(f"{folder / JOURNAL} cannot be used now: {error}. Is another program holding it open?")


def find_journal(folder: Path) -> Path:
    """Return the journal's file.

    Raises:
        ExperimentNotFound: There is none.
        JournalDamaged: There was one.
    """
    path = folder / JOURNAL
    if path.is_file():
        if path.stat().st_size == 0:
            raise damage(folder, "the file is empty")
        return path
    left = f"its write-ahead log {JOURNAL}-wal is" if Path(f"{path}-wal").exists() else "the folders of its trials are"
    if Path(f"{path}-wal").exists() or has_trials(folder):
        raise JournalDamaged(
            f"{path} is missing, but {left} there. Put the file back, or move the folder away to start anew."
        )
    raise ExperimentNotFound(f"no experiment in {folder}: it has no {JOURNAL}. Is the path right?")


def has_trials(folder: Path) -> bool:
    """Whether trials have run in this folder, whatever its journal says."""
    return any((folder / TRIALS).glob("[0-9]*"))


def damage(folder: Path, why: str) -> JournalDamaged:
    """Return the error that says what of a damaged journal is intact."""
    events, at, trials = 0, 0.0, 0
    try:
        for seq, event in intact_events(folder):
            events, at = seq, event.at
            trials += len(event.configs) if isinstance(event, Suggested) else 0
    except JournalTooNew:
        pass  # the rest is intact too, for a newer Tunesmith
    intact = f"its first {events:,} events, up to {at:.1f} s, with {trials:,} trials" if events else "nothing"
    hope = (
        f"To keep the damaged file and go on from there: tunesmith repair {folder}"
        if events
        else "Put back a copy of the file, or move the folder away to start anew."
    )
    return JournalDamaged(f"{folder / JOURNAL} is damaged: {why}. Intact: {intact}. {hope}")


def intact_events(folder: Path) -> Iterator[tuple[int, Event]]:
    """Yield (seq, event) from the first event on, up to the first gap or row that is not what was written.

    Raises:
        JournalTooNew: An intact event that this Tunesmith does not know.
    """
    path = folder / JOURNAL
    if not path.is_file() or path.stat().st_size == 0:
        return
    try:
        with closing(connect(path, mode="ro", cut=True)) as connection:
            rows = connection.execute(SELECT_EVENTS + "ORDER BY seq")
            for expected, row in enumerate(rows, start=1):
                if row[0] != expected:
                    return
                yield expected, decode(*row)
    except ROW_FAULTS:
        return


def _written_by(folder: Path) -> str:
    try:
        with closing(connect(folder / JOURNAL, mode="ro")) as connection:
            found = connection.execute("SELECT value FROM about WHERE key = 'written_by'").fetchone()
    except SQLITE_FAULTS:
        return ""
    return f" It was last written by Tunesmith {found[0]}." if found else ""


READ_FAULTS = (*ROW_FAULTS, Unusable, JournalTooNew)
"""What may come up while a journal is read and is then turned into a `JournalError` by `journal_error`."""

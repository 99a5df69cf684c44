"""The writer of an experiment's journal. What `append` has returned from survives the death of this process.

One process writes (see `lock`). Events and what is derived from them are written in one transaction, so that a
reader, and whoever comes after a crash, sees all of an `append` or nothing of it.
"""

from __future__ import annotations

import os
import sqlite3
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .. import __version__
from ..core.events import Event, ExperimentCreated, ExperimentFinished, SessionOpened
from ..errors import ExperimentExists, JournalDamaged
from ..layout import JOURNAL
from .codec import encode
from .disks import network_disk
from .faults import SQLITE_FAULTS, damage, find_journal, journal_error
from .lagging import LaggingRows
from .lock import Lock
from .schema import SCHEMA, check, connect
from .summary import SummaryRow, encode_trial, trial_row

if TYPE_CHECKING:
    from ..core.experiment import Experiment

MILESTONES: dict[type[Event], str] = {
    ExperimentCreated: "created",
    SessionOpened: "session",
    ExperimentFinished: "finished",
}
"""Events whose newest `seq` stands in the table `about`."""

# Many rows in one statement cost a third less than one by one. OR ROLLBACK needs no journal of its own for that.
_ROWS_AT_ONCE = 40
_INSERTS = [
    "INSERT OR ROLLBACK INTO events VALUES " + ", ".join(["(?, ?, ?, ?, ?, ?)"] * count)
    for count in range(_ROWS_AT_ONCE + 1)
]
"""Statements that insert so many rows."""

_WRITE_TRIAL = (
    "INSERT INTO trials VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
    "status = excluded.status, loss = excluded.loss, payload = excluded.payload, crc = excluded.crc"
)
_UPDATE_GROWN = "UPDATE trials SET payload = ?, crc = ? WHERE id = ?"

_CHECKED_IN_FULL = 64 * 2**20
"""Journals up to this many bytes are checked page by page when they are opened (about 2 ms a megabyte)."""


class Journal:
    """The journal of one experiment, open for writing. Build it by `create` or `open`.

    Raises:
        JournalLocked: Another controller is writing.
    """

    def __init__(self, folder: Path, connection: sqlite3.Connection, lock: Lock, wal: bool) -> None:
        self.folder = folder
        self.last_seq: int = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        """Number of the newest event; 0 in a new journal."""
        self._connection = connection
        self._lock = lock
        self._wal = folder / f"{JOURNAL}-wal" if wal else None
        self._is_synced = True
        self.rows = LaggingRows()
        """When the rows of trials follow their events."""

    @classmethod
    def create(cls, folder: Path, *, wal: bool | None = None) -> Self:
        """Make the folder and an empty journal in it.

        Args:
            folder: The experiment's folder.
            wal: Whether to use SQLite's write-ahead log; None: wherever it works.

        Raises:
            ExperimentExists: There is a journal already.
        """
        folder.mkdir(parents=True, exist_ok=True)
        lock = Lock(folder)
        try:
            if (folder / JOURNAL).exists() or Path(f"{folder / JOURNAL}-wal").exists():
                raise ExperimentExists(f"{folder} already holds an experiment. Resume it, or choose another name.")
            new_file(folder).replace(folder / JOURNAL)
            _sync_folder(folder)
            return cls._opened(folder, lock, wal)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def open(cls, folder: Path, *, wal: bool | None = None) -> Self:
        """Open the journal in `folder` to go on with it.

        Raises:
            ExperimentNotFound: There is none.
            JournalDamaged: Its bytes are not what was written.
            JournalTooNew: A newer Tunesmith has written it.
        """
        find_journal(folder)
        lock = Lock(folder)
        try:
            return cls._opened(folder, lock, wal)
        except BaseException:
            lock.close()
            raise

    @classmethod
    def _opened(cls, folder: Path, lock: Lock, wal: bool | None) -> Self:
        path = find_journal(folder)
        connection: sqlite3.Connection | None = None
        try:
            connection = connect(path, mode="rw")
            check(connection)
            if path.stat().st_size <= _CHECKED_IN_FULL:
                (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
                if verdict != "ok":
                    raise damage(folder, verdict.replace("\n", " "))
            wal = _choose_wal(connection, folder, wal)
            connection.execute("REPLACE INTO about VALUES ('written_by', ?)", (__version__,))
            return cls(folder, connection, lock, wal)
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, Exception) and not isinstance(error, JournalDamaged):
                raise journal_error(folder, error) from error
            raise

    def append(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Write the events and where they left the trials, all or nothing; durable against the death of this process.

        Args:
            events: What happened, in order.
            experiment: The experiment that has applied all of them and nothing more.

        Raises:
            JournalFull: There was no room; the same call may be repeated later.
            JournalLocked: Another controller has written meanwhile.
        """
        if not events:
            return
        rows = [encode(seq, event) for seq, event in enumerate(events, start=self.last_seq + 1)]
        about = [
            (MILESTONES[type(event)], row[0])
            for event, row in zip(events, rows, strict=True)
            if type(event) in MILESTONES
        ]
        self.rows.take(events, experiment)
        with self._transaction(rows[-1][0]) as connection:
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                some = rows[start : start + _ROWS_AT_ONCE]
                connection.execute(_INSERTS[len(some)], tuple(chain.from_iterable(some)))
            if about:
                connection.executemany("REPLACE INTO about VALUES (?, ?)", about)
            took = self._write_rows(connection, experiment)
        self.rows.written(*took)

    def catch_up(self, experiment: Experiment) -> None:
        """Write where trials stand whose rows are behind their events, if it is time.

        Args:
            experiment: As in `append`.
        """
        if self.rows.are_waiting:
            with self._transaction(self.last_seq) as connection:
                took = self._write_rows(connection, experiment)
            self.rows.written(*took)

    def _write_rows(
        self, connection: sqlite3.Connection, experiment: Experiment
    ) -> tuple[list[int], list[int], float, float]:
        """Write what is due; return what it was, and from when to when that was."""
        began = time.monotonic()
        ranked, grown = self.rows.due(began)
        if ranked:
            connection.executemany(_WRITE_TRIAL, _encoded(ranked, experiment))
        if grown:
            connection.executemany(_UPDATE_GROWN, _encoded_grown(grown, experiment))
        return ranked, grown, began, time.monotonic()

    def summarize(self, experiment: Experiment) -> None:
        """Write anew where trials stand, if that is not what the table says: it may rank otherwise, or be damaged.

        Args:
            experiment: The experiment that has applied all events of this journal and nothing more.
        """
        with self._transaction(self.last_seq) as connection:
            trials, sound = experiment.trials, set()
            for number, *row in connection.execute("SELECT id, status, loss, CAST(payload AS BLOB), crc FROM trials"):
                if 0 <= number < len(trials):
                    _, status, loss, payload, crc = encode_trial(trial_row(trials[number]))
                    if row == [status, loss, payload.encode(), crc]:
                        sound.add(number)
            stale = (encode_trial(trial_row(trial)) for trial in trials if trial.id not in sound)
            connection.executemany(_WRITE_TRIAL, stale)

    @contextmanager
    def _transaction(self, last: int) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute("COMMIT")
        except SQLITE_FAULTS as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            # An error after the commit itself must not make the caller write the same again.
            if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY or self._stored() != last:
                raise journal_error(self.folder, error) from error
        self.last_seq = last
        self._is_synced = False

    def _stored(self) -> int:
        try:
            found: int = self._connection.execute("SELECT max(seq) FROM events").fetchone()[0]
        except sqlite3.Error:
            return -1
        return found

    def sync(self) -> None:
        """Make all that was appended survive a power failure too. The loop calls it about once a second."""
        # Syncing the log takes about 1 ms, moving it into the database by a checkpoint several.
        if self._is_synced or self._wal is None:
            return
        try:
            file = os.open(self._wal, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(file)
            finally:
                os.close(file)
        except OSError as error:
            # No reason to end an experiment: only a power failure could make it matter.
            message = f"{self._wal} could not be synced ({error}): is its disk failing?"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            return
        self._is_synced = True

    def close(self) -> None:
        """Give the journal back. May be called twice."""
        self._connection.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def new_file(folder: Path) -> Path:
    """Return a new, empty journal under another name. One that gets its own name by a rename is always whole."""
    path = folder / f"{JOURNAL}.new"
    path.unlink(missing_ok=True)
    try:
        with closing(connect(path, mode="rwc")) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.executescript("BEGIN;" + SCHEMA + "COMMIT;")
    except sqlite3.Error as error:
        raise journal_error(folder, error) from error
    return path


def _choose_wal(connection: sqlite3.Connection, folder: Path, wal: bool | None) -> bool:
    disk = network_disk(folder) if wal is None else None
    if wal is not False and disk is None:
        try:
            works = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] == "wal"
        except sqlite3.OperationalError:
            works = False
        if works:
            # Commits are not synced one by one (see `Journal.sync`); the log is moved into the database each 16 MB.
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            return True
    # In this mode each commit is synced.
    connection.execute("PRAGMA journal_mode = TRUNCATE")
    connection.execute("PRAGMA synchronous = FULL")
    warnings.warn(
        f"{folder} is on a {disk or 'disk'} where SQLite's write-ahead log does not work; the journal uses a rollback "
        "journal, some milliseconds slower at each write. A storage_path on a local disk is faster.",
        RuntimeWarning,
        stacklevel=4,
    )
    return False


def _encoded(numbers: Iterable[int], experiment: Experiment) -> Iterator[SummaryRow]:
    return (encode_trial(trial_row(experiment.trials[number])) for number in numbers)


def _encoded_grown(numbers: Iterable[int], experiment: Experiment) -> Iterator[tuple[str, int, int]]:
    return ((payload, crc, number) for number, _, _, payload, crc in _encoded(numbers, experiment))


def _sync_folder(folder: Path) -> None:
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)

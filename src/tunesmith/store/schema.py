"""The tables of `journal.db`, how it is opened, and whether it is one of ours. No event is read or written here."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from urllib.parse import quote

from ..errors import JournalTooNew

APPLICATION_ID = 0x54754E65
"""Says that an SQLite file is a journal of Tunesmith ("TuNe")."""

SCHEMA_VERSION = 1

SCHEMA = f"""
CREATE TABLE events (seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, v INTEGER NOT NULL, trial INTEGER,
                     payload TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE INDEX events_of_trial ON events (trial);
CREATE TABLE trials (id INTEGER PRIMARY KEY, status TEXT NOT NULL, loss REAL, payload TEXT NOT NULL,
                     crc INTEGER NOT NULL);
CREATE INDEX trials_at_a_glance ON trials (id, status, loss);
CREATE TABLE about (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
"""`events` is the journal. `trials` (one `TrialRow` each) and `about` are made from it, in the same transactions, so
that a table of 100,000 trials needs no pass over the events. An index of a trial's events ends in their `seq`.
`trials_at_a_glance` is what the table is counted and sorted by: a pass over 100,000 narrow rows takes some 10 ms, and
trials that change together lie together in it. Losses come in any order, so an index by loss would scatter each append
over as many pages as it has trials, and slow down as it grows."""

_TABLES = {"events", "trials", "about"}
_CACHE_KIB = 16_000
_TIMEOUT = 10.0
"""Seconds to wait for another connection's lock; only without a write-ahead log can that take more than an instant."""


class Unusable(Exception):
    """An SQLite file that is no sound journal; the message says why."""


def connect(path: Path, *, mode: str, immutable: bool = False, cut: bool = False) -> sqlite3.Connection:
    """Return a connection to a file that may be hostile.

    Args:
        path: The file.
        mode: As in SQLite's URIs: ro, rw or rwc.
        immutable: Nobody changes the file while it is open, and it has no log.
        cut: Read what there is of a file that is shorter than its header says.
    """
    uri = f"file:{quote(str(path.absolute()))}?mode={mode}" + ("&immutable=1" if immutable else "")
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_TIMEOUT, check_same_thread=False)
    # The first of these to read the file decides whether a short one is refused.
    connection.execute(f"PRAGMA writable_schema = {'ON' if cut else 'OFF'}")
    for pragma in ("trusted_schema = OFF", "cell_size_check = ON", f"cache_size = -{_CACHE_KIB}"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def check(connection: sqlite3.Connection) -> None:
    """Check that the file is a journal whose parts belong together; cheap at any size.

    Raises:
        Unusable: It is not.
        JournalTooNew: It is one that a newer Tunesmith has laid out.
        sqlite3.Error: SQLite cannot read it.
    """
    (identity,) = connection.execute("PRAGMA application_id").fetchone()
    if identity != APPLICATION_ID:
        raise Unusable("it is not a journal of Tunesmith")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise JournalTooNew(f"its tables are of version {version}; this Tunesmith knows up to {SCHEMA_VERSION}.")
    parts = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
    for kind, name in parts:
        if kind not in ("table", "index"):
            raise Unusable(f"it holds a {kind} called {name!r}, and no journal does")
    missing = _TABLES - {name for kind, name in parts if kind == "table"}
    if missing:
        raise Unusable(f"its table {min(missing)!r} is missing")
    last, trials, promised = connection.execute(
        "SELECT (SELECT max(seq) FROM events), (SELECT max(id) FROM trials), "
        "(SELECT max(value) FROM about WHERE typeof(value) = 'integer')"
    ).fetchone()
    if (last or 0) < (promised or 0) or (last is None and trials is not None):
        raise Unusable(f"it knows of event {promised or 1}, but its last event is {last or 'none'}")

"""What `tunesmith export` and `tunesmith repair` do."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any

from .analysis.frames import Row, columns, frame, history_table, trial_table
from .analysis.results import Results
from .callbacks.rows import cell
from .callbacks.trial_folder import rebuild_files
from .errors import ConfigError, JournalDamaged, require
from .store.codec import dumps
from .store.journal import Journal
from .store.lock import Lock
from .store.reader import JournalReader
from .store.repair import salvage


def export_table(results: Results, kind: str, path: str, *, history: bool) -> int:
    """Write a row per trial, or with `history` per result, as "csv", "json" or "parquet"; return how many rows.

    The file is written whole or not at all. `path` "-" is the standard output.

    Raises:
        ConfigError: The file cannot be written.
        MissingExtra: Parquet, without the packages for it.
    """
    rows = list(history_table(results) if history else trial_table(results))
    try:
        with _target(path) as file:
            {"csv": _write_csv, "json": _write_json, "parquet": _write_parquet}[kind](rows, file)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error
    return len(rows)


def repair_experiment(folder: Path) -> str:
    """Make an experiment's journal and its trials' files sound again; return what was done, in words.

    Raises:
        JournalDamaged: Nothing of the journal is intact; nothing was changed.
        JournalLocked: The experiment is running.
    """
    try:
        done = f"the journal is sound: {_checked(folder)} events"
    except JournalDamaged as damage:
        kept = salvage(folder)
        done = f"{damage}\nkept the first {kept} events, which are intact; the damaged file lies beside the new one"
    with closing(Lock(folder)):  # a running controller writes the same files
        try:
            trials = rebuild_files(folder)
        except OSError as error:
            raise ConfigError(f"the trials' files cannot be written: {error}.") from error
    return f"{done}\nwrote the files of {trials} trials anew"


def _checked(folder: Path) -> int:
    """Return how many events a journal has, after a look at every part of it."""
    Journal.open(folder).close()
    with JournalReader(folder) as reader:
        for row in reader.trial_rows():
            reader.story(row.id)
        return sum(1 for _ in reader.events())


@contextmanager
def _target(path: str) -> Iterator[IO[bytes]]:
    if path == "-":
        yield sys.stdout.buffer
        sys.stdout.flush()
        return
    target = Path(path).expanduser()
    unfinished = target.with_name(target.name + ".tmp")
    try:
        with unfinished.open("wb") as file:
            yield file
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_csv(rows: list[Row], file: IO[bytes]) -> None:
    names = columns(rows)
    file.write(b",".join(map(cell, names)) + b"\n")
    for row in rows:
        file.write(b",".join(cell(row.get(name)) for name in names) + b"\n")


def _write_json(rows: list[Row], file: IO[bytes]) -> None:
    file.write(b"[" + b",\n ".join(map(dumps, rows)) + b"]\n")


def _write_parquet(rows: list[Row], file: IO[bytes]) -> None:
    require("pandas", feature="a Parquet file", extra="parquet")
    require("pyarrow", feature="a Parquet file", extra="parquet")
    names = columns(rows)
    # A column of Parquet has one type: what mixes several becomes JSON text.
    mixed = {name for name in names if not _has_one_type(row.get(name) for row in rows)}
    plain = [{name: _as_text(row.get(name)) if name in mixed else row.get(name) for name in names} for row in rows]
    memory = io.BytesIO()
    frame(plain).to_parquet(memory, index=False)
    file.write(memory.getvalue())


def _has_one_type(values: Iterator[Any]) -> bool:
    kinds = {type(value) for value in values if value is not None}
    return (len(kinds) <= 1 and not kinds & {list, dict}) or kinds == {int, float}


def _as_text(value: Any) -> str | None:
    return None if value is None else dumps(value).decode()

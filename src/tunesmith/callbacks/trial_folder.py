"""Reading and writing the files of trials' folders. Nothing here watches events; `files.TrialFiles` does."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from ..core.events import Config, Event, Failure, SessionOpened, TrialFailed, TrialLaunched, TrialRequeued
from ..core.results import Lineage, zero_of
from ..layout import FILES_WRITTEN, trial_folder
from ..store.codec import dumps
from ..store.reader import JournalReader
from .rows import Batch, Lines, columns_of, header, padded

PARAMS = "params.json"
RESULTS = "result.json"
PROGRESS = "progress.csv"
ERRORS = "error.txt"
WRITERS = 2
"""So many threads write the files of many trials: making a file keeps the kernel busy for longer than Python."""


def write_all(folder: Path, batches: Sequence[Batch], at: float | None) -> dict[int, OSError]:
    """Add each batch to its trial's files; return the trials whose files could not be written, and why.

    Args:
        folder: The experiment's folder.
        batches: What to write.
        at: The experiment time up to which all files are whole after that; None: leave that open.
    """
    with ThreadPoolExecutor(WRITERS) as writers:
        shares = [batches[first::WRITERS] for first in range(min(WRITERS, len(batches)))]
        failed = dict(chain.from_iterable(writers.map(partial(_write_some, folder), shares)))
    if at is not None and not failed:
        with suppress(OSError):  # a resume then takes more files for unfinished than it must
            mark_written(folder, at)
    return failed


def _write_some(folder: Path, batches: Sequence[Batch]) -> list[tuple[int, OSError]]:
    failed = []
    for batch in batches:
        try:
            _write(f"{folder}/{trial_folder(batch.trial)}/", batch)
        except OSError as error:
            failed.append((batch.trial, error))
    return failed


def rewrite(folder: Path, lines: Lines, params: bytes, errors: bytes, *, done: bool) -> None:
    """Replace a trial's files by what `lines` holds, each one whole or not at all; empty ones are left out.

    Raises:
        OSError: A file could not be written.
    """
    lines.release(done=done)
    batch = lines.batch()
    place = folder / trial_folder(batch.trial)
    place.mkdir(parents=True, exist_ok=True)
    table = header(batch.columns) + b"".join(batch.csv) if batch.columns else b""
    for name, content in ((PARAMS, params), (RESULTS, b"".join(batch.json)), (PROGRESS, table), (ERRORS, errors)):
        if content:
            _replace(f"{place}/{name}", content)


def replayed(
    events: Iterable[Event], opened: Sequence[SessionOpened], experiment: str, trial: int
) -> tuple[Lines, bytes]:
    """Return all lines of a trial, and what its `error.txt` says, from all of its events."""
    lines, attempt, errors = Lines(Lineage(experiment, trial)), 0, b""
    for event in events:
        zero = zero_of(opened, event.at)
        lines.take(event, zero)
        match event:
            case TrialLaunched():
                attempt = event.attempt
            case TrialFailed(failure=failure) | TrialRequeued(failure=Failure() as failure):
                errors += error_text(attempt, failure, zero + event.at)
    return lines, errors


def rebuild_files(folder: Path, resolve: Callable[[Config], Config] = dict) -> int:
    """Write the files of all trials anew from the journal in `folder`; return how many trials there are.

    `resolve` is as in `callbacks.base.Run`. Without it a `params.json` that is there already is left alone.

    Raises:
        OSError: A file could not be written.
    """
    with JournalReader(folder) as reader:
        info = reader.experiment_info()
        opened, rows = reader.sessions(), reader.trial_rows()
        for row in rows:
            lines, errors = replayed(reader.trial_events(row.id), opened, folder.name, row.id)
            has_params = resolve is dict and (folder / trial_folder(row.id) / PARAMS).exists()
            params = b"" if has_params or not row.attempt else params_text(row.config, resolve)
            if row.attempt or errors:
                rewrite(folder, lines, params, errors, done=row.status.is_final)
    if rows and info.session is not None:
        mark_written(folder, max(row.last_at for row in rows))
    return len(rows)


def columns_in(folder: Path, trial: int) -> list[str]:
    """Return the columns of a trial's `progress.csv`; none when it has no such file."""
    try:
        with (folder / trial_folder(trial) / PROGRESS).open("rb") as file:
            return columns_of(file.readline())
    except FileNotFoundError:
        return []


def params_text(config: Config, resolve: Callable[[Config], Config]) -> bytes:
    """Return what `params.json` holds: the config as people see it; an object that JSON cannot hold as its text."""
    shown = resolve(config)
    try:
        payload = dumps(shown)
    except (TypeError, ValueError, RecursionError):
        payload = json.dumps(_plain(shown)).encode()
    try:
        return msgspec.json.format(payload, indent=2) + b"\n"
    except msgspec.DecodeError:
        return payload + b"\n"  # nan and inf are no JSON in the strict sense


def error_text(attempt: int, failure: Failure, wall: float) -> bytes:
    """Return what `error.txt` says of one failure."""
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(wall))
    where = f"\nat {failure.where}" if failure.where else ""
    traceback = f"\n\n{failure.traceback.rstrip()}" if failure.traceback else ""
    text = f"{when}  attempt {attempt}: {failure.kind}\n{failure.message}{where}{traceback}\n\n"
    return text.encode(errors="replace")


def written_until(folder: Path) -> float:
    """Return the experiment time up to which the trials' files are whole; -inf when that is not known."""
    try:
        return float((folder / FILES_WRITTEN).read_text())
    except (FileNotFoundError, ValueError):
        return float("-inf")


def mark_written(folder: Path, at: float) -> None:
    """Note that the trials' files are whole up to experiment time `at`."""
    (folder / FILES_WRITTEN).parent.mkdir(exist_ok=True)
    _replace(f"{folder / FILES_WRITTEN}", repr(at).encode())


def _write(place: str, batch: Batch) -> None:
    if batch.params:
        _append(place, PARAMS, batch.params, os.O_TRUNC)
    if batch.json:
        _append(place, RESULTS, b"".join(batch.json))
        table = b"".join(batch.csv)
        if not batch.written:
            _append(place, PROGRESS, header(batch.columns) + table)
        elif batch.written == len(batch.columns):
            _append(place, PROGRESS, table)
        else:
            _grow(place + PROGRESS, batch, table)
    if batch.errors:
        _append(place, ERRORS, batch.errors)


def _grow(path: str, batch: Batch, table: bytes) -> None:
    """Give a table more columns: its old rows end in empty cells."""
    more = len(batch.columns) - batch.written
    rows = Path(path).read_bytes().splitlines(keepends=True)[1:]
    _replace(path, header(batch.columns) + b"".join(padded(row, more) for row in rows) + table)


def _append(place: str, name: str, content: bytes, flags: int = os.O_APPEND) -> None:
    # Bare system calls: 100,000 trials have 300,000 of these files.
    flags |= os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
    try:
        file = os.open(place + name, flags, 0o666)
    except FileNotFoundError:
        _make_folder(place)
        file = os.open(place + name, flags, 0o666)
    try:
        while content:
            content = content[os.write(file, content) :]
    finally:
        os.close(file)


def _make_folder(place: str) -> None:
    try:
        os.mkdir(place)  # noqa: PTH102  as above
    except FileNotFoundError:
        os.makedirs(place, exist_ok=True)  # noqa: PTH103


def _replace(path: str, content: bytes) -> None:
    temporary = f"{path}.tmp"
    Path(temporary).write_bytes(content)
    os.replace(temporary, path)  # noqa: PTH105  the path is text


def _plain(value: Any) -> Any:
    """Return `value` with text in place of everything that JSON cannot hold."""
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | str() | bool() | int() | float():
            return value
    return getattr(value, "__qualname__", None) or repr(value)

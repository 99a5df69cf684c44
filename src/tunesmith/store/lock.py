"""Who may write an experiment's journal: one process at a time. The kernel frees the lock when its owner dies."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
import weakref
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from ..errors import JournalLocked
from ..layout import LOCK


class Owner(msgspec.Struct, frozen=True):
    """The process that holds a lock."""

    host: str
    pid: int
    since: float
    """Wall-clock time, seconds since 1970 (UTC)."""


class Lock:
    """The right to write in a folder, held until `close` or until the process ends.

    Raises:
        JournalLocked: Another process (or another journal of this one) holds it after `patience` seconds. A process
            that was killed a moment ago may need some of them to be gone.
    """

    def __init__(self, folder: Path, *, patience: float = 1.0) -> None:
        self._file = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        deadline = time.monotonic() + patience
        while not _try_flock(self._file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                owner = _read_owner(self._file)
                os.close(self._file)
                raise JournalLocked(_refusal(folder, owner))
            time.sleep(0.02)
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, msgspec.json.encode(Owner(socket.gethostname(), os.getpid(), time.time())), 0)
        _held.add(self)

    def close(self) -> None:
        """Give the right back. May be called twice."""
        if self._file >= 0:
            _held.discard(self)
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = -1

    def _forget(self) -> None:
        # In a forked child: closing its copy leaves the parent's lock alone.
        os.close(self._file)
        self._file = -1


def lock_owner(folder: Path) -> Owner | None:
    """Return the process that is writing the journal in `folder`; None when nobody is."""
    try:
        file = os.open(folder / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return None if _try_flock(file, fcntl.LOCK_SH) else _read_owner(file)
    finally:
        os.close(file)


def _try_flock(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        # A file system without locks: the journal's primary key still refuses what a second writer appends.
        return error.errno in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
    return True


def _read_owner(file: int) -> Owner:
    try:
        return msgspec.json.decode(os.pread(file, 4096, 0), type=Owner)
    except msgspec.DecodeError:
        return Owner("?", 0, 0.0)  # it has the lock and has not signed yet


def _refusal(folder: Path, owner: Owner) -> str:
    if not owner.pid:
        return f"{folder}: another process is opening this experiment right now. Wait for it, or stop it."
    since = datetime.fromtimestamp(owner.since, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"{folder}: process {owner.pid} on {owner.host} has been driving this experiment since {since}. "
        f"Wait for it, or stop it: tunesmith stop {folder}"
    )


# The kernel frees a lock when the last copy of its file is closed, and a forked child has a copy. Without this, a
# data loader that outlives a killed driver would keep the experiment locked.
_held: weakref.WeakSet[Lock] = weakref.WeakSet()


def _forget_inherited() -> None:
    for lock in list(_held):
        lock._forget()
    _held.clear()


os.register_at_fork(after_in_child=_forget_inherited)

"""An experiment under a storage URL: copies of its journal, and which of its checkpoints may be deleted there.

The journal itself lies in a working folder on this machine, for SQLite needs a disk. What goes to the URL is a
snapshot: whole, consistent, replaced at once. A checkpoint is deleted only after a snapshot that no longer needs it has
arrived, so whoever takes over from there finds all that its journal names.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import msgspec

from ..core.events import Event
from ..errors import ExperimentNotFound, JournalLocked, StorageError
from ..layout import JOURNAL, REMOTE, TRIALS, checkpoint_container
from ..remote import RemoteFolder
from .checkpoints import kept_containers
from .reader import JournalReader

STATE = "experiment.json"
"""Beside the journal's copy: which one it is, and who drives the experiment."""
SILENT_AFTER = 120.0
"""A driver on another machine that has not been heard of for so many seconds is taken for dead."""
_SNAPSHOT = ".snapshot.tmp"


class RemoteState(msgspec.Struct, frozen=True, kw_only=True):
    """What a URL says about the experiment under it."""

    session: int = 0
    last_seq: int = 0
    host: str = ""
    pid: int = 0
    is_running: bool = False
    heard_at: float = 0.0
    """Wall-clock time, seconds since 1970 (UTC)."""

    @property
    def is_alive(self) -> bool:
        """Whether somebody drives the experiment, as far as one can know from here."""
        is_dead = self.host == socket.gethostname() and _is_dead(self.pid)
        return self.is_running and time.time() - self.heard_at <= SILENT_AFTER and not is_dead

    @property
    def age(self) -> tuple[int, int]:
        """Of two copies the one with the higher age is the newer one."""
        return self.session, self.last_seq


class RemoteExperiment:
    """The experiment that lies under `url` and is worked on in `folder`."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        self._files = RemoteFolder(url)
        self._unneeded: list[str] = []
        self._has_pushed = False
        self._lock = threading.Lock()

    def state(self) -> RemoteState | None:
        """Return what the URL says; None when no experiment is there.

        Raises:
            StorageError: It cannot be reached.
        """
        data = self._files.read(STATE)
        if data is None:
            return None
        try:
            return msgspec.json.decode(data, type=RemoteState)
        except msgspec.DecodeError as error:
            raise StorageError(f"{self.url}/{STATE} is not what was written: {error}") from error

    def local_state(self) -> RemoteState | None:
        """Return the same of the journal in the working folder; None without one."""
        if not (self.folder / JOURNAL).exists():
            return None
        return _state_of(self.folder)

    def check_alone(self, state: RemoteState) -> None:
        """Refuse to go on with an experiment that somebody else drives.

        Raises:
            JournalLocked: Somebody does, or did until a moment ago.
        """
        silent = time.time() - state.heard_at
        if not state.is_alive:
            return
        raise JournalLocked(
            f"{self.url} is driven by process {state.pid} on {state.host}, heard of {max(0.0, silent):.0f} s ago. "
            f"Wait for its end; if it has died, try again in {SILENT_AFTER - silent:.0f} s."
        )

    def pull(self) -> None:
        """Make the working folder's journal the copy at the URL. One that was there is kept beside it.

        Raises:
            ExperimentNotFound: There is none.
            StorageError: It cannot be reached.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        snapshot = self.folder / _SNAPSHOT
        shutil.rmtree(snapshot, ignore_errors=True)
        try:
            try:
                self._files.get("", [JOURNAL], snapshot)
            except FileNotFoundError as error:
                raise ExperimentNotFound(f"there is no experiment at {self.url} (no {JOURNAL}).") from error
            journal = self.folder / JOURNAL
            if journal.exists():
                number = 1 + sum(1 for _ in self.folder.glob("journal.replaced-*.db"))
                with closing(sqlite3.connect(journal)) as old:  # what is in its log belongs into the file
                    old.execute("PRAGMA journal_mode = DELETE")
                journal.replace(self.folder / f"journal.replaced-{number}.db")
            (snapshot / JOURNAL).replace(journal)
        finally:
            shutil.rmtree(snapshot, ignore_errors=True)
        self.note()

    def note(self, state: RemoteState | None = None) -> None:
        """Write down in the folder which URL it belongs to; in one that only shows a copy also what the URL says."""
        self.folder.mkdir(parents=True, exist_ok=True)
        found = {"url": self.url} if state is None else {"url": self.url, "state": msgspec.to_builtins(state)}
        (self.folder / REMOTE).write_text(json.dumps(found) + "\n", encoding="utf-8")

    def push(self, *, is_running: bool) -> None:
        """Copy the journal as it now is to the URL; then delete there what it no longer needs. Safe from any thread.

        Raises:
            StorageError: It cannot be reached, or not be written to.
        """
        with self._lock:
            # Only those that this snapshot knows of; more may be added by the loop meanwhile.
            count = len(self._unneeded)
            snapshot = self.folder / _SNAPSHOT
            try:
                _snapshot(self.folder, snapshot)
                state = msgspec.structs.replace(
                    _state_of(snapshot),
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    is_running=is_running,
                    heard_at=time.time(),
                )
                self._check_not_taken_over(state)
                self._files.put(snapshot, [JOURNAL], "")
                self._files.write(STATE, msgspec.json.encode(state))
                self._has_pushed = True
                self._files.delete(*map(checkpoint_container, self._unneeded[:count]))
                del self._unneeded[:count]
            finally:
                shutil.rmtree(snapshot, ignore_errors=True)

    def _check_not_taken_over(self, mine: RemoteState) -> None:
        """Refuse to write over what another driver writes: it took this one for dead after a long silence, say."""
        there = self.state() if self._has_pushed else None
        if there is not None and (there.host, there.pid) != (mine.host, mine.pid):
            raise StorageError(
                f"{self.url} has been taken over by process {there.pid} on {there.host}; what this one does from now "
                f"on is in {self.folder} alone. Stop one of them."
            )

    def discard(self, reference: str) -> None:
        """Delete a checkpoint once a journal without it has been copied to the URL."""
        self._unneeded.append(reference)

    def prune(self, events: Iterable[Event]) -> list[str]:
        """Delete the checkpoints at the URL that no trial of this journal keeps; return their names.

        Only while nobody drives the experiment.
        """
        kept = kept_containers(events)
        found: dict[str, None] = {}
        for name in self._files.names(TRIALS):
            parts = name.split("/")
            if len(parts) > 4:
                found["/".join(parts[:4])] = None
        unknown = [container for container in found if container not in kept]
        self._files.delete(*unknown)
        return unknown


def remote_url(folder: Path) -> str | None:
    """Return the URL that a working folder belongs to; None when the experiment lies in the folder itself."""
    try:
        found = json.loads((folder / REMOTE).read_text(encoding="utf-8"))
        return str(found["url"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StorageError(
            f"{folder / REMOTE} cannot be read ({type(error).__name__}): under which URL does the experiment lie? "
            "Delete the file and run with the same storage_path= and resume='auto'."
        ) from error


def copied_state(folder: Path) -> RemoteState | None:
    """Return what the URL of a folder that only shows a copy said when it was copied; None for any other folder."""
    try:
        found = json.loads((folder / REMOTE).read_text(encoding="utf-8"))
        return msgspec.convert(found["state"], RemoteState)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _snapshot(folder: Path, target: Path) -> None:
    """Write a copy of the journal into the folder `target`, while its writer goes on."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    path = (folder / JOURNAL).absolute()
    try:
        with (
            closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=60.0)) as source,
            closing(sqlite3.connect(target / JOURNAL)) as copy,
        ):
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
    except sqlite3.Error as error:
        raise StorageError(f"{path} cannot be copied: {error}") from error


def _state_of(folder: Path) -> RemoteState:
    with JournalReader(folder) as reader:
        info = reader.experiment_info()
    return RemoteState(session=info.session.session if info.session else 0, last_seq=info.last_seq)


def _is_dead(pid: int) -> bool:
    if pid == os.getpid():
        return True  # an earlier run in this very process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False

"""Where experiments lie: a folder of this machine, and for those under a URL the working folder that stands for it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from . import arguments, invocation
from .errors import ConfigError, ExperimentExists, ExperimentNotFound
from .layout import JOURNAL
from .remote import joined, scheme
from .store.faults import find_journal
from .store.remote import RemoteExperiment, remote_url

DEFAULT_STORAGE = "results"


@dataclass(frozen=True, slots=True)
class Place:
    """Where one experiment lies."""

    folder: Path
    is_new: bool
    remote: RemoteExperiment | None = None
    """What keeps it under a URL; the folder is then the one in which it is worked on."""


def place_for(name: str | None, storage: Path | str, resume: str, trainable: str) -> Place:
    """Return where an experiment lies, or is to lie.

    Args:
        name: Its name; None: made from the trainable's name and the time.
        storage: The folder or the URL of all experiments, checked.
        resume: TRUE, FALSE or AUTO.
        trainable: The trainable's name.

    Raises:
        ExperimentExists, ExperimentNotFound: It is there, or not, against what `resume` says.
        StorageError: The URL cannot be reached.
        JournalLocked: Somebody else drives the experiment.
    """
    again = invocation.resumed_folder()
    if again is not None:
        # The same command again: each of its experiments that exists goes on.
        resume = "AUTO"
        is_unnamed = name is None and again.name.startswith(f"{trainable}_")
        if name == again.name or (is_unnamed and invocation.claim(again)):
            name, url = again.name, remote_url(again)
            if url is None:
                return Place(again, is_new=False)
            return _remote_place(again, RemoteExperiment(again, url), resume)
    if name is None and resume == "TRUE":
        raise ConfigError("resume=True: which experiment? Give its name=.")
    if isinstance(storage, str):
        here = Path(DEFAULT_STORAGE)
        name = _new_name(here, trainable) if name is None else arguments.experiment_name(name)
        return _remote_place(here / name, RemoteExperiment(here / name, joined(storage, name)), resume)
    if name is None:
        return Place(storage / _new_name(storage, trainable), is_new=True)
    folder = storage / arguments.experiment_name(name)
    exists = holds_experiment(folder)
    _check_resume(str(folder), exists, resume)
    if exists and (url := remote_url(folder)) is not None:
        raise ConfigError(f"{folder} belongs to {url}. Go on with it by storage_path={url.rpartition('/')[0]!r}.")
    return Place(folder, not exists)


def _remote_place(folder: Path, remote: RemoteExperiment, resume: str) -> Place:
    is_here = holds_experiment(folder)
    belongs_to = remote_url(folder)
    if (is_here or belongs_to is not None) and belongs_to != remote.url:
        raise ConfigError(
            f"{folder}, where {remote.url} would be worked on, holds another experiment "
            f"({belongs_to or 'one of this machine'}). Choose another name=, or run it from another folder."
        )
    there = remote.state()
    exists = is_here or there is not None
    _check_resume(remote.url, exists, resume)
    if there is not None:
        remote.check_alone(there)
        here = remote.local_state()
        if here is None or there.age > here.age:
            remote.pull()
    return Place(folder, not exists, remote)


def _check_resume(where: str, exists: bool, resume: str) -> None:
    if exists and resume == "FALSE":
        raise ExperimentExists(
            f"{where} already holds an experiment. Go on with it: resume='auto'. A new one: another name=."
        )
    if not exists and resume == "TRUE":
        raise ExperimentNotFound(f"resume=True, but there is no experiment in {where}. Start one: resume='auto'.")


def found(path: str | os.PathLike[str]) -> Path:
    """Return the folder in which an experiment can be read: its own, or one into which its journal was copied.

    Raises:
        ExperimentNotFound: There is no experiment.
        StorageError: The URL cannot be reached.
    """
    text = os.fspath(path)
    if scheme(text):
        storage = arguments.storage(text)
        if isinstance(storage, str):
            return _copied(storage.rstrip("/"))
        path = storage
    folder = Path(path)
    if not holds_experiment(folder):
        here = sorted(child.parent.name for child in folder.glob(f"*/{JOURNAL}"))
        hint = f" It holds experiments, though: {', '.join(here[:10])}." if here else ""
        raise ExperimentNotFound(f"there is no experiment in {folder} (no {JOURNAL}).{hint}")
    return folder


def _copied(url: str) -> Path:
    """Return a folder of this user's cache that holds the newest copy of the journal at a URL."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tunesmith"
    # Two URLs may end in the same name.
    folder = cache / hashlib.blake2b(url.encode(), digest_size=8).hexdigest() / url.rpartition("/")[2]
    remote = RemoteExperiment(folder, url)
    there = remote.state()
    if there is None:
        raise ExperimentNotFound(f"there is no experiment at {url} (no copy of its {JOURNAL}).")
    here = remote.local_state()
    if here is None or here.age != there.age:
        (folder / JOURNAL).unlink(missing_ok=True)
        remote.pull()
    remote.note(there)
    return folder


def exists(storage: str | os.PathLike[str], name: str) -> bool:
    """Return whether there is an experiment of that name."""
    place = arguments.storage(storage)
    if isinstance(place, str):
        return RemoteExperiment(Path(DEFAULT_STORAGE) / name, joined(place, name)).state() is not None
    return holds_experiment(place / name)


def holds_experiment(folder: Path) -> bool:
    """Return whether a folder holds an experiment's journal."""
    try:
        find_journal(folder)
    except ExperimentNotFound:
        return False
    return True


def _new_name(storage: Path, trainable: str) -> str:
    first = name = f"{trainable}_{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}"
    number = 1
    while (storage / name).exists():
        number += 1
        name = f"{first}_{number}"
    return name

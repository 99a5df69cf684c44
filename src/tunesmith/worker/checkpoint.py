"""Checkpoints on disk: written under a temporary name, synced, renamed, and only then reported; immutable from then on.

A *reference* names one: its path relative to the experiment's folder (a folder, or a file in it), with "/" on every
platform.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..errors import ReportError
from ..layout import checkpoint_container
from . import manifest


class Checkpoint:
    """A checkpoint: a path to a directory or a file that `report` takes and `get_checkpoint` gives back."""

    __slots__ = ("path",)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)

    @classmethod
    def from_directory(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """Return the checkpoint that is all of a directory.

        Raises:
            ReportError: There is no directory of that name.
        """
        if not os.path.isdir(path):  # noqa: PTH112  accepts what os.fspath does
            raise ReportError(f"Checkpoint.from_directory({os.fspath(path)!r}): there is no such directory.")
        return cls(path)

    @contextlib.contextmanager
    def as_directory(self) -> Iterator[str]:
        """Give the directory that holds the checkpoint (for a file: the one it lies in). Read it, do not change it."""
        yield self.path if Path(self.path).is_dir() else str(Path(self.path).parent)

    def to_directory(self, path: str | os.PathLike[str] | None = None) -> str:
        """Copy the checkpoint into a directory of your own (default: a new temporary one) and return its path."""
        import tempfile  # imported late, like shutil below: a worker without checkpoints starts without them

        target = Path(tempfile.mkdtemp(prefix="checkpoint-") if path is None else path)
        target.mkdir(parents=True, exist_ok=True)
        _copy(Path(self.path), target)
        return str(target)

    def __fspath__(self) -> str:
        return self.path

    def __truediv__(self, name: str | os.PathLike[str]) -> Path:
        return Path(self.path) / name

    def __eq__(self, other: object) -> bool:
        return self.path == other.path if isinstance(other, Checkpoint) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"Checkpoint({self.path!r})"


def commit(source: Any, experiment_folder: Path, reference: str) -> str:
    """Copy a reported path to the folder `reference`, durably, and return the reference to report.

    A directory's contents go right into the folder, a file goes there under its own name; symbolic links are followed.

    Raises:
        ReportError: `source` is no path, is not there, contains the folder it is to be copied to, or holds something
            that cannot be copied (a dangling link, a link to one of its own parents, a pipe).
    """
    if not isinstance(source, str | os.PathLike) or not isinstance(os.fspath(source), str):
        raise ReportError(
            f"checkpoint= takes a path to a file or directory, not a {type(source).__qualname__}. "
            "Save it to a file first and report the file's path."
        )
    path = Path(source)
    if not path.exists():
        raise ReportError(
            f"checkpoint={os.fspath(source)!r}: there is nothing at {Path.cwd() / path}. Write it before reporting it."
        )
    if path.is_dir() and (experiment_folder / reference).resolve().is_relative_to(path.resolve()):
        raise ReportError(
            f"checkpoint={os.fspath(source)!r} is the trial's own folder or one above it, and would be copied into "
            "itself. Write the checkpoint to a folder of its own and report that one."
        )
    with staged(experiment_folder, reference) as staging:
        _copy(path, staging)
    return reference if path.is_dir() else f"{reference}/{path.name}"


def size_of(experiment_folder: Path, reference: str) -> int:
    """Return how many bytes the files of a checkpoint hold."""
    listed = manifest.read(experiment_folder / checkpoint_container(reference))
    return 0 if listed is None else listed.size


@contextlib.contextmanager
def staged(experiment_folder: Path, reference: str) -> Iterator[Path]:
    """Give an empty directory to fill, which becomes the folder `reference`, durably; on an error it goes away."""
    import shutil  # imported late: 10 ms that an attempt without checkpoints need not pay

    folder = experiment_folder / reference
    staging = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        yield staging
        manifest.write(staging)
        settle(staging, folder)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def settle(staging: Path, folder: Path) -> None:
    """Make what is in `staging` the folder of a checkpoint, durably."""
    import shutil

    _sync_tree(staging)
    if folder.exists():
        # Only an attempt that could not send its report leaves one of this name; nothing refers to it.
        shutil.rmtree(folder)
    staging.rename(folder)
    _sync(folder.parent)


def _copy(source: Path, target: Path, parents: tuple[str, ...] = ()) -> None:
    """Copy a file into the directory `target`, or a directory's contents, following links."""
    import shutil

    if not source.is_dir():
        if not source.is_file():
            raise ReportError(f"the checkpoint holds {source}, which is neither a file nor a directory. Leave it out.")
        shutil.copyfile(source, target / source.name)
        return
    real = os.path.realpath(source)
    if real in parents:
        raise ReportError(f"the checkpoint holds {source}, a link to one of its own parents. Leave it out.")
    for entry in sorted(source.iterdir()):
        if entry.name == manifest.MANIFEST:
            continue  # of a checkpoint that was given back: whoever copies it makes another one
        if entry.is_dir():
            (target / entry.name).mkdir(exist_ok=True)
            _copy(entry, target / entry.name, (*parents, real))
        elif entry.is_symlink() and not entry.exists():
            raise ReportError(f"the checkpoint holds {entry}, a link to nothing ({entry.readlink()}). Leave it out.")
        else:
            _copy(entry, target, (*parents, real))


def _sync_tree(folder: Path) -> None:
    for directory, _, files in os.walk(folder):
        for name in files:
            _sync(Path(directory, name))
        _sync(Path(directory))


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a directory to sync it
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

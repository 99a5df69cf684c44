"""Checkpoints on their way to where they are kept, a URL or the driver's machine, and back.

The list of its files goes there last, and makes one whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from ..errors import CheckpointUnreadable
from ..layout import checkpoint_container
from . import manifest


class Elsewhere(Protocol):
    """Where checkpoints are kept that are not kept on this machine. Methods as of `remote.RemoteFolder`."""

    url: str

    def put(self, folder: Path, names: Sequence[str], under: str) -> None:
        """Copy files there."""

    def write(self, name: str, data: bytes) -> None:
        """Write a file there."""

    def read(self, name: str) -> bytes | None:
        """Return a file's contents."""

    def get(self, under: str, names: Sequence[str], folder: Path) -> None:
        """Copy files from there."""


def upload(remote: Elsewhere, experiment_folder: Path, container: str) -> None:
    """Copy a checkpoint's folder to the experiment's URL.

    Raises:
        StorageError: It is not there; what came there of it is nothing that anybody would use.
    """
    folder = experiment_folder / container
    listed = manifest.read(folder)
    assert listed is not None, "a checkpoint is uploaded by whoever has just written it"
    remote.put(folder, list(listed.files), container)
    remote.write(f"{container}/{manifest.MANIFEST}", listed.encoded())


def download(remote: Elsewhere, container: str, target: Path) -> None:
    """Copy a checkpoint's folder from the experiment's URL to the folder `target`, which is then whole.

    Raises:
        CheckpointUnreadable: It is not there, or not whole.
        StorageError: Nobody knows, for the storage cannot be reached.
    """
    listed_as = remote.read(f"{container}/{manifest.MANIFEST}")
    if listed_as is None:
        raise CheckpointUnreadable(f"the checkpoint {container} cannot be read: it is not at {remote.url} any more")
    staging = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        listed = manifest.decoded(listed_as)
        staging.mkdir(parents=True)
        for inner in listed.folders:
            (staging / inner).mkdir(parents=True, exist_ok=True)
        remote.get(container, list(listed.files), staging)
        (staging / manifest.MANIFEST).write_bytes(listed_as)
        found = manifest.fault(staging)
    except (ValueError, FileNotFoundError) as error:
        found = f"it is not whole ({error})"
    if found:
        shutil.rmtree(staging, ignore_errors=True)
        raise CheckpointUnreadable(f"the checkpoint {container} at {remote.url} cannot be read: {found}")
    with contextlib.suppress(OSError):  # Somebody else has fetched the same meanwhile.
        staging.rename(target)
    shutil.rmtree(staging, ignore_errors=True)


def fetched(remote: Elsewhere, experiment_folder: Path, reference: str) -> Path:
    """Return a checkpoint's path in the experiment's folder, where it is downloaded to unless it is there already.

    Raises:
        CheckpointUnreadable, StorageError: As `download`.
    """
    container = checkpoint_container(reference)
    if not (experiment_folder / container / manifest.MANIFEST).is_file():
        download(remote, container, experiment_folder / container)
    return experiment_folder / reference

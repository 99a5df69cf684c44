"""Where one attempt's checkpoints are kept: in the experiment's folder, or elsewhere; then they travel.

Elsewhere is the experiment's URL; or the driver's machine, where workers do not see the experiment's folder.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import StorageError
from ..layout import checkpoint_container, start_folder
from .checkpoint import Checkpoint, size_of
from .protocol import Assignment

if TYPE_CHECKING:
    from .transfer import Elsewhere


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a checkpoint that was saved."""

    reference: str | None = None
    """None when it could not be stored."""
    size: int = 0
    failure: str = ""


NOTHING = Stored()


class Keeping:
    """Brings the checkpoints of one attempt to where they are kept, and the one that it starts from here.

    Args:
        folder: The experiment's folder on this machine.
        assignment: The attempt.
        remote: Where its checkpoints are kept, if that is elsewhere.
    """

    def __init__(self, folder: Path, assignment: Assignment, remote: Elsewhere | None) -> None:
        self._folder = folder
        self._assignment = assignment
        self._remote = remote

    @property
    def start(self) -> Checkpoint | None:
        """What the attempt starts from."""
        reference, container = self._assignment.checkpoint, self.start_container
        if reference is None or container is None:
            return None
        return Checkpoint(container / reference[len(checkpoint_container(reference)) :].lstrip("/"))

    @property
    def start_container(self) -> Path | None:
        """The folder on this machine that holds all of it."""
        assignment = self._assignment
        if assignment.checkpoint is None:
            return None
        container = self._folder / checkpoint_container(assignment.checkpoint)
        if self._remote is None:
            return container
        return self._folder / start_folder(assignment.trial, assignment.attempt, self._part) / container.name

    @property
    def _part(self) -> str:
        at = self._assignment.at
        return f"-{blake2b(at.encode(), digest_size=4).hexdigest()}" if at else ""

    def fetch(self) -> None:
        """Download what the attempt starts from, if it lies elsewhere.

        Raises:
            CheckpointUnreadable: It is not there, or not whole.
            StorageError: The storage cannot be reached.
        """
        reference, container = self._assignment.checkpoint, self.start_container
        if self._remote is None or reference is None or container is None or self._assignment.is_rank:
            return  # A rank finds what the process has downloaded that started it.
        from . import transfer  # only where it is needed

        self.release()
        transfer.download(self._remote, checkpoint_container(reference), container)

    def release(self) -> None:
        """Delete what this attempt, or an earlier one that was killed, has downloaded to start from."""
        if self._remote is None or self._assignment.checkpoint is None or self._assignment.is_rank:
            return
        import shutil

        checkpoints = (self._folder / start_folder(self._assignment.trial, self._assignment.attempt)).parent
        for folder in checkpoints.glob(f".*{self._part}-start.tmp"):
            shutil.rmtree(folder, ignore_errors=True)

    def store(self, saved: str, number: int) -> Stored:
        """Bring the checkpoint of result `number`, which lies in its place here, to where it is kept."""
        size = size_of(self._folder, saved)
        if self._remote is None:
            return Stored(saved, size)
        import shutil

        from . import transfer

        container = checkpoint_container(saved)
        try:
            transfer.upload(self._remote, self._folder, container)
        except StorageError as error:
            message = f"tunesmith: the checkpoint of result {number} was not stored; the trial goes on. {error}"
            print(message, file=sys.stderr, flush=True)
            return Stored(failure=str(error))
        finally:
            shutil.rmtree(self._folder / container, ignore_errors=True)
        return Stored(saved, size)

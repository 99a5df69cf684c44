"""What an agent does where the experiment's folder is not to be seen: another one stands for it, and is emptied.

Checkpoints travel by themselves (`depot`). What trials print, and how they failed, the agent tells the driver.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ..layout import PROBE
from .runner import ERROR_FILE
from .supervised import Worker
from .wire import Printed

MOST = 1 << 24
"""Bytes of what was printed that may wait to be sent to the driver; at a trial's end the rest is left out."""
PIECE = 1 << 16


class Away:
    """The folder that stands for the experiment's, if there must be one."""

    def __init__(self) -> None:
        self.folder = ""
        self._has_looked = False

    def look(self, folder: str, word: str) -> bool:
        """See, once, whether the experiment's folder is the driver's, who has written `word` there.

        Return True if it is not; then there is one from now on that stands for it.
        """
        if self._has_looked or not word:
            return False
        self._has_looked = True
        if _holds(Path(folder, PROBE), word):
            return False
        import tempfile  # only where it is needed

        self.folder = tempfile.mkdtemp(prefix="tunesmith-")
        return True

    def printed(self, worker: Worker, most: int) -> Iterator[Printed]:
        """Yield what a worker has printed, `most` bytes of it."""
        for output in worker.outputs:
            while data := output.take(min(PIECE, most)):
                most -= len(data)
                yield Printed(worker.trial, worker.attempt, output.name, data)

    def error(self, worker: Worker) -> Iterator[Printed]:
        """Yield what a worker has written down of its error, if it has."""
        file = Path(worker.folder, ERROR_FILE)
        with suppress(OSError):
            yield Printed(worker.trial, worker.attempt, ERROR_FILE, file.read_bytes()[:MOST])
            file.unlink()

    def clear(self) -> None:
        """Delete the folder."""
        if self.folder:
            import shutil

            shutil.rmtree(self.folder, ignore_errors=True)


def _holds(file: Path, word: str) -> bool:
    try:
        return file.read_text() == word
    except (OSError, ValueError):
        return False

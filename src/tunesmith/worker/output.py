"""What trials print. A worker writes into memory that outlives it; the agent moves it to files, if it is anything.

The memory is an anonymous file behind the worker's descriptors 1 and 2, so that what C code and child processes write
comes along, and the last words of a process that was killed.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from . import system

NAMES = ("stdout", "stderr")
_CHUNK = 1 << 20


class Output:
    """One stream of one worker.

    Args:
        name: Which.
        descriptor: The memory that it is written into. Default: new memory.
    """

    __slots__ = ("_moved", "_name", "descriptor")

    def __init__(self, name: str, descriptor: int | None = None) -> None:
        self._name = name
        self.descriptor = _anonymous_file(name) if descriptor is None else descriptor
        self._moved = 0

    def move(self, folder: str, most: int | None = None) -> int:
        """Append what is new (`most` bytes of it) to the stream's file in `folder`; return how many bytes that were.

        On a full disk it stays where it is, for the next time.
        """
        new = os.fstat(self.descriptor).st_size - self._moved
        if new < 0:  # Whoever writes has cut it off.
            new, self._moved = new + self._moved, 0
        began, end = self._moved, self._moved + (new if most is None else min(new, most))
        if began < end:
            self._append(Path(folder), end)
        return self._moved - began

    def take(self, most: int) -> bytes:
        """Return what is new, `most` bytes of it, instead of moving it."""
        if os.fstat(self.descriptor).st_size < self._moved:  # Whoever writes has cut it off.
            self._moved = 0
        data = os.pread(self.descriptor, most, self._moved)
        self._moved += len(data)
        system.free(self.descriptor, self._moved)
        return data

    @property
    def name(self) -> str:
        """Which stream it is."""
        return self._name

    def _append(self, folder: Path, end: int) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with (folder / self._name).open("ab", buffering=0) as file:
                while self._moved < end:
                    data = os.pread(self.descriptor, min(_CHUNK, end - self._moved), self._moved)
                    if not data:
                        break  # Cut off meanwhile.
                    self._moved += file.write(data)
        except OSError as error:
            os.write(2, f"what a trial printed cannot be written: {error}\n".encode())
        system.free(self.descriptor, self._moved)

    def close(self) -> None:
        """Free the memory."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    __del__ = close


def _anonymous_file(name: str) -> int:
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name)
    else:
        import tempfile

        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    # Whoever opens it once more (/dev/stdout) does not write over what is there.
    fcntl.fcntl(descriptor, fcntl.F_SETFL, os.O_APPEND)
    return descriptor

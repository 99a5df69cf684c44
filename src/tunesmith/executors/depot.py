"""The driver's side of checkpoints that come from, and go to, machines that do not see the experiment's folder.

Runs in threads beside the driver's loop, one per transfer. Nothing but checkpoints is read or written, and only for
peers that have proved that they know the session's key.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import threading
import zlib
from pathlib import Path

import msgspec

from ..layout import CHECKPOINTS, TRIALS
from ..worker import manifest
from ..worker.checkpoint import settle
from ..worker.depot import PIECE, Contents, Done, Get, Put, Whole, pieces, received, send

MOST_AT_ONCE = 8
"""Further transfers wait, lest they slow each other down on one disk."""
PATIENCE = 60.0
"""Seconds after which a transfer that stands still is over."""
_CONTAINER = re.compile(rf"{TRIALS}/\d+/{CHECKPOINTS}/\d+-\d+")
_decode = msgspec.msgpack.Decoder(Put | Whole | Get).decode


class Depot:
    """Keeps the checkpoints of an experiment, and gives them out.

    Args:
        folder: The experiment's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._room = threading.BoundedSemaphore(MOST_AT_ONCE)
        self._open: set[socket.socket] = set()
        self._is_closed = False

    def serve(self, sock: socket.socket) -> None:
        """Do what one peer asks for, until it hangs up."""
        self._open.add(sock)
        try:
            with sock, self._room:
                if not self._is_closed:
                    sock.settimeout(PATIENCE)
                    Transfer(self._folder, sock).run()
        except (OSError, ValueError, msgspec.DecodeError):
            pass  # The worker is gone, or has been told why it was refused.
        finally:
            self._open.discard(sock)

    def close(self) -> None:
        """End all transfers."""
        self._is_closed = True
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class Transfer:
    """One connection: files that come, or go."""

    def __init__(self, folder: Path, sock: socket.socket) -> None:
        self._folder = folder
        self._socket = sock
        self._container = ""
        self._staging: Path | None = None
        self._sums: dict[str, tuple[int, int]] = {}
        """Of the files that have come: size and CRC-32."""

    def run(self) -> None:
        """Serve until the peer hangs up."""
        try:
            while (body := received(self._socket)) is not None:
                match _decode(body):
                    case Put(name, size):
                        self._take(name, size)
                    case Whole(container, data):
                        self._finish(container, data)
                    case Get(name):
                        self._give(name)
        except (OSError, ValueError, msgspec.DecodeError) as error:
            with contextlib.suppress(OSError):
                send(self._socket, Done(f"{type(error).__name__}: {error}"))
                # Closed while what the peer still sends lies unread, the line would swallow the answer.
                self._socket.shutdown(socket.SHUT_WR)
                while self._socket.recv(PIECE):
                    pass
            raise
        finally:
            self._discard()

    def _take(self, name: str, size: int) -> None:
        container, inner = self._parts(name)
        file = self._staged(container) / inner
        file.parent.mkdir(parents=True, exist_ok=True)
        crc = 0
        with file.open("wb", buffering=0) as opened:
            for piece in pieces(self._socket, size):
                crc = zlib.crc32(piece, crc)
                opened.write(piece)
        self._sums[inner] = (size, crc)

    def _finish(self, container: str, data: bytes) -> None:
        """Make a checkpoint durable whose files have all come, and say so."""
        self._parts(f"{container}/{manifest.MANIFEST}")
        staging = self._staged(container)
        listed = manifest.decoded(data)
        if listed.files != self._sums:
            raise ValueError(f"what came of {container} is not what was sent")
        for inner in listed.folders:
            (staging / inner).mkdir(parents=True, exist_ok=True)
        (staging / manifest.MANIFEST).write_bytes(data)
        settle(staging, self._folder / container)
        self._staging = None
        self._sums.clear()
        send(self._socket, Done())

    def _give(self, name: str) -> None:
        self._parts(name)
        try:
            file = (self._folder / name).open("rb")
        except (FileNotFoundError, NotADirectoryError):
            send(self._socket, Contents(-1))
            return
        with file:
            size = (self._folder / name).stat().st_size
            send(self._socket, Contents(size))
            if size:
                self._socket.sendfile(file, count=size)

    def _parts(self, name: str) -> tuple[str, str]:
        """Return a checkpoint's folder, and the path of a file in it; neither leads anywhere else.

        Raises:
            ValueError: It is no name of that kind.
        """
        parts = name.split("/")
        container, inner = "/".join(parts[:4]), "/".join(parts[4:])
        if not _CONTAINER.fullmatch(container) or not inner or ".." in parts or "" in parts or "." in parts:
            raise ValueError(f"{name!r} is no file of a checkpoint")
        return container, inner

    def _staged(self, container: str) -> Path:
        """Return where the files of a checkpoint gather."""
        if self._staging is None or self._container != container:
            self._discard()
            folder = self._folder / container
            self._container = container
            self._staging = folder.with_name(f".{folder.name}.tmp")
            shutil.rmtree(self._staging, ignore_errors=True)
            self._staging.mkdir(parents=True)
        return self._staging

    def _discard(self) -> None:
        staging, self._staging = self._staging, None
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)
        self._sums.clear()

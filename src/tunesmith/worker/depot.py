"""Checkpoints that travel to the driver's machine and back, where workers do not see the experiment's folder.

Each transfer has a connection of its own to the driver, so that none holds up what others report, and both sides hold
no more of it in memory than a piece. The driver answers once all is durable there; only then the result that comes
with a checkpoint is reported.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from struct import Struct

import msgspec

from ..errors import StorageError
from .handshake import NAME, NotAuthenticError, introduced
from .manifest import MANIFEST
from .protocol import Message

DEPOT = b"depot".ljust(NAME, b"\0")
"""Whoever connects under this name has files, or wants some."""
PIECE = 1 << 20
CONNECT_PATIENCE = 10.0
_HEADER = Struct("<I")
_MOST_WORDS = 1 << 28


class Address(msgspec.Struct, frozen=True, array_like=True):
    """Where the driver is reached, and what it is known by."""

    hosts: tuple[str, ...]
    port: int
    key: bytes


class Put(Message, frozen=True):
    """Worker to driver: a file of a checkpoint; its contents follow."""

    name: str
    size: int


class Whole(Message, frozen=True):
    """Worker to driver: all files of a checkpoint have been sent; make it durable. Answered by `Done`."""

    container: str
    manifest: bytes


class Get(Message, frozen=True):
    """Worker to driver: send a file. Answered by `Contents`."""

    name: str


class Done(Message, frozen=True):
    """Driver to worker: it is durable, or `error` says why not."""

    error: str = ""


class Contents(Message, frozen=True):
    """Driver to worker: the contents follow; -1 bytes: there is no such file."""

    size: int


def send(sock: socket.socket, message: Message) -> None:
    """Send a message."""
    body = msgspec.msgpack.encode(message)
    sock.sendall(_HEADER.pack(len(body)) + body)


def received(sock: socket.socket) -> bytes | None:
    """Return the body of the next message, None at the end of the stream.

    Raises:
        ConnectionError: The stream ends in the middle of a message.
    """
    header = _exactly(sock, _HEADER.size)
    if header is None:
        return None
    (size,) = _HEADER.unpack(header)
    if size > _MOST_WORDS:
        raise ConnectionError("what came is no message")
    body = _exactly(sock, size)
    if body is None:
        raise ConnectionError("the connection was closed")
    return body


def pieces(sock: socket.socket, size: int) -> Iterator[memoryview]:
    """Yield the `size` bytes that come next, in pieces, each of which is overwritten by the next one.

    Raises:
        ConnectionError: The stream ends before.
    """
    buffer = memoryview(bytearray(min(PIECE, size)))
    while size:
        count = sock.recv_into(buffer[:size])
        if not count:
            raise ConnectionError("the connection was closed")
        size -= count
        yield buffer[:count]


def _exactly(sock: socket.socket, size: int) -> bytes | None:
    data = b""
    while len(data) < size:
        more = sock.recv(min(PIECE, size - len(data)))
        if not more:
            if data:
                raise ConnectionError("the connection was closed")
            return None
        data += more
    return data


class DriverFolder:
    """The experiment's folder on the driver's machine, with as much of `RemoteFolder` as checkpoints need.

    Args:
        address: Of the driver.
    """

    url = "the driver's machine"

    def __init__(self, address: Address) -> None:
        self._address = address
        self._uploading: socket.socket | None = None

    def put(self, folder: Path, names: Sequence[str], under: str) -> None:
        """Send files of a local folder, as the name `under`; `write` makes them a checkpoint.

        Raises:
            StorageError: The driver cannot be reached, or cannot take them.
        """
        self._give_up()
        self._uploading = sock = self._connected()
        with self._answering(sock, self._give_up):
            for name in names:
                with (folder / name).open("rb") as file:
                    size = (folder / name).stat().st_size
                    send(sock, Put(f"{under}/{name}", size))
                    if size:
                        sock.sendfile(file, count=size)

    def write(self, name: str, data: bytes) -> None:
        """Write the list of the files that have been put; when this returns all of it is durable.

        Raises:
            StorageError: It is not.
        """
        container, _, last = name.rpartition("/")
        assert last == MANIFEST, "nothing else is written"
        sock, self._uploading = self._uploading, None
        assert sock is not None, "its files come first"
        with sock, self._answering(sock):
            send(sock, Whole(container, data))
            self._take_answer(sock)

    def read(self, name: str) -> bytes | None:
        """Return a file's contents; None when it is not there.

        Raises:
            StorageError: The driver cannot be reached.
        """
        with self._connected() as sock, self._answering(sock):
            contents = _asked(sock, name)
            return None if contents is None else b"".join(map(bytes, contents))

    def get(self, under: str, names: Sequence[str], folder: Path) -> None:
        """Copy files to a local folder.

        Raises:
            FileNotFoundError: One of them is not there.
            StorageError: The driver cannot be reached.
        """
        with self._connected() as sock, self._answering(sock):
            for name in names:
                contents = _asked(sock, f"{under}/{name}")
                if contents is None:
                    raise FileNotFoundError(name)
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                with (folder / name).open("wb", buffering=0) as file:
                    for piece in contents:
                        file.write(piece)

    def _connected(self) -> socket.socket:
        address, error = self._address, ""
        for host in address.hosts:
            try:
                # A driver that is gone later ends this process.
                return introduced(host, address.port, address.key, DEPOT, CONNECT_PATIENCE)
            except (OSError, NotAuthenticError) as failure:
                error = str(failure)
        where = " or ".join(f"{host}:{address.port}" for host in address.hosts)
        raise StorageError(f"the driver at {where} cannot be reached: {error}")

    @contextmanager
    def _answering(self, sock: socket.socket, on_failure: Callable[[], None] = lambda: None) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            # Whoever refuses a file says why before it hangs up.
            with suppress(OSError):
                self._take_answer(sock)
            raise StorageError(f"the connection to the driver broke: {error}") from error
        except BaseException:
            on_failure()
            raise

    def _take_answer(self, sock: socket.socket) -> None:
        body = received(sock)
        if body is None:
            raise ConnectionError("the connection was closed")
        answer = msgspec.msgpack.decode(body, type=Done)
        if answer.error:
            raise StorageError(f"the driver could not keep it: {answer.error}")

    def _give_up(self) -> None:
        sock, self._uploading = self._uploading, None
        if sock is not None:
            sock.close()


def _asked(sock: socket.socket, name: str) -> Iterator[memoryview] | None:
    """Return the contents of a file, which must be taken before anything else; None when it is not there."""
    send(sock, Get(name))
    body = received(sock)
    if body is None:
        raise ConnectionError("the connection was closed")
    answer = msgspec.msgpack.decode(body, type=Contents | Done)
    if isinstance(answer, Done):
        raise StorageError(f"the driver could not give it: {answer.error}")
    return None if answer.size < 0 else pieces(sock, answer.size)

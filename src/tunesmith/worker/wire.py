"""How messages travel: frames on a stream socket, and the messages that are the agent's own business.

A frame is a 4-byte little-endian length and a body: one message in msgpack, or the raw bytes of a large buffer. The
agent relays a worker's frames to the driver as they are, so per attempt the order is the order of writing.
"""

from __future__ import annotations

import signal
import socket
from collections import deque
from struct import Struct

import msgspec

from .depot import Address
from .protocol import Message

_HEADER = Struct("<I")
_CHUNK = 1 << 16
"""How much is read at once: below the size for which every allocation is a system call of its own."""
_PADDING = 12
"""With the 4 bytes of the header a large body starts at a multiple of 16: arrays made from it lie aligned."""
LARGE = 1 << 20
"""Buffers of at least this size travel as frames of their own and are never copied into a pickle."""
LIMIT = (1 << 32) - 1
"""The largest body that a frame can have."""

Bytes = bytes | bytearray | memoryview
KIND = 5
"""Where in a frame stands the length of its message's name, which tells apart the three that a worker sends."""
ENDED = 0xA0 | len("Ended")
IDLE = 0xA0 | len("Idle")


class Setup(Message, frozen=True):
    """Driver to agent, first: how workers are to be made."""

    preload: list[str]
    """Modules to import before the first worker is forked."""
    start_method: str
    """auto (fork where it is safe), fork or exec."""
    reuse: bool
    threads: dict[str, str]
    """The thread-count variables that the user has set, which are to stay so."""
    hide_gpus: bool
    """Whether a trial without a GPU must be kept from seeing the machine's."""
    driver_timeout: float
    """After so many seconds of silence the driver is taken for dead."""
    by_main_thread: bool
    """Whether the driver's main thread starts the agent, so that the kernel tells of the death of the whole driver."""
    order: int = signal.SIGTERM
    """Agent to worker: the signal that tells it to end."""
    word: str = ""
    """What is written in the experiment's folder before the first assignment, for an agent on another machine to see
    whether it is the same one there."""
    depot: Address | None = None
    """Agent to worker, where it is not: how the driver's is reached."""


class Payload(Message, frozen=True):
    """Driver to workers, once: the job. Pickles are opened by a worker only."""

    trainable: bytes
    parameters: bytes
    objects: bytes
    buffers: tuple[int, int, int]
    """How many large buffers belong to each of the three; they follow as raw frames, in this order."""
    experiment: str
    seed: int
    time_attr: str
    thresholds: dict[str, float]
    metric: str | None
    checkpoint_freq: int
    checkpoint_at_end: bool
    saves_when_waiting: bool
    storage: str = ""
    more_metrics: tuple[str, ...] = ()


class Stop(Message, frozen=True):
    """Driver to agent: end this attempt by force, SIGKILL coming `grace` seconds after SIGTERM."""

    trial: int
    attempt: int
    grace: float


class Ping(Message, frozen=True):
    """Driver to agent: I live, and do not take you for lost."""

    at: float
    """When it was sent, by the driver's clock."""
    heard: float = float("-inf")
    """`Alive.at` of the newest of these that had come."""


class Ready(Message, frozen=True):
    """Agent to driver: preloading is done; workers are made by `method` (fork or exec)."""

    method: str


class Alive(Message, frozen=True):
    """Agent to driver: I live."""

    at: float
    """When it was sent, by the agent's clock."""


class Leaving(Message, frozen=True):
    """Agent to driver: my machine, or my place on it, is being taken away; what runs here should save and end."""

    reason: str


class Started(Message, frozen=True):
    """Agent to driver: a worker took the attempt up."""

    trial: int
    attempt: int
    pid: int
    host: str


class Printed(Message, frozen=True):
    """Agent to driver, where it does not see the experiment's folder: what belongs into a file of the trial's."""

    trial: int
    attempt: int
    name: str
    """stdout or stderr, which it is appended to; or error.txt, which it replaces."""
    data: bytes


class Idle(Message, frozen=True):
    """Worker to agent, right after its `Ended`: I can take another attempt."""


_encode = msgspec.msgpack.Encoder().encode


def frame(message: Message) -> bytes:
    """Return a message as one frame.

    Raises:
        OverflowError: The message holds an integer of more than 64 bits.
    """
    body = _encode(message)
    return _HEADER.pack(len(body)) + body


def header(body: Bytes) -> bytes:
    """Return what stands before a raw body."""
    return _HEADER.pack(len(body))


class FrameReader:
    """Cuts what arrives on a socket into whole frames."""

    __slots__ = ("_filled", "_large", "_rest", "_socket")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._rest = b""
        self._large: memoryview | None = None
        self._filled = 0

    def read(self, flags: int = 0) -> tuple[Bytes, list[int]] | None:
        """Read once; return whole frames and where each begins, the end of the last one included. None: end of stream.

        A frame larger than a chunk comes alone, in memory of its own that may be written to.

        Raises:
            BlockingIOError: There is nothing to read now.
        """
        if self._large is not None:
            return self._read_large(self._large, flags)
        data = self._socket.recv(_CHUNK, flags)
        if not data:
            return None
        if self._rest:
            data = self._rest + data
        bounds = [0]
        end, size = 0, len(data)
        while end + 4 <= size:
            following = end + 4 + _HEADER.unpack_from(data, end)[0]
            if following > size:
                break
            bounds.append(following)
            end = following
        self._rest = data[end:]
        if len(self._rest) >= 4:
            self._expect(4 + _HEADER.unpack_from(self._rest)[0])
        return data, bounds

    def _expect(self, length: int) -> None:
        if length > _CHUNK:
            # Joining chunks again and again would be quadratic: the rest is read right into its place.
            self._large = memoryview(bytearray(_PADDING + length))[_PADDING:]
            self._filled = len(self._rest)
            self._large[: self._filled] = self._rest
            self._rest = b""

    def _read_large(self, large: memoryview, flags: int) -> tuple[Bytes, list[int]] | None:
        count = self._socket.recv_into(large[self._filled :], flags=flags)
        if not count:
            return None
        self._filled += count
        if self._filled < len(large):
            return b"", [0]
        self._large = None
        return large, [0, len(large)]


class Outbox:
    """What is still to be written to a non-blocking socket, in order. A dead peer swallows it: its reader says so."""

    __slots__ = ("_is_broken", "_queue", "_socket", "size")

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._queue: deque[memoryview] = deque()
        self._is_broken = False
        self.size = 0
        """Bytes that wait."""

    def put(self, data: Bytes) -> None:
        """Write at once what the socket takes; keep the rest."""
        view = memoryview(data)
        if not self._queue:
            view = view[self._write(view) :]
        if view.nbytes and not self._is_broken:
            self._queue.append(view)
            self.size += view.nbytes

    def flush(self) -> None:
        """Write as much as the socket takes."""
        while self._queue:
            view = self._queue[0]
            count = self._write(view)
            if self._is_broken:
                return
            self.size -= count
            if count < view.nbytes:
                self._queue[0] = view[count:]
                break
            self._queue.popleft()

    def _write(self, view: memoryview) -> int:
        if not self._is_broken:
            try:
                return self._socket.send(view)
            except BlockingIOError:
                return 0
            except OSError:
                self._is_broken = True
        self._queue.clear()
        self.size = 0
        return 0

"""The ranks of a trial on its further nodes: a companion on each launches them there, and the relay hears of it.

The relay asks the driver for them (`Gather`); each companion is a worker that runs the same trainable under the agent
that holds the trial's resources there, and connects to the relay. Its end of that line is their leash: without it they
are killed. A key that came by way of the driver lets companions in, and nobody else.
"""

from __future__ import annotations

import base64
import contextlib
import select
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import pairwise
from time import monotonic, sleep

import msgspec

from ..errors import ExecutorError
from .addresses import own_addresses, send_at_once
from .handshake import NAME, NotAuthenticError, admit, introduced, new_key
from .process import Line
from .protocol import Gather, Message
from .rank_host import Exits, Gone, Hello, News, Over, RankHost
from .session import Session, TrialHalted
from .wire import FrameReader, frame

PATIENCE, CONNECT_PATIENCE = 30.0, 5.0
"""Seconds in which a companion must reach its relay, and in which an address must answer."""
STRANGERS_PATIENCE = 2.0
"""Seconds that whoever connects may take to prove that it is a companion."""
LOOK_EVERY = 0.05


class Begin(Message, frozen=True):
    """Relay to companion: all are there; launch your ranks, which meet at this port of the relay's machine."""

    port: int


class Signal(Message, frozen=True):
    """Relay to companion: send this signal to your ranks."""

    number: int


class Left(Message, frozen=True):
    """Companion to relay, last: all my ranks have ended; the exit codes that are known."""

    codes: dict[int, int]


class _Meeting(msgspec.Struct, frozen=True):
    """Where a trial's relay is found, and the key to it."""

    addresses: tuple[str, ...]
    port: int
    key: str


_decode_news = msgspec.msgpack.Decoder(Hello | Over | Gone | Left).decode
_decode_order = msgspec.msgpack.Decoder(Begin | Signal).decode


class Reception:
    """The relay's end of the lines to the companions.

    Args:
        session: The running attempt.
        nodes: Where companions are to be, in order.
        opens: Opens what all ranks meet at; returns its port.
        poller: Looks after our sockets too.
    """

    def __init__(self, session: Session, nodes: Sequence[str], opens: Callable[[], int], poller: select.poll) -> None:
        self._session = session
        self._nodes = tuple(nodes)
        self._opens = opens
        self._poller = poller
        self._key = new_key()
        self._listener = socket.create_server(("", 0), backlog=len(nodes))
        poller.register(self._listener, select.POLLIN)
        self._lines: dict[int, _CompanionLine] = {}
        self._start: Callable[[], None] | None = None
        self._is_ending = False
        self.exit_codes: dict[int, int] = {}
        self.losses: list[str] = []
        """In words, which companions have gone without a last word."""

    def open(self, start: Callable[[], None]) -> None:
        """Have the companions called; `start` is called once they all are there."""
        self._start = start
        port = self._listener.getsockname()[1]
        meeting = _Meeting(own_addresses(), port, base64.b64encode(self._key).decode())
        assignment, channel = self._session.assignment, self._session.channel
        assert isinstance(channel, Line), "only agents can be on several nodes"
        channel.send(Gather(assignment.trial, assignment.attempt, msgspec.json.encode(meeting).decode()))

    @property
    def is_over(self) -> bool:
        """Whether all companions have gone, or are not waited for any more."""
        return not self._lines and (self._start is None or self._is_ending)

    def take(self, ready: Collection[int]) -> list[News]:
        """Return what companions have to say whose descriptors are ready."""
        if self._listener.fileno() in ready:
            self._admit()
        news: list[News] = []
        for descriptor in [descriptor for descriptor in self._lines if descriptor in ready]:
            line = self._lines[descriptor]
            messages, is_gone = line.receive()
            for message in messages:
                if isinstance(message, Left):
                    line.has_left = True
                    self.exit_codes |= message.codes
                else:
                    news.append(message)
            if is_gone:
                self._poller.unregister(line.socket)
                del self._lines[descriptor]
                line.socket.close()
                if not line.has_left:
                    self.losses.append(f"the processes on {line.node} are gone")
        return news

    def _admit(self) -> None:
        sock, _ = self._listener.accept()
        try:
            sock.settimeout(STRANGERS_PATIENCE)
            number = int.from_bytes(admit(sock, self._key), "big")
            node = self._nodes[number - 1]
            sock.settimeout(None)
        except (OSError, NotAuthenticError, IndexError):
            sock.close()
            return
        send_at_once(sock)
        self._lines[sock.fileno()] = _CompanionLine(sock, node)
        self._poller.register(sock, select.POLLIN)
        if self._is_ending:
            self.signal(signal.SIGKILL)
        elif len(self._lines) == len(self._nodes) and self._start is not None:
            start, self._start = self._start, None
            begin = frame(Begin(self._opens()))
            for line in self._lines.values():
                line.send(begin)
            start()

    def signal(self, number: int) -> None:
        """Have a signal sent to the ranks everywhere."""
        self._is_ending = True
        for line in self._lines.values():
            line.send(frame(Signal(number)))

    def close(self) -> None:
        """Close all lines, which ends what still runs at their other ends."""
        for sock in (self._listener, *(line.socket for line in self._lines.values())):
            sock.close()


class _CompanionLine:
    """The relay's end of the line to one companion."""

    def __init__(self, sock: socket.socket, node: str) -> None:
        self.socket = sock
        self.node = node
        self.has_left = False
        self._reader = FrameReader(sock)

    def send(self, data: bytes) -> None:
        """Write a little."""
        with contextlib.suppress(OSError):  # it is gone, which its line will say
            self.socket.sendall(data)

    def receive(self) -> tuple[list[Hello | Over | Gone | Left], bool]:
        """Return what has come, and whether the companion is gone."""
        bodies, is_gone = _read(self._reader)
        return [_decode_news(body) for body in bodies], is_gone


class Companion:
    """What runs a trial's ranks on a node that is not its first one.

    Args:
        session: The running attempt, whose assignment says where the relay is.
        number: Which of the trial's nodes this one is.
        grace_s: Seconds between SIGTERM and SIGKILL when this process is told to end.
    """

    def __init__(self, session: Session, number: int, grace_s: float) -> None:
        self._session = session
        self._number = number
        self._grace = grace_s
        self._host = RankHost()
        self._is_left_alone = False
        self._is_called = False
        """Whether the relay has said what is to be done: to begin, or to end."""

    @property
    def address(self) -> str:
        """Where the ranks of this machine report."""
        return self._host.address

    def run(self, launch: Callable[[str, int], Exits]) -> None:
        """Launch the ranks when the relay says so, and serve them until all have ended.

        Args:
            launch: As of `RankHost.start`, with the address and the port at which all ranks meet.

        Raises:
            ExecutorError: The relay cannot be reached.
            TrialHalted: The relay is gone.
        """
        sock, address = _reached(self._session.assignment.meeting, self._number)
        reader = FrameReader(sock)
        self._host.poller.register(sock, select.POLLIN)
        try:
            while not self._is_called or not self._host.is_over:
                ready = [descriptor for descriptor, _ in self._host.poller.poll(1000 * LOOK_EVERY)]
                for order in self._orders(sock, reader) if sock.fileno() in ready else ():
                    self._is_called = True
                    if isinstance(order, Begin):
                        self._host.start(partial(launch, address, order.port))
                    else:
                        self._host.signal(order.number)
                self._tell(sock, self._host.take(ready))
            self._conclude(sock)
        except BaseException:
            self._host.signal(self._session.job.order)
            self._outlast()
            raise
        finally:
            sock.close()
            self._host.close()

    def _orders(self, sock: socket.socket, reader: FrameReader) -> list[Begin | Signal]:
        bodies, is_gone = _read(reader)
        if is_gone:
            self._host.poller.unregister(sock)
            self._is_left_alone = self._is_called = True
            self._host.signal(signal.SIGKILL)
        return [_decode_order(body) for body in bodies]

    def _tell(self, sock: socket.socket, news: list[News]) -> None:
        for each in news:
            if isinstance(each, Hello | Over | Gone):
                with contextlib.suppress(OSError):  # the relay is gone, which its line says
                    sock.sendall(frame(each))

    def _conclude(self, sock: socket.socket) -> None:
        if self._is_left_alone:
            raise TrialHalted
        if self._host.error is not None and not self._host.begun and not self._host.was_ended:
            raise self._host.error
        with contextlib.suppress(OSError):
            sock.sendall(frame(Left(self._host.exit_codes())))

    def _outlast(self) -> None:
        """Wait for the end of the ranks, after they were told to."""
        until = monotonic() + self._grace
        while not self._host.is_over:
            self._host.take([descriptor for descriptor, _ in self._host.poller.poll(1000 * LOOK_EVERY)])
            if monotonic() > until:
                self._host.signal(signal.SIGKILL)


def _reached(meeting: str, number: int) -> tuple[socket.socket, str]:
    """Return a line to the relay, and the address at which it was found."""
    place = msgspec.json.decode(meeting, type=_Meeting)
    until = monotonic() + PATIENCE
    while True:
        for address in place.addresses:
            try:
                key, name = base64.b64decode(place.key), number.to_bytes(NAME, "big")
                return introduced(address, place.port, key, name, CONNECT_PATIENCE), address
            except (OSError, NotAuthenticError) as failure:
                error = failure
        if monotonic() > until:
            where = " or ".join(f"{address}:{place.port}" for address in place.addresses)
            raise ExecutorError(
                f"{socket.gethostname()} cannot reach the trial's first node at {where}: {error}. "
                "Its ranks meet there: let the nodes connect to each other at any port."
            )
        sleep(0.2)


def _read(reader: FrameReader) -> tuple[list[bytes], bool]:
    """Return the bodies of what has come, and whether the other side is gone."""
    bodies: list[bytes] = []
    while True:
        try:
            frames = reader.read(socket.MSG_DONTWAIT)
        except BlockingIOError:
            return bodies, False
        except OSError:
            frames = None
        if frames is None:
            return bodies, True
        data, bounds = frames
        bodies += [bytes(data[start + 4 : end]) for start, end in pairwise(bounds)]

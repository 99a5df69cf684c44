"""Where agents on other machines connect. Whoever does not know the session's key gets nowhere, and holds nobody up."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import NamedTuple

from ..worker.addresses import listening_here, send_at_once
from ..worker.depot import DEPOT
from ..worker.handshake import NotAuthenticError, admit, new_key
from .depot import Depot

PATIENCE = 10.0
"""Seconds that a stranger has to prove that it is an agent."""
MOST_STRANGERS = 64
"""So many may be trying at once; further ones wait until they are accepted."""


class Call(NamedTuple):
    """What an agent is told to find its driver: the arguments of `worker.remote.serve`."""

    addresses: tuple[str, ...]
    port: int
    key: bytes
    name: bytes
    paths: tuple[str, ...]


class Listener:
    """A port, and the agents that have connected to it and proved that they know the key.

    Args:
        connected: Called in another thread when there is one to be taken.
        host: The interface to listen on; "" for all.
        port: Which port; 0: any that is free.
        depot: Takes and gives checkpoints, for who comes for that.
    """

    def __init__(
        self, connected: Callable[[], None], *, host: str = "", port: int = 0, depot: Depot | None = None
    ) -> None:
        self.key = new_key()
        self._connected = connected
        self._depot = depot
        self._socket = socket.create_server((host, port), backlog=1024)
        self._here = listening_here()
        self._ready: SimpleQueue[tuple[bytes, socket.socket]] = SimpleQueue()
        self._room = threading.Semaphore(MOST_STRANGERS)
        for sock in (self._socket, *self._here.values()):
            threading.Thread(target=self._accept, args=(sock,), name="tunesmith-listener", daemon=True).start()

    @property
    def port(self) -> int:
        """The port."""
        return int(self._socket.getsockname()[1])

    def call(self, name: bytes, addresses: tuple[str, ...]) -> Call:
        """Return what the agent of that name is to be told, which may find this machine at one of the addresses."""
        return Call((*self._here, *addresses), self.port, self.key, name, tuple(sys.path))

    def taken(self) -> list[tuple[bytes, socket.socket]]:
        """Return the names and sockets of agents that have connected since."""
        found = []
        with contextlib.suppress(Empty):
            while True:
                found.append(self._ready.get_nowait())
        return found

    def close(self) -> None:
        """Let nobody connect any more."""
        for sock in (self._socket, *self._here.values()):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # Closing alone does not end an `accept` under way.
            sock.close()
        if self._depot is not None:
            self._depot.close()
        for _, sock in self.taken():
            sock.close()

    def _accept(self, listens: socket.socket) -> None:
        while True:
            self._room.acquire()
            try:
                sock, _ = listens.accept()
            except OSError:
                return  # Closed.
            threading.Thread(target=self._admit, args=(sock,), daemon=True).start()

    def _admit(self, sock: socket.socket) -> None:
        try:
            sock.settimeout(PATIENCE)
            name = admit(sock, self.key)
            send_at_once(sock)
        except (OSError, NotAuthenticError):
            sock.close()
            return
        finally:
            self._room.release()
        if name == DEPOT and self._depot is not None:
            self._depot.serve(sock)
            return
        self._ready.put((name, sock))
        self._connected()

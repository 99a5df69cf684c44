"""An agent that connects to a driver on another machine. Its parent is whatever an engine started it by."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Sequence

from .agent import Agent
from .handshake import NotAuthenticError, introduce

KEY_VARIABLE = "TUNESMITH_KEY"
"""Where an agent finds the key: not in its command line, which everybody on its machine can read."""
PATIENCE = 30.0
"""Seconds in which the driver must be reached."""


def main(addresses: Sequence[str], port: int, name: str, parent: int) -> None:
    """Be the agent `name` (in hex) of the driver at one of some addresses, until it or the process `parent` is gone."""
    key = bytes.fromhex(os.environ.pop(KEY_VARIABLE))
    try:
        sock = _connected(addresses, port, key, bytes.fromhex(name))
    except (OSError, NotAuthenticError) as error:
        where = " or ".join(f"{address}:{port}" for address in addresses)
        sys.exit(f"the driver at {where} cannot be reached from {socket.gethostname()}: {error}")
    Agent(sock, parent).run()
    # The interpreter's own end would take long with large libraries, and may hang in them.
    os._exit(0)


def _connected(addresses: Sequence[str], port: int, key: bytes, name: bytes) -> socket.socket:
    until = time.monotonic() + PATIENCE
    while True:
        for address in addresses:
            try:
                sock = socket.create_connection((address, port), timeout=5.0)
                introduce(sock, key, name)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except (OSError, NotAuthenticError) as failure:
                error = failure
        if time.monotonic() > until:
            raise error
        time.sleep(0.2)

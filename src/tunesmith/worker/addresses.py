"""By what addresses agents may reach a driver, and how they do.

Beside the addresses of its machine a driver has one on the machine itself, of Linux's abstract Unix sockets: for who is
there too, it costs half of what a TCP connection does.
"""

from __future__ import annotations

import contextlib
import secrets
import socket

from .system import IS_LINUX

_ON_THIS_MACHINE = "@"
"""What the name of a Unix socket begins with, as `ss` and `netstat` show it."""


def own_addresses() -> tuple[str, ...]:
    """Return what other machines may know this one by: the address of its route outwards, and that of its name."""
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # Sends nothing: it only asks the routing table.
        found.append(probe.getsockname()[0])
    with contextlib.suppress(OSError):
        found.append(socket.gethostbyname(socket.gethostname()))
    return tuple(dict.fromkeys([*found, "127.0.0.1"]))


def listening_here() -> dict[str, socket.socket]:
    """Return by its address what listens for agents on this machine; nothing where there is no such socket."""
    if not IS_LINUX:
        return {}
    address = f"{_ON_THIS_MACHINE}tunesmith-{secrets.token_hex(8)}"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(_name(address))
    sock.listen(1024)
    return {address: sock}


def reached(address: str, port: int, patience: float) -> socket.socket:
    """Return a connection to whoever listens at an address.

    Raises:
        OSError: There is none; in `patience` seconds, where nothing answers.
    """
    if not address.startswith(_ON_THIS_MACHINE):
        sock = socket.create_connection((address, port), timeout=patience)
        send_at_once(sock)
        return sock
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(patience)
        sock.connect(_name(address))
    except BaseException:
        sock.close()
        raise
    return sock


def send_at_once(sock: socket.socket) -> None:
    """Have a connection's small messages not wait for more to come."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _name(address: str) -> str:
    return "\0" + address.removeprefix(_ON_THIS_MACHINE)

"""By what addresses other machines may reach this one."""

from __future__ import annotations

import contextlib
import socket


def own_addresses() -> tuple[str, ...]:
    """Return what other machines may know this one by: the address of its route outwards, and that of its name."""
    found = []
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # Sends nothing: it only asks the routing table.
        found.append(probe.getsockname()[0])
    with contextlib.suppress(OSError):
        found.append(socket.gethostbyname(socket.gethostname()))
    return tuple(dict.fromkeys([*found, "127.0.0.1"]))

"""How a driver and an agent on another machine make sure of each other before either reads a message.

Both know a key, which never travels: each sends a random challenge and answers the other's with an HMAC of it. All
parts have fixed lengths, so nothing that a stranger sends is ever interpreted. What follows is not encrypted.
"""

from __future__ import annotations

import hmac
import secrets
import socket

from .addresses import reached

VERSION = b"TSM1"
NAME = 16
"""Bytes that name an agent."""
_CHALLENGE, _PROOF = 32, 32


class NotAuthenticError(Exception):
    """The other side does not know the key, or speaks something else."""


def new_key() -> bytes:
    """Return a key for one session."""
    return secrets.token_bytes(32)


def new_name() -> bytes:
    """Return a name that no other agent has."""
    return secrets.token_bytes(NAME)


def introduced(address: str, port: int, key: bytes, name: bytes, patience: float) -> socket.socket:
    """As an agent called `name`: return a connection to the driver at an address, which has proved that it is that.

    Raises:
        NotAuthenticError: Somebody else is there.
        OSError: Nobody is, or not in `patience` seconds.
    """
    sock = reached(address, port, patience)
    try:
        introduce(sock, key, name)
    except BaseException:
        sock.close()
        raise
    sock.settimeout(None)
    return sock


def introduce(sock: socket.socket, key: bytes, name: bytes) -> None:
    """As an agent called `name`: prove to the driver that the key is known, and have it proved.

    Raises:
        NotAuthenticError: The other side is not this agent's driver.
        OSError: The connection broke.
    """
    own = secrets.token_bytes(_CHALLENGE)
    sock.sendall(VERSION + name + own)
    other, proof = _read(sock, _CHALLENGE), _read(sock, _PROOF)
    if not hmac.compare_digest(proof, _proof(key, b"driver", name, own, other)):
        raise NotAuthenticError("what answers is not this experiment's driver")
    sock.sendall(_proof(key, b"agent", name, own, other))


def admit(sock: socket.socket, key: bytes) -> bytes:
    """As a driver: return the name of the agent at the other end, which knows the key.

    Raises:
        NotAuthenticError: Something else has connected.
        OSError: The connection broke.
    """
    if _read(sock, len(VERSION)) != VERSION:
        raise NotAuthenticError("something that is no agent has connected")
    name, other = _read(sock, NAME), _read(sock, _CHALLENGE)
    own = secrets.token_bytes(_CHALLENGE)
    sock.sendall(own + _proof(key, b"driver", name, other, own))
    if not hmac.compare_digest(_read(sock, _PROOF), _proof(key, b"agent", name, other, own)):
        raise NotAuthenticError("an agent of another experiment has connected")
    return name


def _proof(key: bytes, role: bytes, name: bytes, of_agent: bytes, of_driver: bytes) -> bytes:
    # The role is part of it: nobody can have one side's proof made by the other.
    return hmac.digest(key, role + name + of_agent + of_driver, "sha256")


def _read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise NotAuthenticError("the connection was closed")
        data += more
    return data

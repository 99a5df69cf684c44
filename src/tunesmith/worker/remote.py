"""An agent that connects to a driver on another machine. Its parent is whatever an engine started it by."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from . import system
from .handshake import NotAuthenticError, introduced

if TYPE_CHECKING:
    from subprocess import Popen

KEY_VARIABLE = "TUNESMITH_KEY"
"""Where an agent finds the key: not in its command line, which everybody on its machine can read."""
MARK_VARIABLE = "TUNESMITH_AGENT"
"""Whose a process is: an agent's name."""
PATIENCE, CONNECT_PATIENCE = 30.0, 5.0
"""Seconds in which the driver must be reached, and in which an address must answer."""


def serve(
    addresses: Sequence[str],
    port: int,
    key: bytes,
    name: bytes,
    paths: Sequence[str],
    *,
    environment: Mapping[str, str] = MappingProxyType({}),
    passes_on: bool = False,
) -> str:
    """Run an agent beside this process, which an engine has started for that; return the agent's end, in words.

    Args:
        addresses: Where the driver may be reached.
        port: At which port.
        key: What they know each other by.
        name: The agent's.
        paths: The driver's `sys.path`: the user's modules lie there too, where file systems are shared.
        environment: What the agent and its trials are to have in it beside what is there.
        passes_on: Whether a batch system's signals to this process are for the agent, which asks its trials to save.
            Only in a main thread.
    """
    sys.path += [path for path in paths if path not in sys.path]
    agent = started_beside(
        "tunesmith.worker.remote", addresses, port, key, name, environment={**environment, MARK_VARIABLE: name.hex()}
    )
    if passes_on:
        for number in system.HOST_SIGNALS:
            signal.signal(number, lambda number, at: agent.send_signal(number))
    try:
        _, complaints = agent.communicate()
    except BaseException:
        agent.kill()
        agent.wait()
        raise
    finally:
        # An agent ends its workers with all that they have started; one that was killed cannot.
        system.kill_marked(MARK_VARIABLE, name.hex())
    return system.end_of_agent(agent.returncode, complaints)


def started_beside(
    module: str,
    addresses: Sequence[str],
    port: int,
    key: bytes,
    name: bytes,
    *more: object,
    environment: Mapping[str, str] = MappingProxyType({}),
    pass_fds: Sequence[int] = (),
) -> Popen[bytes]:
    """Start an agent as this process's child: the `main` of a module, which gets `more` after the usual arguments."""
    import subprocess

    return subprocess.Popen(
        system.interpreter(module, list(addresses), port, name.hex(), os.getpid(), *more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**system.agent_environment({**os.environ, **environment}), KEY_VARIABLE: key.hex()},
        pass_fds=pass_fds,
        start_new_session=True,
    )


def serve_job(addresses: Sequence[str], port: int, key: bytes, name: bytes, paths: Sequence[str]) -> str:
    """As `serve`, in a job of a batch system."""
    return serve(addresses, port, key, name, paths, passes_on=True)


def main(addresses: Sequence[str], port: int, name: str, parent: int) -> None:
    """Be the agent `name` (in hex) of the driver at one of some addresses, until it or the process `parent` is gone."""
    # Imported here: whoever only starts an agent, inside a process of an engine's, is not held up by what one needs.
    from .agent import Agent
    from .depot import Address
    from .lease import Lease

    key = bytes.fromhex(os.environ.pop(KEY_VARIABLE))
    try:
        sock, since = connected(addresses, port, key, bytes.fromhex(name))
    except (OSError, NotAuthenticError) as error:
        where = " or ".join(f"{address}:{port}" for address in addresses)
        sys.exit(f"the driver at {where} cannot be reached from {socket.gethostname()}: {error}")
    depot = Address(tuple(addresses), port, key)
    Agent(sock, parent, lease=Lease(since, counts_sleep=True), depot=depot).run()
    # The interpreter's own end would take long with large libraries, and may hang in them.
    os._exit(0)


def connected(addresses: Sequence[str], port: int, key: bytes, name: bytes) -> tuple[socket.socket, float]:
    """Return the line to the driver, and a time, by `steady_clock`, at which it had not taken its end of it yet."""
    until = time.monotonic() + PATIENCE
    while True:
        for address in addresses:
            since = system.steady_clock(counts_sleep=True)
            try:
                return introduced(address, port, key, name, CONNECT_PATIENCE), since
            except (OSError, NotAuthenticError) as failure:
                error = failure
        if time.monotonic() > until:
            raise error
        time.sleep(0.2)

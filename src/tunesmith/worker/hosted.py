"""Attempts in a process that an engine owns and has set up for its own calls: a Ray actor's.

An agent beside the process is its supervisor, as everywhere: it speaks with the driver, sees to time limits and to the
lease, and writes down what is printed. But it is the process's child and not its parent. So it makes no workers, and
how the process ended, if not by itself, is for the engine to say.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from . import process, system
from .agent import Agent
from .depot import Address
from .lease import Lease
from .output import NAMES, Output
from .protocol import Assignment
from .remote import KEY_VARIABLE, connected, started_beside
from .supervised import Worker
from .wire import Alive, Bytes, Ready, Setup

if TYPE_CHECKING:
    from subprocess import Popen

LAST_WORDS_PATIENCE = 5.0
"""Seconds in which the driver must have taken what the process said last."""


class HostedAgent(Agent):
    """The agent of one process that runs all attempts that come.

    Args:
        sock: To the driver.
        host: The process, which is this one's parent.
        lease: As of `Agent`.
        depot: As of `Agent`.
        to_host: The line to the process.
        outputs: What it prints.
    """

    def __init__(
        self,
        sock: socket.socket,
        host: int,
        lease: Lease,
        depot: Address,
        to_host: socket.socket,
        outputs: tuple[Output, Output],
    ) -> None:
        super().__init__(sock, host, lease=lease, depot=depot)
        self._order = signal.SIGTERM
        self._to_host = to_host
        self._outputs = outputs

    def _set_up(self, setup: Setup) -> None:
        self._setup = setup
        self._lease.set_length(setup.driver_timeout)
        self._send(Alive(self._lease.now()))
        self._send(Ready("host"))
        self._heard_at = time.monotonic()

    def _spawn(self, assignment: Assignment, framed: Bytes) -> Worker:
        worker = self._hire(self._driver, self._to_host, self._outputs, assignment)
        self._brief(worker, framed)
        return worker

    def _read(self, worker: Worker) -> bool:
        is_more = super()._read(worker)
        if worker.ended is not None:
            self._conclude(worker)  # The process lives on, for the engine.
        return is_more

    def _end_everything(self) -> None:
        """End the process, or relay what one that has died said last. Why it has, the driver hears from the engine."""
        for worker in self._workers.values():
            if os.getppid() == self._driver:
                system.kill_group(worker.pid)
            else:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(worker.pid, signal.SIGKILL)  # what it has left behind
            while self._read(worker):
                pass
            if worker.is_kill_ordered or worker.ended is not None:
                self._conclude(worker)
        self._workers.clear()  # by now its number may be another process's
        super()._end_everything()
        self._socket.settimeout(LAST_WORDS_PATIENCE)
        self._outbox.flush()


def main(addresses: Sequence[str], port: int, name: str, host: int, descriptors: tuple[int, int, int]) -> None:
    """Be the agent `name` (in hex) of the process `host`, for the driver at one of some addresses.

    Args:
        addresses: Where the driver may be reached.
        port: At which port.
        name: The agent's.
        host: The process, which is this one's parent.
        descriptors: The line to it, and the files that it prints into.
    """
    key = bytes.fromhex(os.environ.pop(KEY_VARIABLE))
    sock, since = connected(addresses, port, key, bytes.fromhex(name))
    to_host = socket.socket(fileno=descriptors[0])
    outputs = Output(NAMES[0], descriptors[1]), Output(NAMES[1], descriptors[2])
    HostedAgent(
        sock, host, Lease(since, counts_sleep=True), Address(tuple(addresses), port, key), to_host, outputs
    ).run()
    # The interpreter's own end would take long with large libraries, and may hang in them.
    os._exit(0)


def serve(
    addresses: Sequence[str],
    port: int,
    key: bytes,
    name: bytes,
    paths: Sequence[str],
    *,
    leaves_alone: Sequence[Callable[..., object]] = (),
) -> str:
    """Run attempts in this very process, until its driver wants no more; return how that ended, in words.

    Args:
        addresses: Where the driver may be reached.
        port: At which port.
        key: What they know each other by.
        name: The agent's.
        paths: The driver's `sys.path`: the user's modules lie there too, where file systems are shared.
        leaves_alone: Functions that the engine has registered to be called at this process's end. When attempts end,
            those that the user's code has registered are called, and these are not: the process goes on.
    """
    sys.path += [path for path in paths if path not in sys.path]
    for function in leaves_alone:
        atexit.unregister(function)
    before = signal.getsignal(signal.SIGTERM)
    termination = process.Termination()
    ours, its = socket.socketpair()
    outputs = Output(NAMES[0]), Output(NAMES[1])
    descriptors = its.fileno(), outputs[0].descriptor, outputs[1].descriptor
    with its:
        agent = started_beside("tunesmith.worker.hosted", addresses, port, key, name, descriptors, pass_fds=descriptors)
    watch = _Watch(agent)
    with ours:
        # Nothing comes at all when the driver was not to be reached, or needed nothing.
        if ours.recv(1, socket.MSG_PEEK):
            watch.is_needed = True
            process.hosted(ours, (outputs[0].descriptor, outputs[1].descriptor), termination, agent.pid)
            watch.is_needed = False
    signal.signal(signal.SIGTERM, before)
    return watch.end()


class _Watch:
    """Waits for an agent's end, in a thread, and ends this process with it while it is needed: nobody would in time."""

    def __init__(self, agent: Popen[bytes]) -> None:
        self.is_needed = False
        self._agent = agent
        self._words = b""
        self._thread = threading.Thread(target=self._wait, name="tunesmith-agent", daemon=True)
        self._thread.start()

    def end(self) -> str:
        """Wait for it; return it in words."""
        self._thread.join()
        return system.end_of_agent(self._agent.returncode, self._words)

    def _wait(self) -> None:
        _, self._words = self._agent.communicate()
        if self.is_needed:
            os._exit(1)

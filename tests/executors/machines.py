"""Nodes that are processes of this machine, started as an engine would: with agents that connect to their driver."""

from __future__ import annotations

import subprocess
import sys

from tunesmith.core.events import Node
from tunesmith.executors.nodes import NodeExecutor

LATER = ["sh", "-c", 'sleep 3; exec "$@"', "sh"]
"""Puts off the start of a node until the trial runs on the other one."""
SERVE = "import sys; from tunesmith.worker.remote import serve; print(serve(*eval(sys.argv[1])))"


class Machines(NodeExecutor):
    """Runs attempts on nodes of a CPU each, with less patience than others have.

    Args:
        prefixes: For each node, the command that a program is started by there.
        address: Where the nodes reach this machine.
    """

    driver_timeout = 2.0
    lease = 4.5
    agent_timeout = 7.0

    def __init__(self, *prefixes, address="127.0.0.1"):
        super().__init__(driver_address=address)
        self._prefixes = prefixes
        self._processes = []
        self.taken_for_gone = set()
        """Nodes of which the engine says so, whatever they do."""

    def close(self):
        super().close()
        for process in self._processes:
            process.wait()

    def _connect(self, job):
        for number, prefix in enumerate(self._prefixes):

            def begin(call, prefix=prefix):
                command = [*prefix, sys.executable, "-c", SERVE, repr(tuple(call))]
                self._processes.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))
                return self._processes[-1]

            self._order(Node(f"node {number}", {"cpu": 1.0}), begin)

    def _look(self):
        for member in list(self._members.values()):
            if member.node.name in self.taken_for_gone:
                self._give_up(member.handle, "so the engine says")
            elif member.handle.poll() is not None:
                self._give_up(member.handle, "its process has ended")

    def _dismiss(self, handle):
        pass  # Whoever could end it does not reach it.

    def _waiting(self, handle):
        return "it starts"

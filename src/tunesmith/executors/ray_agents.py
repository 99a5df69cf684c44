"""What runs in Ray's own processes: actors that hold resources and have an agent beside them. Imports little."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from ..worker import system
from ..worker.remote import KEY_VARIABLE

LAST_WORDS = 2000


class AgentHost:
    """A Ray actor that holds a bundle of resources for as long as its agent lives."""

    def run(self, addresses: Sequence[str], port: int, key: bytes, name: bytes, paths: Sequence[str]) -> str:
        """Run the agent that connects to a driver; return its end, in words.

        Args:
            addresses: Where the driver may be reached.
            port: At which port.
            key: What they know each other by.
            name: The agent's.
            paths: The driver's `sys.path`: the user's modules lie there too, where file systems are shared.
        """
        sys.path += [path for path in paths if path not in sys.path]
        environment = {
            **os.environ,
            **dict.fromkeys(system.THREAD_VARIABLES, "1"),
            KEY_VARIABLE: key.hex(),
            # A trial that asked for no GPU must not see any; Ray leaves it all of them.
            "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
        }
        if system.MALLOC_VARIABLE not in environment:
            environment[system.MALLOC_VARIABLE] = system.MALLOC_SETTING
        command = system.interpreter("tunesmith.worker.remote", list(addresses), port, name.hex(), os.getpid())
        ended = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            check=False,
        )
        words = ended.stderr.decode(errors="replace").strip()[-LAST_WORDS:]
        return f"the agent process ended with code {ended.returncode}" + (f": {words}" if words else "")

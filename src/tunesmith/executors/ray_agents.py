"""What runs in Ray's own processes: actors that hold resources and have an agent beside them. Imports little."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..worker.remote import serve


def is_there() -> bool:
    """Be a task whose end shows that its node lives."""
    return True


class AgentHost:
    """A Ray actor that holds a bundle of resources for as long as its agent lives."""

    def run(self, addresses: Sequence[str], port: int, key: bytes, name: bytes, paths: Sequence[str]) -> str:
        """Run the agent; return its end, in words. Arguments as in `worker.remote.serve`."""
        hide_gpus()
        return serve(addresses, port, key, name, paths)


class TrialHost:
    """A Ray actor whose process runs trials: what they start by Ray is started by it."""

    def run(self, addresses: Sequence[str], port: int, key: bytes, name: bytes, paths: Sequence[str]) -> str:
        """Run attempts; return the end of their agent, in words. Arguments as in `worker.hosted.serve`."""
        import ray

        from ..worker import hosted

        hide_gpus()
        return hosted.serve(addresses, port, key, name, paths, leaves_alone=(ray.shutdown,))


def hide_gpus() -> None:
    """See to it that a trial that asked for no GPU does not see any; Ray leaves it all of them."""
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

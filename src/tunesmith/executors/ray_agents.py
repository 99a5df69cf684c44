"""What runs in Ray's own processes: what holds resources there and has an agent beside it. Imports little."""

from __future__ import annotations

import os
from collections.abc import Sequence

from ..worker.remote import serve


def is_there() -> bool:
    """Be a task whose end shows that its node lives."""
    return True


def host_agent(addresses: Sequence[str], port: int, key: bytes, name: bytes, paths: Sequence[str]) -> str:
    """Be a task that holds a bundle of resources for as long as its agent lives; return the agent's end, in words.

    Arguments as in `worker.remote.serve`. It is no actor, because a task's process serves others afterwards: Ray has
    one in milliseconds, where an actor waits a second or two for a new one.
    """
    return serve(addresses, port, key, name, paths, environment=_without_foreign_gpus())


class TrialHost:
    """A Ray actor whose process runs trials: what they start by Ray is started by it."""

    def run(self, addresses: Sequence[str], port: int, key: bytes, name: bytes, paths: Sequence[str]) -> str:
        """Run attempts; return the end of their agent, in words. Arguments as in `worker.hosted.serve`."""
        import ray

        from ..worker import hosted

        os.environ.update(_without_foreign_gpus())
        return hosted.serve(addresses, port, key, name, paths, leaves_alone=(ray.shutdown,))


def _without_foreign_gpus() -> dict[str, str]:
    """Return what keeps a trial that asked for no GPU from seeing any; Ray leaves it all of them."""
    import ray

    has_some = ray.get_runtime_context().get_accelerator_ids().get("GPU")
    return {} if has_some else {"CUDA_VISIBLE_DEVICES": ""}

"""A Ray of one's own, on this machine. For Tunesmith's script and Ray Tune's alike; needs Ray's core only."""

import contextlib
import os
import tempfile
import time
from collections.abc import Iterator

IDLE_SECONDS = 3.0
"""After a start Ray goes on for a while to make the processes that wait for work."""


@contextlib.contextmanager
def ray_alone(cpus: int) -> Iterator[None]:
    """Have a Ray with so many CPUs, whatever else runs on this machine. Starting and ending it is in no figure."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # The path is short, because Ray puts sockets below it.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=folder,
        )
        try:
            time.sleep(IDLE_SECONDS)
            yield
        finally:
            ray.shutdown()


def steady_rate(ended: list[float]) -> float:
    """Return how many ended per second after the first one: without the start, whatever it takes."""
    return (len(ended) - 1) / (max(ended) - min(ended))

"""How many threads linear algebra may use. Imports nothing of the rest."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext


@contextmanager
def one_thread() -> Iterator[None]:
    """Let linear algebra use one thread, where threadpoolctl is there to say so.

    The trials have the processors. Threads that wait for each other on busy ones took 6 s for what one does in 0.2 s.
    """
    import scipy.linalg  # noqa: F401  only what is loaded can be limited

    try:
        limits = importlib.import_module("threadpoolctl").threadpool_limits(limits=1)
    except ImportError:
        limits = nullcontext()
    with limits:
        yield

"""The global random generators that user code draws from, set anew for every attempt."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any


def set_seeds(seed: int, trial: int, attempt: int) -> None:
    """Seed the generators of `random`, and of numpy and torch where they are loaded, from (seed, trial, attempt)."""
    key = f"{seed}/attempt/{trial}/{attempt}".encode()
    derived = int.from_bytes(blake2b(key, digest_size=8).digest(), "little")
    random.seed(derived)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(derived % 2**32)
    if (torch := sys.modules.get("torch")) is not None:
        _seed_torch(torch, derived)


def _seed_torch(torch: Any, seed: int) -> None:
    version = torch.version
    has_gpus = version.cuda or version.hip or getattr(version, "xpu", None) or torch.backends.mps.is_built()
    if not has_gpus:
        torch.default_generator.manual_seed(seed)  # The same for a build without GPUs, at a fraction of the cost.
    else:
        torch.manual_seed(seed)


@contextmanager
def restored_generators() -> Iterator[None]:
    """Put the global generators back on leaving."""
    state = random.getstate()
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    numpy_state = None if numpy is None else numpy.random.get_state()
    torch_state = None if torch is None else torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(state)
        if numpy is not None:
            numpy.random.set_state(numpy_state)
        if torch is not None:
            torch.set_rng_state(torch_state)

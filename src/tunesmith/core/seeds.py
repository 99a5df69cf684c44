"""Every random draw of an experiment comes from a generator keyed by (seed, purpose, number).

No generator is ever continued, so a draw does not depend on how often the controller restarted, on how many workers
there are, or in what order results came in.
"""

from __future__ import annotations

import random
from hashlib import blake2b


def derived_seed(seed: int, purpose: str, number: int = 0, *, bits: int = 64) -> int:
    """Return the integer in [0, 2**bits) that (seed, purpose, number) stand for; the same on every machine."""
    key = f"{seed}/{purpose}/{number}".encode()
    return int.from_bytes(blake2b(key, digest_size=bits // 8).digest(), "little")


def generator(seed: int, purpose: str, number: int = 0) -> random.Random:
    """Return a fresh generator for one purpose."""
    return random.Random(derived_seed(seed, purpose, number, bits=128))

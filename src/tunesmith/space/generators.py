"""The global generators, `random` and `np.random`, which a lambda may use. numpy is touched only where it is loaded."""

from __future__ import annotations

import random
import sys
from typing import Any

NUMPY_SEEDS = 2**32


class SavedGenerators:
    """The states of the global generators at one moment."""

    def __init__(self) -> None:
        self._python = random.getstate()
        self._numpy: Any = None
        self.add_numpy()

    @property
    def misses_numpy(self) -> bool:
        """Whether numpy was loaded only after this moment."""
        return self._numpy is None and "numpy" in sys.modules

    def add_numpy(self) -> None:
        """Keep numpy's state too, as it is now; nothing when numpy is not loaded."""
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            self._numpy = numpy.random
            self._numpy_state = numpy.random.get_state()

    def put_back(self) -> None:
        """Set the generators back to that moment."""
        random.setstate(self._python)
        if self._numpy is not None:
            self._numpy.set_state(self._numpy_state)


def seed_generators(seed: int) -> None:
    """Seed the global generators."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % NUMPY_SEEDS)

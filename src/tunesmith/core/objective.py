"""What is better than what. The one place where nan, inf and missing metrics are ranked: worst."""

from __future__ import annotations

import msgspec

from ..errors import ConfigError
from .events import Result

WORST = float("inf")
_NUMBERS = (int, float)


class Objective(msgspec.Struct, frozen=True):
    """A metric and the direction that is better.

    Raises:
        ConfigError: `mode` is neither "min" nor "max".
    """

    metric: str
    mode: str = "max"

    def __post_init__(self) -> None:
        if not isinstance(self.metric, str) or not self.metric:
            raise ConfigError(f"metric={self.metric!r}: give the name of a reported metric, e.g. metric='accuracy'.")
        if self.mode not in ("min", "max"):
            raise ConfigError(f"mode={self.mode!r}: give 'min' or 'max'.")

    def loss(self, result: Result) -> float:
        """Return the result's value with lower being better; inf when it is nan, infinite, no number or missing."""
        value = result.metrics.get(self.metric)
        if type(value) is float:  # nearly always, and this is asked for every result
            loss = -value if self.mode == "max" else value
            return loss if -WORST < loss < WORST else WORST
        value = result.value(self.metric)
        if not isinstance(value, _NUMBERS):
            return WORST
        try:
            loss = float(-value if self.mode == "max" else value)
        except OverflowError:  # an integer beyond every float
            return WORST
        return loss if -WORST < loss < WORST else WORST

    def value_of(self, loss: float) -> float:
        """Return the metric's value that a loss stands for."""
        return -loss if self.mode == "max" else loss

"""What every reader returns: the configs of an earlier experiment with their losses, and what became of the others."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.objective import Objective


@dataclass(frozen=True)
class Found:
    """What was found in a source."""

    source: str
    """As the user called it."""
    configs: list[dict[str, Any]] = field(default_factory=list)
    losses: list[tuple[float, ...]] = field(default_factory=list)
    """Of each config, one for each objective, finite; lower is better."""
    left_out: Counter[str] = field(default_factory=Counter)
    """Why trials were left out -> how many."""

    @property
    def total(self) -> int:
        """How many trials there were."""
        return len(self.configs) + self.left_out.total()

    def add(self, config: Mapping[str, Any], losses: Sequence[float | None], otherwise: str) -> None:
        """Take a trial in; where one of its losses is missing or not finite, count it as left out for that reason."""
        known = [loss for loss in losses if loss is not None and math.isfinite(loss)]
        if len(known) == len(losses):
            self.configs.append(dict(config))
            self.losses.append(tuple(map(float, known)))
        else:
            self.left_out[otherwise] += 1


def lacks(objectives: Sequence[Objective]) -> str:
    """Return in words what a trial lacks that has no finite value of each metric."""
    return f"have no usable {' and '.join(repr(each.metric) for each in objectives)}"

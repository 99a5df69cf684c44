"""Configs from a list, in the list's order. Learns nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.policy import Searcher

if TYPE_CHECKING:
    from ..core.events import Config
    from ..core.experiment import Experiment


class ListedConfigs(Searcher):
    """Proposes given configs, each once."""

    def __init__(self, configs: Sequence[Config]) -> None:
        self._configs = configs

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the configs of the next `count` trials, fewer at the end."""
        return self._configs[experiment.next_number : experiment.next_number + count]

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether every config has been proposed."""
        return experiment.next_number >= len(self._configs)

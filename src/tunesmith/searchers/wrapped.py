"""What searchers have in common that stand between the experiment and another searcher, trial by trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.policy import Searcher

if TYPE_CHECKING:
    from ..core.experiment import Experiment


class WrappedSearcher(Searcher):
    """A searcher each of whose trials is one of the other searcher too.

    Args:
        searcher: The other one.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.ignores_earlier_trials = searcher.ignores_earlier_trials

    def seen_by_other(self, experiment: Experiment) -> Experiment:
        """Return the experiment as the other searcher is to see it."""
        return experiment

    @property
    def warnings(self) -> Sequence[str]:
        """What the other searcher has to say."""
        return self.searcher.warnings

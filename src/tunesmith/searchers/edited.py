"""How many trials there are to be, when the space of an experiment was changed between two sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.events import SpaceChanged
from ..core.policy import Searcher
from .grid import GridWalk
from .replicated import ReplicatedSearcher
from .variants import VariantGenerator
from .wrapped import WrappedSearcher

if TYPE_CHECKING:
    from ..core.experiment import Experiment


def wanted_now(
    searcher: Searcher, experiment: Experiment, wanted: int | None, change: SpaceChanged | None
) -> int | None:
    """Return how many trials the experiment is to have now.

    Args:
        searcher: It has observed all that there was, but not the change.
        experiment: As the last session left it.
        wanted: How many trials an experiment has that begins with this space.
        change: What is different from the last session's space; None: nothing.
    """
    if isinstance(searcher, ReplicatedSearcher):
        configs = None if wanted is None else wanted // searcher.replicates
        inner = wanted_now(searcher.searcher, searcher.seen_by_other(experiment), configs, change)
        return None if inner is None else inner * searcher.replicates
    if isinstance(searcher, WrappedSearcher):
        theirs = None if wanted is None else searcher.theirs(wanted)
        now = wanted_now(searcher.searcher, searcher.seen_by_other(experiment), theirs, change)
        return wanted if now == theirs else None if now is None else searcher.ours(now)
    if isinstance(searcher, VariantGenerator | GridWalk):
        return searcher.wanted_now(experiment, change)
    return wanted

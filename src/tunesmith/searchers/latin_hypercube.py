"""Latin hypercube sampling: every slice of every parameter is tried exactly once. Nothing is learned.

Source: McKay et al. 1979, "A Comparison of Three Methods for Selecting Values of Input Variables".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..space.space import Space
from .design import spread_design
from .planned import Planned, PlannedSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 100


@dataclass(frozen=True, kw_only=True)
class LatinHypercubeSearcher(PlannedSettings):
    """A Latin hypercube over all `num_samples` trials: `searcher="lhs"`.

    Each parameter's range is cut into as many slices as there are trials, and each slice holds one of them; without an
    end to the trials (`num_samples=-1`) they come in hypercubes of 100. Points to evaluate come first and count among
    the trials, not in the hypercube. A second session with another `num_samples` walks through another hypercube.

    Args:
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        duplicates: "skip": in a finite space no config is proposed twice, and when all have been, the experiment ends.
            "replicate": a config may be proposed again.
        metric: Taken for the sake of other searchers' settings; nothing is learned from it.
        mode: The same.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def bound_to(self, space: Space, num_samples: int, seed: int) -> Planned:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return Planned(self, space, None if num_samples < 0 else num_samples, seed, _hypercube)


def _hypercube(searcher: Planned, block: int) -> NDArray[np.float64]:
    count = BLOCK if searcher.total is None else max(searcher.total - searcher.given_points, 1)
    return spread_design(count, searcher.encoding.width, searcher.random("latin_hypercube", block))

"""Sobol's sequence, scrambled: points that fill the space more evenly than random ones. Nothing is learned.

Sources: Sobol' 1967, "On the Distribution of Points in a Cube and the Approximate Evaluation of Integrals"; Owen 1998,
"Scrambling Sobol' and Niederreiter-Xing Points"; direction numbers of Joe and Kuo 2008, as scipy has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..space.space import Space
from .planned import Planned, PlannedSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLOCK = 128
"""A power of two: only such counts are balanced in every coordinate."""


@dataclass(frozen=True, kw_only=True)
class SobolSearcher(PlannedSettings):
    """Points of a scrambled Sobol sequence: `searcher="sobol"`. Any first n of them fill the space evenly.

    Trial number n gets the n-th point of the sequence (counted from the first that is not given), whatever the others
    found, so it asks for no metric. Best with a power of two for `num_samples`.

    Args:
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        seed: The seed of the scrambling; None: the experiment's.
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
        return Planned(self, space, None if num_samples < 0 else num_samples, seed, _sobol)


def _sobol(searcher: Planned, block: int) -> NDArray[np.float64]:
    import numpy as np
    from scipy.stats import qmc

    sequence = qmc.Sobol(searcher.encoding.width, scramble=True, seed=searcher.random("sobol", 0))
    if block:
        sequence.fast_forward(block * BLOCK)
    return np.asarray(sequence.random(BLOCK))

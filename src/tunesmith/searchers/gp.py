"""Gaussian process: looks where the loss is expected to fall most below the best, by a model of all losses so far.

Sources: the prior of the model is Hvarfner et al. 2024's ("Vanilla Bayesian Optimization Performs Great in High
Dimensions"), the transform of the losses HEBO's (Cowen-Rivers et al. 2022), the measure of a point the logarithm of its
expected improvement (Ament et al. 2023).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..space.space import Space
from .learning import LearningSearcher, LearningSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .history import History
    from .surrogates import Surrogates

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class GPSearcher(LearningSettings):
    """The settings of the Gaussian-process searcher: `searcher=tune.GPSearcher()`.

    The best that there is for some dozens to some hundreds of trials that take seconds or longer: a suggestion costs up
    to 100 ms.

    Args:
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's.
        mode: "min" or "max".
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        n_initial_points: So many configs are spread over the space first; None: half as many as it has parameters,
            from 5 to 10.
        duplicates: "skip" or "replicate", see `LearningSettings`.
        max_observations: The model is made of so many losses at most: its cost grows with the cube of them.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    max_observations: int = 500

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("max_observations", at_least=10)

    def bound_to(self, space: Space, num_samples: int, seed: int) -> GP:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return GP(self, space, None if num_samples < 0 else num_samples, seed)


class GP(LearningSearcher):
    """The searcher that `GPSearcher` describes, for one space."""

    def __init__(self, settings: GPSearcher, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self._most = settings.max_observations
        if settings.n_initial_points is None:
            self.initial_points = min(max(self.encoding.width // 2 + 1, 5), 10)
        self._surrogates: Surrogates | None = None
        """A memo: it makes the same models whenever it is made."""

    def propose(self, history: History, number: int) -> FloatArray:
        """Return where the loss is expected to fall most below the best."""
        from ..threads import one_thread
        from .improvement import proposed_row
        from .surrogates import Surrogates

        if self._surrogates is None:
            self._surrogates = Surrogates(self.encoding, self._most)
        with one_thread():
            only_new = self._skips and self._is_finite
            return proposed_row(self._surrogates, history, number, self.random("gp", number), only_new=only_new)

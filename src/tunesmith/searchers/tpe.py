"""Tree-structured Parzen estimator: looks where configs that were good lie densely, and those that were bad do not.

Sources: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", section 4; Watanabe 2023, "Tree-Structured
Parzen Estimator: Understanding Its Algorithm Components and Their Roles for Better Empirical Performance", for what
matters (multivariate kernels, the prior, few good ones, weights, bandwidths); Ozaki et al. 2020 for several objectives;
the weights of the good ones by rank are those of CMA-ES (Hansen 2016, "The CMA Evolution Strategy: A Tutorial").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..space.space import Space
from .learning import LearningSearcher, LearningSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .history import History
    from .parzen import Columns, Density

    FloatArray = NDArray[np.float64]

MOST_BAD = 300
"""Kernels of the bad density; of more bad trials these are taken at even distances, from the best to the worst."""

OTHER_OPTION = 0.15
"""So many proposals have one choice set to another option than the best trial has, and are the best with that. An
option that the good ones happen not to have has next to no density among them, and would never be tried again."""


@dataclass(frozen=True, kw_only=True)
class TPESearcher(LearningSettings):
    """The settings of the tree-structured Parzen estimator: `searcher=tune.TPESearcher()`.

    For every kind of space, also with many choices and conditions; a suggestion takes about a millisecond, and a few
    after thousands of trials. The best `gamma` of the trials are the good ones. Configs are drawn from a density of
    these, and the one is proposed at which that density is largest compared with the density of the others. Some have
    one choice set to another option than the best has, so that no option is given up for a bad beginning. All
    parameters are modelled together, and what depends on a choice together with the choice. Trials that run, and those
    that failed, count as bad; a predicted loss counts the less the less certain it is. With several objectives the good
    ones are the first fronts, of the last of them those with the largest share of the hypervolume.

    Args:
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's.
        mode: "min" or "max".
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        n_initial_points: So many configs are spread over the space first; None: 10.
        duplicates: "skip" or "replicate", see `LearningSettings`.
        gamma: The share of the trials that counts as good.
        most_good: At most so many count as good.
        n_candidates: How many configs are drawn for each proposal.
        min_bandwidth: No kernel is narrower, as a share of a parameter's range.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    gamma: float = 0.15
    most_good: int = 25
    n_candidates: int = 48
    min_bandwidth: float = 0.003

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_range("gamma", least=1e-3, most=0.9)
        self.check_range("min_bandwidth", least=1e-6, most=1)
        self.check_count("most_good", at_least=1)
        self.check_count("n_candidates", at_least=1)

    def bound_to(self, space: Space, num_samples: int, seed: int) -> TPE:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return TPE(self, space, None if num_samples < 0 else num_samples, seed)


class TPE(LearningSearcher):
    """The searcher that `TPESearcher` describes, for one space."""

    def __init__(self, settings: TPESearcher, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self.settings = settings
        self._columns: Columns | None = None
        self._memo: tuple[int, tuple[Density, Density]] | None = None
        """The densities at a history's stamp; they are the same whenever they are made."""

    def propose(self, history: History, number: int) -> FloatArray:
        """Return of some configs that are drawn near good ones the one that has fewest bad ones near it."""
        import numpy as np

        good, bad = self._densities(history)
        random = self.random("tpe", number)
        drawn = good.draw(self.settings.n_candidates, random)
        if random.random() < OTHER_OPTION:
            _choose_another(drawn, good, random)
        drawn = self.encoding.settled(drawn)
        allowed = self.encoding.allowed(drawn)
        if allowed.any():
            drawn = drawn[allowed]
        scores = good.log_density(drawn) - bad.log_density(drawn, history.pending)
        order = scores.argsort(kind="stable")[::-1]
        if self._is_finite:
            for index in order:
                if self._acceptable(history, drawn[index : index + 1])[0]:
                    return np.asarray(drawn[index])
        return np.asarray(drawn[order[0]])

    def _densities(self, history: History) -> tuple[Density, Density]:
        if self._memo is None or self._memo[0] != history.stamp:
            self._memo = (history.stamp, self._modelled(history))
        return self._memo[1]

    def _modelled(self, history: History) -> tuple[Density, Density]:
        import numpy as np

        from .parzen import Columns, Density

        if self._columns is None:
            self._columns = Columns(self.encoding)
        columns, least = self._columns, self.settings.min_bandwidth
        count = len(history.losses)
        few = min(max(int(np.ceil(self.settings.gamma * count)), 2), self.settings.most_good, count - 1)
        order = best_first(history, few)
        weights = certainties(history)[order[:few]]
        if history.objectives.shape[1] == 1:
            weights *= np.log(few + 0.5) - np.log(np.arange(1, few + 1))
        good = history.points[order[:few]]
        bad = np.concatenate([history.points[evenly(order[few:], MOST_BAD)], history.failed[-MOST_BAD:]])
        ones = _ones(len(bad))
        return (
            Density(columns, good, weights, columns.bandwidths(good, weights, least), 1 / (few + 1)),
            Density(columns, bad, ones, columns.bandwidths(bad, ones, least), 1 / (len(bad) + 1)),
        )


def _choose_another(drawn: FloatArray, good: Density, random: np.random.Generator) -> None:
    """Set one choice of all rows to an option that the best row does not have."""
    import numpy as np

    best = good.rows[0]
    choices = [table for table in good.columns.choices if not np.isnan(best[table.column])]
    if choices:
        table = choices[random.integers(len(choices))]
        drawn[:, table.column] = (best[table.column] + 1 + random.integers(table.count - 1)) % table.count


def best_first(history: History, count: int) -> NDArray[np.int_]:
    """Return the indices of all trials, of which the first `count` are the best, best first."""
    import numpy as np

    objectives = history.objectives
    if objectives.shape[1] == 1:
        return np.argsort(history.losses, kind="stable")
    from ..core.dominance import hypervolume_order, non_dominated

    points = [tuple(row) for row in objectives.tolist()]
    left = list(range(len(points)))
    first: list[int] = []
    while len(first) < count:
        found = non_dominated([points[index] for index in left])
        front = [left[index] for index in found]
        first += [front[index] for index in hypervolume_order([points[index] for index in front])]
        taken = set(front)
        left = [index for index in left if index not in taken]
    chosen = set(first[:count])
    return np.array([*first[:count], *(index for index in range(len(points)) if index not in chosen)])


def certainties(history: History) -> FloatArray:
    """Return how much each loss counts, from 1 for a known one towards 0 for a prediction that says nothing."""
    import numpy as np

    if not history.spread.any():
        return np.ones(len(history.losses))
    deviation = float(history.losses.std())
    if not deviation:
        return np.where(history.spread > 0, 0.5, 1.0)
    return np.asarray(1 / (1 + np.minimum(history.spread / deviation, 1e6) ** 2))


def evenly(indices: NDArray[np.int_] | Sequence[int], count: int) -> NDArray[np.int_]:
    """Return `count` of some indices at even distances, the first and the last among them; all when there are fewer."""
    import numpy as np

    indices = np.asarray(indices, dtype=int)
    if len(indices) <= count:
        return indices
    return np.asarray(indices[np.linspace(0, len(indices) - 1, count).astype(int)])


def _ones(count: int) -> FloatArray:
    import numpy as np

    return np.ones(count)

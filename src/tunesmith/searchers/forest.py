"""Forest search: extremely randomised trees say where an improvement is to be expected. For categories and conditions.

Trees need no distance between configs and no value for what is not there, so a space full of choices costs them
nothing. How much they differ says too little of how uncertain they are, for trees that have seen little agree; so a
config is the more uncertain, the less the trees agree on which known one it is like. What trials that still run will
say is not guessed: a config that shares its leaves with one of them has nothing uncertain left.

Sources: Hutter et al. 2011, "Sequential Model-Based Optimization for General Algorithm Configuration" (SMAC: a forest,
expected improvement of logarithmic losses, local search around the best); Geurts et al. 2006, "Extremely Randomized
Trees"; Knowles 2006, "ParEGO" (several objectives). The uncertainty is our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..space.space import Space
from .learning import LearningSearcher, LearningSettings
from .trees import Forest, grown
from .variation import mutated, option_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .history import History
    from .learning import Row

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int_]

ELSEWHERE, NEARBY = 300, 300
"""So many random configs, and so many near the best known ones, are looked at first."""
ROUNDS, KEPT, NEIGHBOURS = 2, 10, 150
"""So often the neighbours of the best of those are looked at."""
FEWEST = 8
"""From fewer trials a forest learns nothing: until they are known, configs are drawn from the space."""
BEST = 8
"""The best known configs have neighbours."""
HIGHEST_FLOOR, LOWEST_FLOOR = 0.1, 0.001
"""Losses that are so near to the best, as a part of the way from it to the median, are all alike: drawn anew for each
trial, from all magnitudes. With a high floor the search goes elsewhere, with a low one it refines the best."""
NOVELTY = 1.0
"""The standard deviation of the loss of a config that is like none, in standard deviations of all losses."""
BROADEST, NARROWEST = 0.3, 0.003
"""Standard deviations of a number's step to a neighbour, as parts of its range: drawn from all magnitudes."""


@dataclass(frozen=True, kw_only=True)
class ForestSearcher(LearningSettings):
    """Random-forest search: `searcher="forest"`. For spaces with many choices and conditions, up to some 1,000 trials.

    After the initial points each config is the one with the largest expected improvement of the loss's logarithm
    (counted from the best) among random configs and neighbours of the best ones. Failed trials count as the worst. With
    several objectives each trial goes after another weighted sum of them.

    Args:
        trees: How many trees the forest has.
        splits: Of so many random splits of a node the best is taken.
        random_fraction: How often a config is drawn from the space instead.
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's objectives.
        mode: "min" or "max".
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        n_initial_points: So many configs are spread over the space first; None: 10.
        n_earlier_points: So many of the best configs of earlier experiments (`warm_from` of the run) are tried first.
        duplicates: "skip": in a finite space no config is proposed twice, and when all have been, the experiment ends.
            "replicate": a config may be proposed again.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    trees: int = 40
    splits: int = 5
    random_fraction: float = 0.03

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("trees", at_least=2)
        self.check_count("splits", at_least=1)
        self.check_range("random_fraction", least=0, most=1)

    def bound_to(self, space: Space, num_samples: int, seed: int) -> ForestSearch:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return ForestSearch(self, space, None if num_samples < 0 else num_samples, seed)


class ForestSearch(LearningSearcher):
    """The searcher that `ForestSearcher` describes, for one space."""

    def __init__(self, settings: ForestSearcher, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self._settings = settings

    def propose(self, history: History, number: int) -> Row:
        """Return the config whose expected improvement is largest among some thousand."""
        import numpy as np

        random = self.random("forest", number)
        is_early = len(history.points) + len(history.failed) < min(FEWEST, self.initial_points)
        if is_early or random.random() < self._settings.random_fraction:
            row: FloatArray = self.encoding.uniform(1, random)[0]
            return row
        forest, losses = self._fitted(history, number)
        known = np.concatenate([history.points, history.failed])
        goal = _goal(forest, losses, known, history.pending)
        best = known[np.argsort(losses, kind="stable")[:BEST]]
        near = self._neighbours(best, NEARBY, random)
        rows = np.concatenate([self.encoding.uniform(ELSEWHERE, random), near])
        goals = goal(rows)
        for _ in range(ROUNDS):
            kept = np.argsort(-goals, kind="stable")[:KEPT]
            near = self._neighbours(rows[kept], NEIGHBOURS, random)
            rows, goals = np.concatenate([rows[kept], near]), np.concatenate([goals[kept], goal(near)])
        return self._best_new(history, rows[np.argsort(-goals, kind="stable")])

    def _best_new(self, history: History, rows: FloatArray) -> FloatArray:
        """Return the first row that was not proposed yet; the first one when all were."""
        import numpy as np

        seen = {row.tobytes() for row in np.nan_to_num(history.proposed, nan=-1.0)}
        new = (row for row in rows if np.nan_to_num(row, nan=-1.0).tobytes() not in seen)
        found: FloatArray = next(new, rows[0])
        return found

    def _neighbours(self, rows: FloatArray, count: int, random: np.random.Generator) -> FloatArray:
        """Return allowed neighbours of some rows, about `count`."""
        import numpy as np

        origins = rows[random.integers(0, len(rows), count)]
        scale = BROADEST * (NARROWEST / BROADEST) ** random.random(count)
        near = self.encoding.settled(mutated(self.encoding, origins, random, changes=1.0, scale=scale))
        return np.asarray(near[self.encoding.allowed(near)])

    def _fitted(self, history: History, number: int) -> tuple[Forest, FloatArray]:
        """Return the forest, and the losses as it learned them: of the known trials, then of the failed ones."""
        import numpy as np

        losses = history.losses
        if history.objectives.shape[1] > 1:
            from .improvement import weighted

            losses = weighted(history.objectives, self.random("forest/weights", number))
        floor = HIGHEST_FLOOR * (LOWEST_FLOOR / HIGHEST_FLOOR) ** self.random("forest/floor", number).random()
        learned = _bent(losses, floor)
        learned = np.concatenate([learned, np.full(len(history.failed), learned.max(initial=0.0))])
        rows = np.concatenate([history.points, history.failed])
        forest = grown(
            rows,
            learned,
            option_counts(self.encoding),
            self.random("forest/trees", len(rows)),
            trees=self._settings.trees,
            candidates=self._settings.splits,
        )
        return forest, learned


def _bent(losses: FloatArray, floor: float) -> FloatArray:
    """Return the logarithms of how much losses lie above the best one, with mean 0 and variance 1.

    Below `floor`, as a part of the way from the best loss to the median, they are flat.
    """
    import numpy as np

    above = losses - losses.min()
    least = max(floor * float(np.median(above)), 1e-12 * float(above.max()), 1e-300)
    logs = np.log(above + least)
    return np.asarray((logs - logs.mean()) / (logs.std() + 1e-12))


def _goal(
    forest: Forest, losses: FloatArray, known: FloatArray, pending: FloatArray
) -> Callable[[FloatArray], FloatArray]:
    """Return what rows are ranked by, larger being better: the logarithm of their expected improvement.

    Args:
        forest: What has learned the losses.
        losses: Of the known rows, as the forest has learned them.
        known: The rows that it has seen.
        pending: Those whose loss is not known yet.
    """
    import numpy as np

    from .acquisition import log_expected_improvement

    best = float(losses.min())
    running = forest.leaves(pending) if len(pending) else None
    # Which known row a leaf has, one of them where it has several.
    owners = np.zeros(len(forest.left), dtype=int)
    owners[forest.leaves(known)] = np.arange(len(known))

    def goal(rows: FloatArray) -> FloatArray:
        leaves = forest.leaves(rows)
        means = forest.mean[leaves]
        variance = means.var(axis=0) + forest.variance[leaves].mean(axis=0)
        deviation = np.sqrt(variance + (NOVELTY * _novelty(owners[leaves])) ** 2)
        if running is not None:
            # The part of the trees in which a row lies with one that still runs.
            shared = np.max([(leaves == theirs[:, None]).mean(axis=0) for theirs in running.T], axis=0)
            deviation = deviation * (1 - shared)
        return np.asarray(log_expected_improvement(means.mean(axis=0), np.maximum(deviation, 1e-9), best))

    return goal


def _novelty(owners: IntArray) -> FloatArray:
    """Return for each row the part of the trees in which it lies with another known row than it mostly does."""
    import numpy as np

    ordered = np.sort(owners, axis=0)
    together = np.ones(ordered.shape[1])
    longest = together.copy()
    for tree in range(1, len(ordered)):
        together = np.where(ordered[tree] == ordered[tree - 1], together + 1, 1)
        np.maximum(longest, together, out=longest)
    return 1 - longest / len(ordered)

"""NSGA-II: the best fronts of everything known are the parents, those in the least crowded places before the others.

Elitist and without generations: a parent is chosen by a tournament among the best of all trials that are known when a
config is asked for, so any number of workers is kept busy, and no result waits for others.

Source: Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..space.space import Space
from .fronts import order_of
from .learning import LearningSearcher, LearningSettings
from .variation import crossed, polynomially_mutated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .history import History
    from .learning import Row

    FloatArray = NDArray[np.float64]

CHILDREN = 16
"""So many children are made, and the first that the constraints allow and that differs from its mother is taken."""


@dataclass(frozen=True, kw_only=True)
class NSGA2Searcher(LearningSettings):
    """NSGA-II: `searcher="nsga2"`. For several objectives and many cheap trials.

    The parents are the best `population_size` of all trials, by front and then by the room around them. Two are chosen
    by a tournament of two each; their child mixes their parameters, and some of those mutate. With one objective it is
    an elitist genetic algorithm.

    Args:
        population_size: How many trials may have children.
        crossover: How often a child has two parents.
        crossover_eta: The index of simulated binary crossover: the larger, the nearer are children to a parent.
        mutation: The chance that a parameter mutates; None: one parameter on average.
        mutation_eta: The index of polynomial mutation: the larger, the smaller are the steps.
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's objectives.
        mode: "min" or "max".
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        n_initial_points: So many configs are spread over the space first; None: 20.
        n_earlier_points: So many of the best configs of earlier experiments (`warm_from` of the run) are tried first.
        duplicates: "skip": in a finite space no config is proposed twice, and when all have been, the experiment ends.
            "replicate": a config may be proposed again.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    population_size: int = 20
    crossover: float = 0.9
    crossover_eta: float = 15
    mutation: float | None = None
    mutation_eta: float = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("population_size", at_least=2)
        self.check_range("crossover", least=0, most=1)
        self.check_range("crossover_eta", least=0)
        self.check_range("mutation_eta", least=0)
        if self.mutation is not None:
            self.check_range("mutation", least=0, most=1)

    def bound_to(self, space: Space, num_samples: int, seed: int) -> NSGA2:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return NSGA2(self, space, None if num_samples < 0 else num_samples, seed)


class NSGA2(LearningSearcher):
    """The searcher that `NSGA2Searcher` describes, for one space."""

    default_initial_points = 20

    def __init__(self, settings: NSGA2Searcher, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self._settings = settings
        self._memo: tuple[int, FloatArray] | None = None

    def propose(self, history: History, number: int) -> Row:
        """Return a child of two of the best."""
        import numpy as np

        settings, random = self._settings, self.random("nsga2", number)
        parents = self._best(history)
        # Parents are in order, so the smaller of two indices wins the tournament.
        mother, father = random.integers(0, len(parents), (2, 2)).min(axis=1)
        mothers, fathers = (np.tile(parents[parent], (CHILDREN, 1)) for parent in (mother, father))
        children = mothers
        if random.random() < settings.crossover:
            children = crossed(self.encoding, mothers, fathers, random, eta=settings.crossover_eta)
        children = self.encoding.settled(children)
        chance = 1 / max(self.encoding.width, 1) if settings.mutation is None else settings.mutation
        children = self.encoding.settled(
            polynomially_mutated(self.encoding, children, random, chance=chance, eta=settings.mutation_eta)
        )
        differs = (np.nan_to_num(children, nan=-1.0) != np.nan_to_num(mothers, nan=-1.0)).any(axis=1)
        child: FloatArray = children[int((self.encoding.allowed(children) & differs).argmax())]
        return child

    def _best(self, history: History) -> FloatArray:
        """Return the rows of the best trials, best first."""
        if self._memo is None or self._memo[0] != history.stamp:
            order = order_of(history.objectives)[: self._settings.population_size]
            self._memo = history.stamp, history.points[order]
        return self._memo[1]

"""Regularised evolution: the youngest trials are the population, and the best of a few of them has a child.

Source: Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search" (ageing evolution).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..space.space import Space
from .fronts import order_of
from .learning import LearningSearcher, LearningSettings
from .variation import crossed, mutated

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .history import History
    from .learning import Row

    FloatArray = NDArray[np.float64]

CHILDREN = 16
"""So many children are made, and the first that the constraints allow is taken."""
BROADEST, NARROWEST = 0.2, 0.002
"""Standard deviations of a number's step, as parts of its range: drawn anew for each child, from all magnitudes."""


@dataclass(frozen=True, kw_only=True)
class EvolutionSearcher(LearningSettings):
    """Regularised evolution: `searcher="evolution"`. For many cheap trials, and for spaces full of categories.

    The population are the youngest trials with a loss; whoever is older has died, however good it was, so that a lucky
    loss of a noisy objective is forgotten. The best of a few of them at random is the parent, and its child differs in
    one or two parameters; with `crossover` a second parent gives some of its own. With several objectives the better
    one is who lies in the better front, or in the less crowded place of the same. Any number of workers is kept busy.

    Args:
        population_size: How many trials the population has.
        tournament_size: How many of them compete to be the parent.
        crossover: How often there is a second parent.
        mutations: How many parameters change on average, at least one.
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's.
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

    population_size: int = 50
    tournament_size: int = 12
    crossover: float = 0.3
    mutations: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("population_size", at_least=2)
        self.check_count("tournament_size", at_least=1)
        self.check_range("crossover", least=0, most=1)
        self.check_range("mutations", least=1)

    def bound_to(self, space: Space, num_samples: int, seed: int) -> Evolution:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return Evolution(self, space, None if num_samples < 0 else num_samples, seed)


class Evolution(LearningSearcher):
    """The searcher that `EvolutionSearcher` describes, for one space."""

    default_initial_points = 20

    def __init__(self, settings: EvolutionSearcher, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self._settings = settings

    def propose(self, history: History, number: int) -> Row:
        """Return a child of the best of a few young trials."""
        import numpy as np

        settings, random = self._settings, self.random("evolution", number)
        youngest = np.argsort(history.trials, kind="stable")[-settings.population_size :]
        parents = [self._parent(history, youngest, random) for _ in range(2)]
        mothers, fathers = (np.tile(history.points[parent], (CHILDREN, 1)) for parent in parents)
        children = mothers
        if random.random() < settings.crossover:
            children = self.encoding.settled(crossed(self.encoding, mothers, fathers, random, eta=10.0))
        scale = BROADEST * (NARROWEST / BROADEST) ** random.random(CHILDREN)
        children = self.encoding.settled(
            mutated(self.encoding, children, random, changes=settings.mutations - 1, scale=scale)
        )
        allowed = self.encoding.allowed(children)
        child: FloatArray = children[int(allowed.argmax())]
        return child

    def _parent(self, history: History, youngest: NDArray[np.int_], random: np.random.Generator) -> int:
        """Return the index of the best of a few of the youngest."""
        size = min(self._settings.tournament_size, len(youngest))
        rivals = random.choice(youngest, size, replace=False)
        return int(rivals[order_of(history.objectives[rivals])[0]])

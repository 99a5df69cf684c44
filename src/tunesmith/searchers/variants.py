"""Random and grid search: the variants of the space, one after the other. The default searcher; learns nothing.

When the space was changed between two sessions, its grid points are gone through that no trial has had yet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.events import Event, SpaceChanged
from ..core.policy import Searcher
from ..core.replicates import KEY as REPLICATE
from ..errors import ConfigError
from ..space.space import Space
from ..space.variants import Variants
from ..space.versions import own_part
from .settings import SearcherSettings

if TYPE_CHECKING:
    from ..core.events import Config
    from ..core.experiment import Experiment


class VariantGenerator(Searcher):
    """Proposes the variants of a space in their order."""

    ignores_earlier_trials = True

    def __init__(self, variants: Variants) -> None:
        self.variants = variants
        self._changed_at = 0
        """How many configs had been proposed when the space was changed for the last time."""
        self._left: Sequence[int] | None = None
        """The variants that no trial had had by then, in order; None: trials go by their own numbers."""

    @property
    def total(self) -> int | None:
        """How many configs there are to be in all; None without end."""
        return self.variants.total if self._left is None else self._changed_at + len(self._left)

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn that the space is another one."""
        if type(event) is SpaceChanged:
            self._left = self.left(experiment, event.outside)
            self._changed_at = experiment.next_number

    def left(self, experiment: Experiment, outside: Collection[int]) -> Sequence[int] | None:
        """Return the variants that no trial has had, but for those that lie outside; None where it makes no difference:
        without a grid, and without an end.
        """
        if self.variants.grid_points == 1 or self.variants.total is None:
            return None
        out, space = set(outside), self.variants.space
        configs = (trial.config for trial in experiment.trials if trial.id not in out)
        if REPLICATE not in space.root.children:
            configs = (own_part(space, config) for config in configs if not config.get(REPLICATE))
        return self.variants.left(configs)

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the configs of the next `count` trials, fewer at the end.

        Raises:
            SpaceError: A lambda of the space failed.
        """
        end = experiment.next_number + count
        if self.total is not None:
            end = min(end, self.total)
        return [self.variants.config(self._variant(number)) for number in range(experiment.next_number, end)]

    def _variant(self, number: int) -> int:
        return number if self._left is None else self._left[number - self._changed_at]

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether every variant has been proposed."""
        return self.total is not None and experiment.next_number >= self.total


@dataclass(frozen=True)
class BasicVariantGenerator(SearcherSettings):
    """The settings of a `VariantGenerator`, given before the space is known: `search_alg=BasicVariantGenerator(...)`.

    Args:
        points_to_evaluate: Parts of configs to try first; each replaces one sample.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        constant_grid_search: Draw once for each sample and hold the draws over its grid points.
        random_state: The seed of the draws; None: the experiment's seed.

    Raises:
        ConfigError: `random_state` is no integer, or `max_concurrent` no count.
    """

    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None
    max_concurrent: int = 0
    constant_grid_search: bool = False
    random_state: int | None = None

    def __post_init__(self) -> None:
        if self.random_state is not None and type(self.random_state) is not int:
            raise ConfigError(
                f"random_state={self.random_state!r}: give an integer, or None for the experiment's seed. "
                "A generator that is continued could not make the same configs again after a restart."
            )
        if type(self.max_concurrent) is not int or self.max_concurrent < 0:
            raise ConfigError(f"max_concurrent={self.max_concurrent!r}: give a whole number; 0 is no limit.")

    def bound_to(self, space: Space, num_samples: int, seed: int) -> VariantGenerator:
        """Return the searcher for a space.

        Raises:
            ConfigError: `num_samples` is no count, or there are more points than samples.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        variants = Variants(
            space,
            num_samples=num_samples,
            seed=seed if self.random_state is None else self.random_state,
            constant_grid_search=self.constant_grid_search,
            points_to_evaluate=self.points_to_evaluate or (),
        )
        return VariantGenerator(variants)

    def trials_wanted(self, searcher: Searcher, num_samples: int) -> int | None:
        """Return how many variants there are."""
        assert isinstance(searcher, VariantGenerator), "these settings make no other"
        return searcher.total

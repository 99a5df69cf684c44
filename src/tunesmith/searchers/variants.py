"""Random and grid search: the variants of the space, one after the other. The default searcher; learns nothing.

When the space was changed between two sessions, its grid points are gone through that no trial has had yet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from ..core.events import Event, SpaceChanged, Suggested
from ..core.policy import Searcher
from ..errors import ConfigError
from ..space.encoding import Encoding
from ..space.sizes import LISTABLE
from ..space.space import Space
from ..space.variants import Variants
from ..space.versions import is_repeated, own_part
from .settings import SearcherSettings
from .untried import Key, Untried, is_worth_it

if TYPE_CHECKING:
    from ..core.events import Config
    from ..core.experiment import Experiment


FEW_TRIES = 20
"""So often a config is drawn anew that was proposed before; then one of those is taken that are left."""
MANY_TRIES = 1000
"""The same for a space that is too large to be listed, where a repetition is taken in the end."""


class VariantGenerator(Searcher):
    """Proposes the variants of a space in their order."""

    ignores_earlier_trials = True

    def __init__(self, variants: Variants, untried: Untried | None = None) -> None:
        self.variants = variants
        self._untried = untried
        """With it no config is proposed twice, unless a user lists it twice; None: they come as they are drawn."""
        self._is_changed = False
        """Whether the space was changed after the experiment had begun."""
        self._changed_at = 0
        """How many configs had been proposed when the space was changed for the last time."""
        self._left: Sequence[int] | None = None
        """The variants that no trial had had by then, in order; None: trials go by their own numbers."""

    @property
    def total(self) -> int | None:
        """How many configs there are to be in all; None without end."""
        return self.variants.total if self._left is None else self._changed_at + len(self._left)

    @property
    def wanted(self) -> int | None:
        """How many trials there are to be; None without end."""
        if self._untried is None:
            return self.total
        most = int(self._untried.size) + self.variants.repeated_points
        return most if self.total is None else min(self.total, most)

    def wanted_now(self, experiment: Experiment, change: SpaceChanged | None) -> int | None:
        """Return how many trials there are to be in all, before it observes how the space was changed, if it was."""
        if change is None and not self._is_changed:
            return self.wanted
        left = self._left if change is None else self.left(experiment, change.outside)
        begun = self._changed_at if change is None else experiment.next_number
        total = self.variants.total if left is None else begun + len(left)
        if self._untried is None:
            return total
        most = experiment.next_number + int(self._untried.count)
        return most if total is None else min(total, most)

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn what has been proposed, and that the space is another one."""
        if type(event) is Suggested and self._untried is not None:
            for config in event.configs:
                self._untried.learn(own_part(self.variants.space, config))
        elif type(event) is SpaceChanged:
            self._is_changed = True
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
        return self.variants.left(own_part(space, config) for config in configs if not is_repeated(space, config))

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the configs of the next `count` trials, fewer at the end.

        Raises:
            SpaceError: A lambda of the space failed.
        """
        end = experiment.next_number + count
        if self.total is not None:
            end = min(end, self.total)
        configs: list[Config] = []
        new: set[Key] = set()
        for number in range(experiment.next_number, end):
            config = self._config(self._variant(number), new)
            if config is None:
                break
            configs.append(config)
        return configs

    def _config(self, number: int, new: set[Key]) -> Config | None:
        """Return the config of a variant, and note in `new` what it goes by; None when all have been proposed."""
        untried = self._untried
        if untried is None:
            return self.variants.config(number)
        config = self.variants.config(number) if self.variants.is_given(number) else self._new(number, untried, new)
        if config is not None and (key := untried.key(config)) is not None and untried.has(key):
            new.add(key)
        return config

    def _new(self, number: int, untried: Untried, new: Collection[Key]) -> Config | None:
        """Return a config for a variant that has not been proposed; None when there is none."""
        if untried.count <= len(new):
            return None
        is_listable = untried.size <= LISTABLE
        config = None
        for config in islice(self.variants.tries(number), FEW_TRIES if is_listable else MANY_TRIES):
            key = untried.key(config)
            if untried.has(key) and key not in new:
                return config
        return untried.some(self.variants.seed, number, but=new) if is_listable else config

    def _variant(self, number: int) -> int:
        return number if self._left is None else self._left[number - self._changed_at]

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether every variant has been proposed, or every config that there is."""
        if self.total is not None and experiment.next_number >= self.total:
            return True
        is_past_points = experiment.next_number >= self.variants.fixed_trials
        return self._untried is not None and is_past_points and self._untried.count <= 0


@dataclass(frozen=True)
class BasicVariantGenerator(SearcherSettings):
    """The settings of a `VariantGenerator`, given before the space is known: `search_alg=BasicVariantGenerator(...)`.

    Args:
        points_to_evaluate: Parts of configs to try first; each replaces one sample.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        constant_grid_search: Draw once for each sample and hold the draws over its grid points.
        random_state: The seed of the draws; None: the experiment's seed.
        duplicates: "skip": in a finite space no config is proposed twice, and when all have been, the experiment ends;
            a grid alone is gone through as often as `num_samples` says. "replicate": as they are drawn.

    Raises:
        ConfigError: `random_state` is no integer, `max_concurrent` no count, or `duplicates` neither of the two.
    """

    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None
    max_concurrent: int = 0
    constant_grid_search: bool = False
    random_state: int | None = None
    duplicates: str = "skip"

    def __post_init__(self) -> None:
        if self.random_state is not None and type(self.random_state) is not int:
            raise ConfigError(
                f"random_state={self.random_state!r}: give an integer, or None for the experiment's seed. "
                "A generator that is continued could not make the same configs again after a restart."
            )
        if type(self.max_concurrent) is not int or self.max_concurrent < 0:
            raise ConfigError(f"max_concurrent={self.max_concurrent!r}: give a whole number; 0 is no limit.")
        if self.duplicates not in ("skip", "replicate"):
            raise ConfigError(f"duplicates={self.duplicates!r}: give 'skip' or 'replicate'.")

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
        if self.duplicates == "replicate":
            return VariantGenerator(variants)
        encoding = Encoding(space)
        return VariantGenerator(variants, Untried(encoding) if is_worth_it(encoding) else None)

    def trials_wanted(self, searcher: Searcher, num_samples: int) -> int | None:
        """Return how many variants there are."""
        assert isinstance(searcher, VariantGenerator), "these settings make no other"
        return searcher.wanted

"""A searcher whose every config depends on the question alone, for experiments that have to come out the same again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from ..core.events import Config
from ..core.experiment import Experiment
from ..core.policy import Searcher
from ..core.seeds import generator


class KeyedSearcher(Searcher):
    """Config number n depends on (seed, n) alone.

    Args:
        seed: What the configs are drawn from.
        most: It runs dry after so many configs.
        moody: How often it has nothing to offer for now.
        draw: Returns one config from a generator.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        most: int | None = None,
        moody: float = 0.0,
        draw: Callable[[Random], Config] | None = None,
    ) -> None:
        self.seed = seed
        self.most = most
        self.moody = moody
        self._draw = draw or a_config

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the next configs."""
        first = experiment.next_number
        if self.most is not None:
            count = min(count, self.most - first)
        if self.moody:
            mood = generator(self.seed, f"mood/{first}", experiment.results)
            count = 0 if mood.random() < self.moody and experiment.live else mood.randint(1, max(1, count))
        return [self._draw(generator(self.seed, "config", first + index)) for index in range(count)]

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether it has run dry."""
        return self.most is not None and experiment.next_number >= self.most


def a_config(draw: Random) -> Config:
    """Return a config of two parameters."""
    return {"x": draw.random(), "length": draw.randint(1, 6)}


def config_of(seed: int, number: int) -> Config:
    """Return what `KeyedSearcher` gives trial `number` by default."""
    return a_config(generator(seed, "config", number))

"""What a user gives as `searcher=`: the settings of a searcher, bound to a space and a seed when the run knows them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from ..core.objective import Objective
from ..core.policy import Searcher
from ..space.space import Space


class SearcherSettings(ABC):
    """The settings of a searcher that proposes configs of a space."""

    max_concurrent: int = 0
    """How many trials may run at once; 0 is no limit of its own."""

    def searched(self, space: Mapping[str, Any] | Space | None) -> Space:
        """Return what is searched: the run's space, and what the settings have of their own.

        Raises:
            ConfigError, SpaceError: They do not fit together, or something cannot be sampled.
        """
        return Space.of(space)

    @abstractmethod
    def bound_to(self, space: Space, num_samples: int, seed: int) -> Searcher:
        """Return the searcher for a space.

        Args:
            space: What may be tried.
            num_samples: How many samples; -1 without end.
            seed: The experiment's seed.

        Raises:
            ConfigError, SpaceError: The settings do not fit the space.
        """

    def check(self, objective: Objective | None) -> None:  # noqa: B027  a searcher that learns nothing needs none
        """Raise ConfigError when the searcher cannot do without an objective, and neither the run nor it has one."""

    def trials_wanted(self, searcher: Searcher, num_samples: int) -> int | None:
        """Return how many trials there are to be, for a searcher that these settings have made; None without end."""
        return None if num_samples < 0 else num_samples


def searched_space(space: Mapping[str, Any] | Space | None, searcher: object) -> Space:
    """Return what is searched by a run with that space and searcher."""
    return searcher.searched(space) if isinstance(searcher, SearcherSettings) else Space.of(space)

"""What searchers have in common that stand between the experiment and another searcher, and what a user gives for them.

A wrapper is given settings, a name or a searcher object, and is itself settings: so wrappers nest in any order.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ..core.policy import Searcher, unused
from ..errors import ConfigError
from .settings import SearcherSettings, searched_space

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.objective import Objective
    from ..space.space import Space

Given = SearcherSettings | Searcher | str


class WrappedSearcher(Searcher):
    """A searcher each of whose trials is one of the other searcher too.

    Args:
        searcher: The other one.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self.ignores_earlier_trials = searcher.ignores_earlier_trials

    def seen_by_other(self, experiment: Experiment) -> Experiment:
        """Return the experiment as the other searcher is to see it."""
        return experiment

    def theirs(self, trials: int) -> int:
        """Return how many of the other searcher's trials so many of ours are."""
        return trials

    def ours(self, trials: int) -> int:
        """Return how many of our trials so many of the other searcher's are."""
        return trials

    @property
    def warnings(self) -> Sequence[str]:
        """What the other searcher has to say."""
        return self.searcher.warnings

    @property
    def notes(self) -> Sequence[str]:
        """What it may say beside."""
        return self.searcher.notes


def name_of_searcher(searcher: Searcher) -> str:
    """Return what people are told of a searcher: its class, and of a wrapper also that of what it wraps."""
    name = type(searcher).__name__
    return f"{name}({name_of_searcher(searcher.searcher)})" if isinstance(searcher, WrappedSearcher) else name


@dataclass(frozen=True)
class WrapperSettings(SearcherSettings):
    """Settings of a searcher that wraps another.

    Args:
        searcher: What would be given as `searcher=` without the wrapper.

    Raises:
        ConfigError: It is none.
    """

    searcher: Given
    _settings: SearcherSettings = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        settings = as_settings(self.searcher, type(self).__name__)
        object.__setattr__(self, "_settings", settings)
        if "max_concurrent" not in {each.name for each in fields(self)}:
            object.__setattr__(self, "max_concurrent", settings.max_concurrent)

    @property
    def inner(self) -> SearcherSettings:
        """The settings of the other searcher."""
        return self._settings

    def searched(self, space: Mapping[str, Any] | Space | None) -> Space:
        """Return what is searched, as the other one's settings say."""
        return searched_space(space, self.inner)

    def check(self, objective: Objective | None) -> None:
        """Raise ConfigError when the other searcher has nothing to learn from."""
        self.inner.check(objective)

    @abstractmethod
    def bound_to(self, space: Space, num_samples: int, seed: int) -> WrappedSearcher:
        """Return the searcher for a space."""

    def trials_wanted(self, searcher: Searcher, num_samples: int) -> int | None:
        """Return how many trials the other one's settings want."""
        assert isinstance(searcher, WrappedSearcher), "these settings make no other"
        return self.inner.trials_wanted(searcher.searcher, num_samples)


@dataclass(frozen=True)
class _OfObject(SearcherSettings):
    """A searcher object that somebody has made, which knows its own space."""

    searcher: Searcher

    def bound_to(self, space: Space, num_samples: int, seed: int) -> Searcher:
        """Return a copy, so that the same object may be given to another run."""
        return unused(self.searcher)


def as_settings(given: Given, owner: str) -> SearcherSettings:
    """Return the settings that stand for what was given to `owner`.

    Raises:
        ConfigError: It is no searcher.
    """
    if isinstance(given, SearcherSettings):
        return given
    if isinstance(given, Searcher):
        return _OfObject(given)
    if isinstance(given, str):
        from .named import searcher_named  # here, because it knows all searchers

        return searcher_named(given)
    raise ConfigError(f"{owner}({given!r}): give a searcher such as tune.TPESearcher(), or its name.")

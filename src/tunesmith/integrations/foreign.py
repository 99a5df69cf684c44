"""Searchers that ask another package what to try: settings, and what such a package is told.

The package is asked anew for every config: it is given all that is known, seeded by the trial's number, and forgotten.
So what it says follows from the journal alone, and a run that died goes on as if it had not. A package whose state is
more than what it was told is led through its whole dialogue again instead, see `dialogue.py`.
"""

from __future__ import annotations

import copy
import logging
import random
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from ..core.policy import Searcher
from ..core.seeds import derived_seed
from ..errors import ConfigError, require
from ..searchers.learning import LearningSearcher, LearningSettings
from ..space.space import Space
from ..threads import one_thread
from .plain import PlainSpace

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..searchers.history import History

    FloatArray = NDArray[np.float64]
    Row = Sequence[float] | FloatArray

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ForeignSettings(LearningSettings, ABC):
    """What can be set of every searcher that asks another package.

    Args:
        space: What to search, added to the run's space; None: that alone.
        reward_attr: Early Tune's word for metric=..., mode="max".
    """

    space: Mapping[str, Any] | None = field(default=None, kw_only=False)
    reward_attr: str | None = None

    module: ClassVar[str]
    """What is imported of the package."""
    extra: ClassVar[str]
    """The pip extra, which is the name of the adapter's file too."""
    needs: ClassVar[tuple[str, ...]] = ()
    """What else must be there to be imported."""
    needs_losses: ClassVar[bool] = True
    """Whether it cannot be asked before there are two losses."""

    def __post_init__(self) -> None:
        if self.reward_attr is not None:
            if self.metric is not None:
                raise ConfigError(f"{self._name}: reward_attr= and metric= are the same. Give metric= and mode= only.")
            object.__setattr__(self, "metric", self.reward_attr)
            object.__setattr__(self, "mode", "max")
        super().__post_init__()

    def same_as(self, own: str, theirs: str) -> None:
        """Take an argument from the name that Ray Tune gives it.

        Raises:
            ConfigError: Both were given.
        """
        value = getattr(self, theirs)
        if value is None:
            return
        if getattr(self, own) is not None:
            raise ConfigError(f"{self._name}: {theirs}= and {own}= are the same. Give one of them.")
        object.__setattr__(self, own, value)

    def package(self) -> ModuleType:
        """Return the foreign package.

        Raises:
            MissingExtra: It is not installed.
        """
        *_, package = [require(name, feature=self._name, extra=self.extra) for name in (*self.needs, self.module)]
        return package

    def own_space(self) -> Mapping[str, Any]:
        """Return what is to be searched beside the run's space, in Tunesmith's words."""
        if not isinstance(self.space, Mapping):
            raise ConfigError(f"{self._name}: space={self.space!r}: give a dict, or leave it to the run's space=.")
        return self.space

    def searched(self, space: Mapping[str, Any] | Space | None) -> Space:
        """Return the run's space with what these settings have of their own.

        Raises:
            ConfigError: Both say what cannot be joined.
            SpaceError: What they say cannot be sampled.
        """
        if self.space is None:
            return Space.of(space)
        if isinstance(space, Space):
            raise ConfigError(f"{self._name}: the run has a tune.Space, and the searcher a space of its own. Give one.")
        own = self.own_space()
        if twice := sorted(own.keys() & (space or {}).keys()):
            raise ConfigError(f"{self._name}: {twice[0]!r} is in the run's space and in the searcher's. Give it once.")
        return Space({**(space or {}), **own})

    def bound_to(self, space: Space, num_samples: int, seed: int) -> Searcher:
        """Return the searcher for a space.

        Raises:
            MissingExtra: The package is not installed.
            ConfigError: There are more points than trials, or the settings do not fit the package or the space.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        with quiet(self.module):
            self.package()
        return AdvisedSearcher(self, space, None if num_samples < 0 else num_samples, seed)

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked, for a space of at least one parameter."""
        raise NotImplementedError(f"{self._name} binds itself to a space in another way")


class Adviser(ABC):
    """A foreign optimizer that knows only what it is told."""

    @abstractmethod
    def advice(self, history: History, number: int, seed: int) -> Row:
        """Return where to look with trial `number`: coordinates. A function of the arguments alone.

        `seed` is one of 32 bits for this trial.
        """


class AdvisedSearcher(LearningSearcher):
    """Proposes what an adviser says."""

    def __init__(self, settings: ForeignSettings, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self._purpose, self._package = settings.extra, settings.module
        self._needs_losses = settings.needs_losses
        self._adviser = settings.adviser(PlainSpace(self.encoding)) if self.encoding.width else None

    def initial(self, history: History, number: int) -> Row | None:
        """Return where to look first; afterwards one who can begin with nothing is asked at once."""
        if self._needs_losses or number < self.initial_points:
            return super().initial(history, number)
        return None

    def propose(self, history: History, number: int) -> Row:
        """Return the adviser's advice."""
        if self._adviser is None:
            return ()
        with quiet(self._package), one_thread():
            return self._adviser.advice(history, number, derived_seed(self.seed, self._purpose, number, bits=32))


def observations(history: History, *, with_pending: bool) -> tuple[FloatArray, FloatArray]:
    """Return rows, shape (n, d), and losses, shape (n,), for who knows of neither failures nor pending trials.

    A failed trial is as bad as the worst one. A pending one, if wanted, is as good as the mean: who proposes the next
    one has no reason to look there again (Ginsbourger et al. 2010, "Kriging is well-suited to parallelize
    optimization": the constant liar).
    """
    rows, losses = all_observations(history, with_pending=with_pending)
    return rows, losses[:, 0]


def all_observations(history: History, *, with_pending: bool) -> tuple[FloatArray, FloatArray]:
    """Return the same with the losses of all m objectives, shape (n, m)."""
    import numpy as np

    rows, losses = [history.points, history.failed], [history.objectives]
    losses.append(np.tile(history.objectives.max(axis=0), (len(history.failed), 1)))
    if with_pending:
        rows.append(history.pending)
        losses.append(np.tile(history.objectives.mean(axis=0), (len(history.pending), 1)))
    return np.concatenate(rows), np.concatenate(losses)


@contextmanager
def quiet(package: str) -> Iterator[None]:
    """What a foreign package warns of and writes into its log is for its own users."""
    names = [package, *(name for name in list(logging.root.manager.loggerDict) if name.startswith(f"{package}."))]
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)


class Draws:
    """For packages that draw from the generators of the whole process: a course of them that belongs to one object.

    `with draws:` puts the process's generators where the last such block has left them, and back at its end.
    """

    def __init__(self, seed: int) -> None:
        import numpy as np

        self._state: tuple[Any, Any] = (random.Random(seed).getstate(), np.random.RandomState(seed).get_state())
        self._before: tuple[Any, Any] = self._state

    def __enter__(self) -> None:
        self._before = _exchanged(self._state)

    def __exit__(self, *error: object) -> None:
        self._state = _exchanged(self._before)


def _exchanged(state: tuple[Any, Any]) -> tuple[Any, Any]:
    import numpy as np

    before = (random.getstate(), np.random.get_state())
    random.setstate(state[0])
    np.random.set_state(state[1])
    return before


def reseeded(thing: T, seed: int) -> T:
    """Return a copy of a foreign object in which every numpy generator is seeded, each one otherwise."""
    import numpy as np

    copied = copy.deepcopy(thing)
    package = type(copied).__module__.partition(".")[0]
    waiting: list[Any] = [copied]
    seen = set[int]()
    while waiting:
        found = waiting.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, np.random.RandomState):
            found.seed((seed + len(seen)) % 2**32)
        elif isinstance(getattr(found, "rng", None), np.random.RandomState):
            found.rng.seed((seed + len(seen)) % 2**32)  # one that is made as soon as somebody looks
        elif type(found).__module__.partition(".")[0] == package and hasattr(found, "__dict__"):
            waiting.extend(vars(found).values())
    return copied

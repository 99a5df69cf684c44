"""Any searcher, asked only while few of its trials are under way. Proposes nothing of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.policy import Searcher
from ..core.trial import Status
from ..errors import ConfigError
from .wrapped import WrappedSearcher, WrapperSettings

if TYPE_CHECKING:
    from ..core.events import Config, Event
    from ..core.experiment import Experiment
    from ..space.space import Space


@dataclass(frozen=True)
class ConcurrencyLimiter(WrapperSettings):
    """Lets a searcher have so many trials that are not over: `ConcurrencyLimiter("tpe", max_concurrent=4)`.

    A searcher knows more at each suggestion the fewer trials it waits for. Paused trials are not over. With
    `max_concurrent_trials` of the run other resources stand idle as well, but paused trials do not count.

    Args:
        searcher: Settings, an object or a name.
        max_concurrent: How many trials.
        batch: Go on only when all of so many trials are over, with the next so many.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    max_concurrent: int
    batch: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.max_concurrent) is not int or self.max_concurrent < 1:
            raise ConfigError(
                f"ConcurrencyLimiter: max_concurrent={self.max_concurrent!r}: give a whole number of at least 1."
            )
        if not isinstance(self.batch, bool):
            raise ConfigError(f"ConcurrencyLimiter: batch={self.batch!r}: give True or False.")

    def bound_to(self, space: Space, num_samples: int, seed: int) -> LimitedSearcher:
        """Return the searcher for a space."""
        inner = self.inner.bound_to(space, num_samples, seed)
        return LimitedSearcher(inner, self.max_concurrent, batch=self.batch)


class LimitedSearcher(WrappedSearcher):
    """Asks another searcher for no more than `most` trials that are not over; `batch`: for `most` at a time."""

    def __init__(self, searcher: Searcher, most: int, *, batch: bool) -> None:
        super().__init__(searcher)
        self.most = most
        self.batch = batch

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Pass it on."""
        self.searcher.observe(event, experiment)

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the other searcher's answer, or none while too many trials are not over."""
        count = min(count, self._room(experiment))
        return self.searcher.suggest(count, experiment) if count > 0 else []

    def prepared(self, count: int, experiment: Experiment) -> Callable[[], Sequence[Config]] | None:
        """Return what computes the answer; None where there is nothing to compute."""
        count = min(count, self._room(experiment))
        return self.searcher.prepared(count, experiment) if count > 0 else None

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether the other searcher is."""
        return self.searcher.is_exhausted(experiment)

    def _room(self, experiment: Experiment) -> int:
        counts, following = experiment.counts, experiment.next_number
        under_way = following - counts[Status.COMPLETED] - counts[Status.STOPPED] - counts[Status.FAILED]
        if not self.batch:
            return self.most - under_way
        begun = following % self.most
        return 0 if begun == 0 and under_way else self.most - begun

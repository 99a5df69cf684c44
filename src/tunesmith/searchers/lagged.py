"""Any searcher, told of results in the order of the trials' numbers and at a fixed distance: then its suggestions do
not depend on how many trials run at once, nor on which of them ends first.

Suggestion n is made from exactly the outcomes of trials 0 ... n - window. All later trials count as running, whatever
has come of them, and one of the earlier that is not over yet is waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..core.events import (
    Config,
    EarlierTrials,
    Event,
    ExperimentCreated,
    Reported,
    SessionOpened,
    SpaceChanged,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialRequeued,
    TrialStopped,
)
from ..core.policy import Searcher
from .shadow import Outcomes, Shadow
from .wrapped import WrappedSearcher

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial

WINDOW = 8
"""So many trials may run at once without waiting for a certain one of them."""


class LaggedSearcher(WrappedSearcher):
    """Lets another searcher see an experiment of its own, which goes on in step with its suggestions.

    There each trial begins as soon as it is suggested, runs once and without interruption, and takes a second for each
    result: what was retried, lost, paused or done again after a restart, and what the clock said, it does not learn.
    The outcome of trial k comes right before suggestion k + window. A failed trial that a later session tries again
    stays failed there, if it has been told.

    Args:
        searcher: The other one.
        window: How far back the newest outcome lies that a suggestion is made from.
    """

    def __init__(self, searcher: Searcher, window: int = WINDOW) -> None:
        super().__init__(searcher)
        self.window = window
        self._shadow: Shadow | None = None
        self._told = 0
        """The other searcher knows the outcomes of trials 0 ... told - 1."""
        self._outcomes = Outcomes()

    def seen_by_other(self, experiment: Experiment) -> Experiment:
        """Return the experiment that goes on in step."""
        return experiment if self._shadow is None else self._shadow.view

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Keep what happened, and tell what is due."""
        shadow = self._shadow = self._shadow or Shadow(self.searcher, experiment)
        at = float(shadow.view.next_number)
        match event:
            case Reported():
                if event.trial >= self._told:
                    self._outcomes.report(event)
            case TrialCompleted() | TrialStopped() | TrialFailed():
                if event.trial >= self._told:
                    self._outcomes.end(event)
                    self._tell_due(shadow, experiment.trials)
            case TrialRequeued():
                self._outcomes.reopen(event.trial)
            case Suggested():
                for config in event.configs:
                    shadow.begin(config, float(shadow.view.next_number), event.origin)
                    self._tell_due(shadow, experiment.trials)
            case SessionOpened():
                shadow.open(event, at, event.trials_wanted)
            case ExperimentCreated() | SpaceChanged() | EarlierTrials():
                shadow.tell(replace(event, at=at))

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the next config, or none while an outcome is missing that it is to be made from."""
        if not self._is_in_step(experiment):
            return []
        return self.searcher.suggest(1, self.seen_by_other(experiment))

    def prepared(self, count: int, experiment: Experiment) -> Callable[[], Sequence[Config]] | None:
        """Return what computes the next config."""
        if not self._is_in_step(experiment):
            return None
        return self.searcher.prepared(1, self.seen_by_other(experiment))

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether the other searcher has nothing more to propose, as far as it knows."""
        return self._is_in_step(experiment) and self.searcher.is_exhausted(self.seen_by_other(experiment))

    def _is_in_step(self, experiment: Experiment) -> bool:
        return self._told > experiment.next_number - self.window

    def _tell_due(self, shadow: Shadow, trials: Sequence[Trial]) -> None:
        following = shadow.view.next_number
        while self._told <= following - self.window and self._outcomes.has(self._told):
            number = self._told
            self._told += 1
            end, results = self._outcomes.taken(number, trials[number].number)
            timeless = [replace(result, elapsed=float(result.number)) for result in results]
            shadow.end(number, end, timeless, float(following))


def in_step(
    searcher_for: Callable[[int], tuple[Searcher, int | None]], window: int
) -> Callable[[int], tuple[Searcher, int | None]]:
    """Return a maker of searchers that are told of outcomes in order, `window` trials later."""

    def searcher_and_total(seed: int) -> tuple[Searcher, int | None]:
        searcher, total = searcher_for(seed)
        return LaggedSearcher(searcher, window), total

    return searcher_and_total

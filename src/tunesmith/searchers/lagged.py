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
    AttemptEnded,
    Config,
    EarlierTrials,
    Event,
    ExperimentCreated,
    Node,
    Placement,
    Reported,
    SessionOpened,
    SpaceChanged,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialRequeued,
    TrialStopped,
)
from ..core.experiment import Experiment
from ..core.policy import Searcher
from .wrapped import WrappedSearcher

if TYPE_CHECKING:
    from ..core.trial import Trial

WINDOW = 8
"""So many trials may run at once without waiting for a certain one of them."""
NODE = "in step"

End = TrialCompleted | TrialStopped | TrialFailed


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
        self._view: Experiment | None = None
        self._told = 0
        """The other searcher knows the outcomes of trials 0 ... told - 1."""
        self._results: dict[int, dict[int, Reported]] = {}
        """Of trials that were not told yet: by number, what was reported last under it."""
        self._ends: dict[int, End] = {}
        self._opened: SessionOpened | None = None

    @property
    def view(self) -> Experiment:
        """The experiment that the other searcher sees."""
        assert self._view is not None, "`observe` comes first"
        return self._view

    def seen_by_other(self, experiment: Experiment) -> Experiment:
        """Return the experiment that goes on in step."""
        return experiment if self._view is None else self._view

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Keep what happened, and tell what is due."""
        if self._view is None:
            # One that is told what to rank by before its first event ranks all of its past by that.
            self._view = Experiment(experiment.objective)
            self._view.objectives = experiment.objectives
        match event:
            case Reported(trial=trial, number=number):
                if trial >= self._told:
                    self._results.setdefault(trial, {})[number] = event
            case TrialCompleted() | TrialStopped() | TrialFailed():
                if event.trial >= self._told:
                    self._ends[event.trial] = event
                    self._tell_due(experiment.trials)
            case TrialRequeued(trial=trial):
                self._ends.pop(trial, None)
            case Suggested():
                for config in event.configs:
                    self._begin(config, event.origin)
                    self._tell_due(experiment.trials)
            case SessionOpened():
                self._open(event)
            case ExperimentCreated() | SpaceChanged() | EarlierTrials():
                self._tell(replace(event, at=self._now()))

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the next config, or none while an outcome is missing that it is to be made from."""
        if not self._is_in_step():
            return []
        return self.searcher.suggest(1, self.view)

    def prepared(self, count: int, experiment: Experiment) -> Callable[[], Sequence[Config]] | None:
        """Return what computes the next config."""
        return self.searcher.prepared(1, self.view) if self._is_in_step() else None

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether the other searcher has nothing more to propose, as far as it knows."""
        return self._is_in_step() and self.searcher.is_exhausted(self.view)

    def _is_in_step(self) -> bool:
        return self._told > self.view.next_number - self.window

    # The experiment that the other searcher sees.

    def _now(self) -> float:
        return float(self.view.next_number)

    def _tell(self, event: Event) -> None:
        self.view.apply(event)
        self.searcher.observe(event, self.view)

    def _open(self, event: SessionOpened) -> None:
        node = Node(NODE, {"cpu": float(self.window)})
        opened = replace(
            event, at=0.0, session=1, started=0.0, request={"cpu": 1}, nodes=(node,), host="", pid=0, retry_failed=False
        )
        if opened != self._opened:  # otherwise that another session has begun is nothing it should know
            self._opened = opened
            self._tell(replace(opened, at=self._now()))

    def _begin(self, config: Config, origin: str) -> None:
        number = self.view.next_number
        self._tell(Suggested(at=self._now(), configs=(config,), origin=origin))
        placement = Placement(NODE, {"cpu": 1})
        self._tell(TrialLaunched(at=self._now(), trial=number, attempt=1, placement=placement))

    def _tell_due(self, trials: Sequence[Trial]) -> None:
        while self._told <= self.view.next_number - self.window and self._told in self._ends:
            number = self._told
            end, results = self._ends.pop(number), self._results.pop(number, {})
            self._told += 1
            self._end(number, end, [results[each] for each in sorted(results) if each <= trials[number].number])

    def _end(self, number: int, end: End, results: Sequence[Reported]) -> None:
        at = self._now()
        for result in results:
            self._tell(
                Reported(
                    at=at,
                    trial=number,
                    attempt=1,
                    number=result.number,
                    metrics=result.metrics,
                    elapsed=float(result.number),
                    waits=result.waits,
                )
            )
        failure = end.failure if isinstance(end, TrialFailed) else None
        outcome = "failed" if failure is not None else "halted" if isinstance(end, TrialStopped) else "done"
        self._tell(AttemptEnded(at=at, trial=number, attempt=1, outcome=outcome, failure=failure))
        self._tell(replace(end, at=at))


def in_step(
    searcher_for: Callable[[int], tuple[Searcher, int | None]], window: int
) -> Callable[[int], tuple[Searcher, int | None]]:
    """Return a maker of searchers that are told of outcomes in order, `window` trials later."""

    def searcher_and_total(seed: int) -> tuple[Searcher, int | None]:
        searcher, total = searcher_for(seed)
        return LaggedSearcher(searcher, window), total

    return searcher_and_total

"""Says early that nothing has the metric: a mistyped name would otherwise cost a run before anybody sees it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..core.events import AttemptEnded, Event, Reported
from ..core.experiment import Experiment
from ..core.objective import WORST
from .base import Callback

ENOUGH_RESULTS = 100


class MissingMetric(Callback):
    """Warns once when a trial has ended, or many results have come, and none of them had an objective."""

    def __init__(self) -> None:
        self._watches = True
        self._has: set[str] = set()
        """Objectives after the first that a result has had."""

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """See whether some result has it by now."""
        if not self._watches:
            return
        missing = self._missing(events, experiment)
        if not missing:
            self._watches = False
        elif experiment.results >= ENOUGH_RESULTS or (
            experiment.results and any(type(event) is AttemptEnded for event in events)
        ):
            self._watches = False
            reported = {name for trial in experiment.trials if trial.last is not None for name in trial.last.metrics}
            for metric in missing:
                warnings.warn(
                    f"no result so far has a usable {metric!r}, and all rank worst. "
                    f"Reported: {', '.join(sorted(reported)) or 'no metrics'}. Is its name mistyped?",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def _missing(self, events: Sequence[Event], experiment: Experiment) -> list[str]:
        first, more = experiment.objective, experiment.objectives[1:]
        if first is None:
            return []
        unseen = [objective for objective in more if objective.metric not in self._has]
        for event in events if unseen else ():
            if type(event) is Reported:
                self._has.update(each.metric for each in unseen if each.loss(event) < WORST)
        missing = [each.metric for each in more if each.metric not in self._has]
        return missing if experiment.best is not None else [first.metric, *missing]

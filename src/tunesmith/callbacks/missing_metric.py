"""Says early that nothing has the metric: a mistyped name would otherwise cost a run before anybody sees it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..core.events import AttemptEnded, Event
from ..core.experiment import Experiment
from .base import Callback

ENOUGH_RESULTS = 100


class MissingMetric(Callback):
    """Warns once when a trial has ended, or many results have come, and none of them had the objective."""

    def __init__(self) -> None:
        self._watches = True

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """See whether some result has it by now."""
        if not self._watches:
            return
        objective = experiment.objective
        if objective is None or experiment.best is not None:
            self._watches = False
        elif experiment.results >= ENOUGH_RESULTS or (
            experiment.results and any(type(event) is AttemptEnded for event in events)
        ):
            self._watches = False
            reported = {name for trial in experiment.trials if trial.last is not None for name in trial.last.metrics}
            warnings.warn(
                f"no result so far has a usable {objective.metric!r}, and all rank worst. "
                f"Reported: {', '.join(sorted(reported)) or 'no metrics'}. Is its name mistyped?",
                RuntimeWarning,
                stacklevel=2,
            )

"""Says that a pause costs all that a trial has done: without a checkpoint it starts again at its beginning."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from ..core.events import Event, TrialContinued, TrialLaunched, TrialPaused, TrialReallocated
from ..core.experiment import Experiment
from .base import Callback, Run


class Restarts(Callback):
    """Warns once when a trial goes on after a pause, but has no checkpoint to go on from."""

    def __init__(self) -> None:
        self._paused: set[int] | None = set()
        """Trials that wait to go on; None once it was said."""

    def open(self, run: Run, experiment: Experiment) -> None:
        """Take in who is paused already."""
        if self._paused is not None:
            self._paused.update(number for number in experiment.paused if not experiment.trials[number].interrupted)

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """See whether one of them goes on from nothing."""
        if self._paused is None:
            return
        for event in events:
            match event:
                case TrialPaused(interrupted=False) | TrialReallocated():
                    self._paused.add(event.trial)
                case TrialContinued():
                    self._paused.discard(event.trial)
                case TrialLaunched() if event.trial in self._paused:
                    self._paused.discard(event.trial)
                    last = experiment.trials[event.trial].last
                    if event.checkpoint is None and last is not None:
                        self._paused = None
                        _warn(event.trial, last.number)
                        return
                case _:
                    pass


def _warn(trial: int, results: int) -> None:
    warnings.warn(
        f"trial {trial} goes on after a pause, but from its beginning: it has no checkpoint, and repeats {results} "
        "results. Report checkpoints, tune.report(..., checkpoint=folder), and start from tune.get_checkpoint() (a "
        "class: define save_checkpoint and load_checkpoint). Or keep the processes of paused trials: pause='hold'.",
        RuntimeWarning,
        stacklevel=2,
    )

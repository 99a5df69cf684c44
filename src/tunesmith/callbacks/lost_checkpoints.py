"""Tells a person of checkpoints that were damaged or could not be stored, in a line each."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ..core.events import AttemptEnded, CheckpointDropped, Event, Reported
from ..core.experiment import Experiment
from .base import Callback

MOST_LINES = 5


class LostCheckpoints(Callback):
    """Prints the first few as they come, and at the end how many there were."""

    def __init__(self) -> None:
        self._count = 0

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Look for them among the events."""
        for event in events:
            match event:
                case Reported(checkpoint_failure="") | AttemptEnded(checkpoint_failure=""):
                    pass
                case Reported():
                    what = (
                        f"the checkpoint of its result {event.number} could not be stored ({event.checkpoint_failure})"
                    )
                    self._say(event.trial, what, experiment)
                case AttemptEnded():
                    what = f"its last checkpoint could not be stored ({event.checkpoint_failure})"
                    self._say(event.trial, what, experiment)
                case CheckpointDropped() if event.reason:
                    self._say(event.trial, event.reason.removeprefix("CheckpointUnreadable: "), experiment)
                case _:
                    pass

    def close(self, experiment: Experiment) -> None:
        """Say how many there were, if not all were shown."""
        if self._count > MOST_LINES:
            more = self._count - MOST_LINES
            print(f"tunesmith: {more} more checkpoints were lost; see `tunesmith show`.", file=sys.stderr, flush=True)

    def _say(self, trial: int, what: str, experiment: Experiment) -> None:
        self._count += 1
        if self._count <= MOST_LINES:
            start = experiment.trials[trial].checkpoint or "its beginning"
            line = f"tunesmith: trial {trial}: {what}. When it is started again, it goes on from {start}."
            print(line, file=sys.stderr, flush=True)

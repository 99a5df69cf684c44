"""Which trials' rows are to be written, and when: no database here.

What moves a trial is in its row at once. A row that would only say that there are new results may wait a little: when
reports come one by one and fast, not each is worth writing it anew, and with thousands of trials that report once a
second that would take a fifth of the writer's time, and most of what it writes to the disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.events import Event, Reported, Suggested

if TYPE_CHECKING:
    from ..core.experiment import Experiment

SHARE = 0.05
"""Of the time is spent on rows of trials that only have new results, at most."""


class LaggingRows:
    """The trials whose rows are behind their events."""

    def __init__(self) -> None:
        self.lag = 0.0
        """How many seconds the row of a trial that only has new results, none its best, may be behind at least; 0: none
        ever is."""
        self._moved: set[int] = set()
        self._improved: set[int] = set()
        self._grown: set[int] = set()
        self._rests_until = self._lags_until = float("-inf")

    @property
    def are_waiting(self) -> bool:
        """Whether there are any."""
        return bool(self._moved or self._improved or self._grown)

    def take(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Learn what has happened; `experiment` has applied it."""
        trials = experiment.trials
        suggested = sum(len(event.configs) for event in events if type(event) is Suggested)
        moved, improved, grown = self._moved, self._improved, self._grown
        moved.update(range(len(trials) - suggested, len(trials)))
        for event in events:
            if type(event) is Reported:
                (improved if trials[event.trial].best is event else grown).add(event.trial)
            else:
                number = getattr(event, "trial", None)
                # A person may ask to stop a trial that does not exist.
                if number is not None and 0 <= number < len(trials):
                    moved.add(number)

    def due(self, now: float) -> tuple[list[int], list[int]]:
        """Return the trials whose rows are to be written at `now`; in the second list those whose loss is the old one.

        They need no new place in an index, which halves what a single report costs.
        """
        if now < self._rests_until:
            return sorted(self._moved), []
        ranked = self._moved | self._improved
        return sorted(ranked), sorted(self._grown - ranked) if now >= self._lags_until else []

    def written(self, ranked: Sequence[int], grown: Sequence[int], began: float, ended: float) -> None:
        """Learn that what was due has been written, and from when to when, in seconds."""
        count = len(ranked) + len(grown)
        optional = count - len(self._moved)
        if optional and self.lag:
            self._rests_until = ended + (1 / SHARE - 1) * (ended - began) * optional / count
        if grown:
            self._lags_until = ended + self.lag
        self._moved.clear()
        self._improved.difference_update(ranked)
        self._grown.difference_update(ranked, grown)

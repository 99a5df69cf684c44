"""When results that nobody waits for come one by one and fast, they are taken together: no reading of them here.

A turn of the loop, with its transaction, costs about as much as five results. With thousands of workers that report
once a second each result would otherwise be a turn of its own, and the driver always busy.
"""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from ..core.events import Event, Reported

TOGETHER = 0.01
"""Seconds for which results are let come together."""
FAST = 0.001
"""Turns follow each other fast that have less than so many seconds between them."""
FAST_TURNS = 8
"""After so many fast turns in a row, with nothing but such results, the next ones are let come together."""
WORTH_IT = 10
"""Once fewer than this have come together they are taken one by one again."""
MUCH = 200
"""Where one line has brought so many at once more is waiting there, and its workers may stand still for it."""


class Gathering:
    """Decides whether to let results come together. One that waits for a verdict, and an end, are taken at once."""

    def __init__(self, together: float = TOGETHER, fast: float = FAST) -> None:
        self._together = together
        self._fast = fast
        self._fast_turns = 0
        self._turn_at = 0.0
        self._is_pressed = False

    @property
    def pause(self) -> float:
        """How many seconds to let results come before the next turn."""
        return self._together if self._fast_turns >= FAST_TURNS else 0.0

    def has_read(self, count: int) -> None:
        """Learn how many messages one line has brought at once."""
        self._is_pressed = self._is_pressed or count >= MUCH

    def has_turned(self, events: Sequence[Event]) -> None:
        """Learn what a turn consists of."""
        now = monotonic()
        is_fast = len(events) >= WORTH_IT if self.pause else now - self._turn_at < self._fast
        if is_fast and not self._is_pressed and all(type(each) is Reported and not each.waits for each in events):
            self._fast_turns += 1
        else:
            self._fast_turns = 0
        self._turn_at, self._is_pressed = now, False

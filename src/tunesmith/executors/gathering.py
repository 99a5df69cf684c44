"""When results that nobody waits for come one by one and fast, they are taken together: no reading of them here.

A turn of the loop, with its transaction, costs about as much as five results. With thousands of workers that report
once a second each result would otherwise be a turn of its own, and the driver always busy.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.events import Event, Reported

TOGETHER = 0.05
"""Seconds for which results are let come together at most."""
RATE = 1000.0
"""Fast are so many in a second."""
FAST_TURNS = 8
"""After so many fast turns in a row the next ones are let come together."""
SHARE = 1 / 8
"""Of the time for which it has been so. What trials of some milliseconds have to wait at their end is little beside
them."""
MUCH = 200
"""Where one line has brought so many at once more is waiting there, and its workers may stand still for it."""


class Gathering:
    """Decides whether to let results come together. Where some that come are waited for, they do so for less long."""

    def __init__(self, together: float = TOGETHER, rate: float = RATE) -> None:
        self._together = together
        self._rate = rate
        self._fast_turns = 0
        self._lasted = 0.0
        self._turn_at = 0.0
        self._is_pressed = False

    @property
    def pause(self) -> float:
        """How many seconds to let results come before the next turn."""
        return min(self._together, SHARE * self._lasted) if self._fast_turns >= FAST_TURNS else 0.0

    def has_read(self, count: int) -> None:
        """Learn how many messages one line has brought at once."""
        self._is_pressed = self._is_pressed or count >= MUCH

    def has_turned(self, events: Sequence[Event], now: float) -> None:
        """Learn what a turn consists of; `now` is in seconds."""
        taken = now - self._turn_at
        if self._is_pressed or len(events) < self._rate * taken:
            self._fast_turns, self._lasted = 0, 0.0
        elif all(type(each) is Reported and not each.waits for each in events):
            self._fast_turns += 1
            self._lasted += taken
        else:
            self._lasted /= 2
        self._turn_at, self._is_pressed = now, False

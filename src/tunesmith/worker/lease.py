"""Up to when an agent may let its trials run without a word of its driver, and what ends them if it cannot itself.

The driver takes an agent for lost once it has been silent for long enough, and has its trials run elsewhere. By then
they must have ended here, whatever has become of the network, of the clocks, and of this process:

- A driver greets only agents that it has heard a moment ago, and says when by its own clock (`Ping.at`). It also says
  what the agent's clock showed when the newest word of it was sent (`Ping.heard`): that was before. So the difference
  of the two is a lower bound of the difference of the clocks, and turns each greeting's time into a time here that is
  never too late. A greeting that was long on its way is as old as it is.
- The kernel is told when the lease ends. A process that is stopped, or hangs, is made to go on a moment later, when it
  finds its lease over; if that does not end it, it is killed, and its workers with it (`die_with_parent`).
"""

from __future__ import annotations

import signal

from .system import Alarm, steady_clock

WAKE_AFTER, KILL_AFTER = 0.5, 1.5
"""Seconds after the end of a lease."""
DRIFT = 5e-4
"""Seconds that two clocks may drift apart in a second: the most that time services slew them by."""


class Lease:
    """The lease of one agent.

    Args:
        since: When the driver was last known not to have given up on the agent, by `steady_clock`.
        counts_sleep: Whether time counts in which the machine was suspended.
    """

    def __init__(self, since: float, *, counts_sleep: bool) -> None:
        self._counts_sleep = counts_sleep
        self._since = since
        self._length = float("inf")
        self._difference = float("-inf")
        """At least so much is our clock ahead of the driver's."""
        self._compared_at = since
        self._alarms: list[tuple[Alarm, float]] = []
        self._is_enforced = False

    def now(self) -> float:
        """Return what the clock shows that leases are counted by."""
        return steady_clock(counts_sleep=self._counts_sleep)

    def set_length(self, seconds: float) -> None:
        """Take it that the lease ends so many seconds after the driver's newest word was sent."""
        self._length = seconds

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.now() > self._since + self._length

    def renew(self, at: float, heard: float) -> None:
        """Learn of a greeting: the driver sent it at `at`, and had heard by then what was sent here at `heard`."""
        now = self.now()
        self._difference = max(self._difference - DRIFT * (now - self._compared_at), heard - at)
        self._compared_at = now
        self._since = max(self._since, at + self._difference)
        self._set_alarms()

    def enforce(self) -> None:
        """Have the kernel see to it, from now on, that this process does not outlive its lease."""
        if self._is_enforced:
            return
        self._is_enforced = True
        for number, after in ((signal.SIGCONT, WAKE_AFTER), (signal.SIGKILL, KILL_AFTER)):
            alarm = Alarm.made(number, counts_sleep=self._counts_sleep)
            if alarm is not None:
                self._alarms.append((alarm, after))
        self._set_alarms()

    def _set_alarms(self) -> None:
        for alarm, after in self._alarms:
            alarm.set(self._since + self._length + after)

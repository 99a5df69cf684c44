"""First come, first served: every trial runs to its own end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.events import Result
from ..core.policy import CONTINUE, FOREVER, Decision, Scheduler

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class FIFOScheduler(Scheduler):
    """Runs trials in their order and never stops one. The default."""

    compares_trials = False

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Let it go on."""
        return CONTINUE

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return forever: no result of the trial ever waits."""
        return FOREVER

    def describe(self) -> str:
        """Return what the display says of it: nothing."""
        return ""

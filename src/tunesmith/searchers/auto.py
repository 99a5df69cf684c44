"""The searcher that chooses among the others, by the space, the number of trials, and what trials cost; and says why.

Which one proposes a trial is a function of the trial's number and of the history, as everything that a searcher does.
Each of them learns from all trials, whoever proposed them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.events import Event, TrialCompleted
from ..space.space import Space
from .cmaes import CMAES, CMAESSearcher
from .gp import GP, GPSearcher
from .learning import LearningSearcher, LearningSettings
from .tpe import TPE, TPESearcher

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..space.encoding import Encoding
    from .history import History
    from .learning import Row

LAST_OF_GP = 300
"""After so many trials a Gaussian process costs more than it finds."""
FEWEST_AFTER_GP = 100
"""Another searcher takes over only for at least so many trials."""
MOST_PARAMETERS = 100
"""Of more parameters a Gaussian process learns too slowly."""
QUICK = 0.02
"""Where trials end more often than every so many seconds, a Gaussian process would keep the workers waiting."""
FEWEST_TIMED = 5
"""So many trials say how long one takes."""


@dataclass(frozen=True, kw_only=True)
class AutoSearcher(LearningSettings):
    """Chooses the searcher by itself: `searcher="auto"`.

    A Gaussian process (`GPSearcher`) proposes the first 300 trials, after some that are spread over the space. Then
    CMA-ES goes on around the best of them, where most parameters are numbers and none depends on another, or else TPE.
    TPE proposes all where trials take milliseconds, or where there are more than 100 parameters. What was chosen, and
    why, is told at the start and whenever it changes.

    Args:
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's.
        mode: "min" or "max".
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        n_initial_points: So many configs are spread over the space first; None: as the first searcher needs them.
        n_earlier_points: So many of the best configs of earlier experiments are tried first.
        duplicates: "skip" or "replicate", see `LearningSettings`.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def bound_to(self, space: Space, num_samples: int, seed: int) -> Auto:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return Auto(self, space, None if num_samples < 0 else num_samples, seed)


@dataclass(frozen=True)
class Phase:
    """Who proposes the trials from number `first` on, and why."""

    first: int
    method: str
    reason: str


QUICK_PHASE = Phase(0, "tpe", "trials end more often than a Gaussian process can propose new ones")
NAMES = {"gp": "a Gaussian process", "tpe": "TPE", "cmaes": "CMA-ES"}


def planned(encoding: Encoding, total: int | None) -> tuple[Phase, ...]:
    """Return who proposes which trials, in order, as long as trials are not quick."""
    width = encoding.width
    if width > MOST_PARAMETERS:
        return (Phase(0, "tpe", f"{width} parameters are too many for a Gaussian process"),)
    number = "without end" if total is None else str(total)
    first = Phase(0, "gp", f"parameters: {width}, trials: {number}")
    if total is not None and total < LAST_OF_GP + FEWEST_AFTER_GP:
        return (first,)
    conditional = sum(parameter.is_conditional for parameter in encoding.parameters)
    choices = sum(bool(parameter.options) for parameter in encoding.parameters)
    if conditional or 2 * choices > width:
        what = f"{conditional} depend on others" if conditional else f"{choices} are choices"
        return (first, Phase(LAST_OF_GP, "tpe", f"of {width} parameters {what}"))
    return (first, Phase(LAST_OF_GP, "cmaes", "most parameters are numbers"))


class Auto(LearningSearcher):
    """The searcher that `AutoSearcher` describes, for one space."""

    def __init__(self, settings: AutoSearcher, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self.phases = planned(self.encoding, total)
        self._members = {
            phase.method: _member(phase, settings, space, total, self.seed) for phase in (*self.phases, QUICK_PHASE)
        }
        if settings.n_initial_points is None:
            self.initial_points = self._members[self.phases[0].method].initial_points
        told = [f"{NAMES[phase.method]} from trial {phase.first} ({phase.reason})" for phase in self.phases]
        self._told = [f"proposals come from {', then '.join(told)}"]
        self._timed = 0
        self._seconds = 0.0

    @property
    def warnings(self) -> Sequence[str]:
        """What was chosen, and why."""
        return self._told

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn from an event."""
        super().observe(event, experiment)
        if type(event) is TrialCompleted and self._timed < FEWEST_TIMED:
            self._timed += 1
            self._seconds += experiment.trials[event.trial].elapsed
            if self._timed == FEWEST_TIMED and self._seconds < QUICK * FEWEST_TIMED * max(1, len(experiment.live)):
                self._told.append(f"from here on they come from {NAMES[QUICK_PHASE.method]} ({QUICK_PHASE.reason})")

    def propose(self, history: History, number: int) -> Row:
        """Return what the searcher whose turn it is proposes."""
        return self._members[self.phase(history, number).method].propose(history, number)

    def phase(self, history: History, number: int) -> Phase:
        """Return whose turn it is with trial `number`."""
        if is_quick(history):
            return QUICK_PHASE
        return next(phase for phase in reversed(self.phases) if phase.first <= number)


def is_quick(history: History) -> bool:
    """Whether trials end so often that a Gaussian process would keep the workers waiting."""
    import numpy as np

    own = history.seconds[: len(history.seconds) - history.earlier]
    return len(own) >= FEWEST_TIMED and float(np.median(own)) < QUICK * max(1, history.workers)


def _member(phase: Phase, settings: AutoSearcher, space: Space, total: int | None, seed: int) -> LearningSearcher:
    duplicates = settings.duplicates
    match phase.method:
        case "gp":
            return GP(GPSearcher(duplicates=duplicates), space, total, seed)
        case "cmaes":
            return CMAES(CMAESSearcher(duplicates=duplicates), space, total, seed, first=phase.first)
    return TPE(TPESearcher(duplicates=duplicates), space, total, seed)

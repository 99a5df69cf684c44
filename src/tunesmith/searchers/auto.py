"""The searcher that chooses among the others, by the space, the number of trials, and what trials cost; and says why.

Which one proposes a trial is a function of the trial's number and of the history, as everything that a searcher does.
Each of them learns from all trials, whoever proposed them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.events import Event, TrialCompleted, TrialPaused, TrialStopped
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

ALONE = 50
"""So many trials a Gaussian process has to itself: it learns fastest."""
TURNS = ("gp", "cmaes", "gp", "tpe")
"""Then these take turns: what one of them takes for the best place the others leave again."""
FIRST_OF_LAST = 300
"""From here on a Gaussian process costs more than it finds."""
FEWEST_OF_LAST = 100
"""Somebody takes over there only for at least so many trials."""
FIRST_OF_CMAES = 10
"""CMA-ES begins around the best of so many, and follows whatever the others find then."""
MOST_PARAMETERS = 100
"""Of more parameters a Gaussian process learns too slowly."""
QUICK = 0.02
"""Where trials end more often than every so many seconds, a Gaussian process would keep the workers waiting."""
FEWEST_TIMED = 5
"""So many trials say how long one takes."""


@dataclass(frozen=True, kw_only=True)
class AutoSearcher(LearningSettings):
    """Chooses the searcher by itself: `searcher="auto"`.

    A Gaussian process (`GPSearcher`) proposes the first 50 trials, after a few that are spread over the space. Then it
    takes every second turn, CMA-ES and TPE the others. From trial 300 on CMA-ES goes on alone where most parameters
    are numbers and none depends on another, or else TPE. With several objectives the Gaussian process takes all turns.
    TPE proposes all where trials take milliseconds, or where there are more than 100 parameters. What was chosen, and
    why, is told at the start and when trials turn out to be so quick.

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
    """Who proposes the trials from number `first` on, one after the other in turns, and why."""

    first: int
    methods: tuple[str, ...]
    reason: str

    def __str__(self) -> str:
        names = [NAMES[method] for method in dict.fromkeys(self.methods)]
        who = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]} in turn"
        return f"{who} ({self.reason})" if self.first == 0 else f"from trial {self.first} on {who} ({self.reason})"


NAMES = {"gp": "a Gaussian process", "tpe": "TPE", "cmaes": "CMA-ES"}
CUT_SHORT = Phase(0, ("gp",), "which believes a predicted end as much as it is certain; trials are stopped early")
LAST_CUT_SHORT = 1000
"""After so many trials, most of which were short, a Gaussian process costs more than it finds."""
QUICK_PHASE = Phase(0, ("tpe",), "trials end more often than a Gaussian process can propose new ones")


def planned(encoding: Encoding, total: int | None) -> tuple[Phase, ...]:
    """Return who proposes which trials, in order, for one objective and as long as trials are not quick."""
    width = encoding.width
    if width > MOST_PARAMETERS:
        return (Phase(0, ("tpe",), f"{width} parameters are too many for a Gaussian process"),)
    phases = [
        Phase(0, ("gp",), "which learns from the fewest trials"),
        Phase(ALONE, TURNS, "so that none of them settles in the wrong place"),
    ]
    conditional = sum(parameter.is_conditional for parameter in encoding.parameters)
    choices = sum(bool(parameter.options) for parameter in encoding.parameters)
    if conditional or 2 * choices > width:
        what = f"{conditional} depend on others" if conditional else f"{choices} are choices"
        phases.append(Phase(FIRST_OF_LAST, ("tpe",), f"of {width} parameters {what}"))
    else:
        phases.append(Phase(FIRST_OF_LAST, ("cmaes",), "most parameters are numbers"))
    if total is not None and total < FIRST_OF_LAST + FEWEST_OF_LAST:
        del phases[2]
    return tuple(phases if total is None else (phase for phase in phases if phase.first < total))


class Auto(LearningSearcher):
    """The searcher that `AutoSearcher` describes, for one space."""

    def __init__(self, settings: AutoSearcher, space: Space, total: int | None, seed: int) -> None:
        super().__init__(settings, space, total, seed)
        self.phases = planned(self.encoding, total)
        methods = {method for phase in (*self.phases, QUICK_PHASE) for method in phase.methods}
        self._members = {method: _member(method, settings, space, total, self.seed) for method in methods}
        if settings.n_initial_points is None:
            self.initial_points = self._members[self.phases[0].methods[0]].initial_points
        self._told = [f"proposals come from {', '.join(map(str, self.phases))}"]
        self._timed = 0
        self._seconds = 0.0
        self._is_cut_short = "gp" not in self._members
        """Whether that trials are stopped early has been told, where it changes anything."""

    @property
    def notes(self) -> Sequence[str]:
        """What was chosen, and why."""
        return self._told

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn from an event."""
        super().observe(event, experiment)
        if type(event) is TrialStopped or (type(event) is TrialPaused and not event.interrupted):
            if not self._is_cut_short:
                self._is_cut_short = True
                self._told.append(f"from here on they come from {CUT_SHORT}")
        elif type(event) is TrialCompleted and self._timed < FEWEST_TIMED:
            self._timed += 1
            self._seconds += experiment.trials[event.trial].elapsed
            if self._timed == FEWEST_TIMED and self._seconds < QUICK * FEWEST_TIMED * max(1, len(experiment.live)):
                self._told.append(f"from here on they come from {QUICK_PHASE}")

    def propose(self, history: History, number: int) -> Row:
        """Return what the searcher whose turn it is proposes."""
        return self._members[self.method(history, number)].propose(history, number)

    def method(self, history: History, number: int) -> str:
        """Return whose turn it is with trial `number`."""
        if is_quick(history):
            return QUICK_PHASE.methods[0]
        phase = next(phase for phase in reversed(self.phases) if phase.first <= number)
        if "gp" in self._members and number < LAST_CUT_SHORT and is_cut_short(history):
            phase = CUT_SHORT
        if history.objectives.shape[1] > 1:
            return phase.methods[0]
        return phase.methods[number % len(phase.methods)]


def is_cut_short(history: History) -> bool:
    """Whether some trials were stopped before their end, so that their losses are predictions."""
    return bool(history.spread[: len(history.spread) - history.earlier].any())


def is_quick(history: History) -> bool:
    """Whether trials end so often that a Gaussian process would keep the workers waiting."""
    import numpy as np

    own = history.seconds[: len(history.seconds) - history.earlier]
    return len(own) >= FEWEST_TIMED and float(np.median(own)) < QUICK * max(1, history.workers)


def _member(method: str, settings: AutoSearcher, space: Space, total: int | None, seed: int) -> LearningSearcher:
    duplicates = settings.duplicates
    match method:
        case "gp":
            return GP(GPSearcher(duplicates=duplicates), space, total, seed)
        case "cmaes":
            return CMAES(CMAESSearcher(duplicates=duplicates), space, total, seed, first=FIRST_OF_CMAES)
    return TPE(TPESearcher(duplicates=duplicates), space, total, seed)

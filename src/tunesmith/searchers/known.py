"""What events said about each trial, as far as searchers learn from it. `observe` is the only way it changes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..core.events import (
    Config,
    EarlierTrials,
    Event,
    Reported,
    SpaceChanged,
    Suggested,
    TrialCompleted,
    TrialExploited,
    TrialFailed,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from ..core.objective import WORST, Objective
from ..space.encoding import Encoding
from ..space.placing import placed
from ..space.versions import own_part
from .fidelity import final_losses
from .history import History

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.experiment import Experiment

    FloatArray = NDArray[np.float64]

CLOSEST_LEVELS = 1.1
"""Levels at which trials are compared are so far apart at least: a rule that judges every result has not thousands."""
NOT_THE_CONFIGS_FAULT = frozenset({"lost", "checkpoint", "resources", "censored"})
"""Kinds of failures that say nothing about the config."""


class Known:
    """What is known of the trials of one experiment, whose configs lie in a space.

    Configs of an earlier version of the space count by what they have of it; what is not known of them is drawn.

    Args:
        encoding: Of the space.
        seed: What these draws are keyed by.
    """

    def __init__(self, encoding: Encoding, seed: int = 0) -> None:
        self._encoding = encoding
        self._seed = seed
        self._rows = _Rows(encoding.width)
        """By trial; nan throughout where its config, of another session, does not lie in the space."""
        self._outside: set[int] = set()
        """Trials that say nothing: outside the space, or gone on with another's weights."""
        self._left_out: frozenset[int] = frozenset()
        """Trials that lie outside since the space was changed for the last time."""
        self._losses: list[tuple[float, ...] | None] = []
        """By trial: the best loss of a single objective, the last losses of several."""
        self._seconds: list[float] = []
        """By trial: how long it had trained at its newest result."""
        self._open: dict[int, None] = {}
        """Trials of which no loss is known that could be compared."""
        self._complete: dict[int, None] = {}
        self._partial: dict[int, int] = {}
        """Trial that is not complete -> the highest level at which its loss is known."""
        self._failed: dict[int, None] = {}
        self._ends: _Rows | None = None
        """By trial, when it is complete: its seconds, then its losses."""
        self._rungs: dict[int, dict[int, float]] = {}
        self._stamp = 0
        self._workers = 0
        self._memo: History | None = None

    def observe(self, event: Event, experiment: Experiment, objectives: Sequence[Objective]) -> None:
        """Learn from an event that the experiment has just applied."""
        if type(event) is Reported:
            self._reported(event, objectives)
            return
        self._workers = max(self._workers, len(experiment.live))
        if type(event) is Suggested:
            # Not the event's configs: with replicates it names each only once.
            for trial in experiment.trials[len(self._losses) :]:
                self._add(trial.id, trial.config)
        elif type(event) is SpaceChanged:
            self._left_out = frozenset(event.outside)
            self._stamp += 1
        elif type(event) is EarlierTrials:
            self._stamp += 1  # They are not kept here, but something was learned.
        elif isinstance(event, TrialPaused | TrialStopped):
            if not (isinstance(event, TrialPaused) and event.interrupted):
                self._stood_still(event, experiment, objectives)
        elif isinstance(event, TrialCompleted | TrialFailed):
            self._over(event, experiment, objectives)
        elif type(event) is TrialRequeued:
            self._forget(event.trial)
            self._reopen(event.trial)
        elif type(event) is TrialExploited:
            self._forget(event.trial)
            self._outside.add(event.trial)

    def history(self, total: int | None) -> History:
        """Return all of it as arrays, for an experiment that is to have `total` trials."""
        from dataclasses import replace

        if self._memo is None or self._memo.stamp != self._stamp:
            self._memo = self._learned()
        proposed = self._rows.all()
        if self._outside or self._left_out:
            there = ~_isnan(proposed).all(axis=1)
            there[list(self._left_out)] = False
            proposed = proposed[there]
        pending = self._rows.of(self._inside(self._open))
        return replace(self._memo, pending=pending, proposed=proposed, total=total, workers=self._workers)

    def _learned(self) -> History:
        import numpy as np

        ends = self._ends
        complete = np.array(sorted(self._inside(self._complete)), dtype=int)
        ended = np.empty((0, 2)) if ends is None else ends.of(complete)
        trials, seconds, objectives, spread = complete, ended[:, 0], ended[:, 1:], np.zeros(len(complete))
        if unfinished := {trial: self._partial[trial] for trial in self._inside(self._partial)}:
            final = dict(zip(complete.tolist(), objectives[:, 0].tolist(), strict=True))
            predicted = final_losses(final, unfinished, self._rungs)
            partial = np.array(sorted(predicted), dtype=int)
            partly = [self._losses[trial] or (WORST,) for trial in partial]
            known = np.array(
                [(predicted[trial][0], *losses[1:]) for trial, losses in zip(partial, partly, strict=True)]
            )
            trials = np.concatenate([complete, partial])
            seconds = np.concatenate([seconds, [self._seconds[trial] for trial in partial]])
            objectives = np.concatenate([objectives, known]) if len(complete) else known
            spread = np.concatenate([spread, [predicted[trial][1] for trial in partial]])
        return History(
            encoding=self._encoding,
            points=self._rows.of(trials),
            losses=objectives[:, 0],
            objectives=objectives,
            spread=spread,
            trials=trials,
            seconds=seconds,
            pending=self._rows.of(()),
            failed=self._rows.of(self._inside(self._failed)),
            failed_trials=np.array(list(self._inside(self._failed)), dtype=int),
            proposed=self._rows.of(()),
            rungs={level: dict(losses) for level, losses in sorted(self._rungs.items())},
            stamp=self._stamp,
            total=None,
            workers=0,
        )

    # One rule per event.

    def _add(self, trial: int, config: Config) -> None:
        row = placed(self._encoding, own_part(self._encoding.space, config), seed=self._seed, number=trial)
        if row is None:
            row = (float("nan"),) * self._encoding.width
            self._outside.add(trial)  # It is of an earlier session, whose space had it.
        self._rows.put(trial, row)
        self._losses.append(None)
        self._seconds.append(0.0)
        self._reopen(trial)

    def _reported(self, event: Reported, objectives: Sequence[Objective]) -> None:
        trial = event.trial
        if trial in self._outside:
            return
        self._seconds[trial] = event.elapsed
        losses = tuple([objective.loss(event) for objective in objectives])
        before = self._losses[trial]
        if before is None or len(losses) > 1 or (losses and losses[0] < before[0]):
            self._losses[trial] = losses
        if losses and (event.waits or event.number in self._rungs):
            self._note(trial, event.number, losses[0])

    def _stood_still(
        self, event: TrialPaused | TrialStopped, experiment: Experiment, objectives: Sequence[Objective]
    ) -> None:
        trial, last = event.trial, experiment.trials[event.trial].last
        if trial in self._outside:
            return
        if last is not None and objectives:
            self._note(trial, last.number, objectives[0].loss(last))
        if type(event) is TrialStopped and self._open.pop(trial, 0) is None and self._losses[trial] is not None:
            self._failed[trial] = None  # All that it ever reported was nan.
            self._stamp += 1

    def _over(
        self, event: TrialCompleted | TrialFailed, experiment: Experiment, objectives: Sequence[Objective]
    ) -> None:
        trial = event.trial
        if trial in self._outside:
            return
        self._forget(trial)
        losses, ended = self._losses[trial], experiment.trials[trial]
        if type(event) is TrialFailed:
            if event.failure.kind not in NOT_THE_CONFIGS_FAULT:
                self._failed[trial] = None
        elif losses and max(losses) < WORST:
            if self._rungs and ended.last is not None:
                self._note(trial, ended.last.number, objectives[0].loss(ended.last))
            if self._ends is None:
                self._ends = _Rows(1 + len(losses))
            self._ends.put(trial, (ended.elapsed, *losses))
            self._complete[trial] = None
        else:
            self._failed[trial] = None

    # What the rules share.

    def _inside(self, trials: Collection[int]) -> Collection[int]:
        """Return those of some trials that the space still has."""
        return [trial for trial in trials if trial not in self._left_out] if self._left_out else trials

    def _note(self, trial: int, level: int, loss: float) -> None:
        """Keep a loss at a level, if levels are compared there."""
        if level not in self._rungs:
            if any(1 / CLOSEST_LEVELS < level / known < CLOSEST_LEVELS for known in self._rungs):
                return
            self._rungs[level] = {}
        # The first one stands: what is redone after a restart says nothing new.
        self._rungs[level].setdefault(trial, loss)
        is_going_on = trial in self._open or trial in self._partial
        if is_going_on and loss < WORST and level > self._partial.get(trial, 0):
            self._open.pop(trial, None)
            self._partial[trial] = level
        self._stamp += 1

    def _forget(self, trial: int) -> None:
        self._stamp += 1
        for group in (self._open, self._complete, self._partial, self._failed):
            group.pop(trial, None)

    def _reopen(self, trial: int) -> None:
        if trial in self._outside:
            return
        level = max((level for level, losses in self._rungs.items() if losses.get(trial, WORST) < WORST), default=0)
        if level:
            self._partial[trial] = level
        else:
            self._open[trial] = None


class _Rows:
    """Rows of floats by trial, in one array that grows. What it has given away does not change."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._count = 0
        self._array: FloatArray | None = None

    def put(self, trial: int, row: Sequence[float]) -> None:
        """Set the row of a trial."""
        import numpy as np

        if self._array is None or trial >= len(self._array):
            array = np.full((max(64, 2 * trial), self._width), np.nan)
            if self._array is not None:
                array[: len(self._array)] = self._array
            self._array = array
        self._array[trial] = row
        self._count = max(self._count, trial + 1)

    def of(self, trials: Iterable[int]) -> FloatArray:
        """Return a copy of some trials' rows."""
        import numpy as np

        indices = trials if isinstance(trials, np.ndarray) else np.fromiter(trials, dtype=int)
        if self._array is None:
            return np.empty((0, self._width))
        return np.asarray(self._array[indices])

    def all(self) -> FloatArray:
        """Return the rows of all trials, which are never set twice."""
        import numpy as np

        return np.empty((0, self._width)) if self._array is None else self._array[: self._count]


def _isnan(rows: FloatArray) -> Any:
    import numpy as np

    return np.isnan(rows)

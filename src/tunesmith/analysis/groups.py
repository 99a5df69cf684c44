"""Configs that were tried several times, as their user reads them: one row each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.objective import Objective
from ..core.replicates import Standing, mean_interval, standings, without_key
from ..core.trial import Status
from ..store.summary import TrialRow
from ..text import described, shown
from .trial_result import TrialResult


@dataclass(frozen=True, slots=True)
class Group:
    """One config with its replicates.

    A replicate counts when its trial has completed, by itself or by a stop rule, with the best value that it ever had.
    """

    config: dict[str, Any]
    """What was tried, without `replicate`."""
    replicates: int
    """How many count."""
    mean: float | None
    """Of their values; None while none counts."""
    interval: tuple[float, float] | None
    """In which the true mean lies with 95 % confidence, if the values are normal (Student's t); None below two."""
    values: tuple[float, ...]
    """Those that count, by replicate."""
    trials: tuple[TrialResult, ...]
    """All of its trials, by replicate, also those that were stopped or failed."""
    representative: TrialResult | None
    """The trial whose value is nearest to the mean, the earliest of equals; None while none counts."""

    def __repr__(self) -> str:
        mean = "no replicate counts yet" if self.mean is None else f"mean {shown(self.mean)}"
        around = "" if self.interval is None else f" ({shown(self.interval[0])} to {shown(self.interval[1])})"
        return f"<{described(self.config)}: {mean}{around}; {self.replicates} of {len(self.trials)} replicates>"


def ranked_standings(rows: Sequence[TrialRow], replicates: int) -> list[Standing]:
    """Return what each config is worth, best first: more replicates first, then the better mean, then the earlier."""
    pairs = ((row.config, row.loss if row.status is Status.COMPLETED else None) for row in rows)
    return sorted(standings(pairs, replicates), key=lambda each: each.rank)


def groups(trials: Sequence[TrialResult], replicates: int, objective: Objective) -> list[Group]:
    """Return the groups of all trials, in the order of `ranked_standings`."""
    ranked = ranked_standings([trial._row for trial in trials], replicates)
    return [_group(standing, [trials[number] for number in standing.all_trials], objective) for standing in ranked]


def _group(standing: Standing, trials: Sequence[TrialResult], objective: Objective) -> Group:
    values = tuple(objective.value_of(loss) for loss in standing.losses)
    by_number = {trial.id: trial for trial in trials}
    representative = standing.representative
    return Group(
        config=without_key(trials[0].config),
        replicates=len(values),
        mean=objective.value_of(standing.mean) if values else None,
        interval=mean_interval(values),
        values=values,
        trials=tuple(trials),
        representative=None if representative is None else by_number[representative],
    )

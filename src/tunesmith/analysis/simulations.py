"""What a simulation found, as numbers: its trials, what it cost, and how its best value came about."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.objective import WORST, Objective
from ..errors import ConfigError, TuneError
from ..text import described, duration, flat, shown

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial

SHOWN_TRIALS = 10


@dataclass(frozen=True, slots=True)
class SimulatedTrial:
    """What became of one trial of a simulation."""

    id: int
    config: dict[str, Any]
    status: str
    """As of every trial, or "censored": it wanted to go on where its recorded curve was cut short."""
    reason: str
    """Why it ended, in words."""
    iterations: int
    """How far it came: `training_iteration` of its last result."""
    seconds: float
    """How long it had trained up to there."""
    value: float | None
    """The best value that it ever had; None without a metric."""
    metrics: dict[str, Any]
    """Its best result; without a metric its last one."""
    recorded: int | None = None
    """With a table or an experiment: the number of the trial there."""
    history: list[dict[str, Any]] | None = field(default=None, repr=False)
    """With `history=True`: its results in the order in which they came, with `training_iteration` and `at`."""


class Improvement(NamedTuple):
    """A new best value, and what it had cost by then."""

    seconds: float
    compute_seconds: float
    value: float


@dataclass(frozen=True, kw_only=True, repr=False)
class Simulation:
    """What a simulated experiment found and what it cost. Times are virtual seconds."""

    trials: Sequence[SimulatedTrial]
    objective: Objective | None
    seconds: float
    """When it was over: the wall clock of the workers."""
    compute_seconds: float
    """For how long workers were busy, all of them together."""
    results: int
    """How many results were reported, redone ones included."""
    incumbent: Sequence[Improvement]
    """Each new best value as (seconds, compute_seconds, value)."""
    finished: str
    """How it ended: completed, stopped, time_budget, failed or stuck."""
    message: str = ""
    """More about how it ended."""
    scheduler: str = ""
    workers: int = 1
    said: Sequence[str] = ()
    """What the searcher and the scheduler had to say."""
    warnings: Sequence[str] = ()
    """All that a person should know of it: that too, and what the curves could not answer."""

    @property
    def iterations(self) -> int:
        """How many steps the trials have come, all together; what was redone counts once."""
        return sum(trial.iterations for trial in self.trials)

    @property
    def censored(self) -> int:
        """How many trials wanted to go on where their recorded curve was cut short. They ended there.

        While it is 0 the simulation is exact. Otherwise nobody knows what those trials would have found, and what came
        after the first of them may have gone otherwise.
        """
        return self._count("censored")

    @property
    def stopped_early(self) -> int:
        """How many trials were stopped early."""
        return self._count("stopped")

    def _count(self, status: str) -> int:
        return sum(trial.status == status for trial in self.trials)

    @property
    def best(self) -> SimulatedTrial:
        """The trial with the best value ever; the earliest of equals.

        Raises:
            TuneError: There is no metric, or no result has it.
        """
        if self.objective is None:
            raise ConfigError("the simulation has no metric to rank by. Give simulate(metric=..., mode=...).")
        sign = -1.0 if self.objective.mode == "max" else 1.0
        ranked = [(sign * trial.value, trial.id) for trial in self.trials if trial.value is not None]
        if not ranked:
            raise TuneError(f"no result of the simulation has a usable {self.objective.metric!r}.")
        return self.trials[min(ranked)[1]]

    @property
    def best_config(self) -> dict[str, Any]:
        """The best trial's config."""
        return self.best.config

    @property
    def best_value(self) -> float:
        """The best value ever."""
        value = self.best.value
        assert value is not None
        return value

    def time_to(self, target: float, *, compute: bool = False) -> float | None:
        """Return after how many seconds the best value was at least as good as `target`; None: never.

        Args:
            target: A value of the metric.
            compute: Return how many seconds workers had been busy by then instead.
        """
        for improvement in self.incumbent:
            assert self.objective is not None
            is_enough = improvement.value >= target if self.objective.mode == "max" else improvement.value <= target
            if is_enough:
                return improvement.compute_seconds if compute else improvement.seconds
        return None

    def dataframe(self) -> Any:
        """Return a pandas DataFrame, one row per trial: its config as `config/<path>`, its best as `best/<metric>`."""
        from .frames import frame

        return frame(
            {
                "trial_id": trial.id,
                "status": trial.status,
                "iterations": trial.iterations,
                "seconds": trial.seconds,
                "reason": trial.reason,
                "recorded": trial.recorded,
                **{f"config/{path}": value for path, value in flat(trial.config).items()},
                **{f"best/{name}": value for name, value in trial.metrics.items()},
            }
            for trial in self.trials
        )

    def _lines(self) -> list[str]:
        counts: dict[str, int] = {}
        for trial in self.trials:
            counts[trial.status] = counts.get(trial.status, 0) + 1
        lines = [
            f"{len(self.trials)} trials ({', '.join(f'{n} {status}' for status, n in counts.items())})",
            f"{self.iterations:,} iterations",
            f"{duration(self.seconds)} on {self.workers} worker{'s' * (self.workers != 1)}",
            f"{duration(self.compute_seconds)} of compute",
        ]
        if self.incumbent and self.objective is not None:
            best = self.best
            lines.append(f"best {self.objective.metric}={shown(best.value)} by trial {best.id}")
        return lines

    def __repr__(self) -> str:
        return f"<Simulation of {self.scheduler}: {'; '.join(self._lines())}>"

    def _repr_html_(self) -> str:
        name = self.objective.metric if self.objective is not None else "value"
        head = "".join(f"<th>{html.escape(word)}</th>" for word in ("trial", "status", name, "iterations", "config"))
        sign = -1.0 if self.objective is not None and self.objective.mode == "max" else 1.0
        ranked = sorted(self.trials, key=lambda trial: WORST if trial.value is None else sign * trial.value)
        rows = [
            f"<tr><td>{trial.id}</td><td>{trial.status}</td><td>{shown(trial.value)}</td><td>{trial.iterations}</td>"
            f"<td style='text-align:left'>{html.escape(described(trial.config))}</td></tr>"
            for trial in ranked[:SHOWN_TRIALS]
        ]
        hidden = len(self.trials) - len(rows)
        more = f"<div>... and {hidden} more</div>" if hidden > 0 else ""
        notes = "".join(f"<div>{html.escape(warning)}</div>" for warning in self.warnings)
        return f"<div>{html.escape(repr(self))}</div><table><tr>{head}</tr>{''.join(rows)}</table>{more}{notes}"


def simulated_trial(
    trial: Trial,
    objective: Objective | None,
    *,
    recorded: int | None = None,
    history: list[dict[str, Any]] | None = None,
) -> SimulatedTrial:
    """Return what became of a trial that a simulation's core has run."""
    failure, status, reason = trial.failure, trial.status.value, trial.reason
    if failure is not None and failure.kind == "censored" and status == "failed":
        status, reason = "censored", failure.message
    chosen = trial.best if objective is not None else trial.last
    value = None
    if objective is not None and trial.best is not None:
        value = objective.value_of(trial.best_loss)
    return SimulatedTrial(
        id=trial.id,
        config=trial.config,
        status=status,
        reason=reason,
        iterations=trial.number,
        seconds=trial.elapsed,
        value=value,
        metrics={} if chosen is None else dict(chosen.metrics),
        recorded=recorded,
        history=history,
    )


def all_trials(
    experiment: Experiment, recorded: Sequence[int] | None, histories: dict[int, list[dict[str, Any]]] | None
) -> list[SimulatedTrial]:
    """Return what became of every trial."""
    return [
        simulated_trial(
            trial,
            experiment.objective,
            recorded=None if recorded is None else recorded[trial.id],
            history=None if histories is None else histories.get(trial.id, []),
        )
        for trial in experiment.trials
    ]

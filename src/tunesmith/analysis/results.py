"""What an experiment found, read from its journal: from any process, while it runs or after.

Every access takes a fresh look; the table of trials that the journal keeps makes that cheap at any size.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from ..core.events import Config, ExperimentFinished
from ..core.experiment import Experiment
from ..core.objective import Objective
from ..core.trial import Status
from ..errors import ConfigError, TuneError
from ..store.reader import ExperimentInfo, JournalReader, fold
from ..store.summary import TrialRow, trial_row
from ..text import described, shown
from .trial_result import TrialResult

SHOWN_TRIALS = 10


def labelled(config: Any, labels: Mapping[str, str]) -> Any:
    """Return a journaled config with text for people in place of each `{"$object": id}`."""
    match config:
        case {"$object": identifier, **rest} if not rest:
            return labels.get(identifier, identifier)
        case dict():
            return {key: labelled(value, labels) for key, value in config.items()}
        case list():
            return [labelled(value, labels) for value in config]
    return config


class Results(Sequence[TrialResult]):
    """The trials of an experiment, by number.

    Args:
        folder: The experiment's folder.
        resolve: Turns a journaled config into the one the trial was given; the default shows objects as text.

    Raises:
        ExperimentNotFound: There is no experiment in the folder.
        JournalDamaged: Its journal cannot be trusted; the message says how to go on.
    """

    def __init__(self, folder: Path | str, *, resolve: Callable[[Config], Config] | None = None) -> None:
        self.folder = Path(folder).absolute()
        info = self._info()
        labels = info.session.objects if info.session is not None else {}
        self._resolve = resolve or (lambda config: labelled(config, labels))
        created = info.created
        self.name = created.name if created is not None else self.folder.name

    # Trials.

    def __len__(self) -> int:
        return sum(self.counts.values())

    def __iter__(self) -> Iterator[TrialResult]:
        return iter(self._trials())

    @overload
    def __getitem__(self, index: int) -> TrialResult: ...
    @overload
    def __getitem__(self, index: slice) -> list[TrialResult]: ...
    def __getitem__(self, index: int | slice) -> TrialResult | list[TrialResult]:
        if isinstance(index, slice):
            return self._trials()[index]
        number = index + len(self) if index < 0 else index
        with self._reader() as reader:
            row = reader.trial_row(number) if number >= 0 else None
        if row is None:
            raise IndexError(f"{self.name} has no trial {index}; it has {len(self)}.")
        return self._trial(row)

    @property
    def counts(self) -> dict[Status, int]:
        """How many trials there are of each status."""
        with self._reader() as reader:
            return reader.counts()

    def top(self, count: int = SHOWN_TRIALS, status: Status | None = None) -> list[TrialResult]:
        """Return the best trials (of one status, if given), best first; those without the metric come last."""
        with self._reader() as reader:
            return [self._trial(row) for row in reader.trial_rows(order_by="loss", limit=count, status=status)]

    @property
    def errors(self) -> list[TrialResult]:
        """The trials that failed; `error` of each says why."""
        return self._trials(Status.FAILED)

    @property
    def stopped(self) -> list[TrialResult]:
        """The trials that were ended early; `reason` of each says why."""
        return self._trials(Status.STOPPED)

    # The best one.

    @property
    def best(self) -> TrialResult:
        """The trial with the best result that any trial ever had; the earliest of equals.

        Raises:
            TuneError: No result has the metric, or the experiment has none; the message says what was reported.
        """
        return self.get_best_trial()

    def get_best_trial(self, metric: str | None = None, mode: str | None = None) -> TrialResult:
        """Return the trial with the best result ever; by another metric or mode than the experiment's, if given.

        Raises:
            TuneError: As `best`.
        """
        own = Objective(self.metric, self.mode) if self.metric is not None else None
        if metric is None and own is None:
            raise ConfigError(
                f"{self.name} was run without a metric. Name one: get_best_trial('accuracy', 'max'). "
                f"Reported: {', '.join(self._reported()) or 'nothing yet'}."
            )
        if metric is not None and mode is None and (own is None or metric != own.metric):
            raise ConfigError(f"metric={metric!r}: is lower or higher better? Add mode='min' or mode='max'.")
        wanted = Objective(metric or self.metric or "", mode or self.mode)
        row = self._best_row(wanted, is_own=wanted == own)
        if row is None:
            raise TuneError(
                f"no result of {self.name} has a usable {wanted.metric!r}. "
                f"Reported: {', '.join(self._reported()) or 'nothing yet'}."
            )
        return self._trial(row)

    def _best_row(self, objective: Objective, *, is_own: bool) -> TrialRow | None:
        if is_own:
            with self._reader() as reader:
                return reader.best()
        # The journal's table ranks by the experiment's own metric; for another one all results are read.
        experiment = Experiment(objective)
        fold(self.folder, experiment)
        return None if experiment.best is None else trial_row(experiment.best)

    def _reported(self) -> list[str]:
        with self._reader() as reader:
            rows = reader.trial_rows(limit=100)
        return sorted({name for row in rows if row.last is not None for name in row.last.metrics})

    # The experiment.

    @property
    def metric(self) -> str | None:
        """What the newest session optimises; None when it has no objective."""
        session = self._info().session
        return None if session is None else session.metric

    @property
    def mode(self) -> str:
        """Whether lower ("min") or higher ("max") is better."""
        session = self._info().session
        return "max" if session is None else session.mode

    @property
    def finished(self) -> ExperimentFinished | None:
        """How the newest session ended; None while it runs, or when its controller died."""
        return self._info().finished

    # Tables.

    def dataframe(self, *, history: bool = False) -> Any:
        """Return a pandas DataFrame with one row per trial, or with `history` one per result.

        Per trial: `trial_id`, `status` and so on, its config as `config/<path>`, its best result ever as
        `best/<metric>`, its last one as `last/<metric>`. Per result: all of its fields, and the config.
        """
        from .frames import frame, history_table, trial_table

        return frame(history_table(self) if history else trial_table(self))

    def lineage(self) -> list[dict[str, Any]]:
        """Return who became a clone of whom, in order: what population-based training has done.

        Each row has `at` (seconds of experiment time), `trial`, `source` (the trial itself where only its config was
        changed), `iteration` and `checkpoint` that it goes on from, `old_config`, `new_config` and `reason`.
        """
        from .lineage import lineage_table

        return lineage_table(self)

    def ancestry(self, trial: int) -> list[dict[str, Any]]:
        """Return how a trial came to where it is: rows of `iteration`, `trial` and `config`, from iteration 0 on.

        A clone's line of work leads back through those that it was cloned from. `PopulationBasedTrainingReplay` trains
        by this schedule.
        """
        from .lineage import ancestry_table

        return ancestry_table(self, trial)

    # The same in Ray Tune's words.

    def get_best_result(self, metric: str | None = None, mode: str | None = None) -> TrialResult:
        """See `get_best_trial`."""
        return self.get_best_trial(metric, mode)

    def get_dataframe(self, filter_metric: str | None = None, filter_mode: str | None = None) -> Any:
        """Return a DataFrame with each trial's last result, or the best one by `filter_metric`, and its config."""
        from .frames import frame, result_table

        objective = None
        if filter_metric is not None:
            objective = Objective(filter_metric, filter_mode or self.mode)
        return frame(result_table(self, objective))

    @property
    def num_errors(self) -> int:
        """How many trials failed."""
        return self.counts[Status.FAILED]

    @property
    def num_terminated(self) -> int:
        """How many trials ran to their end or were stopped."""
        counts = self.counts
        return counts[Status.COMPLETED] + counts[Status.STOPPED]

    @property
    def best_trial(self) -> TrialResult:
        """See `best`."""
        return self.best

    @property
    def best_config(self) -> dict[str, Any]:
        """The best trial's config."""
        return self.best.config

    @property
    def best_result(self) -> dict[str, Any]:
        """The best trial's best result."""
        return self.best.metrics

    @property
    def best_checkpoint(self) -> Any:
        """The best trial's best checkpoint; None when it has none."""
        return self.best.checkpoint

    # For people.

    def __repr__(self) -> str:
        counts = ", ".join(f"{number} {status}" for status, number in self.counts.items() if number)
        best = self._best_line()
        return f"<Results of {self.name}: {counts or 'no trials'}{'; best: ' + best if best else ''}; in {self.folder}>"

    def _repr_html_(self) -> str:
        metric = self.metric
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("trial", "status", metric or "results", "config"))
        rows = [
            f"<tr><td>{trial.id}</td><td>{trial.status}</td><td>{html.escape(value_of(trial, metric))}</td>"
            f"<td style='text-align:left'>{html.escape(described(trial.config))}</td></tr>"
            for trial in self.top()
        ]
        hidden = len(self) - len(rows)
        more = f"<div>... and {hidden} more</div>" if hidden > 0 else ""
        return f"<div>{html.escape(repr(self))}</div><table><tr>{head}</tr>{''.join(rows)}</table>{more}"

    def _best_line(self) -> str:
        top = self.top(1)
        if self.metric is None or not top or top[0]._row.best is None:
            return ""
        return f"trial {top[0].id}, {self.metric}={value_of(top[0], self.metric)} with {described(top[0].config)}"

    # What these share.

    def _reader(self) -> JournalReader:
        # A reader that stays open would keep the journal's log from being folded into its file.
        return JournalReader(self.folder)

    def _info(self) -> ExperimentInfo:
        with self._reader() as reader:
            return reader.experiment_info()

    def _trials(self, status: Status | None = None) -> list[TrialResult]:
        with self._reader() as reader:
            return [self._trial(row) for row in reader.trial_rows(status=status)]

    def _trial(self, row: TrialRow) -> TrialResult:
        return TrialResult(self.folder, self.name, row, self._resolve)


def value_of(trial: TrialResult, metric: str | None) -> str:
    """Return a trial's best value for a line, or without a metric how many results it has."""
    if metric is None:
        return str(trial._row.results)
    best = trial._row.best
    return "-" if best is None else shown(best.value(metric))

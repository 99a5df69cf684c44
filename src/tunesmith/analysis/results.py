"""What an experiment found, read from its journal: from any process, while it runs or after.

Every access takes a fresh look; the table of trials that the journal keeps makes that cheap at any size.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

from msgspec.structs import replace

from ..core.dominance import hypervolume, non_dominated
from ..core.events import Config, ExperimentFinished
from ..core.experiment import Experiment
from ..core.objective import WORST, Objective
from ..core.trial import Status
from ..errors import ConfigError, TuneError
from ..store.reader import ExperimentInfo, JournalReader, fold
from ..store.summary import TrialRow, trial_row
from ..text import described, shown
from .groups import Group, groups
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

        With replicates that would be the luckiest run; then it is the representative of `best_group`: its trial whose
        value is nearest to the group's mean.

        Raises:
            TuneError: No result has the metric, or the experiment has none; the message says what was reported.
            ConfigError: There are several objectives: see `pareto_front`.
        """
        return self.get_best_trial()

    def get_best_trial(self, metric: str | None = None, mode: str | None = None) -> TrialResult:
        """Return the trial with the best result ever; by another metric or mode than the experiment's, if given.

        Raises:
            TuneError, ConfigError: As `best`.
        """
        objectives = self.objectives
        if metric is None and len(objectives) > 1:
            first = objectives[0]
            names = ", ".join(each.metric for each in objectives)
            raise ConfigError(
                f"{self.name} has {len(objectives)} objectives ({names}), so no trial is the best one. "
                "See results.pareto_front(), or name one: "
                f"get_best_trial({first.metric!r}, {first.mode!r})."
            )
        own = objectives[0] if objectives else None
        if own is not None and (metric, mode) in ((None, None), (own.metric, None), (own.metric, own.mode)):
            if len(objectives) == 1 and self.replicates > 1:
                representative = self.best_group.representative
                assert representative is not None, "the best group has a replicate that counts"
                return representative
        elif metric is not None and mode is None:
            mode = next((each.mode for each in objectives if each.metric == metric), None)
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

    # Several objectives.

    @property
    def objectives(self) -> tuple[Objective, ...]:
        """What the newest session optimises, each with its `metric` and `mode`."""
        session = self._info().session
        if session is None or session.metric is None:
            return ()
        return tuple(Objective(*pair) for pair in ((session.metric, session.mode), *session.more_objectives))

    def pareto_front(
        self, metric: Sequence[str] | None = None, mode: Sequence[str] | str | None = None
    ) -> list[TrialResult]:
        """Return the trials that no other trial dominates, by the newest result of each; best first objective first.

        The newest result is what a trial came to, so its `metrics` are that result here, and its `checkpoint` is the
        newest one. One trial dominates another when it is no worse in any objective and better in one; equal trials are
        all on the front. A trial whose newest result has no finite number for each objective is not.

        Args:
            metric: Other objectives than the experiment's, with `mode`.
            mode: One for each of them, or one for all.

        Raises:
            ConfigError: There is no objective, or half of one.
        """
        return [replaced for _, replaced in self._front(self._objectives(metric, mode))]

    def hypervolume(self, reference: Sequence[float] | Mapping[str, float]) -> float:
        """Return the volume between the front and a point that is worse than what is wanted: larger is better.

        Args:
            reference: A value for each objective, in their order or by name. What is not better than it in every
                objective counts nothing.

        Raises:
            ConfigError: There is no objective, or not one value for each.
        """
        objectives = self._objectives(None, None)
        names = [each.metric for each in objectives]
        if isinstance(reference, Mapping) and set(reference) != set(names):
            raise ConfigError(f"reference={dict(reference)!r}: give a value for each of {', '.join(names)}.")
        values = [reference[name] for name in names] if isinstance(reference, Mapping) else list(reference)
        if len(values) != len(names) or not all(isinstance(value, int | float) for value in values):
            raise ConfigError(f"reference={reference!r}: give {len(names)} numbers, for {', '.join(names)}.")
        corner = [-value if each.mode == "max" else value for each, value in zip(objectives, values, strict=True)]
        return hypervolume([losses for losses, _ in self._front(objectives)], corner)

    def _front(self, objectives: tuple[Objective, ...]) -> list[tuple[tuple[float, ...], TrialResult]]:
        """Return (losses, trial) for each trial on the front."""
        with self._reader() as reader:
            rows = reader.trial_rows()
        points = []
        for row in rows:
            if row.last is not None:
                losses = tuple(objective.loss(row.last) for objective in objectives)
                if max(losses) < WORST:
                    points.append((losses, row))
        front = [points[index] for index in non_dominated([losses for losses, _ in points])]
        front.sort(key=lambda pair: (pair[0], pair[1].id))
        return [(losses, self._trial(replace(row, best=row.last, best_checkpoint=None))) for losses, row in front]

    def _objectives(self, metric: Sequence[str] | None, mode: Sequence[str] | str | None) -> tuple[Objective, ...]:
        if metric is None:
            objectives = self.objectives
            if not objectives:
                raise ConfigError(
                    f"{self.name} was run without a metric. Name some: pareto_front(['error', 'latency'], 'min'). "
                    f"Reported: {', '.join(self._reported()) or 'nothing yet'}."
                )
            return objectives
        names = [metric] if isinstance(metric, str) else list(metric)
        modes = [mode] * len(names) if mode is None or isinstance(mode, str) else list(mode)
        if None in modes or len(modes) != len(names) or not names:
            raise ConfigError(f"metric={metric!r}, mode={mode!r}: give one mode for each metric, or one for all.")
        return tuple(Objective(name, str(each)) for name, each in zip(names, modes, strict=True))

    # Replicates.

    @property
    def replicates(self) -> int:
        """How many trials each config has: `run(replicates=...)`."""
        session = self._info().session
        return 1 if session is None else session.replicates

    def groups(self) -> list[Group]:
        """Return one row per config with the mean over its replicates, best first.

        Configs with more replicates that count come first (one that was stopped early may only have been lucky); of
        those with as many the better mean, then the earlier one.

        Raises:
            ConfigError: The experiment has no metric.
        """
        objectives = self.objectives
        if not objectives:
            raise ConfigError(f"{self.name} was run without a metric, so there is nothing to take a mean of.")
        return groups(self._trials(), self.replicates, objectives[0])

    @property
    def best_group(self) -> Group:
        """The config with the best mean, of those with the most replicates that count.

        Raises:
            TuneError: No replicate counts yet.
            ConfigError: The experiment has no metric.
        """
        best = next(iter(self.groups()), None)
        if best is None or not best.replicates:
            raise TuneError(
                f"no trial of {self.name} has completed with a usable {self.metric!r}, so no config has a mean yet."
            )
        return best

    # The experiment.

    @property
    def metric(self) -> str | None:
        """What the newest session optimises, the first of several; None when it has no objective."""
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
        if self.metric is not None and self.replicates > 1:
            best = next(iter(self.groups()), None)
            return "" if best is None or not best.replicates else repr(best).strip("<>")
        line = self._best_trial_line()
        objectives = self.objectives
        if not line or len(objectives) < 2:
            return line
        size = len(self._front(objectives))
        others = ", ".join(each.metric for each in objectives)
        return f"{line} (best {self.metric}; {size} trial{'s' * (size != 1)} on the front of {others})"

    def _best_value(self) -> str:
        """Return what is best in a few letters, for a cell of a table."""
        if self.metric is not None and self.replicates > 1:
            group = next(iter(self.groups()), None)
            return "" if group is None or group.mean is None else f"mean {self.metric}={shown(group.mean)}"
        top = self.top(1)
        return f"{self.metric}={value_of(top[0], self.metric)}" if self.metric and top else ""

    def _best_trial_line(self) -> str:
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

"""Results as tables: rows of named values first, then pandas frames of them. pandas is imported only when asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..core.events import Reported
from ..core.experiment import Experiment
from ..core.objective import Objective
from ..core.results import result_dict
from ..errors import require
from ..store.reader import JournalReader, fold
from ..store.results import history
from ..text import flat
from .trial_result import TrialResult

if TYPE_CHECKING:
    from .results import Results

Row = dict[str, Any]


def trial_table(results: Results) -> Iterator[Row]:
    """Yield one row per trial: where it stands, `config/...`, `best/...`, `last/...`."""
    for trial in results:
        yield {
            "trial_id": trial.id,
            "status": trial.status.value,
            "results": trial._row.results,
            "attempts": trial.attempts,
            "time_total_s": trial.elapsed,
            "reason": trial.reason,
            "error": trial.error.message if trial.error is not None else None,
            **_config(trial),
            **_prefixed("best/", trial._row.best),
            **_prefixed("last/", trial._row.last),
        }


def history_table(results: Results) -> Iterator[Row]:
    """Yield one row per result that counts: all of its fields, and `config/...`."""
    with JournalReader(results.folder) as reader:
        opened = reader.sessions()
        for trial in results:
            config = _config(trial)
            for row in history(reader, trial.id, opened, experiment=results.name, done=trial.status.is_final):
                yield {**row, **config}


def result_table(results: Results, objective: Objective | None) -> Iterator[Row]:
    """Yield one row per trial: its last result, or with an objective its best one, and `config/...`."""
    best: dict[int, Reported | None] = {}
    if objective is not None:
        experiment = Experiment(objective)
        fold(results.folder, experiment)
        best = {trial.id: trial.best for trial in experiment.trials}
    for trial in results:
        result = trial._row.last if objective is None else best.get(trial.id)
        fields = {} if result is None else {**result_dict(result), "done": trial.status.is_final}
        yield {"trial_id": trial.id, **fields, **_config(trial), "logdir": trial.path}


def columns(rows: Iterable[Row]) -> list[str]:
    """Return the names of all values in `rows`, each group where it first came up."""
    found: dict[str, None] = {}
    for row in rows:
        found.update(dict.fromkeys(row))
    return list(found)


def frame(rows: Iterable[Row]) -> Any:
    """Return rows as a pandas DataFrame."""
    return require("pandas", feature="a data frame", extra="pandas").DataFrame(list(rows))


def _config(trial: TrialResult) -> Row:
    return {f"config/{path}": value for path, value in flat(trial.config).items()}


def _prefixed(prefix: str, result: Reported | None) -> Row:
    if result is None:
        return {}
    counted = {"training_iteration": result.number, "time_total_s": result.elapsed}
    return {prefix + name: value for name, value in {**result.metrics, **counted}.items()}

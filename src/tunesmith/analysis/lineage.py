"""The lineage of an experiment as a table: who became a clone of whom, when, and with which config."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.lineage import ancestry, clones
from ..errors import ConfigError
from ..store.reader import JournalReader

if TYPE_CHECKING:
    from .results import Results


def lineage_table(results: Results) -> list[dict[str, Any]]:
    """Return one row per clone, in their order; see `Results.lineage`."""
    with JournalReader(results.folder) as reader:
        found = clones(event for _, event in reader.events())
    return [
        {
            "at": clone.at,
            "trial": clone.trial,
            "source": clone.source,
            "iteration": clone.iteration,
            "checkpoint": clone.checkpoint,
            "old_config": results._resolve(clone.old_config),
            "new_config": results._resolve(clone.new_config),
            "reason": clone.reason,
        }
        for clone in found
    ]


def ancestry_table(results: Results, trial: int) -> list[dict[str, Any]]:
    """Return one row per step of a trial's schedule; see `Results.ancestry`.

    Raises:
        ConfigError: There is no such trial.
    """
    count = len(results)
    if not 0 <= trial < count:
        raise ConfigError(f"{results.name} has no trial {trial}; it has {count}.")
    with JournalReader(results.folder) as reader:
        steps = ancestry((event for _, event in reader.events()), trial)
    return [
        {"iteration": step.iteration, "trial": step.trial, "config": results._resolve(step.config)} for step in steps
    ]

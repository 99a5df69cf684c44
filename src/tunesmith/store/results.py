"""A trial's results from the journal as whole rows, automatic fields included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.events import SessionOpened
from ..core.results import trial_results
from .reader import JournalReader, effective_results


def history(
    reader: JournalReader,
    trial: int,
    opened: Sequence[SessionOpened],
    *,
    experiment: str,
    done: bool,
    only: tuple[int, int] | None = None,
) -> list[dict[str, Any]]:
    """Return the rows of the trial's results that count, in order.

    Args:
        reader: The journal.
        trial: The trial's number.
        opened: What `reader.sessions()` returns.
        experiment: The experiment's name.
        done: Whether the trial is over.
        only: (attempt, number) of the one result to return instead, whether it counts or was superseded.
    """
    events = reader.trial_events(trial)
    rows = trial_results(events, opened, experiment=experiment, trial=trial, done=done)
    if only is not None:
        return [row for result, row in rows if (result.attempt, result.number) == only]
    counting = set(map(id, effective_results(events)))
    return [row for result, row in rows if id(result) in counting]

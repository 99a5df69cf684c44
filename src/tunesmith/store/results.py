"""A trial's results from the journal as whole rows, automatic fields included."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.events import Event, SessionOpened
from ..core.results import trial_results
from .faults import SELECT_EVENTS
from .reader import JournalReader, effective_results


def sessions(reader: JournalReader) -> list[SessionOpened]:
    """Return the openings of the experiment's sessions, in order."""
    # Events without a trial are few, and the index of a trial's events finds them too.
    query = SELECT_EVENTS + "WHERE trial ISNULL AND kind = 'SessionOpened' ORDER BY seq"
    with reader._snapshot() as connection:
        found = [reader._event(seq) for seq, *_ in connection.execute(query).fetchall()]
    return [event for event in found if isinstance(event, SessionOpened)]


def trial_events(reader: JournalReader, trial: int) -> list[Event]:
    """Return all events of a trial, in order, superseded results included."""
    return reader.trial_events(trial)


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
        opened: What `sessions` returns.
        experiment: The experiment's name.
        done: Whether the trial is over.
        only: (attempt, number) of the one result to return instead, whether it counts or was superseded.
    """
    events = trial_events(reader, trial)
    rows = trial_results(events, opened, experiment=experiment, trial=trial, done=done)
    if only is not None:
        return [row for result, row in rows if (result.attempt, result.number) == only]
    counting = set(map(id, effective_results(events)))
    return [row for result, row in rows if id(result) in counting]

"""Questions to a journal, from any process, while its writer runs or after. Nothing here writes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import msgspec

from ..core.events import (
    AttemptEnded,
    EarlierTrials,
    Event,
    ExperimentCreated,
    ExperimentFinished,
    Reported,
    SessionOpened,
    SpaceChanged,
    TrialExploited,
    TrialLaunched,
)
from ..core.trial import Status
from ..errors import JournalError
from ..layout import CHECKPOINTS
from .codec import BadRow, decode
from .faults import READ_FAULTS, SELECT_EVENTS, find_journal, journal_error
from .schema import Unusable, check, connect
from .summary import TrialRow, decode_trial

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.policy import Policy

_CHECKPOINT_NUMBER = re.compile(rf"(?:^|/){CHECKPOINTS}/\d+-(\d+)")
_EVENTS_AT_ONCE = 5_000
_SELECT_TRIALS = "SELECT id, status, loss, CAST(payload AS BLOB), crc FROM trials "
_FROM_GLANCE = "FROM trials INDEXED BY trials_at_a_glance"
_GLANCE = f"SELECT id {_FROM_GLANCE} "


class ExperimentInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the experiment as a whole."""

    created: ExperimentCreated | None = None
    """None: the controller died before it wrote anything."""
    session: SessionOpened | None = None
    """The newest session."""
    finished: ExperimentFinished | None = None
    """How that session ended; None while it is open, or when its controller died."""
    last_seq: int = 0


class JournalReader:
    """Read-only access to the journal in `folder`. One thread at a time.

    Each method sees one consistent state; two calls may see two.

    Raises:
        ExperimentNotFound: There is no journal.
        JournalDamaged: Its bytes are not what was written.
        JournalTooNew: A newer Tunesmith has written it.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._connection = _connection(self.folder)

    def last_seq(self) -> int:
        """Return the number of the newest event; 0 in an empty journal."""
        with self._snapshot() as connection:
            found: int = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        return found

    def events(self, after: int = 0) -> Iterator[tuple[int, Event]]:
        """Yield (seq, event) for each event after number `after`, up to the newest when it gets there."""
        # Page by page: a reader that held one snapshot for long would keep the writer's log from being reused.
        while page := self._page(after):
            yield from page
            after = page[-1][0]

    def _page(self, after: int) -> list[tuple[int, Event]]:
        with self._snapshot() as connection:
            rows = connection.execute(SELECT_EVENTS + "WHERE seq > ? ORDER BY seq LIMIT ?", (after, _EVENTS_AT_ONCE))
            page = [(row[0], _decoded(row)) for row in rows]
            if [seq for seq, _ in page] != list(range(after + 1, after + 1 + len(page))):
                raise BadRow(f"an event is missing after number {after}")
        return page

    def experiment_info(self) -> ExperimentInfo:
        """Return what is known of the experiment as a whole."""
        with self._snapshot() as connection:
            about = dict(connection.execute("SELECT key, value FROM about WHERE typeof(value) = 'integer'").fetchall())
            if about.get("finished", 0) < about.get("session", 0):
                about.pop("finished", None)
            found = {key: self._event(seq) for key, seq in about.items()}
            last = connection.execute("SELECT coalesce(max(seq), 0) FROM events").fetchone()[0]
        try:
            return msgspec.convert({**found, "last_seq": last}, ExperimentInfo)
        except msgspec.ValidationError as error:
            raise journal_error(self.folder, Unusable(f"its table 'about' names wrong events ({error})")) from None

    def sessions(self) -> list[SessionOpened]:
        """Return the openings of all sessions, in order."""
        # The index of a trial's events finds those of no trial too, and they are few.
        query = SELECT_EVENTS + "WHERE trial ISNULL AND kind = 'SessionOpened' ORDER BY seq"
        with self._snapshot() as connection:
            found = [_decoded(row) for row in connection.execute(query)]
        return [event for event in found if isinstance(event, SessionOpened)]

    def beginnings(self) -> list[SpaceChanged | EarlierTrials]:
        """Return how the space was changed, and what was taken from other experiments, in order."""
        query = SELECT_EVENTS + "WHERE trial ISNULL AND kind IN ('SpaceChanged', 'EarlierTrials') ORDER BY seq"
        with self._snapshot() as connection:
            found = [_decoded(row) for row in connection.execute(query)]
        return [event for event in found if isinstance(event, SpaceChanged | EarlierTrials)]

    def counts(self) -> dict[Status, int]:
        """Return how many trials there are of each status."""
        with self._snapshot() as connection:
            found = dict(connection.execute(f"SELECT status, count(*) {_FROM_GLANCE} GROUP BY status").fetchall())
        return {status: found.get(status.value, 0) for status in Status}

    def trial_rows(
        self,
        *,
        order_by: Literal["id", "loss"] = "id",
        status: Status | None = None,
        limit: int | None = None,
        offset: int = 0,
    ) -> list[TrialRow]:
        """Return the trials by number, or best first; those that never had the metric come last, by number."""
        where, values = ("", ()) if status is None else ("WHERE status = ? ", (status.value,))
        order = {"id": "id", "loss": "loss ISNULL, loss, id"}[order_by]
        page, window = f"ORDER BY {order} LIMIT ? OFFSET ?", (-1 if limit is None else limit, offset)
        with self._snapshot() as connection:
            if order_by == "id" and status is None:
                # One statement for all rows is twice as fast as one for each.
                return [_decoded_trial(row) for row in connection.execute(_SELECT_TRIALS + page, window)]
            found = connection.execute(_GLANCE + where + page, (*values, *window)).fetchall()
            return [self._trial(number) for (number,) in found]

    def trial_row(self, trial: int) -> TrialRow | None:
        """Return where one trial stands; None when there is no such trial."""
        with self._snapshot() as connection:
            found = connection.execute(_GLANCE + "WHERE id = ?", (trial,)).fetchone()
            return None if found is None else self._trial(trial)

    def best(self) -> TrialRow | None:
        """Return the trial with the lowest loss, the earliest of equals; None while no result had the metric."""
        with self._snapshot() as connection:
            found = connection.execute(_GLANCE + "WHERE loss NOTNULL ORDER BY loss, id LIMIT 1").fetchone()
            return None if found is None else self._trial(found[0])

    def history(self, trial: int) -> list[Reported]:
        """Return the results that count, in order: what came after the checkpoint that a later attempt started from is
        superseded by that attempt's results.
        """
        return effective_results(self.trial_events(trial))

    def story(self, trial: int) -> list[Event]:
        """Return all that happened to a trial, but for its results; of these only those whose checkpoint was lost."""
        events = self.trial_events(trial)
        return [event for event in events if not isinstance(event, Reported) or event.checkpoint_failure]

    def trial_events(self, trial: int) -> list[Event]:
        """Return all events of a trial, in order, superseded results included."""
        with self._snapshot() as connection:
            rows = connection.execute(SELECT_EVENTS + "WHERE trial = ? ORDER BY seq", (trial,))
            events = [_decoded(row) for row in rows]
            known = connection.execute(_GLANCE + "WHERE id = ?", (trial,)).fetchone()
            row = None if known is None else self._trial(trial)
            wanted = 0 if row is None else row.results
            # While a trial runs, or is about to pause, its row may be a moment behind.
            may_be_behind = row is not None and row.status in (Status.RUNNING, Status.PAUSED)
            # The index that finds a trial's events has no checksum of its own.
            if any(getattr(event, "trial", None) != trial for event in events):
                raise BadRow(f"its index gives events of other trials for trial {trial}")
            results = sum(type(event) is Reported for event in events)
            if results < wanted or (results > wanted and not may_be_behind):
                raise BadRow(f"trial {trial} has {wanted} results, but its index finds {results}")
        return events

    def _trial(self, number: int) -> TrialRow:
        row = self._connection.execute(_SELECT_TRIALS + "WHERE id = ?", (number,)).fetchone()
        if row is None:
            raise BadRow(f"its index knows of trial {number}, but its table does not")
        return _decoded_trial(row)

    def _event(self, seq: int) -> Event | None:
        row = self._connection.execute(SELECT_EVENTS + "WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else _decoded(row)

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        connection = self._connection
        try:
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
        except READ_FAULTS as error:
            raise journal_error(self.folder, error) from error

    def close(self) -> None:
        """Let go of the file. May be called twice."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def effective_results(events: Iterable[Event]) -> list[Reported]:
    """Return a trial's results that count, in order, from its events."""
    results: list[Reported] = []
    numbers: dict[str, int] = {}
    for event in events:
        match event:
            case Reported():
                results.append(event)
                if event.checkpoint is not None:
                    numbers[event.checkpoint] = event.number
            case AttemptEnded(checkpoint=str() as checkpoint):
                numbers[checkpoint] = results[-1].number if results else 0
            case TrialExploited(checkpoint=str() as checkpoint):
                numbers[checkpoint] = event.number
            case TrialLaunched(checkpoint=None):
                results.clear()
            case TrialLaunched(checkpoint=str() as checkpoint):
                start = numbers[checkpoint] if checkpoint in numbers else _number_in_name(checkpoint)
                while results and results[-1].number > start:
                    results.pop()
            case _:
                pass
    return results


def _number_in_name(checkpoint: str) -> int:
    found = _CHECKPOINT_NUMBER.search(checkpoint)
    return int(found[1]) if found else 0


def fold(source: Path | str | Iterable[Event], experiment: Experiment, policies: Sequence[Policy] = ()) -> int:
    """Apply all events of a journal's folder or of an iterable, each then observed by the policies; return how many.

    This is how a session resumes: the experiment and the policies end up as they were when the last event was live.
    """
    if isinstance(source, str | Path):
        with JournalReader(source) as reader:
            return fold((event for _, event in reader.events()), experiment, policies)
    count = 0
    for event in source:
        experiment.apply(event)
        for policy in policies:
            policy.observe(event, experiment)
        count += 1
    return count


def _decoded(row: tuple[Any, ...]) -> Event:
    try:
        return decode(*row)
    except BadRow as error:
        raise BadRow(f"event {row[0]} cannot be trusted: {error}") from None


def _decoded_trial(row: tuple[Any, ...]) -> TrialRow:
    try:
        return decode_trial(*row)
    except BadRow as error:
        raise BadRow(f"where trial {row[0]} stands cannot be trusted: {error}") from None


def _connection(folder: Path) -> sqlite3.Connection:
    path = find_journal(folder)
    log = Path(f"{path}-wal")
    try:
        try:
            return _checked(path, immutable=False)
        except sqlite3.OperationalError as error:
            # In a folder that cannot be written, SQLite reads a file only as one that nobody changes.
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            if log.exists() and log.stat().st_size:
                raise JournalError(
                    f"{path} cannot be read in a folder that cannot be written, because its newest events are still in "
                    f"{log.name}. Copy both to another folder and read them there."
                ) from error
            return _checked(path, immutable=True)
    except READ_FAULTS as error:
        raise journal_error(folder, error) from error


def _checked(path: Path, *, immutable: bool) -> sqlite3.Connection:
    connection = connect(path, mode="ro", immutable=immutable)
    try:
        check(connection)
    except BaseException:
        connection.close()
        raise
    return connection

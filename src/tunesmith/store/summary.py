"""A trial in one row: what a table, a page or `results.best` shows without a pass over the journal's events."""

from __future__ import annotations

from zlib import crc32

import msgspec

from ..core.events import Config, Failure, Reported
from ..core.trial import Status, Trial
from .codec import BadRow, dumps, loads

SummaryRow = tuple[int, str, float | None, str, int]
"""(id, status, loss, payload, crc), as the table `trials` holds it."""


class TrialRow(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Where a trial stood when the journal was last written. New fields get a default."""

    id: int
    status: Status
    config: Config
    request: dict[str, float] | None = None
    """What it asks for; None: the experiment's default."""
    attempt: int = 0
    number: int = 0
    """`training_iteration` of its newest result."""
    elapsed: float = 0.0
    """`time_total_s` of its newest result."""
    results: int = 0
    """How many results its attempts have reported, redone ones included."""
    loss: float | None = None
    """The lowest loss it ever had; None while no result had the metric."""
    best: Reported | None = None
    """The result that had it."""
    last: Reported | None = None
    checkpoint: str | None = None
    """Its newest good checkpoint."""
    best_checkpoint: str | None = None
    """The kept checkpoint with the lowest loss; the newest, when none has one."""
    failures: int = 0
    failure: Failure | None = None
    reason: str = ""
    interrupted: bool = False
    first_at: float = -1.0
    last_at: float = -1.0


def trial_row(trial: Trial) -> TrialRow:
    """Return where the trial stands."""
    return TrialRow(
        id=trial.id,
        status=trial.status,
        config=trial.config,
        request=trial.request,
        attempt=trial.attempt,
        number=trial.number,
        elapsed=trial.elapsed,
        results=trial.results,
        loss=trial.best_loss if trial.best is not None else None,
        best=trial.best,
        last=trial.last,
        checkpoint=trial.checkpoint,
        best_checkpoint=_best_checkpoint(trial),
        failures=trial.failures,
        failure=trial.failure,
        reason=trial.reason,
        interrupted=trial.interrupted,
        first_at=trial.first_at,
        last_at=trial.last_at,
    )


def encode_trial(row: TrialRow) -> SummaryRow:
    """Return the row as the table holds it."""
    payload = dumps(row)
    return row.id, row.status.value, row.loss, payload.decode(), crc32(payload, row.id)


def decode_trial(number: int, status: str, loss: float | None, payload: bytes, crc: int) -> TrialRow:
    """Return the row that the table holds.

    Raises:
        BadRow: It is not what was written.
    """
    if crc32(payload, number) != crc:
        raise BadRow("its checksum does not fit its contents")
    row = loads(payload, _decoder)
    if (row.id, row.status, row.loss) != (number, status, loss):
        raise BadRow("its columns do not fit its contents")
    return row


def _best_checkpoint(trial: Trial) -> str | None:
    if not trial.checkpoints:
        return None
    best = trial.best_checkpoint
    return best if best is not None and trial.checkpoints[best].loss < float("inf") else trial.checkpoint


_decoder = msgspec.json.Decoder(TrialRow)

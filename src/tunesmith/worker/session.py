"""The user's side of a running attempt: `report`, `get_checkpoint`, `get_context`."""

from __future__ import annotations


class TrialHalted(BaseException):
    """Raised inside `report` when the trial is to end now. Not an error: let it pass; `finally` blocks run."""

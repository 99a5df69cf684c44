"""Copies the journal to the experiment's storage URL, from time to time and at the end, beside the loop."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence

from ..core.events import Event
from ..core.experiment import Experiment
from ..errors import TuneError
from ..store.remote import RemoteExperiment
from .base import Callback

FIRST_AFTER = 2.0
"""Seconds until the first copy; the time between two then doubles, up to `UPLOAD_EVERY`."""
UPLOAD_EVERY = 30.0
LARGEST_SHARE = 0.1
"""Copying takes at most this share of the time."""


class Upload(Callback):
    """Copies the journal. What fails is told once and tried again the next time."""

    def __init__(self, remote: RemoteExperiment) -> None:
        self._remote = remote
        self._every = FIRST_AFTER
        self._due = time.monotonic() + FIRST_AFTER
        self._thread: threading.Thread | None = None
        self._has_failed = False

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Take no notice: the journal has the events."""

    def flush(self, experiment: Experiment) -> None:
        """Begin a copy if it is time."""
        if time.monotonic() >= self._due and (self._thread is None or not self._thread.is_alive()):
            self._due = float("inf")
            self._thread = threading.Thread(target=self._push, name="tunesmith-upload", daemon=True)
            self._thread.start()

    def close(self, experiment: Experiment) -> None:
        """Copy the last state."""
        if self._thread is not None:
            self._thread.join()
        self._has_failed = False
        self._push(is_running=False)

    def _push(self, *, is_running: bool = True) -> None:
        began = time.monotonic()
        try:
            self._remote.push(is_running=is_running)
            self._has_failed = False
        except (TuneError, OSError) as error:
            if not self._has_failed:
                again = (
                    "it will be tried again"
                    if is_running
                    else f"it is whole in {self._remote.folder}, and copied when the run is resumed from there"
                )
                print(f"tunesmith: the journal was not copied; {again}. {error}", file=sys.stderr, flush=True)
            self._has_failed = True
        took = time.monotonic() - began
        self._every = min(2 * self._every, UPLOAD_EVERY)
        self._due = time.monotonic() + max(self._every, took / LARGEST_SHARE)

"""What tests of whole runs look at: the events of the experiment "e", and what comes true sooner or later."""

from __future__ import annotations

import time

from tunesmith.store.reader import JournalReader

PATIENCE = 90.0
"""Seconds; far more than anything here takes."""


def events(folder, *kinds):
    """Return the events of these kinds of the experiment "e" in a folder."""
    with JournalReader(folder / "e") as reader:
        return [event for _, event in reader.events() if isinstance(event, kinds)]


def eventually(holds):
    """Wait until something holds; return it."""
    until = time.monotonic() + PATIENCE
    while not (found := holds()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found

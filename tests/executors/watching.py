"""What tests of whole runs look at: the events of the experiment "e", and what comes true sooner or later."""

from __future__ import annotations

import time

import pytest

from tunesmith.store.reader import JournalReader

PATIENCE = 60.0
"""Seconds; far more than most things here take."""
RAY_WARNS = [
    pytest.mark.filterwarnings(f"ignore::{kind}")
    for kind in ("DeprecationWarning", "FutureWarning", "ResourceWarning", "pytest.PytestUnraisableExceptionWarning")
]
"""What Ray makes Python warn of."""


def events(folder, *kinds):
    """Return the events of these kinds of the experiment "e" in a folder."""
    with JournalReader(folder / "e") as reader:
        return [event for _, event in reader.events() if isinstance(event, kinds)]


def eventually(holds, patience=PATIENCE):
    """Wait until something holds; return it."""
    until = time.monotonic() + patience
    while not (found := holds()):
        assert time.monotonic() < until
        time.sleep(0.05)
    return found

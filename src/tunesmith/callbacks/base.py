"""What a callback is: it watches events after they are journaled, and can change nothing.

An exception in a callback never ends an experiment: the loop shows it once and goes on.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.events import Config, Event
from ..core.experiment import Experiment


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a callback may want to know about the session that it watches."""

    folder: Path
    """The experiment's folder."""
    name: str
    resume_command: str = ""
    """What a person types to go on with this experiment."""
    resolve: Callable[[Config], Config] = dict
    """Returns a config as people see it: its `{"$object": id}` values replaced by the objects themselves."""
    parameters: tuple[str, ...] = ()
    """Paths ("a/b") of the parameters that the search varies."""
    searcher: Any = None
    scheduler: Any = None
    replicates: int = 1
    """How many trials each config has."""


class Callback(ABC):
    """Watches an experiment."""

    def open(self, run: Run, experiment: Experiment) -> None:  # noqa: B027  optional
        """Called once, before the session's first event; at a resume `experiment` holds the past."""

    @abstractmethod
    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Called after each turn with its events, in order; `experiment` has applied all of them. Must be quick."""

    def note(self, text: str) -> None:  # noqa: B027  optional
        """Called when the searcher or the scheduler has something to say that is no event."""

    def flush(self, experiment: Experiment) -> None:  # noqa: B027  optional
        """Called about twice a second, and before `close`: the place to draw and to write."""

    def close(self, experiment: Experiment) -> None:  # noqa: B027  optional
        """Called once, when the session is over."""

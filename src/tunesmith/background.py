"""One piece of work at a time in a thread of its own, while its owner goes on. Knows nothing of what the work is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What has become of a piece of work: its value, or what it raised."""

    value: T | None
    error: BaseException | None = None


class Background(Generic[T]):
    """Does one piece of work at a time.

    Args:
        done: Called in the other thread as soon as an outcome can be taken; never after `close`.
        name: The thread's name, for people who look at a stack.
    """

    def __init__(self, done: Callable[[], None], *, name: str) -> None:
        self._done = done
        self._name = name
        self._work: SimpleQueue[Callable[[], T] | None] = SimpleQueue()
        self._outcomes: SimpleQueue[Outcome[T]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._is_closed = False

    def begin(self, work: Callable[[], T]) -> None:
        """Begin with it; the outcome of the piece before has been taken."""
        if self._thread is None:
            # A daemon: work that takes hours must not keep a process from ending.
            self._thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._thread.start()
        self._work.put(work)

    def taken(self) -> Outcome[T] | None:
        """Return the outcome, once; None while there is none."""
        return None if self._outcomes.empty() else self._outcomes.get()

    def close(self) -> None:
        """Call `done` no more. What is under way goes on; see `join`."""
        with self._lock:
            self._is_closed = True
        self._work.put(None)

    def join(self, patience: float) -> None:
        """Wait for the thread's end, for so many seconds at most."""
        if self._thread is not None:
            self._thread.join(patience)

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                outcome = Outcome(work())
            except BaseException as error:  # noqa: BLE001  its owner raises it, whatever it is
                outcome = Outcome(None, error)
            with self._lock:
                if self._is_closed:
                    return
                self._outcomes.put(outcome)
                self._done()

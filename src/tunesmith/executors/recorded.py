"""What attempts of a simulation do: recorded curves replayed, and a user's functions followed. No time passes here.

A recorded curve that was cut short is exact up to its cut, and nobody knows what would have come after it. A trial that
wants to go on there ends, as failed for the core, with a failure of kind `CENSORED`: so no scheduler ever ranks it
beyond what was recorded.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count, islice
from numbers import Real
from typing import Any, Protocol

from ..core.commands import Discard, Start
from ..core.events import Failure, Metrics
from ..errors import ConfigError, ReportError
from ..layout import checkpoint_folder
from ..worker.metrics import normalised

CENSORED = "censored"
"""The kind of failure of a trial that wanted to go on where its recorded curve was cut short."""
MOST_STEPS = 10_000
"""A function that has not ended after so many steps never will, unless its user says how many there are."""

Step = tuple[Metrics, float]
"""What a step reports, and how many seconds it takes."""


class Recorded(Protocol):
    """A learning curve on record."""

    @property
    def config(self) -> dict[str, Any]:
        """Of what it is the curve."""

    @property
    def ended(self) -> str:
        """How it ended, in a word."""

    @property
    def is_complete(self) -> bool:
        """Whether it ran to its own end."""

    def steps(self, after: int = 0) -> Iterator[Step]:
        """Yield its steps after the first `after` ones."""

    def __len__(self) -> int:
        """Return how many steps it has."""


class RecordedTrials:
    """Lets trial i follow the i-th of some recorded curves.

    Args:
        curves: The curves.
        most_steps: A trial is over after so many; None: when its curve is.
    """

    def __init__(self, curves: Sequence[Recorded], *, most_steps: int | None = None) -> None:
        self._curves = curves
        self._most = most_steps

    def knows(self, start: Start) -> bool:
        """Whether an attempt has the config that its trial's curve is of."""
        return start.config == self._curves[start.trial].config

    def __call__(self, start: Start) -> Iterator[Step | Failure]:
        """Yield the rest of the trial's curve; then, if it was cut short, the failure that says so."""
        curve, done = self._curves[start.trial], start.progress.number
        if self._most is not None and self._most <= len(curve):
            yield from islice(curve.steps(done), self._most - done)
            return
        yield from curve.steps(done)
        if not curve.is_complete:
            yield Failure(CENSORED, f"the recorded curve ends after {len(curve)} steps: that trial was {curve.ended}")

    def discard(self, command: Discard) -> None:
        """Nothing: where a trial goes on is a place in its curve."""


class FollowedTrials:
    """Lets every trial follow a user's function.

    Args:
        function: A generator function of (config) that yields steps; a function of (config, epoch), the first epoch
            being 1, that returns a step, or None at the end; or a function of (config, epoch, state) that returns a
            step with the next state, (metrics, seconds, state). `state` is None at the start; a checkpoint holds it,
            so it is what a clone takes over. A step is (metrics, seconds), or metrics alone for 1 second; metrics are
            a dict, or a number where `metric` says which.
        resolve: Turns a journaled config into the one that the function gets.
        metric: What a number stands for.
        most_steps: A trial is over after so many; None: when its function says so.

    Raises:
        ConfigError: It is no such function.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        resolve: Callable[[dict[str, Any]], dict[str, Any]],
        *,
        metric: str | None = None,
        most_steps: int | None = None,
    ) -> None:
        self._function = function
        self._resolve = resolve
        self._metric = metric
        self._most = most_steps
        self._states: dict[str, Any] = {}
        """Checkpoint -> the state that it holds."""
        self._follow = {1: self._generated, 2: self._called, 3: self._carried}[_parameters(function)]

    def __call__(self, start: Start) -> Iterator[Step | Failure]:
        """Yield what an attempt does from where it starts."""
        steps = self._follow(start)
        for number in count(start.progress.number + 1):
            if self._most is not None and number > self._most:
                return
            if self._most is None and number > MOST_STEPS:
                message = f"its curve has not ended after {MOST_STEPS:,} steps. Say how many there are: max_t=."
                yield Failure("exception", message)
                return
            step = next(steps, None)
            if step is None:
                return
            yield step

    def discard(self, command: Discard) -> None:
        """Forget the state in a checkpoint."""
        self._states.pop(command.checkpoint, None)

    def _generated(self, start: Start) -> Iterator[Step]:
        done = start.progress.number
        for number, step in enumerate(self._function(self._resolve(start.config)), start=1):
            if number > done:
                yield self._checked(step)

    def _called(self, start: Start) -> Iterator[Step]:
        config = self._resolve(start.config)
        for epoch in count(start.progress.number + 1):
            step = self._function(config, epoch)
            if step is None:
                return
            yield self._checked(step)

    def _carried(self, start: Start) -> Iterator[Step]:
        config = self._resolve(start.config)
        state = None if start.checkpoint is None else self._states.get(start.checkpoint)
        for epoch in count(start.progress.number + 1):
            step = self._function(config, epoch, state)
            if step is None:
                return
            if not isinstance(step, tuple) or len(step) != 3:
                raise ReportError(
                    f"a function of (config, epoch, state) returns (metrics, seconds, state), not {step!r}."
                )
            metrics, seconds, state = step
            self._states[checkpoint_folder(start.trial, start.attempt, epoch)] = state
            yield self._checked((metrics, seconds))

    def _checked(self, step: Any) -> Step:
        metrics, seconds = step if isinstance(step, tuple) and len(step) == 2 else (step, 1.0)
        if isinstance(metrics, Real) and self._metric is not None:
            metrics = {self._metric: metrics}
        elif not isinstance(metrics, Mapping):
            raise ReportError(f"a step is (metrics, seconds) or metrics, a dict; this one is {step!r}.")
        is_time = isinstance(seconds, Real) and not isinstance(seconds, bool)
        if not is_time or not 0 <= seconds < math.inf:
            raise ReportError(f"a step takes a finite number of seconds, 0 or more, not {seconds!r}.")
        return normalised(metrics), float(seconds)


def _parameters(function: Any) -> int:
    """Return with how many arguments a user's function wants to be called."""
    name = getattr(function, "__name__", repr(function))
    if not callable(function) or isinstance(function, type):
        raise ConfigError(
            f"simulate({name}): give a table of learning curves, a finished experiment, or a function of "
            "(config, epoch) that returns (metrics, seconds)."
        )
    signature = inspect.signature(function)
    for arguments in ((None,), (None, 1), (None, 1, None)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments)
    raise ConfigError(
        f"simulate({name}): its signature is {name}{signature}. It takes (config) and yields steps, or (config, epoch) "
        "or (config, epoch, state) and returns one."
    )

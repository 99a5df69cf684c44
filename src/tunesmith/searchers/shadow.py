"""An experiment that a searcher sees in place of the real one. It is a real `Experiment`, told other events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from ..core.events import (
    AttemptEnded,
    Config,
    Event,
    Node,
    Placement,
    Reported,
    SessionOpened,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialStopped,
)
from ..core.experiment import Experiment

if TYPE_CHECKING:
    from ..core.policy import Searcher

NODE = "shadow"
MUCH_ROOM = 1e6

End = TrialCompleted | TrialStopped | TrialFailed


class Shadow:
    """The experiment that `searcher` sees. In it each trial begins when it is suggested, and runs once.

    Args:
        searcher: It observes each event that is told.
        like: The real experiment, of which nothing but the objectives counts.
    """

    def __init__(self, searcher: Searcher, like: Experiment) -> None:
        self._searcher = searcher
        # One that knows what to rank by before its first event ranks all of its past by that.
        self.view = Experiment(like.objective)
        self.view.objectives = like.objectives
        self._opened: SessionOpened | None = None

    def tell(self, event: Event) -> None:
        """Let it happen."""
        self.view.apply(event)
        self._searcher.observe(event, self.view)

    def open(self, event: SessionOpened, at: float, trials_wanted: int | None) -> None:
        """Open a session, unless it is like the one before: that another one has begun is nothing to learn from."""
        opened = replace(
            event,
            at=0.0,
            session=1,
            started=0.0,
            request={"cpu": 1},
            nodes=(Node(NODE, {"cpu": MUCH_ROOM}),),
            host="",
            pid=0,
            retry_failed=False,
            trials_wanted=trials_wanted,
        )
        if opened != self._opened:
            self._opened = opened
            self.tell(replace(opened, at=at))

    def begin(self, config: Config, at: float, origin: str = "") -> None:
        """Let the next trial begin."""
        number = self.view.next_number
        self.tell(Suggested(at=at, configs=(config,), origin=origin))
        self.tell(TrialLaunched(at=at, trial=number, attempt=1, placement=Placement(NODE, {"cpu": 1})))

    def end(self, trial: int, end: End, results: Sequence[Reported], at: float) -> None:
        """Let a trial have these results and this end."""
        for result in results:
            self.tell(replace(result, at=at, trial=trial, attempt=1, checkpoint=None))
        failure = end.failure if isinstance(end, TrialFailed) else None
        outcome = "failed" if failure is not None else "halted" if isinstance(end, TrialStopped) else "done"
        self.tell(AttemptEnded(at=at, trial=trial, attempt=1, outcome=outcome, failure=failure))
        self.tell(replace(end, at=at, trial=trial))


class Outcomes:
    """What trials have reported and how they ended: as if each had run once, without a step done twice."""

    def __init__(self) -> None:
        self._results: dict[int, dict[int, Reported]] = {}
        self._ends: dict[int, End] = {}

    def report(self, event: Reported) -> None:
        """Keep a result."""
        self._results.setdefault(event.trial, {})[event.number] = event

    def end(self, event: End) -> None:
        """Keep an end."""
        self._ends[event.trial] = event

    def reopen(self, trial: int) -> None:
        """It has not ended after all."""
        self._ends.pop(trial, None)

    def has(self, trial: int) -> bool:
        """Whether a trial has ended."""
        return trial in self._ends

    def taken(self, trial: int, last: int) -> tuple[End, list[Reported]]:
        """Return the end of a trial that came to result `last`, and its results; they are kept no longer."""
        results = self._results.pop(trial, {})
        return self._ends.pop(trial), [results[number] for number in sorted(results) if number <= last]

"""The run loop: executor -> core -> journal -> callbacks -> executor. The only place where these four meet.

A turn takes everything that has happened, decides it together, journals it in one transaction, and only then acts and
shows it. So whatever anybody ever saw is in the journal, and whatever was done had been written down before.
"""

from __future__ import annotations

import functools
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

import msgspec

from .background import Background
from .callbacks.base import Callback, Run
from .core.commands import Command, Discard, Halt, Kill, Proceed, Start, Suggest
from .core.engine import Core, Step
from .core.events import Config, Event, SpaceExhausted, StopRequested, Suggested
from .core.policy import Policy, Searcher
from .errors import JournalFull, TuneError
from .executors.base import Executor
from .store.checkpoints import discard
from .store.disks import check_room
from .store.journal import Journal
from .store.requests import read_requests

FLUSH_EVERY = 0.5
"""Seconds between two looks of the callbacks, and of the loop for requests from other processes."""
ROWS_LAG = 0.05
"""Seconds that the journal's rows of running trials may be behind its events."""
FULL_DISK_RETRY = 1.0
"""Seconds between two tries to write to a full disk."""
MUCH_ROOM, ROOM_LASTS = 1 << 30, 0.05
"""So many free bytes last for so many seconds at least."""
SUGGESTION_PATIENCE = 1.0
"""Seconds that the end of a session waits for a suggestion that nobody wants any more."""
MOST_WAITING = 100
"""An executor for which nodes may come hears of so many trials that wait for them."""
MOST_HELD_BACK = 20_000
"""While the disk is full, so many events are read ahead; then hardly any."""


class Loop:
    """Drives one session of an experiment to its end."""

    def __init__(
        self,
        *,
        core: Core,
        searcher: Searcher,
        executor: Executor,
        journal: Journal,
        run: Run,
        callbacks: Sequence[Callback] = (),
        request_of: Callable[[Config], Mapping[str, float]] | None = None,
        discards: Callable[[str], None] | None = None,
    ) -> None:
        self.core = core
        self.experiment = core.experiment
        self._searcher = searcher
        self._executor = executor
        self._journal = journal
        journal.rows.lag = ROWS_LAG
        self._run = run
        self._callbacks = list(callbacks)
        self._request_of = request_of
        self._discards = discards or functools.partial(discard, run.folder)
        """Deletes a checkpoint where it is kept."""
        self._aside: Background[Sequence[Config]] | None = None
        """Where suggestions are computed beside the trials, if these run beside us."""
        if executor.runs_beside:
            self._aside = Background(executor.wake, name="tunesmith-suggestions")
        self._flush_at = 0.0
        self._interrupts: list[str] = []
        self._interrupts_seen = 0
        self._held_back: list[Event] = []
        self._room_until = 0.0
        """Until then the disk cannot have become full."""
        self._told: dict[Policy, tuple[int, int]] = {searcher: (0, 0), core.scheduler: (0, 0)}
        """How many warnings and notes of each policy have been shown."""
        self._act: dict[type[Command], Callable[..., None]] = {
            Start: executor.start,
            Halt: executor.halt,
            Kill: executor.kill,
            Discard: self._discard,
        }

    def drive(self, opening: Sequence[Event]) -> None:
        """Drive the experiment from the session's opening events until it is finished."""
        experiment = self.experiment
        self._tell("open", self._run, experiment)
        read_requests(self._run.folder)  # What was asked of an earlier session is not meant for this one.
        try:
            with self._signals():
                self.turn(opening)
                while experiment.finished is None:
                    self.turn(self._next_events())
                    self._hear_the_searcher()
        finally:
            # First the trials, then the show: no worker outlives the loop because a callback is slow.
            if self._aside is not None:
                self._aside.close()
            self._executor.close()
            if self._aside is not None:
                self._aside.join(SUGGESTION_PATIENCE)
            self._show_warnings()
            self._tell("flush", experiment)
            self._tell("close", experiment)

    def deliver(self, events: Sequence[Event]) -> None:
        """Take a turn from within `Executor.wait`: for executors that run the user's code there."""
        self.turn([*events, *self._news(self._executor.now())])

    def turn(self, events: Sequence[Event]) -> None:
        """Decide, remember, act, show: on everything in `events` together."""
        core = self.core
        step = core.handle(*events) if events else Step()
        self._carry_out(step)
        now = self._executor.now()
        deadline = core.next_deadline()
        # What is held back happened before now: it must not look as if nothing had.
        if deadline is not None and deadline <= now and not self._held_back:
            self._carry_out(core.tick(now))

    def _carry_out(self, step: Step) -> None:
        step = self._with_suggestions(step)
        for command in step.commands:
            if isinstance(command, Proceed):
                # A trial that may go on need not wait for the disk: what it does next is done again after a crash.
                self._executor.proceed(command)
        self._remember(step.events, launches=any(isinstance(command, Start) for command in step.commands))
        # The workers have something to do while it is shown.
        for command in step.commands:
            act = self._act.get(type(command))
            if act is not None:
                act(command)
        if step.events:
            self._tell("handle", step.events, self.experiment)

    def _with_suggestions(self, step: Step) -> Step:
        """Return the step together with what follows from the searcher's answers, so that a turn is one transaction."""
        whole = step
        try:
            while asked := [command for command in step.commands if isinstance(command, Suggest)]:
                answers = [self._suggest(command.count) for command in asked]
                step = self.core.handle(*(answer for answer in answers if answer is not None))
                whole = Step(whole.events + step.events, whole.commands + step.commands)
        except BaseException:
            # The searcher is somebody's code. What had happened before it failed did happen, and is kept.
            self._remember(whole.events, launches=False)
            raise
        return whole

    def _remember(self, events: Sequence[Event], *, launches: bool) -> None:
        """Journal the events; while the disk is full, wait for room."""
        if not events:
            return
        tries = 0
        while True:
            try:
                if launches and not self._interrupts:
                    # The journal may have room left where a trial that starts now has none, and would fail of that.
                    self._check_room()
                self._journal.append(events, self.experiment)
                break
            except JournalFull as error:
                if self._interrupts:
                    raise
                if not tries:
                    self._say(f"{error} No new trial starts, and nothing is lost: it goes on once there is room.")
                # Read so slowly that workers stand still as soon as their channels are full, yet often enough for them
                # to see that somebody is there. What they have sent is kept for the next turn.
                if len(self._held_back) < MOST_HELD_BACK or tries % 60 == 0:
                    self._held_back += self._executor.wait(self._executor.now())
                time.sleep(FULL_DISK_RETRY)
                tries += 1
        if tries:
            self._say("There is room on the disk again; the experiment goes on.")

    def _check_room(self) -> None:
        now = time.monotonic()
        if now >= self._room_until:
            room = check_room(self._run.folder)
            self._room_until = now + ROOM_LASTS if room >= MUCH_ROOM else 0.0

    def _suggest(self, count: int) -> Event | None:
        """Return the searcher's answer, or None when it is computed beside the trials."""
        if self._aside is not None:
            # One at a time: the first trial starts after one suggestion and not after all.
            work = self._searcher.prepared(1, self.experiment)
            if work is not None:
                self._aside.begin(work)
                return None
        return self._answered(self._searcher.suggest(count, self.experiment), count)

    def _hear_the_searcher(self) -> None:
        """Take the turn that an answer gives, if one has come from beside the trials."""
        outcome = None if self._aside is None else self._aside.taken()
        if outcome is None or not self.core.wants_suggestions or self.experiment.finished is not None:
            return
        if outcome.error is not None:
            raise outcome.error
        assert outcome.value is not None, "work that raises nothing has a value"
        self.turn([self._answered(outcome.value, 1)])

    def _answered(self, suggestions: Sequence[Config], count: int) -> Event:
        configs = tuple(suggestions)
        if len(configs) > count:
            raise TuneError(
                f"{type(self._searcher).__name__}.suggest returned {len(configs)} configs; {count} were asked for."
            )
        try:
            msgspec.json.encode(configs)
        except TypeError as error:
            raise TuneError(
                f"{type(self._searcher).__name__}.suggest returned a config that JSON cannot hold ({error}): "
                f"{configs!r:.200}. Of numpy's values .item() or .tolist() makes plain ones."
            ) from error
        at = self._executor.now()
        if not configs and self._searcher.is_exhausted(self.experiment):
            return SpaceExhausted(at=at)
        requests = None
        if self._request_of is not None:
            requests = tuple(dict(self._request_of(config)) for config in configs)
        return Suggested(at=at, configs=configs, requests=requests, origin=type(self._searcher).__name__)

    def _discard(self, command: Discard) -> None:
        try:
            self._discards(command.checkpoint)
        except (OSError, TuneError) as error:
            self._say(f"could not delete the unneeded checkpoint {command.checkpoint}: {error}")

    def _next_events(self) -> list[Event]:
        executor = self._executor
        if self._held_back:
            events, self._held_back = self._held_back, []
        else:
            deadline = self.core.next_deadline()
            # The callbacks' time is the wall clock's, also where the executor's is virtual.
            flush = executor.now() + max(0.0, self._flush_at - time.monotonic())
            events = executor.wait(flush if deadline is None else min(deadline, flush))
        return events + self._news(executor.now())

    def _news(self, now: float) -> list[Event]:
        """Return what signals and other processes have asked for; from time to time let the callbacks draw."""
        news: list[Event] = []
        if time.monotonic() >= self._flush_at:
            self._flush_at = time.monotonic() + FLUSH_EVERY
            self._show_warnings()
            self._tell("flush", self.experiment)
            with suppress(JournalFull):  # The events are there; where they left the trials is tried again.
                self._journal.catch_up(self.experiment)
            self._journal.sync()
            news += self._requests(now)
            if self._executor.announces:
                self._executor.announce(self.core.waiting(MOST_WAITING))
        if len(self._interrupts) > self._interrupts_seen:
            self._interrupts_seen = len(self._interrupts)
            news.append(
                StopRequested(at=now, reason=f"interrupted by {self._interrupts[0]}", now=self._interrupts_seen > 1)
            )
        return news

    def _requests(self, now: float) -> list[Event]:
        """Return what other processes (`tunesmith stop`) have asked for."""
        return [
            StopRequested(at=now, reason=request.reason, trial=request.trial, now=request.now)
            for request in read_requests(self._run.folder)
        ]

    def _show_warnings(self) -> None:
        for policy, (warned, noted) in self._told.items():
            warnings, notes = policy.warnings, policy.notes
            for warning in warnings[warned:]:
                self._say(f"{type(policy).__name__}: {warning}")
            for note in notes[noted:]:
                self._tell("note", note)
            self._told[policy] = (len(warnings), len(notes))

    def _tell(self, method: str, *arguments: object) -> None:
        """Call every callback; one that raises is shown once and left out from then on."""
        for callback in list(self._callbacks):
            try:
                getattr(callback, method)(*arguments)
            except Exception:  # noqa: BLE001  a callback is somebody's code, and must not end the experiment
                self._callbacks.remove(callback)
                self._say(f"{type(callback).__name__} failed and is left out from now on:\n{traceback.format_exc()}")

    def _say(self, message: str) -> None:
        print(f"tunesmith: {message}", file=sys.stderr, flush=True)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Ctrl-C and SIGTERM end the session cleanly; the second time at once; the third time raises."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def interrupted(number: int, frame: FrameType | None) -> None:
            self._interrupts.append("Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name)
            self._executor.wake()
            if len(self._interrupts) > 2:
                raise KeyboardInterrupt

        previous = {number: signal.signal(number, interrupted) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

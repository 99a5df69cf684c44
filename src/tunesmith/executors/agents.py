"""Runs attempts through agents, wherever these are. The driver never runs user code here.

Everything that `wait` returns came through an agent's socket, in the order in which it was written; what an agent can
no longer say, because it is gone, is said for it here. How agents come to be, and where, is a subclass's business.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import select
from abc import abstractmethod
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from ..core.commands import Halt, Kill, Proceed, Start
from ..core.events import AttemptEnded, AttemptStarted, Event, Failure, Reported
from ..errors import ConfigError
from ..layout import PROBE, trial_folder
from ..remote import RemoteFolder
from ..worker.protocol import Assignment, End, Ended, Gather, Go, Message, Report
from ..worker.system import THREAD_VARIABLES
from ..worker.wire import Alive, Leaving, Payload, Printed, Ready, Setup, Started, Stop
from .base import Executor, Job, assignment_of
from .connection import AgentLine, Incoming
from .gangs import PART_GRACE, Gang
from .gathering import Gathering
from .payload import packed
from .preload import modules_to_preload
from .printed import keep

BEAT = 1.0
GREETED_WHILE = 1.5
"""Seconds: agents that have been silent for longer are not greeted. So an agent's lease ends a known time after it was
last heard, and that is before its trials are run elsewhere."""
DRIVER_TIMEOUT = 15.0
LEASE = DRIVER_TIMEOUT + 2.5
"""By then the kernel has killed what has not ended by itself (`worker.lease`)."""


class AgentExecutor(Executor):
    """What executors have in common whose attempts run under agents.

    Args:
        start_method: How an agent makes workers, as of `LocalExecutor`.
    """

    can_hold = True
    runs_beside = True
    driver_timeout = DRIVER_TIMEOUT
    """So many seconds after it was last greeted an agent ends its trials."""
    lease = LEASE
    agent_timeout = 20.0
    """An agent that is ready and silent for so many seconds is taken for lost. More than `GREETED_WHILE + LEASE`: one
    that was cut off has ended its trials by then."""

    def __init__(self, *, start_method: str = "auto") -> None:
        if start_method not in ("auto", "fork", "exec"):
            raise ConfigError(f"start_method={start_method!r}: give 'auto', 'fork' or 'exec'.")
        self._start_method = start_method
        self._began = monotonic()
        self._folder = ""
        self._setup: Setup | None = None
        self._payload: tuple[Payload, list[Any]] | None = None
        self._lines: dict[int, AgentLine] = {}
        """By the descriptors of their sockets, those that are connected."""
        self._doubted: dict[AgentLine, str] = {}
        """Agents that seem to be gone, and why: what they ran may not have ended yet."""
        self._live: dict[tuple[int, int], AgentLine] = {}
        self._gangs: dict[tuple[int, int], Gang] = {}
        """The live attempts that hold resources under several agents."""
        self._events: list[Event] = []
        """What is known here before anyone asks."""
        self._gathering = Gathering()
        self._beat_at = 0.0
        self._has_said = False
        self._wake_in, self._wake_out = -1, -1
        self._poller = select.poll()
        """Of what wakes us, and of the agents that are connected."""
        self.method = ""
        """How workers are made (fork or exec), once an agent knows."""

    # What is left to a subclass.

    @abstractmethod
    def _lines_for(self, command: Start) -> tuple[AgentLine, ...]:
        """Return an agent for each node of an attempt, the one that runs it first; they need not be connected yet."""

    @abstractmethod
    def _on_lost(self, line: AgentLine, reason: str) -> str:
        """Learn that an agent is gone; return why, in words, of what its attempts are told."""

    def _on_leaving(self, line: AgentLine) -> None:
        """Learn that an agent will not be there much longer; its attempts have been asked to save and end."""

    def _on_end(self, line: AgentLine) -> None:
        """Learn that an attempt has ended that an agent ran, or held something for; the agent may be lost by now."""

    def _on_woken(self) -> None:
        """Take in what another thread has called `wake` for."""

    def _on_beat(self) -> None:
        """Look after the engine, about once a second."""

    # The executor's contract.

    def now(self) -> float:
        """Return the experiment's time in seconds."""
        return monotonic() - self._began

    def start(self, command: Start) -> None:
        """Hand an attempt to an agent, once all are there that hold something for it."""
        if not self._has_said:
            self._say_where()
        lines = self._lines_for(command)
        assignment = assignment_of(command, self._folder)
        key = (command.trial, command.attempt)
        self._live[key] = lines[0]
        lines[0].live.add(key)
        if len(lines) == 1:
            self._hand_over(lines[0], assignment)
            return
        self._gangs[key] = Gang(lines, assignment)
        for line in lines[1:]:
            line.held.add(key)
        self._begin_if_complete(key)

    def _say_where(self) -> None:
        """Let agents find out whether they see the experiment's folder."""
        assert self._setup is not None, "open() comes first"
        self._has_said = True
        if self._setup.word:
            with contextlib.suppress(OSError):  # Without it they take it for another one, which is slow but right.
                Path(self._folder, PROBE).write_text(self._setup.word)

    def _begin_if_complete(self, key: tuple[int, int]) -> None:
        gang = self._gangs.get(key)
        if gang is not None and gang.is_waiting and gang.is_complete:
            gang.is_waiting = False
            self._hand_over(gang.lines[0], gang.assignment)

    def _hand_over(self, line: AgentLine, assignment: Assignment) -> None:
        try:
            self._send(line, assignment)
        except (OverflowError, TypeError) as error:
            message = f"{type(error).__name__}: the config cannot be sent to a worker: {error}"
            self._end(assignment.trial, assignment.attempt, "failed", Failure("exception", message))

    def proceed(self, command: Proceed) -> None:
        """Let a waiting attempt go on."""
        self._tell(command, Go(command.trial, command.attempt, command.until))

    def halt(self, command: Halt) -> None:
        """Ask an attempt to end at its next report."""
        self._tell(command, End(command.trial, command.attempt, command.save))

    def kill(self, command: Kill) -> None:
        """End an attempt by force."""
        self._tell(command, Stop(command.trial, command.attempt, command.grace))

    def wait(self, until: float | None) -> list[Event]:
        """Return what has happened.

        Raises:
            ExecutorError: Agents go away again and again.
        """
        self._pause(until)
        while not self._events:
            now = self.now()
            patience = BEAT if until is None else min(BEAT, until - now)
            is_woken = self._sleep(max(0.0, patience))
            if is_woken or (not self._events and until is not None and self.now() >= until):
                break
        events, self._events = self._events, []
        self._gathering.has_turned(events, monotonic())
        return events

    def _pause(self, until: float | None) -> None:
        """Let results come together where they come fast."""
        pause = self._gathering.pause
        if pause and not self._events:
            sleep(pause if until is None else max(0.0, min(pause, until - self.now())))

    def wake(self) -> None:
        """Make `wait` return soon."""
        with contextlib.suppress(OSError):  # A full pipe wakes as well; a closed one has nobody to wake.
            os.write(self._wake_out, b"!")

    def close(self) -> None:
        """Forget all lines; whoever opened them has closed them."""
        self._poller = select.poll()
        for descriptor in (self._wake_in, self._wake_out):
            if descriptor >= 0:
                os.close(descriptor)
        self._wake_in = self._wake_out = -1
        if self._has_said and self.lease:
            with contextlib.suppress(OSError):
                Path(self._folder, PROBE).unlink()
        self._has_said = False
        self._lines.clear()
        self._doubted.clear()
        self._live.clear()
        self._gangs.clear()

    # For subclasses.

    def _prepare(
        self,
        job: Job,
        at: float,
        *,
        by_main_thread: bool,
        hide_gpus: bool = False,
    ) -> None:
        """Get ready for `_introduce`: experiment time goes on from `at` seconds.

        Args:
            job: What all attempts share.
            at: Experiment time now.
            by_main_thread: Whether the main thread of its parent starts an agent.
            hide_gpus: Whether a trial without a GPU must be kept from seeing an agent's.

        Raises:
            ConfigError: The trainable, or what goes with it, cannot be sent to another process.
        """
        self._began = monotonic() - at
        self._folder = str(job.folder.absolute())
        self._payload = packed(job)
        self._setup = Setup(
            preload=modules_to_preload(job.trainable) + (RemoteFolder(job.storage).modules if job.storage else []),
            start_method=self._start_method,
            reuse=job.reuse_workers,
            threads={name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ},
            hide_gpus=hide_gpus,
            driver_timeout=self.driver_timeout,
            by_main_thread=by_main_thread,
            word=secrets.token_hex(16) if self.lease else "",
        )
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        self._poller.register(self._wake_in, select.POLLIN)
        os.set_blocking(self._wake_out, False)

    def _introduce(self, line: AgentLine) -> None:
        """Say first to an agent what it needs to know."""
        assert self._setup is not None, "open() comes first"
        assert self._payload is not None
        payload, buffers = self._payload
        line.send(self._setup)
        line.send(payload)
        for buffer in buffers:
            line.send_raw(buffer)
        self._watch(line)

    def _listen_to(self, line: AgentLine) -> None:
        """Read from now on what a connected agent writes."""
        assert line.socket is not None, "it is connected"
        self._lines[line.socket.fileno()] = line
        self._watch(line)
        for key in sorted(line.live | line.held):
            self._begin_if_complete(key)

    def _ignore(self, line: AgentLine) -> None:
        """Read no more of what an agent writes."""
        for descriptor in [descriptor for descriptor, other in self._lines.items() if other is line]:
            del self._lines[descriptor]
            self._poller.unregister(descriptor)
            line.watched_for = 0

    def _doubt(self, line: AgentLine, reason: str) -> bool:
        """Take it that an agent is gone as soon as it is certain that what it ran has ended; return whether it is now.

        Engines err, and networks break: before that nothing of it is run elsewhere.
        """
        if line.socket is None or self._has_certainly_ended(line):
            self._lose(line, reason)
            return True
        if line not in self._doubted:
            self._doubted[line] = reason
            line.dismiss()
        return False

    def _has_certainly_ended(self, line: AgentLine) -> bool:
        return monotonic() >= max(line.heard_at, line.greeted_at) + self.lease

    def _lose(self, line: AgentLine, reason: str) -> None:
        """End what an agent can no longer end."""
        self._ignore(line)
        reason = self._doubted.pop(line, "") or reason
        reason = self._on_lost(line, reason)
        for trial, attempt in sorted(line.live):
            self._end(trial, attempt, "lost", Failure("lost", reason))
        for key in sorted(line.held):
            self._bereave(key, line, reason)

    def _bereave(self, key: tuple[int, int], line: AgentLine, reason: str) -> None:
        """End an attempt that has lost a part of what it holds."""
        gang = self._gangs[key]
        gang.parts.discard(line)
        if gang.is_waiting:
            self._end(*key, "lost", Failure("lost", reason))
        elif gang.end is not None:
            self._end_with_last_part(key, gang)
        elif not gang.loss:
            gang.loss = reason
            self._send(gang.lines[0], Stop(*key, 0.0))

    # The lines.

    def _tell(self, command: Proceed | Halt | Kill, message: Go | End | Stop) -> None:
        key = (command.trial, command.attempt)
        line, gang = self._live.get(key), self._gangs.get(key)
        if gang is not None and gang.is_waiting:
            self._end(*key, "halted" if isinstance(command, Halt) else "killed", None)
        elif line is not None:
            self._send(line, message)

    def _sleep(self, patience: float) -> bool:
        """Wait for news and take it in; True if it was `wake` that ended the wait."""
        is_woken = False
        for descriptor, mask in self._poller.poll(math.ceil(patience * 1000)):
            line = self._lines.get(descriptor)
            if line is not None:
                self._serve(line, mask)
            elif descriptor == self._wake_in:
                is_woken = True
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_in, 4096)
                self._on_woken()
        now = monotonic()
        if now >= self._beat_at:
            self._beat_at = now + BEAT
            self._beat(now)
        return is_woken

    def _serve(self, line: AgentLine, mask: int) -> None:
        if mask & select.POLLOUT:
            assert line.outbox is not None
            line.outbox.flush()
            self._watch(line)
        if mask & ~select.POLLOUT:
            try:
                messages = line.receive()
            except OSError as error:
                self._ignore(line)
                self._doubt(line, f"the connection to the agent broke: {error}" if self.lease else "")
                return
            line.heard_at = monotonic()
            if messages is None:
                self._lose(line, "")
            else:
                self._gathering.has_read(len(messages))
                self._take(line, messages)

    def _beat(self, now: float) -> None:
        """Say to all agents that we live, and see whether they do."""
        for line, reason in list(self._doubted.items()):
            if self._has_certainly_ended(line):
                self._lose(line, reason)
        for line in list(self._lines.values()):
            silence = now - line.heard_at
            if line.is_ready and silence > self.agent_timeout:
                self._lose(line, f"the agent process was silent for {self.agent_timeout:g} s")
            elif not line.is_over and (silence <= GREETED_WHILE or not line.is_ready):
                self._greet(line, now)
        self._on_beat()

    def _greet(self, line: AgentLine, now: float) -> None:
        line.greet(now)
        self._watch(line)

    def _send(self, line: AgentLine, message: Message) -> None:
        line.send(message)
        self._watch(line)

    def _watch(self, line: AgentLine) -> None:
        """Have `_sleep` end when a line takes what it could not yet, if there is anything."""
        if line.socket is None or line.outbox is None or self._lines.get(line.socket.fileno()) is not line:
            return
        wanted = select.POLLIN | (select.POLLOUT if line.outbox.size else 0)
        if wanted != line.watched_for:
            line.watched_for = wanted
            self._poller.register(line.socket, wanted)

    def _take(self, line: AgentLine, messages: list[Incoming]) -> None:
        at, live, events = self.now(), line.live, self._events
        for message in messages:
            # The one hot line of the driver: asking for the type is five times faster than a class pattern.
            if type(message) is Report:
                if (message.trial, message.attempt) in live:
                    events.append(
                        Reported(
                            at=at,
                            trial=message.trial,
                            attempt=message.attempt,
                            number=message.number,
                            metrics=message.metrics,
                            elapsed=message.elapsed,
                            checkpoint=message.checkpoint,
                            waits=message.waits,
                            checkpoint_bytes=message.checkpoint_bytes,
                            checkpoint_failure=message.checkpoint_failure,
                        )
                    )
                continue
            match message:
                case Ended() | Gather():
                    self._take_of_attempt(line, message)
                case Started(trial, attempt, pid, host):
                    if (trial, attempt) in live:
                        events.append(AttemptStarted(at=at, trial=trial, attempt=attempt, pid=pid, host=host))
                case Ready() | Leaving() | Alive() | Printed():
                    self._hear(line, message)

    def _hear(self, line: AgentLine, message: Ready | Leaving | Alive | Printed) -> None:
        """Take in what an agent says for itself."""
        match message:
            case Ready():
                line.is_ready = True
                self.method = message.method
                self._greet(line, line.heard_at)
            case Leaving(reason):
                line.leaves = reason
                for trial, attempt in sorted(line.live | line.held):
                    self._send(self._live[trial, attempt], End(trial, attempt, save=True))
                self._on_leaving(line)
            case Alive():
                line.heard = message.at
            case Printed():
                if (message.trial, message.attempt) in line.live:
                    keep(Path(self._folder, trial_folder(message.trial)), message)

    def _take_end(self, line: AgentLine, message: Ended) -> None:
        outcome, failure = message.outcome, None
        if message.kind:
            failure = Failure(message.kind, message.message, message.where, message.traceback)
        gang = self._gangs.get((message.trial, message.attempt))
        reason = line.leaves if gang is None else gang.loss or gang.leaves
        if reason and outcome in ("halted", "lost", "killed", "failed"):
            # It goes on elsewhere, from what it has saved. Had it failed by itself, it would do so there; a batch
            # system's signal reaches what the user's code has started too, and what that leads to is no failure.
            outcome, failure = "lost", Failure("lost", reason)
        elif gang is not None and gang.failure is not None and outcome in ("failed", "lost", "killed"):
            outcome, failure = gang.failure
        saved = message.checkpoint, message.checkpoint_bytes, message.checkpoint_failure
        self._end(message.trial, message.attempt, outcome, failure, *saved)

    # Attempts of several parts, see `gangs`.

    def _take_of_attempt(self, line: AgentLine, message: Ended | Gather) -> None:
        key = (message.trial, message.attempt)
        if key in line.held and isinstance(message, Ended):
            self._take_part_end(line, message)
        elif key in line.live and isinstance(message, Ended):
            self._take_end(line, message)
        elif key in line.live and isinstance(message, Gather):
            self._gather(message)

    def _gather(self, message: Gather) -> None:
        key = (message.trial, message.attempt)
        gang = self._gangs.get(key)
        if gang is None or gang.loss or gang.end is not None:
            return
        for line, assignment in gang.gather(message.meeting):
            self._send(line, assignment)

    def _take_part_end(self, line: AgentLine, message: Ended) -> None:
        key = (message.trial, message.attempt)
        gang = self._gangs[key]
        if gang.take_part_end(line, message):
            self._send(gang.lines[0], Stop(*key, PART_GRACE))
        self._end_with_last_part(key, gang)

    def _end_with_last_part(self, key: tuple[int, int], gang: Gang) -> None:
        if gang.end is not None and not gang.parts:
            trial, attempt = key
            self._end(trial, attempt, *gang.end)

    def _end(
        self,
        trial: int,
        attempt: int,
        outcome: str,
        failure: Failure | None,
        checkpoint: str | None = None,
        checkpoint_bytes: int = 0,
        checkpoint_failure: str = "",
    ) -> None:
        gang = self._gangs.get((trial, attempt))
        if gang is not None and gang.parts:
            if gang.end is None:
                gang.end = outcome, failure, checkpoint, checkpoint_bytes, checkpoint_failure
                for part in gang.parts:
                    self._send(part, Stop(trial, attempt, PART_GRACE))
            return
        line = self._live.pop((trial, attempt), None)
        if line is None:
            return
        self._gangs.pop((trial, attempt), None)
        line.live.discard((trial, attempt))
        self._events.append(
            AttemptEnded(
                at=self.now(),
                trial=trial,
                attempt=attempt,
                outcome=outcome,
                failure=failure,
                checkpoint=checkpoint,
                checkpoint_bytes=checkpoint_bytes,
                checkpoint_failure=checkpoint_failure,
            )
        )
        for each in (line,) if gang is None else gang.lines:
            each.held.discard((trial, attempt))
            self._on_end(each)

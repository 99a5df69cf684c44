"""Runs attempts on this machine: one agent process, and workers that it forks. The driver never runs user code here.

Everything that `wait` returns came through the agent's socket, in the order in which it was written; what an agent can
no longer say, because it is gone, is said for it here.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import select
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

import msgspec

from ..core.commands import Halt, Kill, Proceed, Start
from ..core.events import AttemptEnded, AttemptStarted, Event, Failure, Node, Reported
from ..errors import ConfigError, ExecutorError
from ..layout import trial_folder
from ..remote import RemoteFolder
from ..worker.protocol import Assignment, End, Ended, Go, Report
from ..worker.wire import LARGE, LIMIT, Alive, Payload, Ping, Ready, Setup, Started, Stop
from .base import Executor, Job
from .by_value import pickled
from .connection import AgentConnection, Incoming, environments
from .machine import chosen_gpus, cpu_count, visible_gpus
from .preload import modules_to_preload

BEAT = 1.0
AGENT_TIMEOUT = 10.0
"""An agent that is ready and silent for so long is taken for lost."""
MOST_AGENTS = 4
"""After so many agents that went away by themselves there is something wrong that another one will not mend."""
CLOSE_PATIENCE = 5.0


class LocalExecutor(Executor):
    """Runs attempts in processes of this machine.

    Args:
        cpus: How many CPUs to count on; more than there are oversubscribes them. Default: those this process may use.
        gpus: How many of the visible GPUs to use, or which. Default: all.
        resources: Anything else that trials may ask for, e.g. `{"license": 2}`.
        start_method: "fork": each worker is forked from the agent, which has imported what the trainable needs;
            "exec": each is a new interpreter; "auto": fork where that is safe.
        driver_timeout: How long workers go on computing when the driver stands still (as under a debugger). When it
            dies they end at once, whatever this is.
    """

    can_hold = True
    runs_beside = True

    def __init__(
        self,
        *,
        cpus: float | None = None,
        gpus: int | Sequence[str] | None = None,
        resources: Mapping[str, float] | None = None,
        start_method: str = "auto",
        driver_timeout: float = 600.0,
    ) -> None:
        if start_method not in ("auto", "fork", "exec"):
            raise ConfigError(f"start_method={start_method!r}: give 'auto', 'fork' or 'exec'.")
        self._cpus = cpus
        self._gpus = gpus
        self._resources = dict(resources or {})
        self._start_method = start_method
        self._driver_timeout = driver_timeout
        self._name = socket.gethostname() or "localhost"
        self._began = monotonic()
        self._folder = ""
        self._setup: Setup | None = None
        self._payload: tuple[Payload, list[Any]] | None = None
        self._environment: dict[str, str] = {}
        self._agent: AgentConnection | None = None
        self._agents = 0
        self._live: set[tuple[int, int]] = set()
        self._events: list[Event] = []
        """What is known here before anyone asks."""
        self._heard_at = self._pinged_at = 0.0
        self._wake_in, self._wake_out = -1, -1
        self._poller = select.poll()
        """Of what wakes us, and of the agent while there is one."""
        self.method = ""
        """How workers are made (fork or exec), once the agent knows."""

    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        """Start the agent; return this machine. The agent prepares itself while the caller goes on.

        Raises:
            ConfigError: The trainable, or what goes with it, cannot be sent to another process.
        """
        self._began = monotonic() - at
        visible = visible_gpus()
        gpus = chosen_gpus(self._gpus, visible)
        own_threads, self._environment = environments(os.environ)
        self._folder = str(job.folder.absolute())
        self._payload = _packed(job)
        self._setup = Setup(
            preload=modules_to_preload(job.trainable) + (RemoteFolder(job.storage).modules if job.storage else []),
            start_method=self._start_method,
            reuse=job.reuse_workers,
            threads=own_threads,
            hide_gpus=bool(visible),
            driver_timeout=self._driver_timeout,
            by_main_thread=threading.current_thread() is threading.main_thread(),
        )
        self._wake_in, self._wake_out = os.pipe()
        os.set_blocking(self._wake_in, False)
        self._poller.register(self._wake_in, select.POLLIN)
        os.set_blocking(self._wake_out, False)
        self._launch_agent()
        cpus = float(cpu_count() if self._cpus is None else self._cpus)
        resources = {"cpu": cpus, **({"gpu": float(len(gpus))} if gpus else {}), **self._resources}
        return (Node(self._name, resources, gpus),)

    def now(self) -> float:
        """Return the experiment's time in seconds."""
        return monotonic() - self._began

    def start(self, command: Start) -> None:
        """Hand an attempt to the agent."""
        if self._agent is None:
            self._launch_agent()
        assert self._agent is not None
        progress, placement = command.progress, command.placement
        assignment = Assignment(
            trial=command.trial,
            attempt=command.attempt,
            config=command.config,
            until=command.until,
            experiment_folder=self._folder,
            trial_folder=trial_folder(command.trial),
            checkpoint=command.checkpoint,
            number=progress.number,
            elapsed=progress.elapsed,
            timesteps=progress.timesteps,
            episodes=progress.episodes,
            resources=placement.resources,
            gpus=placement.gpus,
            node=placement.node,
        )
        self._live.add((command.trial, command.attempt))
        try:
            self._agent.send(assignment)
        except (OverflowError, TypeError) as error:
            message = f"{type(error).__name__}: the config cannot be sent to a worker: {error}"
            self._end(command.trial, command.attempt, "failed", Failure("exception", message))

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
        while not self._events:
            now = self.now()
            patience = BEAT if until is None else min(BEAT, until - now)
            is_woken = self._sleep(max(0.0, patience))
            if is_woken or (not self._events and until is not None and self.now() >= until):
                break
        events, self._events = self._events, []
        return events

    def wake(self) -> None:
        """Make `wait` return soon."""
        with contextlib.suppress(OSError):  # A full pipe wakes as well; a closed one has nobody to wake.
            os.write(self._wake_out, b"!")

    def close(self) -> None:
        """Kill what runs; the agent sees to it that nothing is left."""
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.close(CLOSE_PATIENCE)
        self._poller = select.poll()
        for descriptor in (self._wake_in, self._wake_out):
            if descriptor >= 0:
                os.close(descriptor)
        self._wake_in = self._wake_out = -1
        self._live.clear()

    # The agent.

    def _launch_agent(self) -> None:
        assert self._setup is not None, "open() comes first"
        assert self._payload is not None
        payload, buffers = self._payload
        self._agents += 1
        agent = self._agent = AgentConnection(self._environment)
        self._heard_at = self._pinged_at = monotonic()
        agent.send(self._setup)
        agent.send(payload)
        for buffer in buffers:
            agent.send_raw(buffer)

    def _tell(self, command: Proceed | Halt | Kill, message: Go | End | Stop) -> None:
        if self._agent is not None and (command.trial, command.attempt) in self._live:
            self._agent.send(message)

    def _sleep(self, patience: float) -> bool:
        """Wait for news and take it in; True if it was `wake` that ended the wait."""
        agent = self._agent
        if agent is None:
            ready = dict(self._poller.poll(math.ceil(patience * 1000)))
        else:
            self._poller.register(agent.socket, select.POLLIN | (select.POLLOUT if agent.outbox.size else 0))
            ready = dict(self._poller.poll(math.ceil(patience * 1000)))
            self._serve(agent, ready.get(agent.socket.fileno(), 0))
        if self._wake_in not in ready:
            return False
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_in, 4096)
        return True

    def _serve(self, agent: AgentConnection, ready: int) -> None:
        now = monotonic()
        if ready & select.POLLOUT:
            agent.outbox.flush()
        if ready & ~select.POLLOUT:
            self._heard_at = now
            messages = agent.receive()
            if messages is None:
                self._lose(agent, "")
                return
            self._take(agent, messages)
        elif agent.is_ready and now - self._heard_at > AGENT_TIMEOUT:
            self._lose(agent, f"the agent process was silent for {AGENT_TIMEOUT:g} s")
            return
        if now - self._pinged_at >= BEAT:
            self._pinged_at = now
            agent.send(Ping())

    def _take(self, agent: AgentConnection, messages: list[Incoming]) -> None:
        at, live, events = self.now(), self._live, self._events
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
                case Ended():
                    failure = None
                    if message.kind:
                        failure = Failure(message.kind, message.message, message.where, message.traceback)
                    saved = message.checkpoint, message.checkpoint_bytes, message.checkpoint_failure
                    self._end(message.trial, message.attempt, message.outcome, failure, *saved)
                case Started(trial, attempt, pid, host):
                    if (trial, attempt) in live:
                        events.append(AttemptStarted(at=at, trial=trial, attempt=attempt, pid=pid, host=host))
                case Ready():
                    agent.is_ready = True
                    self.method = message.method
                case Alive():
                    pass

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
        if (trial, attempt) in self._live:
            self._live.remove((trial, attempt))
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

    def _lose(self, agent: AgentConnection, reason: str) -> None:
        """End what an agent can no longer end; the next start gets another agent."""
        self._agent = None
        with contextlib.suppress(KeyError):
            self._poller.unregister(agent.socket)
        words = agent.close(0.0 if reason else CLOSE_PATIENCE)
        reason = reason or words
        if not agent.is_ready and self._setup is not None and self._setup.preload:
            # Perhaps it died of what it imported; a worker that dies of it can say so in its trial's name.
            self._setup = msgspec.structs.replace(self._setup, preload=[])
        for trial, attempt in sorted(self._live):
            self._end(trial, attempt, "lost", Failure("lost", reason))
        if self._agents >= MOST_AGENTS:
            raise ExecutorError(f"{reason}. It was the {self._agents}th that went away by itself; giving up.")


def _packed(job: Job) -> tuple[Payload, list[Any]]:
    """Return what workers need of a job, and the large buffers in it, which travel uncopied."""
    trainable, of_trainable = _pickled(job.trainable, f"the trainable {job.trainable!r}")
    parameters, of_parameters = _pickled(dict(job.parameters), "the data given to with_parameters")
    objects, of_objects = _pickled(dict(job.objects), "an object in the search space")
    payload = Payload(
        trainable=trainable,
        parameters=parameters,
        objects=objects,
        buffers=(len(of_trainable), len(of_parameters), len(of_objects)),
        experiment=job.experiment,
        seed=job.seed,
        time_attr=job.time_attr,
        thresholds={name: float(value) for name, value in job.thresholds.items()},
        metric=job.metric,
        more_metrics=job.more_metrics,
        checkpoint_freq=job.checkpoint_freq,
        checkpoint_at_end=job.checkpoint_at_end,
        saves_when_waiting=job.saves_when_waiting,
        storage=job.storage,
    )
    return payload, [*of_trainable, *of_parameters, *of_objects]


def _pickled(value: Any, what: str) -> tuple[bytes, list[Any]]:
    buffers: list[Any] = []

    def takes(buffer: pickle.PickleBuffer) -> bool:
        view = buffer.raw()
        if view.nbytes >= LARGE:
            buffers.append(view)
        return view.nbytes < LARGE

    try:
        data = pickled(value, buffer_callback=takes)
    except Exception as error:
        raise ConfigError(
            f"{what} cannot be sent to a worker process: {type(error).__name__}: {error}. "
            "Make such things (locks, open files, connections) inside the trainable."
        ) from error
    if max([len(data), *(buffer.nbytes for buffer in buffers)]) > LIMIT:
        raise ConfigError(f"{what} holds a piece of more than 4 GiB. Pass a path, and load the data in the trainable.")
    return data, buffers

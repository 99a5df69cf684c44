"""A worker process: what surrounds the user's code in it, and the attempts that it runs one after another.

The agent forks it from its warm image (`forked`) or starts it anew (`main`); from there on both are the same. Nothing
of an attempt may reach the next one in the same process but what the user's own modules keep.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import importlib
import os
import pickle
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from itertools import pairwise
from types import FrameType
from typing import Any

import msgspec

from . import system
from .protocol import Assignment, End, Ended, Gather, Go, Report
from .runner import Runner, WorkerJob
from .session import TrialHalted
from .wire import Bytes, FrameReader, Idle, Payload, Setup, frame

POLL_INTERVAL = 0.001
"""A report that need not wait looks for news from the driver at most this often."""
RECYCLE_AFTER = 1000
"""A reused worker makes room for a fresh one after so many attempts: whatever leaks, leaks no further."""

_Incoming = Setup | Payload | Assignment | Go | End
_decoder: msgspec.msgpack.Decoder[_Incoming] = msgspec.msgpack.Decoder(_Incoming)
_IDLE = frame(Idle())
_payload_decoder = msgspec.msgpack.Decoder(Payload)


class Termination:
    """Turns an order to end into `TrialHalted` in the user's code, once, and never in the middle of a message.

    Args:
        order: The signal that the order comes as. If that is not SIGTERM, then SIGTERM, SIGUSR1 and SIGUSR2 come from
            a batch system, to all processes of a job, and end nothing here: the agent hears them too, and says what
            follows. The user's code may have handlers of its own for them.
    """

    __slots__ = ("_is_raised", "is_open", "is_ordered")

    def __init__(self, order: int = signal.SIGTERM) -> None:
        self.is_open = False
        """Whether the exception may be raised right now."""
        self.is_ordered = False
        self._is_raised = False
        held = held_signals(order)
        for number in held.difference((signal.SIGTERM, order)):
            signal.signal(number, signal.SIG_IGN)  # in what the user's code starts too
        # Not ignored: what the user's code starts could not be ended any more.
        signal.signal(signal.SIGTERM, _leave_to_agent)
        signal.signal(order, self._on_signal)
        # The agent starts its workers with these held back, so that none is lost before the handlers stand.
        _release(held)
        # A child that user code forks (a pool's, a data loader's) ends by them as if the handlers were not there.
        os.register_at_fork(
            before=partial(_hold, held),
            after_in_parent=partial(_release, held),
            after_in_child=partial(_disown, order, held),
        )

    def reset(self) -> None:
        """Get ready for another attempt."""
        self.is_open = self.is_ordered = self._is_raised = False

    def raise_if_ordered(self) -> None:
        """Raise what could not be raised while it came."""
        if self.is_ordered and not self._is_raised:
            self._is_raised = True
            raise TrialHalted

    def _on_signal(self, number: int, at: FrameType | None) -> None:
        self.is_ordered = True
        if self.is_open:
            self.raise_if_ordered()


def held_signals(order: int) -> set[int]:
    """Return the signals that a worker has handlers for."""
    return {order} if order == signal.SIGTERM else {order, *system.HOST_SIGNALS}


def _leave_to_agent(number: int, at: FrameType | None) -> None:
    pass


def _hold(held: set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, held)


def _release(held: set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, held)


def _disown(order: int, held: set[int]) -> None:
    for number in (signal.SIGTERM, order):
        signal.signal(number, signal.SIG_DFL)
    _release(held)


class Line:
    """The worker's end of its socket; during an attempt it is that attempt's `Channel`."""

    def __init__(self, sock: socket.socket, termination: Termination) -> None:
        sock.setblocking(True)
        self._socket = sock
        self._reader = FrameReader(sock)
        self._inbox: deque[Bytes] = deque()
        self._termination = termination
        self._trial = self._attempt = -1
        self._next_poll = 0.0

    def open(self, assignment: Assignment) -> None:
        """Carry this attempt's messages from now on."""
        self._trial, self._attempt = assignment.trial, assignment.attempt

    def send(self, report: Report | Gather) -> None:
        """Send a report; blocks while the driver is slower."""
        termination = self._termination
        # Half a frame would garble everything that follows.
        termination.is_open = False
        try:
            self._socket.sendall(frame(report))
        finally:
            termination.is_open = True
        termination.raise_if_ordered()

    def receive(self, *, block: bool) -> Go | End | None:
        """Return the next verdict for the open attempt; without `block`, None when there is none yet."""
        while True:
            while self._inbox:
                message = _decoder.decode(self._inbox.popleft())
                if isinstance(message, Go | End) and (message.trial, message.attempt) == (self._trial, self._attempt):
                    return message
            if not block:
                now = time.monotonic()
                if now < self._next_poll:
                    return None
                self._next_poll = now + POLL_INTERVAL
            if not self._read(0 if block else socket.MSG_DONTWAIT):
                return None

    def close_attempt(self, ended: Ended, *, is_idle: bool) -> None:
        """Send the end of an attempt, and whether this worker can take another."""
        data = frame(ended)
        if is_idle:
            data += _IDLE
        self._socket.sendall(data)

    def next_message(self) -> _Incoming:
        """Wait for a message of any kind."""
        return _decoder.decode(self.next_body())

    def next_body(self) -> Bytes:
        """Wait for a message or a large buffer."""
        while not self._inbox:
            self._read(0)
        return self._inbox.popleft()

    def _read(self, flags: int) -> bool:
        try:
            frames = self._reader.read(flags)
        except BlockingIOError:
            return False
        except ConnectionError:
            frames = None
        if frames is None:
            os._exit(0)  # The agent is gone: nobody is left to work for, and no cleanup may hold this process up.
        data, bounds = frames
        for start, end in pairwise(bounds):
            self._inbox.append(data[start + 4 : end])
        return True


class Worker:
    """One process and the attempts it runs."""

    def __init__(
        self,
        line: Line,
        outputs: tuple[int, int],
        termination: Termination,
        setup: Setup,
        *,
        is_forked: bool,
        beside: Collection[int] = (),
    ) -> None:
        self._line = line
        self._outputs = outputs
        self._termination = termination
        self._setup = setup
        self._is_forked = is_forked
        """Whether it has an environment, and libraries with their threads, that were not made for it."""
        self._beside = beside
        """Children of this process that are not the attempts'."""
        self._payload: tuple[Payload, Sequence[Bytes]] | None = None
        self._runner: Runner | None = None
        self._environment: dict[bytes, bytes] = {}
        self._folder = ""
        self._attempts = 0

    def serve(self, payload: Payload, buffers: Sequence[Bytes], assignment: Assignment | None) -> None:
        """Run attempts until there is no reason to go on; `assignment` is the first when it is known already."""
        self._payload = (payload, buffers)
        is_idle = True
        while is_idle:
            while assignment is None:
                message = self._line.next_message()
                assignment = message if isinstance(message, Assignment) else None
            ended = self._attempt(assignment)
            assignment = None
            is_idle = self._setup.reuse and self._is_as_new()
            if not is_idle:
                self._leave()
            _flush()
            self._line.close_attempt(ended, is_idle=is_idle)

    def _attempt(self, assignment: Assignment) -> Ended:
        self._attempts += 1
        termination = self._termination
        termination.reset()
        self._line.open(assignment)
        try:
            self._surround(assignment)
            termination.is_open = True
            self._runner = self._runner or Runner(self._opened_job())
            ended = self._runner.run(assignment, self._line)
            termination.is_open = False
        except BaseException as error:  # noqa: BLE001  the edge of user code: unpickling runs it too
            termination.is_open = False
            ended = _failed(assignment, error)
        if termination.is_ordered and ended.outcome != "done":
            return msgspec.structs.replace(ended, outcome="killed", kind="", message="", where="", traceback="")
        return ended

    def _surround(self, assignment: Assignment) -> None:
        # Each time: user code may have turned the descriptors elsewhere.
        for number, descriptor in enumerate(self._outputs, 1):
            os.dup2(descriptor, number)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        if self._attempts == 1:
            _open_streams()
            shape = shape_of(assignment)
            if self._is_forked:
                variables = shape_variables(self._setup, shape)
                os.environ.update(variables)
                _raise_threads(int(variables["OMP_NUM_THREADS"]) if variables["OMP_NUM_THREADS"].isdigit() else 1)
            else:
                preload(self._setup.preload)
            if self._setup.reuse:
                self._environment = _environment().copy()
                self._folder = os.getcwd()  # noqa: PTH109  for each attempt: a path object costs ten times as much
        elif _environment() != self._environment:
            os.environb.clear()
            os.environb.update(self._environment)

    def _opened_job(self) -> WorkerJob:
        assert self._payload is not None
        payload, buffers = self._payload
        self._payload = None
        rest = iter(buffers)
        trainable, parameters, objects = (
            _unpickled(what, data, count, rest)
            for what, data, count in zip(
                ("the trainable", "the parameters of with_parameters", "the objects in the search space"),
                (payload.trainable, payload.parameters, payload.objects),
                payload.buffers,
                strict=True,
            )
        )
        return WorkerJob(
            trainable=trainable,
            experiment=payload.experiment,
            seed=payload.seed,
            parameters=parameters,
            objects=objects,
            time_attr=payload.time_attr,
            thresholds=payload.thresholds,
            metric=payload.metric,
            more_metrics=payload.more_metrics,
            checkpoint_freq=payload.checkpoint_freq,
            checkpoint_at_end=payload.checkpoint_at_end,
            saves_when_waiting=payload.saves_when_waiting,
            storage=payload.storage,
            order=self._setup.order,
            depot=self._setup.depot,
        )

    def _leave(self) -> None:
        """Do what the interpreter does at its end, as far as user code can see it."""
        try:
            if self._runner is not None:
                self._runner.close()
            threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are not daemons
            atexit._run_exitfuncs()
        except BaseException:  # noqa: BLE001  the edge of user code
            traceback.print_exc()

    def _is_as_new(self) -> bool:
        return (
            self._attempts < RECYCLE_AFTER
            and self._runner is not None
            and not any(thread is not threading.main_thread() and not thread.daemon for thread in threading.enumerate())
            and not (set(system.children()).difference(self._beside) if self._beside else _has_children())
            and _is_in(self._folder)
        )


def shape_of(assignment: Assignment) -> tuple[int, tuple[str, ...]]:
    """Return what cannot change in a living process: how many threads to use, and the GPUs of all bundles here."""
    here = assignment.shares_here
    gpus = (gpu for share in here for gpu in share.gpus)
    return max(1, int(here[0].resources.get("cpu", 1))), tuple(dict.fromkeys(gpus))


def shape_variables(setup: Setup, shape: tuple[int, tuple[str, ...]]) -> dict[str, str]:
    """Return the environment variables that a worker of this shape gets."""
    threads, gpus = shape
    variables = dict.fromkeys(system.THREAD_VARIABLES, str(threads)) | setup.threads
    if gpus or setup.hide_gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    return variables


def preload(modules: Sequence[str]) -> None:
    """Import what the user's code will need. What cannot be imported is left to fail where the user can see it."""
    for name in modules:
        try:
            importlib.import_module(name)
        except BaseException:  # noqa: BLE001  a module may raise anything, SystemExit included
            continue


def forked(
    sock: socket.socket,
    outputs: tuple[int, int],
    setup: Setup,
    parent: int,
    job: tuple[Bytes, Sequence[Bytes]],
    assignment: Assignment,
) -> None:
    """Be a worker in a process that the agent has just forked."""
    _enter(parent)
    termination = Termination(setup.order)
    worker = Worker(Line(sock, termination), outputs, termination, setup, is_forked=True)
    # What the agent's imports registered is the agent's to run: here it would delete what others still use.
    atexit._clear()
    for module, function in (("logging", "shutdown"), ("multiprocessing.util", "_exit_function")):
        if module in sys.modules:
            atexit.register(getattr(sys.modules[module], function))
    # Read only now: the agent itself never opens what the user has pickled.
    worker.serve(_payload_decoder.decode(job[0]), job[1], assignment)


def main(descriptor: int, parent: int, order: int) -> None:
    """Be a worker in a process of its own."""
    _enter(parent)
    termination = Termination(order)
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    line = Line(sock, termination)
    setup, payload, buffers = _introduced(line)
    outputs = os.dup(1), os.dup(2)
    Worker(line, outputs, termination, setup, is_forked=False).serve(payload, buffers, None)
    # The interpreter's own end would take long with large libraries, and may hang in them.
    os._exit(0)


def hosted(sock: socket.socket, outputs: tuple[int, int], termination: Termination, agent: int) -> None:
    """Be a worker in a process that goes on afterwards; `agent` is a child of it."""
    line = Line(sock, termination)
    setup, payload, buffers = _introduced(line)
    Worker(line, outputs, termination, setup, is_forked=True, beside=(agent,)).serve(payload, buffers, None)


def _introduced(line: Line) -> tuple[Setup, Payload, list[Bytes]]:
    setup, payload = line.next_message(), line.next_message()
    assert isinstance(setup, Setup)
    assert isinstance(payload, Payload)
    return setup, payload, [line.next_body() for _ in range(sum(payload.buffers))]


def _enter(parent: int) -> None:
    """Become a process that ends with its parent, takes its descendants along, and that no terminal reaches."""
    os.setsid()
    system.die_with_parent(parent, signal.SIGKILL)
    system.adopt_orphans()
    system.offer_to_oom_killer()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)


def _open_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        # By lines, so that a trial that hangs or is killed has shown what it printed.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    faulthandler.enable()


def _raise_threads(count: int) -> None:
    """Give libraries that were imported with one thread `count` of them; they no longer read the environment."""
    if count == 1:
        return
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(count)
    if "numpy" in sys.modules:
        # Optional: without it these libraries stay at one thread, which is slow but right.
        with contextlib.suppress(ImportError):
            importlib.import_module("threadpoolctl").threadpool_limits(limits=count)


def _unpickled(what: str, data: bytes, count: int, buffers: Iterator[Bytes]) -> Any:
    own = [next(buffers) for _ in range(count)]
    try:
        return pickle.loads(data, buffers=own)  # noqa: S301  the user's own code, from the user's own driver
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        raise pickle.UnpicklingError(f"{what} cannot be rebuilt in the worker: {reason}") from error


def _failed(assignment: Assignment, error: BaseException) -> Ended:
    story = "".join(traceback.format_exception(error))
    message = f"{type(error).__name__}: {error}"
    return Ended(assignment.trial, assignment.attempt, "failed", "exception", message, "", story)


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _is_in(folder: str) -> bool:
    try:
        return os.getcwd() == folder  # noqa: PTH109  as above
    except OSError:  # It was deleted under us.
        return False


def _environment() -> dict[bytes, bytes]:
    """Return what is behind `os.environ`: going through that itself decodes every variable."""
    found: dict[bytes, bytes] = vars(os.environ)["_data"]
    return found


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            continue  # The disk is full, or user code has closed or replaced it; its output is lost, not its trial.
    system.flush_c_streams()

"""The agent: the supervisor of the workers on one machine. One thread, one loop, one socket to its driver.

It makes a worker per attempt, passes messages on in both directions without reading the workers' ones, and sees to it
that every attempt has exactly one end, that this end comes after the attempt's processes are gone, and that nothing
outlives the driver. It never runs the user's code, preloading (imports only) aside, and never opens what is pickled.
"""

from __future__ import annotations

import gc
import os
import resource
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from types import FrameType

import msgspec

from . import process, system
from .away import MOST, Away
from .depot import Address
from .lease import Lease
from .output import NAMES, Output
from .process import shape_of, shape_variables
from .protocol import Assignment, End, Ended, Go, Message
from .supervised import Worker
from .wire import (
    ENDED,
    IDLE,
    KIND,
    Alive,
    Bytes,
    FrameReader,
    Leaving,
    Outbox,
    Payload,
    Ping,
    Ready,
    Setup,
    Started,
    Stop,
    frame,
    header,
)  # fmt: skip

QUEUE_LIMIT = 1 << 20
"""Workers are not read while this much waits to be sent to the driver: they block, nothing is lost."""
BEAT = 1.0
MOST_OUTPUT = 1 << 26
"""Of what is printed, so much is written to files between two beats, lest a slow disk holds everything up."""
HANG_UP_PATIENCE = 1.0
"""Seconds in which the driver must have seen that this is the end."""
EXIT_GRACE = 5.0
"""How long a worker may take to be gone after its attempt has ended."""

_decoder = msgspec.msgpack.Decoder(Setup | Payload | Assignment | Go | End | Stop | Ping)
_READ, _WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE


class Agent:
    """The loop.

    Args:
        sock: To the driver.
        driver: The process that it must not outlive.
        lease: What a driver on another machine has granted it; None: the driver is on this machine.
        depot: How a driver on another machine takes checkpoints.
    """

    def __init__(
        self, sock: socket.socket, driver: int, *, lease: Lease | None = None, depot: Address | None = None
    ) -> None:
        sock.setblocking(False)
        self._driver = driver
        self._socket = sock
        self._reader = FrameReader(sock)
        self._outbox = Outbox(sock)
        self._setup: Setup | None = None
        self._forks = False
        self._job: tuple[Bytes, list[Bytes]] = (b"", [])
        self._buffers_to_come = 0
        self._workers: dict[int, Worker] = {}
        self._running: dict[tuple[int, int], Worker] = {}
        self._idle: dict[tuple[int, tuple[str, ...]], list[Worker]] = {}
        self._deadlines: set[Worker] = set()
        self._is_paused = self._is_writing = False
        self._is_over = False
        self._is_guest = lease is not None
        """Whether it runs where others may tell it to leave: by SIGTERM, SIGUSR1 or SIGUSR2, as batch systems do."""
        self._leaves_by = 0
        """The signal that told it so."""
        self._order: int = system.GUEST_ORDER if self._is_guest else signal.SIGTERM
        """What tells a worker to end."""
        self._memory = system.OutOfMemoryWatch()
        self._host = socket.gethostname()
        self._lease = Lease(system.steady_clock(counts_sleep=False), counts_sleep=False) if lease is None else lease
        self._deferred: list[tuple[Assignment, Bytes]] = []
        """What came while the lease was over: the driver may have given it to others meanwhile."""
        self._depot = depot
        self._away = Away()
        self._heard_at = time.monotonic()
        self._beat_at = self._heard_at + BEAT
        self._files = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._selector = selectors.DefaultSelector()
        self._wakeup_in, self._wakeup_out = socket.socketpair()

    def run(self) -> None:
        """Serve the driver until it is gone or silent; then end everything."""
        self._prepare()
        while not self._is_over:
            for key, mask in self._selector.select(self._patience()):
                handle: Callable[[int], None] = key.data
                handle(mask)
            now = time.monotonic()
            if self._deadlines:
                self._kill_overdue(now)
            if now >= self._beat_at:
                self._beat(now)
        self._end_everything()
        if self._is_guest:
            self._hang_up()
        self._away.clear()

    def _prepare(self) -> None:
        system.adopt_orphans()
        self._wakeup_in.setblocking(False)
        self._wakeup_out.setblocking(False)
        signal.set_wakeup_fd(self._wakeup_out.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda number, at: None)
        # Also tells of the driver's death when a child of the driver still holds its end of the socket. The signal
        # comes too when only the thread ends that started this process: the handler knows the difference.
        signal.signal(signal.SIGTERM, self._on_terminate)
        if self._is_guest:
            for number in system.HOST_SIGNALS:
                if number != signal.SIGTERM:
                    signal.signal(number, self._on_leave)
        system.die_with_parent(self._driver, signal.SIGTERM)
        # A descriptor or two per worker.
        resource.setrlimit(resource.RLIMIT_NOFILE, (self._files[1], self._files[1]))
        self._selector.register(self._wakeup_in, _READ, self._on_signal)
        self._selector.register(self._socket, _READ, self._on_driver)

    def _on_terminate(self, number: int, at: FrameType | None) -> None:
        # A process that ends is the parent until the last of its threads has.
        if os.getppid() != self._driver or (self._is_guest and system.is_exiting(self._driver)):
            self._is_over = True
            if self._setup is not None and not self._workers:
                os._exit(0)  # It may be in the middle of a long import.
        elif self._is_guest:
            self._on_leave(number, at)

    def _on_leave(self, number: int, at: FrameType | None) -> None:
        self._leaves_by = self._leaves_by or number  # The loop is woken by the signal, and says it.

    def _patience(self) -> float:
        until = min([self._beat_at, *(worker.deadline for worker in self._deadlines if worker.deadline is not None)])
        return max(0.0, until - time.monotonic())

    # From the driver.

    def _on_driver(self, mask: int) -> None:
        if mask & _WRITE:
            self._outbox.flush()
            self._after_writing()
        if not mask & _READ:
            return
        self._heard_at = time.monotonic()
        try:
            frames = self._reader.read()
        except BlockingIOError:
            return
        except OSError:  # also what a network that is down for long ends in
            frames = None
        if frames is None:
            self._is_over = True
            return
        data, bounds = frames
        for start, end in pairwise(bounds):
            self._take(data[start:end])

    def _take(self, framed: Bytes) -> None:
        if self._buffers_to_come:
            self._buffers_to_come -= 1
            self._job[1].append(framed[4:])
            return
        match _decoder.decode(framed[4:]):
            case Assignment() as assignment if self._lease.is_over:
                self._deferred.append((assignment, framed))
            case Assignment() as assignment:
                self._launch(assignment, framed)
            case Go() | End() as verdict:
                worker = self._running.get((verdict.trial, verdict.attempt))
                if worker is not None:
                    self._write(worker, framed)
            case Stop(trial, attempt, grace):
                self._stop((trial, attempt), grace)
            case Setup() as setup:
                self._set_up(setup)
            case Payload() as payload:
                self._job = (framed[4:], [])
                self._buffers_to_come = sum(payload.buffers)
            case Ping(at, heard):
                self._lease.renew(at, heard)
                if not self._lease.is_over:
                    deferred, self._deferred = self._deferred, []
                    for each in deferred:
                        self._launch(*each)

    def _set_up(self, setup: Setup) -> None:
        self._setup = msgspec.structs.replace(setup, order=self._order)
        self._lease.set_length(setup.driver_timeout)
        self._forks = setup.start_method != "exec" and hasattr(os, "fork")
        if self._forks:
            # In the middle of a long import nobody else looks whether the driver is still there.
            system.die_with_parent(self._driver, signal.SIGKILL if setup.by_main_thread else signal.SIGTERM)
            # What functions are sent with is needed to open them.
            process.preload(["cloudpickle", *setup.preload])
            if "numpy" in sys.modules:
                process.preload(["numpy.random"])  # which each worker seeds, and numpy imports only on use
            system.die_with_parent(self._driver, signal.SIGTERM)
            # Only this thread would live on in a fork; locks that others hold, and their pools, would hang the child.
            self._forks = setup.start_method == "fork" or (system.IS_LINUX and system.thread_count() == 1)
        gc.collect()
        gc.freeze()  # The collector would touch, and so copy, every page that workers share.
        self._send(Alive(self._lease.now()))  # The answer comes with what is sent next, and makes the lease a new one.
        self._send(Ready("fork" if self._forks else "exec"))
        self._heard_at = time.monotonic()

    # Workers.

    def _launch(self, assignment: Assignment, framed: Bytes) -> None:
        self._lease.enforce()
        assert self._setup is not None, "the driver tells first how workers are made"
        if self._depot is not None and self._away.look(assignment.experiment_folder, self._setup.word):
            self._setup = msgspec.structs.replace(self._setup, depot=self._depot)
        if self._away.folder:
            assignment = msgspec.structs.replace(assignment, experiment_folder=self._away.folder)
            framed = frame(assignment)
        worker = self._idle_worker(shape_of(assignment))
        try:
            if worker is not None:
                self._write(worker, framed)
            elif self._forks:
                worker = self._fork(assignment)
            else:
                worker = self._spawn(assignment, framed)
        except OSError as error:
            message = f"{self._host} cannot start a process for it: {error}"
            self._send(Ended(assignment.trial, assignment.attempt, "lost", "lost", message))
            return
        worker.trial, worker.attempt = assignment.trial, assignment.attempt
        worker.folder = f"{assignment.experiment_folder}/{assignment.trial_folder}"
        worker.is_kill_ordered = False
        self._running[worker.trial, worker.attempt] = worker
        self._send(Started(worker.trial, worker.attempt, worker.pid, self._host))

    def _idle_worker(self, shape: tuple[int, tuple[str, ...]]) -> Worker | None:
        same = self._idle.get(shape)
        if same:
            return same.pop()
        for others in self._idle.values():
            if others:
                # The driver starts no more than fits: so one that idles in another shape makes room for the new one.
                system.kill_group(others.pop().pid)
                break
        return None

    def _fork(self, assignment: Assignment) -> Worker:
        assert self._setup is not None
        ours, its = socket.socketpair()
        outputs = _outputs()
        agent = os.getpid()
        held = process.held_signals(self._order)
        signal.pthread_sigmask(signal.SIG_BLOCK, held)
        try:
            pid = os.fork()
            if pid == 0:
                try:
                    self._forget(ours)
                    descriptors = outputs[0].descriptor, outputs[1].descriptor
                    process.forked(its, descriptors, self._setup, agent, self._job, assignment)
                finally:
                    os._exit(0)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
        its.close()
        return self._hire(pid, ours, outputs, assignment)

    def _forget(self, ours: socket.socket) -> None:
        """Close in a forked child what is the agent's."""
        ours.close()
        self._selector.close()
        for mine in (self._socket, self._wakeup_in, self._wakeup_out):
            mine.close()
        for worker in self._workers.values():
            worker.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, self._files)

    def _spawn(self, assignment: Assignment, framed: Bytes) -> Worker:
        assert self._setup is not None
        ours, its = socket.socketpair()
        its.set_inheritable(True)
        outputs = _outputs()
        actions = [(os.POSIX_SPAWN_DUP2, output.descriptor, number) for number, output in enumerate(outputs, 1)]
        variables = shape_variables(self._setup, shape_of(assignment))
        command = system.interpreter("tunesmith.worker.process", its.fileno(), os.getpid(), int(self._order))
        environment, held = {**os.environ, **variables}, process.held_signals(self._order)
        pid = os.posix_spawn(command[0], command, environment, file_actions=actions, setsigmask=held)
        its.close()
        worker = self._hire(pid, ours, outputs, assignment)
        self._brief(worker, framed)
        return worker

    def _brief(self, worker: Worker, framed: Bytes) -> None:
        """Tell a worker that knows nothing yet all that it needs, and its first assignment."""
        assert self._setup is not None
        payload, buffers = self._job
        self._write(worker, frame(self._setup))
        for body in (payload, *buffers):
            worker.outbox.put(header(body))
            worker.outbox.put(body)
        self._write(worker, framed)

    def _hire(self, pid: int, sock: socket.socket, outputs: tuple[Output, Output], assignment: Assignment) -> Worker:
        sock.setblocking(False)
        worker = Worker(pid, sock, outputs, shape_of(assignment))
        self._workers[pid] = worker
        self._watch(worker)
        return worker

    def _watch(self, worker: Worker) -> None:
        wanted = (0 if self._is_paused else _READ) | (_WRITE if worker.outbox.size else 0)
        self._want(worker.socket, wanted, lambda mask: self._on_worker(worker, mask))

    def _want(self, sock: socket.socket, wanted: int, handle: Callable[[int], None]) -> None:
        key = self._selector.get_map().get(sock)
        if wanted and key is None:
            self._selector.register(sock, wanted, handle)
        elif key is not None and not wanted:
            self._selector.unregister(sock)
        elif key is not None and key.events != wanted:
            self._selector.modify(sock, wanted, handle)

    def _write(self, worker: Worker, data: Bytes) -> None:
        worker.outbox.put(data)
        if worker.outbox.size:
            self._watch(worker)

    # From a worker.

    def _on_worker(self, worker: Worker, mask: int) -> None:
        if worker.exit_code is not None:
            return  # Buried earlier in this very turn.
        if mask & _WRITE:
            worker.outbox.flush()
            self._watch(worker)
        if mask & _READ:
            self._read(worker)

    def _read(self, worker: Worker) -> bool:
        """Relay what a worker has sent; False when there is nothing more for now."""
        try:
            frames = worker.reader.read()
        except BlockingIOError:
            return False
        except ConnectionError:
            frames = None
        if frames is None:
            self._want(worker.socket, 0, self._on_driver)
            return False
        data, bounds = frames
        end, is_idle = bounds[-1], False
        for start, following in pairwise(bounds):
            kind = data[start + KIND]
            if kind == ENDED:
                worker.ended = bytes(data[start:following])
                end = start
            elif kind == IDLE:
                is_idle = True
                end = min(end, start)
        self._relay(data[:end])
        if is_idle:
            self._conclude(worker)
            self._idle.setdefault(worker.shape, []).append(worker)
        elif worker.ended is not None and worker.deadline is None:
            self._set_deadline(worker, EXIT_GRACE)
        return True

    def _conclude(self, worker: Worker) -> None:
        """Tell the driver of the end of a worker's attempt, if it has one."""
        self._set_deadline(worker, None)
        if not worker.is_busy:
            return
        del self._running[worker.trial, worker.attempt]
        self._move_output(worker)
        if self._away.folder:
            for each in self._away.error(worker):
                self._send(each)
        self._relay(worker.end(self._memory, is_guest=self._is_guest))
        worker.trial = worker.attempt = -1
        worker.ended = None

    # Ends.

    def _stop(self, key: tuple[int, int], grace: float) -> None:
        worker = self._running.get(key)
        if worker is None:
            return
        worker.is_kill_ordered = True
        if grace > 0:
            os.kill(worker.pid, self._order)
            self._set_deadline(worker, grace)
        else:
            system.kill_group(worker.pid)

    def _set_deadline(self, worker: Worker, seconds: float | None) -> None:
        if seconds is None:
            worker.deadline = None
            self._deadlines.discard(worker)
        else:
            worker.deadline = time.monotonic() + seconds
            self._deadlines.add(worker)

    def _kill_overdue(self, now: float) -> None:
        for worker in [worker for worker in self._deadlines if worker.deadline is not None and worker.deadline <= now]:
            self._set_deadline(worker, None)
            system.kill_group(worker.pid)

    def _on_signal(self, mask: int) -> None:
        self._wakeup_in.recv(4096)
        if self._leaves_by > 0:
            # Before any end that the same signal may have brought to workers.
            self._send(Leaving(f"{self._host} was told to stop by {signal.Signals(self._leaves_by).name}"))
            self._leaves_by = -1
        dead: list[Worker] = []
        while (ended := _reaped()) is not None:
            pid, code = ended
            worker = self._workers.pop(pid, None)
            if worker is not None:
                worker.exit_code = code
                dead.append(worker)
        system.kill_orphans(self._workers.keys())
        for worker in dead:
            self._bury(worker)

    def _bury(self, worker: Worker) -> None:
        # No more can come than what the socket held: it is read even while the others have to wait.
        while self._read(worker):
            pass
        self._want(worker.socket, 0, self._on_driver)
        same = self._idle.get(worker.shape)
        if same and worker in same:
            same.remove(worker)
        self._conclude(worker)
        worker.close()

    def _beat(self, now: float) -> None:
        self._beat_at = now + BEAT
        self._memory.beat()
        room = MOST_OUTPUT
        for worker in self._running.values():
            room -= self._move_output(worker, room)
        if self._setup is None:
            return
        # The driver will give up on an agent that it cannot reach, and run the trials elsewhere: they must end here.
        self._is_over |= bool(self._workers) and self._lease.is_over
        self._is_over |= now - self._heard_at > self._setup.driver_timeout
        self._send(Alive(self._lease.now()))

    def _end_everything(self) -> None:
        for pid in self._workers:
            system.kill_group(pid)
        while True:
            system.kill_orphans(())
            try:
                if os.waitpid(-1, os.WNOHANG)[0] == 0:
                    time.sleep(0.001)
            except ChildProcessError:
                break
        for worker in self._running.values():
            self._move_output(worker)

    def _hang_up(self) -> None:
        """End the line. Closed while something of the driver's lies unread, it would look broken, and not ended."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
            self._socket.settimeout(HANG_UP_PATIENCE)
            while self._socket.recv(1 << 16):
                pass

    def _move_output(self, worker: Worker, most: int | None = None) -> int:
        """Bring what a worker has printed (`most` bytes of it) to where it is kept; return how many bytes that were."""
        if not self._away.folder:
            return worker.move_output(most)
        room = max(0, MOST - self._outbox.size)
        moved = 0
        for each in self._away.printed(worker, room if most is None else min(room, most)):
            self._send(each)
            moved += len(each.data)
        return moved

    # To the driver.

    def _send(self, message: Message) -> None:
        self._relay(frame(message))

    def _relay(self, data: Bytes) -> None:
        if data:
            self._outbox.put(data)
            self._after_writing()

    def _after_writing(self) -> None:
        waiting = self._outbox.size
        if bool(waiting) != self._is_writing:
            self._is_writing = bool(waiting)
            self._want(self._socket, _READ | (_WRITE if waiting else 0), self._on_driver)
        is_paused = waiting > (QUEUE_LIMIT // 2 if self._is_paused else QUEUE_LIMIT)
        if is_paused != self._is_paused:
            self._is_paused = is_paused
            for worker in self._workers.values():
                self._watch(worker)


def _outputs() -> tuple[Output, Output]:
    return Output(NAMES[0]), Output(NAMES[1])


def _reaped() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, os.waitstatus_to_exitcode(status)) if pid else None


def main(descriptor: int, driver: int) -> None:
    """Be the agent of the driver at the other end of a socket."""
    if os.environ.get(system.MALLOC_VARIABLE) == system.MALLOC_SETTING:
        del os.environ[system.MALLOC_VARIABLE]  # It has done its work, and is not for what the user's code starts.
    sock = socket.socket(fileno=descriptor)
    sock.set_inheritable(False)
    Agent(sock, driver).run()
    # The interpreter's own end would take long with large libraries, and may hang in them.
    os._exit(0)

"""What the agent knows of one worker, and what it makes of that worker's end."""

from __future__ import annotations

import signal
import socket

import msgspec

from .output import Output
from .protocol import Ended
from .system import OutOfMemoryWatch
from .wire import FrameReader, Outbox, frame

_decoder = msgspec.msgpack.Decoder(Ended)


class Worker:
    """What the agent knows of one worker."""

    __slots__ = ("attempt", "deadline", "ended", "exit_code", "folder", "is_kill_ordered", "outbox", "outputs", "pid",
                 "reader", "shape", "socket", "trial")  # fmt: skip

    def __init__(
        self, pid: int, sock: socket.socket, outputs: tuple[Output, Output], shape: tuple[int, tuple[str, ...]]
    ) -> None:
        self.pid = pid
        self.socket = sock
        self.outputs = outputs
        self.shape = shape
        self.reader = FrameReader(sock)
        self.outbox = Outbox(sock)
        self.trial = self.attempt = -1
        self.folder = ""
        """Its trial's."""
        self.ended: bytes | None = None
        """The frame that ends its attempt, held back until the worker is gone or idle."""
        self.exit_code: int | None = None
        self.is_kill_ordered = False
        self.deadline: float | None = None
        """When it is to be killed."""

    @property
    def is_busy(self) -> bool:
        """Whether it has an attempt that has not ended."""
        return self.trial >= 0

    def move_output(self, most: int | None = None) -> int:
        """Move what it has printed (`most` bytes of it) to its trial's files; return how many bytes that were."""
        moved = 0
        for output in self.outputs:
            moved += output.move(self.folder, None if most is None else most - moved)
        return moved

    def close(self) -> None:
        """Close what is open for it."""
        self.socket.close()
        for output in self.outputs:
            output.close()

    def end(self, memory: OutOfMemoryWatch, *, is_guest: bool = False) -> bytes:
        """Return the frame that tells how its attempt ended: in its own words, or by what became of the process.

        A signal to a guest (see `Agent`) comes from its host, which ends all there: it is not the trial's fault.
        """
        by_others = "lost" if is_guest else "signal"
        if self.ended is not None:
            said = _decoder.decode(self.ended[4:])
            if said.outcome != "killed" or self.is_kill_ordered:
                return self.ended
            return self._ended("lost", by_others, "killed by SIGTERM, which Tunesmith did not send")
        code = self.exit_code or 0
        if self.is_kill_ordered:
            return self._ended("killed")
        if code >= 0:
            message = f"the worker process exited with code {code} before the trial's end (os._exit?)"
            return self._ended("failed", "exit", message)
        if code == -signal.SIGKILL and memory.has_struck():
            return self._ended("failed", "out_of_memory", "killed by the kernel: out of memory")
        outcome = "lost" if -code in (signal.SIGKILL, signal.SIGTERM) else "failed"
        return self._ended(outcome, by_others if outcome == "lost" else "signal", f"killed by {signal_name(-code)}")

    def _ended(self, outcome: str, kind: str = "", message: str = "") -> bytes:
        return frame(Ended(self.trial, self.attempt, outcome, kind, message))


def signal_name(number: int) -> str:
    """Return e.g. SIGSEGV."""
    try:
        return signal.Signals(number).name
    except ValueError:  # Real-time signals have no names.
        return f"signal {number}"

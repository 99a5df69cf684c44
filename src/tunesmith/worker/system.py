"""What the agent and its workers ask of the operating system. Linux has it all; elsewhere the rest does without."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path

IS_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_EXITING = 0x4
"""PF_EXITING among the flags of a process."""
_FALLOC_FL_KEEP_SIZE, _FALLOC_FL_PUNCH_HOLE = 1, 2
_TIMER_ABSTIME = 1
_OOM_SCORE = b"800"
"""Makes a worker the OOM killer's first choice, before the driver."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
)  # fmt: skip
"""What numerical libraries read, once, while they are imported."""

HOST_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""What batch systems send to every process of a job that is to end. It is the agent's to say what follows."""
GUEST_ORDER: int = signal.SIGRTMIN + 5 if IS_LINUX else signal.SIGTERM
"""What an agent tells its workers by to end, where SIGTERM may come from others as well."""

LAST_WORDS = 2000
"""So many characters at most of what an agent complained of are told."""

MALLOC_VARIABLE = "GLIBC_TUNABLES"
MALLOC_SETTING = "glibc.malloc.hugetlb=1"
"""Has an agent keep its memory in huge pages, of which a fork copies, and an end frees, a fraction of the entries."""


def end_of_agent(code: int, complaints: bytes) -> str:
    """Return in words how an agent's process ended, and the last of what it complained of."""
    words = complaints.decode(errors="replace").strip()[-LAST_WORDS:]
    return f"the agent process ended with code {code}" + (f": {words}" if words else "")


def agent_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for an agent that is started from a process with this one.

    It imports numerical libraries with one thread each: the pools of more would not survive a fork.
    """
    return {MALLOC_VARIABLE: MALLOC_SETTING, **environment, **dict.fromkeys(THREAD_VARIABLES, "1")}


_c_library = ctypes.CDLL(None, use_errno=True)


def interpreter(module: str, *arguments: object) -> list[str]:
    """Return a command line that calls `module.main(*arguments)`, of literals, in a Python like this one."""
    # Imported here: an agent that forks never needs it.
    import subprocess

    # No real `__main__` is involved, so no guard is needed, and it works from standard input and from notebooks.
    # The paths stand in the code because PYTHONPATH has no room for all of what may be in them.
    state = f"sys.path[:] = {[str(path) for path in sys.path]!a}; sys.argv[:] = {sys.argv!a}"
    options = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    call = f"from {module} import main; main({', '.join(map(repr, arguments))})"
    return [sys.executable, *options, "-c", f"import sys; {state}; {call}"]


def die_with_parent(parent: int, by: signal.Signals) -> None:
    """Have the kernel send this process `by` when its parent ends; on a parent that is gone already, end at once."""
    if IS_LINUX:
        _c_library.prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)


def steady_clock(*, counts_sleep: bool) -> float:
    """Return seconds that never go back; with `counts_sleep` those in which the machine was suspended count too."""
    return time.clock_gettime(_clock(counts_sleep))


def _clock(counts_sleep: bool) -> int:
    return time.CLOCK_BOOTTIME if counts_sleep and IS_LINUX else time.CLOCK_MONOTONIC


class Alarm:
    """A signal that the kernel sends this very process at a given time, also while it hangs or is stopped."""

    def __init__(self, library: ctypes.CDLL, timer: ctypes.c_void_p) -> None:
        self._library = library
        self._timer = timer

    @classmethod
    def made(cls, number: signal.Signals, *, counts_sleep: bool) -> Alarm | None:
        """Return one that is not set yet; None where there is no such thing."""
        library = _library_of_timers()
        if library is None:
            return None
        timer = ctypes.c_void_p()
        event = _SignalEvent(signo=int(number), notify=0)
        if library.timer_create(_clock(counts_sleep), ctypes.byref(event), ctypes.byref(timer)):
            return None
        return cls(library, timer)

    def set(self, at: float) -> None:
        """Have it come at `at`, by `steady_clock`, and at no other time; inf: never."""
        if at == float("inf"):
            at = 0.0
        elif at <= 0.0:
            at = 1e-9
        value = _TimerSetting(value_s=int(at), value_ns=int(at % 1 * 1e9))
        self._library.timer_settime(self._timer, _TIMER_ABSTIME, ctypes.byref(value), None)


def _library_of_timers() -> ctypes.CDLL | None:
    if not IS_LINUX:
        return None
    if hasattr(_c_library, "timer_create"):
        return _c_library
    try:
        return ctypes.CDLL("librt.so.1")  # where glibc before 2.34 has them
    except OSError:
        return None


class _SignalEvent(ctypes.Structure):
    _fields_ = (
        ("value", ctypes.c_void_p), ("signo", ctypes.c_int), ("notify", ctypes.c_int), ("rest", ctypes.c_byte * 48),
    )  # fmt: skip


class _TimerSetting(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long), ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long), ("value_ns", ctypes.c_long),
    )  # fmt: skip


def adopt_orphans() -> None:
    """Make this process the parent of all its descendants that lose theirs, so that none escapes by `setsid`."""
    if IS_LINUX:
        _c_library.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def offer_to_oom_killer() -> None:
    """Make this process and its children the first to be killed when memory runs out."""
    if IS_LINUX:
        try:
            descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY)
            try:
                os.write(descriptor, _OOM_SCORE)
            finally:
                os.close(descriptor)
        except OSError:
            pass  # Some sandboxes forbid it; then the kernel chooses by size.


def flush_c_streams() -> None:
    """Write out what C code has printed: else it lands in the output of whoever runs next in this process."""
    _c_library.fflush(None)


def free(descriptor: int, size: int) -> None:
    """Give back the memory of an anonymous file's first `size` bytes, which then read as zeros."""
    if IS_LINUX:
        mode = _FALLOC_FL_KEEP_SIZE | _FALLOC_FL_PUNCH_HOLE
        _c_library.fallocate(descriptor, mode, ctypes.c_int64(0), ctypes.c_int64(size))


def thread_count() -> int:
    """Return how many threads this process has; 1 where that cannot be known."""
    return sum(1 for _ in Path("/proc/self/task").iterdir()) if IS_LINUX else 1


def children() -> list[int]:
    """Return the children of this single-threaded process, dead ones that were not waited for included."""
    if not IS_LINUX:
        return []
    own = os.getpid()
    try:
        return [int(pid) for pid in Path(f"/proc/{own}/task/{own}/children").read_bytes().split()]
    except FileNotFoundError:  # A kernel without CONFIG_PROC_CHILDREN.
        return [int(at.name) for at in Path("/proc").iterdir() if at.name.isdigit() and _parent_of(at.name) == own]


def _parent_of(pid: str) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def kill_orphans(keep: Collection[int]) -> None:
    """Kill every child of this process but those to keep; what they leave behind becomes a child in its turn."""
    for pid in children():
        if pid not in keep:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def kill_marked(variable: str, value: str) -> None:
    """Kill all processes of ours that began with an environment variable of this value, and what they start."""
    mark = f"{variable}={value}".encode()
    found = IS_LINUX
    while found:
        found = False
        for at in Path("/proc").iterdir():
            if at.name.isdigit() and int(at.name) != os.getpid():
                with contextlib.suppress(OSError):  # It is another user's, or gone.
                    if mark in (at / "environ").read_bytes().split(b"\0"):
                        os.kill(int(at.name), signal.SIGKILL)
                        found = True
        time.sleep(0.01)


def kill_group(pid: int) -> None:
    """Kill a worker and its process group, at once. Nothing happens to one that is gone."""
    for kill in (os.killpg, os.kill):
        try:
            kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # It has not made its group yet, or is gone; `kill` is still tried.


class OutOfMemoryWatch:
    """Says whether the kernel has killed something for want of memory in the last one or two seconds."""

    def __init__(self, counter: Path | None = None) -> None:
        self._counter = counter or _oom_counter()
        self._older = self._newer = self._count()

    def beat(self) -> None:
        """Forget kills of more than two beats ago. To be called once a second."""
        self._older, self._newer = self._newer, self._count()

    def has_struck(self) -> bool:
        """Whether there was a kill since the last beat but one."""
        return self._count() > self._older

    def _count(self) -> int:
        try:
            for line in self._counter.read_bytes().splitlines():
                name, _, value = line.partition(b" ")
                if name == b"oom_kill":
                    return int(value)
        except OSError:
            pass
        return 0


def _oom_counter() -> Path:
    """Return the file that counts kills: this control group's where it has one, the machine's otherwise."""
    try:
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                events = Path(f"/sys/fs/cgroup{path}/memory.events")
                if events.exists():
                    return events
    except OSError:
        pass
    return Path("/proc/vmstat")


def is_exiting(pid: int) -> bool:
    """Whether a process is about to end, or has ended; False where that cannot be known."""
    if not IS_LINUX:
        return False
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return True
    return fields[0] in "ZX" or bool(int(fields[6]) & _EXITING)

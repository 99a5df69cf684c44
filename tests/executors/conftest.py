from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tunesmith.core.commands import Start
from tunesmith.core.events import AttemptEnded, AttemptStarted, Event, Placement, Reported
from tunesmith.executors.base import Job
from tunesmith.executors.local import LocalExecutor
from tunesmith.layout import trial_folder

FOREVER = float("inf")
PATIENCE = 30.0
"""Far more than anything here takes; on a busy machine too."""


class Drive:
    """Drives a real local executor the way the loop does."""

    def __init__(self, trainable: Callable[..., Any], folder: Path, executor: dict[str, Any], job: dict[str, Any]):
        self.executor = LocalExecutor(**executor)
        self.folder = folder
        settled = Job(trainable=trainable, experiment="tests", folder=folder, **job)
        self.nodes = self.executor.open(settled, at=0.0, deliver=lambda events: None)
        self.events: list[Event] = []

    def start(
        self, trial: int, *, attempt: int = 1, until: float = FOREVER, cpu: float = 1, gpus: Any = (), **config: Any
    ) -> None:
        held = {"cpu": cpu, "gpu": float(len(gpus))} if gpus else {"cpu": cpu}
        self.executor.start(Start(trial, attempt, config, Placement("here", held, tuple(gpus)), until))

    def until(self, is_enough: Callable[[], Any]) -> None:
        deadline = self.executor.now() + PATIENCE
        while not is_enough():
            assert self.executor.now() < deadline, f"nothing more came after {self.events[-3:]}"
            self.events += self.executor.wait(deadline)

    def ended(self, count: int = 1) -> list[AttemptEnded]:
        self.until(lambda: len(self.ends()) >= count)
        return self.ends()

    def end_of(self, trial: int = 0, *, attempt: int = 1, **options: Any) -> AttemptEnded:
        self.start(trial, attempt=attempt, **options)
        self.until(lambda: any((end.trial, end.attempt) == (trial, attempt) for end in self.ends()))
        return next(end for end in self.ends() if (end.trial, end.attempt) == (trial, attempt))

    def ends(self) -> list[AttemptEnded]:
        return [event for event in self.events if isinstance(event, AttemptEnded)]

    def results(self, trial: int = 0, attempt: int = 1) -> list[Reported]:
        wanted = (trial, attempt)
        return [e for e in self.events if isinstance(e, Reported) and (e.trial, e.attempt) == wanted]

    def metrics(self, trial: int = 0, attempt: int = 1) -> dict[str, Any]:
        return self.results(trial, attempt)[-1].metrics

    def pid(self, trial: int = 0) -> int:
        def started() -> list[int]:
            return [e.pid for e in self.events if isinstance(e, AttemptStarted) and e.trial == trial]

        self.until(started)
        return started()[-1]

    def output(self, trial: int = 0, name: str = "stdout") -> str:
        file = self.folder / trial_folder(trial) / name
        return file.read_text() if file.exists() else ""


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    drives: list[Drive] = []

    def make(trainable: Callable[..., Any], **options: Any) -> Drive:
        names = ("cpus", "gpus", "resources", "start_method", "driver_timeout")
        executor = {name: options.pop(name) for name in names if name in options}
        drives.append(Drive(trainable, tmp_path / f"experiment-{len(drives)}", executor, options))
        return drives[-1]

    yield make
    for each in drives:
        each.executor.close()


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def gone() -> Callable[..., float]:
    """Seconds until none of these processes runs any more."""

    def wait(pids: list[int], *, within: float) -> float:
        began = time.monotonic()
        while any(map(is_running, pids)):
            assert time.monotonic() - began < within, [pid for pid in pids if is_running(pid)]
            os.sched_yield()
        return time.monotonic() - began

    return wait


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A real SLURM of one node: its daemons and munge's, as this user, in a folder of their own."""
    # Not in the temporary folder of the tests: munge refuses a socket's path that others might write to.
    folder = Path(f"/run/tunesmith-slurm-{os.getpid()}")
    if not os.access("/run", os.W_OK):
        folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    host, user = socket.gethostname().partition(".")[0], getpass.getuser()
    config = folder / "slurm.conf"
    config.write_text(
        f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
MpiDefault=none
KillWait=15
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=20
PartitionName=urgent Nodes={host} MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""
    )
    before = os.environ.get("SLURM_CONF")
    os.environ["SLURM_CONF"] = str(config)
    names = {"key-file": "munge.key", "socket": "munge.sock", "pid-file": "munge.pid", "log-file": "munge.log"}
    munge = [f"--{option}={folder / name}" for option, name in {**names, "seed-file": "munge.seed"}.items()]
    daemons = [
        subprocess.Popen(["munged", "--foreground", "--force", *munge]),
        subprocess.Popen(["slurmctld", "-D", "-f", str(config)], stderr=subprocess.DEVNULL),
        subprocess.Popen(["slurmd", "-D", "-f", str(config)], stderr=subprocess.DEVNULL),
    ]
    try:
        until = time.monotonic() + PATIENCE
        while "idle" not in subprocess.run(["sinfo", "-h", "-o", "%T"], capture_output=True, text=True).stdout:
            assert time.monotonic() < until, "the node does not become idle"
            time.sleep(0.2)
        yield
    finally:
        subprocess.run(["scancel", "--me"], check=False)
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before
        shutil.rmtree(folder, ignore_errors=True)

"""Pilot jobs on a real SLURM: its daemons and munge's are started here, as this user, in a folder of their own."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.core.events import AttemptEnded
from tunesmith.store.reader import JournalReader

DAEMONS = ("munged", "slurmctld", "slurmd")
pytestmark = [
    pytest.mark.heavy,
    pytest.mark.filterwarnings("ignore"),
    pytest.mark.skipif(not all(map(shutil.which, DAEMONS)), reason="needs Debian's slurm-wlm and munge"),
]
PATIENCE = 60.0


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
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
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=INFINITE State=UP
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


def queue():
    return subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True).stdout.split()


def test_trials_run_in_pilot_jobs_that_end_with_the_run(slurm, tmp_path):
    def train(config):
        tune.report({"job": os.environ["SLURM_JOB_ID"]})

    results = tune.run(
        train,
        num_samples=40,
        name="e",
        storage_path=tmp_path,
        verbose=0,
        executor=tune.SlurmExecutor(jobs=2, time_min=5, cluster="slurm"),
    )

    assert [trial.status for trial in results] == ["completed"] * 40
    assert len({trial.history[-1]["job"] for trial in results}) <= 2
    until = time.monotonic() + PATIENCE
    while queue() and time.monotonic() < until:
        time.sleep(0.1)
    assert queue() == []


def test_with_a_job_cancelled_its_trials_go_on_in_another_from_their_checkpoints(slurm, tmp_path):
    def train(config):
        checkpoint = tune.get_checkpoint()
        step = int(Path(checkpoint.path).read_text()) if checkpoint else 0
        while step < 20:
            step += 1
            time.sleep(0.1)
            file = tune.get_context().trial_folder / "step"
            file.write_text(str(step))
            tune.report({"step": step, "job": os.environ["SLURM_JOB_ID"]}, checkpoint=file)

    class Cancelling(tune.Callback):
        cancelled = None

        def handle(self, happened, experiment):
            for event in happened:
                metrics = getattr(event, "metrics", {})
                if metrics.get("step") == 5 and self.cancelled is None:
                    self.cancelled = metrics["job"]
                    subprocess.run(["scancel", self.cancelled], check=True)

    cancelling = Cancelling()
    results = tune.run(
        train,
        num_samples=2,
        name="e",
        storage_path=tmp_path,
        verbose=0,
        callbacks=[cancelling],
        executor=tune.SlurmExecutor(jobs=1, cpus_per_job=1, time_min=5, cluster="slurm"),
    )

    assert [trial.status for trial in results] == ["completed"] * 2
    jobs = {row["job"] for trial in results for row in trial.history}
    assert cancelling.cancelled in jobs
    assert len(jobs) == 2
    with JournalReader(tmp_path / "e") as reader:
        ends = [event for _, event in reader.events() if isinstance(event, AttemptEnded)]
    assert [end.outcome for end in ends].count("lost") == 1
    for trial in results:
        steps = [row["step"] for row in trial.history]
        assert sorted(set(steps)) == list(range(1, 21))
        assert len(steps) <= 21  # at most the step that was under way was done again

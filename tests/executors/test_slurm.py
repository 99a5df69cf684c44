"""Pilot jobs on a real SLURM: its daemons and munge's are started here, as this user, in a folder of their own."""

import multiprocessing
import os
import shutil
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


class Saving(tune.Trainable):
    """Saves only when it is told to, and needs a process beside it as a data loader does."""

    def setup(self, config):
        self.steps = 0
        self.helper = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,), daemon=True)
        self.helper.start()

    def step(self):
        time.sleep(0.1)
        self.steps += 1
        return {"steps": self.steps, "job": os.environ["SLURM_JOB_ID"], "done": self.steps == 30}

    def save_checkpoint(self, folder):
        Path(folder, "steps").write_text(str(self.steps))

    def load_checkpoint(self, folder):
        self.steps = int(Path(folder, "steps").read_text())

    def cleanup(self):
        self.helper.kill()


SIGNALS = {
    "USR1": ["scancel", "--signal=USR1", "--full"],
    "TERM": ["scancel", "--signal=TERM"],  # with --full it would end srun, which kills what it runs at once
    "USR2": ["scancel", "--signal=USR2"],
    "requeue": ["scontrol", "requeue"],
}


@pytest.mark.parametrize("sign", [*SIGNALS, "preemption"])
def test_trials_that_are_told_to_leave_save_and_lose_no_step(slurm, tmp_path, sign):
    class Leaving(tune.Callback):
        job = None

        def handle(self, happened, experiment):
            for event in happened:
                metrics = getattr(event, "metrics", {})
                if metrics.get("steps") == 5 and self.job is None:
                    self.job = metrics["job"]
                    if sign == "preemption":
                        # It takes the whole machine, for a moment.
                        urgent = ["sbatch", "-p", "urgent", "--exclusive", "-o", "/dev/null", "--wrap", "sleep 1"]
                        subprocess.run(urgent, check=True, stdout=subprocess.DEVNULL)
                    else:
                        subprocess.run([*SIGNALS[sign], self.job], check=True)

    leaving = Leaving()
    results = tune.run(
        Saving,
        name="e",
        storage_path=tmp_path,
        verbose=0,
        callbacks=[leaving],
        executor=tune.SlurmExecutor(jobs=1, cpus_per_job=1, time_min=5, cluster="slurm", partition="debug"),
    )

    rows = results[0].history
    assert results[0].status == "completed"
    assert [row["steps"] for row in rows] == list(range(1, 31))
    assert rows[0]["job"] == leaving.job != rows[-1]["job"]
    with JournalReader(tmp_path / "e") as reader:
        ends = [event for _, event in reader.events() if isinstance(event, AttemptEnded)]
    assert [end.outcome for end in ends] == ["lost", "done"]
    assert ends[0].checkpoint is not None

"""Nodes that do not see the experiment's folder, with real engines: something else is mounted over it there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machines import Machines
from watching import eventually

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, Reported
from tunesmith.store.reader import JournalReader

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]
PATIENCE = 60.0


def can_mount(folder):
    command = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(folder)]
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def elsewhere(tmp_path):
    """What a command is preceded by to run where nothing of `tmp_path` is seen."""
    if not can_mount(tmp_path):
        pytest.skip("needs the right to mount")
    return ["unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs {tmp_path}; exec "$@"', "sh"]


def train(config):
    checkpoint, context = tune.get_checkpoint(), tune.get_context()
    step = int(Path(checkpoint.path, "in", "step").read_text()) if checkpoint else 0
    while step < 6:
        step += 1
        folder = context.trial_folder / f"{context.attempt}-{step}"
        (folder / "in").mkdir(parents=True)
        (folder / "in" / "step").write_text(str(step))
        (folder / "large").write_bytes(os.urandom(3_000_000))
        tune.report({"step": step, "sees": Path(config["journal"]).exists()}, checkpoint=folder)
        if step == 3 and context.attempt == 1:
            raise RuntimeError("so that it begins again")


class Saving(tune.Trainable):
    def setup(self, config):
        self.steps = 0

    def step(self):
        self.steps += 1
        return {"steps": self.steps, "done": self.steps == 9}

    def save_checkpoint(self, folder):
        Path(folder, "steps").write_text(str(self.steps))

    def load_checkpoint(self, folder):
        self.steps = int(Path(folder, "steps").read_text())


def run(tmp_path, trainable, *, name="e", **options):
    space = {"journal": str(tmp_path / name / "journal.db"), "x": tune.uniform(0, 1)}
    return tune.run(trainable, space=space, name=name, storage_path=tmp_path, verbose=0, seed=1, **options)


def assert_trained(tmp_path, results, *, name="e"):
    for trial in results:
        rows = trial.history
        assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
        assert not any(row["sees"] for row in rows)
        assert Path(trial.checkpoint.path, "in", "step").read_text() == "6"
        assert Path(trial.checkpoint.path, "large").stat().st_size == 3_000_000
    with JournalReader(tmp_path / name) as reader:
        events = [event for _, event in reader.events()]
    assert [e.outcome for e in events if isinstance(e, AttemptEnded)].count("failed") == len(results)
    assert not any(event.checkpoint_failure for event in events if isinstance(event, Reported))


@pytest.mark.parametrize("start_method", ["fork", "exec"])
def test_checkpoints_travel_to_the_driver_and_to_where_the_trial_goes_on(tmp_path, elsewhere, start_method):
    executor = Machines(elsewhere, elsewhere)
    executor._start_method = start_method

    assert_trained(tmp_path, run(tmp_path, train, num_samples=2, max_failures=1, executor=executor))


def test_what_a_trial_prints_and_how_it_failed_lie_in_its_folder(tmp_path, elsewhere):
    def printing(config):
        for number in range(100_000):
            print("line", number)
        tune.report({"step": 1})
        time.sleep(2)  # some of it is told while it runs
        print("the last words", file=sys.stderr)
        raise RuntimeError("on purpose")

    run(tmp_path, printing, executor=Machines(elsewhere), fail_fast=False)

    folder = tmp_path / "e" / "trials" / "00000"
    assert (folder / "stdout").read_text() == "".join(f"line {number}\n" for number in range(100_000))
    assert (folder / "stderr").read_text() == "the last words\n"
    assert "RuntimeError: on purpose" in (folder / "error.txt").read_text()


def test_a_clone_begins_from_a_checkpoint_that_another_node_has_saved(tmp_path, elsewhere):
    pbt = tune.PopulationBasedTraining(
        perturbation_interval=3, hyperparam_mutations={"x": tune.uniform(0, 1)}, time_attr="training_iteration"
    )

    results = run(
        tmp_path,
        Saving,
        num_samples=2,
        metric="steps",
        mode="max",
        scheduler=pbt,
        checkpoint_freq=3,
        executor=Machines(elsewhere, elsewhere),
    )

    assert [trial.status for trial in results] == ["completed"] * 2
    assert all(trial.history[-1]["steps"] == 9 for trial in results)


def test_nothing_of_a_trial_is_left_where_it_ran(tmp_path):
    if not can_mount(tmp_path):
        pytest.skip("needs the right to mount")
    scratch = tmp_path.with_name(tmp_path.name + "-scratch")
    scratch.mkdir()
    there = ["unshare", "-m", "sh", "-c", f'mount -t tmpfs tmpfs {tmp_path}; exec env TMPDIR={scratch} "$@"', "sh"]

    run(tmp_path, train, max_failures=1, executor=Machines(there))

    assert list(scratch.iterdir()) == []


def test_on_dasks_workers(tmp_path, elsewhere):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        command = [*elsewhere, sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address]
        options = ["--nthreads", "2", "--no-dashboard", "--local-directory", str(tmp_path)]
        worker = subprocess.Popen([*command, *options], stderr=subprocess.DEVNULL)
        try:
            with distributed.Client(cluster) as client:
                client.wait_for_workers(1, timeout=PATIENCE)
            executor = tune.DaskExecutor(cluster.scheduler_address)
            assert_trained(tmp_path, run(tmp_path, train, num_samples=2, max_failures=1, executor=executor))
        finally:
            worker.terminate()
            worker.wait()


def test_on_a_node_of_ray(tmp_path, elsewhere):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--address={cluster.address}"]
    node = subprocess.Popen([*elsewhere, *command, "--num-cpus=2", "--disable-usage-stats"], stdout=subprocess.DEVNULL)
    try:
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        eventually(lambda: ray.cluster_resources().get("CPU") == 2)
        for name, executor in (("agents", "ray"), ("actors", tune.RayExecutor(trial_in_actor=True))):
            results = run(tmp_path, train, name=name, num_samples=2, max_failures=1, executor=executor)
            assert_trained(tmp_path, results, name=name)
    finally:
        ray.shutdown()
        node.terminate()
        node.wait()
        cluster.shutdown()

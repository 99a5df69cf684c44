"""One example file, as it is, on this machine, on Ray and in SLURM's jobs: the same trials everywhere."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.core.events import AttemptStarted, SessionOpened
from tunesmith.store.reader import JournalReader

EXAMPLE = Path(__file__).parents[2] / "examples" / "anywhere.py"


def run(folder, executor):
    """Run the example, as it is, where the environment says; return what it printed."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, EXAMPLE], cwd=folder, capture_output=True, text=True, timeout=300,
        env={**os.environ, "TUNESMITH_EXECUTOR": executor},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def story(folder):
    """What became of each trial, without the times."""
    trials = tune.load(folder / "results" / "anywhere")
    return [
        (trial.config, trial.status, [(row["training_iteration"], row["loss"]) for row in trial.history])
        for trial in trials
    ]


def nodes(folder):
    with JournalReader(folder / "results" / "anywhere") as reader:
        events = [event for _, event in reader.events()]
    assert len([event for event in events if isinstance(event, AttemptStarted)]) == 16
    return [node.name for event in events if isinstance(event, SessionOpened) for node in event.nodes]


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """The trials on this machine."""
    folder = tmp_path_factory.mktemp("anywhere") / "local"
    run(folder, "local:cpus=3")
    return story(folder)


def test_some_trials_are_stopped_early_and_some_run_to_their_end(here):
    assert len(here) == 16
    assert {status for _, status, _ in here} == {"completed", "stopped"}
    assert {len(results) for _, status, results in here if status == "completed"} == {15}


def test_with_one_worker_they_are_the_same(here, tmp_path):
    run(tmp_path / "one", "local:cpus=1")

    assert story(tmp_path / "one") == here


@pytest.mark.heavy
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs ray")
def test_over_ray_they_are_the_same(here, tmp_path):
    run(tmp_path / "ray", "ray")

    assert story(tmp_path / "ray") == here
    assert nodes(tmp_path / "ray")[0].count(":") == 1  # a host's name, and a part of what Ray calls the node


@pytest.mark.heavy
@pytest.mark.skipif(not all(map(shutil.which, ("munged", "slurmctld", "slurmd"))), reason="needs slurm-wlm and munge")
@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs submitit")
def test_in_slurms_jobs_they_are_the_same(here, slurm, tmp_path):
    run(tmp_path / "slurm", "slurm:jobs=2,time_min=5,cluster=slurm")

    assert story(tmp_path / "slurm") == here
    assert nodes(tmp_path / "slurm") == ["job 1", "job 2"]

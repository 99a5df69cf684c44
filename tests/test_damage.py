"""Checkpoints that are damaged or gone when a trial is to go on from them, with real processes."""

import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.core.events import CheckpointDropped, TrialLaunched
from tunesmith.core.policy import Exploit
from tunesmith.store.reader import JournalReader

STEPS = 6


def function(config):
    """Reports a checkpoint with each result; ends its first attempt after four."""
    checkpoint = tune.get_checkpoint()
    state = pickle.loads((checkpoint / "state").read_bytes()) if checkpoint else 0
    folder = tune.get_context().trial_folder / "saved"
    folder.mkdir(exist_ok=True)
    while state < STEPS:
        state += 1
        (folder / "state").write_bytes(pickle.dumps(state))
        tune.report({"state": state}, checkpoint=folder)
        if state == 4 and tune.get_context().attempt == 1:
            raise RuntimeError("ends here")


class Class(tune.Trainable):
    """The same, saved at checkpoint_freq=1."""

    def setup(self, config):
        self.state = 0

    def step(self):
        if self.state == 4 and tune.get_context().attempt == 1:
            raise RuntimeError("ends here")
        self.state += 1
        return {"state": self.state, "done": self.state == STEPS}

    def save_checkpoint(self, folder):
        Path(folder, "state").write_bytes(pickle.dumps(self.state))

    def load_checkpoint(self, folder):
        self.state = pickle.loads(Path(folder, "state").read_bytes())


def run(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "cpus": 1, "verbose": 0, "seed": 7, "num_to_keep": 2}
    return tune.run(trainable, **{**defaults, "checkpoint_freq": 1 if trainable is Class else 0, **arguments})


def events(tmp_path, kind):
    with JournalReader(tmp_path / "e") as reader:
        return [event for _, event in reader.events() if isinstance(event, kind)]


def starts(tmp_path):
    return [Path(event.checkpoint or "none").name for event in events(tmp_path, TrialLaunched)]


def remove(checkpoint):
    shutil.rmtree(checkpoint)


def remove_a_file(checkpoint):
    (checkpoint / "state").unlink()


def truncate(checkpoint):
    (checkpoint / "state").write_bytes((checkpoint / "state").read_bytes()[:-2])


def scribble(checkpoint):
    """As many bytes as before: only who reads all of them can know."""
    (checkpoint / "state").write_bytes(b"\xff" * len((checkpoint / "state").read_bytes()))


def garble_the_list(checkpoint):
    (checkpoint / ".checkpoint.json").write_bytes(b"{")


DAMAGES = {
    remove: "it is not there any more",
    remove_a_file: "its state is missing",
    truncate: r"its state holds \d+ of \d+ bytes",
    scribble: r"its state does not hold what was written \(UnpicklingError",
    garble_the_list: r"its \.checkpoint\.json cannot be read",
}


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize("trainable", [function, Class])
def test_a_trial_whose_checkpoint_is_damaged_falls_back_one_and_says_so(tmp_path, capfd, trainable, damage):
    arguments = {} if trainable is function or damage is truncate else {"executor": "inline", "cpus": None}
    run(tmp_path, trainable, **arguments)
    damage(tmp_path / "e" / "trials/00000/checkpoints/1-000004")
    capfd.readouterr()
    results = run(tmp_path, trainable, resume=True, retry_failed=True, **arguments)

    assert results[0].status == "completed"
    assert [row["state"] for row in results[0].history] == [1, 2, 3, 4, 5, 6]
    assert starts(tmp_path) == ["none", "1-000004", "1-000003"]
    [dropped] = [event for event in events(tmp_path, CheckpointDropped) if event.reason]
    assert Path(dropped.checkpoint).name == "1-000004"
    assert pytest.raises(AssertionError, match=DAMAGES[damage]).matches(AssertionError(dropped.reason))
    [line] = [line for line in capfd.readouterr().err.splitlines() if "cannot be read" in line]
    assert line.startswith("tunesmith: trial 0: the checkpoint trials/00000/checkpoints/1-000004 cannot be read: it")
    assert line.endswith("When it is started again, it goes on from trials/00000/checkpoints/1-000003.")


def test_the_story_of_a_trial_tells_of_its_damaged_checkpoint(tmp_path):
    run(tmp_path, function)
    truncate(tmp_path / "e" / "trials/00000/checkpoints/1-000004")
    run(tmp_path, function, resume=True, retry_failed=True)
    command = [sys.executable, "-m", "tunesmith.cli", "show", str(tmp_path / "e"), "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "1000"})

    assert "checkpoint dropped" in done.stdout
    assert "it goes on from trials/00000/checkpoints/1-000003" in " ".join(done.stdout.split())


@pytest.mark.parametrize("trainable", [function, Class])
def test_with_all_its_checkpoints_gone_a_trial_begins_anew_and_the_experiment_does_not(tmp_path, trainable):
    run(tmp_path, trainable, num_samples=2)
    for checkpoint in (tmp_path / "e" / "trials/00000/checkpoints").iterdir():
        remove_a_file(checkpoint)
    results = run(tmp_path, trainable, num_samples=2, resume=True, retry_failed=True)

    assert [trial.status for trial in results] == ["completed", "completed"]
    assert [[row["state"] for row in trial.history] for trial in results] == [[1, 2, 3, 4, 5, 6]] * 2
    assert [trial.attempts for trial in results] == [4, 2]


class ClonesTheFirst(tune.Scheduler):
    """After two results the second trial becomes a clone of the first, whose checkpoint is damaged just before."""

    saves_when_waiting = True

    def __init__(self, damage):
        self.damage = damage

    def lease(self, trial, experiment):
        return 2 if trial.number < 2 else float("inf")

    def decide(self, result, experiment):
        if result.trial == 0:
            return tune.Pause("waits for the other")
        if experiment.trials[1].is_clone or result.number > 2:
            return tune.Continue()
        return Exploit(0, experiment.trials[1].config, "the first is better")

    def observe(self, event, experiment):
        if type(event).__name__ == "TrialExploited":
            self.damage(event.checkpoint)


@pytest.mark.parametrize("trainable", [function, Class])
def test_a_clone_whose_source_is_damaged_falls_back_to_its_own(tmp_path, trainable):
    def damage(reference):
        truncate(tmp_path / "e" / reference)

    results = run(tmp_path, trainable, num_samples=2, scheduler=ClonesTheFirst(damage), max_failures=1)

    assert [trial.status for trial in results] == ["completed", "completed"]
    launched = [event.checkpoint for event in events(tmp_path, TrialLaunched) if event.trial == 1]
    assert launched[:3] == [None, "trials/00000/checkpoints/1-000002", "trials/00001/checkpoints/1-000002"]
    assert [[row["state"] for row in trial.history] for trial in results] == [[1, 2, 3, 4, 5, 6]] * 2


def knows_better(config):
    if tune.get_checkpoint() is not None and tune.get_checkpoint().path.endswith("4"):
        raise tune.CheckpointUnreadable("it was written by version 2, this is version 1")
    function(config)


def test_a_function_may_say_that_a_checkpoint_is_of_no_use(tmp_path):
    run(tmp_path, knows_better)
    results = run(tmp_path, knows_better, resume=True, retry_failed=True)

    assert results[0].status == "completed"
    assert starts(tmp_path) == ["none", "1-000004", "1-000003"]
    [dropped] = [event for event in events(tmp_path, CheckpointDropped) if event.reason]
    assert dropped.reason == "CheckpointUnreadable: it was written by version 2, this is version 1"


def loads_wrongly(config):
    if tune.get_checkpoint() is not None:
        raise KeyError("a mistake of its own")
    function(config)


def test_an_error_in_a_functions_loading_of_a_whole_checkpoint_is_its_own(tmp_path):
    run(tmp_path, loads_wrongly)
    results = run(tmp_path, loads_wrongly, resume=True, retry_failed=True)

    assert results[0].status == "failed"
    assert results[0].error.message == "KeyError: 'a mistake of its own'"
    assert not [event for event in events(tmp_path, CheckpointDropped) if event.reason]

"""Trials that become clones of others, in real runs: what they go on from, and what their files say afterwards."""

import csv
import json

import pytest

import tunesmith as tune
from tunesmith.core.events import TrialExploited
from tunesmith.store.reader import JournalReader, effective_results


class Adds(tune.Trainable):
    """Adds its rate at each step, so that its value tells from what and with which config it came."""

    def setup(self, config):
        self.value = 0

    def step(self):
        self.value += self.config["rate"]
        return {"value": self.value}

    def save_checkpoint(self, checkpoint_dir):
        return {"value": self.value}

    def load_checkpoint(self, checkpoint):
        self.value = checkpoint["value"]


def adds(config):
    """The same as a function, whose checkpoint is a file."""
    checkpoint = tune.get_checkpoint()
    value = 0 if checkpoint is None else int((checkpoint / "value").read_text())
    folder = tune.get_context().trial_folder
    for _ in range(9):
        value += config["rate"]
        (folder / "state").mkdir(exist_ok=True)
        (folder / "state" / "value").write_text(str(value))
        tune.report({"value": value}, checkpoint=folder / "state")


class CopiesTheFirst(tune.Scheduler):
    """Makes trial 1 a clone of trial 0, with the rate 1000, once it has come to its second result."""

    saves_when_waiting = True

    def __init__(self):
        self.has_copied = False

    def observe(self, event, experiment):
        self.has_copied |= isinstance(event, TrialExploited)

    def decide(self, result, experiment):
        if result.trial == 1 and result.number == 2 and not self.has_copied:
            return tune.Exploit(0, {"rate": 1000}, "trial 0 is better")
        return tune.Continue()


def run(tmp_path, executor, trainable=Adds, **more):
    """Trial 0 reports 1, 2, 3; trial 1 reports 10, 20, becomes a clone of trial 0 at 3, and reports 1003, 2003."""
    arguments = {
        "space": {"rate": tune.grid_search([1, 10])},
        "metric": "value",
        "mode": "max",
        "stop": lambda trial_id, result: result["training_iteration"] >= (3 if trial_id in (0, "0") else 5),
        "scheduler": CopiesTheFirst(),
        "max_concurrent_trials": 1,
        "storage_path": tmp_path,
        "name": "e",
        "verbose": 0,
        "seed": 1,
    }
    return tune.run(trainable, executor=executor, **{**arguments, **more})


EXECUTORS = pytest.mark.parametrize("executor", ["inline", "local"])
TRAINABLES = pytest.mark.parametrize("trainable", [Adds, adds], ids=["class", "function"])


@TRAINABLES
@EXECUTORS
def test_a_clone_goes_on_from_its_sources_checkpoint_with_its_own_config(tmp_path, executor, trainable):
    results = run(tmp_path, executor, trainable)

    assert [trial.config for trial in results] == [{"rate": 1}, {"rate": 1000}]
    assert [row["value"] for row in results[1].history] == [10, 20, 1003, 2003]
    assert [row["training_iteration"] for row in results[1].history] == [1, 2, 4, 5]


def test_the_results_of_a_clone_that_lie_behind_its_start_count_no_more(tmp_path):
    run(tmp_path, "inline")

    with JournalReader(tmp_path / "e") as reader:
        found = effective_results(reader.trial_events(1))
    assert [(result.number, result.metrics["value"]) for result in found] == [(1, 10), (2, 20), (4, 1003), (5, 2003)]


@EXECUTORS
def test_the_files_of_a_clone_hold_all_that_it_reported_and_its_last_config(tmp_path, executor):
    results = run(tmp_path, executor)

    folder = results[1].folder
    rows = list(csv.DictReader((folder / "progress.csv").read_text().splitlines()))
    lines = [json.loads(line) for line in (folder / "result.json").read_text().splitlines()]
    assert [int(row["value"]) for row in rows] == [line["value"] for line in lines] == [10, 20, 1003, 2003]
    assert [line["training_iteration"] for line in lines] == [1, 2, 4, 5]
    assert [line["iterations_since_restore"] for line in lines] == [1, 2, 1, 2]
    assert json.loads((folder / "params.json").read_text()) == {"rate": 1000}


def test_the_files_of_a_clone_are_the_same_when_they_are_made_again_from_the_journal(tmp_path):
    from tunesmith.callbacks.trial_folder import rebuild_files

    folder = run(tmp_path, "inline")[1].folder
    written = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    for name in written:
        (folder / name).unlink()

    rebuild_files(tmp_path / "e")

    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == written


@EXECUTORS
def test_nothing_that_a_clone_needs_is_deleted_and_nothing_else_is_kept(tmp_path, executor):
    results = run(tmp_path, executor)

    with JournalReader(tmp_path / "e") as reader:
        kept = {name for trial in folded(reader).trials for name in trial.checkpoints or ()}
    found = {path.relative_to(tmp_path / "e").as_posix() for path in (tmp_path / "e").glob("trials/*/checkpoints/*")}
    assert found == kept
    assert results[0].checkpoint is not None


def folded(reader):
    from tunesmith.core.engine import fold
    from tunesmith.core.experiment import Experiment

    return fold([event for _, event in reader.events()], Experiment())


def test_a_clone_goes_on_from_the_shared_checkpoint_in_the_next_session(tmp_path):
    class OnlyCopies(CopiesTheFirst):
        def choose(self, experiment):
            return tune.Wait() if self.has_copied else super().choose(experiment)

        def unblock(self, experiment):
            return tune.Wait()

    results = run(tmp_path, "inline", scheduler=OnlyCopies())
    assert results[1].status == "paused"

    results = run(tmp_path, "inline", resume=True)

    assert [row["value"] for row in results[1].history] == [10, 20, 1003, 2003]
    assert json.loads((results[1].folder / "params.json").read_text()) == {"rate": 1000}


def test_show_tells_whose_clone_a_trial_is(tmp_path):
    from click.testing import CliRunner

    from tunesmith.cli import main

    run(tmp_path, "inline")

    shown = CliRunner().invoke(main, ["show", str(tmp_path / "e"), "1"]).output

    assert "trial 0 is better" in shown

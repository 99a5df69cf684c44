import json
import pickle
from pathlib import Path

import pytest

from tunesmith.errors import ConfigError
from tunesmith.worker.runner import Runner, WorkerJob
from tunesmith.worker.session import TrialHalted, get_context, report
from tunesmith.worker.trainable import Trainable, check_class


class Counter(Trainable):
    """Counts up to `config["last"]`; its state is a dict."""

    log: list = []  # noqa: RUF012  what the tests look at

    def setup(self, config, **parameters):
        self.log.append(("setup", config, parameters))
        self.total = 0

    def step(self):
        self.total += 1
        return {"total": self.total, "done": self.total >= self.config.get("last", 100)}

    def save_checkpoint(self, checkpoint_dir):
        self.log.append(("save", self.total))
        return {"total": self.total}

    def load_checkpoint(self, checkpoint):
        self.log.append(("load", checkpoint))
        self.total = checkpoint["total"]

    def cleanup(self):
        self.log.append(("cleanup", self.total))


class Reusable(Counter):
    def reset_config(self, new_config):
        self.log.append(("reset", new_config, self.config is new_config))
        self.total = 0
        return new_config.get("agrees", True)


class Early(Trainable):
    """Written as in 2019: a file under a prefix that need not exist itself."""

    def _setup(self, config):
        self.total = 0

    def _train(self):
        self.total += 1
        return {"total": self.total, "done": self.total >= 4}

    def _save(self, checkpoint_dir):
        Path(checkpoint_dir, "model.index").write_text(str(self.total))
        return str(Path(checkpoint_dir, "model"))

    def _restore(self, checkpoint):
        self.total = int(Path(checkpoint + ".index").read_text())
        self.restored_from = checkpoint

    def _stop(self):
        Path(self.logdir, "stopped").touch()


@pytest.fixture(autouse=True)
def log():
    Counter.log.clear()
    return Counter.log


def test_a_class_is_set_up_stepped_and_cleaned_up(attempt, log):
    run = attempt(Counter, {"last": 2}, parameters={"data": [1]})

    assert run.ended.outcome == "done"
    assert run.metrics == [{"total": 1, "done": False}, {"total": 2, "done": True}]
    assert log == [("setup", {"last": 2}, {"data": [1]}), ("cleanup", 2)]
    assert [r.checkpoint for r in run.reports] == [None, None]
    assert run.ended.checkpoint is None


def test_early_names_work(attempt):
    run = attempt(Early, checkpoint_freq=2)

    assert [r.metrics["total"] for r in run.reports] == [1, 2, 3, 4]
    assert [r.checkpoint is not None for r in run.reports] == [False, True, False, True]
    assert (run.trial_folder / "stopped").exists()

    again = attempt(Early, checkpoint=run.reports[1].checkpoint, attempt=2, number=2)
    assert [(r.number, r.metrics["total"]) for r in again.reports] == [(3, 3), (4, 4)]


def test_the_attributes_are_there_from_setup_on(attempt, tmp_path):
    seen = []

    class Watcher(Trainable):
        def setup(self, config):
            seen.append((self.config, self.trial_id, self.trial_name))
            seen.append((self.logdir, self.trial_resources, self.iteration))
            seen.append(get_context().trial_name)

        def step(self):
            seen.append((self.iteration, self.training_iteration))
            return {"done": True}

    attempt(Watcher, {"lr": 0.1}, resources={"cpu": 2.0}, number=5)

    folder = str(tmp_path / "trials/00007")
    assert seen == [
        ({"lr": 0.1}, "7", "digits_00007"), (folder, {"cpu": 2.0}, 5), "digits_00007", (5, 5),
    ]  # fmt: skip


def test_a_checkpoint_goes_with_each_so_manieth_result_and_counts_on(attempt):
    run = attempt(Counter, {"last": 7}, checkpoint_freq=3)
    assert [r.number for r in run.reports if r.checkpoint] == [3, 6]

    third = run.reports[2].checkpoint
    again = attempt(Counter, {"last": 7}, checkpoint_freq=3, checkpoint=third, attempt=2, number=3)
    assert [(r.number, r.metrics["total"], r.checkpoint is not None) for r in again.reports] == [
        (4, 4, False), (5, 5, False), (6, 6, True), (7, 7, False),
    ]  # fmt: skip


def test_a_dict_comes_back_as_a_dict(attempt, log, tmp_path):
    run = attempt(Counter, {"last": 1}, checkpoint_freq=1)
    attempt(Counter, {"last": 2}, checkpoint=run.reports[0].checkpoint, attempt=2)

    assert ("load", {"total": 1}) in log
    assert pickle.loads((tmp_path / run.reports[0].checkpoint / "checkpoint.pkl").read_bytes()) == {"total": 1}


def test_the_end_gets_a_checkpoint_with_its_result(attempt):
    run = attempt(Counter, {"last": 3}, checkpoint_at_end=True)

    assert [r.checkpoint for r in run.reports] == [None, None, "trials/00007/checkpoints/1-000003"]
    assert run.ended.checkpoint is None


def test_a_result_can_ask_for_a_checkpoint(attempt):
    class Asking(Counter):
        def step(self):
            return {**super().step(), "should_checkpoint": self.total == 2}

    assert [r.checkpoint is not None for r in attempt(Asking, {"last": 3}).reports] == [False, True, False]


def test_a_halt_that_saves_saves_after_the_last_report(attempt, end, tmp_path, log):
    run = attempt(Counter, until=2, verdicts=[end(save=True)])

    assert run.ended.outcome == "halted"
    assert run.ended.checkpoint == "trials/00007/checkpoints/1-000002"
    assert (tmp_path / run.ended.checkpoint).is_dir()
    assert log[-2:] == [("save", 2), ("cleanup", 2)]


@pytest.mark.parametrize(("save", "at_end", "saves"), [(False, False, 0), (False, True, 1), (True, True, 1)])
def test_a_halt_saves_when_asked_or_at_every_end(attempt, end, log, save, at_end, saves):
    run = attempt(Counter, until=2, verdicts=[end(save=save)], checkpoint_at_end=at_end)

    assert [entry[0] for entry in log].count("save") == saves
    assert (run.ended.checkpoint is not None) == bool(saves)


def test_a_halt_does_not_save_what_its_last_report_carried(attempt, end, log):
    run = attempt(Counter, until=2, verdicts=[end(save=True)], checkpoint_freq=2)

    assert run.reports[1].checkpoint is not None
    assert run.ended.checkpoint is None
    assert [entry[0] for entry in log].count("save") == 1


def test_a_kill_in_the_middle_of_a_step_does_not_save(attempt, log):
    class Killed(Counter):
        def step(self):
            raise TrialHalted  # as the worker's handler of SIGTERM does

    run = attempt(Killed, checkpoint_at_end=True)

    assert (run.ended.outcome, run.ended.checkpoint) == ("halted", None)
    assert [entry[0] for entry in log] == ["setup", "cleanup"]
    assert not (run.trial_folder / "error.txt").exists()


def test_a_class_that_cannot_save_just_ends(attempt, end):
    class Forgetful(Trainable):
        def step(self):
            return {"loss": 1.0}

    run = attempt(Forgetful, until=2, verdicts=[end(save=True)])

    assert (run.ended.outcome, run.ended.checkpoint) == ("halted", None)


def test_a_save_that_fails_while_halting_changes_nothing_but_is_told(attempt, end, capsys):
    class Broken(Counter):
        def save_checkpoint(self, checkpoint_dir):
            raise ValueError("disk on fire")

    run = attempt(Broken, until=2, verdicts=[end(save=True)])

    assert (run.ended.outcome, run.ended.checkpoint) == ("halted", None)
    assert "disk on fire" in capsys.readouterr().err


def test_a_class_may_report_inside_a_step(attempt):
    class Chatty(Counter):
        def step(self):
            report(loss=1.0)
            return super().step()

    assert [r.number for r in attempt(Chatty, {"last": 2}).reports] == [1, 2, 3, 4]


def test_log_result_sees_each_result(attempt, log):
    class Logged(Counter):
        def log_result(self, result):
            self.log.append(result["total"])

    attempt(Logged, {"last": 2})

    assert [entry for entry in log if isinstance(entry, int)] == [1, 2]


class SavesDirectory(Counter):
    def save_checkpoint(self, checkpoint_dir):
        Path(checkpoint_dir, "total").write_text(str(self.total))

    def load_checkpoint(self, checkpoint):
        self.log.append(checkpoint)
        self.total = int(Path(checkpoint, "total").read_text())


class SavesPath(SavesDirectory):
    def save_checkpoint(self, checkpoint_dir):
        path = Path(checkpoint_dir, "deep")
        path.mkdir()
        super().save_checkpoint(path)
        return path


@pytest.mark.parametrize(("kind", "inside"), [(SavesDirectory, ""), (SavesPath, "/deep")])
def test_what_is_loaded_is_the_path_that_was_saved(attempt, log, tmp_path, kind, inside):
    reference = attempt(kind, {"last": 2}, checkpoint_freq=1).reports[1].checkpoint
    run = attempt(kind, {"last": 3}, checkpoint=reference, attempt=2, number=2)

    assert [r.metrics["total"] for r in run.reports] == [3]
    assert f"{tmp_path}/{reference}{inside}" in log


def test_a_checkpoint_that_a_function_wrote_is_given_as_it_is(attempt, log, tmp_path):
    folder = tmp_path / "trials/00007/checkpoints/1-000001"
    folder.mkdir(parents=True)
    (folder / "total").write_text("5")
    run = attempt(SavesDirectory, {"last": 6}, checkpoint="trials/00007/checkpoints/1-000001", number=1, attempt=2)

    assert run.metrics[0]["total"] == 6
    assert str(folder) in log


def test_a_path_outside_the_directory_is_refused(attempt, tmp_path):
    class Astray(Counter):
        def save_checkpoint(self, checkpoint_dir):
            return str(tmp_path / "elsewhere")

    message = attempt(Astray, checkpoint_freq=1).ended.message

    assert "save_checkpoint() returned" in message
    assert "Return nothing, a dict, or a path inside the directory that it was given." in message
    assert not list((tmp_path / "trials/00007/checkpoints").iterdir())


@pytest.mark.parametrize("damage", ["checkpoint.pkl", ".trainable.json"])
def test_a_damaged_checkpoint_is_a_failure_of_the_checkpoint(attempt, tmp_path, damage):
    reference = attempt(Counter, {"last": 1}, checkpoint_freq=1).reports[0].checkpoint
    (tmp_path / reference / damage).write_bytes(b"\x80garbage")
    run = attempt(Counter, checkpoint=reference, attempt=2)

    assert (run.ended.outcome, run.ended.kind) == ("failed", "checkpoint")
    assert f"{reference} cannot be read" in run.ended.message


def test_an_error_in_the_users_loading_is_the_users(attempt, tmp_path):
    class Wrong(Counter):
        def load_checkpoint(self, checkpoint):
            self.total = checkpoint["sum"]

    reference = attempt(Wrong, {"last": 1}, checkpoint_freq=1).reports[0].checkpoint
    run = attempt(Wrong, checkpoint=reference, attempt=2)

    assert (run.ended.kind, run.ended.message) == ("exception", "KeyError: 'sum'")


class Both(Counter):
    def _train(self):
        return {}


class Nothing(Trainable):
    pass


class NoSave(Trainable):
    def step(self):
        return {"loss": 1.0}


class ReturnsList(Trainable):
    def step(self):
        return [1.0]


class AsksWithoutSave(Trainable):
    def step(self):
        return {"should_checkpoint": True}


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (Both, {}, "Both defines both step() and _train(), two names of one method. Keep step()."),
        (Nothing, {}, "Nothing defines no step()"),
        (NoSave, {"checkpoint_freq": 1}, "checkpoints are asked for, but NoSave defines no save_checkpoint()"),
        (NoSave, {"checkpoint_at_end": True}, "checkpoints are asked for, but NoSave defines no save_checkpoint()"),
        (AsksWithoutSave, {}, "checkpoints are asked for, but AsksWithoutSave defines no save_checkpoint()"),
        (ReturnsList, {}, "ReturnsList.step() returned a list. Return a dict of metrics."),
        (Counter, {"checkpoint": "trials/00001/checkpoints/1-000001"}, "1-000001 cannot be read: it is not there"),
    ],
)
def test_a_class_that_cannot_run_is_refused_with_what_to_do(attempt, kind, fields, message):
    run = attempt(kind, **fields)

    assert run.ended.outcome == "failed"
    assert message in run.ended.message


def test_the_class_can_be_checked_before_anything_runs():
    check_class(Counter, saves=True)
    check_class(Early, saves=True)
    with pytest.raises(ConfigError, match="two names of one method"):
        check_class(Both)


def test_a_failed_step_still_cleans_up(attempt, log):
    class Failing(Counter):
        def step(self):
            raise ValueError("no")

    assert attempt(Failing).ended.message == "ValueError: no"
    assert log[-1] == ("cleanup", 0)


def test_a_cleanup_that_fails_changes_nothing_but_is_told(attempt, capsys):
    class Messy(Counter):
        def cleanup(self):
            raise ValueError("still open")

    assert attempt(Messy, {"last": 1}).ended.outcome == "done"
    assert "still open" in capsys.readouterr().err


def test_a_kept_object_is_used_again_where_reset_config_agrees(attempt, log):
    runner = Runner(WorkerJob(trainable=Reusable, experiment="digits"))
    attempt(None, {"last": 1}, runner=runner)
    run = attempt(None, {"last": 2}, runner=runner, trial=8, trial_folder="trials/00008")
    runner.close()

    assert [r.metrics["total"] for r in run.reports] == [1, 2]
    assert log == [("setup", {"last": 1}, {}), ("reset", {"last": 2}, True), ("cleanup", 2)]


def test_a_kept_object_is_told_its_new_trials_folder(attempt, tmp_path):
    folders = []

    class Looks(Trainable):
        def step(self):
            folders.append(self.logdir)
            return {"done": True}

        def reset_config(self, new_config):
            return True

    runner = Runner(WorkerJob(trainable=Looks, experiment="digits"))
    for number in ("00007", "00008"):
        attempt(None, runner=runner, trial_folder=f"trials/{number}")
    runner.close()

    assert folders == [str(tmp_path / "trials/00007"), str(tmp_path / "trials/00008")]
    assert (tmp_path / "trials/00008").is_dir()


def test_an_object_that_refuses_a_config_gives_way_to_a_new_one(attempt, log):
    runner = Runner(WorkerJob(trainable=Reusable, experiment="digits"))
    attempt(None, {"last": 1}, runner=runner)
    attempt(None, {"last": 1, "agrees": False}, runner=runner)

    assert [entry[0] for entry in log] == ["setup", "reset", "cleanup", "setup"]


def test_an_object_that_failed_is_not_kept(attempt, log):
    class Failing(Reusable):
        def step(self):
            if "fails" in self.config:
                raise ValueError("no")
            return super().step()

    runner = Runner(WorkerJob(trainable=Failing, experiment="digits"))
    attempt(None, {"fails": True}, runner=runner)
    attempt(None, {"last": 1}, runner=runner)

    assert [entry[0] for entry in log] == ["setup", "cleanup", "setup"]


def test_a_kept_object_loads_the_next_trials_checkpoint(attempt, log):
    reference = attempt(Reusable, {"last": 5}, checkpoint_freq=5).reports[4].checkpoint
    runner = Runner(WorkerJob(trainable=Reusable, experiment="digits"))
    attempt(None, {"last": 1}, runner=runner)
    run = attempt(None, {"last": 6}, runner=runner, checkpoint=reference, number=5, attempt=2)

    assert [(r.number, r.metrics["total"]) for r in run.reports] == [(6, 6)]


def test_the_manifest_is_plain_json(attempt, tmp_path):
    reference = attempt(Counter, {"last": 1}, checkpoint_freq=1).reports[0].checkpoint

    assert json.loads((tmp_path / reference / ".trainable.json").read_text()) == {"dict": "checkpoint.pkl"}

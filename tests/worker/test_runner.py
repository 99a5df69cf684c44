import sys

import pytest

from tunesmith.worker.runner import Runner, WorkerJob
from tunesmith.worker.session import get_context, report


def test_a_function_that_returns_is_done(attempt):
    run = attempt(lambda config: None)

    assert (run.ended.trial, run.ended.attempt, run.ended.outcome, run.ended.kind) == (7, 1, "done", "")


def test_the_trials_folder_is_made_when_it_is_asked_for(attempt):
    assert not attempt(lambda config: None).trial_folder.exists()
    assert not attempt(lambda config: print(get_context().trial_name)).trial_folder.exists()
    assert attempt(lambda config: print(get_context().trial_folder)).trial_folder.is_dir()


def test_a_failure_is_told_and_written_to_the_trials_folder(attempt):
    def train(config):
        report(loss=1.0)
        raise ValueError("lr must be positive")

    run = attempt(train, attempt=2)

    assert (run.ended.outcome, run.ended.kind) == ("failed", "exception")
    assert run.ended.message == "ValueError: lr must be positive"
    assert run.ended.where == f"test_runner.py:{train.__code__.co_firstlineno + 2} in train"
    assert "runner.py" not in run.ended.traceback.replace("test_runner.py", "")
    text = (run.trial_folder / "error.txt").read_text()
    assert text.startswith("trial 7, attempt 2, exception: ValueError: lr must be positive\nTraceback")
    assert text.endswith(run.ended.traceback)
    assert len(run.reports) == 1


@pytest.mark.parametrize("code", [None, 0])
def test_a_clean_exit_is_done(attempt, code):
    assert attempt(lambda config: sys.exit(code)).ended.outcome == "done"


def test_another_exit_is_a_failure(attempt):
    ended = attempt(lambda config: sys.exit(3)).ended

    assert (ended.outcome, ended.kind, ended.message) == ("failed", "exit", "SystemExit: the trial called sys.exit(3)")


def interrupted(config):
    raise KeyboardInterrupt


def test_an_interrupt_in_a_worker_is_a_failure(attempt):
    ended = attempt(interrupted).ended

    assert (ended.outcome, ended.message) == ("failed", "KeyboardInterrupt")


def test_a_missing_checkpoint_fails_before_anything_runs(attempt):
    ran = []
    ended = attempt(ran.append, checkpoint="trials/00003/checkpoints/1-000004").ended

    assert ran == []
    assert (ended.outcome, ended.kind) == ("failed", "checkpoint")
    assert "trials/00003/checkpoints/1-000004 cannot be read: it is not there any more" in ended.message


def test_a_metric_that_cannot_be_recorded_fails_in_the_users_frame(attempt):
    def train(config):
        report(model=object())

    ended = attempt(train).ended

    assert ended.message.startswith("ReportError: metric 'model' is an object, which cannot be recorded.")
    assert ended.where == f"test_runner.py:{train.__code__.co_firstlineno + 1} in train"


def test_an_error_while_cleaning_up_after_a_halt_is_told_but_changes_nothing(attempt, end, capsys):
    def train(config):
        try:
            report(loss=1.0)
        finally:
            raise ValueError("cannot close")

    run = attempt(train, early={1: end()})

    assert (run.ended.outcome, run.ended.kind) == ("halted", "")
    assert "ValueError: cannot close" in capsys.readouterr().err
    assert not (run.trial_folder / "error.txt").exists()


def test_an_error_while_cleaning_up_after_done_changes_nothing_either(attempt, capsys):
    def train(config):
        try:
            report(loss=1.0, done=True)
        except BaseException:
            sys.exit(3)

    assert attempt(train).ended.outcome == "done"
    assert "SystemExit: 3" in capsys.readouterr().err


def test_a_folder_that_cannot_be_made_is_a_failure_not_a_crash(attempt, tmp_path):
    (tmp_path / "trials").write_text("a file where a folder should be")
    ended = attempt(lambda config: print(get_context().trial_folder)).ended

    assert ended.outcome == "failed"
    assert "trials" in ended.message


def test_a_runner_takes_one_attempt_after_another(attempt):
    runner = Runner(WorkerJob(trainable=lambda config: {"loss": config["loss"]}, experiment="digits"))
    runs = [attempt(None, {"loss": loss}, runner=runner, attempt=loss) for loss in (1, 2, 3)]

    assert [run.metrics for run in runs] == [[{"loss": 1}], [{"loss": 2}], [{"loss": 3}]]
    assert [run.ended.attempt for run in runs] == [1, 2, 3]


def test_a_failed_attempt_does_not_touch_the_next(attempt):
    def train(config):
        if config["fails"]:
            raise ValueError("no")

    runner = Runner(WorkerJob(trainable=train, experiment="digits"))

    outcomes = [attempt(None, {"fails": fails}, runner=runner).ended.outcome for fails in (True, False)]

    assert outcomes == ["failed", "done"]

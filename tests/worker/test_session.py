import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from time import monotonic

import numpy as np
import pytest

from tunesmith.errors import ReportError, TuneError
from tunesmith.worker.checkpoint import Checkpoint
from tunesmith.worker.protocol import Go, Report
from tunesmith.worker.session import TrialHalted, get_checkpoint, get_context, report

from .conftest import MemoryChannel


def reports(count, **metrics):
    def train(config):
        for step in range(1, count + 1):
            report({"loss": 1 / step, **metrics})

    return train


def test_results_are_numbered_and_sent_as_they_come(attempt):
    run = attempt(reports(3))

    assert [(r.trial, r.attempt, r.number, r.metrics) for r in run.reports] == [
        (7, 1, 1, {"loss": 1.0}), (7, 1, 2, {"loss": 0.5}), (7, 1, 3, {"loss": 1 / 3}),
    ]  # fmt: skip
    assert run.ended.outcome == "done"
    assert run.channel.blocked == 0


def test_numbers_and_time_count_on_from_the_checkpoint(attempt):
    run = attempt(reports(2), number=10, elapsed=100.0)

    assert [r.number for r in run.reports] == [11, 12]
    assert 100.0 < run.reports[0].elapsed < run.reports[1].elapsed < 160.0


def test_metrics_can_be_given_by_keyword_and_both_ways(attempt):
    def train(config):
        report(loss=1.0)
        report({"loss": 2.0}, accuracy=0.5)
        report()

    assert attempt(train).metrics == [{"loss": 1.0}, {"loss": 2.0, "accuracy": 0.5}, {}]


def test_a_name_given_both_ways_is_an_error(attempt):
    run = attempt(lambda config: report({"loss": 1.0}, loss=2.0))

    assert run.ended.message == ("ReportError: metric 'loss' is given twice: in the dict and by keyword. Give it once.")


def test_a_report_waits_at_the_leases_end_and_goes_on_with_the_next_lease(attempt, go):
    run = attempt(reports(6), until=2, verdicts=[go(5), go(100)])

    assert run.waits == [False, True, False, False, True, False]
    assert run.ended.outcome == "done"


def test_a_lease_of_one_result_waits_each_time(attempt, go):
    forever = float("-inf")

    assert attempt(reports(3), until=forever, verdicts=[go(forever)] * 3).waits == [True, True, True]


def test_a_lease_may_count_a_metric(attempt, go):
    def train(config):
        for step in range(1, 5):
            report(loss=1.0, timesteps_total=np.int64(100 * step))

    run = attempt(train, time_attr="timesteps_total", until=200, verdicts=[go(1000)])

    assert run.waits == [False, True, False, False]


def test_a_lease_may_count_steps_that_are_added_up(attempt, go):
    def train(config):
        for _ in range(4):
            report(loss=1.0, timesteps_this_iter=100)

    run = attempt(train, time_attr="timesteps_total", until=700, timesteps=500.0, verdicts=[go(1000)])

    assert run.waits == [False, True, False, False]


def test_a_lease_may_count_seconds(attempt, go):
    run = attempt(reports(2), time_attr="time_total_s", until=50.0, elapsed=60.0, verdicts=[go(1e9)])

    assert run.waits == [True, False]


def test_a_time_that_is_nan_waits(attempt, go):
    def train(config):
        report(epoch=float("nan"))
        report(epoch=1)

    assert attempt(train, time_attr="epoch", until=3, verdicts=[go(3)]).waits == [True, False]


def test_a_report_without_the_time_attribute_fails_where_it_was_made(attempt):
    run = attempt(lambda config: report({"loss": 1.0, "accuracy": 0.5}), time_attr="epoch", until=3)

    assert run.ended.kind == "exception"
    assert run.ended.message == (
        "ReportError: the scheduler counts 'epoch', which this report lacks: it holds accuracy, loss. "
        "Report 'epoch' each time, or give the scheduler time_attr='training_iteration'."
    )
    assert run.ended.where.startswith("test_session.py:")
    assert run.reports == []


def test_a_time_attribute_that_is_no_number_is_refused(attempt):
    run = attempt(lambda config: report(epoch="three"), time_attr="epoch", until=3)

    assert "counts 'epoch', which must be a number; it is 'three'" in run.ended.message


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ({"accuracy": 0.5}, [False, True, True]),
        ({"training_iteration": 3}, [False, False, True]),
        ({"time_total_s": 0.0}, [True, True, True]),
        ({"neg_mean_loss": -0.5}, [False, True, True]),
        ({"missing": 0.0, "note": 0.0}, [False, False, False]),
    ],
)
def test_a_report_waits_once_a_threshold_is_reached(attempt, go, thresholds, expected):
    def train(config):
        for accuracy in (0.25, 0.5, 0.75):
            report(accuracy=accuracy, mean_loss=1 - accuracy, note="text")

    run = attempt(train, thresholds=thresholds, verdicts=[go(float("inf"))] * 3)

    assert run.waits == expected


def test_an_end_raises_inside_report_and_runs_finally_blocks(attempt, end):
    seen = []

    def train(config):
        try:
            report(loss=1.0)
            seen.append("went on")
        except Exception:
            seen.append("caught")
        finally:
            seen.append("finally")

    run = attempt(train, until=1, verdicts=[end()])

    assert seen == ["finally"]
    assert run.ended.outcome == "halted"


def test_an_end_sent_before_the_leases_end_is_obeyed_at_the_next_report(attempt, end):
    run = attempt(reports(10), early={3: end()})

    assert len(run.reports) == 3
    assert run.ended.outcome == "halted"


def test_a_lease_sent_early_counts(attempt, go):
    run = attempt(reports(4), until=3, early={2: go(100)})

    assert run.waits == [False, False, False, False]


def test_code_that_swallows_the_end_cannot_go_on_reporting(attempt, end):
    refused = []

    def train(config):
        for _ in range(5):
            try:
                report(loss=1.0)
            except BaseException as error:
                refused.append(type(error))
        return {"loss": 0.0}

    run = attempt(train, early={2: end()})

    assert refused == [TrialHalted] * 4
    assert len(run.reports) == 2
    assert run.ended.outcome == "halted"


def test_done_ends_the_trial_after_its_report_without_waiting(attempt):
    def train(config):
        report(loss=1.0, done=False)
        report(loss=0.5, done=np.bool_(True))
        raise AssertionError("went on")

    run = attempt(train, until=2)

    assert run.ended.outcome == "done"
    assert run.metrics == [{"loss": 1.0, "done": False}, {"loss": 0.5, "done": True}]
    assert run.channel.blocked == 0


def test_standing_still_for_a_verdict_is_not_training_time(attempt):
    class SlowChannel(MemoryChannel):
        def receive(self, *, block):
            if block:
                began = monotonic()
                while monotonic() - began < 0.05:
                    pass
                self.stood_still = monotonic() - began
                return Go(7, 1, 100)
            return None

    began = monotonic()
    run = attempt(reports(2), until=1, channel=SlowChannel())
    wall = monotonic() - began

    assert run.reports[1].elapsed <= wall - run.channel.stood_still


def test_steps_and_episodes_are_added_up_as_whole_numbers(attempt):
    def train(config):
        report(timesteps_this_iter=10, episodes_this_iter=2)
        report(timesteps_this_iter=10)
        report(timesteps_total=1000)
        report(timesteps_this_iter=10, episodes_this_iter=1)

    run = attempt(train, timesteps=100.0, episodes=5.0)

    assert [m.get("timesteps_total") for m in run.metrics] == [110, 120, 1000, 1010]
    assert [m.get("episodes_total") for m in run.metrics] == [7, None, None, 8]
    assert type(run.metrics[0]["timesteps_total"]) is int


def test_a_refused_report_counts_nothing(attempt):
    def train(config):
        with pytest.raises(ReportError):
            report(timesteps_this_iter=10, model=object())
        report(timesteps_this_iter=10)

    run = attempt(train)

    assert [(r.number, r.metrics["timesteps_total"]) for r in run.reports] == [(1, 10)]


def test_fields_that_are_counted_for_the_user_are_replaced_with_one_warning(attempt):
    def train(config):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            report(loss=1.0, training_iteration=1)
            report(loss=1.0, training_iteration=10)
            report(loss=1.0, training_iteration=11, time_total_s=3.0)
        (warning,) = caught
        assert str(warning.message).startswith("'training_iteration' is counted by Tunesmith and replaced")
        assert warning.filename == __file__

    run = attempt(train)

    assert run.ended.outcome == "done", run.ended
    assert run.metrics == [{"loss": 1.0}] * 3


def test_a_checkpoint_lies_in_its_place_before_its_report_is_sent(attempt, tmp_path):
    class CheckingChannel(MemoryChannel):
        def send(self, report: Report) -> None:
            super().send(report)
            self.content = (tmp_path / report.checkpoint).read_text()

    def train(config):
        file = tmp_path / "model.txt"
        file.write_text("weights")
        report(loss=1.0, checkpoint=file)

    run = attempt(train, number=4, channel=CheckingChannel())

    assert run.reports[0].checkpoint == "trials/00007/checkpoints/1-000005/model.txt"
    assert run.channel.content == "weights"


def test_a_missing_checkpoint_path_fails_the_attempt_and_sends_nothing(attempt):
    run = attempt(lambda config: report(loss=1.0, checkpoint="nowhere"))

    assert run.ended.message.startswith("ReportError: checkpoint='nowhere': there is nothing at")
    assert run.reports == []


def test_get_checkpoint_gives_what_was_reported(attempt, tmp_path):
    seen = []

    def train(config):
        seen.append(get_checkpoint())
        (tmp_path / "model.txt").write_text("weights")
        report(loss=1.0, checkpoint=tmp_path / "model.txt")

    first = attempt(train)
    attempt(lambda config: seen.append(get_checkpoint()), attempt=2, checkpoint=first.reports[0].checkpoint)

    assert seen[0] is None
    assert isinstance(seen[1], Checkpoint)
    assert Path(seen[1]).read_text() == "weights"


def test_the_context_says_which_trial_this_is(attempt, tmp_path):
    seen = []
    attempt(lambda config: seen.append(get_context()), resources={"cpu": 2}, node="here", trial=42, attempt=3)
    (context,) = seen

    assert (context.trial_id, context.trial_name, context.experiment) == (42, "digits_00042", "digits")
    assert (context.resources, context.attempt, context.node) == ({"cpu": 2}, 3, "here")
    assert context.trial_folder == tmp_path / "trials/00007"
    assert context.trial_folder.is_dir()
    assert context.get_trial_id() == "42"
    assert context.get_trial_name() == "digits_00042"
    assert context.get_trial_dir() == str(tmp_path / "trials/00007")
    assert context.get_trial_resources() == {"cpu": 2}
    assert context.get_experiment_name() == "digits"


@pytest.mark.parametrize("function", [report, get_checkpoint, get_context])
def test_outside_a_trial_the_error_says_what_to_do(function):
    with pytest.raises(TuneError, match=rf"tune.{function.__name__}\(\) was called outside a trial.*executor='inline'"):
        function()


def test_after_the_attempt_nothing_is_active(attempt):
    attempt(reports(1))

    with pytest.raises(TuneError, match="outside a trial"):
        report(loss=1.0)


def test_a_forked_child_of_a_trial_cannot_report_in_its_name(attempt):
    def train(config):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # later Pythons warn of threads, which pytest-xdist has
            child = os.fork()
        if child == 0:
            try:
                report(loss=1.0)
            except TuneError:
                os._exit(3)
            os._exit(0)
        return {"status": os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}

    assert attempt(train).metrics == [{"status": 3}]


def test_reports_from_several_threads_are_taken_one_at_a_time(attempt):
    def train(config):
        threads = [threading.Thread(target=reports(200), args=({},)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert [r.number for r in attempt(train).reports] == list(range(1, 801))


def test_a_nested_attempt_gives_the_outer_one_back(attempt):
    seen = []

    def outer(config):
        attempt(lambda config: seen.append(get_context().trial_id), trial=8)
        seen.append(get_context().trial_id)

    attempt(outer)

    assert seen == [8, 7]


def test_a_relative_experiment_folder_survives_a_change_of_directory(attempt, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def train(config):
        (tmp_path / "sub").mkdir()
        os.chdir(tmp_path / "sub")
        (tmp_path / "model.txt").write_text("weights")
        report(loss=1.0, checkpoint=tmp_path / "model.txt")

    run = attempt(train, experiment_folder="experiment")

    assert (tmp_path / "experiment" / run.reports[0].checkpoint).read_text() == "weights"


def test_the_worker_side_is_light():
    code = "import sys, tunesmith.worker.runner; print({'numpy', 'rich', 'click', 'asyncio'} & set(sys.modules))"

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"

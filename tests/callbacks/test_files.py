import json
import os
import time
from pathlib import Path

import pytest
from recorded_run import RecordedRun

from tunesmith.callbacks import files as files_module
from tunesmith.callbacks import trial_folder
from tunesmith.callbacks.trial_folder import rebuild_files
from tunesmith.core.events import AttemptEnded, Failure, TrialFailed, TrialRequeued
from tunesmith.core.results import AUTOMATIC

FAILURE = Failure(
    kind="exception", message="ValueError: no", where="train.py:3 in train", traceback="Traceback: ValueError: no"
)


@pytest.fixture
def run(tmp_path):
    return RecordedRun(tmp_path / "run")


def test_a_finished_trial_has_its_config_and_all_of_its_results(run):
    run.open().launch(0, depth=3).report(0, 1, loss=0.5).report(0, 2, loss=0.25).complete(0).close()

    assert json.loads(run.path(0, "params.json").read_text()) == {"lr": 0.5, "depth": 3}
    assert [row["loss"] for row in run.rows(0)] == [0.5, 0.25]
    assert [row["loss"] for row in run.table(0)] == ["0.5", "0.25"]
    assert list(run.table(0)[0]) == list(run.rows(0)[0])


def test_a_line_has_every_automatic_field(run):
    run.open().launch(0).report(0, 1, loss=0.5).report(0, 2, loss=0.25, mean_loss=0.25).complete(0).close()

    first, second = run.rows(0)
    assert set(second) == AUTOMATIC | {"loss", "mean_loss"}
    assert second == {
        "loss": 0.25,
        "mean_loss": 0.25,
        "neg_mean_loss": -0.25,
        "trial_id": 0,
        "training_iteration": 2,
        "time_total_s": 4.0,
        "time_this_iter_s": 2.0,
        "iterations_since_restore": 2,
        "time_since_restore": 4.0,
        "timestamp": 1_700_000_003,
        "date": time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(1_700_000_003)),
        "pid": 101,
        "hostname": "here",
        "experiment": "run",
        "done": True,
    }
    assert first["done"] is False


def test_nan_and_inf_stay_what_they_are_as_in_ray_s_files(run):
    run.open().launch(0).report(0, 1, loss=float("nan"), other=float("-inf")).close()

    (row,) = run.rows(0)
    assert row["loss"] != row["loss"]
    assert row["other"] == float("-inf")
    assert [run.table(0)[0][name] for name in ("loss", "other")] == ["NaN", "-Infinity"]


def test_columns_grow_and_old_rows_are_padded(run):
    run.open().launch(0).report(0, 1, loss=1.0).flush()
    run.report(0, 2, loss=0.5, accuracy=0.9).report(0, 3, extra="x", loss=0.25).flush().report(0, 4, loss=0.2).close()

    table = run.table(0)
    assert [row["loss"] for row in table] == ["1.0", "0.5", "0.25", "0.2"]
    assert [row["accuracy"] for row in table] == ["", "0.9", "", ""]
    assert [row["extra"] for row in table] == ["", "", "x", ""]
    assert [row["training_iteration"] for row in table] == ["1", "2", "3", "4"]
    assert {row["experiment"] for row in table} == {"run"}


def test_a_cell_never_starts_a_formula_and_never_breaks_a_line(run):
    run.open().launch(0).report(0, 1, note='=HYPERLINK("x")', more="a,b\nc", loss=-1.0, **{"@x": 1}).close()

    (row,) = run.table(0)
    assert row["note"] == '\'=HYPERLINK("x")'
    assert row["more"] == "a,b\\nc"
    assert row["'@x"] == "1"
    assert row["loss"] == "-1.0"
    assert run.rows(0)[0]["note"] == '=HYPERLINK("x")'


def test_a_metric_with_the_name_of_an_automatic_field_wins_and_stands_once(run):
    run.open().launch(0).report(0, 1, pid=7, date="today", loss=1.0).report(0, 2, pid=8, date="now", loss=1.0).close()

    assert [(row["pid"], row["date"]) for row in run.rows(0)] == [(7, "today"), (8, "now")]
    assert [(row["pid"], row["date"]) for row in run.table(0)] == [("7", "today"), ("8", "now")]
    assert run.path(0, "result.json").read_text().count('"pid"') == 2


def test_percent_signs_in_names_are_only_names(run):
    run.open().launch(0).report(0, 1, **{"top%d": 1.0}).report(0, 2, **{"top%d": 2.0}).close()

    assert [row["top%d"] for row in run.rows(0)] == [1.0, 2.0]


def test_a_resumed_session_appends_and_doubles_nothing(run):
    run.open().launch(0).report(0, 1, loss=1.0, checkpoint="trials/00000/checkpoints/1-000001").close()
    run.open().feed(
        AttemptEnded(at=run.at, trial=0, attempt=1, outcome="lost"), TrialRequeued(at=run.at, trial=0, reason="lost")
    )
    run.launch(0, 2, "trials/00000/checkpoints/1-000001").report(0, 2, loss=0.5).complete(0).close()

    assert [row["training_iteration"] for row in run.rows(0)] == [1, 2]
    second = run.rows(0)[1]
    assert (second["iterations_since_restore"], second["time_since_restore"], second["time_this_iter_s"]) == (1, 2, 2)
    assert (second["pid"], second["timestamp"]) == (102, 1_700_000_000 + 1000 + int(run.at))
    assert len(run.table(0)) == 2


def test_what_a_killed_session_did_not_write_is_written_by_the_next_one(run):
    run.open().launch(0).report(0, 1, loss=1.0).flush().report(0, 2, loss=0.5).complete(0)
    run.launch(1).report(1, 1, loss=3.0).crash()
    assert [row["loss"] for row in run.rows(0)] == [1.0]

    run.open()

    assert [row["loss"] for row in run.rows(0)] == [1.0, 0.5]
    assert [row["loss"] for row in run.rows(1)] == [3.0]
    assert run.path(1, "params.json").exists()
    run.close()


def test_a_half_written_line_is_gone_after_a_resume(run):
    run.open().launch(0).report(0, 1, loss=1.0).flush().report(0, 2, loss=0.5).crash()
    with run.path(0, "result.json").open("a") as file:
        file.write('{"loss":0.')

    run.open().report(0, 3, loss=0.25).close()

    assert [row["loss"] for row in run.rows(0)] == [1.0, 0.5, 0.25]
    assert [row["loss"] for row in run.table(0)] == ["1.0", "0.5", "0.25"]


def test_a_trial_that_was_over_long_ago_is_left_alone_by_a_resume(run):
    run.open().launch(0).report(0, 1, loss=1.0).complete(0).launch(1).report(1, 1, loss=2.0).close()
    before = run.path(0, "result.json").stat().st_mtime_ns

    run.open().close()

    assert run.path(0, "result.json").stat().st_mtime_ns == before


def test_error_txt_tells_every_failure_with_its_traceback(run):
    run.open().launch(0).feed(
        AttemptEnded(at=run.at, trial=0, attempt=1, outcome="failed", failure=FAILURE),
        TrialRequeued(at=run.at, trial=0, reason="retry 1", failure=FAILURE),
    )
    run.launch(0, 2).feed(
        AttemptEnded(at=run.at, trial=0, attempt=2, outcome="failed", failure=FAILURE),
        TrialFailed(at=run.at, trial=0, failure=FAILURE),
    ).close()

    text = run.path(0, "error.txt").read_text()
    assert text.count("Traceback: ValueError: no") == 2
    assert "attempt 1: exception" in text
    assert "attempt 2: exception" in text
    assert "train.py:3 in train" in text


def test_params_json_shows_objects_as_text(run):
    def resolve(config):
        return {**config, "layer": RecordedRun, "shape": (1, {2}), 3: float("inf")}

    run.open(resolve=resolve).launch(0).close()

    found = json.loads(run.path(0, "params.json").read_text())
    assert found == {"lr": 0.5, "layer": "RecordedRun", "shape": [1, "{2}"], "3": float("inf")}


def test_results_wait_in_memory_only_up_to_a_bound(run, monkeypatch):
    monkeypatch.setattr(files_module, "MOST_HELD", 10)
    run.open().launch(0)
    for number in range(1, 26):
        run.report(0, number, loss=1.0)
    run.files._join()

    assert len(run.rows(0)) == 19  # the newest of 20 may be the last one, and is not written yet
    run.complete(0).close()
    assert [row["training_iteration"] for row in run.rows(0)] == list(range(1, 26))
    assert [row["done"] for row in run.rows(0)] == [False] * 24 + [True]


def test_of_many_trials_several_results_each_are_written_together(run, monkeypatch):
    monkeypatch.setattr(files_module, "MOST_HELD", 10)
    run.open()
    for trial in range(20):
        run.launch(trial)
    for number in (1, 2, 3, 4):
        for trial in range(20):
            run.report(trial, number, loss=1.0)
    assert not run.path(0, "result.json").exists()

    for trial in range(20):
        run.report(trial, 5, loss=1.0)
    run.files._join()

    assert [len(run.rows(trial)) for trial in range(20)] == [4] * 20  # the newest ones may be the last ones


def test_a_writer_that_has_written_for_long_rests_first(run, monkeypatch):
    monkeypatch.setattr(files_module, "REST", float("inf"))
    run.open().launch(0).report(0, 1, loss=1.0).flush().report(0, 2, loss=0.5).flush()
    assert len(run.rows(0)) == 1

    run.close()

    assert [row["loss"] for row in run.rows(0)] == [1.0, 0.5]


def test_a_thousand_running_trials_hold_no_file_open(run):
    run.open()
    for trial in range(1000):
        run.launch(trial).report(trial, 1, loss=1.0)
    run.flush()

    folder = str(run.folder / "trials")
    opened = [os.path.realpath(path) for path in Path("/proc/self/fd").iterdir()]
    assert [path for path in opened if path.startswith(folder)] == []
    run.close()


def test_a_full_disk_loses_nothing(run, monkeypatch, capsys):
    write = trial_folder._write

    def refuse(place, batch):
        (run.folder / "trials").mkdir(exist_ok=True)
        if batch.trial == 0:
            raise OSError(28, "No space left on device")
        write(place, batch)

    run.open().launch(0).report(0, 1, loss=1.0).launch(1).report(1, 1, loss=2.0)
    monkeypatch.setattr(trial_folder, "_write", refuse)
    run.flush()
    assert not run.path(0, "result.json").exists()
    assert len(run.rows(1)) == 1
    monkeypatch.setattr(trial_folder, "_write", write)
    run.report(0, 2, loss=0.5).report(1, 2, loss=0.5).flush().report(0, 3, loss=0.25).close()

    assert [row["loss"] for row in run.rows(0)] == [1.0, 0.5, 0.25]
    assert [row["loss"] for row in run.rows(1)] == [2.0, 0.5]
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_a_disk_that_stays_full_is_told_and_caught_up_by_the_next_session(run, monkeypatch, capsys):
    def refuse(path, content):
        raise OSError(28, "No space left on device")

    run.open().launch(0).report(0, 1, loss=1.0)
    with monkeypatch.context() as full:
        full.setattr(trial_folder, "_write", refuse)
        full.setattr(trial_folder, "_replace", refuse)
        run.close()
    assert "tunesmith repair" in capsys.readouterr().err

    run.open().close()

    assert [row["loss"] for row in run.rows(0)] == [1.0]


def test_all_files_can_be_made_again_from_the_journal(run):
    run.open().launch(0).report(0, 1, loss=1.0).report(0, 2, loss=0.5, extra=1.0).complete(0)
    run.launch(1).feed(TrialFailed(at=run.at, trial=1, failure=FAILURE)).close()
    names = [(0, "result.json"), (0, "progress.csv"), (0, "params.json"), (1, "error.txt"), (1, "params.json")]
    before = {(trial, name): run.path(trial, name).read_bytes() for trial, name in names}
    for trial, name in names:
        run.path(trial, name).unlink()

    assert rebuild_files(run.folder) == 2

    assert {(trial, name): run.path(trial, name).read_bytes() for trial, name in names} == before

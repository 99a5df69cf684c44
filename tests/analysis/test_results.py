import os
import re
import warnings

import pandas as pd
import pytest

import tunesmith as tune
from tunesmith.analysis.results import Results
from tunesmith.core.results import AUTOMATIC
from tunesmith.core.trial import Status
from tunesmith.errors import ConfigError, ExperimentNotFound, TuneError


def relu():
    pass


def train(config):
    """Trial i has the accuracies i, i + 1, i + 2, then i again; the third one reports a checkpoint with its best."""
    if config["i"] == 4:
        raise ValueError("four is too many")
    folder = tune.get_context().trial_folder / "model"
    folder.mkdir()
    (folder / "weights").write_text("good")
    for step in (0, 1, 2, 0):
        checkpoint = folder if config["i"] == 2 and step == 2 else None
        tune.report({"accuracy": config["i"] + step, "loss": abs(config["i"] - 1)}, checkpoint=checkpoint)


class StopsTrialThree(tune.Scheduler):
    def decide(self, result, experiment):
        return tune.Stop("it is the third") if (result.trial, result.number) == (3, 2) else tune.Continue()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return tune.run(
        train,
        space={"i": tune.grid_search([0, 1, 2, 3, 4]), "net": {"act": relu, "depth": 3}},
        metric="accuracy",
        mode="max",
        scheduler=StopsTrialThree(),
        name="digits",
        storage_path=tmp_path_factory.mktemp("results"),
        executor="inline",
        verbose=0,
        seed=1,
    )


def test_the_trials_come_by_number(results):
    assert len(results) == 5
    assert [trial.id for trial in results] == [0, 1, 2, 3, 4]
    assert [trial.status for trial in results] == ["completed"] * 3 + ["stopped", "failed"]
    assert results[1].config["i"] == 1
    assert results[-1].id == 4
    assert [trial.id for trial in results[1:3]] == [1, 2]
    with pytest.raises(IndexError, match="has no trial 5; it has 5"):
        results[5]


def test_the_best_is_the_best_result_that_a_trial_ever_had(results):
    best = results.best

    assert best.id == 2
    assert best.config == {"i": 2, "net": {"act": relu, "depth": 3}}
    assert (best.metrics["accuracy"], best.metrics["training_iteration"]) == (4, 3)
    assert set(best.metrics) == AUTOMATIC - {"neg_mean_loss"} | {"accuracy", "loss"}
    assert best.last_metrics["accuracy"] == 2
    assert best.last_metrics["done"] is True
    assert best.last_result == best.last_metrics


def test_the_best_checkpoint_can_be_opened(results):
    with open(os.path.join(results.best.checkpoint, "weights")) as file:  # noqa: PTH118, PTH123  a path like any other
        assert file.read() == "good"
    assert results[0].checkpoint is None


def test_history_has_one_dict_per_result_with_the_automatic_fields(results):
    history = results[1].history

    assert [row["accuracy"] for row in history] == [1, 2, 3, 1]
    assert [row["training_iteration"] for row in history] == [1, 2, 3, 4]
    assert [row["done"] for row in history] == [False, False, False, True]
    assert {row["trial_id"] for row in history} == {1}
    assert results[4].history == []
    assert results[4].metrics == {}


def test_a_trial_says_why_it_ended(results):
    (failed,), (stopped,) = results.errors, results.stopped

    assert failed.error.message == "ValueError: four is too many"
    assert "four is too many" in failed.error.traceback
    assert failed.reason == "ValueError: four is too many"
    assert failed.attempts == 1
    assert stopped.reason == "it is the third"
    assert len(stopped.history) == 2
    assert (failed.folder / "error.txt").exists()


def test_another_metric_ranks_every_result_anew(results):
    assert results.get_best_trial("loss", "min").id == 1
    assert results.get_best_trial("accuracy", "min").id == 0
    assert results.get_best_result("loss", "min").metrics["loss"] == 0


def test_a_metric_that_nobody_reported_is_an_error_that_names_what_was(results):
    with pytest.raises(TuneError, match=re.escape("no result of digits has a usable 'f1'. Reported: accuracy, loss.")):
        results.get_best_trial("f1", "max")
    with pytest.raises(ConfigError, match="is lower or higher better"):
        results.get_best_trial("loss")


def test_an_experiment_without_a_metric_asks_for_one(tmp_path):
    found = tune.run(lambda config: {"x": 1}, name="free", storage_path=tmp_path, executor="inline", verbose=0)

    with pytest.raises(ConfigError, match=r"run without a metric.*Reported: x"):
        found.best
    assert found.get_best_trial("x", "max").id == 0
    assert found[0].metrics["x"] == 1


def test_any_process_reads_the_same_but_for_objects_that_only_the_script_has(results):
    loaded = tune.load(results.folder)

    assert [trial.status for trial in loaded] == [trial.status for trial in results]
    assert loaded.best.history == results.best.history
    assert isinstance(loaded.best.config["net"]["act"], str)


def test_a_look_during_the_run_shows_what_there_is_so_far(tmp_path):
    seen = []

    def look(config):
        tune.report({"x": 1.0})
        found = Results(tmp_path / "live")
        seen.append((found.finished, found.counts[Status.RUNNING], len(found[0].history), found.best.id))

    tune.run(
        look,
        metric="x",
        mode="max",
        scheduler=StopsTrialThree(),  # so that each report waits until it is decided, and journaled
        name="live",
        storage_path=tmp_path,
        executor="inline",
        verbose=0,
    )

    assert seen == [(None, 1, 1, 0)]
    assert Results(tmp_path / "live").finished.reason == "completed"


def test_no_experiment_is_an_error(tmp_path):
    with pytest.raises(ExperimentNotFound):
        Results(tmp_path)


def test_the_table_of_trials_names_best_and_last(results):
    frame = results.dataframe()

    assert list(frame["trial_id"]) == [0, 1, 2, 3, 4]
    assert list(frame["config/i"]) == [0, 1, 2, 3, 4]
    assert list(frame["config/net/depth"]) == [3] * 5
    assert list(frame["best/accuracy"][:4]) == [2, 3, 4, 4]
    assert list(frame["last/accuracy"][:4]) == [0, 1, 2, 4]
    assert frame["error"][4] == "ValueError: four is too many"
    assert pd.isna(frame["best/accuracy"][4])


def test_the_table_of_results_has_one_row_for_each(results):
    frame = results.dataframe(history=True)

    assert len(frame) == 4 + 4 + 4 + 2
    assert list(frame[frame["trial_id"] == 2]["accuracy"]) == [2, 3, 4, 2]
    assert list(frame[frame["trial_id"] == 2]["config/i"]) == [2] * 4


def test_ray_s_names_mean_the_same(results):
    assert results.best_trial.id == 2
    assert results.best_config == results.best.config
    assert results.best_result == results.best.metrics
    assert results.best_checkpoint == results.best.checkpoint
    assert (results.num_errors, results.num_terminated) == (1, 4)
    assert list(results.get_dataframe()["accuracy"][:4]) == [0, 1, 2, 4]
    assert list(results.get_dataframe("accuracy", "max")["accuracy"][:4]) == [2, 3, 4, 4]
    assert results.best.trial_id == "2"
    assert results.best.path == results.best.logdir == str(results.best.folder)
    assert list(results.best.metrics_dataframe["accuracy"]) == [2, 3, 4, 2]


def test_people_see_the_counts_and_the_best(results):
    assert repr(results).startswith("<Results of digits: 1 stopped, 3 completed, 1 failed; best: trial 2, accuracy=4")
    assert "four is too many" in repr(results[4])
    assert "<td>completed</td>" in results._repr_html_()
    assert "&lt;Results of digits" in results._repr_html_()
    assert "<th>net/act</th><td>relu</td>" in results.best._repr_html_()


def test_reading_leaves_nothing_open(results):
    with warnings.catch_warnings(action="error"):
        for trial in results:
            trial.history
    folder = str(results.folder)
    opened = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]  # noqa: PTH208
    assert [path for path in opened if path.startswith(folder)] == []

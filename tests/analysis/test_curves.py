import gzip
import json
import math
import random

import pytest

import tunesmith as tune
from tunesmith.analysis.curve_files import _recordings
from tunesmith.analysis.curves import Curve, CurveTable
from tunesmith.core.objective import Objective
from tunesmith.store.reader import JournalReader, effective_results

ONE = {"config": {"lr": 0.1}, "metrics": {"loss": [0.5, 0.25]}}


def plain(table):
    """A table's contents, comparable in spite of nan."""
    return repr([(c.config, c.metrics, c.seconds, c.ended, c.trial) for c in table])


@pytest.mark.parametrize("name", ["table.npz", "table.json", "table.json.gz"])
def test_a_table_comes_back_from_its_file(tmp_path, name):
    table = CurveTable(
        [
            {"config": {"lr": 0.1, "net": {"depth": 3}}, "metrics": {"a/loss": [0.5, math.nan], "acc": [1, 2]}},
            {"config": {}, "metrics": {"acc": [math.inf]}, "seconds": [0.5], "ended": "stopped", "trial": 7},
            {"config": {"x": None}, "metrics": {"acc": [1, 2, 3]}, "seconds": 2},
        ],
        metric="acc",
        mode="max",
        workers=4,
        notes=["made for a test"],
    )
    table.save(tmp_path / name)
    found = CurveTable.load(tmp_path / name)

    assert plain(found) == plain(table)
    assert (found.objective, found.workers, found.notes) == (Objective("acc", "max"), 4, ("made for a test",))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["table.npz", "table.json.gz"])
def test_a_large_table_is_a_small_file_with_seven_digits(tmp_path, name):
    draw = random.Random(0).random
    curves = [
        {
            "config": {"lr": draw(), "units": number},
            "metrics": {"loss": [draw() for _ in range(81)], "accuracy": [draw() for _ in range(81)]},
            "seconds": [draw() for _ in range(81)],
        }
        for number in range(1000)
    ]
    table = CurveTable(curves)
    table.save(tmp_path / name)
    found = CurveTable.load(tmp_path / name)

    assert (tmp_path / name).stat().st_size < 1_500_000
    for before, after in zip(table[0].metrics["loss"], found[0].metrics["loss"], strict=True):
        assert after == pytest.approx(before, rel=1e-6)
    assert found[999].config == table[999].config


def test_the_same_table_gives_the_same_json_file(tmp_path):
    for name in ("a.json.gz", "b.json.gz"):
        CurveTable([ONE]).save(tmp_path / name)

    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_a_json_list_of_curves_is_a_table(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps([ONE, {**ONE, "seconds": 3, "ended": "failed"}]))
    table = CurveTable.load(tmp_path / "mine.json")

    assert [curve.is_complete for curve in table] == [True, False]
    assert table[1].seconds == [3.0, 3.0]
    assert tune.simulate(tmp_path / "mine.json", metric="loss", mode="min").best_value == 0.25


def test_a_table_says_how_much_there_is():
    table = CurveTable([ONE, {"config": {}, "metrics": {"loss": [3, 2, 1]}, "seconds": 0.5, "ended": "stopped"}])

    assert (len(table), table.results, table.longest, table.seconds) == (2, 5, 3, 3.5)
    assert table.best(Objective("loss", "min")) == 0.25
    assert table.best(Objective("loss", "max")) == 3
    assert repr(table) == "<CurveTable of 2 curves (1 cut short), 5 steps of loss>"


def test_what_is_no_number_is_never_the_best():
    table = CurveTable([{"config": {}, "metrics": {"loss": [math.nan, -math.inf, None, math.inf]}}])

    assert table.best(Objective("loss", "min")) is None


def test_numpy_arrays_are_curves():
    numpy = pytest.importorskip("numpy")
    table = CurveTable([{"config": {}, "metrics": {"loss": numpy.array([0.5, 0.25], dtype=numpy.float32)}}])

    assert table[0] == Curve({}, {"loss": [0.5, 0.25]}, [1.0, 1.0])


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ([], "a table of learning curves needs at least one curve."),
        ("text", "give a list of curves"),
        (ONE, "give a list of curves"),
        ([3], "curve 0 is 3. Give a dict"),
        ([ONE, {"config": {}}], "curve 1: Object missing required field `metrics`. It takes the keys config, metrics"),
        ([{**ONE, "second": 1}], "curve 0: Object contains unknown field `second`. It takes the keys"),
        ([{**ONE, "config": 3}], "curve 0: Expected `object`, got `int` - at `$.config`"),
        ([{**ONE, "metrics": {}}], "curve 0 has no steps."),
        ([{**ONE, "metrics": {"loss": []}}], "curve 0 has no steps."),
        ([{**ONE, "metrics": {"loss": 3}}], "curve 0: metrics['loss'] is 3. Give a list with one number per step."),
        ([{**ONE, "metrics": {"loss": ["low"]}}], "curve 0: metrics['loss'] holds 'low', which is no number."),
        ([{**ONE, "metrics": {"a": [1, 2], "b": [1]}}], "differ in length: a has 2, b has 1. Use nan"),
        ([{**ONE, "seconds": [1]}], "curve 0 has 2 steps, but 1 seconds."),
        ([{**ONE, "seconds": [1, -1]}], "curve 0: seconds must be finite and 0 or more."),
        ([{**ONE, "seconds": math.inf}], "curve 0: seconds must be finite and 0 or more."),
        ([{**ONE, "seconds": "1 s"}], "curve 0: seconds is '1 s'. Give a list"),
    ],
)
def test_what_is_no_curve_is_refused(curves, message):
    with pytest.raises(tune.ConfigError) as raised:
        CurveTable(curves)

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("metric", "mode", "message"),
    [
        ("accuracy", "max", "metric='accuracy': no curve of the table has it. They have: loss."),
        ("loss", None, "mode='': give 'min' or 'max'."),
        ("loss", "least", "mode='least': give 'min' or 'max'."),
    ],
)
def test_a_table_is_ranked_by_what_it_has(metric, mode, message):
    with pytest.raises(tune.ConfigError) as raised:
        CurveTable([ONE], metric=metric, mode=mode)

    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", b"", "lies in a file that ends in .npz, .json or .json.gz"),
        ("t.npz", b"nothing", "holds no table of learning curves"),
        ("t.json", b"{", "holds no table of learning curves"),
        ("t.json", b"{}", "holds no table of learning curves"),
        ("t.json.gz", b"plain", "holds no table of learning curves"),
        ("t.json.gz", gzip.compress(b"[]", mtime=0)[:-4], "holds no table of learning curves"),
        ("t.json", b'{"format": "tunesmith learning curves", "version": 9, "curves": []}', "is of version 9"),
        ("t.json", b"[]", "needs at least one curve"),
    ],
)
def test_a_file_that_holds_no_table_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(tune.ConfigError) as raised:
        CurveTable.load(tmp_path / name)

    assert message in str(raised.value)


def test_a_config_that_json_cannot_hold_is_not_saved(tmp_path):
    table = CurveTable([{**ONE, "config": {"f": print}}])

    for name in ("t.npz", "t.json"):
        with pytest.raises(tune.ConfigError, match="curve 0: its config cannot be saved as JSON"):
            table.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(tune.ConfigError, match="cannot be written: No such file or directory"):
        CurveTable([ONE]).save(tmp_path / "none" / "t.json")


# Experiments that have run.


class StopsOdd(tune.Scheduler):
    def decide(self, result, experiment):
        is_odd = experiment.trials[result.trial].config["x"] % 2
        return tune.Stop("odd") if is_odd and result.number == 2 else tune.Continue()


def train(config):
    if config["x"] == 4:
        raise ValueError("four")
    for step in range(3):
        if config["x"] == 6 and step == 2:
            raise ValueError("six")
        tune.report({"loss": config["x"] + step, "note": "text", "is_low": step > 1})


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    space = {"x": tune.grid_search(list(range(8)))}
    return tune.run(train, space=space, metric="loss", mode="min", scheduler=StopsOdd(), executor="inline", verbose=0,
                    storage_path=tmp_path_factory.mktemp("results"))  # fmt: skip


def test_an_experiment_becomes_a_table_that_knows_how_each_trial_ended(experiment):
    table = CurveTable.of_experiment(experiment)

    assert [curve.trial for curve in table] == [0, 1, 2, 3, 5, 6, 7]
    assert [curve.ended for curve in table] == [
        "completed", "stopped", "completed", "stopped", "stopped", "failed", "stopped",
    ]  # fmt: skip
    assert table[0].config == {"x": 0}
    assert table[0].metrics == {"loss": [0, 1, 2], "is_low": [0, 0, 1]}
    assert [len(curve) for curve in table] == [3, 2, 3, 2, 2, 2, 2]
    assert table.objective == Objective("loss", "min")
    assert table.workers == 1
    assert table.notes == ("1 of 8 trials never reported anything and are left out",)


def test_a_folder_is_simulated_with_the_times_that_were_recorded(experiment):
    found = tune.simulate(experiment.folder)

    assert found.censored == 5
    assert found.objective == Objective("loss", "min")
    times = {trial.id: trial.elapsed for trial in experiment}
    for trial in found.trials:
        assert trial.seconds == pytest.approx(times[trial.recorded])


def test_a_trial_of_a_running_experiment_is_never_taken_for_complete(experiment):
    with JournalReader(experiment.folder) as reader:
        events = [event for _, event in reader.events()]

    for end in range(len(events)):
        for number, recording in enumerate(_recordings(events[:end])[0]):
            results = effective_results(recording.events)
            assert recording.status != "completed" or len(results) == 3
            if results and recording.status == "running":
                assert experiment[number].status in ("completed", "stopped", "failed")


def test_a_folder_of_experiments_says_which_there_are(experiment):
    with pytest.raises(tune.ExperimentNotFound, match=f"It holds experiments, though: {experiment.folder.name}"):
        tune.simulate(experiment.folder.parent)


def test_the_journals_own_path_is_the_experiment(experiment):
    assert tune.simulate(experiment.folder / "journal.db").results == tune.simulate(experiment).results


def test_of_several_objectives_the_first_ranks_the_curves_and_that_is_said(tmp_path):
    def both(config):
        tune.report({"loss": 1, "size": 2})

    results = tune.run(both, metric=["size", "loss"], mode="min", executor="inline", storage_path=tmp_path,
                       name="both", verbose=0)  # fmt: skip
    table = CurveTable.of_experiment(results)

    assert table.objective == Objective("size", "min")
    assert table.notes == ("both has several objectives; the curves are ranked by the first, size",)


class Restarts(tune.Trainable):
    """Fails once in the middle, and goes on from its checkpoint of two steps before."""

    failed = False

    def setup(self, config):
        self.count = 0

    def step(self):
        self.count += 1
        if self.count == 6 and not Restarts.failed:
            Restarts.failed = True
            raise OSError("once")
        return {"loss": 10 - self.count, "done": self.count == 8}

    def save_checkpoint(self, folder):
        return {"count": self.count}

    def load_checkpoint(self, checkpoint):
        self.count = checkpoint["count"]


def test_what_a_restart_has_done_again_counts_once(tmp_path):
    results = tune.run(Restarts, metric="loss", mode="min", max_failures=1, checkpoint_freq=3, executor="inline",
                       storage_path=tmp_path, verbose=0)  # fmt: skip
    assert results[0].attempts == 2

    table = CurveTable.of_experiment(results)

    assert table[0].metrics == {"loss": [9, 8, 7, 6, 5, 4, 3, 2]}
    assert all(second >= 0 for second in table[0].seconds)
    assert math.fsum(table[0].seconds) == pytest.approx(results[0].elapsed)
    assert table[0].is_complete


def test_an_experiment_without_results_has_nothing_to_replay(tmp_path):
    def broken(config):
        raise ValueError("no")

    results = tune.run(broken, executor="inline", storage_path=tmp_path, name="empty", verbose=0)

    with pytest.raises(tune.ConfigError, match="empty has nothing to replay: no trial has reported"):
        tune.simulate(results)

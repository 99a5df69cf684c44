"""Wrong calls through the front door: each says what is wrong and what to do, before anything has run or been made."""

import datetime
import math
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import tunesmith as tune

RAN = []


def train(config):
    RAN.append(config)
    tune.report({"accuracy": 1.0})


def locked():
    lock = threading.Lock()
    return lambda config: lock.acquire()


async def asynchronous(config):
    pass


class Steps(tune.Trainable):
    def step(self):
        return {"accuracy": 1.0}


class NoStep(tune.Trainable):
    pass


class BothNames(Steps):
    def _train(self):
        return {}


class Foreign:
    def step(self):
        return {}


def shortly(value):
    # No reprs: they hold addresses, and the processes of a parallel run must agree on the names of the tests.
    return value[:50] if isinstance(value, str) else ""


X = {"x": tune.uniform(0, 1)}
A, S, R = tune.ConfigError, tune.SpaceError, tune.ResourceError

ARGUMENTS = [
    # The space.
    ({"space": [1]}, S, "the space is [1]. Give a dict, e.g. {'lr': tune.loguniform(1e-4, 1e-1)}."),
    ({"space": {1: 2}}, S, "Give a dict with strings as keys, one for each parameter."),
    ({"space": {"x": tune.uniform}}, S, "space['x']: uniform is not called. Write uniform(...)."),
    ({"space": {"m": {"x": tune.randint(8, 2)}}}, S, "space['m']['x']: randint(8, 2) is empty: its low end is above"),
    ({"space": {"x": tune.grid_search([])}}, S, "space['x']: grid_search([]) is empty. Give at least one value."),
    ({"space": {"x": lambda spec: spec.config.y}}, S, "space['x']: its function failed for trial 0: MissingKeyError: "),
    (
        {"space": {"x": lambda spec: spec.config.y, "y": lambda spec: spec.config.x}},
        S,
        "space['x'] -> space['y'] -> space['x']: these values read each other in a circle.",
    ),
    ({"points_to_evaluate": [{"y": 1}]}, S, "points_to_evaluate[0]['y']: space has no such key. It has 'x'."),
    ({"points_to_evaluate": [{"x": 2}]}, S, "points_to_evaluate[0]['x']: 2 is outside uniform(0.0, 1.0)."),
    (
        {"points_to_evaluate": {"x": 1}},
        A,
        "points_to_evaluate={'x': 1}: give a list of dicts, each a part of a config.",
    ),
    ({"points_to_evaluate": [{}, {}]}, A, "2 points_to_evaluate do not fit into num_samples=1"),
    # The objective.
    ({"metric": "accuracy"}, A, "metric='accuracy': is lower or higher better? Add mode='min' or mode='max'."),
    ({"mode": "max"}, A, "mode='max' without a metric. Say which: metric='accuracy'."),
    ({"metric": "accuracy", "mode": "maximum"}, A, "mode='maximum': give 'min' or 'max'."),
    ({"metric": 3, "mode": "max"}, A, "metric=3: give the name of a reported metric"),
    (
        {"metric": ["a", "b"], "mode": ["max"]},
        A,
        "2 metrics and 1 modes: give one mode for each metric, or one for all.",
    ),
    # How many.
    ({"num_samples": 0}, A, "num_samples=0: give a whole number from 1, or -1 for no end."),
    ({"num_samples": -2}, A, "num_samples=-2: give a whole number from 1, or -1 for no end."),
    ({"num_samples": 2.0}, A, "num_samples=2.0: give a whole number from 1, or -1 for no end."),
    ({"num_samples": True}, A, "num_samples=True: give a whole number from 1, or -1 for no end."),
    ({"num_samples": "3"}, A, "num_samples='3': give a whole number from 1, or -1 for no end."),
    # Who decides.
    ({"scheduler": "ahsa"}, A, "scheduler='ahsa': there is none of that name. Did you mean 'asha'?"),
    ({"scheduler": tune.ASHAScheduler}, A, "give a tune.Scheduler such as tune.ASHAScheduler(), or its name."),
    ({"scheduler": "asha"}, A, "ASHAScheduler has nothing to rank trials by. Add metric= and mode= to the run."),
    ({"scheduler": "median"}, A, "MedianStoppingRule has nothing to rank trials by."),
    (
        {"searcher": "hill"},
        A,
        "searcher='hill': there is none of that name. There are: 'auto', 'random', ",
    ),
    ({"searcher": tune.BasicVariantGenerator}, A, "give a tune.Searcher such as tune.BOHBSearcher(), or its name."),
    # When to stop.
    ({"stop": 3}, A, "stop=3 is no stop rule. Give a dict of thresholds"),
    ({"stop": {"accuracy": "high"}}, A, "stop={'accuracy': 'high'}: the value is not a number."),
    ({"stop": {"accuracy": math.nan}}, A, "stop={'accuracy': nan}: the value is not a number."),
    ({"stop": lambda result: True}, A, "stop=<lambda>: it must take two arguments, (trial_id, result)"),
    ({"stop": tune.Stopper}, A, "stop=Stopper is a class. Give an object of it: stop=Stopper(...)."),
    ({"stop": [{"accuracy": 1}, 4]}, A, "stop=4 is no stop rule."),
    # Resources.
    ({"resources": 4}, A, "resources=4: give a dict such as {'cpu': 2, 'gpu': 0.5}, a list of them, or a function."),
    ({"resources": {"cpu": "2"}}, R, "resources={'cpu': '2'}: 'cpu': '2' is not an amount. Give a number."),
    ({"resources": {"cpu": -1}}, R, "'cpu' is -1; it must be 0 or more."),
    ({"resources": {"cpu": math.nan}}, R, "'cpu' is nan; it must be 0 or more."),
    ({"resources": {"gpu": 1.5}}, R, "gpu=1.5: above 1 ask for whole GPUs."),
    ({"resources": {"cpu": 4000}}, R, "lacks cpu 4000 of "),
    ({"resources": {"cpu": 4000}}, R, "or oversubscribe on purpose with cpus=N"),
    ({"resources": {"tpu": 1}}, R, "a trial asks for tpu=1, which no node can ever give"),
    (
        {"resources": {}, "executor": "local"},
        A,
        "resources={} asks for nothing, so that all trials would start at once.",
    ),
    (
        {"resources": lambda config: {"cpu": 0}, "executor": "local"},
        A,
        "asks for nothing, so that all trials would start at once.",
    ),
    ({"resources": lambda config: 3}, A, "resources= returned 3 for {'x': "),
    ({"resources": lambda config: config["y"]}, A, "resources= failed for {'x': "),
    ({"cpus": 0}, A, "cpus=0: give a number above 0."),
    ({"gpus": 0.5}, A, "gpus=0.5: give a whole number of at least 0, or the GPUs' names as a list."),
    ({"gpus": 1000}, A, "gpus=1000, but "),
    ({"max_concurrent_trials": 0}, A, "max_concurrent_trials=0: give a whole number of at least 1."),
    (
        {"executor": "kubernetes"},
        A,
        "executor='kubernetes': there is none of that name. There are: 'local', 'inline', 'ray', 'dask',",
    ),
    ({"executor": tune.InlineExecutor}, A, "give a name, such as 'local' or 'ray', or an Executor."),
    (
        {"executor": tune.InlineExecutor(), "cpus": 2},
        A,
        "cpus= and gpus= go to the executor when you give one yourself.",
    ),
    # Limits.
    ({"time_budget_s": 0}, A, "time_budget_s=0: give a number above 0."),
    ({"time_budget_s": "10"}, A, "time_budget_s='10': give a number above 0."),
    ({"time_budget_s": datetime.timedelta(seconds=-1)}, A, "time_budget_s=-1.0: give a number above 0."),
    ({"trial_time_limit_s": math.nan}, A, "trial_time_limit_s=nan: give a number above 0."),
    ({"report_timeout_s": -3}, A, "report_timeout_s=-3: give a number above 0."),
    ({"grace_s": None}, A, "grace_s=None: give a number of at least 0."),
    ({"max_failures": -2}, A, "max_failures=-2: give a whole number of at least -1."),
    ({"max_failures": None}, A, "max_failures=None: give a whole number of at least -1."),
    ({"fail_fast": 1}, A, "fail_fast=1: give one of True, False, 'auto'."),
    ({"nan": "ignore"}, A, "nan='ignore': give one of 'worst', 'fail'."),
    # Names, folders, and going on.
    ({"name": ""}, A, "name='': it becomes a folder; give a short name without slashes."),
    ({"name": "../x"}, A, "name='../x': it becomes a folder; give a short name without slashes."),
    ({"name": ".."}, A, "name='..': it becomes a folder"),
    ({"name": 3}, A, "name=3: it becomes a folder"),
    ({"name": "\x1b[31mred"}, A, "it becomes a folder"),
    ({"name": "é" * 150}, A, "is longer than 200 bytes"),
    ({"storage_path": 3}, A, "storage_path=3: give the path of a folder, or a URL"),
    ({"storage_path": Path("s3://bucket/x")}, A, "Path() has made one slash of the URL's two. Give it as text."),
    ({"storage_path": "memory://x"}, A, "memory of one process, which trials and later runs do not share."),
    ({"storage_path": "nothing://x"}, A, "nothing://x/e: Protocol not known: nothing. Give a URL that fsspec knows"),
    ({"num_to_keep": 0}, A, "num_to_keep=0: give a whole number of at least 1."),
    ({"max_checkpoint_bytes": "lots"}, A, "max_checkpoint_bytes='lots': give a number of bytes above 0"),
    ({"checkpoint_score_order": "min"}, A, "checkpoint_score_order='min' without a metric."),
    ({"pause": "stop"}, A, "pause='stop': give one of 'end', 'hold'."),
    ({"pause": "hold"}, A, "keeps the processes of paused trials, and InlineExecutor cannot"),
    ({"storage_path": f"{__file__}/x"}, A, "test_bad_input.py is a file. Give the path of a folder."),
    ({"resume": "yes"}, A, "resume='yes': give False, True or 'auto'"),
    ({"resume": 3}, A, "resume=3: give False, True or 'auto'"),
    (
        {"resume": "auto+restart"},
        A,
        "resume='auto+restart': give False, True or 'auto'; with retry_failed=True for failed",
    ),
    ({"resume": True}, tune.ExperimentNotFound, "resume=True, but there is no experiment in "),
    ({"retry_failed": "yes"}, A, "retry_failed='yes': give one of True, False."),
    # The rest.
    ({"seed": 1.5}, A, "seed=1.5: give a whole number."),
    ({"seed": True}, A, "seed=True: give a whole number."),
    ({"seed": 2**70}, A, "does not fit into 64 bits. Give a smaller one."),
    ({"callbacks": [print]}, A, "<built-in function print> is no object of a class derived from tune.Callback."),
    ({"callbacks": None}, A, "callbacks=None: give a list of tune.Callback objects."),
    ({"verbose": "high"}, A, "verbose='high': give 0 for silence, or 1 for the display."),
    ({"checkpoint_freq": 1}, A, "checkpoint_freq= and checkpoint_at_end= are for class trainables."),
    ({"checkpoint_freq": 2.5}, A, "checkpoint_freq=2.5: give a whole number of at least 0."),
    ({"reuse_workers": "yes"}, A, "reuse_workers='yes': give one of True, False."),
    ({"raise_on_failed_trial": 2}, A, "raise_on_failed_trial=2: give one of True, False."),
    ({"nmu_samples": 3}, A, "run() has no argument 'nmu_samples'. Did you mean num_samples"),
    ({"config": {"x": 1}}, A, "config= is another name for space=; give one of them."),
]

TRAINABLES = [
    (None, {}, "None (NoneType) cannot be tuned. Give a function of (config), a class derived from tune.Trainable"),
    ({"x": 1}, {}, "the trainable is a dict; run(trainable, space=...) takes the function or class first."),
    ("nobody", {}, "there is no trainable 'nobody'. Registered names: "),
    ("no_such_module:train", {}, "'no_such_module:train' cannot be imported: ModuleNotFoundError"),
    ("math:nothing", {}, "'math:nothing' cannot be imported: AttributeError"),
    ("no/such/file.py:train", {}, "'no/such/file.py:train' cannot be imported: there is no file /"),
    ("math:pi", {}, "3.141592653589793 (float) cannot be tuned."),
    (NoStep, {}, "NoStep defines no step(). Define it: it returns metrics."),
    (tune.Trainable, {}, "Trainable defines no step()."),
    (BothNames, {}, "BothNames defines both step() and _train(), two names of one method. Keep step()."),
    (Foreign, {}, "the class Foreign is no trainable. Derive it from tune.Trainable, or"),
    (Steps, {"checkpoint_freq": 1}, "checkpoints are asked for, but Steps defines no save_checkpoint()."),
    (Steps, {"checkpoint_at_end": True}, "checkpoints are asked for, but Steps defines no save_checkpoint()."),
    (asynchronous, {}, "asynchronous is async. Wrap it: lambda config: asyncio.run(asynchronous(config))."),
    (lambda: 1, {}, "takes no positional argument for the config."),
    (lambda config, a, b: 1, {}, "needs 'b', which nobody gives it."),
    (tune.with_parameters(train, data=1), {}, "with_parameters gives 'data', which train does not take."),
    (tune.with_parameters(NoStep, data=1), {}, "NoStep defines no step()."),
    (locked(), {"executor": "local"}, "cannot be sent to a worker process: TypeError: cannot pickle '_thread.lock'"),
]


@pytest.fixture
def storage(tmp_path):
    RAN.clear()
    yield tmp_path / "results"
    assert RAN == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "kind", "message"), ARGUMENTS, ids=shortly)
def test_a_wrong_argument_is_refused_before_anything_is_made(storage, given, kind, message):
    arguments = {"space": X, "name": "e", "storage_path": storage, "executor": "inline", "verbose": 0, **given}

    with pytest.raises(kind) as caught:
        tune.run(train, **arguments)

    assert message in str(caught.value)


@pytest.mark.parametrize(("trainable", "given", "message"), TRAINABLES, ids=shortly)
def test_what_cannot_be_tuned_is_refused_before_anything_is_made(storage, trainable, given, message):
    arguments = {"space": X, "name": "e", "storage_path": storage, "executor": "inline", "verbose": 0, **given}

    with pytest.raises(tune.ConfigError) as caught:
        tune.run(trainable, **arguments)

    assert message in str(caught.value)


def test_a_file_whose_name_a_module_has_already_is_refused(tmp_path):
    (tmp_path / "json.py").write_text("def train(config): pass\n")

    with pytest.raises(tune.ConfigError, match=r"another module is called 'json' too; rename the file"):
        tune.run(f"{tmp_path / 'json.py'}:train", storage_path=tmp_path / "results", verbose=0)
    sys.path.remove(str(tmp_path))


def test_setup_that_cannot_take_the_parameters_is_refused(storage):
    class WithoutData(Steps):
        def setup(self, config):
            pass

    with pytest.raises(tune.ConfigError, match=r"WithoutData\.setup cannot be called with a config and .*: data: "):
        tune.run(tune.with_parameters(WithoutData, data=1), storage_path=storage, executor="inline", verbose=0)


def test_with_parameters_without_data_and_with_resources_without_a_dict_are_refused():
    with pytest.raises(tune.ConfigError, match="give the data by keyword"):
        tune.with_parameters(train)
    with pytest.raises(tune.ConfigError, match="4 is neither a dict such as"):
        tune.with_resources(train, 4)
    with pytest.raises(tune.ConfigError, match="give a non-empty name"):
        tune.register_trainable("", train)
    with pytest.raises(tune.ConfigError, match="cannot be tuned"):
        tune.register_trainable("three", 3)


def test_a_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch):
    # Whoever runs the tests may be root, who may write everywhere; so the answer of the system is put in its mouth.
    monkeypatch.setattr("os.access", lambda path, mode: False)

    with pytest.raises(tune.ConfigError, match=r"cannot be written to\. Give another folder\."):
        tune.run(train, storage_path=tmp_path / "x", executor="inline", verbose=0)


def test_an_existing_experiment_is_not_touched_by_a_new_one(tmp_path):
    arguments = {"space": X, "name": "e", "storage_path": tmp_path, "executor": "inline", "verbose": 0}
    tune.run(train, **arguments)
    before = (tmp_path / "e" / "journal.db").read_bytes()

    with pytest.raises(tune.ExperimentExists, match=r"Go on with it: resume='auto'\. A new one: another name=\."):
        tune.run(train, **arguments)

    assert (tmp_path / "e" / "journal.db").read_bytes() == before


class FakeTensor:
    """A scalar as torch has it."""

    shape = ()

    def __init__(self, value):
        self._value = value

    def item(self):
        return self._value

    def tolist(self):
        return self._value


GOOD_REPORTS = [
    ({"accuracy": math.nan}, "nan"),
    ({"accuracy": math.inf}, "inf"),
    ({"accuracy": None, "other": 1}, "None"),
    ({"other": 1}, "missing"),
    ({"accuracy": np.float32(0.5)}, 0.5),
    ({"accuracy": np.int64(3)}, 3),
    ({"accuracy": np.bool_(True)}, True),
    ({"accuracy": np.array(0.25)}, 0.25),
    ({"accuracy": FakeTensor(0.5)}, 0.5),
    ({"accuracy": 10**30}, 1e30),
    ({"accuracy": True}, True),
]


@pytest.mark.parametrize(("report", "stored"), GOOD_REPORTS, ids=shortly)
def test_what_can_be_a_number_is_recorded(tmp_path, report, stored):
    results = tune.run(
        lambda config: tune.report(report),
        metric="accuracy", mode="max", storage_path=tmp_path, executor="inline", verbose=0,
    )  # fmt: skip

    [trial] = results
    assert trial.status == "completed", trial.error
    found = trial.history[0].get("accuracy", "missing")
    assert str(found) == stored if isinstance(stored, str) else found == stored


BAD_REPORTS = [
    (0.5, "a report takes a dict of metrics, not a float. Write it as {'loss': value}, for example."),
    ([1], "a report takes a dict of metrics, not a list."),
    ({"accuracy": "0.9"}, "must be one number; it is a str: '0.9'. Report a number, e.g. float(accuracy)."),
    ({"accuracy": [0.9, 0.8]}, "must be one number; it is a list"),
    ({"accuracy": np.array([0.9, 0.8])}, "must be one number; it is a list"),
    ({1: 0.5}, "the metric name 1 is an int. Names are strings: write '1'."),
    ({"": 0.5}, "has the empty string as its name. Give it a name."),
    ({"x": object()}, "metric 'x' is an object, which cannot be recorded."),
    ({"x": {1, 2}}, "metric 'x' is a set, which cannot be recorded. Report a list, e.g. sorted(value)."),
    ({"x": b"bytes"}, "metric 'x' is a bytes, which cannot be recorded. Report text (bytes.decode())"),
    ({"x": 1 + 2j}, "Report its abs(), .real or .imag."),
    ({"x": print}, "Was it meant to be called, with ()?"),
    ({"x": 10**400}, "too large for a number. Report its logarithm?"),
    ({"x": "y" * 2_000_000}, "above the limit of 1,000,000 (the largest metric: 'x'"),
    ({"x": np.zeros((1000, 1000))}, "too large for a metric. Put it in a checkpoint"),
    ({"a": {"b": 1}, "a/b": 2}, "metric 'a/b' is given twice"),
]


@pytest.mark.parametrize(("report", "message"), BAD_REPORTS, ids=shortly)
def test_a_report_that_cannot_be_recorded_fails_its_trial_in_its_own_line(tmp_path, report, message):
    results = tune.run(
        lambda config: tune.report(report),
        metric="accuracy", mode="max", storage_path=tmp_path, executor="inline", verbose=0,
    )  # fmt: skip

    [trial] = results
    assert trial.status == "failed"
    assert message in trial.error.message
    assert "ReportError" in trial.error.message
    assert "test_bad_input.py" in trial.error.where
    assert trial.history == []


def test_a_report_that_contains_itself_fails_its_trial(tmp_path):
    def train(config):
        metrics = {"x": 1}
        metrics["again"] = metrics
        tune.report(metrics)

    [trial] = tune.run(train, storage_path=tmp_path, executor="inline", verbose=0)

    assert "is nested deeper than 20 levels (does it contain itself?)" in trial.error.message


RETURNED = [
    ("done", "returned a str. A trial may return nothing, a number or a dict of metrics"),
    ([1, 2], "returned a list."),
    ((0.5, "x"), "returned a tuple."),
]


@pytest.mark.parametrize(("value", "message"), RETURNED, ids=shortly)
def test_a_wrong_return_value_fails_its_trial(tmp_path, value, message):
    [trial] = tune.run(lambda config: value, storage_path=tmp_path, executor="inline", verbose=0)

    assert message in trial.error.message


def test_a_step_that_returns_no_dict_fails_its_trial(tmp_path):
    class Wrong(tune.Trainable):
        def step(self):
            return 0.5

    [trial] = tune.run(Wrong, storage_path=tmp_path, executor="inline", verbose=0)

    assert "Wrong.step() returned a float. Return a dict of metrics." in trial.error.message


def test_report_outside_a_trial_says_so():
    with pytest.raises(tune.TuneError, match=r"tune\.report\(\) was called outside a trial"):
        tune.report({"x": 1})

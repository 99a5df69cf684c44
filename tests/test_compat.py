"""Ray Tune's words: early Tune's scripts unchanged, JSON and YAML files, Ray 2's Tuner."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.compat import experiments_from_file

EARLY = """
import numpy as np
import tunesmith as tune
from tunesmith.schedulers import AsyncHyperBandScheduler


def train_func(config, reporter):
    accuracy = 0
    for i in range(40):
        accuracy += config["lr"] * (1 - config["momentum"])
        reporter(mean_accuracy=accuracy, timesteps_total=i)


configuration = tune.Experiment(
    "experiment_name",
    run=train_func,
    trial_resources={"cpu": 1},
    stop={"mean_accuracy": 0.95},
    num_samples=5,
    config={
        "lr": lambda spec: np.random.uniform(0.001, 0.1),
        "momentum": tune.grid_search([0.2, 0.4, 0.6]),
    },
)
hyperband = AsyncHyperBandScheduler(time_attr="timesteps_total", reward_attr="mean_accuracy")
trials = tune.run_experiments(configuration, scheduler=hyperband, verbose=False)
print({trial.status.value for trial in trials} <= {"completed", "stopped"}, len(trials))
print(sorted({trial.config["momentum"] for trial in trials}))
print(all(0.001 <= trial.config["lr"] <= 0.1 for trial in trials))
print(all(row["timesteps_total"] == row["training_iteration"] - 1 for trial in trials for row in trial.history))
"""


def train(config, reporter):
    reporter(mean_accuracy=config.get("x", 0.5), timesteps_total=1)


@pytest.fixture
def quietly(tmp_path, monkeypatch):
    """Run in a folder of its own, in this process."""
    monkeypatch.chdir(tmp_path)

    def run(experiments, **arguments):
        return tune.run_experiments(experiments, **{"verbose": False, "executor": "inline", **arguments})

    return run


def test_an_early_script_runs_unchanged(tmp_path):
    done = subprocess.run(
        [sys.executable, "-"], input=EARLY, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stdout == "True 15\n[0.2, 0.4, 0.6]\nTrue\nTrue\n"
    assert done.stderr == ""


def test_experiments_come_alone_in_lists_and_in_dicts(quietly):
    one = tune.Experiment("one", run=train)
    two = tune.Experiment("two", train, num_samples=2)
    spec = {"three": {"run": train, "config": {"x": {"uniform": [0.1, 0.2]}}, "repeat": 3}}

    assert len(quietly(one)) == 1
    assert [trial.name for trial in quietly([tune.Experiment("a", train), two])] == [
        "a_00000",
        "two_00000",
        "two_00001",
    ]
    trials = quietly(spec)
    assert len(trials) == 3
    assert all(0.1 <= trial.config["x"] <= 0.2 for trial in trials)


FILE = {
    "from_file": {
        "run": "trainer_for_files:train",
        "stop": {"training_iteration": 2},
        "config": {
            "lr": {"loguniform": [0.001, 0.1]},
            "units": {"randint": {"lower": 1, "upper": 9}},
            "net": [{"momentum": {"grid_search": [0.2, 0.4]}}, 3],
            "pick": {"choice": ["a", "b"]},
            "uniform": {"kind": "not a domain"},
        },
        "num_samples": 2,
        "trial_resources": {"cpu": 1},
    }
}


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_experiments_come_from_files(quietly, tmp_path, monkeypatch, suffix):
    import yaml

    file = tmp_path / f"experiment.{suffix}"
    file.write_text(json.dumps(FILE) if suffix == "json" else yaml.safe_dump(FILE))
    code = "def train(config, reporter):\n    for step in range(5):\n        reporter(mean_accuracy=step)\n"
    (tmp_path / "trainer_for_files.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)

    trials = quietly(experiments_from_file(file))

    assert [trial.config["net"][0]["momentum"] for trial in trials] == [0.2, 0.4, 0.2, 0.4]
    assert all(0.001 <= trial.config["lr"] <= 0.1 and 1 <= trial.config["units"] < 9 for trial in trials)
    assert trials[0].config["uniform"] == {"kind": "not a domain"}
    assert [len(trial.history) for trial in trials] == [2] * 4
    assert {trial.reason for trial in trials} == {"training_iteration = 2 has reached 2"}


def test_what_a_file_runs_lies_beside_it(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "beside_it.py").write_text("def train(config):\n    return {'mean_accuracy': 1}\n")
    specs = {"a": {"run": "beside_it.py:train"}, "b": {"run": "beside_it:train"}}
    (folder / "experiment.json").write_text(json.dumps(specs))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)

    trials = tune.run_experiments(experiments_from_file("elsewhere/experiment.json"), verbose=False)

    assert [trial.metrics["mean_accuracy"] for trial in trials] == [1, 1]


WRONG_SPECS = [
    ({"e": {"run": train, "config": {"x": {"eval": "spec.config.y * 2"}}}}, "text in a file is never run as code."),
    ({"e": {"run": train, "config": {"x": {"uniform": [1]}}}}, "space['x']: {'uniform': [1]}: uniform takes (low"),
    ({"e": {"run": train, "stops": {}}}, "experiment 'e': unknown keys ['stops']. Known ones: run, env, stop"),
    ({"e": {"config": {}}}, "experiment 'e' does not say what to run. Add \"run\": a name or 'module:function'."),
    ({"e": 3}, "experiment 'e': 3 is not a dict of run, env, stop"),
    ({}, "give a tune.Experiment, a list of them, or {'name': {'run': ..., 'config': {...}}}."),
    ([], "give a tune.Experiment, a list of them"),
    (train, "give a tune.Experiment, a list of them"),
    ([{"e": {"run": train}}], "give a tune.Experiment, a list of them"),
]


@pytest.mark.parametrize(("spec", "message"), WRONG_SPECS, ids=[message[:40] for _, message in WRONG_SPECS])
def test_a_wrong_spec_is_refused_before_anything_is_made(quietly, tmp_path, spec, message):
    with pytest.raises((tune.ConfigError, tune.SpaceError)) as caught:
        quietly(spec)

    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


WRONG_EXPERIMENTS = [
    ({"trial_resources": {"cpu": 1}, "resources_per_trial": {"cpu": 1}}, "are two names for one thing"),
    ({"repeat": 2, "num_samples": 3}, "repeat= is the earlier name of num_samples=; give one of them."),
    ({"upload_dir": "s3://x"}, "Experiment('e'): upload_dir='s3://x' is not supported."),
    ({"restore": "x"}, "Experiment('e'): restore='x' is not supported."),
]


@pytest.mark.parametrize(
    ("arguments", "message"), WRONG_EXPERIMENTS, ids=[str(given) for given, _ in WRONG_EXPERIMENTS]
)
def test_a_wrong_experiment_is_refused(arguments, message):
    with pytest.raises(tune.ConfigError) as caught:
        tune.Experiment("e", run=train, **arguments)

    assert message in str(caught.value)


WRONG_FILES = [
    ("missing.json", None, "missing.json cannot be read: No such file or directory."),
    ("broken.json", "{", "broken.json is not valid JSON: Expecting property name"),
    ("broken.yaml", "a: [", "broken.yaml is not valid YAML: "),
    ("list.json", "[]", 'list.json must hold {"experiment name": {"run": ...'),
    ("binary.json", b"\xff\xfe\x00", "binary.json is not valid JSON: "),
]


@pytest.mark.parametrize(("name", "text", "message"), WRONG_FILES, ids=[name for name, _, _ in WRONG_FILES])
def test_a_wrong_file_is_refused(tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    with pytest.raises(tune.ConfigError) as caught:
        experiments_from_file(tmp_path / name)

    assert message in str(caught.value)


def test_a_taken_name_gets_a_number_and_resume_goes_on(quietly):
    quietly(tune.Experiment("e", train))
    with pytest.warns(UserWarning, match=r"there is an experiment 'e' already; this one is 'e_2'"):
        again = quietly(tune.Experiment("e", train))
    gone_on = quietly(tune.Experiment("e", train, num_samples=3), resume=True)

    assert again[0].name == "e_2_00000"
    assert [trial.name for trial in gone_on] == ["e_00000", "e_00001", "e_00002"]


def test_a_failed_trial_raises_unless_told_otherwise(quietly):
    def fails(config, reporter):
        raise ValueError("broken")

    with pytest.raises(tune.TrialsFailed, match="1 of 1 trials failed"):
        quietly(tune.Experiment("a", fails, max_failures=0))
    [trial] = quietly(tune.Experiment("b", fails), raise_on_failed_trial=False)
    assert trial.error.message == "ValueError: broken"
    assert trial.attempts == 4  # early Tune's max_failures is 3


def test_what_has_no_equal_here_is_said(quietly):
    with pytest.warns(UserWarning, match=r"run_experiments\(with_server=\.\.\.\) has no equal here and is ignored"):
        quietly(tune.Experiment("e", train), with_server=True)
    with pytest.raises(tune.ConfigError, match=r"run\(\) has no argument 'max_trials'"):
        quietly(tune.Experiment("f", train), max_trials=3)
    with pytest.raises(tune.ConfigError, match="resume='prompt': give False, True or 'auto'"):
        quietly(tune.Experiment("g", train), resume="prompt")


def test_queue_trials_is_an_option_of_ray_and_elsewhere_a_warning(quietly):
    with pytest.raises(tune.ConfigError, match="executor='ray:nothing=1,queue_trials=true': RayExecutor has no option"):
        quietly(tune.Experiment("e", train), queue_trials=True, executor="ray:nothing=1")

    with pytest.warns(UserWarning, match=r"it is for executor='ray'"):
        quietly(tune.Experiment("e", train), queue_trials=True)


def test_a_scheduler_is_fresh_for_each_experiment(quietly):
    def steps(config, reporter):
        for step in range(1, 5):
            reporter(mean_accuracy=config["x"], timesteps_total=step)

    def experiment(name, x):
        return tune.Experiment(name, steps, config={"x": x})

    scheduler = tune.AsyncHyperBandScheduler(
        time_attr="timesteps_total", reward_attr="mean_accuracy", grace_period=1, reduction_factor=2, max_t=8
    )
    good, bad = quietly([experiment("good", 0.9), experiment("bad", 0.1)], scheduler=scheduler)

    assert (len(good.history), len(bad.history)) == (4, 4)


def test_ctrl_c_ends_the_experiments_that_have_not_begun_too(tmp_path):
    code = """
import time
import tunesmith as tune

def train(config, reporter):
    print("running", flush=True)
    for step in range(10_000):
        time.sleep(0.01)
        reporter(step=step)

both = [tune.Experiment("a", train), tune.Experiment("b", train)]
trials = tune.run_experiments(both, verbose=False, executor="inline")
print([trial.name for trial in trials])
"""
    process = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "running\n"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)

    assert output == "['a_00000']\n"
    assert not (tmp_path / "results" / "b").exists()


def test_the_tuner_means_the_same_as_run(tmp_path):
    class Quiet(tune.Callback):
        seen = 0

        def handle(self, events, experiment):
            Quiet.seen += len(events)

    def train(config):
        for step in range(1, 6):
            tune.report({"accuracy": config["x"] * step})

    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            metric="accuracy", mode="max", num_samples=4, max_concurrent_trials=1,
            scheduler=tune.schedulers.ASHAScheduler(max_t=5), time_budget_s=60, reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="e", storage_path=tmp_path, stop={"training_iteration": 3}, verbose=0, callbacks=[Quiet()],
            failure_config=tune.FailureConfig(max_failures=1),
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=0),
        ),
    )  # fmt: skip
    grid = tuner.fit()

    assert len(grid) == 4
    assert grid.num_errors == 0
    assert max(len(result.history) for result in grid) == 3
    best = grid.get_best_result()
    assert best.metrics["accuracy"] == max(grid.get_dataframe("accuracy", "max")["accuracy"])
    assert best.config == grid.get_best_result(metric="accuracy", mode="max").config
    assert Path(best.path) == tmp_path / "e" / "trials" / f"{best.id:05d}"
    assert Quiet.seen > 0


def test_a_tuner_is_restored(tmp_path):
    def train(config):
        if not (tmp_path / "repaired").exists():
            raise ValueError("broken")
        return {"accuracy": 1}

    configs = {
        "tune_config": tune.TuneConfig(metric="accuracy", mode="max", num_samples=2),
        "run_config": tune.RunConfig(name="e", storage_path=tmp_path, verbose=0),
    }
    assert tune.Tuner(train, **configs).fit().num_errors == 2
    (tmp_path / "repaired").touch()

    assert tune.Tuner.restore(tmp_path / "e", train, **configs).fit().num_errors == 2
    assert tune.Tuner.restore(tmp_path / "e", train, resume_errored=True, **configs).fit().num_errors == 0
    with pytest.raises(tune.ExperimentNotFound):
        tune.Tuner.restore(tmp_path / "f", train)


def test_ray_tunes_names_for_the_arguments_of_run_work(tmp_path):
    results = tune.run(
        train, config={"x": tune.uniform(0, 1)}, resources_per_trial={"cpu": 1}, local_dir=tmp_path, name="e",
        search_alg=tune.BasicVariantGenerator(), reuse_actors=True, verbose=0,
    )  # fmt: skip

    assert results[0].status == "completed"


class Saves(tune.Trainable):
    def setup(self, config):
        self.state = 0

    def step(self):
        self.state += 1
        return {"state": self.state, "done": self.state == 4}

    def save_checkpoint(self, folder):
        return {"state": self.state}

    def load_checkpoint(self, checkpoint):
        self.state = checkpoint["state"]


def kept(trial):
    return sorted(path.name for path in (trial.folder / "checkpoints").iterdir())


def test_rays_words_for_what_is_kept(tmp_path):
    config = tune.CheckpointConfig(
        num_to_keep=1, checkpoint_score_attribute="state", checkpoint_score_order="min", checkpoint_frequency=1
    )
    running = tune.RunConfig(storage_path=tmp_path, name="two", checkpoint_config=config, verbose=0)
    results = tune.Tuner(Saves, run_config=running).fit()
    assert kept(results[0]) == ["1-000001", "1-000004"]

    words = {"checkpoint_freq": 1, "keep_checkpoints_num": 1, "checkpoint_score_attr": "min-state"}
    early = tune.run(Saves, storage_path=tmp_path, name="one", verbose=0, executor="inline", **words)
    assert kept(early[0]) == ["1-000001", "1-000004"]

    experiment = tune.Experiment("earliest", Saves, local_dir=tmp_path, **words)
    trials = tune.run_experiments(experiment, verbose=0, executor="inline")
    assert kept(trials[0]) == ["1-000001", "1-000004"]

"""The front door: every form of trainable, every way to ask, one seed, going on."""

import functools
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.api import run

SPACE = {"x": tune.uniform(0, 1), "units": tune.randint(1, 100), "momentum": tune.grid_search([0.2, 0.4])}


@pytest.fixture
def inline(tmp_path):
    """Run in this process, silently."""

    def run_inline(trainable, **arguments):
        return run(
            trainable,
            **{"storage_path": tmp_path, "name": "e", "verbose": 0, "executor": "inline", "seed": 7, **arguments},
        )

    return run_inline


@pytest.fixture
def local(tmp_path):
    """Run in processes, silently; two at once."""

    def run_local(trainable, **arguments):
        return run(
            trainable,
            **{"storage_path": tmp_path, "name": "e", "verbose": 0, "cpus": 2, "seed": 7, **arguments},
        )

    return run_local


def climb(config):
    """Report 1 to 5, from the checkpoint on."""
    checkpoint = tune.get_checkpoint()
    done = int((checkpoint / "step").read_text()) if checkpoint else 0
    folder = tune.get_context().trial_folder / "work"
    folder.mkdir(exist_ok=True)
    for step in range(done + 1, 6):
        (folder / "step").write_text(str(step))
        tune.report({"score": step}, checkpoint=folder)


class Climb(tune.Trainable):
    def setup(self, config, start=0):
        self.score = start

    def step(self):
        self.score += 1
        return {"score": self.score, "done": self.score >= 5}

    def save_checkpoint(self, checkpoint_dir):
        return {"score": self.score}

    def load_checkpoint(self, checkpoint):
        self.score = checkpoint["score"]


class EarlyClimb(tune.Trainable):
    def _setup(self, config):
        self.score = 0

    def _train(self):
        self.score += 1
        return {"score": self.score, "done": self.score >= 5}

    def _save(self, checkpoint_dir):
        return {"score": self.score}

    def _restore(self, checkpoint):
        self.score = checkpoint["score"]


class Callable:
    def __call__(self, config):
        return {"score": 5}


def with_reporter(config, reporter):
    for step in range(1, 6):
        reporter(score=step, timesteps_total=step * 10)


def yields(config):
    for step in range(1, 6):
        yield {"score": step}


FORMS = {
    "a function": climb,
    "a function with a reporter": with_reporter,
    "a generator": yields,
    "a returned dict": lambda config: {"score": 5},
    "a returned number": lambda config: 5,
    "a partial": functools.partial(lambda config, top: {"score": top}, top=5),
    "an object that is called": Callable(),
    "a class": Climb,
    "a class in early Tune's words": EarlyClimb,
}


@pytest.mark.parametrize("trainable", FORMS.values(), ids=FORMS)
def test_every_form_of_trainable_runs(inline, trainable):
    results = inline(trainable, metric="score", mode="max", num_samples=2)

    assert [trial.status for trial in results] == ["completed", "completed"], results[0].error
    assert results.best.id == 0
    assert results.best.metrics["score"] == 5
    assert results.best.history[-1]["training_iteration"] == len(results.best.history)


def test_closures_lambdas_and_classes_run_in_processes(local):
    top = np.arange(6)

    def train(config):
        return {"score": int(top[-1]) + config["x"]}

    class Local(Climb):
        pass

    assert local(train, space={"x": 1}, metric="score", mode="max", name="closure").best.metrics["score"] == 6
    assert local(lambda config: 3, metric="score", mode="max", name="lambda").best.metrics["score"] == 3
    assert local(Local, metric="score", mode="max", name="class").best.metrics["score"] == 5


def test_names_stand_for_trainables(inline, tmp_path, monkeypatch):
    (tmp_path / "trainer_for_names.py").write_text("def train(config):\n    return {'score': 5}\n")
    monkeypatch.syspath_prepend(tmp_path)
    tune.register_trainable("climb", climb)

    for number, named in enumerate(["climb", "trainer_for_names:train", f"{tmp_path / 'trainer_for_names.py'}:train"]):
        results = inline(named, metric="score", mode="max", name=f"e{number}")
        assert results.best.metrics["score"] == 5


def test_data_bound_to_a_trainable_reaches_it(inline):
    data = np.ones(10)
    function = tune.with_parameters(lambda config, data, more: {"score": data.sum() + more}, data=data, more=1)

    assert inline(function, metric="score", mode="max", name="a").best.metrics["score"] == 11
    again = tune.with_parameters(function, more=2)
    assert inline(again, metric="score", mode="max", name="b").best.metrics["score"] == 12
    bound = tune.with_parameters(Climb, start=3)
    assert len(inline(bound, metric="score", mode="max", name="c").best.history) == 2


def test_large_data_is_sent_once_and_not_with_every_trial(local):
    class Counted:
        """Counts in a file how often it is pickled."""

        pickled = 0

        def __init__(self):
            self.array = np.ones(500_000)

        def __reduce__(self):
            Counted.pickled += 1
            return (np.ones, (500_000,))

    results = local(
        tune.with_parameters(lambda config, data: {"sum": data.sum()}, data=Counted()),
        num_samples=6,
        reuse_workers=True,
    )

    assert [trial.history[0]["sum"] for trial in results] == [500_000] * 6
    assert Counted.pickled == 1


def test_resources_come_from_the_call_the_trainable_or_the_config(local):
    def train(config):
        return {"cpu": tune.get_context().resources.get("cpu", 0)}

    def asked(trainable, name, **arguments):
        return [trial.history[0]["cpu"] for trial in local(trainable, name=name, **arguments)]

    assert asked(train, "default") == [1]
    assert asked(train, "call", resources={"cpu": 2}) == [2]
    assert asked(tune.with_resources(train, {"cpu": 0.5}), "bound") == [0.5]
    assert asked(
        train, "config", space={"n": tune.grid_search([1, 2])}, resources=lambda config: {"cpu": config["n"]}
    ) == [1, 2]


def test_a_request_that_only_some_configs_make_impossible_fails_those_trials(local):
    results = local(
        lambda config: 1,
        space={"n": tune.grid_search([1, 64])},
        resources=lambda config: {"cpu": config["n"]},
    )

    assert [trial.status for trial in results] == ["completed", "failed"]
    assert "a trial asks for cpu=64, which no node can ever give" in results[1].error.message


def test_a_trial_knows_where_it_is(inline, tmp_path):
    def train(config):
        context = tune.get_context()
        return {
            "id": context.get_trial_id(), "name": context.get_trial_name(), "experiment": context.get_experiment_name(),
            "folder": context.get_trial_dir(),
        }  # fmt: skip

    [trial] = inline(train)

    row = trial.history[0]
    assert (row["id"], row["name"], row["experiment"]) == ("0", "e_00000", "e")
    assert row["folder"] == str(tmp_path / "e" / "trials" / "00000") == str(trial.folder)


def test_the_result_has_what_the_user_asks_of_it(inline, tmp_path):
    results = inline(climb, space={"x": tune.uniform(0, 1)}, metric="score", mode="max", num_samples=3)

    assert results.best.config == results[0].config
    assert (results.best.checkpoint / "step").read_text() == "5"
    assert list(results.dataframe()["status"]) == ["completed"] * 3
    assert [row["score"] for row in results[2].history] == [1, 2, 3, 4, 5]
    loaded = tune.load(tmp_path / "e")
    assert [trial.config for trial in loaded] == [trial.config for trial in results]
    assert {"params.json", "result.json", "progress.csv"} <= {path.name for path in results[0].folder.iterdir()}


def test_loading_says_what_is_there(inline, tmp_path):
    inline(lambda config: 1)

    with pytest.raises(tune.ExperimentNotFound, match=r"there is no experiment in .*It holds experiments, though: e\."):
        tune.load(tmp_path)


def test_inline_runs_one_trial_at_a_time(inline):
    running = []

    def train(config):
        running.append(1)
        assert len(running) == 1
        for step in range(3):
            tune.report({"step": step})
        running.pop()

    results = inline(train, num_samples=4, resources={"cpu": 0.1})

    assert [trial.status for trial in results] == ["completed"] * 4
    ends = [row.last_at for row in (trial._row for trial in results)]
    starts = [row.first_at for row in (trial._row for trial in results)]
    assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))


def test_objects_in_the_space_reach_the_trial_and_the_results(inline):
    results = inline(
        lambda config: {"value": config["function"](2)},
        space={"function": tune.grid_search([abs, float])},
    )

    assert [trial.config["function"] for trial in results] == [abs, float]


# One seed.


def configs_of(results):
    return [trial.config for trial in results]


def slow_by_config(config):
    """Take longer for small x, so that more workers bring another order of results."""
    for step in range(3):
        time.sleep(0.01 * (1 - config["x"]))
        tune.report({"score": config["x"] * step})


def test_one_seed_gives_the_same_configs_whatever_the_workers_and_the_order(tmp_path):
    space = {**SPACE, "lambda": lambda spec: np.random.uniform(0, spec.config.x), "pick": tune.choice(["a", "b"])}
    arguments = {
        "space": space, "num_samples": 4, "seed": 11, "metric": "score", "mode": "max", "storage_path": tmp_path,
        "verbose": 0,
    }  # fmt: skip
    alone = run(slow_by_config, **arguments, executor="inline", name="inline")
    outcomes = [
        configs_of(run(slow_by_config, **arguments, cpus=workers, name=f"{workers}", scheduler=scheduler))
        for workers, scheduler in ((1, None), (2, "asha"), (4, None))
    ]

    assert outcomes == [configs_of(alone)] * 3
    assert len({str(config) for config in outcomes[0]}) == 8


def test_another_seed_gives_other_configs_and_the_global_generator_is_left_alone(inline):
    space = {"x": lambda spec: np.random.uniform()}
    np.random.seed(3)
    expected = np.random.uniform(size=2)
    np.random.seed(3)

    first = inline(lambda config: 1, space=space, name="a", seed=1)
    second = inline(lambda config: 1, space=space, name="b", seed=2)

    assert np.random.uniform(size=2).tolist() == expected.tolist()
    assert configs_of(first) != configs_of(second)


def test_points_to_evaluate_come_first(inline):
    results = inline(
        lambda config: 1,
        space={"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)},
        num_samples=3,
        points_to_evaluate=[{"x": 0.25}, {"x": 0.5, "y": 0.75}],
    )

    assert [trial.config["x"] for trial in results][:2] == [0.25, 0.5]
    assert results[1].config["y"] == 0.75


# Going on.


def test_a_finished_experiment_is_extended_and_nothing_runs_twice(inline):
    calls = []

    def train(config):
        calls.append(config["x"])
        return {"score": config["x"]}

    arguments = {"space": {"x": tune.uniform(0, 1)}, "metric": "score", "mode": "max", "resume": "auto"}
    first = configs_of(inline(train, num_samples=3, **arguments))
    inline(train, num_samples=3, **arguments)
    longer = inline(train, num_samples=5, seed=99, **arguments)

    assert len(calls) == 5
    assert configs_of(longer)[:3] == first
    assert configs_of(longer) == configs_of(inline(train, num_samples=5, name="f", **arguments))


def test_a_resume_may_change_scheduler_stop_rule_and_metric(inline):
    def train(config):
        for step in range(1, 10):
            tune.report({"score": step * config["x"], "loss": 1 / (step * config["x"])})

    space = {"x": tune.grid_search([1, 2, 3, 4])}
    inline(train, space=space, metric="score", mode="max")
    results = inline(
        train, space=space, num_samples=2, metric="loss", mode="min", stop={"training_iteration": 4},
        scheduler=tune.ASHAScheduler(grace_period=2, reduction_factor=2), resume=True,
    )  # fmt: skip

    assert results.metric == "loss"
    assert [len(trial.history) for trial in results][:4] == [9] * 4
    assert max(len(trial.history) for trial in list(results)[4:]) == 4
    assert all(trial.reason for trial in list(results)[4:])
    assert results.best.config == {"x": 4}


def test_failed_trials_are_tried_again_only_on_request(inline, tmp_path):
    def train(config):
        if not (tmp_path / "repaired").exists():
            raise ValueError("broken")
        return 1

    arguments = {"num_samples": 2, "resume": "auto"}
    assert inline(train, **arguments).num_errors == 2
    (tmp_path / "repaired").touch()
    assert inline(train, **arguments).num_errors == 2
    assert inline(train, **arguments, retry_failed=True).num_errors == 0


def test_errored_trials_are_tried_again_in_ray_tunes_words(inline, tmp_path):
    def train(config):
        if not (tmp_path / "repaired").exists():
            raise ValueError("broken")
        return 1

    assert inline(train).num_errors == 1
    (tmp_path / "repaired").touch()
    assert inline(train, resume="AUTO+ERRORED").num_errors == 0


def test_policies_that_are_used_again_start_anew(tmp_path):
    def train(config):
        for step in range(1, 6):
            tune.report({"score": config["x"] + step})

    policies = {
        "scheduler": tune.ASHAScheduler(metric="score", mode="max", reduction_factor=2, max_t=8),
        "stop": tune.TargetStopper("score", 8),
    }
    arguments = {
        "space": {"x": tune.grid_search([3, 2, 1])},
        "storage_path": tmp_path,
        "executor": "inline",
        "verbose": 0,
    }

    first, second = (
        [len(trial.history) for trial in run(train, name=name, **arguments, **policies)] for name in ("a", "b")
    )

    assert first == second == [5]


# Failures.


def test_a_failed_function_goes_on_from_its_last_checkpoint(inline):
    starts = []

    def train(config):
        checkpoint = tune.get_checkpoint()
        first = int(Path(checkpoint).read_text()) + 1 if checkpoint else 1
        starts.append(first)
        file = tune.get_context().trial_folder / "step"
        for step in range(first, 7):
            if step == 4 and len(starts) < 3:
                raise RuntimeError("unlucky")
            file.write_text(str(step))
            tune.report({"step": step}, checkpoint=file if step < 3 else None)

    [trial] = inline(train, max_failures=2)

    assert starts == [1, 3, 3]
    assert trial.status == "completed"
    assert [row["step"] for row in trial.history] == [1, 2, 3, 4, 5, 6]
    assert [row["training_iteration"] for row in trial.history] == [1, 2, 3, 4, 5, 6]
    assert trial.attempts == 3


def test_a_failed_class_goes_on_from_its_last_checkpoint(inline, tmp_path):
    class Unlucky(Climb):
        def step(self):
            if self.score == 3 and not (tmp_path / "once").exists():
                (tmp_path / "once").touch()
                raise RuntimeError("unlucky")
            return super().step()

    [trial] = inline(Unlucky, max_failures=1, checkpoint_freq=2)

    assert trial.status == "completed"
    assert [row["score"] for row in trial.history] == [1, 2, 3, 4, 5]
    assert trial.attempts == 2


def test_a_trial_that_fails_too_often_has_failed_with_the_users_own_line(inline):
    def train(config):
        raise ValueError("lr must be positive")

    results = inline(train, max_failures=1, num_samples=2)

    trial = results.errors[0]
    assert trial.attempts == 2
    assert trial.error.message == "ValueError: lr must be positive"
    assert "test_api.py" in trial.error.where
    assert "in train" in trial.error.where
    assert "lr must be positive" in (trial.folder / "error.txt").read_text()


def test_failed_trials_raise_on_request(inline):
    def train(config):
        if config["x"] == 2:
            raise ValueError("two")
        return 1

    with pytest.raises(
        tune.TrialsFailed, match=r"1 of 3 trials failed\. The first, trial 1: ValueError: two\. See .*01"
    ):
        inline(train, space={"x": tune.grid_search([1, 2, 3])}, raise_on_failed_trial=True)


def test_the_run_ends_early_when_the_first_trials_all_fail_alike(inline):
    def train(config):
        raise ValueError("always")

    results = inline(train, num_samples=50)

    assert results.finished.reason == "failed"
    assert results.finished.message.startswith("the first 5 trials all failed alike: ValueError: always")
    assert len(results) < 10


@pytest.mark.parametrize(("fail_fast", "trials"), [(True, 1), (False, 8)])
def test_fail_fast_may_be_stricter_or_off(inline, fail_fast, trials):
    def train(config):
        raise ValueError("always")

    results = inline(train, num_samples=8, fail_fast=fail_fast)

    assert results.num_errors == trials


def test_a_nan_objective_ranks_worst_or_fails_the_trial(inline):
    def train(config):
        tune.report({"loss": float("nan") if config["x"] == 1 else 0.5})

    space = {"x": tune.grid_search([1, 2])}
    worst = inline(train, space=space, metric="loss", mode="min", name="worst")
    fails = inline(train, space=space, metric="loss", mode="min", name="fails", nan="fail")

    assert (worst.best.id, worst.num_errors) == (1, 0)
    assert [trial.status for trial in fails] == ["failed", "completed"]
    assert fails[0].error.kind == "nan"
    assert "loss is nan at training_iteration 1" in fails[0].error.message


# Limits that need processes.


def test_a_hung_trial_is_killed_by_its_time_limit_and_the_others_are_not_hurt(local):
    def train(config):
        if config["x"] == 1:
            time.sleep(600)
        return 1

    began = time.monotonic()
    results = local(train, space={"x": tune.grid_search([1, 2, 3])}, trial_time_limit_s=0.5, max_failures=3)

    assert [trial.status for trial in results] == ["failed", "completed", "completed"]
    assert results[0].error.kind == "time_limit"
    assert "it ran for longer than the 0.5 s a trial may take" in results[0].error.message
    assert results[0].attempts == 1
    assert time.monotonic() - began < 30


def test_a_silent_trial_is_taken_for_hung(local):
    def train(config):
        tune.report({"step": 1})
        time.sleep(600)

    [trial] = local(train, report_timeout_s=0.5)

    assert trial.status == "failed"
    assert trial.error.kind == "hung"
    assert "it has not reported for 0.5 s" in trial.error.message


def test_the_time_budget_ends_the_run_and_counts_across_sessions(local):
    def train(config):
        for step in range(10_000):
            time.sleep(0.02)
            tune.report({"step": step})

    results = local(train, num_samples=-1, time_budget_s=1.5, resume="auto")
    first, trials = results.finished, [(trial.status.value, len(trial.history)) for trial in results]
    results = local(train, num_samples=-1, time_budget_s=1.5, resume="auto")

    assert first.reason == results.finished.reason == "time_budget"
    assert "the time budget of 1.5 s is used up" in first.message
    assert [status for status, _ in trials] == ["paused", "paused"]
    assert [len(trial.history) for trial in results] == [count for _, count in trials]


# Functions of __main__, which no other process can import.

MAIN = """
import tunesmith as tune

FACTOR = 3

def helper(x):
    return FACTOR * x

class Steps(tune.Trainable):
    def setup(self, config):
        self.x = config["x"]
    def step(self):
        return {"score": helper(self.x), "done": True}

def train(config):
    tune.report({"score": helper(config["x"])})

for name, trainable in {"function": train, "class": Steps}.items():
    space = {"x": tune.grid_search([1, 2])}
    results = tune.run(trainable, space=space, metric="score", mode="max", name=name, verbose=0)
    print(name, results.best.metrics["score"], [trial.status.value for trial in results])
"""
PRINTED = "function 6 ['completed', 'completed']\nclass 6 ['completed', 'completed']\n"


@pytest.mark.parametrize("way", ["script", "stdin", "-c", "-m"])
def test_functions_of_main_need_no_guard(tmp_path, way):
    (tmp_path / "script.py").write_text(MAIN)
    arguments = {"script": ["script.py"], "stdin": ["-"], "-c": ["-c", MAIN], "-m": ["-m", "script"]}[way]

    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, input=MAIN if way == "stdin" else None,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip

    assert done.stdout == PRINTED, done.stderr
    assert done.stderr == ""


def test_a_script_is_gone_on_with_by_its_folder(tmp_path):
    (tmp_path / "script.py").write_text(
        textwrap.dedent("""
        import os, sys
        import tunesmith as tune

        def train(config):
            if os.path.exists("repaired"):
                return 1
            raise ValueError("broken")

        results = tune.run(train, name="e", num_samples=int(sys.argv[1]), verbose=0, retry_failed=True)
        print(sys.argv[1:], [trial.status.value for trial in results])
        """)
    )

    def python(*arguments, cwd=tmp_path):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    assert python("script.py", "2") == "['2'] ['failed', 'failed']\n"
    (tmp_path / "repaired").touch()
    resume = "import sys, tunesmith; tunesmith.resume(sys.argv[1])"
    (tmp_path / "elsewhere").mkdir()
    assert python("-c", resume, "../results/e", cwd=tmp_path / "elsewhere") == "['2'] ['completed', 'completed']\n"


SEVERAL = """
import os
import tunesmith as tune

def train(config):
    if os.path.exists("repaired"):
        return 1
    raise ValueError("broken")

def other(config):
    return 2

if __name__ == "__main__":
    named = tune.run(train, name="named", verbose=0, retry_failed=True)
    experiment = tune.Experiment("early", train, max_failures=0)
    early = tune.run_experiments(experiment, verbose=0, raise_on_failed_trial=False)
    unnamed = tune.run(other, verbose=0)
    print(named.name, early[0].name, named[0].status, unnamed.name.startswith("other_"), len(unnamed))
"""


def test_all_experiments_of_a_script_go_on_and_none_is_mixed_with_another(tmp_path):
    (tmp_path / "script.py").write_text(SEVERAL)

    def python(*arguments):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
        )
        return done.stdout

    assert python("script.py") == "named early_00000 failed True 1\n"
    (tmp_path / "repaired").touch()
    resume = "import sys, tunesmith; tunesmith.resume(sys.argv[1])"

    assert python("-c", resume, "results/early") == "named early_00000 completed True 1\n"
    folders = sorted(folder.name.partition("_")[0] for folder in (tmp_path / "results").iterdir())
    assert folders == ["early", "named", "other", "other"]


def test_what_no_command_started_says_how_to_go_on(tmp_path):
    code = "import tunesmith as tune\ntune.run(lambda config: 1, name='e', stop=lambda i, r: False)\n"
    done = subprocess.run(
        [sys.executable, "-"], input=code, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    assert "tunesmith resume" not in done.stderr

    with pytest.raises(tune.ConfigError, match=r"Run the same code again with name='e', resume='auto'\."):
        tune.resume(tmp_path / "results" / "e")

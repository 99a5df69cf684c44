"""Objects with Ray's contract, without Ray: what is made of them, of their results and of their checkpoints."""

import json
import math
import os
from pathlib import Path

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError
from tunesmith.worker.foreign import LONGEST_TEXT, merged, recordable

pytestmark = pytest.mark.filterwarnings("ignore")


class Walker:
    """Has Ray's contract as its base class has it today: counts its iterations itself, and saves into a folder."""

    def __init__(self, config=None, logger_creator=None):
        self.config = config
        self.training_iteration = 0
        self.place = 0.0
        self.begun = config.get("begin", "anew")

    def train(self):
        self.training_iteration += 1
        self.place += self.config["speed"]
        return {
            "training_iteration": self.training_iteration,
            "config": {"speed": self.config["speed"], "callback": print, "weights": np.zeros(1000)},
            "env_runners": {"episode_return_mean": np.float32(self.place), "steps": {"walk_agent": 3}},
            "begun": self.begun,
            "model": object(),
            "pid": os.getpid(),
        }

    def save(self, checkpoint_dir=None):
        Path(checkpoint_dir, "walk.json").write_text(json.dumps([self.training_iteration, self.place]))

    def restore(self, path):
        self.training_iteration, self.place = json.loads(Path(path, "walk.json").read_text())
        self.begun = f"from {self.place:g}"

    def stop(self):
        print("stopped")


class Early:
    """Has the contract as early versions had it: `save` returns the prefix of what it wrote."""

    def __init__(self, config):
        self.config, self.count = config, 0

    def train(self):
        self.count += 1
        if self.count == 3 and not self.config.get("restored"):
            raise OSError("once")
        return {"count": self.count, "done": self.count >= 4}

    def save(self, checkpoint_dir):
        Path(checkpoint_dir, f"walk-{self.count}.meta").write_text(str(self.count))
        return f"{checkpoint_dir}/walk-{self.count}"

    def restore(self, path):
        self.count = int(Path(f"{path}.meta").read_text())
        self.config = {**self.config, "restored": True}

    def cleanup(self):
        pass


def run(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "seed": 1, "fail_fast": False}
    executor = tune.LocalExecutor(cpus=2)
    return tune.run(trainable, **{"executor": executor, **defaults, **arguments})


def test_a_class_is_run_and_its_numbers_are_metrics_under_nested_names(tmp_path):
    results = run(tmp_path, Walker, space={"speed": tune.grid_search([1, 2])}, stop={"training_iteration": 3})

    trial = results[1]
    assert [row["env_runners/episode_return_mean"] for row in trial.history] == [2, 4, 6]
    assert [row["training_iteration"] for row in trial.history] == [1, 2, 3]
    assert trial.history[0]["env_runners/steps/walk_agent"] == 3
    assert not [name for name in trial.history[0] if name.startswith(("config", "model"))]
    assert trial.status == "completed"
    assert "stopped" in (tmp_path / "e/trials/00001/stdout").read_text()


def test_pbt_clones_its_checkpoints_and_changes_its_config(tmp_path):
    results = run(
        tmp_path,
        Walker,
        space={"speed": tune.grid_search([1.0, 100.0])},
        scheduler=tune.PopulationBasedTraining(
            time_attr="training_iteration",
            perturbation_interval=2,
            hyperparam_mutations={"speed": [1.0, 100.0, 1000.0]},
            resample_probability=0,
            synch=True,
            quantile_fraction=0.5,
        ),
        metric="env_runners/episode_return_mean",
        mode="max",
        stop={"training_iteration": 6},
    )

    loser = results[0].history
    assert [row["begun"] for row in loser] == ["anew"] * 2 + ["from 200"] * 2 + [loser[4]["begun"]] * 2
    # Restored from the other's walk, and walked on by a config of its own.
    assert loser[2]["env_runners/episode_return_mean"] in (200 + 1, 200 + 1000)
    assert [row["training_iteration"] for row in loser] == [1, 2, 3, 4, 5, 6]


def test_asha_stops_what_walks_slowly(tmp_path):
    results = run(
        tmp_path,
        tune.RayTrainable(Walker, {"begin": "here"}),
        space={"speed": tune.grid_search([4.0, 3.0, 2.0, 1.0])},
        scheduler=tune.ASHAScheduler(max_t=8, grace_period=1, reduction_factor=2),
        metric="env_runners/episode_return_mean",
        mode="max",
        max_concurrent_trials=1,
    )

    assert [len(trial.history) for trial in results] == [8, 1, 1, 1]
    assert results[0].history[0]["begun"] == "here"


def test_a_save_that_returns_a_prefix_is_restored_from_that_prefix(tmp_path):
    results = run(tmp_path, Early, checkpoint_freq=1, max_failures=1)

    assert [row["count"] for row in results[0].history] == [1, 2, 3, 4]
    assert results[0].status == "completed"


def test_a_function_may_make_the_object(tmp_path):
    trainable = tune.RayTrainable(lambda config: Walker({"speed": config["twice"] / 2}))

    results = run(tmp_path, trainable, space={"twice": 8}, stop={"training_iteration": 1})

    assert results[0].history[0]["env_runners/episode_return_mean"] == 4


def test_a_function_that_makes_something_else_fails_its_trial_in_words(tmp_path):
    results = run(tmp_path, tune.RayTrainable(lambda config: "a text"))

    assert "lacks train, save, restore()" in results[0].error.message


def test_a_worker_that_is_used_again_asks_the_object_to_take_up_the_next_config(tmp_path):
    class Resettable(Walker):
        def reset(self, new_config):
            self.config, self.place, self.begun = new_config, 0.0, "reset"
            return True

    results = run(
        tmp_path,
        Resettable,
        space={"speed": tune.grid_search([1, 2])},
        stop={"training_iteration": 1},
        reuse_workers=True,
        executor=tune.LocalExecutor(cpus=1),
    )

    assert [trial.history[0]["begun"] for trial in results] == ["anew", "reset"]
    assert [trial.history[0]["env_runners/episode_return_mean"] for trial in results] == [1, 2]


def test_what_a_class_asks_for_is_what_its_trials_get(tmp_path):
    class Group:
        bundles = ({"CPU": 1, "GPU": 0}, {"CPU": 0}, {"CPU": 1.0})

    class Big(Walker):
        @classmethod
        def default_resource_request(cls, config):
            assert config["size"] == 1
            return Group

        def train(self):
            return {"bundles": len(tune.get_context().bundles), **tune.get_context().resources}

    results = run(tmp_path, tune.RayTrainable(Big, {"size": 1}), stop={"training_iteration": 1})

    assert (results[0].history[0]["bundles"], results[0].history[0]["cpu"]) == (2, 1)


class WalkerConfig:
    """Settings as an object, as RLlib has them."""

    algo_class = Walker

    def __init__(self):
        self.settings = {"speed": 1.0, "begin": "here", "shoes": {"size": 40, "colour": "red"}}

    def copy(self, copy_frozen=None):
        copied = WalkerConfig()
        copied.settings = dict(self.settings)
        return copied

    def update_from_dict(self, settings):
        self.settings = merged(self.settings, settings)
        return self

    def to_dict(self):
        return self.settings

    def build_algo(self):
        return Walker({**self.settings, "begin": f"{self.settings['begin']} {self.settings['shoes']}"})


def test_settings_as_an_object_are_tuned_with_each_trials_config_in_them(tmp_path):
    settings = WalkerConfig().update_from_dict({"begin": "there"})

    results = run(tmp_path, settings, space={"speed": tune.grid_search([2, 3])}, stop={"training_iteration": 1})

    assert [trial.history[0]["env_runners/episode_return_mean"] for trial in results] == [2, 3]
    assert results[0].history[0]["begun"] == "there {'size': 40, 'colour': 'red'}"
    assert settings.settings["speed"] == 1.0


def test_settings_as_an_object_are_a_space_of_what_has_been_set_in_it(tmp_path):
    settings = WalkerConfig().update_from_dict({"speed": tune.grid_search([2, 3]), "shoes": {"size": 41}})

    tuner = tune.Tuner(
        Walker,
        param_space=settings,
        run_config=tune.RunConfig(name="e", storage_path=tmp_path, stop={"training_iteration": 1}, verbose=0),
    )
    results = tuner.fit()

    assert [trial.config for trial in results] == [{"speed": n, "shoes": {"size": 41}} for n in (2, 3)]


def test_early_scripts_run_a_class_by_its_registered_name(tmp_path):
    tune.register_trainable("walker", Walker)

    trials = tune.run_experiments(
        {"e": {"run": "walker", "config": {"speed": 1}, "stop": {"training_iteration": 2}, "local_dir": str(tmp_path)}},
        verbose=0,
    )

    assert trials[0].history[-1]["env_runners/episode_return_mean"] == 2


def test_numbers_short_texts_and_short_lists_of_numbers_are_kept_of_a_result():
    result = {
        "loss": 1, "nan": math.nan, "flag": True, "scalar": np.int64(3), "text": "short", 7: {"inner": 1.5},
        "list": [1, np.float32(2)], "long": list(range(21)), "array": np.ones(3), "words": ["a"], "none": None,
        "essay": "x" * (LONGEST_TEXT + 1), "empty": {"inner": print}, "function": print, "bytes": b"1",
        "date": np.datetime64("2020-01-01"),
    }  # fmt: skip

    kept = recordable(result)

    assert math.isnan(kept.pop("nan"))
    assert kept == {"loss": 1, "flag": True, "scalar": 3, "text": "short", "7": {"inner": 1.5}, "list": [1, 2.0]}


def test_nested_settings_are_merged():
    assert merged({"a": 1, "m": {"x": 1, "y": 2}}, {"m": {"y": 3}, "b": 4}) == {"a": 1, "m": {"x": 1, "y": 3}, "b": 4}


def test_a_class_that_lacks_a_method_is_refused_with_its_name():
    class Half:
        def train(self):
            pass

    with pytest.raises(ConfigError, match=r"Half lacks save, restore\(\)"):
        tune.RayTrainable(Half)
    with pytest.raises(ConfigError, match="the class Half is no trainable"):
        tune.run(Half)
    with pytest.raises(ConfigError, match="give the name of an RLlib algorithm"):
        tune.RayTrainable(3)


def test_an_unknown_name_is_refused_with_what_there_is():
    with pytest.raises(ConfigError, match=r"there is no trainable 'PPPO'.*tunesmith\[rllib\]"):
        tune.run("PPPO")

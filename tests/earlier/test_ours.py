"""An earlier experiment of our own."""

import tunesmith as tune
from tunesmith.core.objective import Objective
from tunesmith.earlier.ours import read_experiment


class Relu:
    pass


def run(tmp_path, train, **arguments):
    defaults = {
        "name": "e", "storage_path": tmp_path, "executor": "inline", "verbose": 0, "seed": 1, "metric": "loss",
        "mode": "min", "fail_fast": False,
    }  # fmt: skip
    return tune.run(train, **{**defaults, **arguments})


def test_trials_have_their_configs_and_best_losses(tmp_path):
    def train(config):
        for loss in (config["m"]["x"], config["m"]["x"] - 1, 5.0):
            tune.report({"loss": loss, "accuracy": -loss})

    space = {"m": {"x": tune.grid_search([1.0, 2.0])}, "act": tune.choice([Relu])}
    run(tmp_path, train, space=space)

    found = read_experiment("e", tmp_path / "e", [Objective("loss", "min")])
    other = read_experiment("e", tmp_path / "e", [Objective("accuracy", "max")])

    assert found.configs == [{"m": {"x": 1.0}, "act": "Relu"}, {"m": {"x": 2.0}, "act": "Relu"}]
    assert found.losses == other.losses == [(0.0,), (1.0,)]


def test_failed_trials_and_those_without_the_metric_are_counted(tmp_path):
    def train(config):
        if config["x"] == 1:
            raise ValueError
        tune.report({"loss": float("nan")} if config["x"] == 2 else {"loss": 0.5})

    run(tmp_path, train, space={"x": tune.grid_search([1, 2, 3])})

    found = read_experiment("e", tmp_path / "e", [Objective("loss", "min")])

    assert (found.configs, found.left_out) == ([{"x": 3}], {"failed": 1, "have no usable 'loss'": 1})


def test_a_trial_that_was_stopped_early_counts_with_what_others_gained_after_that(tmp_path):
    def train(config):
        for epoch in range(8):
            tune.report({"loss": config["x"] - epoch})

    scheduler = tune.ASHAScheduler(max_t=8, grace_period=2, reduction_factor=2)
    results = run(tmp_path, train, space={"x": tune.grid_search([3, 2, 1, 0, 40, 50])}, scheduler=scheduler)
    assert [trial.id for trial in results.stopped] == [4, 5]

    found = read_experiment("e", tmp_path / "e", [Objective("loss", "min")])

    assert len(found.configs) == 6
    for config, (loss,) in zip(found.configs, found.losses, strict=True):
        assert abs(loss - (config["x"] - 7)) < 1e-6


def test_replicates_are_trials_of_the_same_config(tmp_path):
    run(tmp_path, lambda config: {"loss": config["x"]}, space={"x": tune.grid_search([1, 2])}, replicates=2)

    found = read_experiment("e", tmp_path / "e", [Objective("loss", "min")])

    assert sorted(config["x"] for config in found.configs) == [1, 1, 2, 2]
    assert all("replicate" not in config for config in found.configs)

"""A space with everything in it, from the front door to the results."""

import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError


def space():
    return tune.Space(
        {
            "optimizer": tune.choice(["sgd", "adam"], prior="adam"),
            "momentum": tune.when("optimizer", "sgd", then=tune.uniform(0, 1)),
            "lr": tune.loguniform(1e-4, 1e-1, prior=1e-3),
            "size": tune.ordinal(["s", "m", "l"]),
            "order": tune.permutation(["crop", "flip", dict]),
            "features": tune.subset(["a", "b", "c"], min_size=1),
            "mix": tune.simplex(["web", "books"]),
            "low": tune.randint(0, 9),
            "high": tune.randint(0, 9),
        },
        require=[lambda c: c.low < c.high],
    )


def loss_of(config):
    return config["lr"] + config.get("momentum", 0.3) + len(config["features"]) + config["mix"]["web"]


def train(config):
    for step in range(1, 4):
        tune.report({"loss": loss_of(config) / step})


def check(configs):
    for config in configs:
        assert config["low"] < config["high"]
        assert ("momentum" in config) == (config["optimizer"] == "sgd")
        assert len(config["order"]) == 3
        assert "crop" in config["order"]
        assert abs(sum(config["mix"].values()) - 1) < 1e-9


@pytest.mark.parametrize("searcher", [None, "tpe", "sobol", "bohb"])
def test_it_runs_with_every_kind_of_searcher(tmp_path, searcher):
    results = tune.run(
        train, space=space(), metric="loss", mode="min", num_samples=14, searcher=searcher, scheduler="asha", seed=1,
        executor="inline", storage_path=tmp_path, name="e", verbose=0,
    )  # fmt: skip

    check(result.config for result in results)
    assert len(results) == 14
    first = results[0].config
    assert (first["optimizer"], first["lr"]) == ("adam", 1e-3)
    check(result.config for result in tune.load(tmp_path / "e"))


def test_a_run_goes_on_with_it(tmp_path):
    arguments = {
        "metric": "loss", "mode": "min", "searcher": "tpe", "seed": 1, "executor": "inline", "storage_path": tmp_path,
        "name": "e", "verbose": 0, "resume": "auto",
    }  # fmt: skip
    tune.run(train, space=space(), num_samples=8, **arguments)

    results = tune.run(train, space=space(), num_samples=12, **arguments)

    whole = tune.run(train, space=space(), num_samples=12, **{**arguments, "name": "whole"})
    assert [result.config for result in results] == [result.config for result in whole]
    check(result.config for result in results)


def test_it_is_simulated():
    simulation = tune.simulate(
        lambda config, epoch: ({"loss": loss_of(config) / epoch}, 1.0) if epoch <= 3 else None,
        space=space(), metric="loss", mode="min", num_samples=20, workers=4, searcher="tpe",
    )  # fmt: skip

    check(trial.config for trial in simulation.trials)


def test_rays_words_take_it_too(tmp_path):
    tuner = tune.Tuner(
        train,
        param_space=space(),
        tune_config=tune.TuneConfig(num_samples=3, metric="loss", mode="min"),
        run_config=tune.RunConfig(storage_path=tmp_path, name="e", verbose=0),
    )

    check(result.config for result in tuner.fit())
    with pytest.raises(ConfigError, match=r"env='Pong' beside a tune.Space. Put it into the space, as 'env'"):
        tune.Experiment("e", train, config=space(), env="Pong")


def test_a_constraint_that_nothing_holds_stops_the_run_before_it_begins(tmp_path):
    with pytest.raises(tune.SpaceError, match=r"require\(lambda at test_spaces_in_runs.py:\d+\) did not hold in 1000"):
        tune.run(train, space=space().require(lambda c: c.lr > 1), storage_path=tmp_path, verbose=0)
    assert not list(tmp_path.iterdir())

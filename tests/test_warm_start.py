"""`warm_from=`: an experiment begins with what others have found, and goes on so when these are gone."""

import shutil

import pytest

import tunesmith as tune
from tunesmith.core.events import EarlierTrials
from tunesmith.errors import ConfigError, ExperimentNotFound
from tunesmith.store.reader import JournalReader

SPACE = {"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}
COMMON = {"metric": "loss", "mode": "min", "executor": "inline", "verbose": 0, "resume": "auto", "seed": 1}


def train(config):
    tune.report({"loss": (config["x"] - 0.3) ** 2 + config.get("y", 0)})


def run(tmp_path, name, num_samples, *, space=SPACE, searcher="tpe", **arguments):
    return tune.run(
        train, space=space, num_samples=num_samples, searcher=searcher, name=name, storage_path=tmp_path,
        **{**COMMON, **arguments},
    )  # fmt: skip


def events(tmp_path, name):
    with JournalReader(tmp_path / name) as reader:
        return [event for _, event in reader.events()]


def earlier(tmp_path, name):
    return [event for event in events(tmp_path, name) if isinstance(event, EarlierTrials)]


def configs(results):
    return [trial.config for trial in results]


@pytest.fixture
def old(tmp_path):
    return run(tmp_path, "old", 20)


def test_the_best_earlier_configs_are_tried_first(tmp_path, old):
    results = run(tmp_path, "new", 4, warm_from=old)

    best = [trial.config for trial in old.top(20)]
    assert results[0].config["x"] == pytest.approx(best[0]["x"])
    assert all(any(one["x"] == pytest.approx(other["x"]) for other in best[:10]) for one in configs(results[:3]))
    kinds = [type(event).__name__ for event in events(tmp_path, "new")]
    assert kinds[:4] == ["ExperimentCreated", "SessionOpened", "EarlierTrials", "Suggested"]


def test_an_interrupted_experiment_goes_on_alike_when_its_source_is_gone(tmp_path, old):
    whole = configs(run(tmp_path, "whole", 12, warm_from=tmp_path / "old"))
    run(tmp_path, "halves", 5, warm_from=tmp_path / "old")
    shutil.rmtree(tmp_path / "old")

    halves = run(tmp_path, "halves", 12, warm_from=tmp_path / "old")

    assert configs(halves) == whole
    assert len(earlier(tmp_path, "halves")) == 1
    assert configs(run(tmp_path, "halves", 12)) == whole


def test_a_source_that_comes_with_a_later_session_is_taken_then(tmp_path, old):
    run(tmp_path, "new", 3)
    results = run(tmp_path, "new", 6, warm_from=[old, [{"x": 0.75, "y": 0.5, "loss": -9.0}]])

    assert [event.source for event in earlier(tmp_path, "new")] == [str(tmp_path / "old"), "warm_from[1]"]
    tried = [trial.config["x"] for trial in results[3:]]
    assert tried[0] == pytest.approx(old.best.config["x"])
    assert 0.75 in [pytest.approx(x) for x in tried]


def test_a_session_with_another_metric_takes_the_source_anew(tmp_path):
    def both(config):
        tune.report({"loss": config["x"], "accuracy": config["x"]})

    given = {**COMMON, "space": SPACE, "searcher": "tpe", "storage_path": tmp_path}
    first = tune.run(both, num_samples=10, name="old", **given)
    tune.run(both, num_samples=2, name="new", warm_from=first, **given)
    other = {**given, "metric": "accuracy", "mode": "max"}

    results = tune.run(both, num_samples=4, name="new", warm_from=first, **other)

    assert [event.objectives for event in earlier(tmp_path, "new")] == [(("loss", "min"),), (("accuracy", "max"),)]
    assert results[2].config["x"] == pytest.approx(max(trial.config["x"] for trial in first))


def test_earlier_trials_go_along_with_a_space_that_is_changed(tmp_path, old):
    run(tmp_path, "new", 3, warm_from=old)

    results = run(tmp_path, "new", 12, space={"x": tune.uniform(0, 0.25), "z": tune.uniform(0, 1)})

    assert len(results) == 12
    assert all(trial.config["x"] <= 0.25 for trial in results[3:])


def test_the_space_may_be_another_one(tmp_path, old):
    space = {"net": {"x": tune.uniform(0, 2)}, "z": tune.choice(["a", "b"])}

    results = tune.run(
        lambda config: {"loss": config["net"]["x"]}, space=space, num_samples=8, searcher="tpe", name="new",
        warm_from=old, storage_path=tmp_path, **COMMON,
    )  # fmt: skip

    [event] = earlier(tmp_path, "new")
    assert event.told.endswith("; they do not say 'z'; the space has no 'y'")
    assert results[0].config["net"]["x"] == pytest.approx(old.best.config["x"])


@pytest.mark.parametrize("searcher", ["tpe", "gp", "cmaes", "auto", tune.SobolSearcher(n_earlier_points=3)], ids=str)
def test_every_searcher_that_learns_takes_them(tmp_path, old, searcher):
    results = run(tmp_path, "new", 9, searcher=searcher, warm_from=old)

    assert results[0].config["x"] == pytest.approx(old.best.config["x"])
    assert len({trial.config["x"] for trial in results}) == 9


def test_replicates_of_warm_configs(tmp_path, old):
    results = run(tmp_path, "new", 3, warm_from=old, replicates=2)

    assert [trial.config["replicate"] for trial in results if trial.config["x"] == results[0].config["x"]] == [0, 1]
    assert results[0].config["x"] == pytest.approx(old.best.config["x"])


def test_several_objectives(tmp_path):
    def both(config):
        tune.report({"loss": config["x"], "size": 1 - config["x"]})

    given = {**COMMON, "metric": ["loss", "size"], "space": SPACE, "searcher": "tpe", "storage_path": tmp_path}
    first = tune.run(both, num_samples=10, name="old", **given)
    tune.run(both, num_samples=6, name="new", warm_from=first, **given)

    [event] = earlier(tmp_path, "new")
    assert {len(losses) for losses in event.losses} == {2}


@pytest.mark.parametrize("searcher", ["random", "bohb", "sobol", tune.GridSearcher(points_per_parameter=3)])
def test_a_searcher_that_does_not_use_them_is_refused_and_nothing_is_made(tmp_path, old, searcher):
    with pytest.raises(ConfigError, match="warm_from= is for a searcher that learns"):
        run(tmp_path, "new", 3, searcher=searcher, warm_from=old)

    assert not (tmp_path / "new").exists()


def test_a_source_that_is_not_there_is_said_before_anything_runs(tmp_path):
    with pytest.raises(ExperimentNotFound, match="warm_from: there is no"):
        run(tmp_path, "new", 3, warm_from=tmp_path / "nowhere")

    assert not (tmp_path / "new").exists()


def test_what_was_taken_is_said_in_one_line(tmp_path, old, capsys):
    table = [{"x": 0.5, "y": 0.5, "loss": 1.0}, {"x": 5, "y": 0, "loss": 2.0}]
    run(tmp_path, "new", 3, warm_from=[old, table], verbose=1)
    run(tmp_path, "new", 4, warm_from=[old], verbose=1)

    lines = [line for line in capsys.readouterr().err.splitlines() if "took" in line]
    assert lines == [
        f"tunesmith: took 20 of 20 trials from {tmp_path / 'old'}",
        "tunesmith: took 1 of 2 trials from warm_from[1]; 1 lies outside the space",
    ]


def test_a_simulation_takes_them_too(old):
    simulation = tune.simulate(
        lambda config, epoch: {"loss": config["x"]} if epoch == 1 else None, space=SPACE, metric="loss", mode="min",
        searcher="tpe", num_samples=5, warm_from=old,
    )  # fmt: skip

    assert simulation.trials[0].config["x"] == pytest.approx(old.best.config["x"])
    with pytest.raises(ConfigError, match="warm_from= with recorded curves"):
        tune.simulate(old, warm_from=old)

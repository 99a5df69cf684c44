"""Several objectives, replicates and simple rules through the front door, in this process."""

import json
import math

import pytest
from click.testing import CliRunner

import tunesmith as tune
from tunesmith.cli import main


@pytest.fixture
def quiet(tmp_path):
    return {"executor": "inline", "storage_path": tmp_path, "verbose": 0, "seed": 1}


def train(config):
    for epoch in range(1, 6):
        tune.report(error=config["x"] / epoch, latency=1 - config["x"], score=config["x"] * epoch)


def fold_of(config):
    tune.report(error=config["x"] + 0.01 * config["replicate"] * (1 + config["x"]))


SPACE = {"x": tune.grid_search([0.5, 0.1, 0.9, 0.3])}
TWO = {"metric": ["error", "latency"], "mode": "min"}


# Several objectives.


def test_several_objectives_have_a_front_and_no_best(quiet):
    results = tune.run(train, space=SPACE, **TWO, **quiet)

    assert [(each.metric, each.mode) for each in results.objectives] == [("error", "min"), ("latency", "min")]
    assert [trial.id for trial in results.pareto_front()] == [1, 3, 0, 2]
    with pytest.raises(tune.ConfigError) as caught:
        _ = results.best
    assert "has 2 objectives (error, latency), so no trial is the best one." in str(caught.value)
    assert "See results.pareto_front(), or name one: get_best_trial('error', 'min')." in str(caught.value)
    assert results.get_best_trial("error", "min").id == 1
    assert results.get_best_trial("latency").id == 2
    assert results.get_best_trial("score", "max").id == 2
    assert "trial 1, error=0.02 with x=0.1 (best error; 4 trials on the front of error, latency)" in repr(results)


def test_the_front_is_by_the_newest_result_and_leaves_out_what_has_no_number(quiet):
    def wavering(config):
        for value in config["values"]:
            tune.report(a=value[0], b=value[1])

    space = {"values": tune.grid_search([[[0, 0], [3, 3]], [[1, 2]], [[2, 1], [2, math.nan]], [[1, 2]], [[0, 9]]])}
    results = tune.run(wavering, space=space, metric=["a", "b"], mode=["min", "min"], **quiet)

    front = results.pareto_front()
    assert [trial.id for trial in front] == [4, 1, 3]
    assert [(trial.metrics["a"], trial.metrics["b"]) for trial in front] == [(0, 9), (1, 2), (1, 2)]
    assert [trial.id for trial in results.pareto_front(["a", "b"], "max")] == [0, 4]
    assert [trial.id for trial in results.pareto_front("a", "min")] == [4]


def test_the_hypervolume_takes_its_corner_by_name_or_in_order(quiet):
    results = tune.run(train, space=SPACE, metric=["score", "latency"], mode=["max", "min"], **quiet)

    # One trial is best in both: score 4.5, latency 0.1.
    assert results.hypervolume({"latency": 1.0, "score": 0.5}) == pytest.approx(4 * 0.9)
    assert results.hypervolume([0.5, 1.0]) == results.hypervolume({"latency": 1.0, "score": 0.5})
    assert results.hypervolume([9.0, 1.0]) == 0
    for wrong in ([1.0], {"score": 1.0}, ["a", 1.0]):
        with pytest.raises(tune.ConfigError, match="reference="):
            results.hypervolume(wrong)


def test_a_scheduler_of_several_objectives_gives_them_to_the_run(quiet):
    scheduler = tune.MultiObjectiveASHA(metric=["error", "latency"], mode="min", max_t=5, reduction_factor=2)
    results = tune.run(train, space=SPACE, num_samples=3, scheduler=scheduler, **quiet)

    assert len(results.objectives) == 2
    assert results.num_terminated == 12
    assert "go on)" in results.stopped[0].reason


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_text_for_a_second_objective_is_refused_where_it_is_reported(quiet, executor):
    def wordy(config):
        tune.report(error=1.0, latency="fast")

    results = tune.run(wordy, **TWO, **{**quiet, "executor": executor})

    assert "metric 'latency' is what the experiment optimises, so it must be one number" in results[0].error.message


def test_a_mistyped_second_objective_is_said_early(quiet):
    with pytest.warns(RuntimeWarning, match="no result so far has a usable 'latencies', and all rank worst") as caught:
        results = tune.run(train, space=SPACE, metric=["error", "latencies"], mode="min", **quiet)

    assert len(caught) == 1
    assert results.pareto_front() == []


def test_resumed_objectives_are_those_of_the_newest_session(quiet):
    given = {**quiet, "name": "again", "resume": "auto"}
    tune.run(train, space=SPACE, metric="error", mode="min", **given)
    results = tune.run(train, space=SPACE, num_samples=2, scheduler=tune.MultiObjectiveASHA(max_t=5), **TWO, **given)

    assert len(results) == 8
    assert len(results.objectives) == 2
    assert sum(trial.status == "stopped" for trial in results) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"metric": ["a", "b"]},
            "metric=['a', 'b']: is lower or higher better? Add mode='min', or one for each metric.",
        ),
        ({"metric": ["a", "b"], "mode": ["min"]}, "2 metrics and 1 modes: give one mode for each metric"),
        ({"metric": ["a", "a"], "mode": "min"}, "names a metric twice"),
        ({"metric": [], "mode": "min"}, "metric=[]: give the name of a reported metric, or a list of names."),
        ({"metric": "a", "mode": ["min", "max"]}, "metric='a' is one metric and mode=['min', 'max'] is several."),
        ({"mode": ["min", "max"]}, "mode=['min', 'max'] without metrics."),
        ({"metric": ["a", 1], "mode": "min"}, "metric=1: give the name of a reported metric"),
        ({"metric": ["a"], "mode": "least"}, "mode='least': give 'min' or 'max'."),
        ({"metric": 3, "mode": "min"}, "metric=3: give the name of a reported metric"),
        ({"scheduler": tune.MultiObjectiveASHA()}, "MultiObjectiveASHA has nothing to rank trials by."),
        ({"scheduler": tune.ThresholdRule(lower=1)}, "ThresholdRule has nothing to rank trials by."),
        ({"replicates": 0}, "replicates=0: give a whole number of at least 1."),
        ({"replicates": 2, "space": {"replicate": 1}}, "the space has a parameter 'replicate'."),
        ({"scheduler": tune.RacingScheduler(), "metric": "a", "mode": "min"}, "there is nothing to race over"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(quiet, arguments, message):
    with pytest.raises(tune.ConfigError) as caught:
        tune.run(train, **{"space": SPACE, **arguments}, **quiet)

    assert message in str(caught.value)


# Replicates.


def test_the_best_of_replicates_is_the_best_mean_and_not_the_luckiest_run(quiet):
    def lucky(config):
        values = {"steady": [5, 5, 5], "lucky": [9, 0, 1]}[config["kind"]]
        tune.report(score=values[config["replicate"]])

    space = {"kind": tune.grid_search(["lucky", "steady"])}
    results = tune.run(lucky, space=space, metric="score", mode="max", replicates=3, **quiet)

    assert results.replicates == 3
    assert results.best_config["kind"] == "steady"
    group, other = results.groups()
    assert (group.config, group.replicates, group.mean, group.interval) == ({"kind": "steady"}, 3, 5.0, (5.0, 5.0))
    assert [trial.config["replicate"] for trial in group.trials] == [0, 1, 2]
    assert other.interval[0] < other.mean < other.interval[1]
    assert other.values == (9, 0, 1)
    assert results.best is not results.best_group.trials
    assert results.best.id == results.best_group.representative.id
    assert "best: kind=steady: mean 5 (5 to 5); 3 of 3 replicates" in repr(results)
    assert results.get_best_trial("score", "min").config["kind"] == "lucky"


@pytest.mark.parametrize(("test", "replicates", "alpha"), [("paired_t", 5, 0.05), ("wilcoxon", 6, 0.2)])
def test_a_race_saves_the_replicates_of_what_is_surely_worse(quiet, test, replicates, alpha):
    scheduler = tune.RacingScheduler(test=test, alpha=alpha)
    results = tune.run(
        fold_of, space=SPACE, metric="error", mode="min", replicates=replicates, scheduler=scheduler, **quiet
    )

    assert results.best_group.config == {"x": 0.1}
    assert [group.config["x"] for group in results.groups()] == [0.1, 0.3, 0.5, 0.9]
    assert len(results) == 4 * replicates
    stopped = results.stopped
    assert len(stopped) >= 3
    assert all(trial.config["x"] > 0.1 and not trial.history for trial in stopped)
    assert "its config is worse than that of trial 1: mean error" in stopped[0].reason


def test_a_replicated_experiment_goes_on_with_its_number_of_replicates(quiet):
    given = {**quiet, "name": "again", "resume": "auto", "metric": "error", "mode": "min"}
    tune.run(fold_of, space=SPACE, replicates=3, **given)
    with pytest.raises(tune.ConfigError, match=r"replicates=5, but the trials of again were made with replicates=3"):
        tune.run(fold_of, space=SPACE, replicates=5, **given)
    with pytest.raises(tune.ConfigError, match=r"replicates=1, but the trials of again were made with replicates=3"):
        tune.run(train, space=SPACE, **given)

    results = tune.run(fold_of, space=SPACE, num_samples=2, replicates=3, **given)

    assert len(results) == 24
    assert [group.replicates for group in results.groups()] == [3] * 8


def test_replicates_without_a_completed_trial_have_no_best(quiet):
    def fails(config):
        raise ValueError

    results = tune.run(fails, space=SPACE, metric="error", mode="min", replicates=2, fail_fast=False, **quiet)

    with pytest.raises(tune.TuneError, match="has completed with a usable 'error', so no config has a mean yet"):
        _ = results.best
    assert "best" not in repr(results)
    assert [group.mean for group in results.groups()] == [None] * 4


def test_replicates_without_a_metric_have_no_mean(quiet):
    results = tune.run(train, space=SPACE, replicates=2, **quiet)

    with pytest.raises(tune.ConfigError, match="was run without a metric"):
        results.groups()


# The simple rules.


@pytest.mark.parametrize(
    ("scheduler", "reason"),
    [
        (tune.PercentileRule(25, min_samples_required=1), "the best 25 %"),
        (tune.ThresholdRule(upper={2: 0.2}), "training_iteration 2: error 0.25 is above the upper bound 0.2"),
        (tune.ThresholdRule(upper=0.8, metric="latency"), "latency 0.9 is above the upper bound 0.8"),
        (tune.PatienceRule(2, metric="latency", mode="min"), "latency has not got better for 2"),
        ("percentile", "the best 25 %"),
        ("patience(patience=1, metric=latency, mode=min)", "latency has not got better for 1"),
        ("threshold(upper=0.8, metric=latency)", "latency 0.9 is above the upper bound 0.8"),
    ],
)
def test_a_rule_stops_trials_of_a_real_run(quiet, scheduler, reason):
    results = tune.run(train, space=SPACE, metric="error", mode="min", num_samples=2, scheduler=scheduler, **quiet)

    assert any(reason in trial.reason for trial in results.stopped)


# What people see.


def test_the_display_and_the_command_line_show_the_front(quiet, capsys, tmp_path):
    tune.run(train, space=SPACE, name="two", **TWO, **{**quiet, "verbose": 1})

    assert "trial 1, error=0.02 at iteration 5 (best error; 4 trials on the front of error, latency)" in (
        capsys.readouterr().err
    )
    page = CliRunner().invoke(main, ["best", str(tmp_path / "two")], catch_exceptions=False).output
    assert "4 trials that no other one dominates, by error (min), latency (min)" in page
    line = CliRunner().invoke(main, ["best", str(tmp_path / "two"), "--json"], catch_exceptions=False).output
    assert [row["trial"] for row in json.loads(line)] == [1, 3, 0, 2]
    one = CliRunner().invoke(main, ["best", str(tmp_path / "two"), "-m", "latency"], catch_exceptions=False).output
    assert "trial 2" in one


def test_the_display_and_the_command_line_show_the_best_mean(quiet, capsys, tmp_path):
    tune.run(fold_of, space=SPACE, name="folds", metric="error", mode="min", replicates=3, **{**quiet, "verbose": 1})

    assert "mean error=0.111 (0.08367 to 0.1383) of 3 replicates, from trial 1 on: x=0.1" in capsys.readouterr().err
    page = CliRunner().invoke(main, ["best", str(tmp_path / "folds")], catch_exceptions=False).output
    assert "the config with the best mean of 4" in page
    assert "3 of 3: 0.1, 0.111, 0.122" in page
    line = CliRunner().invoke(main, ["best", str(tmp_path / "folds"), "--json"], catch_exceptions=False).output
    assert json.loads(line) == {"x": 0.1}
    assert "mean error=0.111" in CliRunner().invoke(main, ["ls", str(tmp_path)], catch_exceptions=False).output

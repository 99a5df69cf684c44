import json
from collections import Counter

import pytest
from random_runs import METRIC, Run

import tunesmith as tune
from tunesmith.core.events import TrialExploited
from tunesmith.core.lineage import ancestry, clones
from tunesmith.errors import ConfigError, ExperimentNotFound
from tunesmith.schedulers.pbt import PopulationBasedTraining
from tunesmith.schedulers.replay import PopulationBasedTrainingReplay, merged
from tunesmith.space.domains import uniform

STEPS = 12


def train(config):
    """Every step moves `sum` by the step's own config, so that the whole schedule shows in the last score."""
    step, total = 0, 0.0
    checkpoint = tune.get_checkpoint()
    if checkpoint is not None:
        step, total = json.loads((checkpoint / "state.json").read_text())
    folder = tune.get_context().trial_folder / "state"
    folder.mkdir(exist_ok=True)
    while step < STEPS:
        step, total = step + 1, total * 0.9 + config["lr"] * (1 if config["net"]["kind"] == "a" else 0.5)
        (folder / "state.json").write_text(json.dumps([step, total]))
        tune.report({"score": total, "lr": config["lr"]}, checkpoint=folder)


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    return tune.run(
        train,
        space={"lr": tune.uniform(0, 1), "net": {"kind": tune.choice(["a", "b"]), "depth": 3}},
        metric="score", mode="max", num_samples=8, cpus=2, seed=3, name="tuned", verbose=0, searcher="random",
        storage_path=tmp_path_factory.mktemp("storage"), executor="inline",
        scheduler=tune.PopulationBasedTraining(
            time_attr="training_iteration", perturbation_interval=3, synch=True,
            hyperparam_mutations={"lr": tune.uniform(0, 1), "net": {"kind": ["a", "b"]}},
        ),
    )  # fmt: skip


def test_the_best_trials_schedule_trains_one_trial_to_the_same_score(tuned, tmp_path):
    replay = PopulationBasedTrainingReplay(tuned)
    assert len(replay.schedule) > 1, "the test is about a schedule that changes"

    again = tune.run(train, metric="score", mode="max", name="again", verbose=0, storage_path=tmp_path,
                     executor="inline", scheduler=replay)  # fmt: skip

    assert again.best.metrics["score"] == tuned.best.metrics["score"]
    assert [row["lr"] for row in again[0].history] == [
        max(step for step in replay.schedule if step[0] < number)[1]["lr"] for number in range(1, STEPS + 1)
    ]


def test_any_trials_schedule_can_be_replayed_and_the_space_may_hold_the_rest(tuned, tmp_path):
    trial = max(row["trial"] for row in tuned.lineage())

    again = tune.run(train, space={"net": {"depth": 5}, "lr": 9.0}, metric="score", mode="max", name="again", verbose=0,
                     storage_path=tmp_path, executor="inline",
                     scheduler=PopulationBasedTrainingReplay(tuned.folder, trial))  # fmt: skip

    assert again[0].last_metrics["score"] == tuned[trial].last_metrics["score"]


def test_a_schedule_can_be_written_down(tmp_path):
    replay = PopulationBasedTrainingReplay([(0, {"lr": 1.0}), (4, {"lr": 0.5})])
    assert replay.initial_config == {"lr": 1.0}

    again = tune.run(train, space={"lr": 1.0, "net": {"kind": "a"}}, metric="score", mode="max", name="again",
                     verbose=0, storage_path=tmp_path, executor="inline", scheduler=replay)  # fmt: skip

    assert [row["lr"] for row in again[0].history] == [1.0] * 4 + [0.5] * 8
    (row,) = again.lineage()
    assert (row["trial"], row["source"], row["iteration"]) == (0, 0, 4)
    assert row["reason"] == "the schedule changes at iteration 4"


def test_a_resumed_replay_goes_on_in_its_schedule():
    schedule = [(0, {"x": 1}), (5, {"x": 2}), (9, {"x": 3})]
    for seed in range(10):
        run = Run(PopulationBasedTrainingReplay(schedule), seed, trials=1, restarts=0.1, longest=20,
                  renew=lambda: PopulationBasedTrainingReplay(schedule)).play()  # fmt: skip

        changes = [event for event in run.journal if isinstance(event, TrialExploited)]
        assert [event.config["x"] for event in changes] == [1, 2, 3][: len(changes)]
        assert run.experiment.trials[0].failures > 2 or len(changes) == 3 or run.experiment.trials[0].number < 9


def test_a_trial_that_begins_again_for_want_of_a_checkpoint_is_warned_of():
    run = Run(PopulationBasedTrainingReplay([(0, {"x": 0}), (2, {"x": 1})]), 0, trials=1, saves=False, trouble=0).play()
    changed = next(event for event in run.journal if isinstance(event, TrialExploited))

    assert (changed.checkpoint is None) == bool(run.scheduler.warnings)
    assert all("it begins again" in warning for warning in run.scheduler.warnings)


def test_only_one_trial_can_be_replayed():
    with pytest.raises(ConfigError, match="replays the schedule of one trial: num_samples=1"):
        Run(PopulationBasedTrainingReplay([(0, {"x": 0})]), 0, trials=2).play()


@pytest.mark.parametrize(
    "source", [[], [(1, {"x": 0})], [(0, {}), (0, {})], [(0, {}), (5, {}), (3, {})], 3, [("0", {})], [(0, 1)]], ids=str
)
def test_a_schedule_that_makes_no_sense_is_refused(source):
    with pytest.raises(ConfigError, match="PopulationBasedTrainingReplay: "):
        PopulationBasedTrainingReplay(source)


def test_no_experiment_and_no_such_trial_are_refused(tuned, tmp_path):
    with pytest.raises(ExperimentNotFound):
        PopulationBasedTrainingReplay(tmp_path)
    with pytest.raises(ConfigError, match="has no trial 99"):
        PopulationBasedTrainingReplay(tuned, 99)


def test_configs_are_merged_dict_by_dict():
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 5}, "e": 6}) == {"a": {"b": 5, "c": 2}, "d": 3, "e": 6}
    assert merged({"a": {"$object": "a[0]"}}, {"a": {"$object": "a[1]"}}) == {"a": {"$object": "a[1]"}}


# Lineage.


def lines_of(journal):
    """Follow every line of work from result to result; return trial -> {iteration: config it was trained with}."""
    line, config, now, at_checkpoint = {}, [], {}, {}
    for event in journal:
        match type(event).__name__:
            case "Suggested":
                config += event.configs
            case "TrialLaunched":
                now[event.trial] = dict(at_checkpoint[event.checkpoint]) if event.checkpoint else {}
                line[event.trial] = False
            case "TrialExploited":
                config[event.trial] = event.config
                line[event.trial] = True  # what its attempt still says is not the clone's
            case "Reported" if not line[event.trial]:
                now[event.trial][event.number] = config[event.trial]
                if event.checkpoint:
                    at_checkpoint[event.checkpoint] = dict(now[event.trial])
            case "AttemptEnded" if event.checkpoint:
                at_checkpoint[event.checkpoint] = dict(now[event.trial])
    return now


def test_a_trials_ancestry_is_what_it_was_really_trained_with():
    depths = Counter()
    for seed in range(20):
        scheduler = PopulationBasedTraining(
            time_attr="training_iteration", perturbation_interval=4, synch=seed % 2 == 0,
            hyperparam_mutations={"x": uniform(0, 9)},
        )  # fmt: skip
        run = Run(scheduler, seed, trials=8, trouble=0.0, value_of=lambda draw, running: {METRIC: draw.random()},
                  config_of=lambda draw, trial: {"x": draw.random()}).play()  # fmt: skip
        exploited = [event for event in run.journal if isinstance(event, TrialExploited)]
        assert len(clones(run.journal)) == len(exploited) > 0

        for trial, trained in lines_of(run.journal).items():
            steps = ancestry(run.journal, trial)
            depths[len(steps)] += 1
            assert steps[0].iteration == 0
            for number, config in trained.items():
                assert (
                    max((step for step in steps if step.iteration < number), key=lambda s: s.iteration).config == config
                )
    assert max(depths) > 3


def test_the_lineage_is_a_table_of_who_cloned_whom(tuned):
    rows = tuned.lineage()

    assert rows
    for row in rows:
        assert list(row) == ["at", "trial", "source", "iteration", "checkpoint", "old_config", "new_config", "reason"]
        assert row["trial"] != row["source"]
        assert row["iteration"] in (3, 6, 9, 12)
        assert (tuned.folder / row["checkpoint"]).parent.parent.name == f"{row['source']:05d}" or row["iteration"] > 3
        assert row["new_config"]["net"]["depth"] == 3
    last = {row["trial"]: row["new_config"] for row in rows}
    assert all(tuned[trial].config == config for trial, config in last.items())


def test_an_ancestry_of_no_trial_is_refused(tuned):
    with pytest.raises(ConfigError, match="tuned has no trial 8; it has 8"):
        tuned.ancestry(8)


def test_the_command_shows_the_lineage(tuned):
    from click.testing import CliRunner

    from tunesmith.cli import main

    shown = CliRunner().invoke(main, ["show", str(tuned.folder), "--lineage"], env={"COLUMNS": "300"})

    assert shown.exit_code == 0
    assert shown.output.startswith("lineage of tuned\n")
    assert len([line for line in shown.output.splitlines() if "among the worst" in line]) == len(tuned.lineage())

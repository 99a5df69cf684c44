"""Ask and tell: trials that the caller runs, over the same core, journal, searchers and schedulers."""

from __future__ import annotations

import random
import subprocess
import sys
import threading

import pytest

import tunesmith as tune
from tunesmith.cli import main
from tunesmith.errors import JournalFull

SPACE = {"x": tune.uniform(0, 1), "kind": tune.choice(["a", "b"])}


def loss_of(config):
    return (config["x"] - 0.3) ** 2 + (config["kind"] == "b")


def worked(opt, count):
    for _ in range(count):
        trial = opt.ask()
        opt.tell(trial, loss_of(trial.config))
    return opt


# In a loop.


@pytest.mark.parametrize("mode", ["min", "max"])
def test_it_finds_the_best(mode):
    opt = tune.Optimizer(SPACE, mode=mode, seed=1)
    for _ in range(40):
        trial = opt.ask()
        opt.tell(trial, loss_of(trial.config) * (1 if mode == "min" else -1))

    best = min(opt.trials, key=lambda trial: loss_of(trial.config))
    assert opt.best == best
    assert loss_of(opt.best.config) < 0.01
    assert [trial.number for trial in opt.trials] == list(range(40))
    assert {trial.status for trial in opt.trials} == {"completed"}


def test_the_same_seed_asks_for_the_same():
    first, again = (worked(tune.Optimizer(SPACE, seed=3), 15).trials for _ in range(2))

    assert first == again
    assert first != worked(tune.Optimizer(SPACE, seed=4), 15).trials


def test_several_are_asked_for_at_once_each_another_one():
    opt = tune.Optimizer({"x": tune.randint(0, 5)}, seed=1)

    asked = opt.ask(5)

    assert sorted(trial.config["x"] for trial in asked) == [0, 1, 2, 3, 4]
    assert opt.ask(2) == []


def test_after_the_last_one_there_is_none_and_told_of_all_it_is_finished():
    opt = tune.Optimizer(SPACE, num_samples=2, seed=1)
    trials = opt.ask(3)
    assert len(trials) == 2
    assert opt.ask() is None
    assert opt.finished is None
    for trial in trials:
        opt.tell(trial, 1.0)

    assert opt.finished == "completed"
    assert opt.ask() is None


def test_what_is_told_of_in_another_order_goes_to_its_own_trial():
    opt = tune.Optimizer(SPACE, seed=1)
    first, second = opt.ask(2)

    opt.tell(second, 2.0)
    opt.tell(first.number, 1.0)

    assert [trial.value for trial in opt.trials] == [1.0, 2.0]


def test_a_failure_is_told_by_an_exception_or_text():
    opt = tune.Optimizer(SPACE, seed=1)
    try:
        raise ValueError("it exploded")
    except ValueError as error:
        opt.tell(opt.ask(), error=error)
    opt.tell(opt.ask(), error="the oven was cold")
    opt.tell(opt.ask(), float("nan"))

    assert [trial.status for trial in opt.trials] == ["failed", "failed", "completed"]
    assert [trial.error.message for trial in opt.results().errors] == ["ValueError: it exploded", "the oven was cold"]


def test_several_objectives_are_told_as_a_list_or_by_name():
    opt = tune.Optimizer(SPACE, metric=["loss", "cost"], mode=["min", "max"], seed=1)
    opt.tell(opt.ask(), [1.0, 5.0])
    opt.tell(opt.ask(), {"loss": 2.0, "cost": 4.0, "note": "by name"})
    opt.tell(opt.ask(), (0.5, 3.0))

    assert {trial.id for trial in opt.results().pareto_front()} == {0, 2}
    assert opt.trials[1].metrics == {"loss": 2.0, "cost": 4.0, "note": "by name"}
    with pytest.raises(tune.ConfigError, match="with several objectives there is no best trial"):
        _ = opt.best


def test_the_trials_can_be_changed_without_changing_anything():
    opt = tune.Optimizer({"nested": {"x": tune.uniform(0, 1)}}, seed=1)
    trial = opt.ask()
    before = trial.config["nested"]["x"]
    trial.config["nested"]["x"] = 7

    opt.tell(trial, 1.0)

    assert opt.trials[0].config == {"nested": {"x": before}}


@pytest.mark.parametrize(
    ("tell", "message"),
    [
        (lambda opt, trial: opt.tell(9, 1.0), "there is no trial 9; 1 were asked for"),
        (lambda opt, trial: opt.tell("first", 1.0), "give what `ask` returned, or its number"),
        (lambda opt, trial: opt.tell(trial, [1.0, 2.0]), "give one number"),
        (lambda opt, trial: opt.tell(trial, {"los": 1.0}), "'value' is missing"),
        (lambda opt, trial: opt.tell(trial, 1.0, step=0), "trial 0: step=0: steps are counted from 1 on"),
        (lambda opt, trial: opt.tell(trial, 1.0, step=1.5), "step=1.5"),
        (lambda opt, trial: opt.tell(trial, step=1), "of which value"),
        (lambda opt, trial: opt.best, "no value was told yet"),
        (lambda opt, trial: [opt.tell(trial, 1.0), opt.tell(trial, 1.0)], "trial 0 is over: it has completed"),
        (lambda opt, trial: [opt.tell(trial, 1, step=3), opt.tell(trial, 1, step=3)], "are counted after step 3"),
        (lambda opt, trial: opt.tell(trial, error=""), "tell what went wrong"),
    ],
)
def test_what_makes_no_sense_is_refused(tell, message):
    opt = tune.Optimizer(SPACE, seed=1)

    with pytest.raises(tune.TuneError, match=message):
        tell(opt, opt.ask())


def test_what_is_no_number_is_refused_in_the_callers_frame():
    opt = tune.Optimizer(SPACE, seed=1)

    with pytest.raises(tune.ReportError):
        opt.tell(opt.ask(), "good")


def test_a_storage_url_is_refused():
    with pytest.raises(tune.ConfigError, match="is kept in a folder, not under a URL"):
        tune.Optimizer(SPACE, name="e", storage_path="s3://bucket/there")


# Step by step.


def stepped(opt, steps=9):
    """Work until nothing is left; return how many steps were told of."""
    told = 0
    while (trial := opt.ask()) is not None:
        for step in range(trial.step + 1, steps + 1):
            told += 1
            if not opt.tell(trial, loss_of(trial.config) + 1 / step, step=step):
                break
        else:
            opt.tell(trial)
    return told


def test_a_scheduler_says_which_trials_go_on():
    opt = tune.Optimizer(SPACE, scheduler=tune.ASHAScheduler(max_t=9, grace_period=1), num_samples=20, seed=1)

    told = stepped(opt)

    stopped = [trial for trial in opt.trials if trial.status == "stopped"]
    assert told < 0.8 * 20 * 9
    assert len(stopped) >= 8
    assert all(trial.step < 9 for trial in stopped)
    assert opt.finished == "completed"


def test_a_paused_trial_goes_on_where_it_stood_when_it_is_asked_for_again():
    opt = tune.Optimizer(SPACE, scheduler=tune.HyperBandScheduler(max_t=9), num_samples=12, seed=1)
    continued = []
    told = 0
    while (trial := opt.ask()) is not None:
        continued += [trial.number] if trial.step else []
        for step in range(trial.step + 1, 10):
            told += 1
            if not opt.tell(trial, loss_of(trial.config) + 1 / step, step=step):
                break
        else:
            opt.tell(trial)

    assert continued
    assert told == sum(len(trial.history) for trial in opt.results())
    assert [row["training_iteration"] for row in opt.results()[continued[0]].history][:3] == [1, 2, 3]
    assert {trial.status for trial in opt.trials} <= {"completed", "stopped"}


def test_what_is_told_of_a_trial_that_was_stopped_is_dropped():
    class StopsAtOnce(tune.Scheduler):
        def decide(self, result, experiment):
            return tune.Stop("enough")

    opt = tune.Optimizer(SPACE, scheduler=StopsAtOnce(), seed=1)
    trial = opt.ask()

    assert not opt.tell(trial, 1.0, step=1)
    assert not opt.tell(trial, 0.5, step=2)
    assert not opt.tell(trial)
    assert (opt.trials[0].value, opt.trials[0].status) == (1.0, "stopped")


def test_a_last_value_after_steps_is_one_more_step():
    opt = tune.Optimizer(SPACE, seed=1)
    trial = opt.ask()
    opt.tell(trial, 3.0, step=1)
    opt.tell(trial, 2.0)

    assert (opt.trials[0].step, opt.trials[0].value, opt.trials[0].status) == (2, 2.0, "completed")


def test_steps_may_be_counted_by_a_metric():
    scheduler = tune.ASHAScheduler(time_attr="epochs", max_t=9, grace_period=3)
    opt = tune.Optimizer(SPACE, metric="loss", scheduler=scheduler, seed=1)

    with pytest.raises(tune.ConfigError, match="the scheduler counts 'epochs', which was not told: loss"):
        opt.tell(opt.ask(), 1.0, step=1)
    assert opt.tell(opt.ask(), {"loss": 1.0, "epochs": 1}, step=1)


# Kept in a journal.


def test_it_is_an_experiment_like_any_other(tmp_path, capsys):
    with tune.Optimizer(SPACE, name="e", storage_path=tmp_path, num_samples=5, seed=1) as opt:
        worked(opt, 5)

    results = tune.load(tmp_path / "e")
    assert results.best.config == opt.best.config
    assert results.finished.reason == "completed"
    assert results.metric == "value"
    main(["show", str(tmp_path / "e")], standalone_mode=False)
    assert "completed" in capsys.readouterr().out


def test_in_memory_results_are_those_of_a_journal(tmp_path):
    kept = worked(tune.Optimizer(SPACE, name="e", storage_path=tmp_path, seed=1), 6).results()
    opt = worked(tune.Optimizer(SPACE, seed=1), 4)
    assert len(opt.results()) == 4
    worked(opt, 2)

    assert [trial.config for trial in opt.results()] == [trial.config for trial in kept]
    assert opt.results().best.id == kept.best.id
    assert opt.folder is None


def test_gone_on_with_it_asks_for_what_it_would_have_asked(tmp_path):
    whole = worked(tune.Optimizer(SPACE, seed=1), 16)
    for _ in range(4):
        with tune.Optimizer(SPACE, name="e", storage_path=tmp_path, seed=1) as opt:
            worked(opt, 4)

    assert [trial.config for trial in tune.load(tmp_path / "e")] == [trial.config for trial in whole.trials]


KILLED = """
import os, signal, sys
import tunesmith as tune
opt = tune.Optimizer({"x": tune.uniform(0, 1)}, name="e", storage_path=sys.argv[1], seed=1)
for value in range(5):
    opt.tell(opt.ask(), float(value))
print(*[trial.config["x"] for trial in opt.ask(3)], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_not_told_of_before_a_crash_is_asked_for_again_or_told_of_by_its_number(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    lost = list(map(float, done.stdout.split()))

    with tune.Optimizer({"x": tune.uniform(0, 1)}, name="e", storage_path=tmp_path) as opt:
        assert [trial.value for trial in opt.trials] == [0.0, 1.0, 2.0, 3.0, 4.0, None, None, None]
        opt.tell(6, 6.0)
        first, last, new = opt.ask(3)
        opt.tell(first, 5.0)

    assert [(trial.number, trial.config["x"]) for trial in (first, last)] == [(5, lost[0]), (7, lost[2])]
    assert new.number == 8
    statuses = [trial.status for trial in tune.load(tmp_path / "e")]
    assert statuses == ["completed"] * 7 + ["paused"] * 2


def test_two_at_once_are_refused_and_closed_it_may_be_had(tmp_path):
    opt = tune.Optimizer(SPACE, name="e", storage_path=tmp_path, seed=1)
    with pytest.raises(tune.JournalLocked):
        tune.Optimizer(SPACE, name="e", storage_path=tmp_path)
    trial = opt.ask()
    opt.close()

    assert opt.ask() is None
    assert opt.finished == "interrupted"
    assert not opt.tell(trial, 1.0)
    with pytest.raises(tune.ExperimentExists):
        tune.Optimizer(SPACE, name="e", storage_path=tmp_path, resume=False)
    with tune.Optimizer(SPACE, name="e", storage_path=tmp_path) as again:
        assert again.ask().config == trial.config


def test_what_a_full_disk_refuses_is_written_later(tmp_path, monkeypatch):
    opt = tune.Optimizer(SPACE, name="e", storage_path=tmp_path, seed=1)
    trial = opt.ask()
    journal = opt._session._journal
    append = journal.append

    def refuses(events, experiment):
        raise JournalFull("no room")

    monkeypatch.setattr(journal, "append", refuses)
    with pytest.raises(JournalFull):
        opt.tell(trial, 1.0, step=1)
    monkeypatch.setattr(journal, "append", append)
    opt.tell(trial, 0.5)
    opt.close()

    assert [row["value"] for row in tune.load(tmp_path / "e")[0].history] == [1.0, 0.5]


def test_somebody_may_stop_a_trial_from_outside(tmp_path):
    opt = tune.Optimizer(SPACE, name="e", storage_path=tmp_path, seed=1)
    trial = opt.ask()
    main(["stop", str(tmp_path / "e"), "0"], standalone_mode=False)
    opt._session._look_at = 0.0
    opt.ask()

    assert not opt.tell(trial, 1.0, step=1)
    assert opt.trials[0].status == "stopped"


# From several threads.


@pytest.mark.parametrize("searcher", ["random", "tpe"])
def test_threads_share_it(searcher):
    opt = tune.Optimizer(SPACE, searcher=searcher, num_samples=60, seed=1)

    def work():
        while (trial := opt.ask()) is not None:
            opt.tell(trial, loss_of(trial.config), step=1)
            opt.tell(trial)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert opt.finished == "completed"
    assert [trial.value for trial in opt.trials] == [loss_of(trial.config) for trial in opt.trials]
    assert len(opt.trials) == 60


def test_telling_does_not_wait_for_a_suggestion_that_takes_long():
    told = threading.Event()

    class Slow(tune.Searcher):
        def suggest(self, count, experiment):
            return self.prepared(count, experiment)()

        def prepared(self, count, experiment):
            number = experiment.next_number

            def configs():
                assert number < 1 or told.wait(60)
                return [{"x": number}]

            return configs

        def __deepcopy__(self, memo):
            return self

    opt = tune.Optimizer({}, searcher=Slow(), seed=1)
    trial, asked = opt.ask(), []
    thread = threading.Thread(target=lambda: asked.append(opt.ask()))
    thread.start()
    opt.tell(trial, 1.0)
    told.set()
    thread.join(60)

    assert asked[0].config == {"x": 1}


def test_a_suggestion_that_fails_is_asked_for_again():
    fails = [True]

    class Unlucky(tune.Searcher):
        def suggest(self, count, experiment):
            if fails:
                raise KeyError(fails.pop())
            return [{"x": 1}]

    opt = tune.Optimizer({}, searcher=Unlucky(), seed=1)
    with pytest.raises(KeyError):
        opt.ask()

    assert opt.ask().config == {"x": 1}


def test_nothing_for_now_is_none_until_more_is_told():
    class OneByOne(tune.Searcher):
        def suggest(self, count, experiment):
            return [] if experiment.live else [{"x": experiment.next_number}]

    opt = tune.Optimizer({}, searcher=OneByOne(), seed=1)
    trial = opt.ask()
    assert opt.ask() is None
    assert opt.finished is None
    opt.tell(trial, 1.0)

    assert opt.ask().config == {"x": 1}


def test_the_order_of_telling_makes_no_difference_when_it_is_deterministic():
    found = []
    for chosen in (0, -1):
        opt = tune.Optimizer(SPACE, num_samples=20, deterministic=3, seed=1)
        asked = []
        while opt.finished is None:
            while (trial := opt.ask()) is not None:
                asked.append(trial)
            trial = asked.pop(chosen)
            opt.tell(trial, loss_of(trial.config))
        found.append([trial.config for trial in opt.trials])

    assert found[0] == found[1]
    assert len(found[0]) == 20


def test_no_more_are_given_out_than_the_searcher_allows():
    opt = tune.Optimizer(SPACE, searcher=tune.TPESearcher(max_concurrent=2), seed=1)
    first, _ = opt.ask(5)
    opt.tell(first, 1.0)

    assert len(opt.ask(5)) == 1


def test_earlier_experiments_warm_it():
    past = [{"x": 0.31, "kind": "a", "value": 0.0}, {"x": 0.9, "kind": "b", "value": 5.0}]

    opt = tune.Optimizer(SPACE, warm_from=[past], seed=1)

    assert opt.ask().config == {"x": 0.31, "kind": "a"}


# Random use of it.

SCHEDULERS = {
    "fifo": tune.FIFOScheduler,
    "asha": lambda: tune.ASHAScheduler(max_t=9, reduction_factor=3),
    "promotion": lambda: tune.PromotionASHAScheduler(max_t=9, reduction_factor=3),
    "hyperband": lambda: tune.HyperBandScheduler(max_t=9),
    "median": lambda: tune.MedianStoppingRule(time_attr="training_iteration", grace_period=1),
    "pbt": lambda: tune.PopulationBasedTraining(
        hyperparam_mutations={"x": tune.uniform(0, 1)}, time_attr="training_iteration", perturbation_interval=3
    ),
}


@pytest.mark.parametrize("name", SCHEDULERS)
def test_whatever_people_do_every_experiment_comes_to_its_end(tmp_path, name):
    for seed in range(6):
        draw = random.Random(f"{name}/{seed}")
        folder = None if seed % 2 else tmp_path
        arguments = {"name": folder and str(seed), "storage_path": folder, "num_samples": 12, "seed": seed}
        opt = tune.Optimizer(SPACE, scheduler=SCHEDULERS[name](), **arguments)
        busy = {}
        for _ in range(3000):
            deed = draw.random()
            if opt.finished == "completed":
                break
            if deed < 0.02 and folder is not None:
                if draw.random() < 0.5:
                    opt.close()
                else:
                    opt._session._journal.close()  # as if it had been killed
                busy = {}
                opt = tune.Optimizer(SPACE, scheduler=SCHEDULERS[name](), **arguments)
            elif deed < 0.3 or not busy:
                trial = opt.ask()
                if trial is not None:
                    assert trial.number not in busy, "given out twice"
                    busy[trial.number] = (trial, trial.step)
                else:
                    assert busy or opt.finished == "completed", "stuck"
            else:
                number = draw.choice(list(busy))
                trial, step = busy.pop(number)
                if deed < 0.35:
                    opt.tell(trial, error="unlucky")
                elif step == 9:
                    opt.tell(trial)
                elif opt.tell(trial, draw.choice([draw.random(), float("nan")]), step=step + 1):
                    busy[number] = (trial, step + 1)
        assert opt.finished == "completed"
        assert len(opt.trials) == len(opt.results()) == 12
        assert {trial.status for trial in opt.trials} <= {"completed", "stopped", "failed"}
        assert [trial.status.value for trial in opt.results()] == [trial.status for trial in opt.trials]
        opt.close()

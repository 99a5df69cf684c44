"""Suggestions that take long: computed beside the trials, which go on; wanted no more when the session ends."""

from __future__ import annotations

import threading

import pytest

import tunesmith as tune
from tunesmith import loop as loop_module
from tunesmith.api import run

PATIENCE = 60
"""Seconds after which a test has failed: what it waits for never came."""


def loop(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "executor": "local", "verbose": 0, "seed": 7}
    return run(trainable, **{**defaults, **arguments})


def steps(config):
    for step in range(1, 6):
        tune.report({"step": step})


class Slow(tune.Searcher):
    """Computes each config by `compute(number)`, wherever it is asked to."""

    def __init__(self, compute):
        self.compute = compute
        self.threads = []

    def __deepcopy__(self, memo):
        return self

    def suggest(self, count, experiment):
        return self.prepared(count, experiment)()

    def prepared(self, count, experiment):
        first = experiment.next_number

        def configs():
            self.threads.append(threading.current_thread())
            return [self.compute(number) for number in range(first, first + count)]

        return configs


class Watches(tune.Callback):
    """Sets `enough` once trial 0 has so many results in the journal."""

    def __init__(self, folder, count=20):
        self.folder, self.count = folder, count
        self.enough = threading.Event()

    def handle(self, events, experiment):
        if experiment.trials and experiment.trials[0].results >= self.count:
            self.enough.set()


def test_trials_go_on_and_are_journaled_while_a_suggestion_is_computed(tmp_path):
    watches = Watches(tmp_path / "e")
    journaled = []

    def compute(number):
        if number == 1:
            # Were the loop to wait for this, or trial 0 for trial 1, it would never come.
            assert watches.enough.wait(PATIENCE)
            journaled.append(len(tune.load(tmp_path / "e")[0].history))
        return {"x": number}

    def many(config):
        for step in range(1, 31):
            tune.report({"step": step})

    searcher = Slow(compute)
    results = loop(tmp_path, many, searcher=searcher, num_samples=3, cpus=3, callbacks=[watches], scheduler=EachOne())

    assert [trial.config["x"] for trial in results] == [0, 1, 2]
    assert [len(trial.history) for trial in results] == [30] * 3
    assert journaled[0] >= 20
    assert threading.main_thread() not in searcher.threads


class EachOne(tune.Scheduler):
    """Lets each result wait for its verdict, which only the loop can give."""

    def decide(self, result, experiment):
        return tune.Continue()


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_suggestion_that_fails_ends_the_run_with_its_error_and_the_journal_whole(tmp_path, executor):
    def compute(number):
        if number == 2:
            raise KeyError("a searcher's own mistake")
        return {"x": number}

    with pytest.raises(KeyError, match="a searcher's own mistake"):
        loop(tmp_path, steps, searcher=Slow(compute), num_samples=4, executor=executor, max_concurrent_trials=1)

    results = tune.load(tmp_path / "e")
    assert [trial.status for trial in results] == ["completed", "completed"]
    assert [len(trial.history) for trial in results] == [5, 5]


@pytest.mark.parametrize("fails", [False, True], ids=["long", "failing"])
def test_an_experiment_that_stops_does_not_wait_for_a_suggestion(tmp_path, monkeypatch, fails):
    monkeypatch.setattr(loop_module, "SUGGESTION_PATIENCE", 0.01)
    over = threading.Event()

    def compute(number):
        if number == 1:
            over.wait(PATIENCE)
            if fails:
                raise KeyError("nobody wants to know")
        return {"x": number}

    searcher = Slow(compute)
    results = loop(tmp_path, steps, searcher=searcher, num_samples=4, cpus=2, stop=tune.TargetStopper("step", 3))
    assert not over.is_set()
    over.set()

    assert results.finished.reason == "stopped"
    assert [trial.config["x"] for trial in results] == [0]
    assert loop(tmp_path, steps, searcher=Slow(lambda number: {"x": 10 * number}), num_samples=3, resume=True)[1:][
        0
    ].config == {"x": 10}


def test_configs_come_one_by_one_so_that_the_first_trial_waits_for_one_of_them_only(tmp_path):
    watches = Watches(tmp_path / "e", count=5)

    def compute(number):
        assert number == 0 or watches.enough.wait(PATIENCE)
        return {"x": number}

    results = loop(tmp_path, steps, searcher=Slow(compute), num_samples=3, cpus=3, callbacks=[watches])

    assert [trial.status for trial in results] == ["completed"] * 3


def test_a_config_that_cannot_be_journaled_is_an_error_that_says_so(tmp_path):
    with pytest.raises(tune.TuneError, match=r"Slow.suggest returned a config that JSON cannot hold .* \.item\(\)"):
        loop(tmp_path, steps, searcher=Slow(lambda number: {"x": object()}))

    assert tune.load(tmp_path / "e").counts["completed"] == 0


def test_an_executor_whose_trials_share_our_thread_or_virtual_time_asks_at_once(tmp_path):
    searcher = Slow(lambda number: {"x": number})

    results = loop(tmp_path, steps, searcher=searcher, num_samples=3, executor="inline")
    loop(tmp_path, lambda config: iter([({"loss": 1.0}, 1.0)]), name="v", searcher=searcher, num_samples=3,
         executor=tune.SimulatedExecutor(workers=2))  # fmt: skip

    assert len(results) == 3
    assert {*searcher.threads} == {threading.main_thread()}

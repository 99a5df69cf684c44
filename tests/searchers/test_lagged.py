"""The same trials, whatever the number of workers and whoever is first."""

from __future__ import annotations

import os
import random
import time

import pytest

import tunesmith as tune
from tunesmith.core.events import Reported, SessionOpened, Suggested, TrialCompleted
from tunesmith.searchers.lagged import LaggedSearcher
from tunesmith.searchers.named import searcher_named
from tunesmith.space.space import Space
from tunesmith.testing import check_searcher

SPACE = {
    "x": tune.uniform(0, 1),
    "rate": tune.loguniform(1e-4, 1),
    "kind": tune.choice([{"name": "a", "depth": tune.randint(1, 9)}, "b"]),
}


class Climbs(tune.Searcher):
    """Draws near the best of all trials that have ended, and further away the more are running."""

    def __init__(self):
        self.ended = {}

    def observe(self, event, experiment):
        if isinstance(event, TrialCompleted):
            trial = experiment.trials[event.trial]
            self.ended[trial.id] = (trial.best_loss, trial.config["x"])

    def suggest(self, count, experiment):
        draw = random.Random(f"{experiment.seed}/{experiment.next_number}")
        _, best = min(self.ended.values(), default=(0, 0.5))
        reach = 0.05 * (1 + len(experiment.live)) + 1e-3 * experiment.results + 1e-6 * experiment.at
        return [{"x": min(1.0, max(0.0, draw.gauss(best, reach))), "rate": 0.1, "kind": "b"}] * count


SEARCHERS = {
    "climbing": Climbs,
    "random": lambda: "random",
    "bohb": lambda: tune.BOHBSearcher(min_points_in_model=4),
    "tpe": lambda: "tpe",
    "cmaes": lambda: "cmaes",
    "gp": lambda: searcher_named("gp"),
}


def simulated(searcher, workers, **arguments):
    """Simulate 30 trials that take other times in each world of so many workers, some of which fail."""

    def curve(config):
        draw = random.Random(f"{workers}/{sorted(config.items(), key=str)}")
        flaw = random.Random(f"{config['x']}").random()
        for step in range(1, 5):
            if flaw < 0.15 and step == 3:
                raise ValueError("unlucky")
            yield {"loss": (config["x"] - 0.3) ** 2 + 1 / step}, draw.expovariate(1)

    settings = {"num_samples": 30, "seed": 3, "deterministic": 4, **arguments}
    return tune.simulate(
        curve, space=SPACE, metric="loss", mode="min", searcher=searcher, workers=workers, history=True, **settings
    )


def told(simulation):
    return [
        (trial.config, trial.status, trial.value, len(trial.history)) for trial in simulation.trials
    ]  # fmt: skip


@pytest.mark.parametrize("name", SEARCHERS)
def test_the_same_trials_with_any_number_of_workers(name):
    count = 14 if name == "gp" else 30
    alone = simulated(SEARCHERS[name](), 1, num_samples=count)

    assert len(alone.trials) == count
    assert {trial.status for trial in alone.trials} == {"completed", "failed"}
    for workers in (2, 3, 8):
        assert told(simulated(SEARCHERS[name](), workers, num_samples=count)) == told(alone)


def test_without_it_they_are_others():
    worlds = [simulated(Climbs(), workers, deterministic=False) for workers in (1, 8)]

    assert told(worlds[0]) != told(worlds[1])


@pytest.mark.parametrize(
    "scheduler",
    [lambda: tune.PatienceRule(1, min_delta=0.3), lambda: tune.ThresholdRule(upper={2: 0.7})],
    ids=["patience", "threshold"],
)
def test_with_a_scheduler_that_judges_each_trial_by_itself(scheduler):
    alone, many = (simulated("tpe", workers, scheduler=scheduler()) for workers in (1, 8))

    assert "stopped" in {trial.status for trial in alone.trials}
    assert told(many) == told(alone)


def test_with_retries():
    alone, many = (simulated("tpe", workers, max_failures=1) for workers in (1, 8))

    assert told(many) == told(alone)


def test_a_window_of_one_is_one_trial_after_the_other():
    assert told(simulated("tpe", 8, deterministic=1)) == told(simulated("tpe", 1, deterministic=False))


def test_no_more_run_at_once_than_the_window():
    seconds = {window: simulated("random", 30, deterministic=window).seconds for window in (1, 4, 30)}

    assert seconds[1] > seconds[4] > seconds[30]


@pytest.mark.parametrize("value", [0, -1, 1.5, "yes", None])
def test_what_is_no_window_is_refused(value):
    with pytest.raises(tune.ConfigError, match="deterministic="):
        simulated("random", 1, deterministic=value)


@pytest.mark.parametrize("scheduler", ["asha", "median", "hyperband"])
def test_a_scheduler_that_compares_trials_is_refused_at_the_door(tmp_path, scheduler):
    with pytest.raises(tune.ConfigError, match=r"deterministic=True: \w+ goes by other trials.*PatienceRule"):
        tune.run(
            lambda config: None, metric="loss", mode="min", scheduler=scheduler, deterministic=True,
            storage_path=tmp_path,
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_a_scheduler_that_goes_by_the_clock_is_refused():
    with pytest.raises(tune.ConfigError, match="PatienceRule goes by the clock"):
        simulated("random", 1, scheduler=tune.PatienceRule(3, time_attr="time_total_s"))


# With real processes.


def train(config):
    time.sleep(int.from_bytes(os.urandom(1), "little") / 5000)
    if config["x"] > 0.9:
        raise ValueError("unlucky")
    for step in range(1, 3):
        tune.report({"loss": (config["x"] - 0.3) ** 2 + random.random() / step})


def test_the_same_trials_in_real_processes_also_after_a_restart(tmp_path):
    found = []
    for cpus, counts in ((1, [24]), (3, [24]), (3, [7, 24])):
        name = f"{cpus}-{len(counts)}"
        for count in counts:
            results = tune.run(
                train, space=SPACE, metric="loss", mode="min", searcher="tpe", num_samples=count, deterministic=3,
                name=name, storage_path=tmp_path, cpus=cpus, seed=5, resume="auto", verbose=0, reuse_workers=True,
            )  # fmt: skip
        found.append([(trial.config, trial.status, [row["loss"] for row in trial.history]) for trial in results])

    assert len(found[0]) == 24
    assert found[1] == found[0]
    assert found[2] == found[0]


# What the other searcher sees.


class Watches(tune.Searcher):
    """Notes what it is told."""

    def __init__(self):
        self.seen = []

    def __deepcopy__(self, memo):
        return self

    def observe(self, event, experiment):
        self.seen.append((type(event), getattr(event, "trial", None), experiment.next_number))

    def suggest(self, count, experiment):
        return [{"x": random.Random(experiment.next_number).random()}] * count


def test_the_other_searcher_sees_one_trial_after_the_other_in_step_with_its_suggestions():
    watches = Watches()
    tune.simulate(
        lambda config, epoch: {"loss": config["x"]} if epoch < 3 else None,
        space={}, searcher=LaggedSearcher(watches, 3), num_samples=6, workers=3, metric="loss", mode="min",
    )  # fmt: skip

    kinds = [kind for kind, _, _ in watches.seen]
    assert kinds.count(SessionOpened) == 1
    assert kinds.count(Suggested) == 6
    reports = [(trial, following) for kind, trial, following in watches.seen if kind is Reported]
    assert reports == [(0, 3), (0, 3), (1, 4), (1, 4), (2, 5), (2, 5), (3, 6), (3, 6)]


@pytest.mark.parametrize("window", [1, 3])
def test_it_keeps_the_contract_of_searchers(window):
    space = Space(SPACE)

    check_searcher(
        lambda: LaggedSearcher(searcher_named("tpe").bound_to(space, 14, 7), window),
        spaces={"mixed": space},
        runs=12,
        trials=14,
    )


def test_earlier_experiments_go_through():
    past = [[{"x": 0.31, "rate": 0.1, "loss": 0.0}, {"x": 0.9, "rate": 0.1, "loss": 5.0}]]

    assert simulated("tpe", 2, warm_from=past).trials[0].config["x"] == 0.31


def test_replicates_are_in_step_too(tmp_path):
    found = []
    for cpus in (1, 3):
        results = tune.run(
            train, space=SPACE, metric="loss", mode="min", searcher="tpe", num_samples=6, replicates=2, deterministic=4,
            name=str(cpus), storage_path=tmp_path, cpus=cpus, seed=5, verbose=0, reuse_workers=True,
        )  # fmt: skip
        found.append([trial.config for trial in results])

    assert len(found[0]) == 12
    assert found[1] == found[0]

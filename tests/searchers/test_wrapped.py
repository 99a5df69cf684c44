"""Wrappers of a searcher: over settings, names and objects, in any order; each keeps the contract."""

from __future__ import annotations

import random

import pytest

import tunesmith as tune
from tunesmith.core.events import Reported, TrialCompleted, TrialFailed
from tunesmith.core.experiment import Experiment
from tunesmith.testing import check_searcher

KNOWN = {"loss": 1.0, "cost": -2}
POINTS = [{"x": 0.25}, {"x": 0.5, "kind": "b"}]
SPACES = {
    "mixed": {"x": tune.uniform(0, 1), "kind": tune.choice(["a", "b"])},
    "tiny": {"x": tune.choice([0.25, 0.5]), "kind": tune.choice(["a", "b"])},
}
WRAPPERS = {
    "limited": lambda: tune.ConcurrencyLimiter("tpe", 2),
    "limited, in batches": lambda: tune.ConcurrencyLimiter("tpe", 3, batch=True),
    "repeated": lambda: tune.Repeater("tpe", repeat=2),
    "repeated without index": lambda: tune.Repeater("tpe", repeat=3, set_index=False),
    "given": lambda: tune.GivenPoints(POINTS, then="tpe"),
    "given, known": lambda: tune.GivenPoints([*POINTS, {"x": 0.5, "kind": "a"}], "tpe", values=[None, KNOWN, KNOWN]),
    "given, of a searcher that takes no points": lambda: tune.GivenPoints(POINTS, tune.ConcurrencyLimiter("tpe", 4)),
    "nested": lambda: tune.ConcurrencyLimiter(tune.Repeater(tune.GivenPoints(POINTS, "random"), repeat=2), 3),
    "the other way": lambda: tune.GivenPoints(POINTS, tune.Repeater(tune.ConcurrencyLimiter("bohb", 2), repeat=2)),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_keeps_the_contract_of_searchers(name):
    check_searcher(WRAPPERS[name], spaces=SPACES, runs=6, fewest=3, trials=14, questions=8)


def simulated(searcher, **arguments):
    def curve(config):
        yield {"loss": (config["x"] - 0.3) ** 2}, random.Random(config["x"]).uniform(1, 5)

    settings = {"space": SPACES["mixed"], "num_samples": 12, "workers": 6, "seed": 1, **arguments}
    return tune.simulate(curve, metric="loss", mode="min", searcher=searcher, **settings)


class Notes(tune.Searcher):
    """Notes what it sees; proposes 0.0, 0.01, 0.02, ..."""

    def __init__(self):
        self.ends, self.results, self.live = [], {}, 0

    def __deepcopy__(self, memo):
        return self

    def observe(self, event, experiment):
        self.live = max(self.live, len(experiment.live))
        if isinstance(event, Reported):
            self.results[event.trial] = event.metrics
        elif isinstance(event, TrialCompleted | TrialFailed):
            self.ends.append((event.trial, type(event)))

    def suggest(self, count, experiment):
        first = experiment.next_number
        return [{"x": (first + index) / 100, "kind": "a"} for index in range(count)]


# Limited.


def test_no_more_run_than_the_limit():
    notes = Notes()
    simulated(tune.ConcurrencyLimiter(notes, 2))

    assert notes.live == 2


def test_a_batch_begins_when_the_one_before_is_over():
    notes = Notes()
    batches = simulated(tune.ConcurrencyLimiter(notes, 3, batch=True))
    freely = simulated(tune.ConcurrencyLimiter(Notes(), 3))

    assert notes.live == 3
    assert [sorted(trial for trial, _ in notes.ends[first : first + 3]) for first in (0, 3, 6, 9)] == [
        [0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]
    ]  # fmt: skip
    assert batches.seconds > freely.seconds


def test_a_limit_of_one_is_one_trial_after_the_other():
    limited = simulated(tune.ConcurrencyLimiter("tpe", 1))
    alone = simulated("tpe", workers=1)

    assert [trial.config for trial in limited.trials] == [trial.config for trial in alone.trials]


def test_it_limits_a_run_too(tmp_path):
    results = tune.run(
        lambda config: {"loss": config["x"]}, space=SPACES["mixed"], metric="loss", mode="min", num_samples=4, cpus=3,
        searcher=tune.ConcurrencyLimiter("random", 1), storage_path=tmp_path, name="e", verbose=0,
    )  # fmt: skip

    assert len(results) == 4


# Repeated.


def test_each_config_is_tried_so_often_and_the_searcher_learns_the_mean():
    def curve(config):
        if config["replicate"] == 2 and config["x"] == 0.0:
            raise ValueError("unlucky")
        if config["x"] == 0.02:
            raise ValueError("always")
        yield {"loss": config["x"] + config["replicate"], "note": "first"}, 1.0

    notes = Notes()
    simulation = tune.simulate(
        curve, metric="loss", mode="min", searcher=tune.Repeater(notes, repeat=3), num_samples=9, workers=2
    )

    assert [(trial.config["x"], trial.config["replicate"]) for trial in simulation.trials] == [
        (group / 100, index) for group in range(3) for index in range(3)
    ]
    assert notes.results == {0: {"loss": 0.5, "note": "first"}, 1: {"loss": 1.01, "note": "first"}}
    assert sorted(notes.ends, key=str) == [(0, TrialCompleted), (1, TrialCompleted), (2, TrialFailed)]


def test_num_samples_counts_trials():
    simulation = simulated(tune.Repeater("random", repeat=3), num_samples=7)

    xs = [trial.config["x"] for trial in simulation.trials]
    assert len(xs) == 7
    assert xs[:3] == [xs[0]] * 3
    assert len(set(xs)) == 3


def test_a_grid_is_gone_through_so_often():
    simulation = simulated(tune.Repeater("random", repeat=2), num_samples=2, space={"x": tune.grid_search([0.1, 0.9])})

    assert [trial.config["x"] for trial in simulation.trials] == [0.1, 0.1, 0.9, 0.9]


def test_without_an_index_configs_stay_as_they_are():
    simulation = simulated(tune.Repeater("random", repeat=2, set_index=False), num_samples=4)

    assert all(set(trial.config) == {"x", "kind"} for trial in simulation.trials)


# Given.


def test_points_come_first_and_what_they_leave_open_is_drawn():
    for then in ("tpe", "random", tune.ConcurrencyLimiter("random", 6), Notes()):
        simulation = simulated(tune.GivenPoints(POINTS, then))

        first, second, third = (trial.config for trial in simulation.trials[:3])
        assert first["x"] == 0.25
        assert first["kind"] in ("a", "b")
        assert second == {"x": 0.5, "kind": "b"}
        assert third["x"] not in (0.25, 0.5)
        assert len(simulation.trials) == 12


def test_what_is_known_is_told_and_not_tried():
    notes = Notes()
    points = [{"x": 0.9, "kind": "a"}, {"x": 0.8, "kind": "b"}, {"x": 0.7, "kind": "a"}]
    simulation = simulated(tune.GivenPoints(points, notes, values=[0.36, None, 0.16]), num_samples=3)

    assert [trial.config["x"] for trial in simulation.trials] == [0.8, 0.03, 0.04]
    assert [notes.results[trial]["loss"] for trial in (0, 1)] == [0.36, 0.16]
    assert [end for end, _ in notes.ends][:2] == [0, 1]
    assert notes.results[2]["loss"] == pytest.approx((0.8 - 0.3) ** 2)


def test_a_searcher_begins_where_the_known_values_leave_it():
    xs = [number / 20 for number in range(20)]
    points = [{"x": x, "kind": kind} for x in xs for kind in "ab"]
    known = tune.GivenPoints(points, tune.TPESearcher(), values=[(point["x"] - 0.3) ** 2 for point in points])

    found = [trial.config["x"] for trial in simulated(known, num_samples=6).trials]

    # It has learned that the best is at 0.3; random configs all lie so near with a probability of 1e-5.
    assert max(abs(x - 0.3) for x in found) < 0.15


def test_known_values_of_several_objectives(tmp_path):
    points = [{"x": 0.9, "kind": "a"}, {"x": 0.8, "kind": "b"}]
    searcher = tune.GivenPoints(points, "tpe", values=[[1.0, 2.0], {"loss": 2.0, "cost": 1.0}])

    results = tune.run(
        lambda config: {"loss": config["x"], "cost": 1.0}, space=SPACES["mixed"], metric=["loss", "cost"],
        mode="min", searcher=searcher, num_samples=2, storage_path=tmp_path, name="e", verbose=0, executor="inline",
    )  # fmt: skip

    assert len(results) == 2


# All of them.


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: tune.ConcurrencyLimiter("tpe", 0), tune.ConfigError, "max_concurrent=0: give a whole number"),
        (lambda: tune.ConcurrencyLimiter("tpe"), (tune.ConfigError, TypeError), "max_concurrent"),
        (lambda: tune.ConcurrencyLimiter("tpe", 2, batch=1), tune.ConfigError, "batch=1"),
        (lambda: tune.ConcurrencyLimiter(7, 2), tune.ConfigError, r"ConcurrencyLimiter\(7\): give a searcher"),
        (lambda: tune.Repeater("tpe", repeat=0), tune.ConfigError, "repeat=0"),
        (lambda: tune.Repeater("nothing"), tune.ConfigError, "there is none of that name"),
        (lambda: tune.GivenPoints({"x": 1}), tune.ConfigError, "give a list of dicts"),
        (lambda: tune.GivenPoints(POINTS, values=[1]), tune.ConfigError, "give one for each of 2 points"),
        (lambda: tune.GivenPoints(POINTS, "random", values=[1, 2]), tune.ConfigError, "for a searcher that learns"),
    ],
)
def test_what_makes_no_sense_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("searcher", "error", "message"),
    [
        (tune.GivenPoints([{"x": 7}]), tune.SpaceError, "x"),
        (tune.GivenPoints([{"x": 0.5}], values=[1.0]), tune.SpaceError, "kind"),
        (tune.GivenPoints(POINTS * 7), tune.ConfigError, "14 points do not fit into num_samples=12"),
        (tune.GivenPoints([{"x": 0.5, "kind": "a"}], values=[[1, 2]]), tune.ConfigError, "one for each objective"),
    ],
)
def test_points_that_do_not_fit_are_refused(searcher, error, message):
    with pytest.raises(error, match=message):
        simulated(searcher)


def test_a_parameter_in_the_place_of_the_index_is_refused():
    with pytest.raises(tune.ConfigError, match="the space has a parameter 'replicate'"):
        simulated(tune.Repeater("random"), space={"replicate": tune.uniform(0, 1), "x": 0.1})


def test_a_searcher_without_anything_to_learn_from_is_refused_through_wrappers(tmp_path):
    with pytest.raises(tune.ConfigError, match="has nothing to learn from"):
        tune.run(lambda config: None, searcher=tune.Repeater(tune.ConcurrencyLimiter("tpe", 2)), storage_path=tmp_path)


def test_an_object_may_be_given_to_several_runs():
    wrapper = tune.Repeater(Counts(), repeat=1)

    assert [trial.config["x"] for trial in simulated(wrapper, num_samples=3).trials] == [0, 1, 2]
    assert [trial.config["x"] for trial in simulated(wrapper, num_samples=3).trials] == [0, 1, 2]


class Counts(tune.Searcher):
    seen = 0

    def observe(self, event, experiment: Experiment):
        self.seen = experiment.next_number

    def suggest(self, count, experiment):
        return [{"x": self.seen + index} for index in range(count)]


def test_wrapped_searchers_go_on_where_they_stood_in_a_resumed_run(tmp_path):
    def run(name, count):
        return tune.run(
            lambda config: {"loss": config["x"]}, space=SPACES["mixed"], metric="loss", mode="min", num_samples=count,
            searcher=tune.Repeater(tune.GivenPoints([{"x": 0.9, "kind": "a"}], "tpe", values=[0.9]), repeat=2),
            storage_path=tmp_path, name=name, verbose=0, executor="inline", seed=3, resume="auto",
        )  # fmt: skip

    whole = [trial.config for trial in run("whole", 10)]
    run("parts", 5)

    assert [trial.config for trial in run("parts", 10)] == whole

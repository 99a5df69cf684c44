import math

import pytest
from random_runs import METRIC, Run

from tunesmith.core.events import Reported, SessionOpened
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, ONE_RESULT, Stop
from tunesmith.core.trial import Trial
from tunesmith.errors import ConfigError
from tunesmith.schedulers.threshold import ThresholdRule

SHAPES = [
    {"lower": 2},
    {"upper": {5: 3, 12: 1}},
    {"lower": {4: -1, 9: 0.5}, "upper": {2: 4}, "metric": METRIC},
    {"upper": {10: 60, 30: 100}, "metric": "steps", "time_attr": "steps"},
    {"lower": {3.5: 1}, "time_attr": "time_total_s"},
]


def naive_stops(results, *, lower=None, upper=None, metric=METRIC, time_attr="training_iteration"):
    stops = set()
    for result in results:
        now = {"steps": result.metrics["steps"], "training_iteration": result.number,
               "time_total_s": result.elapsed}[time_attr]  # fmt: skip
        if metric not in result.metrics:
            continue
        value = result.metrics[metric]
        low = newest(lower, now)
        high = newest(upper, now)
        is_inside = (low is None or value >= low) and (high is None or value <= high)
        if (low is not None or high is not None) and not is_inside:
            stops.add((result.trial, result.attempt, result.number))
    return stops


def newest(bounds, now):
    if not isinstance(bounds, dict):
        return bounds
    held = [bound for time, bound in bounds.items() if time <= now]
    return held[-1] if held else None


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_decisions_are_those_of_the_naive_rule(shape):
    stopped = 0
    for seed in range(6):
        run = Run(ThresholdRule(**shape), seed, values="continuous" if seed % 2 else "lattice").play()

        assert set(run.stops) == naive_stops(run.results, **shape)
        stopped += len(run.stops)
    assert stopped > 20


def decide(rule, number, value):
    experiment = Experiment()
    experiment.apply(SessionOpened(at=0.0, session=1, started=0.0, metric=METRIC))
    metrics = {} if value is None else {METRIC: value}
    return rule.decide(Reported(at=0.0, trial=0, attempt=1, number=number, metrics=metrics, waits=True), experiment)


@pytest.mark.parametrize(
    ("number", "value", "decision"),
    [
        (2, math.nan, CONTINUE),
        (3, 0.5, CONTINUE),
        (3, 0.49, Stop("training_iteration 3: score 0.49 is below the lower bound 0.5")),
        (3, math.nan, Stop("training_iteration 3: score is nan, which lies outside every bound")),
        (3, None, CONTINUE),
        (3, math.inf, CONTINUE),
        (6, 2.0, CONTINUE),
        (6, 2.1, Stop("training_iteration 6: score 2.1 is above the upper bound 2")),
        (6, math.inf, Stop("training_iteration 6: score inf is above the upper bound 2")),
    ],
)
def test_what_lies_outside_stops_and_says_where(number, value, decision):
    assert decide(ThresholdRule(lower={3: 0.5}, upper={6: 2}), number, value) == decision


def test_a_trial_runs_freely_up_to_the_first_time_that_has_a_bound():
    experiment = Experiment()
    trial = Trial(0, {}, None)

    assert ThresholdRule(lower={30: 1}, upper={20: 5}).lease(trial, experiment) == 20
    assert ThresholdRule(lower=1).lease(trial, experiment) == ONE_RESULT


BAD_ARGUMENTS = [
    ({}, "neither lower= nor upper= is given"),
    ({"lower": math.nan}, "lower=nan is not a finite number."),
    ({"lower": "1"}, "lower='1' is not a finite number."),
    ({"upper": {}}, "upper={} names no time."),
    ({"upper": {"a": 1}}, "a time of upper='a' is not a finite number."),
    ({"upper": {3: None}}, "upper at 3=None is not a finite number."),
    ({"lower": 2, "upper": 1}, "lower=2 is above upper=1. Swap them?"),
    ({"lower": {5: 2}, "upper": {1: 3, 7: 1}}, "at time 7 lower=2 is above upper=1."),
    ({"lower": 1, "metric": 3}, "metric=3: give the name of a reported metric"),
    ({"lower": 1, "time_attr": None}, "time_attr=None: give a field's name"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        ThresholdRule(**arguments)

    assert message in str(caught.value)


def test_no_metric_anywhere_says_where_to_give_one():
    with pytest.raises(ConfigError, match="ThresholdRule has no metric to watch"):
        ThresholdRule(lower=1).decide(Reported(at=0.0, trial=0, attempt=1, number=1, metrics={}), Experiment())

import math

import pytest
from random_runs import METRIC, Run

from tunesmith.core.engine import fold
from tunesmith.core.events import Reported, SessionOpened
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, Stop
from tunesmith.errors import ConfigError
from tunesmith.schedulers.patience import PatienceRule

SHAPES = [
    {"patience": 3},
    {"patience": 5, "min_delta": 1.0},
    {"patience": 1, "grace_period": 8},
    {"patience": 25, "time_attr": "steps", "grace_period": 10},
    {"patience": 2.5, "time_attr": "time_total_s", "min_delta": 0.1},
]


def naive_stops(results, mode, *, patience, min_delta=0, grace_period=0, time_attr="training_iteration"):
    """Early stopping as every text has it, from all of a trial's results each time."""
    stops = set()
    for index, result in enumerate(results):
        best, since, now = None, None, None
        for earlier in results[: index + 1]:
            if earlier.trial != result.trial:
                continue
            now = {"steps": earlier.metrics["steps"], "training_iteration": earlier.number,
                   "time_total_s": earlier.elapsed}[time_attr]  # fmt: skip
            since = now if since is None else since
            value = earlier.metrics.get(METRIC)
            if value is None or not math.isfinite(value):
                continue
            gain = None if best is None else (value - best if mode == "max" else best - value)
            if gain is None or gain > min_delta:
                best, since = value, max(since, now)
        if now - since >= patience - 1e-12 and now >= grace_period:
            stops.add((result.trial, result.attempt, result.number))
    return stops


@pytest.mark.parametrize("values", ["lattice", "continuous"])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_decisions_are_those_of_the_naive_rule(shape, mode, values):
    stopped = 0
    for seed in range(4):
        run = Run(PatienceRule(**shape), seed, mode=mode, values=values, trials=15).play()

        assert set(run.stops) == naive_stops(run.results, mode, **shape)
        stopped += len(run.stops)
    assert stopped > 10


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(shape):
    run = Run(PatienceRule(**shape), 5, trials=10, longest=12, watch=True).play()
    folded, experiment = PatienceRule(**shape), Experiment()

    for event, leases in zip(run.journal, run.leases, strict=True):
        fold([event], experiment, [folded])
        assert {trial.id: folded.lease(trial, experiment) for trial in experiment.trials} == leases


def decisions(rule, values, mode="max"):
    experiment = Experiment()
    experiment.apply(SessionOpened(at=0.0, session=1, started=0.0, metric=METRIC, mode=mode))
    decided = []
    for number, value in enumerate(values, start=1):
        result = Reported(at=0.0, trial=0, attempt=1, number=number, metrics={METRIC: value}, waits=True)
        rule.observe(result, experiment)
        decided.append(rule.decide(result, experiment))
    return decided


def test_a_stop_says_the_best_and_since_when():
    *before, last = decisions(PatienceRule(2, min_delta=0.05), [0.5, 0.54, 0.55])

    assert before == [CONTINUE] * 2
    assert last == Stop("score has not got better by more than 0.05 for 2 of training_iteration: 0.5 at 1")


def test_a_trial_that_never_has_a_number_stops_when_its_patience_ends():
    assert decisions(PatienceRule(2), [math.nan] * 3)[2] == Stop(
        "it has had no number for score since training_iteration 1"
    )


def test_a_trial_that_gets_better_goes_on():
    assert decisions(PatienceRule(2), [3, 3, 2, 2, 1, 1], mode="min") == [CONTINUE] * 6


def test_a_trial_that_is_over_leaves_nothing():
    run = Run(PatienceRule(3), 2, trials=20, trouble=0.0).play()

    assert not run.scheduler._trials


BAD_ARGUMENTS = [
    ({"patience": 0}, "patience=0 is too small: it must be above 0."),
    ({"patience": math.inf}, "patience=inf is not a finite number."),
    ({"patience": 1, "min_delta": -1}, "min_delta=-1 is too small: it must be at least 0."),
    ({"patience": 1, "grace_period": -1}, "grace_period=-1 is too small"),
    ({"patience": 1, "mode": "max"}, "mode='max' without a metric."),
    ({"patience": 1, "time_attr": 1}, "time_attr=1: give a field's name"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        PatienceRule(**arguments)

    assert message in str(caught.value)

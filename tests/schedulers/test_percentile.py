import math
from fractions import Fraction

import pytest
from random_runs import METRIC, Run

from tunesmith.core.engine import fold
from tunesmith.core.events import Reported, SessionOpened, TrialPaused
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, Stop
from tunesmith.errors import ConfigError
from tunesmith.schedulers.median import MedianStoppingRule
from tunesmith.schedulers.percentile import PercentileRule

SHAPES = [
    {},
    {"percentile": 50, "min_samples_required": 1},
    {"percentile": 10, "grace_period": 4},
    {"percentile": 75, "against": "means"},
    {"percentile": 100, "min_samples_required": 1},
    {"percentile": 40, "time_attr": "steps", "grace_period": 3, "interval": 5},
    {"percentile": 20, "time_attr": "time_total_s", "grace_period": 2.0},
    {"percentile": 25, "metric": "steps", "mode": "max"},
]


# The rule, written again: every edge from the beginning, with exact fractions.


def naive_loss(result, metric, mode):
    value = result.metrics.get(metric)
    if value is None or math.isnan(value) or math.isinf(value):
        return math.inf
    return -value if mode == "max" else value


def naive_edge(losses, percentile):
    ranked = sorted(losses)
    position = (len(ranked) - 1) * Fraction(percentile) / 100
    below, weight = ranked[math.floor(position)], position - math.floor(position)
    if weight == 0 or below == math.inf:
        return below
    above = ranked[math.floor(position) + 1]
    return above if above == math.inf else float(Fraction(below) + weight * (Fraction(above) - Fraction(below)))


def decision_times(time_attr, grace_period, interval, last):
    if interval is None and time_attr == "training_iteration":
        interval = 1
    times, k = [], 0
    while (time := grace_period * 1.1**k if interval is None else k * interval) <= last:
        times.append(time)
        k += 1
    return [time for time in times if time >= grace_period]


def naive_verdicts(results, run_mode, *, percentile=25, against="values", time_attr="training_iteration",
                   grace_period=1, min_samples_required=3, interval=None, metric=METRIC, mode=None):  # fmt: skip
    curves, bests, verdicts = {}, {}, []
    for result in results:
        now = {"steps": result.metrics["steps"], "training_iteration": result.number,
               "time_total_s": result.elapsed}[time_attr]  # fmt: skip
        loss = naive_loss(result, metric, mode or run_mode)
        bests[result.trial] = min(loss, bests.get(result.trial, math.inf))
        curve = curves.setdefault(result.trial, [])
        furthest = curve[-1][0] if curve else -math.inf
        if now <= furthest:
            continue  # A step that is done again.
        curve.append((now, loss))
        due = [t for t in decision_times(time_attr, grace_period, interval, now) if t > furthest]
        if not due:
            continue
        others = [other for trial, other in curves.items() if trial != result.trial and other[-1][0] >= due[-1]]
        scoped = [[value for t, value in other if grace_period <= t <= due[-1]] for other in others]
        counted = [naive_counted(values, against) for values in scoped if values]
        if len(counted) >= min_samples_required and bests[result.trial] > naive_edge(counted, percentile):
            verdicts.append((result.trial, result.attempt, result.number))
    return verdicts


def naive_counted(values, against):
    if against == "values":
        return values[-1]
    return math.inf if math.inf in values else float(sum(map(Fraction, values)) / len(values))


@pytest.mark.parametrize("values", ["lattice", "continuous"])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_decisions_are_those_of_the_naive_rule(shape, mode, values):
    stopped = 0
    for seed in range(4):
        run = Run(PercentileRule(**shape), seed, mode=mode, values=values).play()

        assert set(run.stops) == set(naive_verdicts(run.results, mode, **shape))
        stopped += len(run.stops)
    assert stopped > 3


@pytest.mark.parametrize("rule", [PercentileRule, MedianStoppingRule])
@pytest.mark.parametrize("seed", range(4))
def test_a_pausing_rule_pauses_a_trial_where_a_stopping_one_would_stop_it_first(rule, seed):
    given = {"time_attr": "training_iteration", "grace_period": 2, "min_samples_required": 2}
    run = Run(rule(**given, hard_stop=False), seed, trials=30).play()
    shape = {"percentile": 25} if rule is PercentileRule else {"percentile": 50, "against": "means"}

    paused, last = [], {}
    for event in run.journal:
        if isinstance(event, Reported):
            last[event.trial] = (event.trial, event.attempt, event.number)
        elif isinstance(event, TrialPaused) and not event.interrupted:
            paused.append(last[event.trial])
    first = {}
    for verdict in naive_verdicts(run.results, "max", **shape, **given):
        first.setdefault(verdict[0], verdict)
    assert len(paused) > 3
    assert set(paused) == set(first.values())
    assert run.experiment.finished.reason == "completed"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(shape):
    run = Run(PercentileRule(**shape), 5, trials=10, longest=12, watch=True).play()
    folded, experiment = PercentileRule(**shape), Experiment()

    for event, leases in zip(run.journal, run.leases, strict=True):
        fold([event], experiment, [folded])
        assert {trial.id: folded.lease(trial, experiment) for trial in experiment.trials} == leases
    assert folded.edges == run.scheduler.edges
    assert folded.describe() == run.scheduler.describe()


def decisions(rule, curves, mode="max"):
    experiment = Experiment()
    experiment.apply(SessionOpened(at=0.0, session=1, started=0.0, metric=METRIC, mode=mode))
    decided = []
    for trial, value in curves:
        result = Reported(at=0.0, trial=trial, attempt=1, number=1, metrics={METRIC: value}, waits=True)
        rule.observe(result, experiment)
        decided.append(rule.decide(result, experiment))
    return decided


def test_a_stop_says_the_time_the_best_the_edge_and_the_number_of_others():
    *before, last = decisions(PercentileRule(25), [(0, 4.0), (1, 3.0), (2, 2.0), (3, 1.0), (4, 2.5)], "min")

    assert before == [CONTINUE] * 4
    assert last == Stop(
        "training_iteration 1: its best score 2.5 is above the best 25 % 1.75 of 4 other trials' values"
    )


def test_a_tie_with_the_edge_goes_on():
    assert decisions(PercentileRule(10, min_samples_required=1), [(0, 1.0), (1, 1.0)]) == [CONTINUE] * 2


BAD_ARGUMENTS = [
    ({"percentile": 0}, "percentile=0 is too small: it must be above 0."),
    ({"percentile": 101}, "percentile=101 is too large: it must be at most 100."),
    ({"percentile": math.nan}, "percentile=nan is not a finite number."),
    ({"against": "best"}, "against='best': give one of 'values', 'means'."),
    ({"grace_period": -1}, "grace_period=-1 is too small"),
    ({"min_samples_required": 0}, "min_samples_required=0: give a whole number"),
    ({"interval": 0}, "interval=0 is too small"),
    ({"metric": "a"}, "metric='a' without a mode."),
    ({"time_attr": ""}, "time_attr='': give a field's name"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        PercentileRule(**arguments)

    assert message in str(caught.value)
    assert str(caught.value).startswith("PercentileRule: ")

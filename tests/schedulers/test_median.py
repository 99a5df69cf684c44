import math
from fractions import Fraction

import numpy as np
import pytest
from random_runs import METRIC, Run

from tunesmith.core.engine import fold
from tunesmith.core.events import (
    AttemptEnded,
    Node,
    Placement,
    Reported,
    SessionOpened,
    Suggested,
    TrialLaunched,
    TrialPaused,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, FOREVER, NEW, Pause, Resume, Stop
from tunesmith.core.trial import Status, Trial
from tunesmith.errors import ConfigError
from tunesmith.schedulers.median import MedianStoppingRule

STEPS = {"time_attr": "training_iteration"}
SHAPES = [
    {**STEPS, "grace_period": 1},
    {**STEPS, "grace_period": 5, "min_samples_required": 1},
    {**STEPS, "grace_period": 2.5, "min_samples_required": 4},
    {"time_attr": "steps", "grace_period": 3, "interval": 5},
    {"time_attr": "steps", "grace_period": 0, "interval": 1},
    {"time_attr": "steps", "grace_period": 10},
    {"grace_period": 2.0},
    {"grace_period": 0, "interval": 0.75, "min_samples_required": 2},
]


# The rule, written again from Golovin et al. 2017 and Ray Tune's description: slow, every mean from the beginning.


def naive_loss(result, mode):
    value = result.metrics.get(METRIC)
    if value is None or math.isnan(value):
        return math.inf
    return -value if mode == "max" else value


def naive_mean(losses):
    if math.inf in losses:
        return math.inf
    return float(sum(map(Fraction, losses)) / len(losses))


def decision_times(time_attr, grace_period, interval, last):
    """All times up to `last` at which the rule is held."""
    if interval is None and time_attr == "training_iteration":
        interval = 1
    times, k = [], 0
    while True:
        time = grace_period * 1.1**k if interval is None else k * interval
        if time > last:
            return times
        if time >= grace_period:
            times.append(time)
        k += 1


def naive_stops(results, mode, *, time_attr="time_total_s", grace_period=60.0, min_samples_required=3, interval=None):
    curves, bests, stops = {}, {}, set()
    for result in results:
        time = {"steps": result.metrics["steps"], "training_iteration": result.number, "time_total_s": result.elapsed}
        now, loss = time[time_attr], naive_loss(result, mode)
        bests[result.trial] = min(loss, bests.get(result.trial, math.inf))
        curve = curves.setdefault(result.trial, [])
        furthest = curve[-1][0] if curve else -math.inf
        if now <= furthest:
            continue  # A step that is done again.
        curve.append((now, loss))
        due = [t for t in decision_times(time_attr, grace_period, interval, now) if t > furthest]
        if not due:
            continue
        at = due[-1]
        others = [curve for trial, curve in curves.items() if trial != result.trial and curve[-1][0] >= at]
        scoped = [[value for t, value in curve if grace_period <= t <= at] for curve in others]
        means = [naive_mean(values) for values in scoped if values]
        if len(means) >= min_samples_required:
            median = np.median(means) if math.inf not in means else naive_median_with_infinities(means)
            if bests[result.trial] > median:
                stops.add((result.trial, result.attempt, result.number))
    return stops


def naive_median_with_infinities(means):
    ranked, half = sorted(means), len(means) // 2
    return ranked[half] if len(means) % 2 or ranked[half] == math.inf else (ranked[half - 1] + ranked[half]) / 2


@pytest.mark.parametrize("values", ["lattice", "continuous"])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_decisions_are_those_of_the_naive_rule(shape, mode, values):
    stopped = 0
    for seed in range(5):
        run = Run(MedianStoppingRule(**shape), seed, mode=mode, values=values).play()

        assert set(run.stops) == naive_stops(run.results, mode, **shape)
        stopped += len(run.stops)
    assert stopped > 10


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(shape):
    run = Run(MedianStoppingRule(**shape), 5, trials=10, longest=12, watch=True).play()
    folded, experiment = MedianStoppingRule(**shape), Experiment()

    for event, leases in zip(run.journal, run.leases, strict=True):
        fold([event], experiment, [folded])
        assert {trial.id: folded.lease(trial, experiment) for trial in experiment.trials} == leases
    assert folded.medians == run.scheduler.medians
    assert folded.describe() == run.scheduler.describe()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_pausing_rule_still_ends_every_trial_and_judges_none_twice(shape):
    run = Run(MedianStoppingRule(**shape, hard_stop=False, min_time_slice=3), 3, trials=30).play()

    assert run.experiment.finished.reason == "completed"
    assert all(trial.status.is_final for trial in run.experiment.trials)
    assert not run.stops
    by_rule = [event.trial for event in run.journal if isinstance(event, TrialPaused) and "turn" not in event.reason]
    assert by_rule
    assert len(by_rule) == len(set(by_rule))


# Single rules, on hand-made curves.


class Curves:
    """Feeds results by hand to a scheduler whose experiment has an objective and running trials."""

    def __init__(self, scheduler, *, mode="max", trials=8):
        self.scheduler, self.experiment = scheduler, Experiment()
        self.feed(
            SessionOpened(at=0.0, session=1, started=0.0, metric=METRIC, mode=mode, trials_wanted=trials,
                          nodes=(Node("here", {"cpu": trials}),))
        )  # fmt: skip
        self.feed(Suggested(at=0.0, configs=({},) * trials))
        for trial in range(trials):
            self.launch(trial, 1)

    def feed(self, event):
        fold([event], self.experiment, [self.scheduler])

    def launch(self, trial, attempt):
        self.feed(TrialLaunched(at=0.0, trial=trial, attempt=attempt, placement=Placement("here", {"cpu": 1})))

    def decide(self, trial, number, value=None, *, attempt=1, **fields):
        """Let the trial report; return what the scheduler decides."""
        metrics = {} if value is None else {METRIC: value}
        result = Reported(at=0.0, trial=trial, attempt=attempt, number=number, metrics=metrics, waits=True, **fields)
        self.feed(result)
        return self.scheduler.decide(result, self.experiment)

    def lease(self, trial):
        return self.scheduler.lease(self.experiment.trials[trial], self.experiment)


def rule(**arguments):
    return MedianStoppingRule(**{"time_attr": "training_iteration", "grace_period": 1, **arguments})


@pytest.mark.parametrize(("mode", "side"), [("max", "below"), ("min", "above")])
def test_a_stop_says_the_time_the_best_the_median_and_the_number_of_others(mode, side):
    curves, sign = Curves(rule(), mode=mode), 1 if mode == "max" else -1
    for trial, values in enumerate([(0.2, 0.4), (0.5, 0.7), (0.9, 0.9)]):
        for number, value in enumerate(values, start=1):
            curves.decide(trial, number, sign * value)
    assert curves.decide(3, 1, sign * 0.55) == CONTINUE

    assert curves.decide(3, 2, sign * 0.1) == Stop(
        f"training_iteration 2: its best score {sign * 0.55:g} is {side} the median {sign * 0.6:g} "
        "of 3 other trials' means"
    )


def test_a_tie_with_the_median_goes_on_even_where_sums_would_round():
    curves = Curves(rule(), mode="max")
    for trial in range(3):
        for number in range(1, 8):
            curves.decide(trial, number, 0.1)

    assert [curves.decide(3, number, 0.1) for number in range(1, 8)] == [CONTINUE] * 7


def test_too_few_others_judge_nobody():
    curves = Curves(rule(min_samples_required=3))
    curves.decide(0, 1, 1.0)
    curves.decide(1, 1, 1.0)

    assert curves.decide(2, 1, 0.0) == CONTINUE
    assert isinstance(curves.decide(3, 1, 0.0), Stop)


def test_results_before_the_grace_period_count_for_the_best_and_not_for_the_means():
    curves = Curves(rule(grace_period=3, min_samples_required=1))
    curves.decide(0, 1, 9.0)
    assert curves.decide(0, 3, 0.5) == CONTINUE
    assert curves.decide(1, 2, 0.6) == CONTINUE

    assert curves.decide(1, 3, 0.0) == CONTINUE
    assert isinstance(curves.decide(2, 3, 0.0), Stop)


def test_a_trial_without_a_number_stops_and_the_reason_says_so():
    curves = Curves(rule(min_samples_required=1))
    curves.decide(0, 1, 0.5)

    assert curves.decide(1, 1, math.nan) == Stop(
        "training_iteration 1: it has had no number for score so far, which ranks worst; "
        "the median is 0.5 of 1 other trials' means"
    )


def test_seconds_are_judged_at_shared_decision_times_a_tenth_apart():
    curves = Curves(MedianStoppingRule(grace_period=10.0, min_samples_required=1))
    assert curves.lease(0) == 10.0

    curves.decide(0, 1, 1.0, elapsed=10.5)
    curves.decide(0, 2, 1.0, elapsed=11.5)

    assert curves.lease(0) == pytest.approx(12.1)
    assert curves.decide(1, 1, 0.0, elapsed=10.9) == CONTINUE, "nobody had a mean at 10 s"
    assert curves.decide(1, 2, 0.0, elapsed=10.95) == CONTINUE, "no decision time lies in between"
    assert isinstance(curves.decide(1, 3, 0.0, elapsed=11.4), Stop)


def test_a_lease_reaches_to_the_grace_period_and_then_to_the_next_result():
    curves = Curves(rule(grace_period=4))
    leases = [curves.lease(0)]
    for number in (1, 4, 5):
        curves.decide(0, number, 1.0)
        leases.append(curves.lease(0))

    assert leases == [4, 4, 5, 6]
    assert Curves(rule(grace_period=2.5)).lease(0) == 3


def test_a_time_that_is_no_number_is_let_through():
    curves = Curves(MedianStoppingRule(time_attr="steps", grace_period=1))
    assert curves.decide(0, 1, 1.0) == CONTINUE
    assert curves.scheduler.medians == []


def test_a_pausing_rule_spares_the_trial_when_it_comes_back():
    curves = Curves(rule(hard_stop=False, min_samples_required=1))
    curves.decide(0, 1, 1.0)
    curves.decide(0, 2, 1.0)
    decision = curves.decide(1, 1, 0.0)
    assert isinstance(decision, Pause)
    curves.feed(TrialPaused(at=0.0, trial=1, reason=decision.reason))
    curves.feed(AttemptEnded(at=0.0, trial=1, attempt=1, outcome="halted"))

    curves.launch(1, 2)

    assert curves.lease(1) == FOREVER
    assert curves.decide(1, 2, 0.0, attempt=2) == CONTINUE


def test_an_interruption_spares_nobody():
    curves = Curves(rule(hard_stop=False, min_samples_required=1))
    curves.decide(0, 1, 1.0)
    curves.decide(1, 1, 0.0)
    curves.feed(TrialPaused(at=0.0, trial=1, interrupted=True))

    assert curves.lease(1) == 2


def test_a_trial_yields_after_its_time_slice_while_there_is_nobody_to_compare_with():
    curves = Curves(rule(min_time_slice=2))
    assert curves.decide(0, 3, 1.0) == CONTINUE, "nobody waits"
    curves.feed(Suggested(at=0.0, configs=({},)))

    assert [type(curves.decide(1, number, 1.0)) for number in (1, 2)] == [type(CONTINUE)] * 2
    decision = curves.decide(1, 3, 1.0)
    assert decision == Pause("gives others a turn: fewer than 3 have come as far")
    curves.feed(TrialPaused(at=0.0, trial=1, reason=decision.reason))
    curves.feed(AttemptEnded(at=0.0, trial=1, attempt=1, outcome="halted"))

    curves.launch(1, 2)
    assert curves.decide(1, 5, 1.0, attempt=2) == CONTINUE
    assert isinstance(curves.decide(1, 6, 1.0, attempt=2), Pause)


def test_paused_trials_go_on_only_when_no_new_one_is_to_come():
    curves = Curves(rule(hard_stop=False))
    curves.feed(TrialPaused(at=0.0, trial=4))
    assert curves.scheduler.choose(curves.experiment) == NEW, "its attempt is still alive"
    curves.feed(AttemptEnded(at=0.0, trial=4, attempt=1, outcome="halted"))
    assert curves.scheduler.choose(curves.experiment) == Resume(4)

    curves.feed(Suggested(at=0.0, configs=({},)))

    assert curves.experiment.counts[Status.PENDING] == 1
    assert curves.scheduler.choose(curves.experiment) == NEW


def test_another_objective_in_a_later_session_starts_the_means_anew():
    curves = Curves(rule(min_samples_required=1))
    curves.decide(0, 1, 0.9)
    curves.experiment.apply(SessionOpened(at=1.0, session=2, started=1.0, metric="latency", mode="min"))

    assert curves.decide(1, 1, 0.1) == CONTINUE
    assert [median.median for median in curves.scheduler.medians] == [math.inf]


def test_what_it_describes_is_the_latest_median_that_can_judge():
    curves = Curves(rule(min_samples_required=2))
    assert curves.scheduler.describe() == "median: too few trials to judge by"
    curves.decide(0, 1, 0.5)
    curves.decide(1, 1, 0.7)
    curves.decide(1, 2, 0.9)

    assert curves.scheduler.describe() == "median at training_iteration 1: 0.6 (2 trials)"
    assert [(m.time, m.trials) for m in curves.scheduler.medians] == [(1, 2), (2, 1)]


BAD_ARGUMENTS = [
    ({"grace_period": -1}, "grace_period=-1 is too small: it must be at least 0."),
    ({"grace_period": math.inf}, "grace_period=inf is not a finite number."),
    ({"grace_period": 0}, "grace_period=0 leaves open when to judge by time_total_s. Say how often with interval=..."),
    ({"min_samples_required": 0}, "min_samples_required=0: give a whole number of at least 1."),
    ({"min_time_slice": -2}, "min_time_slice=-2 is too small: it must be at least 0."),
    ({"interval": 0}, "interval=0 is too small: it must be above 0."),
    ({"time_attr": 3}, "time_attr=3: give a field's name"),
    ({"metric": "a"}, "metric='a' without a mode."),
    ({"reward_attr": "a", "mode": "max"}, "reward_attr='a' means metric='a', mode='max'."),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        MedianStoppingRule(**arguments)

    assert message in str(caught.value)


def test_a_trial_that_is_over_leaves_its_means_and_nothing_else():
    run = Run(rule(), 2, trials=40, trouble=0.0).play()

    assert not run.scheduler._curves
    assert run.scheduler.medians[0].trials == sum(trial.results > 0 for trial in run.experiment.trials)


def test_no_objective_anywhere_says_where_to_give_one():
    with pytest.raises(ConfigError, match="MedianStoppingRule has nothing to rank trials by"):
        rule().observe(Reported(at=0.0, trial=0, attempt=1, number=1, metrics={}), Experiment())


def test_a_trial_that_has_never_reported_is_leased_up_to_the_grace_period():
    assert MedianStoppingRule().lease(Trial(0, {}, None), Experiment()) == 60.0

import math
import re
from datetime import timedelta

import numpy as np
import pytest

from tunesmith.core.engine import Core, Limits, fold
from tunesmith.core.events import Node, Reported, SessionOpened, Suggested, TrialCompleted, TrialStopped
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Searcher, Stopper
from tunesmith.errors import ConfigError
from tunesmith.schedulers.fifo import FIFOScheduler
from tunesmith.stoppers import (
    CombinedStopper,
    ExperimentPlateauStopper,
    FunctionStopper,
    MaximumIterationStopper,
    NoopStopper,
    TargetStopper,
    ThresholdStopper,
    TimeoutStopper,
    TrialPlateauStopper,
    as_stopper,
)


class Two(Searcher):
    def suggest(self, count, experiment):
        return [{}] * count


class Reports:
    """Feeds results to a stopper through the real core; trials 0 and 1 run."""

    def __init__(self, stopper):
        self.stopper, self.experiment = stopper, Experiment()
        self.core = Core(self.experiment, searcher=Two(), scheduler=FIFOScheduler(), stopper=stopper, limits=Limits())
        nodes = (Node("here", {"cpu": 2}),)
        self.core.handle(SessionOpened(at=0.0, session=1, started=0.0, metric="a", trials_wanted=2, nodes=nodes))
        self.core.handle(Suggested(at=0.0, configs=({}, {})))
        self.journal = []

    def report(self, trial, number, *, at=0.0, attempt=1, elapsed=0.0, **metrics):
        """Return why the trial was stopped at this result; None when it goes on."""
        waits = self.stopper.every_result or any(name in metrics for name in self.stopper.thresholds)
        result = Reported(
            at=at, trial=trial, attempt=attempt, number=number, metrics=metrics, elapsed=elapsed, waits=waits
        )
        self.journal.append(result)
        events = self.core.handle(result).events
        return next(
            (
                event.reason
                for event in events
                if isinstance(event, TrialStopped | TrialCompleted) and event.trial == trial
            ),
            None,
        )

    def curve(self, trial, values, **fields):
        return [self.report(trial, number, a=value, **fields) for number, value in enumerate(values, start=1)]


# Thresholds.


def test_a_trial_stops_at_the_first_result_that_reaches_a_threshold():
    reports = Reports(as_stopper({"accuracy": 0.99}))

    assert reports.report(0, 1, accuracy=0.98) is None
    assert reports.report(0, 2, accuracy=0.99) == "accuracy = 0.99 has reached 0.99"
    assert reports.report(1, 1, accuracy=0.5) is None


@pytest.mark.parametrize("value", [math.nan, None, "high"])
def test_what_is_no_number_reaches_no_threshold(value):
    assert Reports(as_stopper({"accuracy": -1})).report(0, 1, accuracy=value) is None


def test_automatic_fields_are_thresholds_too():
    stopper, experiment = as_stopper({"training_iteration": 3, "time_total_s": 60}), Experiment()

    def reason(number, elapsed):
        return stopper.stop_trial(
            Reported(at=0.0, trial=0, attempt=1, number=number, metrics={}, elapsed=elapsed), experiment
        )

    assert reason(2, 59.0) is None
    assert reason(3, 0.0) == "training_iteration = 3 has reached 3"
    assert reason(2, 60.5) == "time_total_s = 60.5 has reached 60"


def test_workers_judge_thresholds_alone():
    stopper = as_stopper({"accuracy": np.float32(0.5), "training_iteration": 10})

    assert stopper.thresholds == {"accuracy": 0.5, "training_iteration": 10.0}
    assert not stopper.every_result


def test_no_rule_stops_nothing_and_makes_nobody_wait():
    stopper = as_stopper(None)

    assert isinstance(stopper, NoopStopper)
    assert not stopper.every_result
    assert Reports(stopper).curve(0, [1.0] * 5) == [None] * 5


def test_the_maximum_of_iterations_counts_redone_results_once():
    stopper, experiment = MaximumIterationStopper(3), Experiment()
    assert stopper.thresholds == {"training_iteration": 3.0}

    reasons = [
        stopper.stop_trial(Reported(at=0.0, trial=0, attempt=attempt, number=number, metrics={}), experiment)
        for attempt, number in [(1, 1), (1, 2), (2, 2), (2, 3)]
    ]

    assert reasons == [None, None, None, "it has reported 3 results"]


# The whole experiment.


@pytest.mark.parametrize("timeout", [90, 90.0, timedelta(minutes=1, seconds=30)])
def test_a_timeout_stops_everything_and_names_its_deadline(timeout):
    stopper = TimeoutStopper(timeout)
    reports = Reports(stopper)

    assert stopper.deadline == 90
    assert not stopper.every_result
    assert reports.report(0, 1, at=89.9, a=1.0) is None
    assert reports.report(0, 2, at=90.0, a=1.0) == "the timeout of 90 s is over"
    assert reports.experiment.trials[1].reason == "the timeout of 90 s is over"


@pytest.mark.parametrize(("mode", "short", "enough"), [("max", 0.89, 0.91), ("min", 0.91, 0.89)])
def test_a_target_stops_everything_once_a_trial_has_reached_it(mode, short, enough):
    reports = Reports(TargetStopper("a", 0.9, mode=mode))

    assert reports.curve(0, [short, math.nan, None]) == [None] * 3
    assert reports.report(1, 1, a=enough) == f"trial 1 has a = {enough}; the target is 0.9"
    assert reports.experiment.trials[0].reason == f"trial 1 has a = {enough}; the target is 0.9"


def test_the_experiment_stops_when_its_best_values_are_alike():
    reports = Reports(ExperimentPlateauStopper("a", std=0.01, top=3, mode="max"))

    assert reports.curve(0, [0.90, 0.10, math.nan, 0.91, 0.95]) == [None] * 5
    # The best three are now 0.95, 0.95 and 0.94: no matter what the others were.
    assert reports.report(1, 1, a=0.94) is None
    assert reports.report(1, 2, a=0.95).startswith("the 3 best values of a are alike: a standard deviation of 0.0047")


def test_patience_waits_for_as_many_results_in_a_row():
    stopper = ExperimentPlateauStopper("a", std=0.0, top=2, mode="min", patience=3)
    reports = Reports(stopper)

    # Equal after the second; broken by the fourth, which is better; equal again from the fifth on.
    assert reports.curve(0, [1.0, 1.0, 1.0, 0.5, 0.5, 2.0]) == [None] * 6
    assert reports.report(0, 7, a=3.0) == "the 2 best values of a are alike: a standard deviation of 0 (at most 0)"


def test_the_best_values_are_those_of_a_sorted_list():
    draws = np.random.default_rng(0).normal(size=400).round(1)
    stopper, experiment, seen = ExperimentPlateauStopper("a", std=0.15, top=5, mode="max"), Experiment(), []

    for number, value in enumerate(draws.tolist(), start=1):
        stopper.observe(Reported(at=0.0, trial=0, attempt=1, number=number, metrics={"a": value}), experiment)
        seen.append(value)
        expected = len(seen) >= 5 and np.std(sorted(seen)[-5:]) <= 0.15
        assert (stopper.stop_experiment(experiment) is not None) == expected


# A trial that stands still.


def test_a_trial_stops_when_it_stands_still():
    reports = Reports(TrialPlateauStopper("a", std=0.05, num_results=3, grace_period=4))

    reasons = reports.curve(0, [0.5, 0.5, 0.5, 0.9, 0.92, 0.91])

    assert reasons[:5] == [None] * 5
    assert reasons[5] == "a stands still: a standard deviation of 0.00816 (at most 0.05) over its last 3 results"


def test_the_grace_period_counts_results():
    assert Reports(TrialPlateauStopper("a", num_results=2, grace_period=5)).curve(0, [1.0] * 4) == [None] * 4
    assert Reports(TrialPlateauStopper("a", num_results=2, grace_period=5)).curve(0, [1.0] * 5)[4] is not None


@pytest.mark.parametrize(("mode", "low", "high"), [("max", None, "stops"), ("min", "stops", None)])
def test_a_plateau_on_the_wrong_side_of_the_threshold_goes_on(mode, low, high):
    stopper = TrialPlateauStopper("a", metric_threshold=0.5, mode=mode)

    assert (Reports(stopper).curve(0, [0.4] * 4)[3] is None) == (low is None)
    stopper = TrialPlateauStopper("a", metric_threshold=0.5, mode=mode)
    assert (Reports(stopper).curve(0, [0.6] * 4)[3] is None) == (high is None)


def test_values_that_are_no_numbers_are_no_plateau():
    assert Reports(TrialPlateauStopper("a")).curve(0, [math.nan] * 8) == [None] * 8
    assert Reports(TrialPlateauStopper("a")).curve(0, [1e300, -1e300] * 4) == [None] * 8


def test_results_that_are_redone_replace_those_of_the_attempt_before():
    stopper, experiment = TrialPlateauStopper("a", num_results=3, grace_period=0), Experiment()
    line = [(1, 1, 1.0), (1, 2, 1.0), (2, 2, 5.0), (2, 3, 1.0), (2, 4, 1.0)]
    for attempt, number, value in line:
        last = Reported(at=0.0, trial=0, attempt=attempt, number=number, metrics={"a": value})
        stopper.observe(last, experiment)
        assert stopper.stop_trial(last, experiment) is None

    last = Reported(at=0.0, trial=0, attempt=2, number=5, metrics={"a": 1.0})
    stopper.observe(last, experiment)
    assert stopper.stop_trial(last, experiment) is not None


# Functions and objects in Ray Tune's form.


def test_a_function_sees_the_trials_number_and_the_whole_result_and_is_asked_once():
    seen = []

    def stop(trial_id, result):
        seen.append((trial_id, result))
        return result["a"] > 1

    stopper = as_stopper(stop)
    reports = Reports(stopper)

    assert stopper.every_result
    assert reports.report(1, 1, a=0.5, mean_loss=2.0, elapsed=3.0) is None
    assert reports.report(1, 2, a=1.5) == "the stop rule stop said so"
    assert seen[0] == (1, {"trial_id": 1, "training_iteration": 1, "time_total_s": 3.0, "done": False,
                           "neg_mean_loss": -2.0, "a": 0.5, "mean_loss": 2.0})  # fmt: skip
    assert len(seen) == 2


class CountDown(Stopper):
    """As Ray Tune's users write one."""

    def __init__(self, results):
        self.left = results

    def __call__(self, trial_id, result):
        self.left -= 1
        return result["a"] < 0

    def stop_all(self):
        return self.left <= 0


def test_a_stopper_in_ray_tunes_form_stops_trials_and_everything():
    reports = Reports(as_stopper(CountDown(3)))

    assert reports.report(0, 1, a=-1.0) == "the stop rule CountDown said so"
    assert reports.report(1, 1, a=1.0) is None
    assert reports.report(1, 2, a=1.0) == "the stop rule CountDown said so for everything"


def test_an_object_of_another_package_in_that_form_is_taken_too():
    class Foreign:
        def __call__(self, trial_id, result):
            return True

        def stop_all(self):
            return False

    assert Reports(as_stopper(Foreign())).report(0, 1) == "the stop rule Foreign said so"


def test_folding_a_journal_gives_a_stopper_the_memory_it_had():
    def rules():
        return CombinedStopper(
            CountDown(5),
            TrialPlateauStopper("a", std=0.01),
            ExperimentPlateauStopper("a", top=3),
            TargetStopper("a", 9),
        )

    live = Reports(rules())
    live.curve(0, [1.0, 2.0, 2.0, 2.0])
    folded = rules()
    fold(live.journal, _twin(live), [folded])

    for stopper in (live.stopper, folded):
        stopper.observe(last := Reported(at=1.0, trial=0, attempt=1, number=5, metrics={"a": 2.0}), live.experiment)
    assert folded.stop_trial(last, live.experiment) == live.stopper.stop_trial(last, live.experiment)
    assert folded.stop_trial(last, live.experiment).startswith("a stands still")
    assert folded.stop_experiment(live.experiment) == "the stop rule CountDown said so for everything"
    assert live.stopper.stop_experiment(live.experiment) == folded.stop_experiment(live.experiment)


def _twin(live):
    twin = Reports(NoopStopper())
    assert twin.experiment.next_number == live.experiment.next_number
    return twin.experiment


# Several rules.


def test_any_of_several_rules_stops():
    stopper = as_stopper([{"a": 5}, lambda trial_id, result: result["a"] < 0, None])

    assert Reports(stopper).curve(0, [1.0, 5.0]) == [None, "a = 5 has reached 5"]
    assert Reports(stopper).report(1, 1, a=-1.0) == "the stop rule <lambda> said so"


def test_several_rules_keep_the_lowest_thresholds_the_first_deadline_and_the_need_to_see_every_result():
    quick = CombinedStopper({"a": 5, "b": 1}, ThresholdStopper({"a": 3}), TimeoutStopper(60), TimeoutStopper(30))

    assert quick.thresholds == {"a": 3.0, "b": 1.0}
    assert quick.deadline == 30
    assert not quick.every_result
    assert CombinedStopper(quick, lambda trial_id, result: False).every_result
    assert CombinedStopper().deadline is None


# Nonsense.

BAD_RULES = [
    ({"accuracy": "high"}, "stop={'accuracy': 'high'}: the value is not a number. A trial stops when its accuracy is"),
    ({"accuracy": math.nan}, "stop={'accuracy': nan}: the value is not a number."),
    ({"accuracy": None}, "stop={'accuracy': None}: the value is not a number."),
    ({3: 1.0}, "stop={3: ...}: the keys are names of metrics."),
    (0.99, 'stop=0.99 is no stop rule. Give a dict of thresholds (stop={"accuracy": 0.99})'),
    ("accuracy", "stop='accuracy' is no stop rule."),
    ([{"a": 1}, 7], "stop=7 is no stop rule."),
    (TimeoutStopper, "stop=TimeoutStopper is a class. Give an object of it: stop=TimeoutStopper(...)."),
    (lambda result: True, "it must take two arguments, (trial_id, result), but its signature is <lambda>(result)."),
    (lambda: True, "it must take two arguments, (trial_id, result)"),
]


@pytest.mark.parametrize(("stop", "message"), BAD_RULES, ids=[message[:40] for _, message in BAD_RULES])
def test_nonsense_is_refused_at_the_door(stop, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        as_stopper(stop)


BAD_ARGUMENTS = [
    (lambda: MaximumIterationStopper(0), "MaximumIterationStopper: max_iter=0: give a whole number of at least 1."),
    (lambda: TimeoutStopper(0), "TimeoutStopper: timeout=0 is too small: it must be above 0."),
    (lambda: TimeoutStopper("1h"), "TimeoutStopper: timeout='1h' is not a finite number."),
    (lambda: TargetStopper("a", math.nan), "TargetStopper: target=nan is not a finite number."),
    (lambda: TargetStopper("a", 1, mode="up"), "mode='up': give 'min' or 'max'."),
    (lambda: TrialPlateauStopper("a", std=-1), "TrialPlateauStopper: std=-1 is too small: it must be at least 0."),
    (lambda: TrialPlateauStopper("a", num_results=1), "num_results=1: give a whole number of at least 2."),
    (lambda: TrialPlateauStopper("a", metric_threshold=1), "metric_threshold=1 needs mode='min' or mode='max'."),
    (lambda: ExperimentPlateauStopper("a", top=1), "top=1: give a whole number of at least 2."),
    (lambda: ExperimentPlateauStopper("a", patience=-1), "patience=-1: give a whole number of at least 0."),
    (lambda: FunctionStopper(3), "FunctionStopper(3): that cannot be called."),
]


@pytest.mark.parametrize(("build", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_wrong_arguments_are_refused_at_the_door(build, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        build()

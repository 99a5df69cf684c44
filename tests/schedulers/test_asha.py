import math
from fractions import Fraction

import pytest
from random_runs import METRIC, Run

from tunesmith.core.engine import fold
from tunesmith.core.events import Reported, SessionOpened, TrialCompleted, TrialStopped
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, FOREVER, Complete, Stop
from tunesmith.core.seeds import generator
from tunesmith.core.trial import Trial
from tunesmith.errors import ConfigError
from tunesmith.schedulers.asha import ASHAScheduler, AsyncHyperBandScheduler

SHAPES = [
    {},
    {"max_t": 30, "reduction_factor": 3},
    {"max_t": 25, "reduction_factor": 2.5, "grace_period": 2},
    {"max_t": 64, "reduction_factor": 2, "brackets": 3},
    {"max_t": 16, "reduction_factor": 2, "stop_last_trials": False},
    {"max_t": 60, "time_attr": "steps", "reduction_factor": 3, "brackets": 2},
    {"max_t": 200, "time_attr": "steps", "reduction_factor": 2},
    {"max_t": 40.0, "grace_period": 0.7, "time_attr": "time_total_s", "reduction_factor": 4},
]


# The rule, written again from Li et al. 2020 and Ray Tune's description: slow, with exact fractions, higher is better.


def naive_bracket(seed, trial, sizes):
    if len(sizes) == 1:
        return 0
    weights = [math.exp(size - max(sizes)) for size in sizes]
    return generator(seed, "bracket", trial).choices(range(len(sizes)), weights)[0]


def naive_reward(result, mode):
    value = result.metrics.get(METRIC)
    if value is None or math.isnan(value):
        return -math.inf
    return value if mode == "max" else -value


def naive_cutoff(rewards, reduction_factor):
    """The (1 - 1/reduction_factor) quantile of the rewards, linearly interpolated."""
    ranked = sorted(rewards)
    position = (len(ranked) - 1) * (1 - 1 / Fraction(reduction_factor))
    lower, weight = ranked[math.floor(position)], position - math.floor(position)
    if weight == 0 or lower == -math.inf:
        return lower
    return Fraction(lower) + weight * (Fraction(ranked[math.floor(position) + 1]) - Fraction(lower))


def naive_stops(results, seed, mode, *, time_attr="training_iteration", max_t=100, grace_period=1,
                reduction_factor=4, brackets=1, stop_last_trials=True):  # fmt: skip
    milestones = []
    for bracket in range(brackets):
        count = 0
        while grace_period * reduction_factor ** (bracket + count) <= max_t:
            count += 1
        milestones.append([grace_period * reduction_factor ** (bracket + k) for k in range(count)])
    rungs = [{milestone: {} for milestone in own} for own in milestones]
    stops = set()
    for result in results:
        time = {"steps": result.metrics["steps"], "training_iteration": result.number, "time_total_s": result.elapsed}
        bracket = naive_bracket(seed, result.trial, [len(own) for own in milestones])
        reward = naive_reward(result, mode)
        is_highest = True
        for milestone in reversed(milestones[bracket]):
            rung = rungs[bracket][milestone]
            if time[time_attr] < milestone or result.trial in rung:
                continue
            if is_highest and rung and reward < naive_cutoff(rung.values(), reduction_factor):
                stops.add((result.trial, result.attempt, result.number))
            rung[result.trial] = reward
            is_highest = False
        if stop_last_trials and time[time_attr] >= max_t:
            stops.add((result.trial, result.attempt, result.number))
    return stops


@pytest.mark.parametrize("values", ["lattice", "continuous"])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_decisions_are_those_of_the_naive_rule(shape, mode, values):
    stopped = 0
    for seed in range(5):
        run = Run(ASHAScheduler(**shape), seed, mode=mode, values=values).play()

        assert set(run.stops) == naive_stops(run.results, seed, mode, **shape)
        stopped += len(run.stops)
    assert stopped > 20


def test_with_fewer_jumps_and_more_workers_the_decisions_are_the_same_rule():
    run = Run(ASHAScheduler(max_t=50, reduction_factor=2), 3, trials=300, slots=40, values="continuous").play()

    assert set(run.stops) == naive_stops(run.results, 3, "max", max_t=50, reduction_factor=2)
    assert len(run.stops) > 150


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(shape):
    run = Run(ASHAScheduler(**shape), 5, trials=10, longest=12, watch=True).play()
    folded, experiment = ASHAScheduler(**shape), Experiment()

    for event, leases in zip(run.journal, run.leases, strict=True):
        fold([event], experiment, [folded])
        assert {trial.id: folded.lease(trial, experiment) for trial in experiment.trials} == leases
    assert folded.rungs == run.scheduler.rungs
    assert folded.describe() == run.scheduler.describe()
    assert [folded.decide(result, experiment) for result in run.results] == [
        run.scheduler.decide(result, experiment) for result in run.results
    ]


def test_a_question_changes_nothing():
    run = Run(ASHAScheduler(max_t=30, reduction_factor=3, brackets=2), 7).play()
    scheduler, experiment = ASHAScheduler(max_t=30, reduction_factor=3, brackets=2), Experiment()
    for event in run.journal:
        fold([event], experiment, [scheduler])
        for trial in experiment.trials:
            scheduler.lease(trial, experiment)
            if trial.last is not None:
                assert scheduler.decide(trial.last, experiment) == scheduler.decide(trial.last, experiment)

    assert scheduler.rungs == run.scheduler.rungs


# Single rules, on hand-made curves.


class Curves:
    """Feeds results by hand to a scheduler whose experiment has an objective."""

    def __init__(self, scheduler, *, mode="max"):
        self.scheduler, self.experiment = scheduler, Experiment()
        self.experiment.apply(SessionOpened(at=0.0, session=1, started=0.0, metric=METRIC, mode=mode))

    def decide(self, trial, number, value=None, **metrics):
        """Let the trial report; return what the scheduler decides."""
        if value is not None:
            metrics[METRIC] = value
        attempt = metrics.pop("attempt", 1)
        result = Reported(at=0.0, trial=trial, attempt=attempt, number=number, metrics=metrics, waits=True)
        self.scheduler.observe(result, self.experiment)
        return self.scheduler.decide(result, self.experiment)


def test_the_first_at_a_rung_goes_on_whatever_it_has():
    assert Curves(ASHAScheduler()).decide(0, 1, -1e9) == CONTINUE


def test_a_tie_with_the_cutoff_goes_on():
    curves = Curves(ASHAScheduler())
    curves.decide(0, 1, 0.5)

    assert curves.decide(1, 1, 0.5) == CONTINUE


@pytest.mark.parametrize(("mode", "side"), [("max", "below"), ("min", "above")])
def test_a_stop_says_the_rung_the_value_the_cutoff_and_the_number_of_trials(mode, side):
    curves = Curves(ASHAScheduler(grace_period=2), mode=mode)
    sign = 1 if mode == "max" else -1
    curves.decide(0, 2, sign * 0.75)
    curves.decide(1, 2, sign * 0.75)

    assert curves.decide(2, 2, sign * 0.25) == Stop(
        f"rung 2: score {sign * 0.25:g} is {side} the cutoff {sign * 0.75:g} of 2 trials (the best 1/4 go on)"
    )


@pytest.mark.parametrize(("value", "shown"), [(math.nan, "nan"), (None, "None"), (-math.inf, "-inf")])
def test_no_number_ranks_worst_and_the_reason_says_so(value, shown):
    curves = Curves(ASHAScheduler())
    curves.decide(0, 1, 0.5)

    decision = curves.decide(1, 1, value)

    assert decision == Stop(
        f"rung 1: score is {shown}, which ranks worst; the cutoff is 0.5 of 1 trial (the best 1/4 go on)"
    )


def test_a_rung_of_trials_without_a_number_stops_nobody():
    curves = Curves(ASHAScheduler())
    for trial in range(6):
        assert curves.decide(trial, 1, math.nan) == CONTINUE


def test_rungs_that_a_result_jumps_over_are_recorded_and_judge_others():
    curves = Curves(ASHAScheduler())
    curves.decide(0, 20, 0.9)

    assert [(rung.milestone, rung.trials, rung.cutoff) for rung in curves.scheduler.rungs] == [
        (1, 1, 0.9), (4, 1, 0.9), (16, 1, 0.9), (64, 0, None),
    ]  # fmt: skip
    assert isinstance(curves.decide(1, 4, 0.1), Stop)


def test_a_jump_is_judged_at_the_highest_rung_only():
    curves = Curves(ASHAScheduler())
    curves.decide(0, 1, 0.9)

    assert curves.decide(1, 5, 0.1) == CONTINUE


def test_steps_that_are_redone_are_neither_recorded_nor_judged_again():
    curves = Curves(ASHAScheduler())
    curves.decide(0, 4, 0.9)
    curves.decide(1, 4, 0.95)

    assert curves.decide(0, 4, 0.1, attempt=2) == CONTINUE
    assert curves.scheduler.rungs[1].trials == 2
    assert curves.scheduler.rungs[1].cutoff == pytest.approx(0.9375)


def test_a_trial_that_reaches_max_t_stops_with_that_reason():
    assert Curves(ASHAScheduler(max_t=10)).decide(0, 10, 1.0) == Complete("reached max_t = 10")


def test_without_stop_last_trials_the_last_survivors_run_for_ever():
    curves = Curves(ASHAScheduler(max_t=16, stop_last_trials=False))

    assert curves.decide(0, 16, 1.0) == CONTINUE
    assert curves.scheduler.lease(Trial(0, {}, None), curves.experiment) == FOREVER


def test_a_lease_goes_from_rung_to_rung_and_ends_at_max_t():
    curves = Curves(ASHAScheduler(max_t=20))
    leases = [curves.scheduler.lease(Trial(0, {}, None), curves.experiment)]
    for number in (1, 3, 4, 17):
        curves.decide(0, number, 1.0)
        leases.append(curves.scheduler.lease(Trial(0, {}, None), curves.experiment))

    assert leases == [1, 4, 4, 16, 20]


def test_a_result_without_the_time_attribute_is_let_through():
    curves = Curves(ASHAScheduler(time_attr="steps"))

    assert curves.decide(0, 50, 1.0) == CONTINUE
    assert curves.decide(0, 51, 1.0, steps=math.nan) == CONTINUE
    assert curves.decide(0, 52, 1.0, steps="many") == CONTINUE
    assert all(rung.trials == 0 for rung in curves.scheduler.rungs)


def test_brackets_do_not_depend_on_the_order_of_arrival():
    scheduler = ASHAScheduler(brackets=3)
    curves = Curves(scheduler)
    before = [scheduler.lease(Trial(trial, {}, None), curves.experiment) for trial in range(200)]

    other = ASHAScheduler(brackets=3)
    curves = Curves(other)
    after = [other.lease(Trial(trial, {}, None), curves.experiment) for trial in reversed(range(200))]

    assert before == after[::-1]
    # Softmax over 4, 3 and 2 rungs: 0.665, 0.245, 0.090. Six standard errors; fixed seeds, so it cannot flake.
    shares = [before.count(milestone) / 200 for milestone in (1, 4, 16)]
    assert shares == pytest.approx([0.665, 0.245, 0.090], abs=0.2)
    assert min(shares) > 0


def test_a_metric_of_its_own_wins_over_the_experiments():
    curves = Curves(ASHAScheduler(metric="latency", mode="min"))
    curves.decide(0, 1, 0.9, latency=1.0)

    assert isinstance(curves.decide(1, 1, 1.0, latency=2.0), Stop)


def test_another_objective_in_a_later_session_starts_the_rungs_anew():
    curves = Curves(ASHAScheduler())
    curves.decide(0, 1, 0.9)
    curves.experiment.apply(SessionOpened(at=1.0, session=2, started=1.0, metric="latency", mode="min"))

    assert curves.decide(1, 1, 0.1, latency=5.0) == CONTINUE
    assert curves.scheduler.rungs[0].cutoff == 5.0


def test_no_objective_anywhere_says_where_to_give_one():
    scheduler = ASHAScheduler()
    result = Reported(at=0.0, trial=0, attempt=1, number=1, metrics={}, waits=True)

    with pytest.raises(ConfigError, match="ASHAScheduler has nothing to rank trials by"):
        scheduler.observe(result, Experiment())


def test_what_it_describes_are_the_rungs_their_trials_and_cutoffs():
    curves = Curves(ASHAScheduler(max_t=20, brackets=2))
    bracket = 0 if curves.scheduler.lease(Trial(0, {}, None), curves.experiment) == 1 else 1
    curves.decide(0, 4, 0.5)

    lines = curves.scheduler.describe().splitlines()

    assert lines[bracket] == ("bracket 0: 1: 1 (0.5), 4: 1 (0.5), 16: 0", "bracket 1: 4: 1 (0.5), 16: 0")[bracket]
    assert Curves(ASHAScheduler()).scheduler.describe() == "rungs: 1: 0, 4: 0, 16: 0, 64: 0"


def test_a_stopped_trial_leaves_its_records_and_nothing_else():
    run = Run(ASHAScheduler(max_t=20), 2, trials=60, trouble=0.0).play()
    scheduler = run.scheduler

    assert scheduler.rungs[0].trials == 60 - sum(trial.results == 0 for trial in run.experiment.trials)
    assert not scheduler._passed
    assert not scheduler._stops


def test_early_tunes_reward_attr_is_a_metric_to_maximise():
    scheduler = AsyncHyperBandScheduler(time_attr="timesteps_total", reward_attr="mean_accuracy")

    assert AsyncHyperBandScheduler is ASHAScheduler
    assert (scheduler.objective.metric, scheduler.objective.mode) == ("mean_accuracy", "max")


BAD_ARGUMENTS = [
    ({"max_t": 0}, "max_t=0 is too small: it must be above 0."),
    ({"max_t": math.nan}, "max_t=nan is not a finite number."),
    ({"max_t": math.inf}, "max_t=inf is not a finite number."),
    ({"max_t": "100"}, "max_t='100' is not a finite number."),
    ({"max_t": True}, "max_t=True is not a finite number."),
    ({"grace_period": 0}, "grace_period=0 is too small: it must be above 0."),
    ({"grace_period": 101}, "grace_period=101 is above max_t=100. Swap them?"),
    ({"reduction_factor": 1}, "reduction_factor=1 is too small: it must be at least 1.1."),
    ({"brackets": 0}, "brackets=0: give a whole number of at least 1."),
    ({"brackets": 1.5}, "brackets=1.5: give a whole number of at least 1."),
    ({"brackets": 5}, "brackets=5: only the first 4 have a rung up to max_t=100. Use at most brackets=4, or a smaller"),
    ({"metric": "a", "mode": "best"}, "mode='best': give 'min' or 'max'."),
    ({"metric": "", "mode": "min"}, "metric='': give the name of a reported metric"),
    ({"metric": "a"}, "metric='a' without a mode. Add mode='min' or mode='max'."),
    ({"mode": "min"}, "mode='min' without a metric. Give metric= too, or neither."),
    ({"reward_attr": "a", "metric": "a", "mode": "max"}, "reward_attr='a' means metric='a', mode='max'. Give either"),
    ({"time_attr": ""}, "time_attr='': give a field's name, e.g. time_attr='training_iteration'."),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        ASHAScheduler(**arguments)

    assert message in str(caught.value)


def test_every_journaled_stop_has_its_reason_in_words():
    run = Run(ASHAScheduler(max_t=20), 1, trials=40).play()

    reasons = [
        event.reason for event in run.journal if isinstance(event, TrialStopped | TrialCompleted) and event.reason
    ]

    assert reasons
    assert all(reason.startswith(("rung ", "reached max_t = 20")) for reason in reasons)

import math
from fractions import Fraction

import pytest
from random_runs import METRIC, Run
from test_dominance import naive_epsilon_net, naive_fronts

from tunesmith.core.dominance import hypervolume_order
from tunesmith.core.engine import fold
from tunesmith.core.events import Reported, SessionOpened
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, FOREVER, Complete, Stop
from tunesmith.errors import ConfigError
from tunesmith.schedulers.multi_objective import MultiObjectiveASHA

TWO, THREE = [METRIC, "cost"], [METRIC, "cost", "size"]
SHAPES = [
    {"metric": TWO, "mode": ["max", "min"]},
    {"metric": TWO, "mode": "min", "max_t": 30, "reduction_factor": 2},
    {"metric": THREE, "mode": ["max", "min", "min"], "reduction_factor": 2.5, "grace_period": 2},
    {"metric": TWO, "mode": "max", "max_t": 200, "time_attr": "steps", "reduction_factor": 2},
    {"metric": THREE, "mode": "min", "ranking": "hypervolume", "reduction_factor": 2},
    {"metric": TWO, "mode": ["max", "min"], "ranking": "hypervolume", "max_t": 16, "stop_last_trials": False},
    {"metric": [METRIC], "mode": "max", "reduction_factor": 2},
]


class CostlyRun(Run):
    """A run whose results have two more metrics."""

    def _value(self, trial):
        draw = self.random.random
        more = {"cost": float(self.random.randint(0, 3)) if self.values == "lattice" else draw(), "size": draw()}
        if draw() < 0.05:
            more["cost"] = math.nan
        return {**super()._value(trial), **more}


# MO-ASHA's stopping rule, written again from the paper: everything recorded at a rung is sorted at each arrival.


def naive_losses(result, metric, mode):
    modes = [mode] * len(metric) if isinstance(mode, str) else mode
    losses = []
    for name, way in zip(metric, modes, strict=True):
        value = result.metrics.get(name)
        is_usable = value is not None and math.isfinite(value)
        losses.append((-value if way == "max" else value) if is_usable else math.inf)
    return tuple(losses)


def naive_goes_on(recorded, reduction_factor, ranking):
    """Whether the last one of `recorded` is among the best."""
    keep, newest = math.ceil(len(recorded) / Fraction(reduction_factor)), len(recorded) - 1
    chosen = []
    for front in naive_fronts(recorded):
        room = keep - len(chosen)
        ranked = sorted(front)
        if len(ranked) > room:
            points = [recorded[index] for index in ranked]
            order = naive_epsilon_net(points, len(points)) if ranking == "epsilon_net" else hypervolume_order(points)
            ranked = [ranked[index] for index in order[:room]] if room else []
        chosen += ranked
    return newest in chosen


def naive_stops(results, *, metric, mode, time_attr="training_iteration", max_t=100, grace_period=1,
                reduction_factor=3, ranking="epsilon_net", stop_last_trials=True):  # fmt: skip
    milestones, k = [], 0
    while grace_period * reduction_factor**k <= max_t:
        milestones.append(grace_period * reduction_factor**k)
        k += 1
    rungs, stops = {milestone: {} for milestone in milestones}, set()
    for result in results:
        time = result.metrics["steps"] if time_attr == "steps" else result.number
        new = [milestone for milestone in milestones if milestone <= time and result.trial not in rungs[milestone]]
        for milestone in new:
            rungs[milestone][result.trial] = naive_losses(result, metric, mode)
        if new and not naive_goes_on(list(rungs[new[-1]].values()), reduction_factor, ranking):
            stops.add((result.trial, result.attempt, result.number))
        if stop_last_trials and time >= max_t:
            stops.add((result.trial, result.attempt, result.number))
    return stops


@pytest.mark.parametrize("values", ["lattice", "continuous"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_decisions_are_those_of_the_naive_rule(shape, values):
    stopped = 0
    for seed in range(4):
        run = CostlyRun(MultiObjectiveASHA(**shape), seed, values=values, trials=40).play()

        assert set(run.stops) == naive_stops(run.results, **shape)
        stopped += len(run.stops)
    assert stopped > 20


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(shape):
    run = CostlyRun(MultiObjectiveASHA(**shape), 5, trials=12, longest=12, watch=True).play()
    folded, experiment = MultiObjectiveASHA(**shape), Experiment()

    for event, leases in zip(run.journal, run.leases, strict=True):
        fold([event], experiment, [folded])
        assert {trial.id: folded.lease(trial, experiment) for trial in experiment.trials} == leases
    assert folded.rungs == run.scheduler.rungs
    assert folded.describe() == run.scheduler.describe()
    assert [folded.decide(result, experiment) for result in run.results] == [
        run.scheduler.decide(result, experiment) for result in run.results
    ]


class Curves:
    """Feeds results by hand to a scheduler whose experiment minimises error and latency."""

    def __init__(self, scheduler):
        self.scheduler, self.experiment = scheduler, Experiment()
        more = (("latency", "min"),)
        self.experiment.apply(
            SessionOpened(at=0.0, session=1, started=0.0, metric="error", mode="min", more_objectives=more)
        )

    def decide(self, trial, number, **metrics):
        result = Reported(at=0.0, trial=trial, attempt=1, number=number, metrics=metrics, waits=True)
        self.scheduler.observe(result, self.experiment)
        return self.scheduler.decide(result, self.experiment)


def test_the_first_at_a_rung_goes_on_and_the_objectives_are_the_experiments():
    curves = Curves(MultiObjectiveASHA())

    assert curves.decide(0, 1, error=9.0, latency=9.0) == CONTINUE
    assert curves.decide(1, 1, error=10.0, latency=9.0) == Stop(
        "rung 1: error=10, latency=9 lies in front 2; 1 are in better ones (the best 1/3 of 2 trials go on)"
    )


def test_a_stop_within_a_front_says_so():
    curves = Curves(MultiObjectiveASHA(reduction_factor=2))
    curves.decide(0, 1, error=0.0, latency=1.0)

    assert curves.decide(1, 1, error=0.5, latency=math.nan) == Stop(
        "rung 1: error=0.5, latency=none, which ranks worst lies in front 2; 1 are in better ones "
        "(the best 1/2 of 2 trials go on)"
    )
    assert curves.decide(2, 1, error=1.0, latency=0.0) == CONTINUE
    assert curves.decide(3, 1, error=0.5, latency=0.5) == Stop(
        "rung 1: error=0.5, latency=0.5 lies in front 1, of which 2 of 3 by its epsilon_net go on "
        "(the best 1/2 of 4 trials go on)"
    )


def test_a_lease_reaches_to_the_next_rung_and_then_to_max_t():
    curves = Curves(MultiObjectiveASHA(max_t=10))
    leases = []
    for number in (0, 1, 3, 9):
        curves.decide(0, number, error=0.0, latency=0.0)
        leases.append(curves.scheduler.lease(_Numbered(0), curves.experiment))

    assert leases == [1, 3, 9, 10]
    assert curves.decide(0, 10, error=0.0, latency=0.0) == Complete("reached max_t = 10")


def test_without_a_last_stop_a_trial_runs_on():
    curves = Curves(MultiObjectiveASHA(max_t=2, stop_last_trials=False))
    curves.decide(0, 2, error=0.0, latency=0.0)

    assert curves.scheduler.lease(_Numbered(0), curves.experiment) == FOREVER


def test_other_objectives_in_a_later_session_start_the_rungs_anew():
    curves = Curves(MultiObjectiveASHA())
    curves.decide(0, 1, error=0.0, latency=0.0)
    curves.experiment.apply(SessionOpened(at=0.0, session=2, started=0.0, metric="error", mode="max"))

    assert curves.decide(1, 1, error=-5.0, latency=9.0) == CONTINUE
    assert curves.scheduler.describe().startswith("rungs: 1: 1 (front: 1), 3: 0")


class _Numbered:
    def __init__(self, number):
        self.id = number


BAD_ARGUMENTS = [
    ({"ranking": "crowding"}, "ranking='crowding': give one of 'epsilon_net', 'hypervolume'."),
    ({"reduction_factor": 1}, "reduction_factor=1 is too small: it must be at least 1.1."),
    ({"grace_period": 0}, "grace_period=0 is too small"),
    ({"max_t": -1}, "max_t=-1 is too small"),
    ({"max_t": 3, "grace_period": 5}, "grace_period=5 is above max_t=3. Swap them?"),
    ({"metric": ["a", "b"]}, "metric=['a', 'b'] without a mode."),
    ({"mode": "min"}, "mode='min' without a metric."),
    ({"metric": ["a", "b"], "mode": ["min"]}, "give one mode for each metric, or one for all."),
    ({"metric": [], "mode": "min"}, "give one mode for each metric, or one for all."),
    ({"metric": ["a", "a"], "mode": "min"}, "names a metric twice."),
    ({"metric": ["a", 3], "mode": "min"}, "metric=3: give the name of a reported metric"),
    ({"metric": ["a"], "mode": "least"}, "mode='least': give 'min' or 'max'."),
    ({"time_attr": 0}, "time_attr=0: give a field's name"),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        MultiObjectiveASHA(**arguments)

    assert message in str(caught.value)


def test_no_objective_anywhere_says_where_to_give_one():
    with pytest.raises(ConfigError, match="MultiObjectiveASHA has nothing to rank trials by"):
        MultiObjectiveASHA().observe(Reported(at=0.0, trial=0, attempt=1, number=1, metrics={}), Experiment())

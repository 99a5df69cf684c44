import itertools
import math

import numpy as np
import pytest
from by_hand import Curves
from random_runs import METRIC, Run
from test_asha_promotion import Naive, plain

import tunesmith as tune
from tunesmith.core.engine import fold
from tunesmith.core.events import Reported, SessionOpened, TrialCompleted, TrialPaused, TrialStopped
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import WAIT, Complete, Decided, Resume
from tunesmith.errors import ConfigError
from tunesmith.schedulers.asha_promotion import PromotionASHAScheduler
from tunesmith.schedulers.pasha import PASHAScheduler, crossing_distance, is_consistent
from tunesmith.simulation import simulate

SHAPES = [
    {},
    {"reduction_factor": 2},
    {"reduction_factor": 2, "max_t": 12, "grace_period": 2},
    {"reduction_factor": 2, "time_attr": "time_total_s"},
]


class NaivePasha(Naive):
    """Algorithm 1 written again: the naive ASHA with a growing number of rungs; what is ranked is ranked anew."""

    def __init__(self, mode, **shape):
        super().__init__(mode, **{"max_t": None, "reduction_factor": 3, "time_attr": "training_iteration", **shape})
        self.height, self.epsilon = 2, 0.0
        self.curves, self.arrived, self.next_look, self.pairs, self.distances = {}, [], 1, [], []

    def see(self, event):
        before = self.highest(event.trial) if isinstance(event, Reported) else None
        super().see(event)
        if isinstance(event, TrialStopped | TrialCompleted):
            self.curves.pop(event.trial, None)
        if not isinstance(event, Reported):
            return
        value = event.metrics.get(METRIC)
        is_number = value is not None and math.isfinite(value)
        reward = (value if self.mode == "max" else -value) if is_number else -math.inf
        self.curves.setdefault(event.trial, {}).setdefault(event.number, reward)
        own = self.milestones[0]
        # It came to the highest rung, and not with the result that brought it to the one below.
        if self.height > len(own) or before is None or self.highest(event.trial) == before:
            return
        if before != own[self.height - 2]:
            return
        at = [{trial: reward for reward, _, trial in self.rungs[0][m]} for m in own[self.height - 2 : self.height]]
        self.pairs.append((at[0][event.trial], at[1][event.trial]))
        self.arrived.append(event.trial)
        self.measure(event.trial)
        if len(self.pairs) < self.next_look:
            return
        self.next_look = len(self.pairs) + max(1, len(self.pairs) // 16)
        if not self.is_consistent():
            self.height += 1
            self.arrived, self.pairs, self.next_look = [], [], 1
            self.distances = []

    def measure(self, newest):
        for other in self.arrived[:-1][-32:]:
            if other in self.curves:
                self.distances += naive_distance(self.curves[newest], self.curves[other])
        if self.distances:
            self.epsilon = float(np.percentile(self.distances, 90))

    def is_consistent(self):
        lower = sorted((pair[0] for pair in self.pairs), reverse=True)
        upper = sorted(self.pairs, key=lambda pair: (pair[1], pair[0]), reverse=True)
        for place, (own, _) in enumerate(upper):
            if own != lower[place] and not abs(own - lower[place]) <= self.epsilon + 1e-12:
                return False
        return True

    def choose(self):
        resting, found = [trial for trial in self.paused if trial not in self.alive], None
        for milestone in sorted(self.milestones[0][: self.height - 1], reverse=True):
            records = sorted(self.rungs[0][milestone], reverse=True)
            for _, _, trial in records[: int(len(records) // self.eta)]:
                if found is None and trial in resting and self.waits_at(trial, milestone):
                    found = trial
        if found is not None:
            return "resume", found
        strays = [
            trial for trial in resting if self.highest(trial) is None or not self.waits_at(trial, self.highest(trial))
        ]
        if strays:
            return "resume", strays[0]
        if "pending" in self.status.values() or (not self.exhausted and len(self.status) < self.wanted):
            return "new"
        if not resting or self.alive:
            return "wait"
        is_top = self.highest(resting[0]) >= [*self.milestones[0], math.inf][self.height - 1]
        return ("complete" if is_top else "stop"), resting[0]

    def waits_at(self, trial, milestone):
        return self.highest(trial) == milestone and self.promoted.get(trial) != milestone


def naive_distance(one, other):
    """[distance at the last common step], if the order was the other way round before, and the same before that."""
    common = sorted(set(one) & set(other))
    if not common or one[common[-1]] == other[common[-1]] or -math.inf in (one[common[-1]], other[common[-1]]):
        return []
    signs = [np.sign(np.nan_to_num(one[step] - other[step])) for step in common]
    for first, second in itertools.combinations(range(len(common) - 1), 2):
        if signs[first] == signs[-1] and signs[second] == -signs[-1]:
            return [abs(one[common[-1]] - other[common[-1]])]
    return []


TROUBLES = [
    {},
    {"persons": 0.02, "trouble": 0.1, "values": "continuous"},
    {"holds": True, "persons": 0.02},
    {"saves": False, "mode": "min", "values": "continuous"},
    {"restarts": 0.02, "persons": 0.02, "slots": 7, "values": "continuous"},
]


def with_complete(choice):
    return (
        ("complete", choice.trial)
        if isinstance(choice, Decided) and isinstance(choice.decision, Complete)
        else plain(choice)
    )


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_chooses_and_adds_rungs_as_the_naive_algorithm_does(shape, trouble):
    grown = 0
    for seed in range(5):
        run = Run(PASHAScheduler(**shape), seed, trials=25, longest=30, watch=True,
                  renew=lambda: PASHAScheduler(**shape), **trouble).play()  # fmt: skip
        naive, again, experiment = (
            NaivePasha(trouble.get("mode", "max"), **shape),
            PASHAScheduler(**shape),
            Experiment(),
        )
        naive.seed = seed
        for event, choice in zip(run.journal, run.choices, strict=True):
            naive.see(event)
            fold([event], experiment, [again])
            assert (again._promotions.height, again.epsilon) == (naive.height, pytest.approx(naive.epsilon))
            assert again.choose(experiment) == choice
            if naive.wanted is not None:
                assert with_complete(choice) == naive.choose()
        grown += naive.height - 2
        assert run.experiment.finished.reason == "completed"
        assert all(trial.status.is_final for trial in run.experiment.trials)
    assert grown > 0


def curves_that(noise):
    def curve(config, epoch):
        wobble = noise * math.sin(1e4 * config["x"] * epoch)
        return {"loss": config["x"] + 1 / epoch + wobble} if epoch <= 243 else None

    return curve


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_stable_rankings_need_two_rungs_and_a_fraction_of_what_asha_takes(workers):
    steps = {}
    for scheduler in (PASHAScheduler(), PromotionASHAScheduler(max_t=243, reduction_factor=3)):
        ran = simulate(curves_that(0), space={"x": tune.uniform(0, 1)}, metric="loss", mode="min", scheduler=scheduler,
                       num_samples=200, workers=workers, history=True)  # fmt: skip
        assert ran.finished == "completed"
        steps[type(scheduler).__name__] = sum(len(trial.history) for trial in ran.trials)
        best = min(ran.trials, key=lambda trial: trial.config["x"])
        longest = max(len(trial.history) for trial in ran.trials)
        assert len(best.history) == longest
        assert (longest == 3) is isinstance(scheduler, PASHAScheduler)
    assert steps["PASHAScheduler"] < steps["PromotionASHAScheduler"] / 2


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_rankings_that_change_for_good_call_for_more_rungs(workers):
    def curve(config, epoch):
        return {"loss": config["x"] if epoch >= 20 else -config["x"]} if epoch <= 100 else None

    ran = simulate(curve, space={"x": tune.uniform(0, 1)}, metric="loss", mode="min", scheduler=PASHAScheduler(),
                   num_samples=300, workers=workers, history=True)  # fmt: skip

    assert ran.finished == "completed"
    assert max(len(trial.history) for trial in ran.trials) >= 3


# Single rules.


def test_a_ranking_is_consistent_up_to_epsilon():
    swapped = [(0.1, 0.2), (0.2, 0.1), (0.9, 0.9)]

    assert is_consistent([(0.1, 0.1), (0.2, 0.2)], 0.0)
    assert not is_consistent(swapped, 0.05)
    assert is_consistent(swapped, 0.11)
    assert is_consistent([(0.1, 0.5), (0.2, 0.5)], 0.0), "a tie higher up is in any order"
    assert is_consistent([(math.inf, math.inf), (0.2, 0.5)], 0.0)
    assert not is_consistent([(math.inf, 0.1), (0.2, 0.5)], 0.5)


def test_the_noise_is_seen_where_two_curves_cross_and_cross_back():
    flat = {1: 1.0, 2: 1.0, 3: 1.0, 4: 1.0}

    assert crossing_distance(flat, {1: 0.9, 2: 1.1, 3: 0.8}) == pytest.approx(0.2)
    assert crossing_distance(flat, {1: 0.9, 2: 1.1, 3: 1.2}) is None, "they cross once"
    assert crossing_distance(flat, {1: 0.9, 2: 0.9, 3: 0.9}) is None
    assert crossing_distance(flat, {1: 0.9, 2: 1.1, 3: math.inf}) is None
    assert crossing_distance(flat, {}) is None


def test_trials_wait_at_the_second_rung_until_the_rankings_differ():
    curves = Curves(PASHAScheduler(reduction_factor=2), trials=9)
    for trial in range(4):
        curves.arrive(trial, 1, trial)
    for trial in (3, 2):
        curves.launch(trial, 2)
        curves.arrive(trial, 2, trial, attempt=2)
    assert curves.choose() == WAIT, "the two highest rungs agree: nobody goes on from the second"
    assert len(curves.scheduler.rungs) == 2

    for trial, value in ((4, 4), (5, 5)):
        curves.arrive(trial, 1, value)
    curves.launch(5, 2)
    curves.arrive(5, 2, 0.0, attempt=2)

    assert len(curves.scheduler.rungs) == 3
    assert curves.choose() == Resume(3, "rung 2: score 3 is among the best 1 of 3 trials (the best 1/2 go on)")
    assert curves.scheduler.describe() == "rungs: 1: 6 (3), 2: 3 (3), 4: 0; 3 rungs in use, noise 0"


def test_what_is_at_the_highest_rung_is_complete_in_the_end_and_the_others_are_stopped():
    run = Run(PASHAScheduler(reduction_factor=2), 3, trials=12, longest=50, trouble=0,
              value_of=lambda draw, running: {METRIC: running.trial}).play()  # fmt: skip

    completed = [event for event in run.journal if isinstance(event, TrialCompleted) and event.reason]
    assert {event.reason for event in completed} == {"reached rung 2, beyond which no ranking has called for more"}
    assert 11 in [event.trial for event in completed]
    assert all(event.reason.startswith("rung 1: ") for event in run.journal if isinstance(event, TrialStopped))
    assert any(isinstance(event, TrialPaused) for event in run.journal)


def test_another_objective_in_a_later_session_starts_with_two_rungs_again():
    curves = Curves(PASHAScheduler(reduction_factor=2), trials=4)
    for trial in range(4):
        curves.arrive(trial, 1, trial)
    for trial in (3, 2):
        curves.launch(trial, 2)
        curves.arrive(trial, 2, -trial, attempt=2)
    assert len(curves.scheduler.rungs) == 3
    curves.feed(SessionOpened(at=1.0, session=2, started=1.0, metric="latency", mode="min", trials_wanted=4))

    assert curves.choose() == Resume(0, "goes on from where it was paused")
    curves.launch(0, 2)
    curves.decide(0, 1, attempt=2, latency=3.0)

    assert len(curves.scheduler.rungs) == 2
    assert curves.scheduler.rungs[0].trials == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grace_period": 0}, "grace_period=0 is too small: it must be above 0."),
        ({"grace_period": 5, "max_t": 3}, "grace_period=5 is above max_t=3. Swap them?"),
        ({"reduction_factor": 1}, "reduction_factor=1 is too small: it must be at least 1.1."),
        ({"metric": "a"}, "metric='a' without a mode."),
    ],
)
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        PASHAScheduler(**arguments)

    assert message in str(caught.value)

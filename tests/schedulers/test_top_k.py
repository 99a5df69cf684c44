import math

import pytest
from by_hand import Curves
from random_runs import METRIC, Run

import tunesmith as tune
from tunesmith.core.engine import fold
from tunesmith.core.events import (
    AttemptEnded,
    Reported,
    SessionOpened,
    SpaceExhausted,
    Suggested,
    TrialCompleted,
    TrialContinued,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, FOREVER, NEW, WAIT, Complete, Decided, Pause, Resume, Stop
from tunesmith.errors import ConfigError
from tunesmith.schedulers.top_k import TopKScheduler
from tunesmith.simulation import simulate

SHAPES = [
    {"k": 3, "first_rung": 3},
    {"k": 1, "first_rung": 1, "max_t": 9},
    {"k": 40, "first_rung": 2},
    {"k": 4, "first_rung": 12, "time_attr": "steps", "max_t": 80},
    {"k": 2, "first_rung": 2.5, "time_attr": "time_total_s"},
]


class Naive:
    """The rule written again, from the journal alone: everything is sorted anew for each question."""

    def __init__(self, mode, *, k, first_rung, time_attr="training_iteration", max_t=None):
        self.mode, self.k, self.first_rung, self.time_attr = mode, k, first_rung, time_attr
        self.max_t = math.inf if max_t is None else max_t
        self.rewards, self.status, self.alive, self.paused, self.gone_on = {}, {}, set(), [], set()
        self.exhausted, self.wanted = False, None

    def see(self, event):
        match event:
            case SessionOpened():
                self.wanted, self.exhausted = event.trials_wanted, False
            case SpaceExhausted():
                self.exhausted = True
            case Suggested():
                for _ in event.configs:
                    self.status[len(self.status)] = "pending"
            case Reported():
                value, times = event.metrics.get(METRIC), {"steps": event.metrics["steps"]}
                times |= {"training_iteration": event.number, "time_total_s": event.elapsed}
                if event.trial not in self.rewards and times[self.time_attr] >= self.first_rung:
                    is_number = value is not None and math.isfinite(value)
                    reward = (value if self.mode == "max" else -value) if is_number else -math.inf
                    self.rewards[event.trial] = (reward, -len(self.rewards))
            case TrialLaunched() | TrialContinued():
                if self.status[event.trial] == "paused":
                    self.paused.remove(event.trial)
                    if event.trial in self.rewards:
                        self.gone_on.add(event.trial)
                self.status[event.trial] = "running"
                self.alive.add(event.trial)
            case AttemptEnded():
                self.alive.discard(event.trial)
            case TrialPaused():
                self.status[event.trial] = "paused"
                self.paused.append(event.trial)
                if event.held:
                    self.alive.discard(event.trial)
            case TrialRequeued() | TrialStopped() | TrialCompleted() | TrialFailed():
                if event.trial in self.paused:
                    self.paused.remove(event.trial)
                self.status[event.trial] = "pending" if isinstance(event, TrialRequeued) else "over"

    def choose(self):
        resting = [trial for trial in self.paused if trial not in self.alive]
        waiting = [trial for trial in resting if trial in self.rewards and trial not in self.gone_on]
        strays = [trial for trial in resting if trial not in waiting]
        if strays:
            return "resume", strays[0]
        if "pending" in self.status.values() or (not self.exhausted and len(self.status) < self.wanted):
            return "new"
        if self.alive - self.gone_on or not waiting:
            return "wait"
        ranked = sorted([*waiting, *self.gone_on], key=self.rewards.get, reverse=True)
        worst = min(waiting, key=self.rewards.get)
        if ranked.index(worst) >= self.k:
            return "stop", worst
        return "resume", max(waiting, key=self.rewards.get)

    def lease(self, trial):
        return self.max_t if trial in self.gone_on else self.first_rung


def plain(choice):
    match choice:
        case Resume(trial):
            return "resume", trial
        case Decided(trial, Stop()):
            return "stop", trial
    return {NEW: "new", WAIT: "wait"}[choice]


TROUBLES = [
    {},
    {"persons": 0.02, "trouble": 0.1},
    {"holds": True, "persons": 0.02},
    {"saves": False, "mode": "min", "values": "continuous"},
    {"restarts": 0.02, "persons": 0.02, "slots": 7},
    {"restarts": 0.03, "holds": True, "slots": 1, "values": "continuous"},
]


@pytest.mark.parametrize("trouble", TROUBLES, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_it_chooses_and_leases_as_the_naive_rule_does(shape, trouble):
    for seed in range(4):
        run = Run(TopKScheduler(**shape), seed, trials=15, longest=15, watch=True,
                  renew=lambda: TopKScheduler(**shape), **trouble).play()  # fmt: skip
        naive = Naive(trouble.get("mode", "max"), **shape)
        for event, choice, leases in zip(run.journal, run.choices, run.leases, strict=True):
            naive.see(event)
            if naive.wanted is not None:
                assert plain(choice) == naive.choose()
            known = [trial for trial, status in naive.status.items() if status != "over"]
            assert {trial: leases[trial] for trial in known} == {trial: naive.lease(trial) for trial in known}
        assert run.experiment.finished.reason == "completed"
        assert all(trial.status.is_final for trial in run.experiment.trials)
        assert len(naive.gone_on) <= shape["k"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(shape):
    run = Run(TopKScheduler(**shape), 5, trials=12, longest=15, watch=True, persons=0.02).play()
    folded, experiment = TopKScheduler(**shape), Experiment()

    for event, leases, choice in zip(run.journal, run.leases, run.choices, strict=True):
        fold([event], experiment, [folded])
        assert {trial.id: folded.lease(trial, experiment) for trial in experiment.trials} == leases
        assert folded.choose(experiment) == folded.choose(experiment) == choice
    assert folded.describe() == run.scheduler.describe()


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_in_a_simulation_the_k_best_at_the_rung_and_nobody_else_run_to_their_end(workers):
    scheduler = TopKScheduler(k=4, first_rung=3)

    ran = simulate(lambda config, epoch: {"loss": config["x"]} if epoch <= 9 else None, metric="loss", mode="min",
                   space={"x": tune.uniform(0, 1)}, scheduler=scheduler, num_samples=100, workers=workers,
                   history=True)  # fmt: skip

    assert ran.finished == "completed"
    best = sorted(ran.trials, key=lambda trial: trial.config["x"])
    assert [len(trial.history) for trial in best] == [9] * 4 + [3] * 96
    assert [trial.status for trial in best] == ["completed"] * 4 + ["stopped"] * 96


# Single rules, on hand-made curves.


def test_nobody_goes_on_before_all_have_come():
    curves = Curves(TopKScheduler(k=1), trials=3)
    curves.arrive(0, 1, 0.5)
    curves.arrive(1, 1, 0.7)
    assert curves.choose() == WAIT

    curves.arrive(2, 1, 0.6)

    assert curves.choose() == Decided(0, Stop("rung 1: score 0.5 is not among the best 1 of all trials"))


def test_one_that_has_ended_before_is_not_waited_for():
    curves = Curves(TopKScheduler(k=2), trials=3)
    curves.arrive(0, 1, 0.5)
    curves.arrive(1, 1, 0.7)
    curves.end(2, outcome="done")
    curves.feed(TrialCompleted(at=0.0, trial=2))

    assert curves.choose() == Resume(1, "rung 1: score 0.7 is among the best 2 of all trials")


def test_a_new_trial_comes_before_any_verdict():
    curves = Curves(TopKScheduler(k=2), trials=1)
    curves.arrive(0, 1, 0.5)
    curves.feed(Suggested(at=0.0, configs=({},)))

    assert curves.choose() == NEW
    assert curves.scheduler.unblock(curves.experiment) == Resume(0, "nothing else could run")


def test_one_that_was_stopped_while_it_waited_leaves_its_place_to_the_next():
    curves = Curves(TopKScheduler(k=1), trials=3)
    for trial in range(3):
        curves.arrive(trial, 1, trial)
    curves.feed(TrialStopped(at=0.0, trial=2, reason="a person"))
    curves.feed(TrialStopped(at=0.0, trial=0, reason="not among the best"))

    assert curves.choose().trial == 1


def test_one_that_fails_after_it_went_on_is_not_replaced():
    curves = Curves(TopKScheduler(k=1), trials=2)
    for trial in range(2):
        curves.arrive(trial, 1, trial)
    curves.feed(TrialStopped(at=0.0, trial=0, reason="not among the best"))
    curves.launch(1, 2)
    assert curves.lease(1) == FOREVER
    curves.end(1, 2, outcome="failed")

    assert curves.choose() == WAIT


def test_trials_that_a_later_session_adds_go_on_if_they_beat_those_that_did():
    curves = Curves(TopKScheduler(k=1), trials=2)
    for trial in range(2):
        curves.arrive(trial, 1, trial)
    curves.feed(TrialStopped(at=0.0, trial=0, reason="not among the best"))
    curves.launch(1, 2)
    curves.end(1, 2, outcome="done")
    curves.feed(TrialCompleted(at=0.0, trial=1))
    curves.feed(Suggested(at=0.0, configs=({}, {})))
    for trial, value in ((2, 0.5), (3, 2.0)):
        curves.launch(trial)
        curves.arrive(trial, 1, value)

    assert curves.choose().decision.reason == "rung 1: score 0.5 is not among the best 1 of all trials"
    curves.feed(TrialStopped(at=0.0, trial=2, reason="not among the best"))
    assert curves.choose() == Resume(3, "rung 1: score 2 is among the best 1 of all trials")


def test_a_missing_number_ranks_worst_and_the_reason_says_so():
    curves = Curves(TopKScheduler(k=1), trials=2)
    curves.arrive(0, 1)
    curves.arrive(1, 1, -9.0)

    assert curves.choose() == Decided(
        0, Stop("rung 1: no number for score, which ranks worst, is not among the best 1 of all trials")
    )


def test_it_pauses_at_the_rung_and_completes_at_max_t():
    curves = Curves(TopKScheduler(first_rung=2, max_t=5))

    assert curves.decide(0, 1, 0.5) == CONTINUE
    assert curves.decide(0, 2, 0.5) == Pause("waits at rung 2 for the others")
    assert curves.decide(1, 6, 0.5) == Complete("reached max_t = 5")


def test_another_objective_in_a_later_session_starts_anew():
    curves = Curves(TopKScheduler(k=1), trials=2)
    for trial in range(2):
        curves.arrive(trial, 1, trial)
    curves.feed(SessionOpened(at=1.0, session=2, started=1.0, metric="latency", mode="min", trials_wanted=2))

    assert curves.choose() == Resume(0, "goes on from where it was paused")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k=0: give a whole number of at least 1."),
        ({"first_rung": 0}, "first_rung=0 is too small: it must be above 0."),
        ({"first_rung": 5, "max_t": 3}, "first_rung=5 is above max_t=3. Swap them?"),
        ({"metric": "a"}, "metric='a' without a mode."),
    ],
)
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        TopKScheduler(**arguments)

    assert message in str(caught.value)

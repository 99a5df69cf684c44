import math
from fractions import Fraction

import pytest
from by_hand import Curves
from random_runs import METRIC, Run

import tunesmith as tune
from tunesmith.core.engine import fold
from tunesmith.core.events import (
    AttemptEnded,
    Node,
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
from tunesmith.core.seeds import generator
from tunesmith.core.trial import Trial
from tunesmith.errors import ConfigError
from tunesmith.schedulers.asha_promotion import PromotionASHAScheduler
from tunesmith.simulation import simulate

SHAPES = [
    {"max_t": 27, "reduction_factor": 3},
    {"max_t": 25, "reduction_factor": 2.5, "grace_period": 2},
    {"max_t": 16, "reduction_factor": 2, "brackets": 3},
    {"max_t": 20, "reduction_factor": 1.5},
    {"max_t": 60, "time_attr": "steps", "reduction_factor": 3, "brackets": 2},
    {"max_t": 40.0, "grace_period": 0.7, "time_attr": "time_total_s", "reduction_factor": 2},
    {"max_t": None, "reduction_factor": 2},
]


class Naive:
    """Algorithm 2 written again, from the journal alone: slow, with exact fractions, higher is better."""

    def __init__(self, mode, *, time_attr="training_iteration", max_t=100, grace_period=1, reduction_factor=4,
                 brackets=1):  # fmt: skip
        self.mode, self.time_attr, self.max_t, self.eta = mode, time_attr, max_t, reduction_factor
        top = 10**6 if max_t is None else max_t
        self.milestones = []
        for bracket in range(brackets):
            own = [grace_period * reduction_factor**bracket]
            while own[-1] * reduction_factor <= top:
                own.append(own[-1] * reduction_factor)
            self.milestones.append(own)
        self.rungs = [{milestone: [] for milestone in own} for own in self.milestones]
        self.status, self.alive, self.promoted, self.paused = {}, set(), {}, []
        self.reached = {}
        self.wanted = self.seed = None
        self.exhausted = False

    def bracket(self, trial):
        sizes = [len(own) for own in self.milestones]
        if len(sizes) == 1:
            return 0
        weights = [math.exp(size - max(sizes)) for size in sizes]
        return generator(self.seed, "bracket", trial).choices(range(len(sizes)), weights)[0]

    def time(self, result):
        times = {"steps": result.metrics["steps"], "training_iteration": result.number, "time_total_s": result.elapsed}
        return times[self.time_attr]

    def highest(self, trial):
        """The highest rung where the trial is recorded; None if nowhere."""
        return max(self.reached.get(trial, ()), default=None)

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
                value = event.metrics.get(METRIC)
                is_number = value is not None and math.isfinite(value)
                reward = (value if self.mode == "max" else -value) if is_number else -math.inf
                for milestone in self.milestones[self.bracket(event.trial)]:
                    rung = self.rungs[self.bracket(event.trial)][milestone]
                    if milestone <= self.time(event) and milestone not in self.reached.get(event.trial, ()):
                        rung.append((reward, -len(rung), event.trial))
                        self.reached.setdefault(event.trial, []).append(milestone)
            case TrialLaunched() | TrialContinued():
                if self.status[event.trial] == "paused":
                    self.promoted[event.trial] = self.highest(event.trial)
                    self.paused.remove(event.trial)
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
        """("resume", trial), "new", "wait", or ("stop", trial)."""
        resting = [trial for trial in self.paused if trial not in self.alive]
        everywhere = [(m, -b) for b, own in enumerate(self.milestones) for m in own]
        for milestone, bracket in sorted(everywhere, reverse=True):
            records = sorted(self.rungs[-bracket][milestone], reverse=True)
            for _, _, trial in records[: math.floor(len(records) / Fraction(self.eta))]:
                is_here = self.highest(trial) == milestone and self.promoted.get(trial) != milestone
                if trial in resting and is_here:
                    return "resume", trial
        strays = [trial for trial in resting if self.promoted.get(trial, math.nan) == self.highest(trial)
                  or self.highest(trial) is None]  # fmt: skip
        if strays:
            return "resume", strays[0]
        if "pending" in self.status.values() or (not self.exhausted and len(self.status) < self.wanted):
            return "new"
        return ("stop", resting[0]) if resting and not self.alive else "wait"

    def lease(self, trial):
        highest = self.highest(trial)
        if highest is not None and self.promoted.get(trial) != highest:
            return highest
        above = [m for m in self.milestones[self.bracket(trial)] if highest is None or m > highest]
        return above[0] if above else self.max_t


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
def test_it_chooses_leases_and_pauses_as_the_naive_algorithm_does(shape, trouble):
    promoted = 0
    for seed in range(2):
        arguments = {"trials": 18, "longest": 30, **trouble}
        run = Run(PromotionASHAScheduler(**shape), seed, watch=True,
                  renew=lambda: PromotionASHAScheduler(**shape), **arguments).play()  # fmt: skip
        naive = Naive(arguments.get("mode", "max"), **shape)
        naive.seed = seed
        for event, choice, leases in zip(run.journal, run.choices, run.leases, strict=True):
            naive.see(event)
            if naive.wanted is not None:
                assert plain(choice) == naive.choose()
            known = [trial for trial, status in naive.status.items() if status != "over"]
            assert {trial: leases[trial] for trial in known} == {trial: naive.lease(trial) for trial in known}
        promoted += sum("go on" in e.reason for e in run.journal if isinstance(e, TrialLaunched | TrialContinued))
        assert run.experiment.finished.reason == "completed"
        assert not run.experiment.paused
        check_story(run, shape)
    assert promoted > 3


def check_story(run, shape):
    """Every trial waits exactly where it has reached a rung, and ends with its reason in words."""
    trials, last = run.experiment.trials, {}
    for event in run.journal:
        if isinstance(event, Reported):
            last[event.trial] = event
        elif isinstance(event, TrialPaused):
            assert event.reason.startswith("waits at rung "), event
            assert last[event.trial].waits
        elif isinstance(event, TrialStopped):
            assert event.reason.startswith(("rung ", "a person")), event
        elif isinstance(event, TrialCompleted) and event.reason:
            assert event.reason == f"reached max_t = {shape['max_t']:g}"
    assert all(trial.status.is_final for trial in trials)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(shape):
    run = Run(PromotionASHAScheduler(**shape), 5, trials=12, longest=25, watch=True, persons=0.02).play()
    folded, experiment = PromotionASHAScheduler(**shape), Experiment()

    for event, leases, choice in zip(run.journal, run.leases, run.choices, strict=True):
        fold([event], experiment, [folded])
        assert {trial.id: folded.lease(trial, experiment) for trial in experiment.trials} == leases
        assert folded.choose(experiment) == folded.choose(experiment) == choice
        if isinstance(event, Reported):
            assert folded.decide(event, experiment) == folded.decide(event, experiment)
    assert folded.rungs == run.scheduler.rungs
    assert folded.describe() == run.scheduler.describe()
    assert folded.warnings == run.scheduler.warnings


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("brackets", [1, 3])
@pytest.mark.parametrize("max_t", [27, None])
def test_simulated_experiments_end_without_a_trial_that_waits(workers, brackets, max_t):
    if max_t is None and brackets > 1:
        return
    scheduler = PromotionASHAScheduler(max_t=max_t, reduction_factor=3, brackets=brackets)

    ran = simulate(learns, space={"x": tune.uniform(0, 1)}, metric="loss", mode="min", scheduler=scheduler,
                   num_samples=100, workers=workers, seed=workers, history=True)  # fmt: skip

    assert ran.finished == "completed"
    assert all(trial.status in ("stopped", "completed") for trial in ran.trials)
    assert max(len(trial.history) for trial in ran.trials) == (40 if max_t is None else 27)


def learns(config, epoch):
    return ({"loss": config["x"] - epoch / 1000}, 1.0 + config["x"]) if epoch <= 40 else None


def test_with_one_worker_it_promotes_as_soon_as_it_may():
    scheduler = PromotionASHAScheduler(max_t=9, reduction_factor=3)

    ran = simulate(learns, space={"x": tune.grid_search([i / 10 for i in range(9)])}, metric="loss", mode="min",
                   scheduler=scheduler, history=True)  # fmt: skip

    # Trial 0 is the best of three, and goes on before trial 3 starts; 1 is the best of the others among six.
    assert [len(trial.history) for trial in ran.trials] == [9, 3, 3, 1, 1, 1, 1, 1, 1]
    assert ran.trials[0].status == "completed"
    assert ran.trials[8].status == "stopped"


# Single rules, on hand-made curves.


def at(scheduler=None, **arguments):
    return Curves(scheduler or PromotionASHAScheduler(**{"max_t": 16, "reduction_factor": 2, **arguments}))


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_a_pause_and_a_promotion_say_the_rung_the_value_and_the_company(mode, sign):
    curves = Curves(PromotionASHAScheduler(reduction_factor=3), mode=mode)

    assert curves.decide(0, 1, sign * 0.5) == Pause(f"waits at rung 1 with score {sign * 0.5:g}")
    for trial in range(7):
        curves.arrive(trial, 1, sign * trial)
    assert curves.choose() == Resume(
        6, f"rung 1: score {sign * 6:g} is among the best 2 of 7 trials (the best 1/3 go on)"
    )


def test_fewer_than_the_reduction_factor_promote_nobody():
    curves = at(reduction_factor=4)
    for trial in range(3):
        curves.arrive(trial, 1, trial)

    assert curves.choose() == WAIT
    curves.arrive(3, 1, 0)
    assert curves.choose().trial == 2


def test_of_equal_trials_the_earlier_one_goes_on_first():
    curves = at()
    for trial in (5, 3, 4, 2):
        curves.arrive(trial, 1, 0.5)

    assert curves.choose().trial == 5
    curves.launch(5, 2)
    assert curves.choose().trial == 3


def test_the_highest_rung_comes_first():
    curves = at()
    for trial in range(6):
        curves.arrive(trial, 1, trial)
    for trial in (5, 4):
        curves.launch(trial, 2)
        curves.arrive(trial, 2, trial, attempt=2)

    assert curves.choose().trial == 5, "the best of two at rung 2, although trial 3 may leave rung 1"
    curves.launch(5, 3)
    assert curves.choose().trial == 3


def test_a_trial_whose_attempt_has_not_ended_is_not_promoted_yet():
    curves = at()
    curves.arrive(1, 1, 1)
    decision = curves.decide(0, 1, 2)
    curves.feed(TrialPaused(at=0.0, trial=0, reason=decision.reason))
    assert curves.choose() == WAIT

    curves.end(0)

    assert curves.choose().trial == 0


def test_one_that_a_better_one_has_pushed_out_waits_on():
    curves = at()
    curves.arrive(0, 1, 1)
    curves.arrive(1, 1, 2)
    assert curves.choose().trial == 1

    curves.arrive(2, 1, 3)
    assert curves.choose().trial == 2
    curves.launch(2, 2)
    assert curves.choose() == WAIT


def test_a_stopped_trial_keeps_its_place_and_does_not_go_on():
    curves = at()
    for trial in range(4):
        curves.arrive(trial, 1, trial)
    curves.feed(TrialStopped(at=0.0, trial=3, reason="a person"))

    assert curves.choose().trial == 2
    curves.launch(2, 2)
    assert curves.choose() == WAIT, "the best two of four are one that has ended and one that has gone on"


def test_rungs_that_a_result_jumps_over_are_recorded():
    curves = at()
    curves.arrive(0, 5, 0.9)

    assert [(rung.milestone, rung.trials) for rung in curves.scheduler.rungs] == [
        (1, 1),
        (2, 1),
        (4, 1),
        (8, 0),
        (16, 0),
    ]
    curves.arrive(1, 1, 1.0)
    assert curves.choose().trial == 1, "trial 0 is second at rung 1, and no longer waits there"


def test_steps_that_are_redone_are_not_recorded_again():
    curves = at()
    for trial in (0, 1):
        curves.arrive(trial, 1, trial)
    curves.launch(1, 2)
    assert curves.lease(1) == 2

    assert curves.decide(1, 1, -5.0, attempt=2) == CONTINUE
    assert curves.scheduler.rungs[0].trials == 2


def test_one_that_was_interrupted_at_its_rung_waits_there_again():
    curves = at()
    curves.decide(0, 2, 0.5)
    curves.end(0, outcome="lost")
    curves.feed(TrialRequeued(at=0.0, trial=0))
    curves.launch(0, 2)

    assert curves.lease(0) == 2
    assert curves.decide(0, 1, 0.5, attempt=2) == CONTINUE
    assert curves.decide(0, 2, 0.7, attempt=2) == Pause("waits at rung 2 with score 0.7")


def test_one_that_somebody_else_has_paused_goes_on_before_new_ones():
    curves = at()
    curves.feed(Suggested(at=0.0, configs=({},)))
    curves.feed(TrialPaused(at=0.0, trial=6, reason="another scheduler"))
    assert curves.choose() == NEW
    curves.end(6)

    assert curves.choose() == Resume(6, "goes on from where it was paused")


def test_those_that_wait_are_stopped_when_nothing_else_can_come():
    curves = at(reduction_factor=4)
    for trial in range(7):
        curves.arrive(trial, 1, trial)
    curves.launch(6, 2)
    curves.feed(TrialStopped(at=0.0, trial=7, reason="a person"))
    curves.end(7)
    assert curves.choose() == WAIT

    curves.arrive(6, 4, 1.0, attempt=2)

    decisions = {}
    while not isinstance(choice := curves.choose(), type(WAIT)):
        decisions[choice.trial] = choice.decision.reason
        curves.feed(TrialStopped(at=0.0, trial=choice.trial, reason=choice.decision.reason))
    assert set(decisions) == set(range(7))
    assert decisions[0] == ("rung 1: score 0 is not among the best 1 of 7 trials (the best 1/4 go on), "
                            "and nothing more is to come")  # fmt: skip
    assert decisions[6].startswith("rung 4: score 1 is not among the best 0 of 1 trial (")


def test_when_nobody_new_can_start_although_some_are_to_come_the_best_at_the_highest_rung_goes_on():
    curves = at(reduction_factor=4)
    for trial in range(3):
        curves.arrive(trial, 1, trial)
    curves.feed(Suggested(at=0.0, configs=({},)))
    assert curves.choose() == NEW

    assert curves.scheduler.unblock(curves.experiment) == Resume(2, "nothing else could run")


def test_a_trial_at_max_t_is_complete():
    curves = at()
    assert curves.decide(0, 16, 1.0) == Complete("reached max_t = 16")
    assert at(max_t=20).decide(0, 40, 1.0) == Complete("reached max_t = 20")


def test_between_the_last_rung_and_max_t_a_trial_runs_freely():
    curves = at(max_t=20)
    curves.arrive(0, 16, 1.0)
    curves.arrive(1, 16, 2.0)
    curves.launch(1, 2)

    assert curves.lease(1) == 20
    assert curves.decide(1, 17, 0.0, attempt=2) == CONTINUE


def test_a_missing_number_ranks_worst_and_the_reason_says_so():
    curves = at()
    assert curves.decide(2, 1, math.nan) == Pause("waits at rung 1 with score nan")
    curves = at()
    curves.arrive(1, 1)
    curves.arrive(2, 1, math.nan)

    assert curves.choose().reason.startswith(
        "rung 1: no number for score, which ranks worst, is among the best 1 of 2 trials"
    )


def test_another_objective_in_a_later_session_starts_the_rungs_anew():
    curves = at()
    for trial in (0, 1):
        curves.arrive(trial, 1, trial)
    curves.feed(SessionOpened(at=1.0, session=2, started=1.0, metric="latency", mode="min", trials_wanted=8,
                              nodes=(Node("here", {"cpu": 8}),)))  # fmt: skip

    assert curves.choose() == Resume(0, "goes on from where it was paused")
    assert curves.lease(0) == 1
    assert all(rung.trials == 0 for rung in curves.scheduler.rungs)


def test_a_trial_that_is_over_leaves_its_records_and_nothing_else():
    run = Run(PromotionASHAScheduler(max_t=20), 2, trials=60, trouble=0.0).play()

    assert run.scheduler.rungs[0].trials == sum(trial.results > 0 for trial in run.experiment.trials)
    assert not run.scheduler._promotions._climbers.known
    assert not run.scheduler._promotions._climbers.strays
    assert not any(rung._waiting or rung._listed for rung in run.scheduler._promotions._rungs[0])


def test_a_trial_that_was_never_recorded_is_leased_up_to_its_first_rung():
    assert PromotionASHAScheduler(grace_period=3).lease(Trial(0, {}, None), Experiment()) == 3
    assert PromotionASHAScheduler(grace_period=None).lease(Trial(0, {}, None), Experiment()) == -FOREVER


def test_class_trainables_save_where_they_may_be_paused():
    assert PromotionASHAScheduler.saves_when_waiting


BAD_ARGUMENTS = [
    ({"max_t": 0}, "max_t=0 is too small: it must be above 0."),
    ({"grace_period": 101}, "grace_period=101 is above max_t=100. Swap them?"),
    ({"reduction_factor": 1}, "reduction_factor=1 is too small: it must be at least 1.1."),
    ({"brackets": 5}, "brackets=5: only the first 4 have a rung up to max_t=100. Use at most brackets=4, or a smaller"),
    ({"brackets": 2, "max_t": None}, "brackets=2 needs both max_t and grace_period"),
    ({"brackets": 2, "grace_period": None}, "brackets=2 needs both max_t and grace_period"),
    ({"metric": "a"}, "metric='a' without a mode. Add mode='min' or mode='max'."),
    ({"time_attr": ""}, "time_attr='': give a field's name, e.g. time_attr='training_iteration'."),
]


@pytest.mark.parametrize(("arguments", "message"), BAD_ARGUMENTS, ids=[message[:40] for _, message in BAD_ARGUMENTS])
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        PromotionASHAScheduler(**arguments)

    assert message in str(caught.value)


def test_no_objective_anywhere_says_where_to_give_one():
    with pytest.raises(ConfigError, match="PromotionASHAScheduler has nothing to rank trials by"):
        PromotionASHAScheduler().observe(Reported(at=0.0, trial=0, attempt=1, number=1, metrics={}), Experiment())

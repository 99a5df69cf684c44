import math
import random
from collections import Counter

import pytest
from hyperband_rule import check_journal, paper_table

from tunesmith.core.engine import Limits, fold
from tunesmith.core.events import (
    AttemptEnded,
    ExperimentCreated,
    Failure,
    Node,
    Reported,
    SessionOpened,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import CONTINUE, FOREVER, NEW, ONE_RESULT, WAIT, Complete, Decided, Pause, Resume, Stop
from tunesmith.core.trial import Status
from tunesmith.errors import ConfigError
from tunesmith.executors.simulated import Faults, SimulatedExecutor
from tunesmith.schedulers.hyperband import HyperBandForBOHB, HyperBandScheduler
from tunesmith.schedulers.named import scheduler_named
from tunesmith.stoppers import FunctionStopper, NoopStopper, ThresholdStopper
from tunesmith.testing.driver import Driver
from tunesmith.testing.searcher import KeyedSearcher
from tunesmith.testing.state import attributes_of

SHAPES = [
    {},
    {"max_t": 9},
    {"max_t": 30, "reduction_factor": 2},
    {"max_t": 20, "reduction_factor": 2.5},
    {"max_t": 27, "stop_last_trials": False},
    {"max_t": 60, "time_attr": "steps"},
    {"max_t": 16, "reduction_factor": 4, "time_attr": "time_total_s"},
]
FAULTS = [
    None,
    {"fails": 0.03, "is_lost": 0.03, "damages_checkpoint": 0.1},
    {"fails": 0.1, "is_lost": 0.05, "message_delay": 2.0, "start_delay": 1.0, "is_slow": 0.2},
]


def curve(config):
    """Ties, nan, missing and infinite values; steps that jump; some trials end by themselves."""
    draw = random.Random(repr(config))
    steps, ends = 0, draw.random() < 0.2
    for number in range(draw.randint(1, 30) if ends else 100):
        steps += draw.choice([1, 1, 1, 2, 5, 20])
        value = draw.choice([round(config["x"], 1) + draw.randint(0, 2), draw.random()])
        odd = draw.random()
        value = math.nan if odd < 0.04 else math.inf if odd < 0.05 else value
        yield {"steps": steps, "done": ends and number > 20} | ({} if odd > 0.97 else {"loss": value}), draw.random()


def driven(scheduler, *, seed=0, trials=60, workers=3, every=1, faults=None, stopper=None, moody=0.0, **options):
    """Run an experiment with everything that goes wrong; return its driver."""
    return Driver(
        searcher=options.pop("searcher", None) or KeyedSearcher(seed=seed, moody=moody),
        scheduler=scheduler,
        stopper=stopper or NoopStopper(),
        executor=SimulatedExecutor(
            options.pop("curve", curve),
            workers=workers,
            checkpoint_every=every,
            faults=None if faults is None else Faults(seed=seed, **faults),
        ),
        limits=Limits(max_failures=1, fail_fast=False, **options.pop("limits", {})),
        seed=seed,
        trials_wanted=trials,
        **options,
    )


# The table.


def test_the_table_is_the_papers_for_81_and_3():
    assert [(shape.size, shape.milestones) for shape in HyperBandScheduler().table] == [
        (81, (1, 3, 9, 27, 81)),
        (34, (3, 9, 27, 81)),
        (15, (9, 27, 81)),
        (8, (27, 81)),
        (5, (81,)),
    ]


@pytest.mark.parametrize("eta", [2, 3, 4, 2.5])
@pytest.mark.parametrize("max_t", [1, 2, 8, 9, 27, 64, 100, 243, 729, 1000, 59049])
def test_the_table_is_the_papers_for_other_numbers(max_t, eta):
    table = HyperBandScheduler(max_t=max_t, reduction_factor=eta).table
    naive = paper_table(max_t, eta)

    assert [shape.size for shape in table] == [size for size, _ in naive]
    for shape, (_, milestones) in zip(table, naive, strict=True):
        assert shape.milestones == pytest.approx(milestones, rel=1e-12)
        assert shape.milestones[-1] == max_t


@pytest.mark.parametrize("workers", [1, 2, 7, 300])
def test_each_bracket_trains_exactly_what_the_papers_table_says(workers):
    bands = 2
    run = driven(HyperBandScheduler(), trials=143 * bands, workers=workers, curve=endless).run()

    assert run.experiment.finished.reason == "completed"
    first = 0
    for size, first_milestone, ends in [
        (81, 1, {1: 54, 3: 18, 9: 6, 27: 2, 81: 1}),
        (34, 3, {3: 23, 9: 8, 27: 2, 81: 1}),
        (15, 9, {9: 10, 27: 4, 81: 1}),
        (8, 27, {27: 6, 81: 2}),
        (5, 81, {81: 5}),
    ] * bands:
        trials = run.experiment.trials[first : first + size]
        assert Counter(trial.number for trial in trials) == ends
        # From its checkpoint nobody trains a step twice: the sum over rounds of n_i * (r_i - r_(i-1)).
        assert sum(trial.results for trial in trials) == sum(end * count for end, count in ends.items())
        assert min(trial.number for trial in trials) == first_milestone
        first += size


def endless(config):
    number = 0
    while True:
        number += 1
        yield {"loss": config["x"] + 1 / number}, 0.1 + config["x"]


def test_the_best_of_a_bracket_are_those_that_the_table_promotes():
    run = driven(HyperBandScheduler(), trials=81, workers=5, curve=endless).run()

    ranked = sorted(run.experiment.trials, key=lambda trial: trial.config["x"])
    assert [trial.number for trial in ranked] == [81] + [27] * 2 + [9] * 6 + [3] * 18 + [1] * 54


# The whole rule against the naive one.


@pytest.mark.parametrize("faults", FAULTS, ids=["none", "failures", "delays"])
@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_its_decisions_are_those_of_the_naive_rule(shape, workers, faults):
    seen = Counter()
    for seed in range(3):
        mode = "min" if seed % 2 else "max"
        run = driven(
            HyperBandScheduler(**shape), seed=seed, trials=70, workers=workers, faults=faults, mode=mode, every=seed
        ).run()

        assert run.experiment.finished.reason == "completed", run.experiment.finished
        seen.update(check_journal(run.events, mode=mode, **shape))
    assert seen["pause"] > 20
    assert seen["stop"] > 20
    assert seen["resume"] > 5


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_with_stop_rules_a_moody_searcher_and_few_places_the_decisions_are_the_same_rule(workers):
    seen = Counter()
    for seed in range(12):
        stopper = [
            NoopStopper(),
            ThresholdStopper({"loss": 2.5}),
            FunctionStopper(lambda trial, result: result.get("loss", 0) > 2.8),
        ][seed % 3]
        run = driven(
            HyperBandScheduler(max_t=27),
            seed=seed,
            trials=50 + seed,
            moody=0.5,
            workers=workers,
            faults=FAULTS[seed % 2],
            stopper=stopper,
            limits={"max_concurrent": 3, "nan_fails": seed % 2 == 0, "holds": seed % 4 == 0},
        )
        run.run()

        assert run.experiment.finished.reason == "completed", run.experiment.finished
        seen.update(check_journal(run.events, mode="min", max_t=27))
    assert seen["stop"] > 100


# Restarts.


@pytest.mark.parametrize("faults", [None, {"fails": 0.05, "is_lost": 0.05}], ids=["calm", "faults"])
def test_folding_the_journal_gives_the_same_scheduler_at_every_event(faults):
    states = []
    scheduler = HyperBandScheduler(max_t=9)
    run = driven(scheduler, trials=14, faults=faults, seed=4)
    observe = scheduler.observe

    def watched(event, experiment):
        observe(event, experiment)
        states.append(snapshot(scheduler, experiment))

    scheduler.observe = watched
    run.run()
    folded, experiment = HyperBandScheduler(max_t=9), Experiment()

    assert len(states) == len(run.events)
    for event, state in zip(run.events, states, strict=True):
        fold([event], experiment, [folded])
        assert snapshot(folded, experiment) == state


def snapshot(scheduler, experiment):
    leases = [scheduler.lease(trial, experiment) for trial in experiment.trials]
    return attributes_of(scheduler, without=("observe",)), leases, scheduler.choose(experiment)


@pytest.mark.parametrize("faults", [None, {"fails": 0.05, "is_lost": 0.05}], ids=["calm", "faults"])
def test_a_controller_that_dies_after_any_event_goes_on_by_the_same_rule(faults):
    past = driven(HyperBandScheduler(max_t=9), trials=14, faults=faults, seed=4).run().events

    for cut in range(1, len(past)):
        run = driven(HyperBandScheduler(max_t=9), trials=14, faults=faults, seed=4, past=past[:cut], retry_failed=True)
        run.run()

        assert run.experiment.finished.reason == "completed", cut
        check_journal_after_a_cut(run.events, cut)


def check_journal_after_a_cut(events, cut):
    try:
        check_journal(events, mode="min", max_t=9)
    except AssertionError as error:
        raise AssertionError(f"after a cut at {cut}: {error}") from error


def test_a_question_changes_nothing():
    run = driven(HyperBandScheduler(max_t=9), trials=20, faults=FAULTS[1], seed=2).run()
    asked, silent = HyperBandScheduler(max_t=9), HyperBandScheduler(max_t=9)
    experiment = Experiment()
    for event in run.events:
        fold([event], experiment, [asked, silent])
        for trial in experiment.trials:
            asked.lease(trial, experiment)
            if trial.last is not None:
                assert asked.decide(trial.last, experiment) == asked.decide(trial.last, experiment)
        assert asked.choose(experiment) == asked.choose(experiment)
        if experiment.session:
            asked.unblock(experiment)
        asked.describe()

    assert attributes_of(asked) == attributes_of(silent)


def test_another_scheduler_may_have_driven_an_earlier_session():
    for cut in range(5, 120, 5):
        past = driven(scheduler_named("fifo"), trials=20, workers=4, seed=1).run().events[:cut]
        run = driven(HyperBandScheduler(max_t=9), trials=20, workers=4, seed=1, past=past).run()

        assert run.experiment.finished.reason == "completed"
        assert not run.experiment.paused


# Never dead-locked.


class Limited(KeyedSearcher):
    """A searcher of somebody else's: no more than a few trials may be open at a time, paused ones counted."""

    def suggest(self, count, experiment):
        free = 4 - len(experiment.live | experiment.paused)
        return super().suggest(min(count, free), experiment) if free > 0 else []


@pytest.mark.parametrize("every", [0, 1], ids=["no checkpoints", "checkpoints"])
@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize(
    "searcher",
    [lambda: Limited(), lambda: KeyedSearcher(moody=0.9), lambda: KeyedSearcher(most=31)],
    ids=["limited", "moody", "dry"],
)
def test_with_any_searcher_it_comes_to_an_end(searcher, workers, every):
    run = driven(HyperBandScheduler(max_t=9), searcher=searcher(), trials=40, workers=workers, every=every).run()

    assert run.experiment.finished.reason == "completed"
    assert run.experiment.counts[Status.PAUSED] == 0
    check_journal(run.events, mode="min", max_t=9)


def test_a_bracket_that_nobody_fills_for_now_starts_with_its_best_and_says_so():
    run = driven(HyperBandScheduler(max_t=9), searcher=Limited(), trials=8, workers=2, curve=endless).run()

    closing = next(
        event for event in run.events if isinstance(event, TrialLaunched) and "nobody else comes" in event.reason
    )
    assert closing.reason == (
        "bracket 0, training_iteration 1: nobody else comes for now, so it starts with 4 of 9 trials"
    )
    assert closing.trial == min(range(4), key=lambda trial: run.experiment.trials[trial].config["x"])


def test_old_brackets_are_finished_before_new_ones_pile_up():
    scheduler, most = HyperBandScheduler(max_t=27), 0
    observe = scheduler.observe

    def watched(event, experiment):
        nonlocal most
        observe(event, experiment)
        most = max(most, len(scheduler._brackets))

    scheduler.observe = watched
    driven(scheduler, trials=1000, workers=4, curve=endless).run()

    assert most <= 4  # of more than 80; each worker can be busy in a bracket of its own


# Single rules, by hand.


class Hand:
    """Feeds events by hand to a scheduler."""

    def __init__(self, scheduler, *, trials=0, wanted=None, mode="max"):
        self.scheduler, self.experiment, self.answers = scheduler, Experiment(), {}
        self.see(ExperimentCreated(at=0.0, name="hand", seed=0, created=0.0))
        nodes = (Node("here", {"cpu": 100.0}),)
        self.see(SessionOpened(at=0.0, session=1, started=0.0, metric="score", mode=mode, nodes=nodes,
                               trials_wanted=wanted))  # fmt: skip
        if trials:
            self.see(Suggested(at=0.0, configs=({},) * trials))

    def see(self, event):
        self.experiment.apply(event)
        self.scheduler.observe(event, self.experiment)

    def launch(self, *trials):
        for trial in trials:
            placement = self.experiment.pool.find({"cpu": 1})
            attempt = self.experiment.trials[trial].attempt + 1
            self.see(TrialLaunched(at=0.0, trial=trial, attempt=attempt, placement=placement))

    def report(self, trial, number, score, **metrics):
        """Let a trial report and do as it is told; return what that is."""
        result = Reported(at=0.0, trial=trial, attempt=self.experiment.trials[trial].attempt, number=number,
                          metrics={"score": score, **metrics}, waits=True)  # fmt: skip
        self.see(result)
        decision = self.scheduler.decide(result, self.experiment)
        self.carry_out(trial, decision)
        return decision

    def carry_out(self, trial, decision):
        event = {Pause: TrialPaused, Stop: TrialStopped, Complete: TrialCompleted}.get(type(decision))
        if event is not None:
            self.see(event(at=0.0, trial=trial, reason=decision.reason))
            if self.experiment.trials[trial].is_live:
                attempt = self.experiment.trials[trial].attempt
                self.see(AttemptEnded(at=0.0, trial=trial, attempt=attempt, outcome="halted"))

    def choose(self):
        """Ask who is next, carrying out what it decides of trials that stand still."""
        while isinstance(choice := self.scheduler.choose(self.experiment), Decided):
            self.carry_out(choice.trial, choice.decision)
        return choice

    def statuses(self):
        return "".join(trial.status[0] for trial in self.experiment.trials)


def small(**options):
    return HyperBandScheduler(max_t=3, reduction_factor=3, **options)  # brackets of 3 (1 -> 3) and of 2 (3)


def test_a_round_ends_with_its_last_result_and_the_last_one_goes_on_without_a_pause():
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)

    assert hand.report(0, 1, 0.1) == Pause(
        "bracket 0, training_iteration 1: waits for the end of the round (1 of 3 trials are there)"
    )
    assert isinstance(hand.report(1, 1, 0.2), Pause)
    assert hand.report(2, 1, 0.3) == CONTINUE
    assert hand.scheduler.lease(hand.experiment.trials[2], hand.experiment) == 3
    assert hand.choose() == NEW
    assert hand.statuses() == "ssr"
    assert hand.experiment.trials[0].reason == (
        "bracket 0, training_iteration 1: score 0.1 is no. 3; the best of 3 goes on"
    )
    assert hand.report(2, 3, 0.3) == Complete("reached max_t = 3")


def test_the_last_one_to_arrive_stops_at_once_when_it_is_not_among_the_best():
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)
    hand.report(0, 1, 0.5)
    hand.report(1, 1, 0.2)

    assert hand.report(2, 1, 0.3) == Stop("bracket 0, training_iteration 1: score 0.3 is no. 2; the best of 3 goes on")
    assert hand.choose() == Resume(0, "bracket 0, training_iteration 1: the best of 3 goes on to 3")


@pytest.mark.parametrize("nothing", [math.nan, None, -math.inf])
def test_no_number_ranks_worst_and_the_reason_says_so(nothing):
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)
    hand.report(0, 1, nothing)
    hand.report(1, 1, -5.0)
    hand.report(2, 1, -4.0)
    hand.choose()

    assert hand.experiment.trials[0].reason == (
        f"bracket 0, training_iteration 1: score {nothing}, which ranks worst, is no. 3; the best of 3 goes on"
    )


def test_of_equals_the_earlier_trial_goes_on():
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)
    for trial in (2, 1, 0):
        hand.report(trial, 1, 0.5)

    hand.choose()
    assert hand.statuses() == "rss"


def test_a_round_waits_for_a_trial_that_is_tried_again_and_not_for_one_that_has_failed():
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)
    hand.report(0, 1, 0.1)
    hand.report(1, 1, 0.2)
    failure = Failure("exception", "ValueError: no")
    hand.see(AttemptEnded(at=0.0, trial=2, attempt=1, outcome="failed", failure=failure))
    hand.see(TrialRequeued(at=0.0, trial=2, failure=failure))
    assert hand.choose() == NEW
    hand.launch(2)
    hand.see(AttemptEnded(at=0.0, trial=2, attempt=2, outcome="failed", failure=failure))

    hand.see(TrialFailed(at=0.0, trial=2, failure=failure))

    assert hand.choose() == Resume(1, "bracket 0, training_iteration 1: the best of 2 goes on to 3")
    assert hand.statuses() == "spf"


def failed(hand, trial):
    failure = Failure("exception", "ValueError: no")
    attempt = hand.experiment.trials[trial].attempt
    hand.see(AttemptEnded(at=0.0, trial=trial, attempt=attempt, outcome="failed", failure=failure))
    hand.see(TrialFailed(at=0.0, trial=trial, failure=failure))


def test_a_failed_trial_that_is_tried_again_keeps_its_place_while_its_round_lasts():
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)
    hand.report(0, 1, 0.1)
    failed(hand, 2)
    hand.see(TrialRequeued(at=0.0, trial=2))
    hand.report(1, 1, 0.2)
    hand.launch(2)

    assert hand.report(2, 1, 0.3) == CONTINUE
    hand.choose()
    assert hand.statuses() == "ssr"


def test_one_that_fails_at_the_last_milestone_goes_on_there_when_it_is_tried_again():
    hand = Hand(small(), trials=1, wanted=1)
    hand.launch(0)
    hand.report(0, 1, 0.5)
    hand.see(Reported(at=0.0, trial=0, attempt=1, number=3, metrics={"score": math.nan}, waits=True))
    failed(hand, 0)

    hand.see(TrialRequeued(at=0.0, trial=0))
    hand.launch(0)

    assert hand.scheduler.lease(hand.experiment.trials[0], hand.experiment) == 3
    assert hand.report(0, 3, 0.5) == Complete("reached max_t = 3")


def test_a_failed_trial_that_is_tried_again_after_its_round_enters_the_next_bracket():
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)
    failed(hand, 2)
    hand.report(0, 1, 0.1)
    hand.report(1, 1, 0.2)
    hand.see(TrialRequeued(at=0.0, trial=2))

    assert hand.scheduler.lease(hand.experiment.trials[2], hand.experiment) == 3
    assert hand.scheduler.describe().splitlines()[1] == "bracket 1 (1 of 2 trials, 3): 1 of 1 are on their way to 3"


def test_a_result_beyond_the_next_milestone_counts_there_too():
    hand = Hand(HyperBandScheduler(max_t=9), trials=9)
    hand.launch(*range(9))
    for trial in range(8):
        hand.report(trial, 1 if trial else 5, 1 - trial / 10)
    hand.report(8, 1, 0.0)
    hand.choose()

    # Trial 0 was at 5 when it came: it waits at 3 for trials 1 and 2, which have to go there first.
    assert hand.statuses() == "ppp" + "s" * 6
    hand.launch(1, 2)
    hand.report(1, 3, 0.2)
    hand.report(2, 3, 0.1)
    assert hand.choose() == Resume(0, "bracket 0, training_iteration 3: the best of 3 goes on to 9")


def test_a_last_result_that_also_ends_its_trial_takes_no_place_among_the_best():
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)
    hand.report(0, 1, 0.1)
    hand.report(1, 1, 0.2)
    hand.see(Reported(at=0.0, trial=2, attempt=1, number=1, metrics={"score": 0.9}, waits=True))
    hand.see(TrialCompleted(at=0.0, trial=2, reason="score=0.9 reached 0.9"))

    assert hand.choose() == Resume(1, "bracket 0, training_iteration 1: the best of 2 goes on to 3")


def test_a_bracket_that_no_more_trials_come_for_starts_with_what_it_has():
    hand = Hand(small(), trials=2, wanted=2)
    hand.launch(0, 1)
    hand.report(0, 1, 0.5)

    assert hand.report(1, 1, 0.4) == Stop("bracket 0, training_iteration 1: score 0.4 is no. 2; the best of 2 goes on")


def test_without_stop_last_trials_the_last_survivors_run_for_ever():
    hand = Hand(small(stop_last_trials=False), trials=1, wanted=1)
    hand.launch(0)
    hand.report(0, 1, 0.5)

    assert hand.report(0, 3, 0.5) == CONTINUE
    assert hand.scheduler.lease(hand.experiment.trials[0], hand.experiment) == FOREVER


def test_a_result_without_the_time_attribute_is_let_through():
    hand = Hand(small(time_attr="steps"), trials=3)
    hand.launch(0)

    assert hand.report(0, 5, 0.5) == CONTINUE
    assert hand.report(0, 6, 0.5, steps=math.nan) == CONTINUE
    assert isinstance(hand.report(0, 7, 0.5, steps=1), Pause)


def test_a_trial_that_has_lost_has_no_lease_and_a_waiting_one_neither():
    hand = Hand(small(), trials=3)
    hand.launch(0, 1, 2)
    hand.report(0, 1, 0.5)

    assert hand.scheduler.lease(hand.experiment.trials[0], hand.experiment) == ONE_RESULT


def test_with_nobody_in_any_bracket_there_is_nobody_to_unblock():
    hand = Hand(small())

    assert hand.scheduler.unblock(hand.experiment) == WAIT


def test_a_metric_of_its_own_wins_over_the_experiments():
    hand = Hand(small(metric="latency", mode="min"), trials=3)
    hand.launch(0, 1, 2)
    hand.report(0, 1, 0.9, latency=3)
    hand.report(1, 1, 0.9, latency=2)

    assert isinstance(hand.report(2, 1, 0.1, latency=1), type(CONTINUE))


def test_no_objective_anywhere_says_where_to_give_one():
    hand = Hand(small(), trials=3)
    hand.experiment.objective = None
    hand.launch(0)

    with pytest.raises(ConfigError, match="HyperBandScheduler has nothing to rank trials by"):
        hand.report(0, 1, 0.5)


def test_what_it_describes_are_the_brackets_under_way_and_who_is_where():
    hand = Hand(small(), trials=4)
    hand.launch(0, 1, 2)
    hand.report(0, 1, 0.5)

    assert hand.scheduler.describe() == (
        "bracket 0 (3 of 3 trials, 1 -> 3): 2 of 3 are on their way to 1\n"
        "bracket 1 (1 of 2 trials, 3): 1 of 1 are on their way to 3"
    )
    run = driven(HyperBandScheduler(max_t=3), trials=5).run()
    assert run.core.scheduler.describe() == "no bracket is under way"


def test_what_is_over_is_forgotten():
    run = driven(HyperBandScheduler(max_t=9), trials=200, workers=3, faults=FAULTS[1])
    run.run()
    scheduler = run.core.scheduler

    assert len(scheduler._brackets) == 1
    for memory in (scheduler._bracket_of, scheduler._verdicts, scheduler._undecided, scheduler._with_ready):
        assert not memory


@pytest.mark.parametrize("name", ["hyperband", "hb_bohb", "bohb"])
def test_it_goes_by_its_names(name):
    assert type(scheduler_named(name)) is HyperBandScheduler is HyperBandForBOHB


def test_early_tunes_reward_attr_is_a_metric_to_maximise():
    scheduler = HyperBandScheduler(time_attr="timesteps_total", reward_attr="mean_accuracy", max_t=100)

    assert (scheduler.objective.metric, scheduler.objective.mode) == ("mean_accuracy", "max")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_t": 0}, "max_t=0 is too small: it must be at least 1."),
        ({"max_t": math.inf}, "max_t=inf is not a finite number."),
        ({"reduction_factor": 1}, "reduction_factor=1 is too small: it must be at least 1.1."),
        ({"metric": "a"}, "metric='a' without a mode. Add mode='min' or mode='max'."),
        ({"time_attr": ""}, "time_attr='': give a field's name"),
    ],
)
def test_a_wrong_argument_is_refused_at_the_door(arguments, message):
    with pytest.raises(ConfigError) as caught:
        HyperBandScheduler(**arguments)

    assert message in str(caught.value)

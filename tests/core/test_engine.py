"""One rule of the core per test."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.core.commands import Discard, Halt, Kill, Proceed, Progress, Start, Suggest
from tunesmith.core.engine import ALIKE_FAILURES, LOST_WITHOUT_PROGRESS, Core, Limits, Step, fold
from tunesmith.core.events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Event,
    ExperimentCreated,
    ExperimentFinished,
    Failure,
    Node,
    NodesChanged,
    Reported,
    SessionOpened,
    SpaceExhausted,
    StopRequested,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import NEW, Pause, Resume, Scheduler, Stop, Stopper, Wait
from tunesmith.core.trial import Status
from tunesmith.errors import TuneError
from tunesmith.testing.searcher import KeyedSearcher, config_of

from .policies import Lazy, PassiveStopper, Told

BUG = Failure("exception", "ValueError: lr", "train.py:3 in train")
LOST = Failure("lost", "its process went away")


class Bench:
    """A core on the bench: events by hand, answers by hand."""

    def __init__(
        self,
        *,
        trials: int = 1,
        workers: float = 8,
        scheduler: Scheduler | None = None,
        stopper: Stopper | None = None,
        past: list[Event] | None = None,
        request_of: dict[str, float] | None = None,
        wanted: int | None = None,
        session: dict[str, Any] | None = None,
        at: float = 0.0,
        **limits: Any,
    ) -> None:
        scheduler, stopper = scheduler or Told(), stopper or PassiveStopper()
        self.searcher = KeyedSearcher()
        self.experiment = fold(past or [], Experiment(), (scheduler, stopper))
        self.core = Core(
            self.experiment, searcher=self.searcher, scheduler=scheduler, stopper=stopper, limits=Limits(**limits)
        )
        self.events: list[Event] = list(past or [])
        self.request_of = request_of
        fields: dict[str, Any] = {"metric": "loss", "mode": "min", "trials_wanted": trials, **(session or {})}
        self.step = self.handle(
            *([] if past else [ExperimentCreated(at=at, name="bench", seed=0, created=0.0)]),
            SessionOpened(
                at=at,
                session=self.experiment.session + 1,
                started=0.0,
                nodes=fields.pop("nodes", (Node("a", {"cpu": workers}),)),
                **fields,
            ),
        )

    def handle(self, *events: Event) -> Step:
        """Let the core decide, and the searcher answer."""
        return self._after(self.core.handle(*events))

    def tick(self, now: float) -> Step:
        return self._after(self.core.tick(now))

    def _after(self, step: Step) -> Step:
        together = Step(list(step.events), [])
        while True:
            self.events += step.events
            asked = [command for command in step.commands if isinstance(command, Suggest)]
            together.commands.extend(command for command in step.commands if not isinstance(command, Suggest))
            if not asked:
                return together
            configs = tuple(self.searcher.suggest(asked[0].count, self.experiment))
            requests = None if self.request_of is None else (self.request_of,) * len(configs)
            step = self.core.handle(Suggested(at=self.experiment.at, configs=configs, requests=requests))
            together.events.extend(step.events)

    def report(
        self, trial: int = 0, number: int = 1, *, at: float = 1.0, loss: Any = 0.5, done: bool = False, **fields: Any
    ) -> Step:
        fields.setdefault("attempt", self.experiment.trials[trial].attempt)
        fields.setdefault("waits", True)
        metrics = {"loss": loss, "done": True} if done else {"loss": loss}
        return self.handle(Reported(at=at, trial=trial, number=number, metrics=metrics, **fields))

    def end(self, trial: int = 0, outcome: str = "done", failure: Failure | None = None, **fields: Any) -> Step:
        fields.setdefault("attempt", self.experiment.trials[trial].attempt)
        fields.setdefault("at", 2.0)
        return self.handle(AttemptEnded(trial=trial, outcome=outcome, failure=failure, **fields))

    def status(self, trial: int = 0) -> Status:
        return self.experiment.trials[trial].status


def kinds(step: Step) -> list[type[Event]]:
    return [type(event) for event in step.events]


NOTHING = Step([], [])


def test_a_session_opens_with_as_many_starts_as_fit():
    bench = Bench(trials=5, workers=2)

    assert [(command.trial, command.attempt) for command in bench.step.commands] == [(0, 1), (1, 1)]
    assert [command.config for command in bench.step.commands] == [config_of(0, 0), config_of(0, 1)]
    assert bench.experiment.next_number == 2


def test_the_searcher_is_asked_for_no_more_than_wanted():
    assert Bench(trials=3, workers=8).experiment.next_number == 3


def test_max_concurrent_bounds_the_live_attempts():
    bench = Bench(trials=9, workers=8, max_concurrent=3)

    assert len(bench.experiment.live) == 3
    bench.end(1)
    assert sorted(bench.experiment.live) == [0, 2, 3]


def test_a_report_that_waits_may_proceed():
    bench = Bench(scheduler=Told(lease=7.0))

    assert bench.report().commands == [Proceed(0, 1, 7.0)]


def test_a_report_that_does_not_wait_gets_no_verdict():
    bench = Bench(scheduler=Told(lambda result: Stop("never asked")))

    assert bench.report(waits=False).commands == []


def test_a_stopper_that_sees_every_result_gets_leases_of_one_result():
    class Seeing(Stopper):
        every_result = True

    bench = Bench(scheduler=Told(lease=100.0), stopper=Seeing())

    assert bench.step.commands[0].until == float("-inf")


def test_a_scheduler_stops_a_trial():
    bench = Bench(scheduler=Told(lambda result: Stop("too bad")))

    step = bench.report()

    assert kinds(step) == [Reported, TrialStopped]
    assert step.commands == [Halt(0, 1, False)]
    assert kinds(bench.end(outcome="halted")) == [AttemptEnded, ExperimentFinished]
    assert (bench.status(), bench.experiment.trials[0].reason) == (Status.STOPPED, "too bad")


def test_a_scheduler_pauses_and_resumes_a_trial_from_its_checkpoint():
    def choose(experiment):
        return Resume(0) if experiment.paused else NEW

    bench = Bench(scheduler=Told(lambda result: Pause(), choose))

    assert bench.report(number=3, checkpoint="c3", elapsed=4.5).commands == [Halt(0, 1, True)]
    assert bench.status() is Status.PAUSED
    step = bench.end(outcome="halted")

    (start,) = step.commands
    assert (start.attempt, start.checkpoint, start.progress) == (2, "c3", Progress(3, 4.5))


def test_a_paused_trial_is_not_launched_while_its_attempt_lives():
    bench = Bench(scheduler=Told(lambda result: Pause(), lambda experiment: Resume(0) if experiment.paused else NEW))

    assert [command for command in bench.report().commands if isinstance(command, Start)] == []


def test_a_decision_that_is_none_of_the_three_is_an_error_with_the_schedulers_name():
    with pytest.raises(TuneError, match=r"Told\.decide returned 'STOP'. Return Continue\(\), Pause"):
        Bench(scheduler=Told(lambda result: "STOP")).report()


def test_a_choice_that_is_none_of_the_three_is_an_error_and_no_endless_loop():
    with pytest.raises(TuneError, match=r"Told\.choose returned None. Return New\(\), Resume"):
        Bench(scheduler=Told(choose=lambda experiment: None))


def test_a_late_report_of_a_stopped_trial_is_dropped():
    bench = Bench(scheduler=Told(lambda result: Stop("too bad")))
    bench.report()

    assert bench.report(number=2) == NOTHING


def test_a_doubled_report_gets_no_second_verdict():
    bench = Bench()
    bench.report(number=1)

    assert bench.report(number=1) == NOTHING


def test_a_report_of_an_older_attempt_is_dropped():
    bench = Bench(max_failures=1)
    bench.end(outcome="failed", failure=BUG)

    assert bench.experiment.trials[0].attempt == 2
    assert bench.report(attempt=1, number=9) == NOTHING


def test_a_doubled_end_is_dropped():
    bench = Bench(trials=2)
    bench.end(0)

    assert bench.end(0) == NOTHING


def test_the_end_of_an_older_attempt_does_not_end_the_new_one():
    bench = Bench(max_failures=1)
    bench.end(outcome="failed", failure=BUG)

    assert bench.end(attempt=1) == NOTHING
    assert bench.status() is Status.RUNNING


def test_a_start_is_told_once_and_only_by_the_live_attempt():
    bench = Bench(max_failures=1)
    bench.handle(AttemptStarted(at=0.1, trial=0, attempt=1, pid=7, host="a"))
    bench.end(outcome="failed", failure=BUG)

    assert bench.handle(AttemptStarted(at=0.2, trial=0, attempt=1, pid=7, host="a")) == NOTHING


def test_the_last_end_finishes_the_experiment():
    bench = Bench()

    step = bench.end()

    assert kinds(step) == [AttemptEnded, TrialCompleted, ExperimentFinished]
    assert step.events[-1].reason == "completed"


def test_a_failure_is_retried_from_the_last_checkpoint_up_to_max_failures():
    bench = Bench(max_failures=2)
    bench.report(number=4, checkpoint="c4")

    first = bench.end(outcome="failed", failure=BUG)
    second = bench.end(outcome="failed", failure=BUG)
    third = bench.end(outcome="failed", failure=BUG)

    assert kinds(first) == kinds(second) == [AttemptEnded, TrialRequeued, TrialLaunched]
    assert second.commands[0].checkpoint == "c4"
    assert kinds(third) == [AttemptEnded, TrialFailed, ExperimentFinished]
    assert bench.experiment.trials[0].failures == 3


def test_a_lost_attempt_goes_on_without_counting_as_a_failure():
    bench = Bench()

    step = bench.end(outcome="lost", failure=LOST)

    assert kinds(step) == [AttemptEnded, TrialRequeued, TrialLaunched]
    assert bench.experiment.trials[0].failures == 0


def test_a_trial_that_is_lost_again_and_again_without_a_result_fails():
    bench = Bench()
    for _ in range(LOST_WITHOUT_PROGRESS):
        bench.end(outcome="lost", failure=LOST)
        assert bench.status() is Status.RUNNING

    assert TrialFailed in kinds(bench.end(outcome="lost", failure=LOST))


def test_a_result_in_between_makes_losses_forgotten():
    bench = Bench()
    for number in range(1, 3 * LOST_WITHOUT_PROGRESS):
        bench.report(number=number, checkpoint=f"c{number}")
        bench.end(outcome="lost", failure=LOST)

    assert bench.status() is Status.RUNNING


def test_a_damaged_checkpoint_makes_the_trial_fall_back_by_one():
    bench = Bench()
    bench.report(number=1, checkpoint="c1", loss=0.1)
    bench.report(number=2, checkpoint="c2", loss=0.2)
    bench.end(outcome="lost", failure=LOST)

    step = bench.end(outcome="failed", failure=Failure("checkpoint", "c2 cannot be read"))

    assert kinds(step) == [AttemptEnded, CheckpointDropped, TrialRequeued, TrialLaunched]
    (start,) = step.commands
    assert (start.checkpoint, start.progress.number) == ("c1", 1)
    step = bench.end(outcome="failed", failure=Failure("checkpoint", "c1 cannot be read"))
    assert (step.commands[0].checkpoint, step.commands[0].progress) == (None, Progress())
    assert bench.experiment.trials[0].failures == 0


def test_only_the_last_and_the_best_checkpoint_are_kept():
    bench = Bench()
    bench.report(number=1, checkpoint="c1", loss=0.5)
    bench.report(number=2, checkpoint="c2", loss=0.1)

    third = bench.report(number=3, checkpoint="c3", loss=0.3)
    fourth = bench.report(number=4, checkpoint="c4", loss=0.2)

    assert [command for command in third.commands if isinstance(command, Discard)] == []
    assert [command for command in fourth.commands if isinstance(command, Discard)] == [Discard("c3")]
    trial = bench.experiment.trials[0]
    assert (list(trial.checkpoints), trial.checkpoint, trial.best_checkpoint) == (["c2", "c4"], "c4", "c2")


def test_a_nan_objective_only_ranks_worst_unless_it_is_to_fail():
    assert kinds(Bench().report(loss=float("nan"))) == [Reported]

    bench = Bench(nan_fails=True)
    step = bench.report(loss=float("nan"))

    assert kinds(step) == [Reported, TrialFailed]
    assert step.commands == [Halt(0, 1, False)]
    assert bench.experiment.trials[0].failure.kind == "nan"


def test_fail_fast_ends_the_session_at_the_first_failed_trial():
    bench = Bench(trials=3, fail_fast=True)

    step = bench.end(0, outcome="failed", failure=BUG)

    assert kinds(step) == [AttemptEnded, TrialFailed, TrialPaused, TrialPaused]
    assert step.commands == [Halt(1, 1, True), Halt(2, 1, True)]
    bench.end(1, outcome="halted")
    finished = bench.end(2, outcome="halted").events[-1]
    assert (finished.reason, "ValueError: lr train.py:3 in train" in finished.message) == ("failed", True)


def test_the_first_trials_failing_alike_end_the_session():
    bench = Bench(trials=50, workers=1)

    for number in range(ALIKE_FAILURES):
        bench.end(number, outcome="failed", failure=BUG)

    assert bench.experiment.next_number == ALIKE_FAILURES
    assert (
        bench.experiment.finished.message
        == "the first 5 trials all failed alike: ValueError: lr at train.py:3 in train"
    )


@pytest.mark.parametrize("different", ["failure", "result"])
def test_failures_that_differ_or_a_result_keep_the_session_going(different):
    bench = Bench(trials=50, workers=1)
    if different == "result":
        bench.report(0)

    for number in range(3 * ALIKE_FAILURES):
        other = Failure("exception", "OSError: x") if different == "failure" and number == 2 else BUG
        bench.end(number, outcome="failed", failure=other)

    assert bench.experiment.finished is None


def test_without_fail_fast_every_trial_may_fail():
    bench = Bench(trials=20, workers=1, fail_fast=False)
    for number in range(20):
        bench.end(number, outcome="failed", failure=BUG)

    assert bench.experiment.counts[Status.FAILED] == 20
    assert bench.experiment.finished.reason == "completed"


def test_a_time_budget_pauses_what_runs_and_ends_the_session():
    bench = Bench(trials=4, workers=2, time_budget=60.0)

    assert bench.core.next_deadline() == 60.0
    step = bench.tick(60.0)

    assert kinds(step) == [TrialPaused, TrialPaused]
    assert all(event.interrupted for event in step.events)
    bench.end(0, outcome="halted", at=61.0)
    finished = bench.end(1, outcome="halted", at=61.0).events[-1]
    assert (finished.reason, finished.message) == ("time_budget", "the time budget of 60 s is used up")


def test_a_session_whose_time_budget_is_used_up_starts_nothing():
    past = Bench(time_budget=60.0)
    past.tick(60.0)
    past.end(outcome="halted", at=61.0)

    again = Bench(past=past.events, at=61.0, time_budget=60.0)

    assert again.step.commands == []
    assert again.experiment.finished.reason == "time_budget"
    assert again.status() is Status.PENDING


def test_a_trial_that_runs_for_too_long_is_killed_and_fails_for_good():
    bench = Bench(trial_time=10.0, max_failures=3, kill_grace=2.0)
    bench.report(number=1, at=9.0)

    step = bench.tick(10.0)

    assert step == Step([], [Kill(0, 1, 2.0)])
    step = bench.end(outcome="killed", at=10.1)
    assert kinds(step) == [AttemptEnded, TrialFailed, ExperimentFinished]
    assert bench.experiment.trials[0].failure == Failure(
        "time_limit", "it ran for longer than the 10 s a trial may take"
    )


def test_the_time_of_earlier_attempts_counts_from_the_checkpoint_on():
    bench = Bench(trial_time=10.0)
    bench.report(number=1, checkpoint="c1", elapsed=7.0)
    bench.end(outcome="lost", failure=LOST, at=100.0)

    assert bench.core.next_deadline() == pytest.approx(103.0)


def test_a_trial_that_ends_before_its_kill_reaches_it_has_completed_without_a_failure():
    bench = Bench(trial_time=10.0)
    bench.tick(10.0)

    step = bench.end(outcome="done", at=10.0)

    assert kinds(step) == [AttemptEnded, TrialCompleted, ExperimentFinished]
    assert bench.experiment.trials[0].failure is None


def test_a_result_that_says_done_completes_its_trial_in_the_same_step():
    bench = Bench(trials=1)

    step = bench.report(number=3, checkpoint="c3", waits=False, done=True)

    assert kinds(step) == [Reported, TrialCompleted]
    assert bench.status() is Status.COMPLETED
    assert kinds(bench.end(outcome="done")) == [AttemptEnded, ExperimentFinished]


def test_a_trial_that_is_done_and_does_not_end_is_killed_like_one_that_hangs():
    bench = Bench(trials=1, report_timeout=10.0)
    bench.report(number=3, waits=False, done=True, at=1.0)

    assert bench.tick(10.0) == NOTHING
    assert bench.tick(11.0).commands == [Kill(0, 1, 1.0)]
    assert kinds(bench.end(outcome="killed", at=11.5)) == [AttemptEnded, ExperimentFinished]
    assert bench.status() is Status.COMPLETED


def test_only_silence_makes_an_attempt_hung():
    bench = Bench(report_timeout=10.0)
    for second in range(1, 30):
        bench.report(number=second, at=float(second))
        assert bench.tick(float(second)) == NOTHING

    assert bench.tick(38.9) == NOTHING
    assert bench.core.next_deadline() == 39.0
    assert bench.tick(39.0).commands == [Kill(0, 1, 1.0)]


def test_a_hung_attempt_is_retried_like_any_failure():
    bench = Bench(report_timeout=10.0, max_failures=1)
    bench.tick(10.0)

    step = bench.end(outcome="killed", at=11.0)

    assert kinds(step) == [AttemptEnded, TrialRequeued, TrialLaunched]
    assert step.events[1].failure == Failure("hung", "it has not reported for 10 s")


def test_an_attempt_that_does_not_obey_is_killed_after_the_grace():
    bench = Bench(scheduler=Told(lambda result: Stop("bad")), grace=5.0)
    bench.report(at=1.0)

    assert bench.core.next_deadline() == 6.0
    assert bench.tick(5.9) == NOTHING
    assert bench.tick(6.0).commands == [Kill(0, 1, 1.0)]
    assert bench.core.next_deadline() is None


def test_an_attempt_that_obeys_in_time_is_not_killed():
    bench = Bench(scheduler=Told(lambda result: Stop("bad")), trials=2, grace=5.0)
    bench.report(0)
    bench.end(0, outcome="halted")

    assert bench.core.next_deadline() is None


def test_a_person_stops_one_trial():
    bench = Bench(trials=2)

    step = bench.handle(StopRequested(at=1.0, reason="enough", trial=1))

    assert kinds(step) == [StopRequested, TrialStopped]
    assert step.commands == [Halt(1, 1, False)]
    assert bench.status(0) is Status.RUNNING


def test_a_stop_now_kills_even_what_has_been_stopped_before():
    bench = Bench()
    bench.handle(StopRequested(at=1.0, reason="enough", trial=0))

    assert bench.handle(StopRequested(at=1.5, reason="now", trial=0, now=True)).commands == [Kill(0, 1, 1.0)]


def test_a_stop_request_for_a_trial_that_does_not_exist_is_only_recorded():
    assert kinds(Bench().handle(StopRequested(at=1.0, reason="who?", trial=99))) == [StopRequested]


def test_an_interrupt_lets_trials_end_cleanly_and_a_second_one_kills():
    bench = Bench(trials=5, workers=2)

    first = bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))
    second = bench.handle(StopRequested(at=1.1, reason="Ctrl-C", now=True))

    assert first.commands == [Halt(0, 1, True), Halt(1, 1, True)]
    assert second.commands == [Kill(0, 1, 0.0), Kill(1, 1, 0.0)]
    bench.end(0, outcome="killed")
    assert bench.end(1, outcome="killed").events[-1].reason == "interrupted"


def test_results_that_were_on_their_way_when_a_trial_was_asked_to_pause_count():
    bench = Bench()
    bench.report(number=1, waits=False, checkpoint="c1")
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))

    late = bench.report(number=2, waits=False, elapsed=8.0)
    bench.end(outcome="halted", checkpoint="c2")

    assert kinds(late) == [Reported]
    again = Bench(past=bench.events)
    (start,) = again.step.commands
    # The checkpoint saved at the end belongs to the last result, not to the last one before the request.
    assert (start.checkpoint, start.progress) == ("c2", Progress(2, 8.0))


def test_a_trial_that_is_asked_to_pause_is_still_judged_where_it_waits():
    bench = Bench(scheduler=Told(lambda result: Stop("too bad")))
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))

    assert kinds(bench.report(number=1)) == [Reported, TrialStopped]


def test_a_trial_that_is_asked_to_pause_gets_no_second_verdict():
    bench = Bench()
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))

    assert bench.report(number=1).commands == []


def test_a_trial_that_comes_to_its_own_end_while_it_is_asked_to_pause_is_completed():
    bench = Bench()
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))

    assert kinds(bench.end(outcome="done")) == [AttemptEnded, TrialCompleted, ExperimentFinished]
    assert bench.experiment.paused == {}
    again = Bench(past=bench.events)
    assert again.step.commands == []


def test_an_interrupted_trial_goes_on_in_the_next_session():
    bench = Bench(trials=2, workers=1)
    bench.report(0, number=2, checkpoint="c2")
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))
    bench.end(0, outcome="halted")

    again = Bench(trials=2, workers=1, past=bench.events)

    assert kinds(again.step) == [SessionOpened, TrialRequeued, TrialLaunched]
    assert again.step.commands[0].checkpoint == "c2"


def test_what_ran_when_the_controller_died_is_lost_and_goes_on():
    dead = Bench(trials=2)
    dead.report(1, number=5, checkpoint="c5")

    again = Bench(trials=2, past=dead.events)

    assert kinds(again.step) == [
        SessionOpened, AttemptEnded, TrialRequeued, AttemptEnded, TrialRequeued, TrialLaunched, TrialLaunched,
    ]  # fmt: skip
    assert [(start.trial, start.attempt, start.checkpoint) for start in again.step.commands] == [
        (0, 2, None),
        (1, 2, "c5"),
    ]
    assert [trial.failures for trial in again.experiment.trials] == [0, 0]


@pytest.mark.parametrize(("retry", "status"), [(True, Status.RUNNING), (False, Status.FAILED)])
def test_failed_trials_are_tried_again_only_on_request(retry, status):
    failed = Bench()
    failed.end(outcome="failed", failure=BUG)

    assert Bench(past=failed.events, session={"retry_failed": retry}).status() is status


def test_a_finished_experiment_can_be_extended():
    short = Bench(trials=1)
    short.end()

    longer = Bench(trials=3, past=short.events)

    assert [start.trial for start in longer.step.commands] == [1, 2]


def test_a_request_that_fits_nowhere_fails_its_trial_with_what_each_node_lacks():
    bench = Bench(trials=1, request_of={"cpu": 99})

    assert kinds(bench.step)[-3:] == [Suggested, TrialFailed, ExperimentFinished]
    assert "cpu=99, which no node can ever give: a lacks cpu 99 of 8" in bench.experiment.trials[0].failure.message


def test_a_pending_trial_that_fits_on_none_of_the_new_machines_does_not_keep_others_waiting():
    big = Bench(trials=2, workers=8, request_of={"cpu": 8})
    assert [big.status(0)] == [Status.RUNNING]

    small = Bench(trials=3, workers=4, past=big.events)

    assert (small.status(0), small.status(1)) == (Status.FAILED, Status.FAILED)
    assert [start.trial for start in small.step.commands] == [2]


def test_what_waits_for_room_is_what_could_start_if_there_were_more_nodes():
    full = Bench(trials=5, workers=2)
    bounded = Bench(trials=5, workers=2, max_concurrent=3)
    asking = Core(Experiment(), searcher=Lazy(), scheduler=Told(), stopper=PassiveStopper(), limits=Limits())
    asking.handle(SessionOpened(at=0.0, session=1, started=0.0, trials_wanted=9, nodes=(Node("a", {"cpu": 4}),)))
    refused = Bench(trials=5, workers=2, scheduler=Told(choose=lambda experiment: Wait()))

    assert full.core.waiting(100) == [{"cpu": 1}] * 3
    assert full.core.waiting(2) == [{"cpu": 1}] * 2
    assert bounded.core.waiting(100) == [{"cpu": 1}]
    assert asking.waiting(100) == [{"cpu": 1}] * 5  # four have room, and come one after another
    assert refused.core.waiting(100) == []


def test_a_trial_that_only_nodes_to_come_could_run_waits_for_room():
    to_come = Node("b", {"cpu": 8}, expected=True)

    bench = Bench(trials=1, request_of={"cpu": 8}, session={"nodes": (Node("a", {"cpu": 1}), to_come)})

    assert bench.experiment.finished is None
    assert bench.core.waiting(100) == [{"cpu": 8}]
    bench.handle(NodesChanged(at=1.0, nodes=(Node("a", {"cpu": 1}), Node("b", {"cpu": 8}))))
    assert bench.status() is Status.RUNNING
    assert bench.core.waiting(100) == []


def test_a_searcher_with_nothing_to_offer_while_nothing_runs_is_stuck():
    bench = Bench(trials=0)
    core = Core(Experiment(), searcher=Lazy(), scheduler=Told(), stopper=PassiveStopper(), limits=Limits())
    core.handle(SessionOpened(at=0.0, session=1, started=0.0, trials_wanted=5, nodes=(Node("a", {"cpu": 1}),)))

    step = core.handle(Suggested(at=0.0, configs=()))

    assert bench.experiment.finished.reason == "completed"
    assert kinds(step) == [ExperimentFinished]
    assert (step.events[0].reason, step.events[0].message) == (
        "stuck",
        "nothing runs, and the searcher has no config to offer for now, and no result is to come",
    )


def test_a_searcher_with_nothing_to_offer_is_asked_again_after_news():
    core = Core(Experiment(), searcher=Lazy(), scheduler=Told(), stopper=PassiveStopper(), limits=Limits())
    opened = core.handle(SessionOpened(at=0.0, session=1, started=0.0, trials_wanted=5, nodes=(Node("a", {"cpu": 2}),)))
    assert opened.commands == [Suggest(2)]
    core.handle(Suggested(at=0.0, configs=({"x": 1},)))
    assert core.handle(Suggested(at=0.0, configs=())).commands == [Suggest(1)]
    assert core.handle(Suggested(at=0.0, configs=())).commands == []

    step = core.handle(Reported(at=1.0, trial=0, attempt=1, number=1, metrics={}))

    assert step.commands == [Suggest(1)]


def test_an_exhausted_searcher_is_not_asked_again():
    core = Core(Experiment(), searcher=Lazy(), scheduler=Told(), stopper=PassiveStopper(), limits=Limits())
    core.handle(SessionOpened(at=0.0, session=1, started=0.0, nodes=(Node("a", {"cpu": 2}),)))

    step = core.handle(SpaceExhausted(at=0.0))

    assert kinds(step) == [SpaceExhausted, ExperimentFinished]
    assert step.events[-1].reason == "completed"


def test_a_scheduler_that_waits_for_ever_is_stuck_and_named():
    bench = Bench(trials=2, scheduler=Told(choose=lambda experiment: Wait()))

    assert bench.experiment.finished.message == "nothing runs, and the scheduler lets no trial start"


def test_nodes_that_all_went_away_end_the_session_with_what_is_missing():
    bench = Bench(trials=2, workers=1)
    bench.handle(NodesChanged(at=1.0, nodes=()))

    bench.end(0, outcome="lost", failure=LOST)

    assert bench.experiment.finished.reason == "stuck"
    assert "trial 0 (which asks for cpu=1) cannot start on any node" in bench.experiment.finished.message


def test_a_node_that_joins_is_used_at_once():
    bench = Bench(trials=3, workers=1)

    step = bench.handle(NodesChanged(at=1.0, nodes=(Node("a", {"cpu": 1}), Node("b", {"cpu": 1}))))

    assert [(start.trial, start.placement.node) for start in step.commands] == [(1, "b")]


def test_a_stopper_ends_the_whole_experiment():
    class Enough(PassiveStopper):
        def stop_experiment(self, experiment):
            return "enough results" if experiment.results >= 2 else None

    bench = Bench(trials=5, workers=2, stopper=Enough())
    bench.report(0)
    step = bench.report(1)

    assert kinds(step) == [Reported, TrialStopped, TrialStopped]
    assert step.commands[-2:] == [Halt(0, 1, False), Halt(1, 1, False)]
    bench.end(0, outcome="halted")
    assert bench.end(1, outcome="halted").events[-1].reason == "stopped"


def test_nothing_is_launched_while_the_session_closes():
    bench = Bench(trials=5, workers=2)
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))

    assert bench.end(0, outcome="halted").commands == []


def test_a_trial_lost_while_the_session_closes_goes_on_in_the_next_one():
    bench = Bench()
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))
    bench.end(outcome="lost", failure=LOST)

    assert bench.experiment.finished.reason == "interrupted"
    assert Bench(past=bench.events).status() is Status.RUNNING


def test_policies_that_observe_nothing_are_not_called():
    core = Core(Experiment(), searcher=Lazy(), scheduler=Told(), stopper=PassiveStopper(), limits=Limits())

    assert core._policies == ()

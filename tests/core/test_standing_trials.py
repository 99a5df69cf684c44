"""Trials that stand still and go on as something else: clones, other resources, held processes, shared checkpoints."""

from __future__ import annotations

from typing import Any

import pytest

from tunesmith.core.commands import Discard, Halt, Kill, Proceed, Progress, Start
from tunesmith.core.engine import fold
from tunesmith.core.events import (
    AttemptEnded,
    CheckpointDropped,
    ExperimentFinished,
    Failure,
    Node,
    Reported,
    SessionOpened,
    StopRequested,
    TrialCompleted,
    TrialContinued,
    TrialExploited,
    TrialLaunched,
    TrialPaused,
    TrialReallocated,
    TrialRequeued,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import (
    CONTINUE,
    NEW,
    WAIT,
    Complete,
    Decided,
    Exploit,
    Pause,
    Reallocate,
    Resume,
    Scheduler,
    Stop,
)
from tunesmith.core.trial import Status
from tunesmith.errors import ResourceError, TuneError
from tunesmith.store.codec import decode, encode
from tunesmith.testing.state import state_of

from .policies import Told
from .test_engine import BUG, LOST, Bench, kinds


class Puppet(Scheduler):
    """Gives the answers that a test has put into it; each `choose` and `unblock` answer once."""

    def __init__(self) -> None:
        self.verdicts: dict[int, object] = {}
        self.choices: list[object] = []
        self.standstill: list[object] = []
        self.otherwise: object = NEW

    def decide(self, result, experiment):
        return self.verdicts.pop(result.trial, CONTINUE)

    def choose(self, experiment):
        return self.choices.pop(0) if self.choices else self.otherwise

    def unblock(self, experiment):
        return self.standstill.pop(0) if self.standstill else WAIT


def bench_of(**options: Any) -> tuple[Bench, Puppet]:
    """Return a bench and the scheduler that decides there."""
    puppet = options.setdefault("scheduler", Puppet())
    return Bench(**{"trials": 2, "workers": 2, **options}), puppet


def told(bench: Bench, puppet: Puppet, trial: int, verdict: object, **fields: Any):
    """Let a trial report, and the scheduler answer so."""
    puppet.verdicts[trial] = verdict
    return bench.report(trial, **{"number": 1, **fields})


def exploit(source: int, **config: Any) -> Exploit:
    return Exploit(source, config or {"x": "clone"}, "it is better")


def starts(step) -> list[Start]:
    return [command for command in step.commands if isinstance(command, Start)]


def discarded(step) -> list[str]:
    return [command.checkpoint for command in step.commands if isinstance(command, Discard)]


def a_clone_of_0(bench: Bench, puppet: Puppet) -> None:
    """Trial 0 has the checkpoint d3; trial 1 has been made a clone of it at its own result 5, and stands still."""
    bench.report(0, 3, checkpoint="d3", elapsed=30.0)
    bench.report(1, 4, checkpoint="own4")
    puppet.otherwise = WAIT
    told(bench, puppet, 1, exploit(0), number=5)
    bench.end(1, outcome="halted")


# A trial becomes a clone.


def test_a_running_trial_becomes_a_clone_of_the_sources_newest_checkpoint_with_the_new_config():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3", elapsed=30.0)

    step = told(bench, puppet, 1, exploit(0, x="new"), number=7)

    (exploited,) = [event for event in step.events if isinstance(event, TrialExploited)]
    assert (exploited.source, exploited.checkpoint, exploited.number, exploited.elapsed) == (0, "d3", 3, 30.0)
    assert step.commands == [Halt(1, 1, False)]
    assert (bench.status(1), bench.experiment.trials[1].config) == (Status.PAUSED, {"x": "new"})
    puppet.choices = [Resume(1, "as a clone")]
    (start,) = starts(bench.end(1, outcome="halted"))
    assert (start.attempt, start.checkpoint, start.progress, start.config) == (2, "d3", Progress(3, 30.0), {"x": "new"})


def test_a_clone_is_not_launched_while_its_old_attempt_lives():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3")
    puppet.choices = [Resume(1)]

    assert starts(told(bench, puppet, 1, exploit(0))) == []
    assert not bench.experiment.is_resumable(bench.experiment.trials[1])


def test_a_paused_trial_becomes_a_clone_where_it_stands():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3")
    puppet.otherwise = WAIT
    told(bench, puppet, 1, Pause())
    puppet.choices = [Decided(1, exploit(0)), Resume(1)]

    step = bench.end(1, outcome="halted")

    assert kinds(step) == [AttemptEnded, TrialExploited, TrialLaunched]
    assert (starts(step)[0].checkpoint, starts(step)[0].config) == ("d3", {"x": "clone"})


def test_a_pending_trial_that_becomes_a_clone_begins_where_its_source_stands():
    bench, puppet = bench_of(trials=1, workers=1, past=Bench(trials=2, workers=2).events)
    puppet.choices = [Decided(1, exploit(0)), WAIT]
    bench.report(0, 3, checkpoint="d3", waits=False)
    assert bench.status(1) is Status.PENDING

    (start,) = starts(bench.end(0))

    assert (start.trial, start.config, start.checkpoint, start.progress.number) == (1, {"x": "clone"}, "d3", 3)


def test_a_held_trial_that_becomes_a_clone_loses_its_process_and_starts_anew():
    bench, puppet = bench_of(holds=True)
    bench.report(0, 3, checkpoint="d3")
    puppet.choices = [WAIT]
    told(bench, puppet, 1, Pause())
    puppet.otherwise = WAIT
    puppet.choices = [Decided(1, exploit(0))]

    step = bench.report(0, 4)

    assert step.commands[-1] == Halt(1, 1, False)
    assert not bench.experiment.is_resumable(bench.experiment.trials[1])
    puppet.choices = [Resume(1)]
    step = bench.end(1, outcome="halted")
    assert (starts(step)[0].attempt, starts(step)[0].checkpoint) == (2, "d3")


def test_a_trial_that_is_its_own_source_goes_on_from_its_own_checkpoint_with_another_config():
    bench, puppet = bench_of(trials=1)
    bench.report(0, 3, checkpoint="c3")
    told(bench, puppet, 0, exploit(0, x="explored"), number=4)
    puppet.choices = [Resume(0)]

    (start,) = starts(bench.end(0, outcome="halted"))

    assert (start.checkpoint, start.progress.number, start.config) == ("c3", 3, {"x": "explored"})
    assert bench.experiment.sharers == {}


def test_a_source_without_a_checkpoint_makes_the_clone_start_from_the_beginning():
    bench, puppet = bench_of()
    bench.report(1, 4, checkpoint="own4")
    told(bench, puppet, 1, exploit(0), number=5)
    puppet.choices = [Resume(1)]

    (start,) = starts(bench.end(1, outcome="halted"))

    assert (start.checkpoint, start.progress) == (None, Progress())


def test_a_clone_can_be_cloned_before_it_has_run():
    bench, puppet = bench_of(trials=3, workers=3)
    a_clone_of_0(bench, puppet)
    told(bench, puppet, 2, exploit(1))
    puppet.choices = [Resume(2)]

    (start,) = starts(bench.end(2, outcome="halted"))

    assert (start.checkpoint, start.progress) == ("d3", Progress(3, 30.0))
    assert bench.experiment.sharers == {"d3": 3}


def test_what_the_old_attempt_saves_while_it_ends_does_not_override_the_donors_checkpoint():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3")
    told(bench, puppet, 1, exploit(0), number=5)
    puppet.choices = [Resume(1)]

    (start,) = starts(bench.end(1, outcome="halted", checkpoint="own5"))

    assert (start.checkpoint, start.progress.number) == ("d3", 3)


def test_what_the_old_attempt_still_says_is_not_the_clones():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3")
    puppet.otherwise = WAIT
    told(bench, puppet, 1, exploit(0), number=5)

    assert bench.report(1, 6, checkpoint="own6", loss=-1.0).events == []
    assert bench.report(1, 4).events == []
    assert bench.experiment.trials[1].checkpoint == "d3"
    assert bench.experiment.best.best_loss == 0.5


def test_an_old_attempt_that_comes_to_its_own_end_does_not_complete_the_clone():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3")
    told(bench, puppet, 1, exploit(0), number=5)
    puppet.choices = [Resume(1)]

    (start,) = starts(bench.end(1, outcome="done"))

    assert start.checkpoint == "d3"


@pytest.mark.parametrize(("outcome", "failure"), [("failed", BUG), ("lost", LOST), ("killed", None)])
def test_an_old_attempt_that_ends_badly_does_not_hurt_the_clone(outcome, failure):
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3")
    told(bench, puppet, 1, exploit(0), number=5)
    puppet.choices = [Resume(1)]

    (start,) = starts(bench.end(1, outcome=outcome, failure=failure))

    assert (start.checkpoint, bench.experiment.trials[1].failures) == ("d3", 0)


def test_results_of_the_first_attempt_after_an_exploit_are_the_clones_own():
    bench, puppet = bench_of()
    a_clone_of_0(bench, puppet)
    puppet.choices = [Resume(1)]
    bench.report(0, 4)

    bench.report(1, 4, checkpoint="1/4", loss=0.1)

    trial = bench.experiment.trials[1]
    assert (trial.checkpoint, trial.number, trial.best_loss) == ("1/4", 4, 0.1)


def test_a_clone_of_a_damaged_checkpoint_falls_back_to_its_own_and_leaves_the_file_to_the_donor():
    bench, puppet = bench_of()
    a_clone_of_0(bench, puppet)
    puppet.choices = [Resume(1)]
    bench.report(0, 4)

    step = bench.end(1, outcome="failed", failure=Failure("checkpoint", "d3 cannot be read"))

    assert (discarded(step), bench.experiment.trials[0].checkpoint) == ([], "d3")
    assert bench.experiment.trials[1].checkpoint == "own4"


def test_a_clone_of_a_trial_that_does_not_exist_is_an_error_that_names_the_scheduler():
    bench, puppet = bench_of()

    with pytest.raises(TuneError, match="Puppet clones trial 99, which does not exist"):
        told(bench, puppet, 1, exploit(99))


def test_a_source_that_is_over_still_gives_its_checkpoint():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3")
    bench.end(0)
    told(bench, puppet, 1, exploit(0))
    puppet.choices = [Resume(1)]

    assert starts(bench.end(1, outcome="halted"))[0].checkpoint == "d3"


# Other resources.


def test_a_running_trial_gets_other_resources_after_it_has_saved():
    bench, puppet = bench_of(trials=1, workers=4)

    step = told(bench, puppet, 0, Reallocate({"cpu": 3}, "resources are free"))

    assert kinds(step) == [Reported, TrialReallocated]
    assert step.commands == [Halt(0, 1, True)]
    puppet.choices = [Resume(0)]
    (start,) = starts(bench.end(0, outcome="halted", checkpoint="end1"))
    assert (start.placement.resources, start.checkpoint, start.progress.number) == ({"cpu": 3}, "end1", 1)
    assert bench.experiment.pool.usage()["cpu"] == (3, 4)


def test_a_paused_trial_gets_other_resources_where_it_stands():
    bench, puppet = bench_of(trials=1, workers=4)
    told(bench, puppet, 0, Pause())
    puppet.choices = [Decided(0, Reallocate({"cpu": 2}, "more")), Resume(0)]

    step = bench.end(0, outcome="halted")

    assert kinds(step) == [AttemptEnded, TrialReallocated, TrialLaunched]
    assert starts(step)[0].placement.resources == {"cpu": 2}


def test_a_pending_trial_asks_for_other_resources_once():
    bench, _ = bench_of(trials=3, workers=2)
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))
    bench.end(0, outcome="halted")
    bench.end(1, outcome="halted")
    puppet = Puppet()
    puppet.choices = [Decided(0, Reallocate({"cpu": 2}, "more"))]

    again, _ = bench_of(trials=3, workers=2, past=bench.events, scheduler=puppet)

    assert [(start.trial, start.placement.resources) for start in starts(again.step)] == [(0, {"cpu": 2})]


def test_a_pending_trial_that_asks_for_more_than_is_free_leaves_the_others_their_turn():
    bench, _ = bench_of(trials=3, workers=3)
    bench.handle(StopRequested(at=1.0, reason="Ctrl-C"))
    for trial in range(3):
        bench.end(trial, outcome="halted")
    puppet = Puppet()
    puppet.choices = [NEW, Decided(1, Reallocate({"cpu": 2}, "more"))]

    again, _ = bench_of(trials=3, workers=2, past=bench.events, scheduler=puppet)

    assert [start.trial for start in starts(again.step)] == [0, 2]
    assert [trial.id for trial in again.experiment.pending()] == [1]


def test_a_request_that_no_node_can_fit_is_an_error_that_says_what_each_lacks():
    bench, puppet = bench_of()

    with pytest.raises(ResourceError, match="cpu=64, which no node can ever give: a lacks cpu 64 of 2"):
        told(bench, puppet, 0, Reallocate({"cpu": 64}, "more"))


def test_a_request_that_makes_no_sense_is_an_error():
    bench, puppet = bench_of()

    with pytest.raises(ResourceError, match="'cpu' is -1; it must be 0 or more"):
        told(bench, puppet, 0, Reallocate({"cpu": -1}, "less"))


# What a scheduler decides of trials that stand still.


@pytest.mark.parametrize(
    ("decision", "event", "status"),
    [(Stop("worse"), TrialStopped, Status.STOPPED), (Complete("enough"), TrialCompleted, Status.COMPLETED)],
)
def test_a_paused_trial_is_ended_without_a_word_to_its_worker(decision, event, status):
    bench, puppet = bench_of(trials=1)
    told(bench, puppet, 0, Pause())
    puppet.choices = [Decided(0, decision)]

    step = bench.end(0, outcome="halted")

    assert kinds(step) == [AttemptEnded, event, ExperimentFinished]
    assert (step.commands, bench.status()) == ([], status)
    assert bench.experiment.trials[0].reason == decision.reason


@pytest.mark.parametrize(
    ("decision", "status"), [(Stop("worse"), Status.STOPPED), (Complete("enough"), Status.COMPLETED)]
)
def test_a_pending_trial_is_ended_before_it_ever_ran(decision, status):
    bench, _ = bench_of()
    puppet = Puppet()
    puppet.choices = [Decided(0, decision)]

    again, _ = bench_of(past=bench.events, scheduler=puppet)

    assert (again.status(0), again.status(1)) == (status, Status.RUNNING)


def test_a_scheduler_that_decides_without_end_is_told_so():
    bench, puppet = bench_of(trials=1)
    told(bench, puppet, 0, Pause())
    puppet.otherwise = Decided(0, exploit(0))

    with pytest.raises(TuneError, match=r"Puppet\.choose decides of trial 0 without end.*must not repeat it"):
        bench.end(0, outcome="halted")


def test_a_scheduler_may_decide_once_of_every_trial_that_stands_still():
    bench, puppet = bench_of(trials=40, workers=40)
    puppet.otherwise = WAIT
    for trial in range(40):
        told(bench, puppet, trial, Pause())
    puppet.choices = [Decided(trial, Stop("all")) for trial in range(39)]

    bench.end(0, outcome="halted")

    assert bench.experiment.counts[Status.STOPPED] == 39


def test_the_resume_of_a_trial_that_is_not_paused_is_an_error_that_names_the_scheduler():
    bench, puppet = bench_of(trials=3)
    puppet.choices = [Resume(1)]

    with pytest.raises(TuneError, match=r"Puppet\.choose names trial 1, which is running and not paused"):
        bench.end(0)


def test_the_resume_of_a_trial_that_does_not_exist_is_an_error_that_names_the_scheduler():
    bench, puppet = bench_of(trials=3)
    puppet.choices = [Resume(7)]

    with pytest.raises(TuneError, match=r"Puppet\.choose names trial 7, which does not exist"):
        bench.end(0)


@pytest.mark.parametrize("choice", [Decided(1, Stop("no")), Decided(1, exploit(0))])
def test_a_running_trial_is_decided_of_at_its_results_only(choice):
    bench, puppet = bench_of(trials=3)
    puppet.choices = [choice]

    with pytest.raises(TuneError, match="names trial 1, which is running and not paused or pending"):
        bench.end(0)


def test_a_pause_cannot_be_decided_of_a_trial_that_stands_still():
    bench, puppet = bench_of(trials=1)
    told(bench, puppet, 0, Pause())
    puppet.choices = [Decided(0, Pause())]

    with pytest.raises(TuneError, match=r"Pause\(.*cannot be decided of a trial"):
        bench.end(0, outcome="halted")


# A standstill.


def test_by_default_a_standstill_resumes_the_trial_that_has_been_paused_for_longest():
    scheduler = Told(lambda result: Pause(), choose=lambda experiment: NEW)
    bench = Bench(trials=2, workers=2, scheduler=scheduler)
    bench.report(1)
    bench.report(0)
    bench.end(1, outcome="halted")

    step = bench.end(0, outcome="halted")

    assert [start.trial for start in starts(step)] == [1]
    assert [event.reason for event in step.events if isinstance(event, TrialLaunched)] == ["nothing else could run"]


def test_a_scheduler_that_lets_no_paused_trial_go_on_is_stuck_and_named():
    bench, puppet = bench_of(trials=1)
    told(bench, puppet, 0, Pause())

    bench.end(0, outcome="halted")

    finished = bench.experiment.finished
    assert (finished.reason, finished.message) == (
        "stuck",
        "nothing runs, and Puppet lets none of the 1 paused trials go on",
    )


def test_an_unblock_may_decide_first_and_resume_then():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3")
    told(bench, puppet, 0, Pause(), number=4)
    told(bench, puppet, 1, Pause())
    puppet.standstill = [Decided(1, exploit(0)), Decided(0, Stop("copied")), Resume(1)]
    bench.end(0, outcome="halted")

    step = bench.end(1, outcome="halted")

    assert kinds(step)[1:] == [TrialExploited, TrialStopped, TrialLaunched]


def test_what_is_stuck_goes_on_in_the_next_session_with_another_scheduler():
    bench, puppet = bench_of(trials=1)
    told(bench, puppet, 0, Pause(), checkpoint="c1")
    bench.end(0, outcome="halted")

    again = Bench(trials=1, past=bench.events)

    assert [(start.trial, start.checkpoint) for start in starts(again.step)] == [(0, "c1")]


# Held processes.


def held(**options: Any) -> tuple[Bench, Puppet]:
    """Trial 0 is held after its first result; trial 1 has its place."""
    bench, puppet = bench_of(**{"workers": 1, "holds": True, **options})
    told(bench, puppet, 0, Pause("for now"), elapsed=4.0)
    return bench, puppet


def test_a_held_trial_gives_its_resources_away_and_keeps_its_process():
    bench, puppet = bench_of(workers=1, holds=True)

    step = told(bench, puppet, 0, Pause("for now"))

    assert step.events[1] == TrialPaused(at=1.0, trial=0, reason="for now", held=True)
    assert [(type(command), command.trial) for command in step.commands] == [(Start, 1)]
    assert (bench.experiment.trials[0].is_live, list(bench.experiment.live)) == (True, [1])


def test_a_held_trial_goes_on_in_its_attempt():
    bench, puppet = held()
    puppet.choices = [Resume(0, "promoted")]

    step = bench.end(1)

    assert step.events[-1] == TrialContinued(at=2.0, trial=0, reason="promoted")
    assert step.commands == [Proceed(0, 1, float("-inf"))]
    assert (bench.status(0), bench.report(0, 2).commands) == (Status.RUNNING, [Proceed(0, 1, float("-inf"))])


def test_a_held_trial_goes_on_only_where_its_process_is():
    nodes = (Node("a", {"cpu": 1}), Node("b", {"cpu": 1}))
    bench, puppet = bench_of(trials=3, session={"nodes": nodes}, holds=True)
    told(bench, puppet, 0, Pause())
    assert {number: bench.experiment.trials[number].placement.node for number in bench.experiment.live} == {
        1: "b",
        2: "a",
    }
    puppet.choices = [Resume(0)]
    assert kinds(bench.end(1)) == [AttemptEnded, TrialCompleted]
    puppet.choices = [Resume(0)]

    assert bench.end(2).commands == [Proceed(0, 1, float("-inf"))]


def test_a_held_trial_goes_on_only_on_its_very_gpu():
    nodes = (Node("a", {"gpu": 2}, ("g0", "g1")),)
    bench, puppet = bench_of(trials=3, session={"nodes": nodes, "request": {"gpu": 1}}, holds=True)
    told(bench, puppet, 0, Pause())
    assert bench.experiment.trials[2].placement.gpus == ("g0",)
    puppet.choices = [Resume(0)]
    assert kinds(bench.end(1)) == [AttemptEnded, TrialCompleted]
    puppet.choices = [Resume(0)]

    assert bench.end(2).commands == [Proceed(0, 1, float("-inf"))]


def test_a_held_process_that_dies_leaves_a_paused_trial_that_starts_from_its_checkpoint():
    bench, puppet = bench_of(workers=1, holds=True)
    told(bench, puppet, 0, Pause(), checkpoint="c1")
    assert kinds(bench.end(0, outcome="lost", failure=LOST)) == [AttemptEnded]
    puppet.choices = [Resume(0)]

    (start,) = starts(bench.end(1))

    assert (start.trial, start.attempt, start.checkpoint) == (0, 2, "c1")


def test_a_held_trial_that_is_stopped_is_told_so_and_killed_after_the_grace():
    bench, _ = held(grace=5.0)

    step = bench.handle(StopRequested(at=2.0, reason="a person", trial=0))

    assert (kinds(step), step.commands) == ([StopRequested, TrialStopped], [Halt(0, 1, False)])
    assert bench.tick(7.0).commands == [Kill(0, 1, 1.0)]
    assert kinds(bench.end(0, outcome="killed", at=8.0)) == [AttemptEnded]


def test_a_session_waits_for_the_end_of_a_held_process_that_was_told_to_end():
    bench, puppet = bench_of(trials=1, workers=1, holds=True)
    puppet.standstill = [Decided(0, Stop("after all"))]
    step = told(bench, puppet, 0, Pause())

    assert kinds(step) == [Reported, TrialPaused, TrialStopped]
    assert bench.end(0, outcome="halted").events[-1].reason == "completed"


def test_a_held_trial_that_gets_a_clones_config_is_waited_for_and_not_stuck():
    bench, puppet = bench_of(trials=1, workers=1, holds=True)
    puppet.standstill = [Decided(0, exploit(0, x="explored"))]
    told(bench, puppet, 0, Pause(), checkpoint="c1")
    assert bench.experiment.finished is None
    puppet.choices = [Resume(0)]

    (start,) = starts(bench.end(0, outcome="halted"))

    assert (start.config, start.checkpoint) == ({"x": "explored"}, "c1")


def test_a_held_trial_that_gets_other_resources_saves_before_it_ends():
    bench, puppet = bench_of(trials=1, workers=2, holds=True)
    puppet.standstill = [Decided(0, Reallocate({"cpu": 2}, "free"))]
    step = told(bench, puppet, 0, Pause())
    assert step.commands == [Halt(0, 1, True)]
    puppet.choices = [Resume(0)]

    (start,) = starts(bench.end(0, outcome="halted", checkpoint="end1"))

    assert (start.placement.resources, start.checkpoint) == ({"cpu": 2}, "end1")


def test_the_time_that_a_trial_is_held_does_not_count_against_its_limit():
    bench, puppet = held(trial_time=10.0)  # 4 of 10 seconds used, at 1.0
    puppet.choices = [Resume(0)]
    bench.end(1, at=100.0)

    assert bench.tick(105.9).commands == []
    assert bench.tick(106.1).commands == [Kill(0, 1, 1.0)]


def test_a_held_trial_is_not_taken_for_hung():
    bench, _ = held(report_timeout=10.0)
    bench.report(1, 1, at=50.0)

    assert bench.tick(55.0).commands == []


def test_a_held_trial_goes_on_from_its_checkpoint_in_the_next_session():
    bench, puppet = bench_of(trials=1, workers=1, holds=True)
    told(bench, puppet, 0, Pause(), checkpoint="c1")
    assert bench.experiment.finished.reason == "stuck"

    again = Bench(trials=1, workers=1, past=bench.events)

    assert kinds(again.step) == [SessionOpened, AttemptEnded, TrialLaunched]
    assert [(start.attempt, start.checkpoint) for start in starts(again.step)] == [(2, "c1")]


# Which checkpoints are kept.


def kept(bench: Bench, trial: int = 0) -> list[str]:
    return list(bench.experiment.trials[trial].checkpoints or ())


def reports(bench: Bench, losses: list[float], trial: int = 0, **more: list[float]) -> None:
    for index, loss in enumerate(losses):
        metrics = {"loss": loss, **{name: values[index] for name, values in more.items()}}
        bench.handle(
            Reported(
                at=1.0,
                trial=trial,
                attempt=1,
                number=index + 1,
                metrics=metrics,
                checkpoint=f"{trial}/{index + 1}",
                checkpoint_bytes=1,
            )
        )


def test_by_default_the_best_and_the_last_checkpoint_are_kept():
    bench, _ = bench_of()
    reports(bench, [0.5, 0.2, 0.4, 0.9])

    assert kept(bench) == ["0/2", "0/4"]


def test_num_to_keep_keeps_the_best_ones_and_the_last():
    bench, _ = bench_of(num_to_keep=2)
    reports(bench, [0.5, 0.2, 0.4, 0.9, 0.8])

    assert kept(bench) == ["0/2", "0/3", "0/5"]


def test_num_to_keep_of_one_keeps_the_best_and_the_last():
    bench, _ = bench_of(num_to_keep=1)
    reports(bench, [0.5, 0.2, 0.4])

    assert kept(bench) == ["0/2", "0/3"]


def test_checkpoints_are_kept_by_the_score_that_was_asked_for():
    bench, _ = bench_of(num_to_keep=1, session={"checkpoint_score": ("score", "max")})
    reports(bench, [0.5, 0.2, 0.4], score=[9.0, 2.0, 1.0])

    assert kept(bench) == ["0/1", "0/3"]


def test_of_equal_scores_the_newest_checkpoint_is_kept():
    bench, _ = bench_of(num_to_keep=1)
    reports(bench, [0.5, 0.5, 0.9])

    assert kept(bench) == ["0/2", "0/3"]


def test_a_budget_drops_first_what_belongs_to_trials_that_are_over_the_worst_first():
    bench, _ = bench_of(trials=3, workers=3, checkpoint_bytes=4)
    reports(bench, [0.1, 0.2], trial=0)
    bench.end(0)
    reports(bench, [0.7, 0.8], trial=1)
    bench.end(1)

    reports(bench, [0.4], trial=2)

    assert (kept(bench, 0), kept(bench, 1), kept(bench, 2)) == (["0/1", "0/2"], ["1/2"], ["2/1"])
    assert bench.experiment.checkpoint_bytes == 4


def test_a_budget_never_drops_the_best_trials_best_nor_the_last_of_one_that_may_go_on():
    bench, _ = bench_of(trials=3, workers=3, checkpoint_bytes=1)
    reports(bench, [0.1, 0.2], trial=0)
    bench.end(0)
    reports(bench, [0.7, 0.8], trial=1)
    reports(bench, [0.4], trial=2)

    assert (kept(bench, 0), kept(bench, 1), kept(bench, 2)) == (["0/1"], ["1/2"], ["2/1"])
    assert bench.experiment.checkpoint_bytes == 3


def test_the_size_of_what_an_ended_attempt_saved_counts_also_where_it_was_killed():
    bench, _ = bench_of(trials=1, trial_time=5.0)
    bench.tick(5.0)

    bench.end(0, outcome="killed", checkpoint="c1", checkpoint_bytes=7, at=6.0)

    assert bench.experiment.checkpoint_bytes == 7


# Checkpoints that several trials share.


def test_a_donor_that_drops_its_checkpoint_first_leaves_the_file_to_the_clone():
    bench, puppet = bench_of()
    a_clone_of_0(bench, puppet)
    bench.report(0, 4, checkpoint="d4", loss=0.1)

    step = bench.report(0, 5, checkpoint="d5", loss=0.9)

    assert (kept(bench, 0), discarded(step)) == (["d4", "d5"], [])
    assert ("d3" in kept(bench, 1), bench.experiment.sharers) == (True, {})


def test_the_last_one_that_drops_a_shared_checkpoint_deletes_it():
    bench, puppet = bench_of()
    a_clone_of_0(bench, puppet)
    bench.report(0, 4, checkpoint="d4", loss=0.1)  # d3 is neither its best nor its last any more
    puppet.choices = [Resume(1)]
    bench.report(0, 5)

    step = bench.report(1, 4, checkpoint="1/4", loss=0.2)

    assert "d3" in discarded(step)
    assert kept(bench, 1) == ["1/4"]


def test_a_clone_that_drops_its_start_first_leaves_the_file_to_the_donor():
    bench, puppet = bench_of()
    a_clone_of_0(bench, puppet)
    puppet.choices = [Resume(1)]
    bench.report(0, 4)

    step = bench.report(1, 4, checkpoint="1/4", loss=0.2)

    assert ("d3" in discarded(step), kept(bench, 0), bench.experiment.sharers) == (False, ["d3"], {})


def test_three_sharers_delete_a_checkpoint_once_and_at_the_end():
    bench, puppet = bench_of(trials=3, workers=3)
    a_clone_of_0(bench, puppet)
    told(bench, puppet, 2, exploit(1))
    bench.end(2, outcome="halted")
    assert bench.experiment.sharers == {"d3": 3}
    puppet.choices = [Resume(1), Resume(2)]
    gone = [discarded(bench.report(0, 4, checkpoint="d4", loss=0.1))]
    gone.append(discarded(bench.report(1, 4, checkpoint="1/4", loss=0.1)))

    gone.append(discarded(bench.report(2, 4, checkpoint="2/4", loss=0.1)))

    assert [("d3" in names) for names in gone] == [False, False, True]


def test_a_shared_checkpoint_takes_its_room_once():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3", checkpoint_bytes=100)
    told(bench, puppet, 1, exploit(0))

    assert bench.experiment.checkpoint_bytes == 100


def test_what_a_clone_shares_is_never_its_own_best():
    bench, puppet = bench_of()
    bench.report(0, 3, checkpoint="d3", loss=0.01)
    bench.report(1, 4, checkpoint="own4", loss=0.6)
    told(bench, puppet, 1, exploit(0), number=5, loss=0.7)

    assert bench.experiment.trials[1].best_checkpoint == "own4"


# The journal.


def test_the_new_events_come_back_from_the_journal_as_they_were():
    events = [
        TrialExploited(at=1.0, trial=1, source=0, config={"x": float("nan")}, checkpoint="d3", number=3, elapsed=2.5),
        TrialReallocated(at=2.0, trial=1, request={"cpu": 2.5}, reason="more"),
        TrialContinued(at=3.0, trial=1, reason="promoted"),
        TrialPaused(at=4.0, trial=1, reason="a rung", held=True),
        AttemptEnded(at=5.0, trial=1, attempt=2, outcome="halted", checkpoint="c", checkpoint_bytes=12),
        CheckpointDropped(at=6.0, trial=1, checkpoint="d3"),
    ]

    for seq, event in enumerate(events):
        _, kind, version, trial, payload, crc = encode(seq, event)
        assert trial == 1
        assert repr(decode(seq, kind, version, payload.encode(), crc)) == repr(event)


@pytest.mark.parametrize("holds", [False, True])
def test_the_fold_of_a_run_with_clones_and_other_resources_gives_its_very_state(holds):
    bench, puppet = bench_of(trials=3, workers=3, holds=holds)
    a_clone_of_0(bench, puppet)
    told(bench, puppet, 2, Pause())
    puppet.choices = [Decided(2, Reallocate({"cpu": 2}, "more")), Resume(1)]
    bench.report(0, 4, checkpoint="d4", loss=0.1)
    bench.end(2, outcome="halted", checkpoint="end")

    folded = fold(bench.events, Experiment())

    assert state_of(folded, ()) == state_of(bench.experiment, ())


# What a scheduler gave is not what a trial asked for.


def test_a_trial_remembers_what_it_asked_for_at_first():
    bench, puppet = bench_of(trials=1, workers=4, request_of={"cpu": 2})
    told(bench, puppet, 0, Reallocate({"cpu": 4}, "free"))

    trial = bench.experiment.trials[0]
    assert (bench.experiment.request_of(trial), bench.experiment.first_request_of(trial)) == ({"cpu": 4}, {"cpu": 2})


def test_a_trial_that_only_waits_for_other_resources_is_known_as_such_until_it_goes_on():
    bench, puppet = bench_of(trials=2, workers=4)
    puppet.otherwise = WAIT
    told(bench, puppet, 0, Reallocate({"cpu": 2}, "free"))
    told(bench, puppet, 1, Pause())
    assert list(bench.experiment.reallocated) == [0]
    puppet.choices = [Resume(0)]

    bench.end(0, outcome="halted")

    assert list(bench.experiment.reallocated) == []


def test_a_paused_trial_whose_request_changes_stays_paused_for_its_own_reason():
    bench, puppet = bench_of(trials=2, workers=4)
    puppet.otherwise = WAIT
    told(bench, puppet, 1, Pause())
    puppet.choices = [Decided(1, Reallocate({"cpu": 2}, "free"))]

    bench.end(1, outcome="halted")

    assert list(bench.experiment.reallocated) == []


def test_a_trial_that_grew_elsewhere_gets_its_first_request_on_smaller_machines():
    bench, puppet = bench_of(trials=1, workers=8)
    told(bench, puppet, 0, Reallocate({"cpu": 8}, "free"))
    puppet.choices = [Resume(0)]
    bench.end(0, outcome="halted", checkpoint="c1")

    small = Bench(trials=1, workers=2, past=bench.events)

    assert kinds(small.step) == [SessionOpened, AttemptEnded, TrialRequeued, TrialReallocated, TrialLaunched]
    assert [(start.placement.resources, start.checkpoint) for start in starts(small.step)] == [({"cpu": 1}, "c1")]

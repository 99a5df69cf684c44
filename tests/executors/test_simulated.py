from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tunesmith.core.commands import Halt, Kill, Proceed, Progress, Start
from tunesmith.core.events import AttemptEnded, AttemptStarted, Event, Node, NodesChanged, Placement, Reported
from tunesmith.errors import ConfigError, ExecutorError
from tunesmith.executors.base import Job
from tunesmith.executors.simulated import Faults, SimulatedExecutor

FOREVER = float("inf")


def three_steps(config):
    for number in range(1, 4):
        yield {"loss": 1 / number, "steps": 10 * number}, 2.0


def opened(
    curve=three_steps, *, at: float = 0.0, job: dict[str, Any] | None = None, **options: Any
) -> SimulatedExecutor:
    executor = SimulatedExecutor(curve, **options)
    executor.open(
        Job(trainable=three_steps, experiment="x", folder=Path(), **(job or {})), at=at, deliver=lambda events: None
    )
    return executor


def start(trial: int = 0, *, until: float = FOREVER, node: str = "simulated", **fields: Any) -> Start:
    values = {"attempt": 1, "config": {}, **fields}
    return Start(trial=trial, placement=Placement(node, {"cpu": 1}), until=until, **values)


def all_of(executor: SimulatedExecutor, until: float = 1e9) -> list[Event]:
    events: list[Event] = []
    while executor.now() < until:
        events += executor.wait(until)
    return events


def told(events: list[Event]) -> list[Any]:
    """Return each event in a word: started, the number of a report, the outcome of an end."""
    words: list[Any] = []
    for event in events:
        match event:
            case AttemptStarted():
                words.append("started")
            case Reported():
                words.append(event.number)
            case AttemptEnded():
                words.append(event.outcome)
    return words


def test_time_moves_from_event_to_event_and_never_further_than_asked():
    executor = opened()
    executor.start(start())

    assert [(type(event), event.at) for event in executor.wait(None)] == [(AttemptStarted, 0.0)]
    assert (executor.wait(1.5), executor.now()) == ([], 1.5)
    (report,) = executor.wait(None)
    assert (report.at, report.number, report.elapsed, report.metrics) == (2.0, 1, 2.0, {"loss": 1.0, "steps": 10})


def test_a_trial_that_holds_a_lease_for_ever_runs_to_its_end():
    executor = opened()
    executor.start(start())

    assert told(all_of(executor)) == ["started", 1, 2, 3, "done"]


def test_experiment_time_goes_on_from_where_it_was():
    executor = opened(at=100.0)
    executor.start(start())

    assert executor.wait(None)[0].at == 100.0


@pytest.mark.parametrize(
    ("job", "until", "waits_at"),
    [
        ({}, 2, 2),
        ({}, float("-inf"), 1),
        ({"time_attr": "time_total_s"}, 3.5, 2),
        ({"time_attr": "steps"}, 30, 3),
        ({"thresholds": {"steps": 20}}, FOREVER, 2),
        ({"thresholds": {"training_iteration": 3}}, FOREVER, 3),
        ({"thresholds": {"time_total_s": 2.0}}, FOREVER, 1),
    ],
)
def test_a_report_waits_at_the_lease_or_a_threshold(job, until, waits_at):
    executor = opened(job=job)
    executor.start(start(until=until))
    reports = [event for event in all_of(executor, 1000.0) if isinstance(event, Reported)]

    assert [report.waits for report in reports] == [False] * (waits_at - 1) + [True]
    executor.proceed(Proceed(0, 1, FOREVER))
    waiting = bool(job.get("thresholds")) and waits_at < 3  # the next result has reached the threshold as well
    assert told(all_of(executor, 2000.0)) == ([waits_at + 1] if waiting else [*range(waits_at + 1, 4), "done"])


def test_a_report_without_the_time_attribute_fails_in_the_trial():
    executor = opened(job={"time_attr": "tokens"})
    executor.start(start())

    ended = all_of(executor)[-1]

    assert ended.failure.message == "ReportError: the scheduler counts 'tokens', which this report lacks."


def test_waiting_does_not_count_as_training():
    executor = opened()
    executor.start(start(until=1))
    all_of(executor, 500.0)
    executor.proceed(Proceed(0, 1, FOREVER))

    (report,) = executor.wait(None)

    assert (report.at, report.elapsed) == (502.0, 4.0)


@pytest.mark.parametrize(("until", "words"), [(FOREVER, ["started", 1, "halted"]), (1, ["started", 1, "halted"])])
def test_a_halt_is_obeyed_at_the_next_report_or_at_once_where_it_waits(until, words):
    executor = opened()
    executor.start(start(until=until))
    events = executor.wait(None)
    if until == 1:
        events += executor.wait(None)
    executor.halt(Halt(0, 1))

    assert told(events + all_of(executor)) == words


def test_a_halted_attempt_that_has_not_begun_never_begins():
    executor = opened(faults=Faults(start_delay=50.0))
    executor.start(start())
    executor.halt(Halt(0, 1))

    assert told(all_of(executor)) == ["halted"]


def test_a_kill_ends_at_once():
    executor = opened()
    executor.start(start())
    executor.wait(None)
    executor.kill(Kill(0, 1, grace=5.0))

    assert [(event.outcome, event.at) for event in all_of(executor)] == [("killed", 0.0)]


def test_a_hung_attempt_obeys_only_a_kill_and_only_after_the_grace():
    executor = opened(faults=Faults(hangs=1.0))
    executor.start(start())
    executor.halt(Halt(0, 1))
    assert told(all_of(executor, 1000.0)) == ["halted"]

    executor.start(start(1))
    assert told(all_of(executor, 2000.0)) == ["started"]
    executor.halt(Halt(1, 1))
    assert all_of(executor, 3000.0) == []
    executor.kill(Kill(1, 1, grace=5.0))
    assert [(event.outcome, event.at) for event in all_of(executor)] == [("killed", 3005.0)]


def test_waiting_for_what_can_never_happen_is_an_error():
    executor = opened(faults=Faults(hangs=1.0))
    executor.start(start(7))
    executor.wait(None)

    with pytest.raises(ExecutorError, match=r"trial 7 \(attempt 1\) stands still and no time limit is set"):
        executor.wait(None)


def test_checkpoints_come_at_their_interval_and_an_attempt_goes_on_from_one():
    executor = opened(checkpoint_every=2)
    executor.start(start(5))
    references = [event.checkpoint for event in all_of(executor) if isinstance(event, Reported)]
    assert references == [None, "trials/00005/checkpoints/1-000002", None]

    executor.start(start(5, attempt=2, checkpoint=references[1], progress=Progress(number=2, elapsed=4.0)))
    (report,) = [event for event in all_of(executor, 2e9) if isinstance(event, Reported)]

    assert (report.number, report.elapsed, report.metrics["steps"]) == (3, 6.0, 30)


def test_a_halt_that_saves_makes_a_checkpoint_only_where_the_last_report_had_none():
    for until, checkpoint in ((1, "trials/00000/checkpoints/1-000001"), (2, None)):
        executor = opened(checkpoint_every=2)
        executor.start(start(until=until))
        all_of(executor, 100.0)
        executor.halt(Halt(0, 1, save=True))

        assert executor.wait(None)[0].checkpoint == checkpoint


def test_a_curve_that_raises_fails_its_trial_with_the_users_place():
    def broken(config):
        yield {"loss": 1.0}, 1.0
        raise ValueError("lr must be positive")

    executor = opened(broken)
    executor.start(start())
    ended = all_of(executor)[-1]

    assert (ended.outcome, ended.failure.message) == ("failed", "ValueError: lr must be positive")
    assert ended.failure.where.endswith("in broken")


def test_a_result_that_says_done_is_the_last():
    def endless(config):
        while True:
            yield {"done": True}, 1.0

    executor = opened(endless)
    executor.start(start(until=1))

    assert told(all_of(executor)) == ["started", 1, "done"]


def test_the_jobs_trainable_is_the_default_curve():
    executor = opened(None)
    executor.start(start())

    assert told(all_of(executor)) == ["started", 1, 2, 3, "done"]


def test_commands_for_an_attempt_that_has_ended_do_nothing():
    executor = opened()
    executor.start(start())
    all_of(executor, 100.0)
    executor.proceed(Proceed(0, 1, 9))
    executor.halt(Halt(0, 1))
    executor.kill(Kill(0, 1))

    assert all_of(executor) == []


def test_attempts_on_a_node_that_leaves_are_lost():
    executor = opened(nodes=[Node("a", {"cpu": 1}), Node("b", {"cpu": 1})])
    for trial, node in enumerate("ab"):
        executor.start(start(trial, node=node))
    executor.wait(None)

    executor.change_nodes([Node("b", {"cpu": 1})])
    changed, lost = executor.wait(None)

    assert (type(changed), lost.trial, lost.outcome) == (NodesChanged, 0, "lost")
    assert told(all_of(executor)) == [1, 2, 3, "done"]


def test_an_attempt_is_lost_with_any_of_the_nodes_that_it_has():
    executor = opened(nodes=[Node("a", {"cpu": 1}), Node("b", {"cpu": 1})])
    placement = Placement("b", {"cpu": 1}, more=(Placement("a", {"cpu": 1}),))
    executor.start(msgspec.structs.replace(start(0), placement=placement))
    executor.wait(None)

    executor.change_nodes([Node("b", {"cpu": 1})])

    assert [event.outcome for event in executor.wait(None) if isinstance(event, AttemptEnded)] == ["lost"]


FAULTS = Faults(seed=1, fails=0.1, is_lost=0.1, is_slow=0.3, start_delay=3.0, message_delay=5.0)


def test_messages_of_one_attempt_stay_in_order_however_late_they_are():
    executor = opened(faults=FAULTS)
    for trial in range(200):
        executor.start(start(trial))
    events = all_of(executor)

    assert [event.at for event in events] == sorted(event.at for event in events)
    for trial in range(200):
        words = told([event for event in events if event.trial == trial])
        reports = words[1:-1]
        assert words[0] == "started"
        assert reports == [1, 2, 3][: len(reports)]
        assert words[-1] in ("done", "failed", "lost")
    ends = [event.outcome for event in events if isinstance(event, AttemptEnded)]
    assert {ends.count(outcome) > 10 for outcome in ("done", "failed", "lost")} == {True}


def test_a_bad_network_doubles_loses_and_reorders_messages():
    executor = opened(faults=Faults(message_delay=1.0, message_twice=0.3, message_late=0.3, message_lost=0.3))
    for trial in range(100):
        executor.start(start(trial))
    events = all_of(executor)
    reports = [(event.trial, event.number) for event in events if isinstance(event, Reported)]

    assert len(reports) > len(set(reports))
    assert len(set(reports)) < 300
    assert any(told([event for event in events if event.trial == trial])[0] != "started" for trial in range(100))


def test_the_same_faults_strike_the_same_attempts_again():
    def run() -> list[Event]:
        executor = opened(faults=FAULTS)
        for trial in range(50):
            executor.start(start(trial))
        return all_of(executor)

    assert run() == run()


def test_a_simulation_without_workers_is_refused():
    with pytest.raises(ConfigError, match="workers=0: a simulation needs at least one worker"):
        SimulatedExecutor(three_steps, workers=0)


def test_closing_forgets_everything_and_may_be_done_twice():
    executor = opened()
    executor.start(start())
    executor.close()
    executor.close()

    assert executor.wait(10.0) == []

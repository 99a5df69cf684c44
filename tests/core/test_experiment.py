from __future__ import annotations

import pytest

from tunesmith.core.commands import Progress
from tunesmith.core.engine import fold
from tunesmith.core.events import (
    EVENT_TYPES,
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Event,
    ExperimentCreated,
    ExperimentFinished,
    Failure,
    Node,
    Placement,
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
from tunesmith.core.experiment import _RULES, Experiment
from tunesmith.core.objective import Objective
from tunesmith.core.trial import Kept, Status
from tunesmith.errors import IllegalTransition

ONE_CPU = Placement("a", {"cpu": 1})


def opened(session: int = 1, **fields: object) -> SessionOpened:
    values = {"metric": "loss", "mode": "min", "nodes": (Node("a", {"cpu": 2}),), **fields}
    return SessionOpened(at=0.0, session=session, started=0.0, **values)


def launched(trial: int = 0, attempt: int = 1, **fields: object) -> TrialLaunched:
    return TrialLaunched(at=1.0, trial=trial, attempt=attempt, placement=ONE_CPU, **fields)


def reported(trial: int = 0, number: int = 1, attempt: int = 1, loss: object = 0.5, **fields: object) -> Reported:
    return Reported(at=2.0, trial=trial, attempt=attempt, number=number, metrics={"loss": loss}, **fields)


def ended(trial: int = 0, attempt: int = 1, **fields: object) -> AttemptEnded:
    return AttemptEnded(at=3.0, trial=trial, attempt=attempt, **{"outcome": "done", **fields})


def after(*events: Event, trials: int = 2) -> Experiment:
    suggested = Suggested(at=0.5, configs=tuple({"x": number} for number in range(trials)))
    return fold([opened(), suggested, *events], Experiment())


def test_every_event_has_a_rule():
    assert set(_RULES) == set(EVENT_TYPES)


def test_created_names_the_experiment():
    experiment = fold([ExperimentCreated(at=0.0, name="digits", seed=9, created=5.0)], Experiment())

    assert (experiment.name, experiment.seed, experiment.created) == ("digits", 9, 5.0)


def test_suggested_configs_become_pending_trials_in_order():
    experiment = after(trials=3)

    assert [(trial.id, trial.config, trial.status) for trial in experiment.trials] == [
        (number, {"x": number}, Status.PENDING) for number in range(3)
    ]
    assert (experiment.next_number, [trial.id for trial in experiment.pending()]) == (3, [0])


def test_pending_gives_the_first_trial_of_each_request():
    requests = ({"cpu": 1.0}, {"cpu": 1.0}, {"gpu": 1.0})
    experiment = after(Suggested(at=1.0, configs=({}, {}, {}), requests=requests), trials=1)

    assert [trial.id for trial in experiment.pending()] == [0, 1, 3]


def test_a_queued_trial_that_ended_otherwise_leaves_the_queue():
    experiment = after(TrialStopped(at=1.0, trial=0, reason="unwanted"), TrialStopped(at=1.0, trial=1, reason="too"))

    assert list(experiment.pending()) == []


def test_a_launch_holds_resources_until_the_attempt_ends_whatever_the_status():
    experiment = after(launched(), TrialStopped(at=2.0, trial=0, reason="bad"))
    assert (experiment.trials[0].is_live, experiment.pool.usage()["cpu"]) == (True, (1.0, 2.0))

    experiment.apply(ended(outcome="halted"))

    assert (experiment.trials[0].is_live, experiment.pool.usage()["cpu"], experiment.live) == (False, (0.0, 2.0), {})


def test_a_worker_is_known_while_it_lives():
    started = AttemptStarted(at=1.0, trial=0, attempt=1, pid=5, host="a")
    experiment = after(launched(), started)
    assert experiment.workers == {0: started}

    experiment.apply(ended())

    assert experiment.workers == {}


def test_results_move_the_trial_and_the_best():
    experiment = after(
        launched(0), launched(1), reported(0, 1, loss=0.5), reported(1, 1, loss=0.3), reported(0, 2, loss=0.4)
    )

    trial = experiment.trials[0]
    assert (trial.number, trial.results, trial.best.number, experiment.results) == (2, 2, 2, 3)
    assert experiment.best is experiment.trials[1]


def test_of_equal_results_the_earliest_is_the_best():
    experiment = after(launched(0), launched(1), reported(1, 1), reported(0, 1), reported(1, 2))

    assert (experiment.best.id, experiment.best.best.number) == (1, 1)


@pytest.mark.parametrize("loss", [float("nan"), None, float("inf"), "bad"])
def test_a_loss_that_ranks_worst_is_never_the_best(loss):
    assert after(launched(), reported(loss=loss)).best is None


def test_a_given_objective_overrules_the_sessions():
    events = [
        opened(),
        Suggested(at=0.0, configs=({}, {})),
        launched(0),
        launched(1),
        reported(0, loss=1),
        reported(1, loss=2),
    ]

    assert fold(events, Experiment()).best.id == 0
    assert fold(events, Experiment(Objective("loss", "max"))).best.id == 1


def test_a_restart_goes_on_counting_from_its_checkpoint():
    metrics = {"timesteps_total": 64, "episodes_total": 3}
    experiment = after(
        launched(),
        Reported(at=2.0, trial=0, attempt=1, number=4, metrics=metrics, elapsed=8.0, checkpoint="c4"),
        reported(number=5),
        ended(outcome="lost"),
        TrialRequeued(at=3.0, trial=0),
    )
    assert experiment.trials[0].number == 5

    experiment.apply(launched(attempt=2, checkpoint="c4"))

    trial = experiment.trials[0]
    assert (trial.number, trial.elapsed, trial.results) == (4, 8.0, 2)
    assert experiment.progress_at(trial, "c4") == Progress(4, 8.0, 64.0, 3.0)


def test_a_restart_without_a_checkpoint_counts_from_zero():
    experiment = after(
        launched(), reported(number=5), ended(outcome="lost"), TrialRequeued(at=3.0, trial=0), launched(attempt=2)
    )

    assert (experiment.trials[0].number, experiment.trials[0].elapsed) == (0, 0.0)


def test_a_checkpoint_saved_at_the_end_belongs_to_the_last_result():
    experiment = after(
        launched(),
        reported(number=6, loss=0.1, elapsed=3.0),
        TrialPaused(at=2.5, trial=0),
        ended(outcome="halted", checkpoint="end"),
    )

    trial = experiment.trials[0]
    assert (trial.checkpoint, trial.checkpoints) == ("end", {"end": Kept(6, 3.0, loss=0.1, score=0.1)})


def test_dropping_the_newest_checkpoint_falls_back_to_the_one_before():
    experiment = after(
        launched(),
        reported(number=1, checkpoint="c1"),
        reported(number=2, checkpoint="c2"),
        CheckpointDropped(at=3.0, trial=0, checkpoint="c2"),
    )
    assert experiment.trials[0].checkpoint == "c1"

    experiment.apply(CheckpointDropped(at=3.0, trial=0, checkpoint="c1"))

    assert experiment.trials[0].checkpoint is None


def test_counts_and_queues_follow_each_trial():
    experiment = after(
        launched(0),
        TrialPaused(at=2.0, trial=0, reason="later"),
        ended(0, outcome="halted"),
        launched(1),
        ended(1),
        TrialCompleted(at=3.0, trial=1),
    )

    assert (list(experiment.paused), list(experiment.live)) == ([0], [])
    assert {status: count for status, count in experiment.counts.items() if count} == {
        Status.PAUSED: 1,
        Status.COMPLETED: 1,
    }


def test_a_failed_trial_keeps_why():
    failure = Failure("exception", "ValueError: lr")
    experiment = after(
        launched(), ended(outcome="failed", failure=failure), TrialFailed(at=3.0, trial=0, failure=failure)
    )

    trial = experiment.trials[0]
    assert (trial.failures, trial.failure, trial.reason) == (1, failure, "ValueError: lr")


def test_only_failures_count_when_a_trial_is_queued_again():
    lost = after(launched(), ended(outcome="lost"), TrialRequeued(at=3.0, trial=0))
    failed = after(
        launched(), ended(outcome="failed"), TrialRequeued(at=3.0, trial=0, failure=Failure("exception", "x"))
    )

    assert (lost.trials[0].failures, failed.trials[0].failures) == (0, 1)


def test_a_new_session_reopens_a_finished_experiment():
    experiment = after(ExperimentFinished(at=3.0, reason="completed"))
    assert experiment.finished is not None

    experiment.apply(opened(2, trials_wanted=9, request={"gpu": 1.0}))

    assert (experiment.finished, experiment.session, experiment.trials_wanted) == (None, 2, 9)
    assert experiment.request_of(experiment.trials[0]) == {"gpu": 1.0}


def test_a_report_of_an_attempt_that_does_not_run_is_a_bug():
    experiment = after(launched())

    with pytest.raises(IllegalTransition, match="a report of attempt 2, which is not running"):
        experiment.apply(reported(attempt=2))


def test_a_report_of_a_stopped_trial_is_a_bug_and_tells_the_story():
    experiment = after(launched(), TrialStopped(at=2.0, trial=0, reason="bad"))

    with pytest.raises(IllegalTransition, match="Suggested -> TrialLaunched -> TrialStopped"):
        experiment.apply(reported())


def test_a_story_stays_short():
    experiment = after()
    for attempt in range(1, 50):
        for event in (
            launched(attempt=attempt),
            ended(attempt=attempt, outcome="lost"),
            TrialRequeued(at=3.0, trial=0),
        ):
            experiment.apply(event)

    assert len(experiment.trials[0].story) == 8

from __future__ import annotations

import itertools

import pytest

from tunesmith.core.events import (
    EVENT_TYPES,
    Failure,
    Placement,
    Reported,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from tunesmith.core.trial import ANY_STATUS, NEW_TRIAL, TRANSITIONS, Kept, Status, Trial
from tunesmith.errors import IllegalTransition

EVENTS = [
    Reported(at=0.0, trial=0, attempt=1, number=1, metrics={}),
    TrialLaunched(at=0.0, trial=0, attempt=1, placement=Placement("a", {})),
    TrialPaused(at=0.0, trial=0),
    TrialStopped(at=0.0, trial=0, reason=""),
    TrialCompleted(at=0.0, trial=0),
    TrialFailed(at=0.0, trial=0, failure=Failure("exception", "x")),
    TrialRequeued(at=0.0, trial=0),
]


def trial_in(status: Status) -> Trial:
    trial = Trial(7, {}, None)
    trial.status = status
    return trial


@pytest.mark.parametrize(("status", "event"), list(itertools.product(Status, EVENTS)))
def test_a_trial_moves_along_the_table_or_tells_its_story(status, event):
    trial = trial_in(status)
    trial.story = ("Suggested", "TrialLaunched")

    if (status, type(event)) in TRANSITIONS:
        assert trial.moved(event) is TRANSITIONS[status, type(event)]
    else:
        with pytest.raises(IllegalTransition, match=f"trial 7 is {status} .*Suggested -> TrialLaunched"):
            trial.moved(event)


def test_a_final_trial_leaves_its_status_only_when_it_failed_and_is_tried_again():
    ways_out = {step for step in TRANSITIONS if step[0] != NEW_TRIAL and Status(step[0]).is_final}

    assert ways_out == {(Status.FAILED, TrialRequeued)}


def test_every_status_can_be_reached_from_a_new_trial_and_can_end():
    reached = {TRANSITIONS[NEW_TRIAL, Suggested]}
    for _ in Status:
        reached |= {after for (before, _), after in TRANSITIONS.items() if before in reached}

    assert reached == set(Status)
    for status in Status:
        assert status.is_final or any(after.is_final for (before, _), after in TRANSITIONS.items() if before == status)


def test_every_event_of_a_trial_is_in_the_table_or_free_of_it():
    about_trials = {kind for kind in EVENT_TYPES if kind.__name__.startswith("Trial")} | {Suggested, Reported}

    assert {kind for _, kind in TRANSITIONS} == about_trials
    assert not about_trials & set(ANY_STATUS)


def test_the_best_checkpoint_is_the_newest_of_equals():
    trial = trial_in(Status.RUNNING)
    assert trial.best_checkpoint is None

    trial.checkpoints = {name: Kept(loss=loss) for name, loss in (("a", 0.5), ("b", 0.1), ("c", 0.1), ("d", 0.3))}

    assert trial.best_checkpoint == "c"

"""What a session may begin with: a space that was changed, and the trials of earlier experiments."""

from __future__ import annotations

from tunesmith.core.engine import Core, Limits, fold
from tunesmith.core.events import (
    AttemptEnded,
    EarlierTrials,
    Event,
    ExperimentCreated,
    Node,
    Placement,
    SessionOpened,
    SpaceChanged,
    Suggested,
    TrialLaunched,
    TrialPaused,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.trial import Status
from tunesmith.schedulers.fifo import FIFOScheduler
from tunesmith.testing.searcher import KeyedSearcher

from .policies import PassiveStopper


def opened(session: int) -> SessionOpened:
    return SessionOpened(
        at=1.0, session=session, started=0.0, nodes=(Node("a", {"cpu": 9.0}),), trials_wanted=3, request={"cpu": 1.0}
    )


def past() -> list[Event]:
    """Three trials, of which only the first has begun; it was interrupted."""
    return [
        ExperimentCreated(at=0.0, name="e", seed=0, created=0.0),
        opened(1),
        Suggested(at=1.0, configs=({"x": 0}, {"x": 1}, {"x": 2})),
        TrialLaunched(at=1.0, trial=0, attempt=1, placement=Placement("a", {"cpu": 1.0})),
        TrialPaused(at=1.0, trial=0, interrupted=True),
        AttemptEnded(at=1.0, trial=0, attempt=1, outcome="halted"),
    ]


def test_of_the_trials_that_lie_outside_a_changed_space_those_end_that_had_not_begun():
    experiment = fold(past(), Experiment())
    core = Core(
        experiment, searcher=KeyedSearcher(), scheduler=FIFOScheduler(), stopper=PassiveStopper(), limits=Limits()
    )
    change = SpaceChanged(at=1.0, changes=("x: narrowed",), outside=(0, 1))

    step = core.handle(opened(2), change)

    assert change in step.events
    [stopped] = [event for event in step.events if isinstance(event, TrialStopped)]
    assert stopped.trial == 1
    assert "does not lie in the space" in stopped.reason
    assert [trial.status for trial in experiment.trials] == [Status.RUNNING, Status.STOPPED, Status.RUNNING]


def test_the_searcher_sees_earlier_trials_before_it_is_asked():
    seen = []

    class Listening(KeyedSearcher):
        def observe(self, event, experiment):
            seen.append(type(event))

    experiment = fold(past()[:1], Experiment())
    core = Core(experiment, searcher=Listening(), scheduler=FIFOScheduler(), stopper=PassiveStopper(), limits=Limits())
    earlier = EarlierTrials(at=1.0, source="old", configs=({"x": 1},), losses=((0.5,),), told="took 1 of 1 trials")

    step = core.handle(opened(1), earlier)

    assert step.events == [opened(1), earlier]
    assert seen == [SessionOpened, EarlierTrials]

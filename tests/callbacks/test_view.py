from __future__ import annotations

from tunesmith.callbacks.view import saved_line
from tunesmith.core.events import (
    AttemptEnded,
    Node,
    Placement,
    Reported,
    SessionOpened,
    Suggested,
    TrialCompleted,
    TrialLaunched,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment

HERE = Placement("here", {"cpu": 1.0})


def experiment_with(*, completed=(), stopped=()):
    """An experiment whose trials ended after so many iterations each; 0 for one that never began."""
    experiment = Experiment()
    experiment.apply(SessionOpened(at=0.0, session=1, started=0.0, nodes=(Node("here", {"cpu": 1.0}),)))
    for number, (length, is_stopped) in enumerate([(n, False) for n in completed] + [(n, True) for n in stopped]):
        experiment.apply(Suggested(at=0.0, configs=({},)))
        if length:
            experiment.apply(TrialLaunched(at=0.0, trial=number, attempt=1, placement=HERE))
            experiment.apply(Reported(at=0.0, trial=number, attempt=1, number=length, metrics={}))
        end = TrialStopped(at=0.0, trial=number, reason="") if is_stopped else TrialCompleted(at=0.0, trial=number)
        experiment.apply(end)
        if length:
            experiment.apply(AttemptEnded(at=0.0, trial=number, attempt=1, outcome="done"))
    return experiment


def test_what_was_saved_is_measured_against_the_longest_trial():
    line = saved_line(experiment_with(completed=[10], stopped=[2, 3]))

    assert line.startswith("2 trials were stopped early: 15 iterations instead of 30")
    assert line.endswith("50% less")


def test_a_trial_that_was_stopped_before_it_began_has_saved_all_of_its_training():
    assert saved_line(experiment_with(completed=[10], stopped=[0])).startswith(
        "1 trial was stopped early: 10 iterations instead of 20"
    )


def test_where_nothing_was_stopped_nothing_was_saved():
    assert saved_line(experiment_with(completed=[10, 5])) == ""

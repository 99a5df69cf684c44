import pytest
from small_runs import launch, opening, report

from tunesmith.core.events import TrialPaused
from tunesmith.core.experiment import Experiment
from tunesmith.store.lagging import SHARE, LaggingRows


@pytest.fixture
def rows():
    """The rows of two running trials, all of them written at second 0."""
    experiment, rows = Experiment(), LaggingRows()

    def take(*events):
        for event in events:
            experiment.apply(event)
        rows.take(events, experiment)

    rows.lag = 0.1
    take(*opening(), launch(0), launch(1))
    rows.written(*rows.due(0.0), 0.0, 0.0)
    return rows, take


def test_what_moves_a_trial_is_always_due(rows):
    rows, take = rows
    take(report(0, 1, 0.5))
    rows.written(*rows.due(1.0), 1.0, 2.0)

    take(report(1, 1, 0.4), TrialPaused(at=3.0, trial=0, reason="", held=False))

    assert rows.due(2.0) == ([0], [])


def test_a_new_best_result_is_due_at_once_and_any_other_after_the_lag(rows):
    rows, take = rows
    take(report(0, 1, 0.5), report(1, 1, 0.5))
    assert rows.due(1.0) == ([0, 1], [])
    rows.written([0, 1], [], 1.0, 1.0)
    take(report(0, 2, 0.9))
    assert rows.due(1.0) == ([], [0])
    rows.written([], [0], 1.0, 1.0)

    take(report(0, 3, 0.9), report(1, 2, 0.3))

    assert rows.due(1.05) == ([1], [])
    assert rows.due(1.1) == ([1], [0])


def test_rows_of_results_take_a_small_share_of_the_time(rows):
    rows, take = rows
    take(report(0, 1, 0.5))
    rows.written(*rows.due(1.0), 1.0, 1.5)

    take(report(0, 2, 0.4), report(1, 1, 0.9))

    free_at = 1.0 + 0.5 / SHARE
    assert rows.due(free_at - 0.01) == ([], [])
    assert rows.due(free_at + 0.01) == ([0, 1], [])


def test_what_must_be_written_makes_nothing_else_wait(rows):
    rows, take = rows
    take(TrialPaused(at=3.0, trial=0, reason="", held=False))
    rows.written(*rows.due(1.0), 1.0, 2.0)

    take(report(1, 1, 0.4))

    assert rows.due(2.0) == ([1], [])


def test_nothing_that_is_not_written_yet_is_forgotten(rows):
    rows, take = rows
    take(report(0, 1, 0.5))
    assert rows.due(1.0) == ([0], [])

    take(report(1, 1, 0.5))

    assert rows.due(1.0) == ([0, 1], [])
    assert rows.are_waiting
    rows.written([0, 1], [], 1.0, 1.0)
    assert not rows.are_waiting


def test_without_a_lag_no_row_is_ever_behind(rows):
    rows, take = rows
    rows.lag = 0.0
    take(report(0, 1, 0.5))
    rows.written(*rows.due(1.0), 1.0, 2.0)

    take(report(0, 2, 0.9), report(1, 1, 0.5))

    assert rows.due(2.0) == ([1], [0])

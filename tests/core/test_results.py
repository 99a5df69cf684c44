import math

from tunesmith.core.events import AttemptEnded, AttemptStarted, Placement, Reported, SessionOpened, TrialLaunched
from tunesmith.core.results import AUTOMATIC, Origin, result_dict, result_fields, trial_results, zero_of

CPU = Placement("here", {"cpu": 1.0})
ORIGIN = Origin("run", 7, 1000.0, 42, "here", 3, 30.0)


def report(number, at, attempt=1, checkpoint=None, **metrics):
    return Reported(
        at=at, trial=7, attempt=attempt, number=number, elapsed=10.0 * number, metrics=metrics, checkpoint=checkpoint
    )


def test_a_row_has_all_automatic_fields_after_the_metrics():
    row = result_fields(report(5, 2.5, mean_loss=0.5), ORIGIN, previous=40.0)

    assert set(row) == AUTOMATIC | {"mean_loss"}
    assert next(iter(row)) == "mean_loss"
    assert (row["iterations_since_restore"], row["time_since_restore"], row["time_this_iter_s"]) == (2, 20.0, 10.0)
    assert (row["timestamp"], row["pid"], row["hostname"], row["experiment"], row["trial_id"]) == (
        1002, 42, "here", "run", 7,
    )  # fmt: skip
    assert row["neg_mean_loss"] == -0.5


def test_a_reported_metric_wins_over_an_automatic_field():
    result = report(5, 2.5, pid="mine", done=True)

    assert result_fields(result, ORIGIN, previous=0.0)["pid"] == "mine"
    assert result_fields(result, ORIGIN, previous=0.0)["done"] is True
    assert result_dict(result)["done"] is True


def test_an_attempt_counts_on_from_the_checkpoint_that_it_starts_from():
    events = [
        TrialLaunched(at=0.0, trial=7, attempt=1, placement=CPU),
        AttemptStarted(at=0.0, trial=7, attempt=1, pid=1, host="a"),
        report(1, 1.0, checkpoint="c1"),
        report(2, 2.0),
        AttemptEnded(at=3.0, trial=7, attempt=1, outcome="lost"),
        TrialLaunched(at=3.0, trial=7, attempt=2, placement=CPU, checkpoint="c1"),
        AttemptStarted(at=3.0, trial=7, attempt=2, pid=2, host="b"),
        report(2, 5.0, attempt=2),
    ]
    opened = [SessionOpened(at=0.0, session=1, started=100.0), SessionOpened(at=3.0, session=2, started=1003.0)]

    rows = [row for _, row in trial_results(events, opened, experiment="run", trial=7, done=True)]

    assert [row["training_iteration"] for row in rows] == [1, 2, 2]
    assert [row["iterations_since_restore"] for row in rows] == [1, 2, 1]
    assert [row["time_this_iter_s"] for row in rows] == [10.0, 10.0, 10.0]
    assert [row["timestamp"] for row in rows] == [101, 102, 1005]
    assert [row["pid"] for row in rows] == [1, 1, 2]
    assert [row["done"] for row in rows] == [False, False, True]


def test_an_attempt_that_starts_anew_counts_from_zero():
    events = [
        TrialLaunched(at=0.0, trial=7, attempt=1, placement=CPU),
        report(1, 1.0),
        TrialLaunched(at=2.0, trial=7, attempt=2, placement=CPU),
        report(1, 3.0, attempt=2),
    ]

    rows = [row for _, row in trial_results(events, [], experiment="run", trial=7, done=False)]

    assert [row["time_this_iter_s"] for row in rows] == [10.0, 10.0]
    assert not any(row["done"] for row in rows)


def test_time_between_sessions_does_not_move_the_wall_clock_of_results():
    opened = [SessionOpened(at=0.0, session=1, started=100.0), SessionOpened(at=50.0, session=2, started=900.0)]

    assert zero_of(opened, 10.0) == 100.0
    assert zero_of(opened, 50.0) == 850.0
    assert math.isfinite(zero_of([], 1.0))

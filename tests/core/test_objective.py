from __future__ import annotations

import pytest

from tunesmith.core.events import Reported
from tunesmith.core.objective import WORST, Objective
from tunesmith.errors import ConfigError


def result(**metrics: object) -> Reported:
    return Reported(at=1.0, trial=3, attempt=1, number=5, metrics=metrics, elapsed=2.5)


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(
    "value", [None, float("nan"), float("inf"), float("-inf"), "0.5", [1.0], {"a": 1}, 10**400, -(10**400)]
)
def test_what_is_no_finite_number_ranks_worst_in_both_directions(value, mode):
    assert Objective("loss", mode).loss(result(loss=value)) == WORST


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_missing_metric_ranks_worst(mode):
    assert Objective("loss", mode).loss(result(other=1)) == WORST


def test_a_loss_is_lower_when_better_and_stands_for_its_value():
    assert Objective("x", "min").loss(result(x=2)) == 2.0
    assert Objective("x", "max").loss(result(x=2)) == -2.0
    assert Objective("x", "max").value_of(-2.0) == 2.0
    assert Objective("x", "min").value_of(2.0) == 2.0


@pytest.mark.parametrize(
    ("metric", "loss"), [("training_iteration", 5.0), ("time_total_s", 2.5), ("trial_id", 3.0), ("neg_mean_loss", -4.0)]
)
def test_automatic_fields_can_be_objectives(metric, loss):
    assert Objective(metric, "min").loss(result(mean_loss=4.0)) == loss


@pytest.mark.parametrize("metric", ["", None, 3])
def test_a_metric_without_a_name_is_refused(metric):
    with pytest.raises(ConfigError, match="give the name of a reported metric"):
        Objective(metric)


def test_an_unknown_mode_is_refused():
    with pytest.raises(ConfigError, match="mode='best': give 'min' or 'max'"):
        Objective("loss", "best")

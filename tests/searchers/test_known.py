import math

import numpy as np
import pytest

import tunesmith as tune

from .told import Told

LINE = {"x": tune.uniform(0, 1)}


def test_each_trial_stands_in_one_group():
    told = Told({"x": tune.uniform(0, 1), "kind": tune.choice(["a", "b"])})
    for x in (0.1, 0.2, 0.3, 0.4, 0.5):
        told.suggest({"x": x, "kind": "a"})
    told.complete(0, 1.0)
    told.fail(1)
    told.complete(2, math.nan)
    told.fail(3, kind="lost")

    history = told.history()

    assert history.points.tolist() == [[0.1, 0.0]]
    assert history.losses.tolist() == [1.0]
    assert history.spread.tolist() == [0.0]
    assert history.failed.tolist() == [[0.2, 0.0], [0.3, 0.0]]
    assert history.pending.tolist() == [[0.5, 0.0]]
    assert len(history.proposed) == 5
    assert history.workers == 5


def test_a_trial_is_worth_its_best_loss():
    told = Told(LINE)
    told.suggest({"x": 0.5})
    told.report(0, 1.0)
    told.complete(0, 2.0)

    assert told.history().losses.tolist() == [1.0]


def test_with_several_objectives_it_is_worth_its_last_ones():
    told = Told(LINE, more=(("size", "max"),))
    told.suggest({"x": 0.5})
    told.report(0, 1.0, size=5)
    told.complete(0, 2.0, size=7)

    assert told.history().objectives.tolist() == [[2.0, -7.0]]


@pytest.mark.parametrize("ended", ["stop", "pause", None])
def test_a_trial_that_is_not_complete_counts_by_what_became_of_others(ended):
    told = Told(LINE)
    for x in (0.1, 0.2, 0.3, 0.4):
        told.suggest({"x": x})
    for trial in range(4):
        told.report(trial, 1.0 + trial, waits=True)
    for trial in range(3):
        told.complete(trial, 0.5 + trial)
    if ended is not None:
        getattr(told, ended)(3)

    history = told.history()

    assert history.trials.tolist() == [0, 1, 2, 3]
    assert history.losses[:3].tolist() == [0.5, 1.5, 2.5]
    assert (history.spread[:3] == 0).all()
    assert history.spread[3] > 0
    assert history.losses[3] == pytest.approx(3.5, abs=0.6)
    assert len(history.pending) == 0


def test_what_an_interrupted_session_paused_is_pending():
    told = Told(LINE)
    told.suggest({"x": 0.5})
    told.report(0, 1.0)
    told.pause(0, interrupted=True)

    assert told.history().pending.tolist() == [[0.5]]


def test_a_trial_that_was_stopped_before_it_said_anything_is_in_no_group():
    told = Told(LINE)
    told.suggest({"x": 0.5})
    told.stop(0)

    history = told.history()

    assert [len(rows) for rows in (history.points, history.pending, history.failed, history.proposed)] == [0, 0, 0, 1]


def test_trials_outside_a_changed_space_are_not_learned_from():
    told = Told(LINE)
    told.suggest({"x": 0.5}, {"x": 7.5})
    told.complete(0, 1.0)
    told.complete(1, 0.0)

    history = told.history()

    assert history.trials.tolist() == [0]
    assert np.isfinite(history.proposed).all()


def test_a_rule_that_judges_every_result_does_not_make_a_thousand_levels():
    told = Told(LINE)
    told.suggest({"x": 0.5})
    for _ in range(1000):
        told.report(0, 1.0, waits=True)

    assert 20 < len(told.history().rungs) < 60


def test_a_history_stays_as_it_was():
    told = Told(LINE)
    told.suggest({"x": 0.5}, {"x": 0.6})
    told.complete(0, 1.0)
    before = told.history()
    for x in np.linspace(0.1, 0.9, 100):
        told.complete(told.suggest({"x": float(x)}), float(x))

    assert before.losses.tolist() == [1.0]
    assert before.proposed.tolist() == [[0.5], [0.6]]
    assert before.stamp != told.history().stamp

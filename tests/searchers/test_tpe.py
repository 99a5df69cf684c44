import itertools

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.core.dominance import hypervolume
from tunesmith.errors import ConfigError
from tunesmith.executors.simulated import Faults
from tunesmith.searchers.history import History
from tunesmith.searchers.named import searcher_named
from tunesmith.searchers.tpe import TPESearcher, best_first, evenly
from tunesmith.space.space import Space

from .searching import CONDITIONAL, PROBLEMS, all_are_good, check_that_a_resume_changes_nothing, driven, of_conditional

STAMPS = itertools.count()
FLAT = {"a": tune.uniform(0, 1), "b": tune.uniform(0, 1)}


def history_of(searcher, points, losses, *, pending=(), failed=(), spread=None, objectives=None):
    width = searcher.encoding.width
    points = np.asarray(points, dtype=float).reshape(-1, width)
    losses = np.asarray(losses, dtype=float)
    return History(
        encoding=searcher.encoding,
        points=points,
        losses=losses,
        objectives=losses[:, None] if objectives is None else np.asarray(objectives, dtype=float),
        spread=np.zeros(len(losses)) if spread is None else np.asarray(spread, dtype=float),
        trials=np.arange(len(losses)),
        seconds=np.ones(len(losses)),
        pending=np.asarray(pending, dtype=float).reshape(-1, width),
        failed=np.asarray(failed, dtype=float).reshape(-1, width),
        failed_trials=len(points) + np.arange(len(failed)),
        proposed=np.concatenate([points, np.asarray(pending, dtype=float).reshape(-1, width)]),
        rungs={},
        stamp=next(STAMPS),
        total=None,
        workers=1,
    )


def searcher_of(space, seed=1, **settings):
    return TPESearcher(**settings).bound_to(Space(space), -1, seed)


def bowl(searcher, count, centre=0.3):
    points = searcher.encoding.uniform(count, np.random.default_rng(3))
    return points, ((points - centre) ** 2).sum(axis=1)


def proposals(searcher, history, count=50):
    return np.array([searcher.propose(history, number) for number in range(count)])


def test_it_is_called_tpe():
    assert isinstance(searcher_named("tpe"), TPESearcher)


def test_it_looks_near_the_best():
    searcher = searcher_of(FLAT)
    found = proposals(searcher, history_of(searcher, *bowl(searcher, 60)))

    # Random rows would lie at a distance of 0.44 on average.
    assert np.linalg.norm(found - 0.3, axis=1).mean() < 0.2


def test_the_same_question_has_the_same_answer_also_after_a_restart():
    one, other = searcher_of(FLAT), searcher_of(FLAT)
    history = history_of(one, *bowl(one, 30))
    one.propose(history_of(one, *bowl(one, 20)), 5)

    assert list(one.propose(history, 9)) == list(other.propose(history, 9))
    assert list(one.propose(history, 9)) != list(one.propose(history, 10))


def test_pending_trials_are_kept_away_from():
    searcher = searcher_of(FLAT)
    points, losses = bowl(searcher, 40)
    near = proposals(searcher, history_of(searcher, points, losses)).mean(axis=0)
    pending = near + np.random.default_rng(1).normal(0, 0.03, (15, 2))
    away = proposals(searcher, history_of(searcher, points, losses, pending=pending))

    closer = proposals(searcher, history_of(searcher, points, losses))
    assert np.linalg.norm(away - near, axis=1).mean() > 1.2 * np.linalg.norm(closer - near, axis=1).mean()


def test_where_trials_failed_it_looks_less():
    searcher = searcher_of(FLAT)
    points, losses = bowl(searcher, 40, centre=0.5)
    points, losses = np.concatenate([points, 1 - points]), np.concatenate([losses, losses])  # good on both sides
    fails = np.random.default_rng(1).uniform([0.5, 0.0], [1.0, 1.0], (40, 2))

    free = proposals(searcher, history_of(searcher, points, losses))
    wary = proposals(searcher, history_of(searcher, points, losses, failed=fails))

    assert (wary[:, 0] > 0.5).mean() < 0.6 * (free[:, 0] > 0.5).mean()


def test_it_learns_which_option_and_what_is_inside_it():
    space = {"m": tune.choice(["no", {"depth": tune.uniform(0, 1)}, {"units": tune.uniform(0, 1)}])}
    searcher = searcher_of(space)
    points = searcher.encoding.uniform(90, np.random.default_rng(4))
    depth = np.nan_to_num(points[:, 1], nan=2.0)
    losses = np.where(points[:, 0] == 1, (depth - 0.8) ** 2, 1.0)
    found = proposals(searcher, history_of(searcher, points, losses))

    assert (found[:, 0] == 1).mean() > 0.7
    assert abs(np.nanmean(found[:, 1]) - 0.8) < 0.15


def test_levels_and_choices_are_proposed_as_they_are():
    searcher = searcher_of({"k": tune.randint(0, 4), "c": tune.choice(["a", "b"]), "x": tune.uniform(0, 1)})
    found = proposals(searcher, history_of(searcher, *bowl(searcher, 20)))

    assert set(found[:, 0]) <= {0.125, 0.375, 0.625, 0.875}
    assert set(found[:, 1]) <= {0.0, 1.0}


def test_of_a_finite_space_it_takes_the_best_that_is_new():
    searcher = searcher_of({"c": tune.choice(["a", "b", "c"]), "d": tune.choice(["a", "b", "c"])})
    points = searcher.encoding.every()[:7]
    left = {tuple(row) for row in searcher.encoding.every()[7:]}
    found = proposals(searcher, history_of(searcher, points, np.arange(7.0)), 10)

    assert {tuple(row) for row in found} <= left


def test_an_option_that_no_good_trial_has_is_tried_again_near_the_good_ones():
    searcher = searcher_of({"x": tune.uniform(0, 1), "c": tune.choice(["a", "b", "c"])})
    points = searcher.encoding.uniform(60, np.random.default_rng(3))
    losses = (points[:, 0] - 0.3) ** 2 + 10 * (points[:, 1] != 1)
    found = proposals(searcher, history_of(searcher, points, losses), 200)
    others = found[found[:, 1] != 1]

    # 15% of 200, give or take 4 standard deviations: fails by chance once in 15,000 times.
    assert 10 <= len(others) <= 50
    assert abs(np.median(others[:, 0]) - 0.3) < 0.15


def test_a_loss_that_is_hardly_known_counts_less():
    searcher = searcher_of(FLAT)
    points, losses = bowl(searcher, 40, centre=0.2)
    lucky = np.full((4, 2), 0.9) + np.random.default_rng(2).normal(0, 0.02, (4, 2))
    every, all_losses = np.concatenate([points, lucky]), np.concatenate([losses, np.full(4, -0.01)])

    def share(spread):
        history = history_of(searcher, every, all_losses, spread=[0.0] * 40 + [spread] * 4)
        return (proposals(searcher, history) > 0.7).all(axis=1).mean()

    assert share(5.0) < 0.5 * share(0.0)


def test_several_objectives_are_weighed_front_by_front():
    searcher = searcher_of(FLAT)
    objectives = np.array([[0.0, 3.0], [3.0, 0.0], [1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    history = history_of(searcher, np.full((5, 2), 0.5), objectives[:, 0], objectives=objectives)

    assert set(best_first(history, 3)[:3]) == {0, 1, 2}
    assert list(best_first(history, 4)[3:]) == [3, 4]


def two_objectives(points):
    off = abs(points[:, 1] - 0.5) + abs(points[:, 2] - 0.5)
    return np.stack([points[:, 0] + off, (1 - points[:, 0]) ** 2 + off], axis=1)


def test_it_finds_the_front_of_two_objectives():
    found, by_chance = [], []
    for seed in range(5):
        searcher = searcher_of({**FLAT, "c": tune.uniform(0, 1)}, seed)
        points = searcher.encoding.uniform(60, np.random.default_rng(seed))
        by_chance.append(hypervolume(two_objectives(points), [2, 2]))
        points = points[:10]
        for number in range(10, 60):
            objectives = two_objectives(points)
            row = searcher.propose(history_of(searcher, points, objectives[:, 0], objectives=objectives), number)
            points = np.concatenate([points, row[None]])
        found.append(hypervolume(two_objectives(points), [2, 2]))

    # Were both alike, ours would be larger in all 5 by chance in 1 of 32 times; with these seeds it is.
    assert all(ours > theirs for ours, theirs in zip(found, by_chance, strict=True))


def test_many_bad_trials_are_thinned_out_evenly():
    assert list(evenly(np.arange(9), 3)) == [0, 4, 8]
    assert list(evenly(np.arange(2), 3)) == [0, 1]


@pytest.mark.parametrize("wrong", [{"gamma": 0.0}, {"gamma": "many"}, {"n_candidates": 0}, {"min_bandwidth": 2}])
def test_an_argument_that_makes_no_sense_is_an_error(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        TPESearcher(**wrong)


@pytest.mark.parametrize("workers", [1, 8])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_it_beats_random_search_on_smooth_problems(problem, workers):
    # Were it no better than random search, this would pass once in 10,000 times.
    assert all_are_good(TPESearcher(), problem, workers=workers)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_new_session_proposes_what_the_old_one_would_have(workers):
    settings, faults = TPESearcher(n_initial_points=4), Faults(seed=1, fails=0.05, is_lost=0.05)
    run = driven(settings, CONDITIONAL, of_conditional, trials=40, workers=workers, seed=3, faults=faults)

    check_that_a_resume_changes_nothing(settings, run, CONDITIONAL, trials=40, seed=3)

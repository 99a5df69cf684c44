import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tunesmith.searchers.fronts import front_ranks
from tunesmith.searchers.hypervolume import (
    boxes_below,
    log_hypervolume_improvement,
    log_hypervolume_slopes,
)


def front_of(objectives, count=6, seed=0):
    points = np.random.default_rng(seed).random((40, objectives))
    return points[front_ranks(points) == 0][:count]


def volume_gained(samples, front, reference):
    """By what each sample would add to the dominated volume, from boxes of the union: slow and plain."""
    grid = np.random.default_rng(5).uniform(-1.0, reference, (20_000, len(reference)))
    free = ~(front[:, None] <= grid).all(axis=2).any(axis=0)
    whole = np.prod(reference + 1.0)
    return np.array([((sample <= grid).all(axis=1) & free).mean() * whole for sample in samples])


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
def test_the_boxes_are_disjoint_and_hold_just_what_no_point_of_the_front_dominates(objectives):
    front, reference = front_of(objectives), np.full(objectives, 1.1)
    boxes = boxes_below(front, reference)
    probes = np.random.default_rng(1).uniform(-0.2, 1.1, (2000, objectives))

    index = np.arange(objectives)
    low, high = boxes.levels[index, boxes.low], boxes.levels[index, boxes.high]
    inside = ((low <= probes[:, None]) & (probes[:, None] < high)).all(axis=2).sum(axis=1)

    free = ~(front[None] <= probes[:, None]).all(axis=2).any(axis=1)
    assert (inside == free).all()


@pytest.mark.parametrize("objectives", [2, 3])
def test_the_expected_improvement_is_the_mean_over_draws(objectives):
    front, reference = front_of(objectives), np.full(objectives, 1.1)
    mean, deviation = np.full(objectives, 0.25), np.linspace(0.1, 0.2, objectives)
    draws = mean + deviation * np.random.default_rng(2).standard_normal((200, objectives))

    found = np.exp(log_hypervolume_improvement(mean[None], deviation[None], boxes_below(front, reference)))[0]

    gains = volume_gained(draws, front, reference)
    # 5 standard errors of the mean of the draws: fails by chance once in 1.7 million choices of seeds.
    assert abs(found - gains.mean()) < 5 * gains.std() / np.sqrt(len(gains)) + 2e-3


@pytest.mark.parametrize("mean", [[0.3, 0.4], [2.5, 0.1], [3.0, 3.0]])
def test_its_slopes_are_what_finite_differences_say(mean):
    boxes = boxes_below(front_of(2), np.array([1.1, 1.1]))
    at = np.array([*mean, 0.02, 0.03])

    def value(at):
        return log_hypervolume_improvement(at[None, :2], np.sqrt(at[None, 2:]), boxes)[0]

    found, by_mean, by_variance = log_hypervolume_slopes(at[:2], at[2:], boxes)

    assert found == pytest.approx(value(at))
    assert np.allclose([*by_mean, *by_variance], approx_fprime(at, value, 1e-7), rtol=1e-3, atol=1e-4)


def test_one_point_and_none_are_fronts_too():
    alone = boxes_below(np.array([[0.5, 0.5]]), np.array([1.0, 1.0]))
    none = boxes_below(np.empty((0, 2)), np.array([1.0, 1.0]))

    sure = np.full((1, 2), 1e-6)
    assert np.exp(log_hypervolume_improvement(np.zeros((1, 2)), sure, alone))[0] == pytest.approx(0.75, rel=1e-4)
    assert np.exp(log_hypervolume_improvement(np.zeros((1, 2)), sure, none))[0] == pytest.approx(1.0, rel=1e-4)

import random

import numpy as np
import pytest

from tunesmith.core.dominance import dominates
from tunesmith.searchers.fronts import crowding, front_ranks, order_of

INF = float("inf")


def peeled(points):
    """Return each point's front by the definition."""
    ranks, left, front = [0] * len(points), set(range(len(points))), 0
    while left:
        on = {one for one in left if not any(dominates(points[other], points[one]) for other in left)}
        for one in on:
            ranks[one] = front
        left, front = left - on, front + 1
    return ranks


@pytest.mark.parametrize("objectives", [1, 2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_fronts_are_what_the_definition_says(objectives, seed):
    draw = random.Random(seed)
    values = [0.0, 0.5, 1.0, 2.0, INF] if seed % 2 else [draw.random() for _ in range(40)]
    points = [tuple(draw.choice(values) for _ in range(objectives)) for _ in range(draw.randint(1, 30))]

    assert front_ranks(np.array(points)).tolist() == peeled(points)


def test_once_enough_have_a_front_the_others_share_one():
    points = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])

    assert front_ranks(points, enough=2).tolist() == [0, 1, 2, 2]


def test_the_ends_of_a_front_are_not_crowded_and_wide_gaps_are_less_so():
    distances = crowding(np.array([[0.0, 1.0], [0.1, 0.9], [0.2, 0.8], [0.9, 0.1], [1.0, 0.0]]))

    assert distances[0] == distances[4] == INF
    assert distances[2] == distances[3] > distances[1]


def test_crowding_stands_infinite_losses():
    assert not np.isnan(crowding(np.array([[0.0, INF], [1.0, INF], [2.0, INF], [INF, 0.0]]))).any()


def test_the_order_is_by_front_and_then_by_room():
    points = np.array([[3.0, 3.0], [0.0, 1.0], [0.1, 0.9], [0.5, 0.5], [1.0, 0.0]])

    assert order_of(points).tolist() == [1, 4, 3, 2, 0]


def test_one_loss_is_simply_sorted_the_earlier_of_equals_first():
    assert order_of(np.array([[2.0], [1.0], [1.0], [INF]])).tolist() == [1, 2, 0, 3]

import math
import random

import pytest

from tunesmith.core.dominance import (
    Fronts,
    dominates,
    epsilon_net,
    hypervolume,
    hypervolume_order,
    non_dominated,
)

# Everything once more from the definitions: slow, and nothing shared with the code.


def naive_dominates(one, other):
    return all(a <= b for a, b in zip(one, other, strict=True)) and any(a < b for a, b in zip(one, other, strict=True))


def naive_fronts(points):
    left, fronts = set(range(len(points))), []
    while left:
        front = {i for i in left if not any(naive_dominates(points[j], points[i]) for j in left)}
        fronts.append(front)
        left -= front
    return fronts


def naive_scaled(points):
    scaled = []
    for point in points:
        row = []
        for axis, value in enumerate(point):
            finite = [other[axis] for other in points if other[axis] < math.inf]
            if value == math.inf:
                row.append(2.0)
            elif max(finite) == min(finite):
                row.append(0.0)
            else:
                row.append((value - min(finite)) / (max(finite) - min(finite)))
        scaled.append(row)
    return scaled


def naive_epsilon_net(points, count):
    scaled = naive_scaled(points)
    picked = [min(range(len(points)), key=lambda i: (points[i], i))]
    while len(picked) < min(count, len(points)):
        rest = [i for i in range(len(points)) if i not in picked]
        gaps = {
            i: min(sum((a - b) ** 2 for a, b in zip(scaled[i], scaled[j], strict=True)) for j in picked) for i in rest
        }
        picked.append(min(rest, key=lambda i: (-gaps[i], i)))
    return picked


def sampled_hypervolume(points, reference, draws):
    hits = 0
    for _ in range(draws.count):
        spot = [draws.uniform(0, corner) for corner in reference]
        hits += any(all(a <= b for a, b in zip(point, spot, strict=True)) for point in points)
    return hits / draws.count * math.prod(reference)


def cloud(seed, losses, count, kind):
    draw = random.Random(seed)
    points = []
    for _ in range(count):
        match kind:
            case "lattice":
                point = [draw.randint(0, 4) for _ in range(losses)]
            case "continuous":
                point = [draw.random() for _ in range(losses)]
            case "conflict":
                first = draw.random()
                point = [first, *(1 - first + draw.gauss(0, 0.02) for _ in range(losses - 1))]
        points.append(tuple(math.inf if draw.random() < 0.08 else float(value) for value in point))
        if draw.random() < 0.1:
            points.append(draw.choice(points))
    return points


CLOUDS = [(losses, kind) for losses in (1, 2, 3, 4) for kind in ("lattice", "continuous", "conflict")]


@pytest.mark.parametrize(("losses", "kind"), CLOUDS)
def test_the_fronts_are_those_of_naive_sorting_after_every_arrival(losses, kind):
    for seed in range(4):
        points, fronts = cloud(seed, losses, 32, kind), Fronts(losses)
        for count, point in enumerate(points, start=1):
            index = fronts.add(point)

            wanted = naive_fronts(points[:count])
            assert [{number for _, number in fronts.members(i)} for i in range(len(fronts.sizes()))] == wanted
            assert count - 1 in wanted[index]
            assert fronts.sizes() == [len(front) for front in wanted]
            assert fronts.before(index) == sum(len(front) for front in wanted[:index])
        assert all(points[number] == held for i in range(len(wanted)) for held, number in fronts.members(i))


@pytest.mark.parametrize("losses", [2, 3])
def test_many_points_are_sorted_as_naively(losses):
    points, fronts = cloud(9, losses, 400, "continuous"), Fronts(losses)
    for point in points:
        fronts.add(point)

    assert [{number for _, number in fronts.members(i)} for i in range(len(fronts.sizes()))] == naive_fronts(points)


@pytest.mark.parametrize(("losses", "kind"), CLOUDS)
def test_the_first_front_is_what_nobody_dominates(losses, kind):
    for seed in range(10):
        points = cloud(seed, losses, 40, kind)

        assert set(non_dominated(points)) == naive_fronts(points)[0]
    assert non_dominated([]) == []


@pytest.mark.parametrize(("losses", "kind"), CLOUDS)
def test_the_epsilon_net_is_the_naive_one(losses, kind):
    for seed in range(6):
        points = cloud(seed, losses, 60, kind)
        front = [points[index] for index in non_dominated(points)]
        for count in (1, 2, len(front) // 2, len(front), len(front) + 3):
            assert epsilon_net(front, count) == naive_epsilon_net(front, max(1, count))[: max(count, 0)]


def test_the_epsilon_net_begins_at_the_best_first_loss_and_goes_to_the_other_end():
    assert epsilon_net([(0.4, 0.6), (0.0, 1000.0), (1.0, 0.0), (0.41, 0.59)], 3) == [1, 2, 0]


def test_the_unit_of_a_loss_changes_nothing():
    points = [(x, 1 - x**0.5) for x in (0.0, 0.1, 0.3, 0.4, 0.8, 1.0)]

    assert epsilon_net([(x * 1024, y / 4096) for x, y in points], 6) == epsilon_net(points, 6)
    assert hypervolume_order([(x * 1024, y / 4096) for x, y in points]) == hypervolume_order(points)


@pytest.mark.parametrize("losses", [1, 2, 3, 4])
def test_the_hypervolume_is_the_share_of_random_spots_that_are_dominated(losses):
    draws = random.Random(losses)
    draws.count = 4_000
    for seed in range(3):
        points = [point for point in cloud(seed, losses, 12, "continuous") if max(point) < math.inf]
        reference = [0.9 + 0.1 * axis for axis in range(losses)]

        # 5 standard errors: fails by chance once in a million.
        error = 5 * math.prod(reference) * 0.5 / math.sqrt(draws.count)
        assert abs(hypervolume(points, reference) - sampled_hypervolume(points, reference, draws)) < error


def test_the_hypervolume_of_a_staircase():
    assert hypervolume([(1, 3), (2, 2), (3, 1), (2, 2), (9, 0)], (4, 4)) == 6
    assert hypervolume([(0, 0, 0), (1, 1, 1)], (2, 2, 2)) == 8
    assert hypervolume([(5, 5)], (4, 4)) == 0
    assert hypervolume([], (1, 1)) == 0


@pytest.mark.parametrize(("losses", "kind"), [each for each in CLOUDS if each[0] in (2, 3)])
def test_points_are_ordered_by_what_the_hypervolume_loses_without_them(losses, kind):
    for seed in range(6):
        points = cloud(seed, losses, 25, kind)
        front = [points[index] for index in non_dominated(points)]
        scaled, corner = naive_scaled(front), [1.1] * losses
        shares = []
        for index, point in enumerate(front):
            if point in front[:index]:
                shares.append(0.0)
                continue
            others = [scaled[i] for i in range(len(front)) if front[i] != point]
            shares.append(hypervolume(scaled, corner) - hypervolume(others, corner))

        order = hypervolume_order(front)

        assert sorted(order) == list(range(len(front)))
        ordered = [shares[index] for index in order]
        assert ordered == pytest.approx(sorted(shares, reverse=True), abs=1e-9)


def test_equal_points_do_not_dominate_each_other():
    assert not dominates((1.0, math.inf), (1.0, math.inf))
    assert dominates((1.0, 2.0), (1.0, math.inf))
    assert not dominates((1.0, 2.0), (0.5, 3.0))

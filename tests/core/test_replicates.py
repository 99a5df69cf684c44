import math
import random

import pytest
from scipy import stats

from tunesmith.core.replicates import Groups, best_standing, mean_interval, standings, without_key


def configs_in_blocks(groups, replicates, block):
    """(group, config) for each trial: replicate by replicate within a block of configs."""
    made = []
    for first in range(0, groups, block):
        for replicate in range(replicates):
            block_groups = range(first, min(groups, first + block))
            made += [(group, {"x": group, "replicate": replicate}) for group in block_groups]
    return made


@pytest.mark.parametrize("block", [1, 2, 5, 100])
def test_trials_find_their_group_however_replicates_are_mixed(block):
    groups = Groups(3)
    made = configs_in_blocks(7, 3, block)

    assert [groups.add(config) for _, config in made] == [group for group, _ in made]
    assert groups.counts == [7, 7, 7]
    assert [[made[trial][1]["replicate"] for trial in trials] for trials in groups.trials] == [[0, 1, 2]] * 7


def test_equal_configs_are_two_groups():
    groups = Groups(2)

    assert [groups.add({"x": 1, "replicate": k}) for k in (0, 0, 1, 1)] == [0, 1, 0, 1]


def test_more_replicates_rank_before_a_better_mean_of_fewer():
    trials = [({"replicate": 0}, 1.0), ({"replicate": 0}, 0.1), ({"replicate": 1}, 3.0), ({"replicate": 1}, None)]

    first, second = standings(trials, 2)

    assert (first.losses, first.trials, first.all_trials) == ((1.0, 3.0), (0, 2), (0, 2))
    assert (second.losses, second.trials, second.all_trials) == ((0.1,), (1,), (1, 3))
    assert best_standing([first, second]) is first
    assert best_standing(standings([({"replicate": 0}, None)], 2)) is None


def test_the_representative_is_nearest_to_the_mean_and_not_the_luckiest():
    (group,) = standings([({"replicate": k}, loss) for k, loss in enumerate([0.0, 10.0, 6.0, 4.0])], 4)

    assert group.mean == 5.0
    assert group.representative == 2, "of 6 and 4 the earlier trial"


def test_the_interval_is_students():
    draw = random.Random(1)
    for count in range(2, 12):
        values = [draw.gauss(3, 2) for _ in range(count)]
        wanted = stats.t.interval(0.95, count - 1, loc=sum(values) / count, scale=stats.sem(values))

        assert mean_interval(values) == pytest.approx(wanted)
    assert mean_interval([1.0]) is None
    assert mean_interval([2.0, 2.0]) == (2.0, 2.0)


def test_what_replicates_share_is_their_config_without_the_key():
    assert without_key({"replicate": 1, "lr": {"replicate": 3}}) == {"lr": {"replicate": 3}}


def test_a_group_without_a_count_is_the_worst():
    counted, empty = standings([({"replicate": 0}, 1e300), ({"replicate": 0}, None)], 2)

    assert empty.mean == math.inf
    assert counted.rank < empty.rank
    assert empty.representative is None

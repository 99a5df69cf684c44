"""The pieces of the cluster's benchmarks that need no cluster."""

import math

import pytest
from benchmarks.cluster.on_this_machine import keeps_up
from benchmarks.cluster.ratios import ratio, times
from benchmarks.cluster.ray_alone import steady_rate


def test_a_ratio_is_the_geometric_mean_of_its_pairs():
    middle, interval = ratio([8.0, 2.0], [2.0, 2.0])

    assert middle == pytest.approx(2.0)
    # Two pairs, half a step of log 4 from the middle each: Student's t with one degree of freedom.
    half = 12.71 * math.log(2)
    assert interval == pytest.approx((2 * math.exp(-half), 2 * math.exp(half)))


def test_one_pair_has_no_interval():
    assert ratio([3.0], [2.0]) == (pytest.approx(1.5), None)


def test_a_peer_that_is_not_there_says_so_in_place_of_a_ratio():
    figure = times("trials", [{"fresh": 50.0}], [{"missing": "not installed"}], "fresh", 100)

    assert figure.ours == "not installed"
    assert figure.met is False


def test_the_steady_rate_leaves_the_first_one_out():
    assert steady_rate([10.0, 10.5, 11.0, 11.5, 12.0]) == 2.0


def test_virtual_agents_are_agents_to_the_driver(tmp_path):
    answer = keeps_up(tmp_path, workers=100, seconds=3)

    assert answer["lost"] == 0
    assert 0 < answer["rate"] < 120

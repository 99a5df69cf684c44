from __future__ import annotations

import random

import pytest

from tunesmith.core.bundles import Bundles
from tunesmith.core.events import Node, Placement
from tunesmith.core.resources import Pool, checked_request
from tunesmith.errors import ResourceError


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"cpu": -1}, r"'cpu' is -1; it must be 0 or more"),
        ({"cpu": float("nan")}, r"'cpu' is nan; it must be 0 or more"),
        ({"cpu": float("inf")}, r"'cpu' is inf; it must be 0 or more"),
        ({"cpu": "1"}, r"'cpu': '1' is not an amount"),
        ({"cpu": True}, r"'cpu': True is not an amount"),
        ({1: 1}, r"1: 1 is not an amount"),
        ({"gpu": 1.5}, r"gpu=1.5: above 1 ask for whole GPUs"),
    ],
)
def test_a_wrong_request_is_refused_with_its_resource(request_, message):
    with pytest.raises(ResourceError, match=message):
        checked_request(request_)


def test_a_request_loses_its_zeros():
    assert checked_request({"cpu": 1, "gpu": 0}) == {"cpu": 1}


def test_fractions_add_up_exactly():
    pool = Pool([Node("a", {"cpu": 1})])
    for trial in range(10):
        pool.take(trial, pool.find({"cpu": 0.1}))

    assert pool.find({"cpu": 0.1}) is None
    pool.release(3)
    assert pool.find({"cpu": 0.1}) is not None


def test_fractions_of_a_gpu_share_the_fullest_one_so_that_whole_ones_stay_whole():
    pool = Pool([Node("a", {"gpu": 2}, ("g0", "g1"))])
    for trial in range(2):
        pool.take(trial, pool.find({"gpu": 0.5}))

    assert pool.find({"gpu": 1}) == Placement("a", {"gpu": 1}, ("g1",))


def test_a_fraction_never_spans_two_gpus():
    pool = Pool([Node("a", {"gpu": 2}, ("g0", "g1"))])
    for trial in range(2):
        pool.take(trial, pool.find({"gpu": 0.6}))

    assert pool.find({"gpu": 0.6}) is None
    assert pool.find({"gpu": 0.4}) is not None


def test_whole_gpus_come_from_one_node():
    pool = Pool([Node("a", {"gpu": 1}, ("a0",)), Node("b", {"gpu": 2}, ("b0", "b1"))])

    assert pool.find({"gpu": 2}) == Placement("b", {"gpu": 2}, ("b0", "b1"))


def test_room_counts_over_all_nodes_up_to_what_is_asked():
    pool = Pool([Node("a", {"cpu": 3}), Node("b", {"cpu": 5})])

    assert (pool.room({"cpu": 2}, at_most=10), pool.room({"cpu": 2}, at_most=2)) == (3, 2)


def test_a_node_that_shrank_under_what_it_holds_takes_nothing_from_the_others():
    pool = Pool([Node("a", {"cpu": 8})])
    pool.take(0, pool.find({"cpu": 8}))

    pool.replace_nodes([Node("a", {"cpu": 1}), Node("b", {"cpu": 2})])

    assert pool.room({"cpu": 1}, at_most=10) == 2
    assert pool.find({"cpu": 1}).node == "b"


def test_what_is_held_on_a_node_that_left_is_held_again_when_it_comes_back():
    node = Node("a", {"cpu": 1})
    pool = Pool([node])
    pool.take(0, pool.find({"cpu": 1}))

    pool.replace_nodes([])
    pool.replace_nodes([node])

    assert pool.find({"cpu": 1}) is None
    pool.release(0)
    assert pool.find({"cpu": 1}) is not None


def test_what_did_not_fit_is_tried_again_when_a_node_joins():
    pool = Pool([])
    assert (pool.find({"cpu": 1}), pool.room({"cpu": 1}, at_most=1)) == (None, 0)

    pool.replace_nodes([Node("a", {"cpu": 1})])

    assert (pool.find({"cpu": 1}).node, pool.room({"cpu": 1}, at_most=1)) == ("a", 1)


def test_releasing_twice_gives_nothing_away():
    pool = Pool([Node("a", {"cpu": 2})])
    pool.take(0, pool.find({"cpu": 1}))
    pool.release(0)
    pool.release(0)

    assert pool.usage() == {"cpu": (0.0, 2.0)}


def test_an_impossible_request_says_what_each_node_lacks_and_how_to_oversubscribe():
    pool = Pool([Node("a", {"cpu": 2}), Node("b", {"cpu": 8})])

    with pytest.raises(ResourceError) as error:
        pool.check({"cpu": 4, "gpu": 1})

    assert "a lacks cpu 4 of 2, gpu 1 of 0; b lacks gpu 1 of 0" in str(error.value)
    assert "max_concurrent_trials" in str(error.value)


def test_a_request_that_fits_an_empty_node_passes_however_full_it_is():
    pool = Pool([Node("a", {"cpu": 1})])
    pool.take(0, pool.find({"cpu": 1}))

    pool.check({"cpu": 1})


def test_random_takes_and_releases_never_hold_more_than_the_nodes_have():
    draw = random.Random(1)
    nodes = [Node("a", {"cpu": 4, "gpu": 2}, ("a0", "a1")), Node("b", {"cpu": 2, "gpu": 3}, ("b0", "b1", "b2"))]
    pool, held = Pool(nodes), {}
    for trial in range(3000):
        if held and draw.random() < 0.5:
            number = draw.choice(list(held))
            pool.release(number)
            del held[number]
        request = {"cpu": draw.choice([0.5, 1, 2]), "gpu": draw.choice([0.3, 0.5, 1, 2])}
        room, placement = pool.room(request, at_most=99), pool.find(request)
        assert placement is None or room > 0
        if placement is not None:
            pool.take(trial, placement)
            held[trial] = placement
        shares = dict.fromkeys(("a0", "a1", "b0", "b1", "b2"), 0.0)
        for one in held.values():
            assert len(one.gpus) == max(1, int(one.resources["gpu"]))
            for gpu in one.gpus:
                shares[gpu] += min(1.0, one.resources["gpu"])
        assert max(shares.values()) <= 1.0 + 1e-9
        usage = pool.usage()
        assert usage["cpu"][0] == pytest.approx(sum(one.resources["cpu"] for one in held.values()))
        assert usage["cpu"][0] <= 6
        assert usage["gpu"][0] <= 5


def test_what_a_node_has_left_is_known_node_by_node():
    pool = Pool([Node("a", {"cpu": 3}), Node("b", {"cpu": 1, "gpu": 1})])
    pool.take(0, pool.find({"cpu": 2}))

    assert (pool.free_on("a"), pool.free_on("b"), pool.free_on("gone")) == ({"cpu": 1}, {"cpu": 1, "gpu": 1}, {})


def test_a_node_that_is_expected_gives_nothing_yet_and_may_be_waited_for():
    pool = Pool([Node("here", {"cpu": 1}), Node("coming", {"cpu": 4}, expected=True)])

    pool.check({"cpu": 4})
    assert pool.find({"cpu": 4}) is None
    assert pool.room({"cpu": 1}, at_most=9) == 1
    assert pool.is_awaited_for({"cpu": 4})
    assert not pool.is_awaited_for({"cpu": 1})  # the node that is here can run it, if it is free
    assert not pool.is_awaited_for({"cpu": 8})

    pool.replace_nodes([Node("here", {"cpu": 1}), Node("coming", {"cpu": 4})])

    assert pool.find({"cpu": 4}).node == "coming"
    assert not pool.is_awaited_for({"cpu": 4})


def test_a_node_that_may_have_anything_is_waited_for_whatever_a_trial_asks_for():
    pool = Pool([Node("a", {"cpu": 1}), *(Node(f"to come, {n}", {"*": 1e9}, expected=True) for n in range(2))])

    pool.check({"cpu": 4, "license": 2})
    assert pool.is_awaited_for({"cpu": 4, "license": 2})
    assert not pool.is_awaited_for({"cpu": 1})
    spread = Bundles([{"gpu": 8}, {"gpu": 8}], "STRICT_SPREAD").request
    assert pool.is_awaited_for(spread)
    with pytest.raises(ResourceError, match="STRICT_SPREAD"):
        pool.check(Bundles([{"gpu": 8}] * 3, "STRICT_SPREAD").request)


def test_of_nodes_to_come_that_are_alike_a_message_names_one():
    pool = Pool([Node("a", {"cpu": 1}), *(Node(f"type (to come, {n})", {"cpu": 4}, expected=True) for n in range(9))])

    with pytest.raises(ResourceError) as raised:
        pool.check({"cpu": 8})

    assert "a lacks cpu 8 of 1; type (to come, 0) lacks cpu 8 of 4. Ask" in str(raised.value)

"""Where the bundles of one trial lie: all of them, or nothing."""

from __future__ import annotations

import itertools
import random
from collections import Counter

import pytest

from tunesmith.core.bundles import STRATEGIES, Bundles, split
from tunesmith.core.events import Node, Placement
from tunesmith.core.resources import Pool
from tunesmith.errors import ResourceError


def asked(*bundles, strategy="PACK"):
    return Bundles(bundles, strategy).request


def cpus(*amounts):
    return Pool([Node(name, {"cpu": amount}) for name, amount in zip("abcdef", amounts, strict=False)])


def places(pool, request):
    placement = pool.find(request)
    return None if placement is None else "".join(bundle.node for bundle in placement.bundles)


ONE = {"cpu": 1}


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("PACK", "bbb"), ("STRICT_PACK", "bbb"), ("SPREAD", "abc"), ("STRICT_SPREAD", "abc")],
)
def test_the_strategy_says_on_how_many_nodes_they_lie(strategy, expected):
    assert places(cpus(2, 4, 1), asked(ONE, ONE, ONE, strategy=strategy)) == expected


@pytest.mark.parametrize(
    ("strategy", "expected"), [("PACK", "bba"), ("STRICT_PACK", None), ("SPREAD", "abb"), ("STRICT_SPREAD", None)]
)
def test_what_is_not_strict_is_done_as_well_as_can_be(strategy, expected):
    assert places(cpus(1, 2), asked(ONE, ONE, ONE, strategy=strategy)) == expected


def test_a_trial_gets_all_of_its_bundles_or_nothing():
    pool = cpus(2, 1)
    pool.take(0, pool.find(ONE))

    assert pool.find(asked(ONE, ONE, ONE)) is None
    assert pool.usage() == {"cpu": (1.0, 3.0)}
    pool.release(0)
    pool.take(1, pool.find(asked(ONE, ONE, ONE)))
    assert pool.usage() == {"cpu": (3.0, 3.0)}
    pool.release(1)
    assert pool.usage() == {"cpu": (0.0, 3.0)}


def test_the_first_bundle_is_where_it_was_asked_for_first():
    pool = Pool([Node("a", {"cpu": 4}), Node("b", {"cpu": 1, "gpu": 1}, ("7",))])

    placement = pool.find(asked({"gpu": 1, "cpu": 1}, {"cpu": 2}, {"cpu": 2}))

    assert placement == Placement(
        "b", {"gpu": 1, "cpu": 1}, ("7",), more=(Placement("a", {"cpu": 2}), Placement("a", {"cpu": 2}))
    )


def test_bundles_on_one_node_have_gpus_of_their_own():
    pool = Pool([Node("a", {"cpu": 4, "gpu": 2}, ("g0", "g1"))])

    placement = pool.find(asked({"gpu": 1}, {"gpu": 1}))

    assert [bundle.gpus for bundle in placement.bundles] == [("g0",), ("g1",)]
    assert pool.find(asked({"gpu": 1}, {"gpu": 0.6}, {"gpu": 0.6})) is None
    assert pool.find(asked({"gpu": 1}, {"gpu": 0.5}, {"gpu": 0.5})) is not None


def test_rare_bundles_leave_room_for_the_others():
    pool = Pool([Node("a", {"cpu": 2, "gpu": 1}), Node("b", {"cpu": 2})])

    assert places(pool, asked({"cpu": 2}, {"cpu": 1, "gpu": 1})) == "ba"


def test_room_counts_whole_trials():
    pool = cpus(3, 3)
    request = asked(ONE, ONE, strategy="STRICT_SPREAD")

    assert (pool.room(request, at_most=10), pool.room(request, at_most=2)) == (3, 2)
    assert pool.find(request) is not None
    assert pool.usage() == {"cpu": (0.0, 6.0)}


def test_a_held_placement_is_free_only_when_all_of_it_is():
    pool = cpus(2, 1)
    placement = pool.find(asked(ONE, ONE, ONE))

    assert pool.has(placement)
    pool.take(0, Placement("a", {"cpu": 1}))
    assert not pool.has(placement)
    pool.replace_nodes([Node("a", {"cpu": 9})])
    assert not pool.has(placement)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (asked(ONE, {"cpu": 3}), r"PACK, which no set .*: bundle 1 \(cpu=3\) fits on no node: a lacks cpu 3 of 2"),
        (asked(*[ONE] * 4), r"4 x cpu=1; PACK, .*: together they need cpu 4 of 3 that all 2 nodes have"),
        (asked(*[ONE] * 3, strategy="STRICT_PACK"), r"wants all on one node: a lacks cpu 3 of 2; b lacks cpu 3 of 1"),
        (asked(*[ONE] * 3, strategy="STRICT_SPREAD"), r"each on another node: 3 of 2 nodes that have room for one"),
        (asked({"cpu": 1.5}, {"cpu": 1.5}), r"do not fit side by side: a has cpu=2; b has cpu=1"),
    ],
)  # fmt: skip
def test_what_no_set_of_nodes_could_hold_is_an_error_that_says_what_is_missing(request_, message):
    with pytest.raises(ResourceError, match=message):
        cpus(2, 1).check(request_)


def test_what_empty_nodes_could_hold_passes_however_full_they_are():
    pool = cpus(2, 1)
    pool.take(0, pool.find({"cpu": 2}))

    pool.check(asked(ONE, ONE, ONE))


def test_nodes_that_are_expected_are_waited_for_together_with_those_that_are_there():
    coming = Node("coming", {"cpu": 1}, expected=True)
    pool = Pool([Node("here", {"cpu": 1}), coming])

    assert pool.is_awaited_for(asked(ONE, ONE))
    assert not pool.is_awaited_for(asked(ONE, ONE, ONE))
    pool.check(asked(ONE, ONE))
    pool.replace_nodes([Node("here", {"cpu": 2}), coming])
    assert not pool.is_awaited_for(asked(ONE, ONE))


def test_hundreds_of_bundles_are_placed():
    pool = Pool([Node(f"n{number}", {"cpu": 8}) for number in range(300)])

    placement = pool.find(asked({"cpu": 8}, *[ONE] * 1500))

    assert len(placement.bundles) == 1501
    assert len(placement.nodes) == 189


def exists(request, nodes):
    """Whether the bundles fit, by trying all ways."""
    bundles, strategy = split(request)
    for choice in itertools.product(nodes, repeat=len(bundles)):
        names = [node.name for node in choice]
        if (strategy == "STRICT_PACK" and len(set(names)) > 1) or (
            strategy == "STRICT_SPREAD" and len(set(names)) < len(names)
        ):
            continue
        held = Counter()
        for node, bundle in zip(choice, bundles, strict=True):
            held.update({(node.name, name): amount for name, amount in bundle.items()})
        if all(held[node.name, name] <= node.resources.get(name, 0) for node in nodes for name in ("cpu", "license")):
            return True
    return False


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_place_is_found_exactly_when_there_is_one(strategy):
    draw = random.Random(strategy)
    seen = Counter()
    for _ in range(400):
        nodes = [Node(name, {"cpu": draw.randint(0, 4), "license": draw.randint(0, 1)}) for name in "abc"]
        kinds = [{"cpu": draw.randint(1, 3)}, {"cpu": 1, "license": 1}, {"cpu": 1}]
        request = asked(*[draw.choice(kinds) for _ in range(draw.randint(2, 4))], strategy=strategy)
        pool = Pool(nodes)

        placement = pool.find(request)

        seen[placement is not None] += 1
        assert (placement is not None) == exists(request, nodes)
        if placement is not None:
            assert [bundle.resources for bundle in placement.bundles] == split(request)[0]
            pool.take(0, placement)
            assert all(amount >= 0 for free in pool._nodes.values() for amount in free.amounts.values())
    assert min(seen.values()) > 50

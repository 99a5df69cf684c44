from __future__ import annotations

import msgspec
import pytest

import tunesmith as tune
from tunesmith.core.bundles import Bundles, checked_request, request_text, split
from tunesmith.core.events import Placement
from tunesmith.errors import ResourceError


def test_one_bundle_stays_a_plain_dict_however_it_is_given():
    assert checked_request({"cpu": 1, "gpu": 0}) == {"cpu": 1}
    assert checked_request([{"cpu": 1}]) == {"cpu": 1}
    assert checked_request(Bundles([{"cpu": 1}], "SPREAD")) == {"cpu": 1}


def test_several_bundles_stand_in_one_dict_which_is_a_request_again():
    request = checked_request(Bundles([{"cpu": 1, "gpu": 1}, {"cpu": 2}], "SPREAD"))

    assert request == {"cpu": 1, "gpu": 1, "1:cpu": 2, "bundles": 2, "SPREAD": 1}
    assert checked_request(request) == request
    assert split(request) == ([{"cpu": 1, "gpu": 1}, {"cpu": 2}], "SPREAD")


def test_an_empty_first_bundle_is_a_trial_that_needs_nothing_for_itself():
    assert checked_request([{}, {"cpu": 1}, {"cpu": 1}]) == {"cpu": 1, "1:cpu": 1, "bundles": 2}


def test_rays_name_and_its_names_of_resources_are_understood():
    assert tune.PlacementGroupFactory([{"CPU": 1}, {"GPU": 1, "CPU": 2}], strategy="STRICT_PACK") == Bundles(
        [{"cpu": 1}, {"gpu": 1, "cpu": 2}], "STRICT_PACK"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"give at least one bundle"),
        ([{}], None),
        ([{"cpu": 1}, {}], r"bundle 1 of .* asks for nothing"),
        ([{"cpu": 1}, {"gpu": 1.5}], r"gpu=1.5: above 1 ask for whole GPUs"),
        ([{"cpu": 1}, 2], r"2 is no bundle"),
        ({"cpu": 1, "1:cpu": 1}, r"the name '1:cpu' is taken"),
        ({"cpu": 1, "bundles": 7}, r"the name 'bundles' is taken"),
        ({"cpu": 1, "bundles": 2}, r"bundle 1 of .* asks for nothing"),
        ({"SPREAD": 1}, r"the name 'SPREAD' is taken"),
    ],
)
def test_what_makes_no_sense_is_refused(given, message):
    if message is None:
        assert checked_request(given) == {}
        return
    with pytest.raises(ResourceError, match=message):
        checked_request(given)


def test_a_strategy_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ResourceError, match=r"strategy='RANDOM': give one of PACK, SPREAD, STRICT_PACK, STRICT_SPREAD"):
        Bundles([{"cpu": 1}], strategy="RANDOM")


def test_a_request_is_told_in_words():
    request = checked_request(Bundles([{"cpu": 1, "gpu": 0.5}, {"cpu": 2}, {"cpu": 2}]))

    assert request_text(request) == "3 bundles: cpu=1, gpu=0.5; 2 x cpu=2; PACK"
    assert request_text({"cpu": 1}) == "cpu=1"
    assert request_text({}) == "nothing"


def test_a_placement_of_an_old_journal_has_one_bundle_and_a_new_one_is_read_back():
    old = msgspec.json.decode(b'{"node":"a","resources":{"cpu":1.0},"gpus":["0"]}', type=Placement)
    new = Placement("a", {"cpu": 1}, more=(Placement("b", {"cpu": 2}), Placement("a", {"cpu": 3, "gpu": 1}, ("0",))))

    assert old.bundles == (Placement("a", {"cpu": 1}, ("0",)),)
    assert msgspec.json.decode(msgspec.json.encode(new), type=Placement) == new
    assert (new.nodes, new.on("a"), new.on("b")) == (("a", "b"), {"cpu": 4, "gpu": 1}, {"cpu": 2})
    assert b"more" not in msgspec.json.encode(old)

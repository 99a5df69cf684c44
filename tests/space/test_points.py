import re

import pytest

from tunesmith.errors import ConfigError, SpaceError
from tunesmith.space.domains import choice, grid_search, randint, uniform
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants


class Adam:
    pass


SPEC = {
    "lr": uniform(0, 1),
    "g": grid_search([1, 2, 3]),
    "h": grid_search([{"k": grid_search([10, 20])}, "none"]),
    "opt": choice([{"name": "sgd", "momentum": uniform(0, 1)}, {"name": "adam"}, Adam]),
    "pair": [uniform(0, 1), 5],
    "f": lambda spec: spec.config.lr * 2,
}


def rows(points, num_samples=3, spec=SPEC):
    variants = Variants(Space(spec), num_samples=num_samples, points_to_evaluate=points)
    return [variants.config(number) for number in range(variants.total)]


def test_a_point_replaces_a_sample_and_the_rest_is_drawn():
    points = [{"lr": 0.25, "g": 2, "h": "none"}, {"opt": {"name": "adam"}, "g": 3, "h": {"k": 20}}]
    found = rows(points)

    assert len(found) == 1 + 1 + 3 * 3
    assert (found[0]["lr"], found[0]["g"], found[0]["h"], found[0]["f"]) == (0.25, 2, "none", 0.5)
    assert (found[1]["opt"], found[1]["g"], found[1]["h"]) == ({"name": "adam"}, 3, {"k": 20})
    assert [(row["g"], row["h"]) for row in found[2:]] == [
        (g, h) for h in ({"k": 10}, {"k": 20}, "none") for g in (1, 2, 3)
    ]


def test_a_grid_that_a_point_leaves_open_is_gone_through():
    found = rows([{"g": 2}], num_samples=1)
    assert [(row["g"], row["h"]) for row in found] == [(2, {"k": 10}), (2, {"k": 20}), (2, "none")]
    half = rows([{"h": {}}], num_samples=1)
    assert [(row["g"], row["h"]["k"]) for row in half] == [(g, k) for k in (10, 20) for g in (1, 2, 3)]


def test_a_point_may_give_a_function_an_object_and_a_list():
    [row] = rows([{"f": 7, "opt": Adam, "pair": [0.5, 5], "g": 1, "h": "none"}], num_samples=1)
    assert (row["f"], row["opt"], row["pair"]) == (7, {"$object": "opt[2]"}, [0.5, 5])
    [again] = rows([row], num_samples=1)
    assert again == row


def test_a_point_picks_the_option_that_it_fits():
    [row] = rows([{"opt": {"name": "sgd", "momentum": 0.5}, "g": 1, "h": "none"}], num_samples=1)
    assert row["opt"] == {"name": "sgd", "momentum": 0.5}


def test_numbers_of_a_point_take_the_type_of_their_domain():
    [row] = rows([{"x": 1}], num_samples=1, spec={"x": uniform(0, 1)})
    assert type(row["x"]) is float


@pytest.mark.parametrize(
    ("point", "message"),
    [
        ({"lrr": 1}, "points_to_evaluate[0]['lrr']: space has no such key. Did you mean 'lr'?"),
        ({"zzz": 1}, "points_to_evaluate[0]['zzz']: space has no such key. It has 'lr', 'g', 'h', 'opt', 'pair', 'f'."),
        ({"lr": 5}, "points_to_evaluate[0]['lr']: 5 is outside uniform(0.0, 1.0)."),
        ({"g": 7}, "points_to_evaluate[0]['g']: 7 is none of grid_search([1, 2, 3])."),
        ({"h": {"kk": 1}}, "points_to_evaluate[0]['h']['kk']: space['h'].grid_search[0] has no such key. Did you mean"),
        ({"opt": {"name": "x"}}, "points_to_evaluate[0]['opt']: {'name': 'x'} is none of choice(["),
        ({"pair": [0.5]}, "points_to_evaluate[0]['pair']: [0.5] is not a list of 2 values, as the space has it."),
        ({"pair": [0.5, 6]}, "points_to_evaluate[0]['pair'][1]: 6 is not what the space says, 5."),
        ({"f": (1, 2)}, "points_to_evaluate[0]['f']: (1, 2) (tuple) is not a JSON value."),
        ([1], "points_to_evaluate[0]: [1] is not a dict. Give a part of a config, e.g. {'lr': 0.1}."),
    ],
)
def test_a_wrong_point_is_refused(point, message):
    with pytest.raises(SpaceError, match=re.escape(message)):
        rows([point])


def test_a_dict_is_asked_for_where_the_space_has_one():
    message = "points_to_evaluate[1]['m']: 3 is not a dict, as the space has it."
    with pytest.raises(SpaceError, match=re.escape(message)):
        rows([{}, {"m": 3}], spec={"m": {"x": randint(1, 2)}})


def test_more_points_than_samples_are_refused():
    message = "2 points_to_evaluate do not fit into num_samples=1, for each replaces one sample. Give num_samples=2"
    with pytest.raises(ConfigError, match=re.escape(message)):
        rows([{}, {}], num_samples=1)

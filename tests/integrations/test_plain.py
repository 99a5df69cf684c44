import math

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.errors import SpaceError
from tunesmith.integrations.plain import PlainSpace
from tunesmith.integrations.ranges import ranges
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space
from tunesmith.testing.spaces import every_kind_of_space

SPACE = {
    "x": tune.loguniform(1e-5, 1),
    "n": tune.randint(3, 7),
    "big": tune.lograndint(1, 1000),
    "model": tune.choice(["a", {"depth": tune.randint(1, 4), "rate": tune.uniform(0, 1)}, "c"]),
}


def test_a_space_is_reals_whole_numbers_and_choices():
    plain = PlainSpace(Encoding(Space(SPACE)))

    assert [(known.name, known.kind, known.count, known.conditions) for known in plain.parameters] == [
        ("x0", "real", 0, ()),
        ("x1", "whole", 4, ()),
        ("x2", "real", 0, ()),
        ("x3", "choice", 3, ()),
        ("x4", "whole", 3, ((3, 1),)),
        ("x5", "real", 0, ((3, 1),)),
    ]
    assert plain.each(lambda name: name, lambda name, count: f"{name}<{count}", lambda name, count: count) == [
        "x0", "x1<4", "x2", 3, "x4<3", "x5",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", every_kind_of_space())
def test_plain_values_lead_back_to_the_row(kind):
    encoding = Encoding(every_kind_of_space()[kind])
    plain = PlainSpace(encoding)

    for row in encoding.uniform(20, np.random.default_rng(0)) if encoding.width else ():
        np.testing.assert_allclose(plain.row(plain.values(row)), row, atol=1e-12)
        full = encoding.settled(np.array([plain.row(plain.full_values(row))]))[0]
        np.testing.assert_allclose(full, row, atol=1e-12)


@pytest.mark.parametrize("kind", every_kind_of_space())
def test_values_in_a_parameters_own_range_lead_back_to_the_row(kind):
    encoding = Encoding(every_kind_of_space()[kind])
    known = ranges(encoding)

    for row in encoding.uniform(20, np.random.default_rng(0)) if encoding.width else ():
        for own, coordinate in zip(known, row, strict=True):
            if not math.isnan(coordinate):
                assert own.coordinate(own.value(coordinate)) == pytest.approx(coordinate, abs=1e-9)
                assert own.choices or own.low <= own.value(coordinate) <= own.high


def test_what_is_not_there_is_none_or_the_middle_or_the_first():
    encoding = Encoding(Space(SPACE))
    plain = PlainSpace(encoding)
    row = encoding.coordinates({"x": 0.1, "n": 4, "big": 10, "model": "c"})

    assert plain.values(row)[3:] == [2, None, None]
    assert plain.full_values(row)[3:] == [2, 1, 0.5]


def test_who_knows_simple_conditions_only_gets_a_value_where_others_decide():
    space = {
        "kind": tune.choice(["a", "b", "c"]),
        "x": tune.when("kind", "a", then=tune.uniform(0, 1)),
        "y": tune.when("kind", ["a", "b"], then=tune.uniform(0, 1)),
    }
    encoding = Encoding(Space(space))
    plain = PlainSpace(encoding)
    rows = encoding.uniform(40, np.random.default_rng(0))

    for row in rows:
        _, x, y = plain.conditioned_values(row)
        assert (x is None) == (row[0] != 0)
        assert y == (0.5 if row[0] == 2 else row[2])


def test_part_of_a_config_is_plain_values_by_name():
    plain = PlainSpace(Encoding(Space(SPACE)))

    assert plain.fixed({"n": 3, "model": {"depth": 3}}, "start") == {"x1": 0, "x3": 1, "x4": 2}
    with pytest.raises(SpaceError, match=r"start\['n'\]: 9 is outside"):
        plain.fixed({"n": 9}, "start")

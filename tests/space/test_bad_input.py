"""Wrong spaces: each names its path, the value and what to do."""

import collections
import math
import re

import pytest

from tunesmith.errors import SpaceError
from tunesmith.space.domains import (
    choice,
    grid_search,
    lograndint,
    loguniform,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)  # fmt: skip
from tunesmith.space.space import Space

RING = []
RING.append(RING)

CASES = {
    "reversed integers": (
        {"model": {"depth": randint(8, 2)}},
        "space['model']['depth']: randint(8, 2) is empty: its low end is above its high end. Swap them?",
    ),
    "reversed floats": ({"x": uniform(2, 1)}, "space['x']: uniform(2.0, 1.0) is empty: its low end is above"),
    "empty float range": (
        {"x": uniform(1, 1)},
        "space['x']: uniform(1.0, 1.0) is empty: its high end 1.0 is not part of it. Raise it, or give a constant.",
    ),
    "empty integer range": ({"x": [1, randint(3, 3)]}, "space['x'][1]: randint(3, 3) is empty: its high end 3 is not"),
    "infinite": ({"x": uniform(0, math.inf)}, "space['x']: uniform(0.0, inf): high=inf is not finite. Give a bound"),
    "nan": ({"x": loguniform(math.nan, 1)}, "space['x']: loguniform(nan, 1.0): low=nan is not finite."),
    "wider than floats": ({"x": uniform(-1e308, 1.7e308)}, "is wider than a float can measure. Narrow it, or use"),
    "beyond floats": ({"x": uniform(0, 10**400)}, "is not finite"),
    "beyond 64 bits": ({"x": randint(0, 2**70)}, "does not fit into 64 bits. Narrow it, or use a float domain."),
    "log of zero": ({"x": loguniform(0, 1)}, "space['x']: loguniform(0.0, 1.0): its low end 0.0 has no logarithm."),
    "log of negative": ({"x": lograndint(-1, 5)}, "space['x']: lograndint(-1, 5): its low end -1 has no logarithm."),
    "step of zero": ({"x": quniform(0, 1, 0)}, "space['x']: quniform(0.0, 1.0, 0.0): q=0.0 is not above 0."),
    "negative step": ({"x": qrandint(0, 4, -2)}, "space['x']: qrandint(0, 4, -2): q=-2 is not above 0."),
    "low no multiple": (
        {"x": qrandint(1, 9, 3)},
        "space['x']: qrandint(1, 9, 3): its low end 1 is not a multiple of q=3. The nearest one is 0.",
    ),
    "high no multiple": (
        {"x": qloguniform(0.1, 0.25, 0.1)},
        "its high end 0.25 is not a multiple of q=0.1. The nearest one is 0.2.",
    ),
    "step too small": ({"x": quniform(0, 1e300, 1e-300)}, "q=1e-300 is too fine for floats around 1e+300. Leave it"),
    "step too small for a normal": ({"x": qrandn(0, 1, 1e-320)}, "is too fine for floats around 10. Leave it out."),
    "text": ({"x": uniform("a", 1)}, "space['x']: uniform('a', 1.0): low='a' is text, not a number."),
    "text from YAML": ({"x": uniform("1e-4", 1)}, "is text, not a number. In YAML, write 1.0e-4 and not 1e-4"),
    "bool": ({"x": randint(True, 5)}, "space['x']: randint(True, 5): low=True (bool) is not a number."),
    "none": ({"x": uniform(None, 5)}, "space['x']: uniform(None, 5.0): low=None (NoneType) is not a number."),
    "fraction as integer": (
        {"x": randint(1, 5.5)},
        "space['x']: randint(1, 5.5): high=5.5 is not a whole number. Use uniform for floats.",
    ),
    "deviation": ({"x": randn(0, 0)}, "space['x']: randn(0.0, 0.0): its standard deviation 0.0 is not above 0."),
    "empty choice": ({"x": choice([])}, "space['x']: choice([]) is empty. Give at least one value."),
    "empty grid": ({"a": {"x": grid_search([])}}, "space['a']['x']: grid_search([]) is empty. Give at least one"),
    "empty grid as dict": ({"x": {"grid_search": []}}, "space['x']: grid_search([]) is empty."),
    "grid of a number": ({"x": {"grid_search": 3}}, "space['x']: grid_search(3): give a list of values, not a int."),
    "choice of a string": ({"x": choice("abc")}, "space['x']: choice('abc'): give a list of values, not a str."),
    "choice of a set": ({"x": choice({1})}, "space['x']: choice({1}): give a list of values, not a set."),
    "choice of a dict": ({"x": choice({"a": 1})}, "space['x']: choice({'a': 1}): give a list of values, not a dict."),
    "grid in a choice": (
        {"x": choice([1, {"y": grid_search([1, 2])}])},
        "space['x'].choice[1]['y']: a grid_search inside a choice has no clear number of trials. Make the outer one",
    ),
    "inside an option": (
        {"x": grid_search([1, {"y": uniform(3, 2)}])},
        "space['x'].grid_search[1]['y']: uniform(3.0, 2.0) is empty",
    ),
    "reserved key": ({"x": {"$object": "y"}}, "space['x']: the key '$object' is reserved for Tunesmith's own use."),
    "number as key": (
        {"x": {1: uniform(0, 1)}},
        "space['x']: the key 1 (int) stands beside a domain. A dict that is searched needs strings as keys.",
    ),
    "domain in a set": ({"x": {uniform(0, 1)}}, "space['x']: a set has no order, so the domain in it has no place."),
    "no function": ({"x": sample_from(5)}, "space['x']: sample_from(5): 5 is not a function."),
    "lambda of nothing": ({"x": lambda: 5}, "takes 0 arguments, but one is given, the spec. Write lambda spec: ..."),
    "lambda of two": ({"x": lambda a, b: 5}, "takes 2 arguments, but one is given, the spec."),
    "not called": ({"x": uniform}, "space['x']: uniform is not called. Write uniform(...)."),
    "one name twice": (
        {"a/b": 1, "a": {"b": 2}},
        "space['a']['b'] and space['a/b'] are both called 'a/b' in results. Rename one of the keys.",
    ),
    "contains itself": ({"x": RING}, "nested deeper than 100 levels. Does it contain itself?"),
    "no dict": ([1], "the space is [1]. Give a dict, e.g."),
    "one domain": (uniform(0, 1), "the space is uniform(0.0, 1.0). Give a dict, e.g."),
    "one grid": ({"grid_search": [1, 2]}, "Give a dict with strings as keys, one for each parameter."),
    "numbers as keys": ({1: 2}, "the space is {1: 2}. Give a dict with strings as keys"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_wrong_space_is_refused_with_its_path(case):
    spec, message = CASES[case]
    with pytest.raises(SpaceError, match=re.escape(message)):
        Space(spec)


def test_a_domain_of_another_package_is_refused():
    foreign = type("Float", (), {"__module__": "ray.tune.search.sample"})()

    with pytest.raises(SpaceError, match=re.escape("space['x']: <Float> is a domain of ray. Use tunesmith's own.")):
        Space({"x": foreign})


def test_a_wrong_domain_refuses_to_be_sampled_alone():
    import random

    with pytest.raises(SpaceError, match=r"^randint\(8, 2\) is empty"):
        randint(8, 2).sample(random.Random(0))


def test_any_mapping_may_be_a_space():
    assert Space(collections.ChainMap({"x": 1}, {"y": 2})).root.points == 1

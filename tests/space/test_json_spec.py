import json
import re

import pytest
import yaml

from tunesmith.errors import SpaceError
from tunesmith.space.domains import choice, grid_search, loguniform, qrandint, randn, uniform
from tunesmith.space.functions import DOMAIN_FUNCTIONS
from tunesmith.space.json_spec import domains_from_json
from tunesmith.space.space import Space


def test_dicts_that_name_a_domain_become_it_at_any_depth():
    text = """{
        "lr": {"loguniform": [0.001, 0.1]},
        "momentum": {"grid_search": [0.2, {"uniform": [0, 1]}]},
        "net": [{"units": {"qrandint": {"lower": 8, "upper": 64, "q": 8}}}, {"randn": []}],
        "opt": {"choice": [{"name": "sgd", "decay": {"uniform": [0, 1]}}, ["a", "b"]]},
        "same": {"choice": {"categories": [1, 2]}},
        "epochs": 10
    }"""
    assert domains_from_json(json.loads(text)) == {
        "lr": loguniform(0.001, 0.1),
        "momentum": grid_search([0.2, uniform(0, 1)]),
        "net": [{"units": qrandint(8, 64, 8)}, randn()],
        "opt": choice([{"name": "sgd", "decay": uniform(0, 1)}, ["a", "b"]]),
        "same": choice([1, 2]),
        "epochs": 10,
    }


@pytest.mark.parametrize(
    "spec",
    [
        {"init": {"uniform": 0.05}},
        {"x": {"uniform": [0, 1], "seed": 3}},
        {"x": {"choice": "a"}},
        {"x": {"eval": True}},
    ],
)
def test_other_dicts_stay_as_they_are(spec):
    assert domains_from_json(spec) == spec


WRITTEN = {
    **{name: [8, 16] for name in ("uniform", "loguniform", "randint", "lograndint")},
    **{name: [8, 16, 4] for name in ("quniform", "qloguniform", "qrandint", "qlograndint", "qrandn")},
    "randn": [],
    "boolean": [],
    "choice": [1, 2],
    "ordinal": [1, 2],
    "grid_search": [1, 2],
    "permutation": ["a", "b"],
    "subset": ["a", "b"],
    "simplex": ["a", "b"],
    "when": {"parent": "x", "value": "sgd", "then": 1},
}


def test_every_domain_function_but_sample_from_can_be_written():
    assert set(WRITTEN) == set(DOMAIN_FUNCTIONS) - {"sample_from"}
    takes_a_list = ("choice", "ordinal", "grid_search", "permutation", "subset", "simplex")
    for name, arguments in WRITTEN.items():
        function = DOMAIN_FUNCTIONS[name]
        if isinstance(arguments, dict):
            expected = function(**arguments)
        else:
            expected = function(arguments) if name in takes_a_list else function(*arguments)
        assert domains_from_json({name: arguments}) == expected


@pytest.mark.parametrize("key", ["eval", "sample_from", "lambda"])
def test_text_is_never_run(key):
    message = f"space['b']: {{'{key}': 'spec.config.a * 2'}}: text in a file is never run as code. Use a domain"
    with pytest.raises(SpaceError, match=re.escape(message)):
        domains_from_json({"b": {key: "spec.config.a * 2"}})


@pytest.mark.parametrize("arguments", [[1], [1, 2, 3], {"low": 1, "high": 2}, {}])
def test_arguments_that_do_not_fit_are_shown_with_what_would(arguments):
    with pytest.raises(SpaceError, match=r"space\['x'\]\[0\]: \{'uniform': .*uniform takes \(lower: .*, upper: .*\)"):
        domains_from_json({"x": [{"uniform": arguments}]})


def test_yamls_numbers_without_a_point_are_explained():
    spec = domains_from_json(yaml.safe_load("lr: {loguniform: [1e-4, 0.1]}"))
    with pytest.raises(SpaceError, match=r"space\['lr'\]: .*In YAML, write 1\.0e-4 and not 1e-4"):
        Space(spec)

"""Every searcher that has a name is held to the contract of searchers, on every kind of space."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tunesmith.searchers.named import _OURS, searcher_named
from tunesmith.testing import check_searcher
from tunesmith.testing.spaces import every_kind_of_space

SLOW = {"gp", "auto", "forest"}
"""Whose suggestions take so long that smaller experiments have to do."""
SETTINGS: dict[str, dict[str, Any]] = {"grid": {"points_per_parameter": 3}}
"""What a searcher cannot do without on some space."""


def settings(name: str) -> Any:
    found: Any = searcher_named(name)
    fields = {field.name for field in dataclasses.fields(found)}
    given = dict(SETTINGS.get(name, {}))
    if fields >= {"n_initial_points"} and name not in ("sobol", "lhs", "grid"):
        given["n_initial_points"] = 4  # so that it is mostly the method itself that is asked
    return dataclasses.replace(found, **given)


@pytest.mark.parametrize("name", _OURS)
def test_a_searcher_keeps_the_contract_on_every_kind_of_space(name: str):
    size = {"trials": 7, "questions": 3, "restarts": 1} if name in SLOW else {"trials": 12, "questions": 5}

    check_searcher(lambda: settings(name), runs=len(every_kind_of_space()), **size)

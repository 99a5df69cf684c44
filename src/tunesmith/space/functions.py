"""The functions that a user writes domains with, by name, as files spell them."""

from __future__ import annotations

from collections.abc import Callable

from .composites import Composite, permutation, simplex, subset
from .domains import (
    Domain,
    boolean,
    choice,
    grid_search,
    lograndint,
    loguniform,
    ordinal,
    qlograndint,
    qloguniform,
    qrandint,
    qrandn,
    quniform,
    randint,
    randn,
    sample_from,
    uniform,
)  # fmt: skip
from .when import When, when

Searchable = Domain | Composite | When

DOMAIN_FUNCTIONS: dict[str, Callable[..., Searchable]] = {
    function.__name__: function
    for function in (
        uniform, quniform, loguniform, qloguniform, randint, qrandint, lograndint, qlograndint, randn, qrandn,
        choice, boolean, ordinal, permutation, subset, simplex, when, sample_from, grid_search,
    )
}  # fmt: skip
LIST_FUNCTIONS: frozenset[str] = frozenset(
    function.__name__ for function in (choice, ordinal, permutation, subset, simplex, grid_search)
)
"""Those whose first argument is a list of values."""

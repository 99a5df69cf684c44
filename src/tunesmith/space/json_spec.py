"""Search spaces from JSON and YAML files: `{"uniform": [0.001, 0.1]}` is a domain. Strings are never evaluated."""

from __future__ import annotations

import inspect
from typing import Any

from ..errors import SpaceError
from .functions import DOMAIN_FUNCTIONS, LIST_FUNCTIONS, Searchable
from .objects import label
from .paths import Path
from .tree import ROOT

CODE_KEYS = ("eval", "sample_from", "lambda")


def domains_from_json(spec: Any, path: Path = ROOT) -> Any:
    """Return a copy of `spec` in which each dict that names a domain is that domain, at any depth.

    Such a dict has one key, a domain function's name, and as its value a list of positional arguments or a dict of
    keyword arguments: `{"uniform": [0, 1]}`, `{"randn": {"mean": 3}}`. For `choice`, `ordinal`, `permutation`,
    `subset`, `simplex` and `grid_search` the list is the list of values. A condition is written with keywords:
    `{"when": {"parent": "optimizer", "value": "sgd", "then": {"uniform": [0, 1]}}}`.

    Raises:
        SpaceError: Arguments that the function does not take, or code in a string.
    """
    if isinstance(spec, list):
        return [domains_from_json(item, path.child(index)) for index, item in enumerate(spec)]
    if not isinstance(spec, dict):
        return spec
    if len(spec) == 1:
        [(name, arguments)] = spec.items()
        if name in CODE_KEYS and isinstance(arguments, str):
            raise SpaceError(
                f"{path}: {{{name!r}: {label(arguments)}}}: text in a file is never run as code. Use a domain, e.g. "
                "{'uniform': [0, 1]}, or write the space in Python with sample_from(lambda spec: ...)."
            )
        if name in DOMAIN_FUNCTIONS and isinstance(arguments, list | dict):
            return _domain(name, domains_from_json(arguments, path.child(name)), path)
    return {key: domains_from_json(item, path.child(key)) for key, item in spec.items()}


def _domain(name: str, arguments: Any, path: Path) -> Searchable:
    function = DOMAIN_FUNCTIONS[name]
    try:
        if isinstance(arguments, dict):
            return function(**arguments)
        return function(arguments) if name in LIST_FUNCTIONS else function(*arguments)
    except TypeError:
        raise SpaceError(
            f"{path}: {{{name!r}: {label(arguments)}}}: {name} takes {inspect.signature(function)}. "
            "Give these values as a list, or as a dict of names and values."
        ) from None

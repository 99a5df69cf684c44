"""Searchers by name, as scripts and the command line call them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ..errors import ConfigError
from .auto import AutoSearcher
from .bohb import BOHBSearcher
from .cmaes import CMAESSearcher
from .gp import GPSearcher
from .grid import GridSearcher
from .latin_hypercube import LatinHypercubeSearcher
from .learning import LearningSettings
from .settings import SearcherSettings
from .sobol import SobolSearcher
from .tpe import TPESearcher
from .variants import BasicVariantGenerator

_NAMED: dict[str, type[BasicVariantGenerator | BOHBSearcher | LearningSettings]] = {
    "auto": AutoSearcher,
    "random": BasicVariantGenerator,
    "variant_generator": BasicVariantGenerator,
    "bohb": BOHBSearcher,
    "tpe": TPESearcher,
    "sobol": SobolSearcher,
    "lhs": LatinHypercubeSearcher,
    "grid": GridSearcher,
    "cmaes": CMAESSearcher,
    "gp": GPSearcher,
}

_FOREIGN: dict[str, tuple[str, str]] = {
    "hyperopt": ("hyperopt", "HyperOptSearch"),
    "optuna": ("optuna", "OptunaSearch"),
}
"""Those that ask another package: name -> file and class in `integrations`, which is imported when it is asked for."""


def searcher_named(
    name: str, points_to_evaluate: Sequence[Mapping[str, Any]] | None = None, duplicates: str = "skip"
) -> SearcherSettings:
    """Return the default settings of the searcher of that name, with points to try first.

    Raises:
        ConfigError: No searcher is called so, or it does not know what to do about duplicates.
    """
    settings = _settings_class(name.lower())
    if settings is None:
        names = [*_NAMED, *_FOREIGN]
        near = difflib.get_close_matches(name.lower(), names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"searcher={name!r}: there is none of that name.{hint} "
            f"There are: {', '.join(map(repr, names))}; or give a tune.Searcher."
        )
    arguments: dict[str, Any] = {"points_to_evaluate": points_to_evaluate}
    if duplicates != "skip":
        if "duplicates" not in {field.name for field in fields(settings)}:
            raise ConfigError(f"duplicates={duplicates!r}: searcher={name!r} proposes what it likes; leave it out.")
        arguments["duplicates"] = duplicates
    return settings(**arguments)


def _settings_class(name: str) -> type[BasicVariantGenerator | BOHBSearcher | LearningSettings] | None:
    if name not in _FOREIGN:
        return _NAMED.get(name)
    file, settings = _FOREIGN[name]
    found: type[LearningSettings] = getattr(importlib.import_module(f"...integrations.{file}", __name__), settings)
    return found

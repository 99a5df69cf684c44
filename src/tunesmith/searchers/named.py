"""Searchers by name, as scripts and the command line call them."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from ..errors import ConfigError
from .settings import SearcherSettings

_OURS: dict[str, tuple[str, str]] = {
    "auto": ("auto", "AutoSearcher"),
    "random": ("variants", "BasicVariantGenerator"),
    "variant_generator": ("variants", "BasicVariantGenerator"),
    "bohb": ("bohb", "BOHBSearcher"),
    "tpe": ("tpe", "TPESearcher"),
    "gp": ("gp", "GPSearcher"),
    "cmaes": ("cmaes", "CMAESSearcher"),
    "forest": ("forest", "ForestSearcher"),
    "evolution": ("evolution", "EvolutionSearcher"),
    "nsga2": ("nsga2", "NSGA2Searcher"),
    "sobol": ("sobol", "SobolSearcher"),
    "lhs": ("latin_hypercube", "LatinHypercubeSearcher"),
    "grid": ("grid", "GridSearcher"),
}
"""Name -> file and class here; imported when it is asked for."""

_FOREIGN: dict[str, tuple[str, str]] = {
    "ax": ("ax", "AxSearch"),
    "bayesopt": ("bayesopt", "BayesOptSearch"),
    "blendsearch": ("flaml", "BlendSearch"),
    "botorch": ("botorch", "BoTorchSearch"),
    "cfo": ("flaml", "CFO"),
    "hebo": ("hebo", "HEBOSearch"),
    "hyperopt": ("hyperopt", "HyperOptSearch"),
    "nevergrad": ("nevergrad", "NevergradSearch"),
    "optuna": ("optuna", "OptunaSearch"),
    "skopt": ("skopt", "SkOptSearch"),
    "smac": ("smac", "SMACSearch"),
    "zoopt": ("zoopt", "ZOOptSearch"),
}
"""Those that ask another package: name -> file and class in `integrations`."""


def searcher_named(
    name: str, points_to_evaluate: Sequence[Mapping[str, Any]] | None = None, duplicates: str = "skip"
) -> SearcherSettings:
    """Return the default settings of the searcher of that name, with points to try first.

    Raises:
        ConfigError: No searcher is called so, or it does not know what to do about duplicates.
    """
    if name.lower() not in _OURS | _FOREIGN:
        names = [*_OURS, *_FOREIGN]
        near = difflib.get_close_matches(name.lower(), names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"searcher={name!r}: there is none of that name.{hint} "
            f"There are: {', '.join(map(repr, names))}; or give a tune.Searcher."
        )
    settings = _settings_class(name.lower())
    arguments: dict[str, Any] = {"points_to_evaluate": points_to_evaluate}
    if duplicates != "skip":
        if "duplicates" not in {field.name for field in fields(settings)}:
            raise ConfigError(f"duplicates={duplicates!r}: searcher={name!r} proposes what it likes; leave it out.")
        arguments["duplicates"] = duplicates
    found: SearcherSettings = settings(**arguments)
    return found


def _settings_class(name: str) -> Any:
    folder = "." if name in _OURS else "..integrations."
    file, settings = (_OURS | _FOREIGN)[name]
    return getattr(importlib.import_module(folder + file, __package__), settings)

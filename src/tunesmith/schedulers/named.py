"""Schedulers by name, as Ray Tune's scripts and the command line call them."""

from __future__ import annotations

import difflib

from ..core.policy import Scheduler
from ..errors import ConfigError
from .asha import ASHAScheduler
from .fifo import FIFOScheduler
from .median import MedianStoppingRule
from .percentile import PercentileRule

_NAMED: dict[str, type[Scheduler]] = {
    "fifo": FIFOScheduler,
    "asha": ASHAScheduler,
    "async_hyperband": ASHAScheduler,
    "asynchyperband": ASHAScheduler,
    "median": MedianStoppingRule,
    "median_stopping_rule": MedianStoppingRule,
    "medianstopping": MedianStoppingRule,
    "percentile": PercentileRule,
}


def scheduler_named(name: str) -> Scheduler:
    """Return a new scheduler of that name with its default settings.

    Raises:
        ConfigError: No scheduler is called so.
    """
    scheduler = _NAMED.get(name.lower())
    if scheduler is None:
        near = difflib.get_close_matches(name.lower(), _NAMED, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"scheduler={name!r}: there is none of that name.{hint} There are: {', '.join(_NAMED)}.")
    return scheduler()

"""Schedulers by name, as Ray Tune's scripts and the command line call them."""

from __future__ import annotations

import difflib
from typing import Any

from ..core.policy import Scheduler
from ..errors import ConfigError
from .asha import ASHAScheduler
from .asha_promotion import PromotionASHAScheduler
from .fifo import FIFOScheduler
from .hyperband import HyperBandScheduler
from .median import MedianStoppingRule
from .multi_frequency import MultiFrequencyPBT
from .multi_objective import MultiObjectiveASHA
from .pasha import PASHAScheduler
from .patience import PatienceRule
from .pb2 import PB2
from .pbt import PopulationBasedTraining
from .percentile import PercentileRule
from .racing import RacingScheduler
from .resource_changing import ResourceChangingScheduler
from .spelled import built, spelled
from .threshold import ThresholdRule
from .top_k import TopKScheduler

_NAMED: dict[str, type[Scheduler]] = {
    "fifo": FIFOScheduler,
    "asha": ASHAScheduler,
    "async_hyperband": ASHAScheduler,
    "asynchyperband": ASHAScheduler,
    "asha_promotion": PromotionASHAScheduler,
    "pasha": PASHAScheduler,
    "top_k": TopKScheduler,
    "hyperband": HyperBandScheduler,
    "hb_bohb": HyperBandScheduler,
    "bohb": HyperBandScheduler,
    "pbt": PopulationBasedTraining,
    "pb2": PB2,
    "mf_pbt": MultiFrequencyPBT,
    "median": MedianStoppingRule,
    "median_stopping_rule": MedianStoppingRule,
    "medianstopping": MedianStoppingRule,
    "percentile": PercentileRule,
    "threshold": ThresholdRule,
    "patience": PatienceRule,
    "mo_asha": MultiObjectiveASHA,
    "racing": RacingScheduler,
    "resource_changing": ResourceChangingScheduler,
}


def scheduler_named(name: str, **defaults: Any) -> Scheduler:
    """Return a new scheduler of that name: with its default settings, or as spelled, `asha(max_t=27)`.

    Args:
        name: `name` or `name(key=value, ...)`.
        **defaults: Settings for a scheduler that takes them, where `name` does not say otherwise.

    Raises:
        ConfigError: No scheduler is called so, or it does not take such settings.
    """
    word, settings = spelled(name)
    scheduler = _NAMED.get(word.lower())
    if scheduler is None:
        near = difflib.get_close_matches(word.lower(), _NAMED, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"scheduler={name!r}: there is none of that name.{hint} There are: {', '.join(_NAMED)}.")
    return built(name, scheduler, settings, defaults)

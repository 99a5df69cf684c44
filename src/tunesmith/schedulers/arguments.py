"""What the schedulers' constructors check, and how a scheduler finds its objective and its time."""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import TYPE_CHECKING

from ..core.events import Result
from ..core.objective import Objective
from ..errors import ConfigError

if TYPE_CHECKING:
    from ..core.experiment import Experiment


def own_objective(owner: str, metric: str | None, mode: str | None, reward_attr: str | None) -> Objective | None:
    """Return the objective that a scheduler was given; None when it is to use the experiment's.

    Args:
        owner: The scheduler's name, for the message.
        metric: With `mode`, or neither of them.
        mode: "min" or "max".
        reward_attr: Early Tune's name for a metric whose mode is "max".

    Raises:
        ConfigError: Half an objective, or two.
    """
    if reward_attr is not None:
        if metric is not None or mode is not None:
            raise ConfigError(
                f"{owner}: reward_attr={reward_attr!r} means metric={reward_attr!r}, mode='max'. "
                "Give either reward_attr, or metric and mode."
            )
        metric, mode = reward_attr, "max"
    if metric is None and mode is None:
        return None
    if metric is None:
        raise ConfigError(f"{owner}: mode={mode!r} without a metric. Give metric= too, or neither.")
    if mode is None:
        raise ConfigError(f"{owner}: metric={metric!r} without a mode. Add mode='min' or mode='max'.")
    return Objective(metric, mode)


def objective_of(owner: str, own: Objective | None, experiment: Experiment) -> Objective:
    """Return what a scheduler ranks by: its own objective, else the experiment's.

    Raises:
        ConfigError: There is neither.
    """
    objective = own or experiment.objective
    if objective is None:
        raise ConfigError(
            f"{owner} has nothing to rank trials by. "
            f"Give metric= and mode= to the run, or to the scheduler: {owner}(metric='accuracy', mode='max')."
        )
    return objective


def time_attribute(owner: str, name: object) -> str:
    """Return `name` when it can name a field of a result; ConfigError else."""
    if not isinstance(name, str) or not name:
        raise ConfigError(f"{owner}: time_attr={name!r}: give a field's name, e.g. time_attr='training_iteration'.")
    return name


def number(owner: str, name: str, value: object, *, least: float | None = None, above: float | None = None) -> float:
    """Return `value` when it is a finite number in its bounds; ConfigError else."""
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ConfigError(f"{owner}: {name}={value!r} is not a finite number.")
    if least is not None and value < least:
        raise ConfigError(f"{owner}: {name}={value!r} is too small: it must be at least {least:g}.")
    if above is not None and value <= above:
        raise ConfigError(f"{owner}: {name}={value!r} is too small: it must be above {above:g}.")
    return float(value)


def whole_number(owner: str, name: str, value: object, *, least: int) -> int:
    """Return `value` when it is an int of at least `least`; ConfigError else."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{owner}: {name}={value!r}: give a whole number of at least {least}.")
    return int(value)


def time_of(result: Result, time_attr: str) -> float | None:
    """Return a result's time; None when it has none that counts."""
    value = result.value(time_attr)
    return value if isinstance(value, int | float) and math.isfinite(value) else None

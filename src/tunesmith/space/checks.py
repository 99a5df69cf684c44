"""What makes the numbers of a domain wrong, in words. `domain` is there for its repr, which names the value."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

from ..errors import SpaceError
from .objects import label

MULTIPLE_TOLERANCE = 1e-9
MOST_STEPS = 1e8
"""Beyond that many, the tolerance would take every number for a multiple."""


def multiple(value: float, step: float) -> float:
    """Return the multiple of `step` that is nearest to `value`."""
    # 15 digits are what a decimal keeps through a float: 3 * 0.1 is 0.3 and not 0.30000000000000004.
    return float(f"{round(value / step) * step:.15g}")


def is_multiple(value: float, step: float) -> bool:
    """Whether `value` is a multiple of `step`, rounding errors apart."""
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    ratio = value / step
    return math.isfinite(ratio) and abs(ratio - round(ratio)) <= MULTIPLE_TOLERANCE * max(1.0, abs(ratio))


def is_number(value: Any) -> bool:
    """Whether `value` is a real number, numpy's included, and no bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_finite(number: Any) -> bool:
    """Whether a float can hold the number."""
    try:
        return math.isfinite(number)
    except OverflowError:  # an integer beyond every float
        return False


def check_finite(domain: object, **numbers: Any) -> None:
    """Raise SpaceError when one of the named numbers is none, or not finite."""
    for name, number in numbers.items():
        if isinstance(number, str):
            hint = " In YAML, write 1.0e-4 and not 1e-4, which is read as text." if _reads_as_number(number) else ""
            raise SpaceError(f"{domain}: {name}={number!r} is text, not a number.{hint}")
        if not is_number(number):
            raise SpaceError(f"{domain}: {name}={number!r} ({type(number).__name__}) is not a number.")
        if not is_finite(number):
            raise SpaceError(f"{domain}: {name}={number!r} is not finite. Give a bound that a trial could use.")


def check_order(domain: object, low: float, high: float, *, inclusive: bool) -> None:
    """Raise SpaceError when no value lies between the ends."""
    if low > high:
        raise SpaceError(f"{domain} is empty: its low end is above its high end. Swap them?")
    if low == high and not inclusive:
        raise SpaceError(f"{domain} is empty: its high end {high!r} is not part of it. Raise it, or give a constant.")


def check_log(domain: object, low: float, log: bool) -> None:
    """Raise SpaceError when the range has no logarithm."""
    if log and low <= 0:
        raise SpaceError(f"{domain}: its low end {low!r} has no logarithm. Start above 0.")


def check_step(domain: object, step: float | None, *, largest: float) -> None:
    """Raise SpaceError when a step is not positive, or finer than floats up to `largest` can follow."""
    if step is None:
        return
    check_finite(domain, q=step)
    if step <= 0:
        raise SpaceError(f"{domain}: q={step!r} is not above 0.")
    if isinstance(step, float) and largest > MOST_STEPS * step:
        raise SpaceError(f"{domain}: q={step!r} is too fine for floats around {largest:g}. Leave it out.")


def check_multiples(domain: object, low: float, high: float, step: float | None) -> None:
    """Raise SpaceError when a step does not divide the bounds."""
    if step is None:
        return
    for name, bound in (("low", low), ("high", high)):
        if not is_multiple(bound, step):
            raise SpaceError(
                f"{domain}: its {name} end {bound!r} is not a multiple of q={step!r}. The nearest one is "
                f"{multiple(bound, step):g}."
            )


def check_values(function: str, values: Any) -> None:
    """Raise SpaceError when the values are no list, or none."""
    if not isinstance(values, tuple):
        raise SpaceError(f"{function}({label(values)}): give a list of values, not a {type(values).__name__}.")
    if not values:
        raise SpaceError(f"{function}([]) is empty. Give at least one value.")


def _reads_as_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

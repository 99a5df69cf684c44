"""Domains of numbers: small frozen values, made by the functions of `domains`.

A domain is built without checks and checked by `Space`, which knows its path and so can say where the mistake stands.
`at(u)` is the inverse of the distribution function, for u in (0, 1): one uniform number is all that a draw needs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any

from ..errors import SpaceError
from .checks import (
    check_finite,
    check_log,
    check_multiples,
    check_order,
    check_step,
    is_finite,
    is_multiple,
    is_number,
    multiple,
)  # fmt: skip
from .objects import SMALLEST_INTEGER
from .priors import mixture

if TYPE_CHECKING:
    import random

SMALLEST_QUANTILE = 2.0**-54


@dataclass(frozen=True, slots=True)
class Float:
    """A float in [low, high); with a step, a multiple of it in [low, high]."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    prior: float | None = None

    def at(self, quantile: float) -> float:
        """Return the value below which the fraction `quantile` of the draws lies."""
        value = _between(self.low, self.high, bent(self, quantile), self.log)
        if self.step is None:
            return min(max(value, self.low), math.nextafter(self.high, -math.inf))
        return min(max(multiple(value, self.step), self.low), self.high)

    def sample(self, rng: random.Random) -> float:
        """Return a random value."""
        self.check()
        return self.at(rng.random())

    def contains(self, value: Any) -> bool:
        """Whether `value` lies in the range, both ends included, and on the step."""
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        return self.step is None or is_multiple(value, self.step)

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from."""
        check_finite(self, low=self.low, high=self.high)
        check_log(self, self.low, self.log)
        check_step(self, self.step, largest=max(abs(self.low), abs(self.high)))
        check_multiples(self, self.low, self.high, self.step)
        check_order(self, self.low, self.high, inclusive=self.step is not None)
        if not math.isfinite(self.high - self.low):
            raise SpaceError(f"{self} is wider than a float can measure. Narrow it, or use loguniform.")
        check_prior(self, self.prior)

    def __repr__(self) -> str:
        log = "log" if self.log else ""
        prior = "" if self.prior is None else f", prior={self.prior!r}"
        if self.step is None:
            return f"{log}uniform({self.low!r}, {self.high!r}{prior})"
        return f"q{log}uniform({self.low!r}, {self.high!r}, {self.step!r}{prior})"


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer in [low, high); with a step, a multiple of it in [low, high]."""

    low: int
    high: int
    log: bool = False
    step: int | None = None
    prior: int | None = None

    @property
    def last(self) -> int:
        """The largest value."""
        return self.high - 1 if self.step is None else self.high

    def at(self, quantile: float) -> int:
        """Return the value below which the fraction `quantile` of the draws lies."""
        step, fraction = self.step or 1, bent(self, quantile)
        if self.log:
            value = _between(self.low, self.high, fraction, log=True)
            number = int(value) if self.step is None else round(value / step) * step
            return min(max(number, self.low), self.last)
        count = (self.last - self.low) // step + 1
        return self.low + min(int(fraction * count), count - 1) * step

    def sample(self, rng: random.Random) -> int:
        """Return a random value."""
        self.check()
        return self.at(rng.random())

    def contains(self, value: Any) -> bool:
        """Whether `value` is an integer of the range."""
        if isinstance(value, bool) or not isinstance(value, Integral):
            return False
        return self.low <= int(value) <= self.last and int(value) % (self.step or 1) == 0

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from."""
        bounds = {"low": self.low, "high": self.high} | ({} if self.step is None else {"q": self.step})
        check_finite(self, **bounds)
        for name, bound in bounds.items():
            if not isinstance(bound, int):
                raise SpaceError(f"{self}: {name}={bound!r} is not a whole number. Use uniform for floats.")
        check_log(self, self.low, self.log)
        check_step(self, self.step, largest=self.high)
        check_multiples(self, self.low, self.high, self.step)
        check_order(self, self.low, self.high, inclusive=self.step is not None)
        if self.low < SMALLEST_INTEGER or self.last > -SMALLEST_INTEGER - 1:
            raise SpaceError(f"{self} does not fit into 64 bits. Narrow it, or use a float domain.")
        check_prior(self, self.prior)

    def __repr__(self) -> str:
        log = "log" if self.log else ""
        prior = "" if self.prior is None else f", prior={self.prior!r}"
        if self.step is None:
            return f"{log}randint({self.low!r}, {self.high!r}{prior})"
        return f"q{log}randint({self.low!r}, {self.high!r}, {self.step!r}{prior})"


@dataclass(frozen=True, slots=True)
class Normal:
    """A normally distributed float, not truncated; with a step, rounded to a multiple of it."""

    mean: float
    sd: float
    step: float | None = None

    def at(self, quantile: float) -> float:
        """Return the value below which the fraction `quantile` of the draws lies."""
        from statistics import NormalDist  # here, because it takes milliseconds to import and few spaces need it

        value = NormalDist(self.mean, self.sd).inv_cdf(max(quantile, SMALLEST_QUANTILE))
        return value if self.step is None else multiple(value, self.step)

    def sample(self, rng: random.Random) -> float:
        """Return a random value."""
        self.check()
        return self.at(rng.random())

    def contains(self, value: Any) -> bool:
        """Whether `value` is a finite number, on the step."""
        return is_number(value) and is_finite(value) and (self.step is None or is_multiple(value, self.step))

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from."""
        check_finite(self, mean=self.mean, sd=self.sd)
        if self.sd <= 0:
            raise SpaceError(f"{self}: its standard deviation {self.sd!r} is not above 0.")
        check_step(self, self.step, largest=abs(self.mean) + 10 * self.sd)

    def __repr__(self) -> str:
        if self.step is None:
            return f"randn({self.mean!r}, {self.sd!r})"
        return f"qrandn({self.mean!r}, {self.sd!r}, {self.step!r})"


def bent(domain: Float | Integer, quantile: float) -> float:
    """Return which fraction of its range, in its own scale, a domain has at a quantile: its prior's doing."""
    return quantile if domain.prior is None else mixture(scaled(domain, domain.prior)).at(quantile)


def scaled(domain: Float | Integer, value: float) -> float:
    """Return which fraction of a domain's range, in its own scale, lies below a value, without its prior.

    Where a value stands for a whole interval (an integer), it lies at the interval's middle.
    """
    match domain:
        case Integer(log=False):
            step = domain.step or 1
            return ((value - domain.low) // step + 0.5) / ((domain.last - domain.low) // step + 1)
        case Integer(step=None):
            middle = (math.log(value) + math.log(value + 1)) / 2
            return (middle - math.log(domain.low)) / (math.log(domain.high) - math.log(domain.low))
    if domain.low == domain.high:
        return 0.5
    if domain.log:
        fraction = (math.log(value) - math.log(domain.low)) / (math.log(domain.high) - math.log(domain.low))
    else:
        fraction = (value - domain.low) / (domain.high - domain.low)
    return min(max(fraction, 0.0), 1.0)


def check_prior(domain: Float | Integer, prior: Any) -> None:
    """Raise SpaceError when a prior does not lie in its domain."""
    if prior is None:
        return
    check_finite(domain, prior=prior)
    if not domain.contains(prior):
        raise SpaceError(f"{domain}: its prior {prior!r} does not lie in it. Give a value that it may draw.")


def _between(low: float, high: float, fraction: float, log: bool) -> float:
    if log:
        low_log = math.log(low)
        return math.exp(low_log + (math.log(high) - low_log) * fraction)
    return low + (high - low) * fraction

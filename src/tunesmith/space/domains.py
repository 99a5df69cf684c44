"""What one parameter may be: small frozen values, made by the public functions at the end.

A domain is built without checks and checked by `Space`, which knows its path and so can say where the mistake stands.
`at(u)` is the inverse of the distribution function, for u in (0, 1): one uniform number is all that a draw needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from numbers import Integral
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..errors import SpaceError
from .checks import (
    check_finite,
    check_log,
    check_multiples,
    check_order,
    check_step,
    check_values,
    is_finite,
    is_multiple,
    is_number,
    multiple,
)  # fmt: skip
from .objects import SMALLEST_INTEGER, label, python_scalar, where_written
from .priors import WEIGHT, mixture

if TYPE_CHECKING:
    import random

SMALLEST_QUANTILE = 2.0**-54
NO_PRIOR: Any = object()
"""Nothing given: None may be one of the values."""
CO_VARARGS = 0x04
"""The flag of a code object that takes `*arguments`; `inspect` has it too, but is slow to import."""


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


@dataclass(frozen=True, slots=True)
class Categorical:
    """One of some values, each as likely as the others. A value may be a dict or list that holds domains.

    With a prior half of the draws go to it, and the other half to all of them alike.
    """

    values: tuple[Any, ...]
    preferred: int | None = None
    """The index of the prior; None without one, -1 for one that is none of the values."""
    prior: Any = None
    """What the user gave, for errors and for people."""

    @property
    def weights(self) -> tuple[float, ...] | None:
        """How likely each value is; None for all alike."""
        if self.preferred is None:
            return None
        even = (1 - WEIGHT) / len(self.values)
        return tuple(even + WEIGHT * (index == self.preferred) for index in range(len(self.values)))

    def at(self, quantile: float) -> Any:
        """Return the value below which the fraction `quantile` of the draws lies, as it was given."""
        return self.values[self.index_at(quantile)]

    def index_at(self, quantile: float) -> int:
        """Return the index of the value at a quantile."""
        if self.preferred is not None:
            before = (1 - WEIGHT) * self.preferred / len(self.values)
            # Without the prior's own half, what is left is spread evenly.
            if before <= quantile < before + WEIGHT:
                return self.preferred
            quantile = (quantile - WEIGHT * (quantile >= before)) / (1 - WEIGHT)
        return min(int(quantile * len(self.values)), len(self.values) - 1)

    def sample(self, rng: random.Random) -> Any:
        """Return a random one of the values, as it was given."""
        self.check()
        return self.at(rng.random())

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values."""
        return any(same(value, option) for option in self.values)

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from, or the prior is none of the values."""
        self._check("choice")

    def _check(self, function: str) -> None:
        check_values(function, self.values)
        if self.preferred == -1:
            raise SpaceError(f"{self}: its prior is none of its values. Give one of them.")

    def __repr__(self) -> str:
        return f"choice({self._arguments()})"

    def _arguments(self) -> str:
        prior = "" if self.preferred is None else f", prior={label(self.prior)}"
        return f"{label(list(self.values) if isinstance(self.values, tuple) else self.values)}{prior}"


@dataclass(frozen=True, slots=True, repr=False)
class Ordinal(Categorical):
    """One of some values that have an order, each as likely as the others: to searchers a number of levels.

    With a prior the draws are bent towards it and its neighbours, as for a range of integers.
    """

    @property
    def indices(self) -> Integer:
        """The domain of the values' indices."""
        return Integer(0, len(self.values), prior=self.preferred)

    @property
    def weights(self) -> tuple[float, ...] | None:
        """None: it is no choice among unordered values."""
        return None

    def index_at(self, quantile: float) -> int:
        """Return the index of the value at a quantile."""
        return self.indices.at(quantile)

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from, or the prior is none of the values."""
        self._check("ordinal")

    def __repr__(self) -> str:
        return f"ordinal({self._arguments()})"


@dataclass(frozen=True, slots=True)
class Grid:
    """Each of some values in turn, for each sample. A value may be a dict or list that holds domains and grids."""

    values: tuple[Any, ...]

    def at(self, quantile: float) -> Any:
        """Return the value at the fraction `quantile` of the list, as it was given."""
        return Categorical(self.values).at(quantile)

    def sample(self, rng: random.Random) -> Any:
        """Return a random one of the values, as it was given."""
        self.check()
        return self.at(rng.random())

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values."""
        return Categorical(self.values).contains(value)

    def check(self) -> None:
        """Raise SpaceError when there is nothing to try."""
        check_values("grid_search", self.values)

    def __repr__(self) -> str:
        return f"grid_search({label(list(self.values) if isinstance(self.values, tuple) else self.values)})"


@dataclass(frozen=True, slots=True)
class SampleFrom:
    """Whatever a function of the other values (`spec`) returns."""

    function: Callable[[Any], Any]

    def contains(self, value: Any) -> bool:
        """True: what the function may return is not known."""
        return True

    def check(self) -> None:
        """Raise SpaceError when there is nothing to call."""
        if not callable(self.function):
            raise SpaceError(f"{self}: {self.function!r} is not a function. Write sample_from(lambda spec: ...).")
        if isinstance(self.function, FunctionType):
            count = self.function.__code__.co_argcount
            required = count - len(self.function.__defaults__ or ())
            takes_any = self.function.__code__.co_flags & CO_VARARGS
            if required > 1 or (count == 0 and not takes_any):
                raise SpaceError(
                    f"{self} takes {required} arguments, but one is given, the spec. Write lambda spec: ...; "
                    "a function that is itself a value of the config must be made by def."
                )

    def __repr__(self) -> str:
        return f"sample_from({where_written(self.function) if is_lambda(self.function) else label(self.function)})"


Domain = Float | Integer | Normal | Categorical | Ordinal | Grid | SampleFrom


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


def is_lambda(value: Any) -> bool:
    """Whether `value` is a bare lambda, which a space evaluates; a function made by `def` is an object like others."""
    return getattr(value, "__name__", None) == "<lambda>" and callable(value)


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same choice: equal, and not a bool beside a number."""
    left, right = python_scalar(left), python_scalar(right)
    if left is right:
        return True
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    try:
        return bool(left == right)
    except (TypeError, ValueError):  # arrays, which have no single truth
        return False


def _between(low: float, high: float, fraction: float, log: bool) -> float:
    if log:
        low_log = math.log(low)
        return math.exp(low_log + (math.log(high) - low_log) * fraction)
    return low + (high - low) * fraction


def _float(value: Any) -> Any:
    # What is no number stays as it is, for `check` to complain about where the path is known.
    return float(value) if is_number(value) and is_finite(value) else value


def _integer(value: Any) -> Any:
    return int(value) if is_number(value) and is_finite(value) and value == int(value) else value


def _values(values: Any) -> Any:
    """Return an iterable's values as a tuple; what has no order or is no list stays as it is, for `check`."""
    if isinstance(values, str | bytes | Mapping | Set) or not isinstance(values, Iterable):
        return values
    return tuple(values)


def _index(values: Any, prior: Any) -> int:
    """Return which of some values a prior means; -1 for none of them."""
    if not isinstance(values, tuple):
        return -1
    exact = (index for index, value in enumerate(values) if same(value, prior))
    partial = (index for index, value in enumerate(values) if _has_items(value, prior))
    return next(exact, next(partial, -1))


def _has_items(value: Any, items: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(items, Mapping):
        return same(value, items)
    return all(key in value and _has_items(value[key], item) for key, item in items.items())


def uniform(lower: float, upper: float, *, prior: float | None = None) -> Float:
    """Return the domain of floats drawn uniformly from [lower, upper).

    `prior`, here and below, is where you believe the best value to be: half of the draws come from around it.
    """
    return Float(_float(lower), _float(upper), prior=_float(prior))


def quniform(lower: float, upper: float, q: float, *, prior: float | None = None) -> Float:
    """Return the domain of floats drawn uniformly and rounded to a multiple of `q`, both ends included.

    Both bounds must be multiples of `q`. The two end values are half as likely as the others, as rounding makes them.
    """
    return Float(_float(lower), _float(upper), step=_float(q), prior=_float(prior))


def loguniform(lower: float, upper: float, base: float = 10, *, prior: float | None = None) -> Float:
    """Return the domain of floats in [lower, upper) whose logarithm is uniform.

    `base` changes nothing (a uniform logarithm is uniform in every base); old scripts give it.
    """
    return Float(_float(lower), _float(upper), log=True, prior=_float(prior))


def qloguniform(lower: float, upper: float, q: float, base: float = 10, *, prior: float | None = None) -> Float:
    """Return the domain of `loguniform` rounded to a multiple of `q`, both ends included."""
    return Float(_float(lower), _float(upper), log=True, step=_float(q), prior=_float(prior))


def randint(lower: int, upper: int, *, prior: int | None = None) -> Integer:
    """Return the domain of integers from `lower` to `upper - 1`, each as likely as the others."""
    return Integer(_integer(lower), _integer(upper), prior=_integer(prior))


def qrandint(lower: int, upper: int, q: int = 1, *, prior: int | None = None) -> Integer:
    """Return the domain of the multiples of `q` in [lower, upper], each as likely as the others.

    `upper` is included for every `q`, also for 1, where Ray Tune leaves it out.
    """
    return Integer(_integer(lower), _integer(upper), step=_integer(q), prior=_integer(prior))


def lograndint(lower: int, upper: int, base: float = 10, *, prior: int | None = None) -> Integer:
    """Return the domain of integers from `lower` to `upper - 1` whose logarithm is uniform; `base` changes nothing."""
    return Integer(_integer(lower), _integer(upper), log=True, prior=_integer(prior))


def qlograndint(lower: int, upper: int, q: int, base: float = 10, *, prior: int | None = None) -> Integer:
    """Return the domain of `lograndint` rounded to a multiple of `q`, `upper` included for every `q`."""
    return Integer(_integer(lower), _integer(upper), log=True, step=_integer(q), prior=_integer(prior))


def randn(mean: float = 0.0, sd: float = 1.0) -> Normal:
    """Return the domain of normally distributed floats, not truncated."""
    return Normal(_float(mean), _float(sd))


def qrandn(mean: float, sd: float, q: float) -> Normal:
    """Return the domain of normally distributed floats rounded to a multiple of `q`."""
    return Normal(_float(mean), _float(sd), step=_float(q))


def choice(categories: Iterable[Any], *, prior: Any = NO_PRIOR) -> Categorical:
    """Return the domain of these values, each as likely as the others; a dict among them may hold domains.

    Half of the draws go to the `prior`, if one is given: one of the values, or some items of a dict among them.
    """
    values = _values(categories)
    return Categorical(values) if prior is NO_PRIOR else Categorical(values, _index(values, prior), prior)


def boolean(*, prior: Any = NO_PRIOR) -> Categorical:
    """Return the domain of False and True."""
    return choice([False, True], prior=prior)


def ordinal(values: Iterable[Any], *, prior: Any = NO_PRIOR) -> Ordinal:
    """Return the domain of values that have an order, such as "small", "medium", "large"; each as likely as the others.

    To searchers it is a number, so that they may learn that neighbours are alike.
    """
    ordered = _values(values)
    return Ordinal(ordered) if prior is NO_PRIOR else Ordinal(ordered, _index(ordered, prior), prior)


def sample_from(func: Callable[[Any], Any]) -> SampleFrom:
    """Return the domain of what `func(spec)` returns; `spec.config.a` and `spec["config"]["a"]` are other values.

    The form `sample_from(lambda config: config["a"])` works too.
    """
    return SampleFrom(func)


def grid_search(values: Iterable[Any]) -> Grid:
    """Return the domain of which every value is tried, once for each sample."""
    return Grid(_values(values))

"""What one parameter may be, as a user writes it: a function for each kind of domain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

from .checks import is_finite, is_number
from .numeric import Float, Integer, Normal, scaled
from .values import Categorical, Grid, Ordinal, SampleFrom, index_of, is_lambda, same

__all__ = [
    "Domain", "Float", "Integer", "Normal", "Categorical", "Ordinal", "Grid", "SampleFrom", "is_lambda", "same",
    "scaled", "uniform", "quniform", "loguniform", "qloguniform", "randint", "qrandint", "lograndint", "qlograndint",
    "randn", "qrandn", "choice", "boolean", "ordinal", "sample_from", "grid_search",
]  # fmt: skip

Domain = Float | Integer | Normal | Categorical | Ordinal | Grid | SampleFrom
NO_PRIOR: Any = object()
"""Nothing given: None may be one of the values."""


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
    return Categorical(values) if prior is NO_PRIOR else Categorical(values, index_of(values, prior), prior)


def boolean(*, prior: Any = NO_PRIOR) -> Categorical:
    """Return the domain of False and True."""
    return choice([False, True], prior=prior)


def ordinal(values: Iterable[Any], *, prior: Any = NO_PRIOR) -> Ordinal:
    """Return the domain of values that have an order, such as "small", "medium", "large"; each as likely as the others.

    To searchers it is a number, so that they may learn that neighbours are alike.
    """
    ordered = _values(values)
    return Ordinal(ordered) if prior is NO_PRIOR else Ordinal(ordered, index_of(ordered, prior), prior)


def sample_from(func: Callable[[Any], Any]) -> SampleFrom:
    """Return the domain of what `func(spec)` returns; `spec.config.a` and `spec["config"]["a"]` are other values.

    The form `sample_from(lambda config: config["a"])` works too.
    """
    return SampleFrom(func)


def grid_search(values: Iterable[Any]) -> Grid:
    """Return the domain of which every value is tried, once for each sample."""
    return Grid(_values(values))

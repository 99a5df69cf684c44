"""Where the values of numeric domains lie in [0, 1], and back: one by one, and for whole columns.

A value lies at its quantile: there random search draws uniformly, whatever the domain's logarithm or prior. A value
that stands for an interval of quantiles (an integer, a step) lies inside it. `domain.at` is the way back.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .domains import Float, Integer, Normal, scaled
from .priors import Mixture, mixture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Number = Float | Integer | Normal
NEAREST_TO_AN_END = 2.0**-53
"""Quantiles are kept so far from 0 and 1, which a normal distribution cannot take."""


def is_single(domain: Number) -> bool:
    """Whether a domain has a single value."""
    match domain:
        case Integer():
            return domain.low == domain.last
        case Float():
            return domain.low == domain.high
    return False


def levels(domain: Number) -> int:
    """Return how many distinct values a domain has; 0 for a continuum, or without end."""
    match domain:
        case Integer():
            return (domain.last - domain.low) // (domain.step or 1) + 1
        case Float(step=float() as step):
            return round((domain.high - domain.low) / step) + 1
    return 0


def quantile(domain: Number, value: float) -> float:
    """Return where in [0, 1] a value of a domain lies: `domain.at` leads back to it, up to rounding for floats."""
    if isinstance(domain, Normal):
        from statistics import NormalDist  # here, because it takes milliseconds to import and few spaces need it

        return NormalDist(domain.mean, domain.sd).cdf(value)
    fraction = scaled(domain, value)
    bend = _bend(domain)
    return fraction if bend is None else bend.below(fraction)


def value_at(domain: Number, coordinate: float) -> float:
    """Return the value at a coordinate, the ends of [0, 1] included."""
    return domain.at(min(max(coordinate, NEAREST_TO_AN_END), 1 - NEAREST_TO_AN_END))


def settled_quantiles(domain: Number, quantiles: FloatArray) -> FloatArray:
    """Return for each quantile in [0, 1] where the value lies that it stands for; itself in a continuum."""
    if domain.step is None and isinstance(domain, Float | Normal):
        return quantiles
    if isinstance(domain, Normal):
        return _normal_quantiles(domain, _multiples(_normal_values(domain, quantiles), domain.step or 1.0))
    bend = _bend(domain)
    if bend is None:
        return _of_indices(domain, _indices(domain, quantiles))
    return bend.all_below(_of_indices(domain, _indices(domain, bend.all_at(quantiles))))


def values_at(domain: Number, quantiles: FloatArray) -> FloatArray:
    """Return the values at many quantiles, nan where these are; steps up to rounding errors."""
    import numpy as np

    inside = np.minimum(np.maximum(quantiles, NEAREST_TO_AN_END), 1 - NEAREST_TO_AN_END)
    if isinstance(domain, Normal):
        values = _normal_values(domain, inside)
        return values if domain.step is None else _multiples(values, domain.step)
    bend = _bend(domain)
    fractions = inside if bend is None else bend.all_at(inside)
    if levels(domain):
        return _nth(domain, _indices(domain, fractions))
    highest = math.nextafter(domain.high, -math.inf)
    return np.asarray(np.minimum(np.maximum(_values(domain, fractions), domain.low), highest))


def indices_at(domain: Float | Integer, quantiles: FloatArray) -> FloatArray:
    """Return which level, from 0 on, lies at each of many quantiles."""
    bend = _bend(domain)
    return _indices(domain, quantiles if bend is None else bend.all_at(quantiles))


def level_quantiles(domain: Number) -> FloatArray:
    """Return where each value of a domain with levels lies, in ascending order."""
    import numpy as np

    assert isinstance(domain, Integer | Float), "only these have levels"
    fractions = _of_indices(domain, np.arange(levels(domain), dtype=float))
    bend = _bend(domain)
    return fractions if bend is None else bend.all_below(fractions)


def _bend(domain: Number) -> Mixture | None:
    if isinstance(domain, Normal) or domain.prior is None:
        return None
    return mixture(scaled(domain, domain.prior))


def _indices(domain: Float | Integer, fractions: FloatArray) -> FloatArray:
    """Return which level, from 0 on, lies at each fraction of the range."""
    import numpy as np

    count = levels(domain)
    if isinstance(domain, Integer) and not domain.log:
        found = np.floor(fractions * count)
    elif domain.step is None:
        found = np.floor(_values(domain, fractions)) - domain.low
    else:
        found = np.rint(_values(domain, fractions) / domain.step) - round(domain.low / domain.step)
    return np.asarray(np.minimum(np.maximum(found, 0), count - 1))


def _of_indices(domain: Float | Integer, indices: FloatArray) -> FloatArray:
    """Return `scaled` of many levels."""
    import numpy as np

    if isinstance(domain, Integer) and not domain.log:
        return np.asarray((indices + 0.5) / levels(domain))
    if is_single(domain):
        return np.full(len(indices), 0.5)
    values = _nth(domain, indices)
    if not domain.log:
        return np.asarray((values - domain.low) / (domain.high - domain.low))
    logs = np.log(values)
    if domain.step is None:
        logs = (logs + np.log(values + 1)) / 2
    low = math.log(domain.low)
    return np.asarray(np.minimum(np.maximum((logs - low) / (math.log(domain.high) - low), 0.0), 1.0))


def _values(domain: Float | Integer, fractions: FloatArray) -> FloatArray:
    import numpy as np

    if domain.log:
        low = math.log(domain.low)
        return np.asarray(np.exp(low + (math.log(domain.high) - low) * fractions))
    return np.asarray(domain.low + (domain.high - domain.low) * fractions)


def _nth(domain: Float | Integer, indices: FloatArray) -> FloatArray:
    import numpy as np

    return np.asarray(domain.low + indices * (domain.step or 1), dtype=float)


def _multiples(values: FloatArray, step: float) -> FloatArray:
    import numpy as np

    return np.asarray(np.rint(values / step) * step)


def _normal_values(domain: Normal, quantiles: FloatArray) -> FloatArray:
    import numpy as np
    from scipy.special import ndtri

    inside = np.minimum(np.maximum(quantiles, NEAREST_TO_AN_END), 1 - NEAREST_TO_AN_END)
    return np.asarray(domain.mean + domain.sd * ndtri(inside))


def _normal_quantiles(domain: Normal, values: FloatArray) -> FloatArray:
    import numpy as np
    from scipy.special import ndtr

    return np.asarray(ndtr((values - domain.mean) / domain.sd))

"""A search space in its own names, ranges and values, for packages whose users name them again.

What has no such range (a normal distribution, a prior, a logarithm with a step, a part of a permutation) is a float in
[0, 1]: its quantile.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..space.domains import Categorical, Float, Grid, Integer
from ..space.encoding import Encoding, Parameter
from ..space.quantiles import quantile, value_at

SCALARS = (bool, int, float, str)


@dataclass(frozen=True)
class Range:
    """What one parameter may be."""

    name: str
    low: float | int = 0.0
    high: float | int = 1.0
    """Included."""
    log: bool = False
    step: int | None = None
    """Of whole numbers; None: a float."""
    choices: tuple[Any, ...] = ()
    """Empty for a number."""
    domain: Float | Integer | None = None
    """Whose values it has; None for choices and quantiles."""

    def value(self, coordinate: float) -> Any:
        """Return the value at a coordinate."""
        if self.choices:
            return self.choices[int(coordinate)]
        if self.domain is None:
            return float(coordinate)
        return value_at(self.domain, coordinate)

    def coordinate(self, value: Any) -> float:
        """Return where a value lies."""
        if self.choices:
            return float(self.choices.index(value))
        return float(value) if self.domain is None else quantile(self.domain, value)


def ranges(encoding: Encoding) -> list[Range]:
    """Return the range of each coordinate."""
    return [_range(encoding, parameter) for parameter in encoding.parameters]


def _range(encoding: Encoding, parameter: Parameter) -> Range:
    name, domain = parameter.name, parameter.domain
    if parameter.options:
        return Range(name, choices=_choices(encoding, parameter))
    match domain:
        case Float(step=None, prior=None) if not parameter.is_part:
            return Range(name, domain.low, domain.high, log=domain.log, domain=domain)
        case Integer(log=False, prior=None):
            return Range(name, domain.low, domain.last, step=domain.step or 1, domain=domain)
        case Integer(step=None, prior=None):
            return Range(name, domain.low, domain.last, log=True, step=1, domain=domain)
    return Range(name)


def _choices(encoding: Encoding, parameter: Parameter) -> tuple[Any, ...]:
    """Return the values where all are scalars; else their indices."""
    domain = encoding.space.parameters.get(parameter.name)
    values = domain.values if isinstance(domain, Categorical | Grid) else ()
    is_plain = all(isinstance(value, SCALARS) for value in values) and len(set(values)) == parameter.options
    return tuple(values) if is_plain else tuple(range(parameter.options))

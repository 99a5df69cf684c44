"""Configs as points of a unit cube, for searchers that model them: what may differ between trials, number by number.

A number of the config lies at its quantile in [0, 1], so that a logarithmic or normal domain is uniform there; one of
several values (a choice; a grid too, whose values are taken by chance here) lies at its index. A parameter that belongs
to a value which was not chosen is nan. Constants, lambdas and nested dicts are left to `Resolution`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.seeds import generator
from .domains import Float, Grid, Integer, Normal
from .points import NOTHING_FIXED, Point, fixed_point
from .resolution import Resolution
from .space import Space
from .tree import Draw, Fields, Node, Options

NEAREST_TO_AN_END = 2.0**-53
"""Quantiles are kept so far from 0 and 1, which a normal distribution cannot take."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One coordinate."""

    name: str
    """The node's name: `model[1]/depth`."""
    domain: Float | Integer | Normal | None
    """Of a number; None for one of several values."""
    options: int
    """How many values there are to choose from; 0 for a number."""
    conditions: tuple[tuple[int, int], ...]
    """(coordinate, value's index) that all must be chosen for it to be there."""


class Encoding:
    """Translates between configs and coordinates. Parameters with a single value have no coordinate.

    A parameter comes after those that its being there depends on.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.parameters: list[Parameter] = []
        self._grids: list[Options] = []
        self._collect(space.root, ())

    def coordinates(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        """Return a journaled config's coordinates; nan for a parameter that is not there.

        Raises:
            SpaceError: The config does not lie in the space.
        """
        point = fixed_point(self.space.root, config, "config")
        found: list[float] = []
        for parameter in self.parameters:
            if not self.is_there(parameter, found):
                found.append(math.nan)
            elif parameter.domain is None:
                found.append(float(point.options[parameter.name]))
            else:
                found.append(quantile(parameter.domain, point.values[parameter.name]))
        return tuple(found)

    def is_there(self, parameter: Parameter, coordinates: Sequence[float]) -> bool:
        """Whether the coordinates before a parameter's own are such that the parameter is part of the config."""
        return all(coordinates[index] == option for index, option in parameter.conditions)

    def config(self, coordinates: Sequence[float], *, seed: int, number: int) -> dict[str, Any]:
        """Return the config at some coordinates; lambdas are evaluated for trial `number`.

        Raises:
            SpaceError: A lambda of the space failed.
        """
        point = Point()
        for parameter, coordinate in zip(self.parameters, coordinates, strict=True):
            if math.isnan(coordinate):
                continue
            if parameter.domain is None:
                point.options[parameter.name] = int(coordinate)
            else:
                inside = min(max(coordinate, NEAREST_TO_AN_END), 1 - NEAREST_TO_AN_END)
                point.values[parameter.name] = parameter.domain.at(inside)
        return self.completed(point, seed=seed, number=number)

    def completed(self, point: Point = NOTHING_FIXED, *, seed: int, number: int) -> dict[str, Any]:
        """Return a config in which what `point` leaves open is drawn, as random search draws it for trial `number`.

        Raises:
            SpaceError: A lambda of the space failed.
        """
        options = dict(point.options)
        for grid in self._grids:
            name = grid.path.name
            options.setdefault(name, generator(seed, f"grid/{name}", number).randrange(len(grid.options)))
        resolution = Resolution(
            self.space.root, seed=seed, number=number, trial=number, options=options, values=point.values
        )
        return resolution.config()

    def _collect(self, node: Node, conditions: tuple[tuple[int, int], ...]) -> None:
        match node:
            case Draw() if not is_single(node.domain):
                self.parameters.append(Parameter(node.path.name, node.domain, 0, conditions))
            case Options():
                if isinstance(node.domain, Grid):
                    self._grids.append(node)
                own = len(self.parameters)
                is_choice = len(node.options) > 1
                if is_choice:
                    self.parameters.append(Parameter(node.path.name, None, len(node.options), conditions))
                for index, option in enumerate(node.options):
                    self._collect(option, (*conditions, (own, index)) if is_choice else conditions)
            case Fields():
                for child in node.children.values():
                    self._collect(child, conditions)


def is_single(domain: Float | Integer | Normal) -> bool:
    """Whether a domain has a single value."""
    match domain:
        case Integer():
            return domain.low == domain.last
        case Float():
            return domain.low == domain.high
    return False


def quantile(domain: Float | Integer | Normal, value: float) -> float:
    """Return where in [0, 1] a value of a domain lies: `domain.at` leads back to it, up to rounding for floats.

    Where a value stands for a whole interval (an integer, a step), it lies at the interval's middle.
    """
    match domain:
        case Normal():
            from statistics import NormalDist  # here, because it takes milliseconds to import and few spaces need it

            return NormalDist(domain.mean, domain.sd).cdf(value)
        case Integer(log=False):
            step = domain.step or 1
            return ((value - domain.low) // step + 0.5) / ((domain.last - domain.low) // step + 1)
        case Integer(step=None):
            middle = (math.log(value) + math.log(value + 1)) / 2
            return (middle - math.log(domain.low)) / (math.log(domain.high) - math.log(domain.low))
    if domain.log:
        fraction = (math.log(value) - math.log(domain.low)) / (math.log(domain.high) - math.log(domain.low))
    else:
        fraction = (value - domain.low) / (domain.high - domain.low)
    return min(max(fraction, 0.0), 1.0)

"""Configs as points of a unit cube, for searchers that model them: what may differ between trials, number by number.

A number of the config lies at its quantile in [0, 1], so that a logarithmic or normal domain is uniform there; one of
several values (a choice; a grid too, whose values are taken by chance here) lies at its index. A parameter that belongs
to a value which was not chosen is nan. Constants, lambdas and nested dicts are left to `Resolution`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.seeds import generator
from ..errors import SpaceError
from .domains import Float, Grid, Integer, Normal
from .points import NOTHING_FIXED, Point, fixed_point
from .resolution import Resolution
from .space import Space
from .tree import Computed, Draw, Fields, Node, Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NEAREST_TO_AN_END = 2.0**-53
MOST_ROUNDS = 100
"""So often as many configs as are wanted are drawn, to find enough that hold the constraints."""
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

    @property
    def levels(self) -> int:
        """How many distinct values a number has; 0 for a continuum and for one of several values."""
        match self.domain:
            case Integer():
                return (self.domain.last - self.domain.low) // (self.domain.step or 1) + 1
            case Float(step=float() as step):
                return round((self.domain.high - self.domain.low) / step) + 1
        return 0


class Encoding:
    """Translates between configs and coordinates. Parameters with a single value have no coordinate.

    A parameter comes after those that its being there depends on.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.parameters: list[Parameter] = []
        self._grids: list[Options] = []
        self._plain: NDArray[np.int_] | None = None
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

    # Many at once: rows of coordinates, shape (n, width).

    @property
    def width(self) -> int:
        """How many coordinates there are."""
        return len(self.parameters)

    @property
    def size(self) -> float:
        """How many distinct configs there are; inf where a number is of a continuum, or a lambda may say anything."""
        return _size(self.space.root)

    def uniform(self, count: int, random: np.random.Generator) -> FloatArray:
        """Return `count` rows as random search draws them.

        Raises:
            SpaceError: The space's constraints let hardly anything through.
        """
        import numpy as np

        found = np.empty((0, self.width))
        for _ in range(MOST_ROUNDS):
            rows = self.from_unit(random.random((count, self.width)))
            found = np.concatenate([found, rows[self.allowed(rows)]])
            if len(found) >= count:
                return found[:count]
        raise SpaceError(
            f"of {MOST_ROUNDS * count} random configs, only {len(found)} hold what the space requires. "
            "Narrow the domains to what is allowed, or loosen the constraints."
        )

    def from_unit(self, uniforms: FloatArray) -> FloatArray:
        """Return the rows that uniform numbers in [0, 1) stand for, shape (n, width)."""
        import numpy as np

        options = np.array([parameter.options for parameter in self.parameters])
        return self.settled(np.where(options > 0, np.floor(uniforms * options), uniforms))

    def settled(self, rows: FloatArray) -> FloatArray:
        """Return the rows of real configs that are nearest: on the levels, inside the cube, nan where nothing is.

        A coordinate that is there and was nan becomes the middle, or the first of several values.
        """
        import numpy as np

        settled = np.array(rows, dtype=float)
        if self._plain is None:
            # Columns that are always there and of a continuum are done at once; a single row is asked for often.
            self._plain = np.flatnonzero([_is_plain(parameter) for parameter in self.parameters])
        settled[:, self._plain] = _inside(settled[:, self._plain], 0.5, 1.0)
        for index, parameter in enumerate(self.parameters):
            if _is_plain(parameter):
                continue
            column = settled[:, index]
            if parameter.options:
                column = np.rint(_inside(column, 0.0, parameter.options - 1))
            else:
                column = _middles(parameter.domain, _inside(column, 0.5, 1.0))
            if parameter.conditions:
                column = np.where(self.present(parameter, settled), column, np.nan)
            settled[:, index] = column
        return settled

    def present(self, parameter: Parameter, rows: FloatArray) -> NDArray[np.bool_]:
        """Return for each row whether the parameter is part of the config; those before it must be settled."""
        import numpy as np

        there = np.ones(len(rows), dtype=bool)
        for index, option in parameter.conditions:
            there &= rows[:, index] == option
        return there

    def allowed(self, rows: FloatArray) -> NDArray[np.bool_]:
        """Return for each settled row whether the space's constraints hold."""
        import numpy as np

        return np.ones(len(rows), dtype=bool)

    def every(self) -> FloatArray:
        """Return all rows of a finite space that hold its constraints, in a fixed order."""
        import numpy as np

        assert self.size < math.inf, "only a finite space can be listed"
        rows = np.full((1, self.width), np.nan)
        for index, parameter in enumerate(self.parameters):
            there = self.present(parameter, rows)
            count = parameter.options or parameter.levels
            values = np.arange(count, dtype=float)
            if not parameter.options:
                values = _quantiles(parameter.domain, _nth(parameter.domain, values))
            more = np.repeat(rows[there], count, axis=0)
            more[:, index] = np.tile(values, int(there.sum()))
            rows = np.concatenate([rows[~there], more])
        return rows[self.allowed(rows)]

    def key(self, row: FloatArray) -> bytes:
        """Return what two settled rows share exactly when they are the same config."""
        import numpy as np

        return bytes(np.nan_to_num(np.round(row, 12), nan=-1.0).tobytes())

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


def _inside(coordinates: FloatArray, default: float, most: float) -> FloatArray:
    """Return coordinates clipped to [0, most], `default` for nan. For single rows np.clip takes ten times as long."""
    import numpy as np

    return np.minimum(np.maximum(np.where(np.isnan(coordinates), default, coordinates), 0.0), most)


def _is_plain(parameter: Parameter) -> bool:
    """Whether it is a number of a continuum that every config has."""
    is_stepped = isinstance(parameter.domain, Normal) and parameter.domain.step is not None
    return not (parameter.options or parameter.conditions or parameter.levels or is_stepped)


def _size(node: Node) -> float:
    match node:
        case Draw():
            return Parameter(node.path.name, node.domain, 0, ()).levels or (1 if is_single(node.domain) else math.inf)
        case Options():
            return sum(map(_size, node.options))
        case Fields():
            return math.prod(map(_size, node.children.values()))
        case Computed():
            return math.inf
    return 1


def _middles(domain: Float | Integer | Normal | None, quantiles: FloatArray) -> FloatArray:
    """Return for each quantile the middle of those that stand for the same value; itself in a continuum."""
    import numpy as np

    match domain:
        case Integer(log=False):
            count = (domain.last - domain.low) // (domain.step or 1) + 1
            return np.asarray((np.minimum(np.floor(quantiles * count), count - 1) + 0.5) / count)
        case Integer(step=None):
            value = np.floor(_values(domain, quantiles))
        case Integer(step=int() as step) | Float(step=float() as step):
            value = np.rint(_values(domain, quantiles) / step) * step
        case _:
            return quantiles
    last = domain.last if isinstance(domain, Integer) else domain.high
    return _quantiles(domain, np.clip(value, domain.low, last))


def _values(domain: Float | Integer, quantiles: FloatArray) -> FloatArray:
    import numpy as np

    if domain.log:
        low = math.log(domain.low)
        return np.asarray(np.exp(low + (math.log(domain.high) - low) * quantiles))
    return np.asarray(domain.low + (domain.high - domain.low) * quantiles)


def _nth(domain: Float | Integer | Normal | None, indices: FloatArray) -> FloatArray:
    import numpy as np

    assert isinstance(domain, Integer | Float), "only these have levels"
    return np.asarray(domain.low + indices * (domain.step or 1), dtype=float)


def _quantiles(domain: Float | Integer | Normal | None, values: FloatArray) -> FloatArray:
    """Return `quantile` of many values."""
    import numpy as np

    assert isinstance(domain, Integer | Float), "only these have levels"
    if isinstance(domain, Integer) and not domain.log:
        step = domain.step or 1
        return np.asarray(((values - domain.low) // step + 0.5) / ((domain.last - domain.low) // step + 1))
    if not domain.log:
        return np.asarray(np.clip((values - domain.low) / (domain.high - domain.low), 0, 1))
    found = np.log(values)
    if isinstance(domain, Integer) and domain.step is None:
        found = (found + np.log(values + 1)) / 2
    low = math.log(domain.low)
    return np.asarray(np.clip((found - low) / (math.log(domain.high) - low), 0, 1))

"""Configs as points of a unit cube, for searchers that model them: what may differ between trials, number by number.

A number of the config lies at its quantile in [0, 1], so that it is uniform there whatever its logarithm or its prior;
one of several values (a choice; a grid too, whose values are taken by chance here) lies at its index. What is not there
in a config is nan. Constants, lambdas and nested dicts are left to `Resolution`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ..core.seeds import generator
from ..errors import SpaceError
from .conditions import walked
from .constraints import MOST_TRIES, too_rare
from .domains import Categorical, Float, Integer, Normal
from .draws import drawn
from .layout import Slot, layout, rule_of
from .points import NOTHING_FIXED, Known, Point, fixed_point, prior_point
from .quantiles import level_quantiles, levels, quantile
from .resolution import NotKnownError, Resolution
from .sizes import size
from .space import Space
from .tree import Composed, Conditional

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .constraints import Constraint
    from .presence import Rule
    from .settling import Settling

    FloatArray = NDArray[np.float64]

__all__ = ["Encoding", "Parameter", "quantile"]
FEWEST_AT_ONCE = 64
"""So many rows are held against constraints at once, at least."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One coordinate."""

    name: str
    """The node's name: `model[1]/depth`."""
    domain: Float | Integer | Normal | None
    """Of a number; of an ordered choice's index; None for one of several values without an order."""
    options: int
    """How many values there are to choose from; 0 for a number."""
    conditions: tuple[tuple[int, int], ...] = ()
    """(coordinate, value's index) that all must be chosen for it to be there."""
    rules: tuple[Rule, ...] = ()
    """What must hold for it to be there, beside these, and cannot be said so simply."""
    weights: tuple[float, ...] | None = None
    """How likely each of the options is; None for all alike."""
    is_part: bool = False
    """Whether it is one of several coordinates of one value, such as a permutation."""

    @property
    def levels(self) -> int:
        """How many distinct values a number has; 0 for a continuum and for one of several values."""
        return 0 if self.domain is None else levels(self.domain)

    @property
    def is_conditional(self) -> bool:
        """Whether there are configs without it."""
        return bool(self.conditions or self.rules)


class Encoding:
    """Translates between configs and coordinates. Parameters with a single value have no coordinate.

    A parameter comes after those that its being there depends on.
    """

    def __init__(self, space: Space) -> None:
        self.space = space
        self.layout = layout(space.root)
        self.slots = self.layout.slots
        self.parameters = [_parameter(slot) for slot in self.slots]

    def coordinates(self, config: Mapping[str, Any]) -> tuple[float, ...]:
        """Return a journaled config's coordinates; nan for a parameter that is not there.

        Raises:
            SpaceError: The config does not lie in the space.
        """
        point = fixed_point(self.space.root, config, "config", is_whole=True)
        known = Known(self.space.root, point)
        found: list[float] = []
        for slot in self.slots:
            try:
                is_there = known.are_true(slot.atoms)
            except NotKnownError:
                is_there = True
            coordinate = slot.found_in(point) if is_there else math.nan
            if coordinate is None:
                raise SpaceError(f"config lacks {slot.name!r}. Was the space changed since the config was made?")
            found.append(coordinate)
        return tuple(found)

    def is_there(self, parameter: Parameter, coordinates: Sequence[float]) -> bool:
        """Whether the coordinates before a parameter's own are such that the parameter is part of the config."""
        if not all(coordinates[index] == option for index, option in parameter.conditions):
            return False
        if not parameter.rules:
            return True
        import numpy as np

        row = np.full((1, self.width), np.nan)
        row[0, : len(coordinates)] = coordinates
        return all(bool(rule.holds(row)[0]) for rule in parameter.rules)

    def config(self, coordinates: Sequence[float], *, seed: int, number: int) -> dict[str, Any]:
        """Return the config at some coordinates, allowed or not; lambdas are evaluated for trial `number`.

        Raises:
            SpaceError: A lambda of the space failed.
        """
        return self.resolution(self.point(coordinates), seed=seed, number=number).config()

    def prior_point(self) -> Point | None:
        """Return what a user believes in: the prior of each parameter that has one; None where none has."""
        return prior_point(self.space.root)

    def point(self, coordinates: Sequence[float]) -> Point:
        """Return what coordinates fix."""
        point = Point()
        for index, (slot, coordinate) in enumerate(zip(self.slots, coordinates, strict=True)):
            if not math.isnan(coordinate):
                slot.fix(point, coordinates[index : index + slot.width])
        return point

    def completed(self, point: Point = NOTHING_FIXED, *, seed: int, number: int) -> dict[str, Any]:
        """Return a config in which what `point` leaves open is drawn, as random search draws it for trial `number`.

        Raises:
            SpaceError: A lambda of the space failed, or no draw holds the space's constraints.
        """
        full = self._with_grids(point, seed, number)
        return next(drawn(self.space, seed=seed, number=number, trial=number, options=full.options, values=full.values))

    def resolution(self, point: Point, *, seed: int, number: int) -> Resolution:
        """Return the config of `completed` in the making, whether or not it holds the space's constraints."""
        full = self._with_grids(point, seed, number)
        return Resolution(
            self.space.root, seed=seed, number=number, trial=number, options=full.options, values=full.values
        )

    def _with_grids(self, point: Point, seed: int, number: int) -> Point:
        options = dict(point.options)
        for grid in self.layout.grids:
            name = grid.path.name
            options.setdefault(name, generator(seed, f"grid/{name}", number).randrange(len(grid.options)))
        return Point(options, point.values)

    # Many at once: rows of coordinates, shape (n, width).

    @property
    def width(self) -> int:
        """How many coordinates there are."""
        return len(self.parameters)

    @cached_property
    def size(self) -> float:
        """How many distinct configs there are; inf where a number is of a continuum, or a lambda may say anything.

        With constraints, conditions too, of a space that is too large to be listed it is a bound.
        """
        return size(self)

    def uniform(self, count: int, random: np.random.Generator) -> FloatArray:
        """Return `count` rows as random search draws them.

        Raises:
            SpaceError: The space's constraints let hardly anything through.
        """
        import numpy as np

        if not self.space.constraints:
            return self.from_unit(random.random((count, self.width)))
        found, tried = np.empty((0, self.width)), 0
        while len(found) < count:
            if tried >= MOST_TRIES * max(count, 1):
                raise too_rare(self._strictest(random), tried)
            rows = self.from_unit(random.random((max(count, FEWEST_AT_ONCE), self.width)))
            found, tried = np.concatenate([found, rows[self.allowed(rows)]]), tried + len(rows)
        return found[:count]

    def from_unit(self, uniforms: FloatArray) -> FloatArray:
        """Return the rows that uniform numbers in [0, 1) stand for, shape (n, width)."""
        import numpy as np

        rows = np.array(uniforms, dtype=float)
        for index, parameter in enumerate(self.parameters):
            if parameter.weights is not None:
                edges = np.cumsum(parameter.weights)[:-1]
                rows[:, index] = np.searchsorted(edges, rows[:, index], side="right")
            elif parameter.options:
                rows[:, index] = np.floor(rows[:, index] * parameter.options)
        return self.settled(rows)

    def settled(self, rows: FloatArray) -> FloatArray:
        """Return the rows of real configs that are nearest: on the levels, inside the cube, nan where nothing is.

        A coordinate that is there and was nan becomes the middle, or the first of several values.
        """
        settled = self._settling.settled(rows)
        for index, parameter in self._conditional:
            settled[~self.present(parameter, settled), index] = math.nan
        return settled

    def present(self, parameter: Parameter, rows: FloatArray) -> NDArray[np.bool_]:
        """Return for each row whether the parameter is part of the config; those before it must be settled."""
        import numpy as np

        there: NDArray[np.bool_] = np.ones(len(rows), dtype=bool)
        for index, option in parameter.conditions:
            there &= rows[:, index] == option
        for rule in parameter.rules:
            there &= rule.holds(rows)
        return there

    def allowed(self, rows: FloatArray) -> NDArray[np.bool_]:
        """Return for each settled row whether the space's constraints hold.

        A function of the space that draws at random is asked once, so a constraint that reads what it returns should
        not depend on such draws.

        Raises:
            SpaceError: A constraint failed.
        """
        import numpy as np

        allowed = np.ones(len(rows), dtype=bool)
        if self.space.constraints and len(rows):
            from .columns import verdicts  # here, because few spaces need it

            for constraint in self.space.constraints:
                allowed[allowed] = verdicts(constraint, self, rows[allowed])
        return allowed

    def every(self) -> FloatArray:
        """Return all rows of a finite space that hold its constraints, in a fixed order; an array to read only."""
        assert self.size < math.inf, "only a finite space can be listed"
        return self._every

    def listed(self, chosen: Collection[int]) -> FloatArray:
        """Return all combinations of what some coordinates may be, nan where nothing is and in all other columns.

        Among the coordinates must be all that these depend on, and all parts of a composed value.
        """
        import numpy as np

        rows = np.full((1, self.width), np.nan)
        for index in sorted(chosen):
            slot, parameter = self.slots[index], self.parameters[index]
            if slot.part:
                continue
            if isinstance(slot.node, Composed):
                values = slot.node.domain.every()
            elif parameter.domain is None:
                values = np.arange(parameter.options, dtype=float)[:, None]
            else:
                values = level_quantiles(parameter.domain)[:, None]
            there = self.present(parameter, rows)
            more = np.repeat(rows[there], len(values), axis=0)
            more[:, index : index + slot.width] = np.tile(values, (int(there.sum()), 1))
            rows = np.concatenate([rows[~there], more])
        return rows

    def key(self, row: FloatArray) -> bytes:
        """Return what two settled rows share exactly when they are the same config."""
        import numpy as np

        return bytes(np.nan_to_num(np.round(row, 12), nan=-1.0).tobytes())

    @cached_property
    def rules(self) -> dict[Conditional, Rule]:
        """When the conditions of the space hold, in terms of coordinates."""
        conditionals = (node for node in walked(self.space.root) if isinstance(node, Conditional))
        return {node: rule_of(node, self.layout) for node in conditionals}

    @cached_property
    def _settling(self) -> Settling:
        from .settling import Settling  # here, because it needs numpy

        return Settling(self.slots)

    @cached_property
    def _conditional(self) -> list[tuple[int, Parameter]]:
        return [(index, parameter) for index, parameter in enumerate(self.parameters) if parameter.is_conditional]

    @cached_property
    def _every(self) -> FloatArray:
        rows = self.listed(range(self.width))
        rows = rows[self.allowed(rows)]
        rows.setflags(write=False)
        return rows

    def _strictest(self, random: np.random.Generator) -> Constraint:
        """Return the constraint that the fewest configs hold."""
        from .columns import verdicts

        rows = self.from_unit(random.random((MOST_TRIES, self.width)))
        return min(self.space.constraints, key=lambda constraint: int(verdicts(constraint, self, rows).sum()))


def _parameter(slot: Slot) -> Parameter:
    domain = slot.node.domain
    weights = domain.weights if isinstance(domain, Categorical) else None
    return Parameter(
        slot.name,
        slot.domain,
        slot.options,
        slot.conditions,
        slot.rules,
        weights,
        is_part=isinstance(slot.node, Composed),
    )

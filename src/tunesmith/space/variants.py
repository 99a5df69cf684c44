"""The variants of a space: the product of its grids, repeated for each sample; each config has a number."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any

from ..errors import ConfigError, SpaceError
from .domains import Grid
from .draws import drawn
from .placing import fitted
from .points import NOTHING_FIXED, Known, Point, checked_points, prior_point, refused
from .resolution import NotKnownError
from .space import Space
from .tree import Fields, Node, Options

ENDLESS = -1
MOST_GRID_POINTS = 1_000_000
"""So many are held against constraints, once."""
MOST_POINTS = 10_000
"""So many of the trials that points make are looked at for repetitions, once."""


class Variants:
    """Every config that an experiment tries, by trial number.

    Samples follow each other; within one, the grid that comes first in the sorted order of paths varies fastest, and a
    grid inside a grid's value is gone through where that value stands. Each config is made from the seed and its number
    alone, so it does not depend on `num_samples` nor on what was asked before.

    Grid points that the space's constraints refuse whatever is drawn are left out, and have no number. Where it depends
    on the draws, these are drawn anew until the constraints hold. The first sample after the points has the `prior=` of
    each parameter that has one.

    Args:
        space: What may be tried.
        num_samples: How often the grid is gone through; -1 without end.
        seed: The experiment's seed.
        constant_grid_search: Draw once for each sample and hold the draws over its grid points.
        points_to_evaluate: Parts of configs, each for one of the first samples. What a point leaves open is drawn or
            gone through as usual; a grid that it fixes is not gone through.

    Raises:
        ConfigError: `num_samples` is no count, or there are more points than samples.
        SpaceError: A point does not lie in the space, a lambda of the space fails for the first config, or its
            constraints let nothing through.
    """

    def __init__(
        self,
        space: Space,
        *,
        num_samples: int = 1,
        seed: int = 0,
        constant_grid_search: bool = False,
        points_to_evaluate: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        is_count = isinstance(num_samples, int) and not isinstance(num_samples, bool)
        if not is_count or (num_samples < 1 and num_samples != ENDLESS):
            raise ConfigError(f"num_samples={num_samples!r}: give a whole number above 0, or -1 for no end.")
        if num_samples != ENDLESS and len(points_to_evaluate) > num_samples:
            raise ConfigError(
                f"{len(points_to_evaluate)} points_to_evaluate do not fit into num_samples={num_samples}, "
                f"for each replaces one sample. Give num_samples={len(points_to_evaluate)} or more."
            )
        self.space = space
        self.seed = seed
        self.constant_grid_search = constant_grid_search
        self._grids = [node.path.name for node in _grids(space.root)]
        self._points = checked_points(space, points_to_evaluate)
        self._prior = prior_point(space.root) or NOTHING_FIXED
        self._open_positions = self._allowed(NOTHING_FIXED)
        self._positions = [self._allowed(point) for point in self._points]
        self._ends = list(accumulate(map(len, self._positions)))
        """For each point, how many trials there are up to and with it."""
        self.total: int | None = None
        """How many configs there are; None without end."""
        if num_samples != ENDLESS:
            self.total = self.fixed_trials + (num_samples - len(self._points)) * self.grid_points
        # Lambdas that fail, read what is not there, or read each other in a circle mostly do so at once: say it now,
        # before anything runs.
        self.config(0)

    @property
    def grid_points(self) -> int:
        """How many grid points a sample goes through."""
        return len(self._open_positions)

    @property
    def fixed_trials(self) -> int:
        """How many trials the points to evaluate make."""
        return self._ends[-1] if self._ends else 0

    def config(self, number: int) -> dict[str, Any]:
        """Return the config of trial `number`, as JSON values.

        Raises:
            IndexError: There is no such trial.
            SpaceError: A lambda of the space failed, lambdas read each other in a circle, or the space's constraints
                let hardly anything through.
        """
        return next(self.tries(number))

    def tries(self, number: int) -> Iterator[dict[str, Any]]:
        """Yield configs that trial `number` may have, each drawn anew: `config` is the first of them.

        Raises:
            IndexError, SpaceError: As for `config`.
        """
        if number < 0 or (self.total is not None and number >= self.total):
            raise IndexError(f"there is no trial {number}: the space has {self.total} variants, from 0 on.")
        sample, _ = self._place(number)
        point = self._points[sample] if sample < len(self._points) else NOTHING_FIXED
        options = self._options(number)
        return drawn(
            self.space,
            seed=self.seed,
            number=sample if self.constant_grid_search else number,
            trial=number,
            options=options,
            values=point.values,
            first=self._prior if sample == len(self._points) else NOTHING_FIXED,
        )

    def is_given(self, number: int) -> bool:
        """Whether nothing of a variant is drawn, because a point to evaluate says it all."""
        if number >= self.fixed_trials:
            return False
        point = self._points[self._place(number)[0]]
        try:
            Known(self.space.root, Point(self._options(number), point.values)).config()
        except NotKnownError:
            return False
        return True

    @cached_property
    def repeated_points(self) -> int:
        """How many of the points to evaluate that say all of a config say the same as one before."""
        numbers = range(min(self.fixed_trials, MOST_POINTS))
        given = [repr(self.config(number)) for number in numbers if self.is_given(number)]
        return len(given) - len(set(given))

    def _allowed(self, point: Point) -> Sequence[int]:
        """Return the grid points, of those that a point leaves open, that may be tried for some draws at least.

        Raises:
            SpaceError: There are none, or too many to look at each of them.
        """
        root, constraints = self.space.root, self.space.constraints
        count = point.points(root)
        if not constraints or count == 1:
            return range(count)
        if count > MOST_GRID_POINTS:
            raise SpaceError(
                f"the grid has {count} points, and each would have to be held against {constraints[0]}. "
                "Use tune.choice instead of grids, and num_samples= for how many to try."
            )
        allowed = array("q")
        for position in range(count):
            options = dict(point.options)
            _set_grid(root, position, point, options)
            refused_by = refused(self.space, Point(options, point.values))
            if refused_by is None:
                allowed.append(position)
        if not allowed:
            raise SpaceError(f"none of the grid's {count} points holds {refused_by}. Loosen it, or widen the grid.")
        return range(count) if len(allowed) == count else allowed

    def left(self, configs: Iterable[Mapping[str, Any]]) -> list[int]:
        """Return the numbers of the variants whose grid points none of these configs has, each config for one of them.

        The configs may be of an earlier version of the space.
        """
        assert self.total is not None, "there are always more without an end"
        had: Counter[tuple[tuple[str, int], ...]] = Counter()
        for config in configs:
            fit = fitted(self.space.root, config)
            if fit is not None:
                had[self._grid_point(fit.point.options)] += 1
        numbers = []
        for number in range(self.total):
            point = self._grid_point(self._options(number))
            if had[point]:
                had[point] -= 1
            else:
                numbers.append(number)
        return numbers

    def _options(self, number: int) -> dict[str, int]:
        """Return which value each grid takes in a variant, with what its point to evaluate has fixed."""
        sample, position = self._place(number)
        point = self._points[sample] if sample < len(self._points) else NOTHING_FIXED
        options = dict(point.options)
        _set_grid(self.space.root, position, point, options)
        return options

    def _grid_point(self, options: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
        return tuple((name, options[name]) for name in self._grids if name in options)

    def _place(self, number: int) -> tuple[int, int]:
        """Return which sample a trial belongs to, and which of its grid points it is."""
        if number < self.fixed_trials:
            sample = bisect_right(self._ends, number)
            return sample, self._positions[sample][number - (self._ends[sample - 1] if sample else 0)]
        sample, position = divmod(number - self.fixed_trials, self.grid_points)
        return len(self._points) + sample, self._open_positions[position]


def _grids(node: Node) -> Iterator[Options]:
    match node:
        case Fields():
            for child in node.grids:
                yield from _grids(child)
        case Options() if isinstance(node.domain, Grid):
            yield node
            for option in node.options:
                yield from _grids(option)


def _set_grid(node: Node, position: int, point: Point, options: dict[str, int]) -> int:
    """Write into `options` which value each grid takes at `position`; return what is left of it, for the next grid."""
    match node:
        case Fields():
            for child in node.grids:
                position = _set_grid(child, position, point, options)
        case Options() if node.points > 1:
            rest, position = divmod(position, point.points(node))
            chosen = options.get(node.path.name)
            if chosen is None:
                chosen = 0
                while position >= (count := point.points(node.options[chosen])):
                    position -= count
                    chosen += 1
                options[node.path.name] = chosen
            _set_grid(node.options[chosen], position, point, options)
            return rest
    return position

"""The variants of a space: the product of its grids, repeated for each sample; each config has a number."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from ..errors import ConfigError
from .points import NOTHING_FIXED, Point, fixed_point
from .resolution import Resolution
from .space import Space
from .tree import Fields, Node, Options

ENDLESS = -1


class Variants:
    """Every config that an experiment tries, by trial number.

    Samples follow each other; within one, the grid that comes first in the sorted order of paths varies fastest, and a
    grid inside a grid's value is gone through where that value stands. Each config is made from the seed and its number
    alone, so it does not depend on `num_samples` nor on what was asked before.

    Args:
        space: What may be tried.
        num_samples: How often the grid is gone through; -1 without end.
        seed: The experiment's seed.
        constant_grid_search: Draw once for each sample and hold the draws over its grid points.
        points_to_evaluate: Parts of configs, each for one of the first samples. What a point leaves open is drawn or
            gone through as usual; a grid that it fixes is not gone through.

    Raises:
        ConfigError: `num_samples` is no count, or there are more points than samples.
        SpaceError: A point does not lie in the space, or a lambda of the space fails for the first config.
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
        self._points = [
            fixed_point(space.root, point, f"points_to_evaluate[{index}]")
            for index, point in enumerate(points_to_evaluate)
        ]
        self._ends = list(accumulate(point.points(space.root) for point in self._points))
        """For each point, how many trials there are up to and with it."""
        self.total: int | None = None
        """How many configs there are; None without end."""
        if num_samples != ENDLESS:
            self.total = self._fixed_trials + (num_samples - len(self._points)) * self.grid_points
        # Lambdas that fail, read what is not there, or read each other in a circle mostly do so at once: say it now,
        # before anything runs.
        self.config(0)

    @property
    def grid_points(self) -> int:
        """How many grid points a sample goes through."""
        return self.space.root.points

    @property
    def _fixed_trials(self) -> int:
        return self._ends[-1] if self._ends else 0

    def config(self, number: int) -> dict[str, Any]:
        """Return the config of trial `number`, as JSON values.

        Raises:
            IndexError: There is no such trial.
            SpaceError: A lambda of the space failed, or lambdas read each other in a circle.
        """
        if number < 0 or (self.total is not None and number >= self.total):
            raise IndexError(f"there is no trial {number}: the space has {self.total} variants, from 0 on.")
        sample, position = self._place(number)
        point = self._points[sample] if sample < len(self._points) else NOTHING_FIXED
        options = dict(point.options)
        _set_grid(self.space.root, position, point, options)
        resolution = Resolution(
            self.space.root,
            seed=self.seed,
            number=sample if self.constant_grid_search else number,
            trial=number,
            options=options,
            values=point.values,
        )
        return resolution.config()

    def _place(self, number: int) -> tuple[int, int]:
        """Return which sample a trial belongs to, and which of its grid points it is."""
        if number < self._fixed_trials:
            sample = bisect_right(self._ends, number)
            return sample, number - (self._ends[sample - 1] if sample else 0)
        sample, position = divmod(number - self._fixed_trials, self.grid_points)
        return len(self._points) + sample, position


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

"""Grid search over a whole space: every combination of some values of each parameter. Nothing is learned."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.events import Event, SpaceChanged
from ..core.objective import Objective
from ..core.policy import Searcher
from ..errors import ConfigError
from ..space.domains import Normal
from ..space.encoding import Encoding
from ..space.placing import wholly_placed
from ..space.quantiles import level_quantiles
from ..space.space import Space
from ..space.tree import Composed
from ..space.versions import is_repeated, own_part
from .learning import LearningSearcher, LearningSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.experiment import Experiment
    from .history import History
    from .learning import Row

    FloatArray = NDArray[np.float64]

LARGEST = 1_000_000
"""A grid is listed before the first trial; one that is larger was hardly meant."""


@dataclass(frozen=True, kw_only=True)
class GridSearcher(LearningSettings):
    """Every combination of values, one after the other: `searcher="grid"`.

    Choices, integers and stepped numbers give all of their values, or with `points_per_parameter` so many at most,
    evenly spread; a continuum gives so many, both ends included (of a normal distribution, the middles of as many
    parts that are equally likely). A parameter inside an option of a choice counts only there, and what the space's
    constraints forbid is left out. `num_samples` is how often the grid is walked through; with -1 once. To go through
    some parameters only, and draw the others, write `tune.grid_search` in the space instead.

    Args:
        points_per_parameter: How many values of each number at most. None: all, which a continuum has not.
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        seed: The seed of what those leave open; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        metric: Taken for the sake of other searchers' settings; nothing is learned from it.
        mode: The same.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    points_per_parameter: int | None = None
    n_earlier_points: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("points_per_parameter", at_least=1)
        if self.n_initial_points is not None or self.duplicates != "skip":
            raise ConfigError(
                "GridSearcher: n_initial_points= and duplicates= have no meaning for a grid. Leave them out; "
                "num_samples=2 walks through it twice."
            )

    def check(self, objective: Objective | None) -> None:
        """Accept an experiment without an objective."""

    def bound_to(self, space: Space, num_samples: int, seed: int) -> GridWalk:
        """Return the searcher for a space.

        Raises:
            ConfigError: A parameter has no end of values, or the grid is too large.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        rows = grid_of(Encoding(space), self.points_per_parameter)
        return GridWalk(self, space, rows, max(num_samples, 1), seed)

    def trials_wanted(self, searcher: Searcher, num_samples: int) -> int | None:
        """Return how many trials the walk has."""
        assert isinstance(searcher, GridWalk), "these settings make no other"
        return searcher.total


class GridWalk(LearningSearcher):
    """Walks through the rows of a grid, `rounds` times."""

    default_initial_points = 0
    ignores_earlier_trials = True

    def __init__(self, settings: GridSearcher, space: Space, rows: FloatArray, rounds: int, seed: int) -> None:
        total = len(settings.points_to_evaluate or ()) + rounds * len(rows)
        super().__init__(settings, space, total, seed)
        self._rows = rows
        self._skips = False
        self._rounds = rounds
        self._changed_at = 0
        """How many configs had been proposed when the space was changed for the last time."""
        self._left: Sequence[int] | None = None
        """The rows that no trial had had by then; None: the space has not been changed."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn that the space is another one: what is left of the walk are the rows that no trial has had."""
        super().observe(event, experiment)
        if type(event) is SpaceChanged:
            self._left = self._untried(experiment, event.outside)
            self._changed_at = experiment.next_number
            self.total = self._changed_at + len(self._left)

    def wanted_now(self, experiment: Experiment, change: SpaceChanged | None) -> int | None:
        """Return how many trials there are to be in all, before it observes how the space was changed, if it was."""
        if change is None:
            return self.total
        return experiment.next_number + len(self._untried(experiment, change.outside))

    def _untried(self, experiment: Experiment, outside: Collection[int]) -> list[int]:
        """Return the rows that have not been tried in each round, in order."""
        import numpy as np

        had: Counter[bytes] = Counter()
        for trial in experiment.trials:
            if trial.id not in outside and not is_repeated(self.space, trial.config):
                place = wholly_placed(self.encoding, own_part(self.space, trial.config))
                if place is not None:
                    had[self.encoding.key(np.array(place))] += 1
        left = []
        for _ in range(self._rounds):
            for index, row in enumerate(self._rows):
                key = self.encoding.key(row)
                if had[key]:
                    had[key] -= 1
                else:
                    left.append(index)
        return left

    def initial(self, history: History, number: int) -> Row | None:
        """Return the grid's next row: which one depends on the trial's number alone."""
        if self._left is not None and self._left and number >= self._changed_at:
            return np_row(self._rows, self._left[(number - self._changed_at) % len(self._left)])
        return np_row(self._rows, number - len(self._points))

    def propose(self, history: History, number: int) -> Row:
        """Return nothing: every row is the grid's."""
        raise AssertionError("`initial` has a row for every number")

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether the walk has come to its end."""
        return self.total is not None and experiment.next_number >= self.total


def np_row(rows: FloatArray, index: int) -> FloatArray:
    """Return a row, counted round and round."""
    row: FloatArray = rows[index % len(rows)]
    return row


def grid_of(encoding: Encoding, most: int | None) -> FloatArray:
    """Return the settled rows of a grid with at most `most` values of each number, the first parameter slowest.

    Raises:
        ConfigError: A parameter has no end of values, the grid is too large, or nothing of it is allowed.
    """
    import numpy as np

    rows = np.full((1, encoding.width), np.nan)
    for index, parameter in enumerate(encoding.parameters):
        if encoding.slots[index].part and not np.isnan(rows[:, index]).all():
            continue  # done with the first part
        values = _values_of(encoding, index, most)
        there = encoding.present(parameter, rows)
        if len(rows) + int(there.sum()) * (len(values) - 1) > LARGEST:
            raise ConfigError(
                f"GridSearcher: the space has more than {LARGEST:,} combinations at {parameter.name!r}. Give a smaller "
                "points_per_parameter, or a searcher that does not try them all."
            )
        more = np.repeat(rows[there], len(values), axis=0)
        more[:, index : index + values.shape[1]] = np.tile(values, (int(there.sum()), 1))
        rows = np.concatenate([rows[~there], more])
    rows = encoding.settled(rows)
    rows = rows[encoding.allowed(rows)]
    if not len(rows):
        raise ConfigError("GridSearcher: no combination holds what the space requires. Give more points_per_parameter.")
    distinct = np.unique(np.nan_to_num(rows, nan=-1.0), axis=0)
    return np.where(distinct < 0, np.nan, distinct)


def _values_of(encoding: Encoding, index: int, most: int | None) -> FloatArray:
    """Return the values of a coordinate, shape (n, 1); of a composed value with an end of values all of its parts."""
    import numpy as np

    parameter, node = encoding.parameters[index], encoding.slots[index].node
    domain, count = parameter.domain, parameter.levels
    if parameter.options:
        return np.arange(parameter.options, dtype=float)[:, None]
    if isinstance(node, Composed) and node.domain.count <= LARGEST:
        return node.domain.every()
    if domain is not None and count and (most is None or count <= most):
        return level_quantiles(domain)[:, None]
    if most is None:
        raise ConfigError(
            f"GridSearcher: {parameter.name!r} is {node.domain!r}, which has no end of values. Give "
            "points_per_parameter=, or make it a choice, an integer or a stepped number."
        )
    if isinstance(domain, Normal) or most == 1:
        return (np.arange(most)[:, None] + 0.5) / most
    return np.linspace(0.0, 1.0, most)[:, None]

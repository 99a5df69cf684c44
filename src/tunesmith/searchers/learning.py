"""What all searchers that learn have in common: what they observe, where they begin, what they may propose.

A method says only where in the cube it would look next, given a `History`. It is never asked twice for the same config
of a finite space, and whatever it proposes obeys the space's constraints.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.events import EarlierTrials
from ..core.objective import Objective
from ..core.policy import Searcher
from ..core.seeds import derived_seed
from ..errors import ConfigError
from ..space.draws import first_points
from ..space.encoding import Encoding
from ..space.space import Space
from .design import spread_design
from .earlier import Earlier
from .known import Known
from .settings import SearcherSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.events import Config, Event
    from ..core.experiment import Experiment
    from .history import History

    FloatArray = NDArray[np.float64]
    Row = Sequence[float] | FloatArray

LISTABLE = 100_000
"""Finite spaces up to this size are searched for a config that is new."""
OWN_EVERY = 4
"""Every so many-th proposal leaves out what earlier experiments found, from FEWEST_OWN own losses on."""
FEWEST_OWN = 5
FEWEST_LOSSES = 2
"""Before there are so many, there is nothing to learn from."""


@dataclass(frozen=True, kw_only=True)
class LearningSettings(SearcherSettings):
    """What can be set of every searcher that learns.

    Args:
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's.
        mode: "min" or "max".
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        n_initial_points: So many configs are spread over the space first; None: as the method needs them.
        n_earlier_points: So many of the best configs of earlier experiments (`warm_from` of the run) are tried first.
        duplicates: "skip": in a finite space no config is proposed twice, and when all have been, the experiment ends.
            "replicate": a config may be proposed again.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None
    metric: str | None = None
    mode: str | None = None
    seed: int | None = None
    max_concurrent: int = 0
    n_initial_points: int | None = None
    n_earlier_points: int = 3
    duplicates: str = "skip"

    def __post_init__(self) -> None:
        if (self.metric is None) != (self.mode is None):
            raise ConfigError(f"{self._name}: give metric= and mode= together, or neither to use the experiment's.")
        if self.metric is not None and self.mode is not None:
            Objective(self.metric, self.mode)  # checks them
        if self.seed is not None and type(self.seed) is not int:
            raise ConfigError(f"{self._name}: seed={self.seed!r}: give an integer, or None for the experiment's seed.")
        self.check_count("max_concurrent", at_least=0)
        self.check_count("n_initial_points", at_least=0)
        self.check_count("n_earlier_points", at_least=0)
        if self.duplicates not in ("skip", "replicate"):
            raise ConfigError(f"{self._name}: duplicates={self.duplicates!r}: give 'skip' or 'replicate'.")

    @property
    def _name(self) -> str:
        return type(self).__name__

    def check_count(self, name: str, *, at_least: int) -> None:
        """Raise ConfigError when an argument is neither None nor a whole number of at least `at_least`."""
        value = getattr(self, name)
        if value is not None and (type(value) is not int or value < at_least):
            raise ConfigError(f"{self._name}: {name}={value!r}: give a whole number of at least {at_least}.")

    def check_range(self, name: str, *, least: float, most: float = math.inf) -> None:
        """Raise ConfigError when an argument is not a number from `least` to `most`."""
        value = getattr(self, name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not least <= value <= most:
            limit = f" and at most {most:g}" if most < math.inf else ""
            raise ConfigError(f"{self._name}: {name}={value!r}: give a number of at least {least:g}{limit}.")

    def check(self, objective: Objective | None) -> None:
        """Raise ConfigError when there is nothing to learn from."""
        if objective is None and self.metric is None:
            raise ConfigError(f"{self._name} has nothing to learn from. Add metric= and mode= to the run.")


class LearningSearcher(Searcher, ABC):
    """A searcher that learns from losses. `total` configs at most; None without end.

    Args:
        settings: What the user said.
        space: What may be tried.
        total: How many trials there are to be; None without end.
        seed: What the draws are keyed by.

    Raises:
        ConfigError: There are more points to evaluate than trials.
        SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
    """

    default_initial_points = 10

    def __init__(self, settings: LearningSettings, space: Space, total: int | None, seed: int) -> None:
        points = settings.points_to_evaluate or ()
        if total is not None and len(points) > total:
            raise ConfigError(
                f"{len(points)} points_to_evaluate do not fit into num_samples={total}. "
                f"Give num_samples={len(points)} or more."
            )
        self.space = space
        self.encoding = Encoding(space)
        self.seed = seed if settings.seed is None else settings.seed
        self.total = total
        self._points = first_points(space, points, total)
        given = settings.n_initial_points
        self.initial_points = self.default_initial_points if given is None else given
        self._design_is_asked_for = given is not None
        # Where nothing can differ, more than one trial is a wish to repeat it.
        self._skips = settings.duplicates == "skip" and self.encoding.width > 0
        self._is_finite = self.encoding.size < math.inf
        self._own = (
            () if settings.metric is None or settings.mode is None else (Objective(settings.metric, settings.mode),)
        )
        self._known = Known(self.encoding, self.seed)
        self._earlier = Earlier(self.encoding, self.seed, settings.n_earlier_points)
        self._design: FloatArray | None = None
        """A memo: the design is the same whenever it is made."""
        # Lambdas that fail mostly do so at once: say it now, before anything runs.
        self.encoding.completed(seed=self.seed, number=0)

    @abstractmethod
    def propose(self, history: History, number: int) -> Row:
        """Return where to look with trial `number`: coordinates, shape (d,). A pure function of its arguments.

        There are at least two losses. What is returned is moved to the nearest config, and replaced when that is not
        allowed or not new.
        """

    def initial(self, history: History, number: int) -> Row | None:
        """Return where to look with trial `number` as long as the searcher only looks around; None: no longer."""
        index, count = number, self.initial_points
        if not self._design_is_asked_for and self._earlier.count:
            # Some are needed all the same, to see whether the earlier trials mislead.
            index, count = number - self._earlier.end(len(self._points)), self._earlier.fewer(count)
        if 0 <= index < count:
            if self._design is None:
                unit = spread_design(self.initial_points, self.encoding.width, self.random("design", 0))
                self._design = self.encoding.from_unit(unit)
            return _as_row(self._design[index])
        if len(history.losses) < FEWEST_LOSSES:
            return _as_row(self.encoding.uniform(1, self.random("first", number))[0])
        return None

    def random(self, purpose: str, number: int) -> np.random.Generator:
        """Return a fresh generator for one purpose and trial."""
        import numpy as np

        return np.random.Generator(np.random.PCG64(derived_seed(self.seed, purpose, number)))

    # The searcher's contract.

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn from an event."""
        objectives = self._own or experiment.objectives
        self._known.observe(event, experiment, objectives)
        if type(event) is EarlierTrials and event.objectives == tuple((one.metric, one.mode) for one in objectives):
            self._earlier.observe(event, experiment.next_number)

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the configs of the next `count` trials, fewer at the end.

        Raises:
            SpaceError: A lambda of the space failed, or its constraints let hardly anything through.
        """
        return self.prepared(count, experiment)()

    def prepared(self, count: int, experiment: Experiment) -> Callable[[], Sequence[Config]]:
        """Return what computes `suggest`'s answer from what is known now, without a look at anything that changes."""
        end = experiment.next_number + count
        if self.total is not None:
            end = min(end, self.total)
        numbers = range(experiment.next_number, end)
        history = self.history()
        return lambda: self._configs(history, numbers)

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether as many configs as were wanted have been proposed, or all that there are."""
        if self.total is not None and experiment.next_number >= self.total:
            return True
        return self._skips and self._is_finite and self._unseen(self.history()) is None

    def history(self) -> History:
        """Return what is known now."""
        return self._earlier.joined(self._known.history(self.total))

    # Proposals.

    def _configs(self, history: History, numbers: range) -> list[Config]:
        configs = []
        for number in numbers:
            if number < len(self._points):
                config = self.encoding.completed(self._points[number], seed=self.seed, number=number)
                row = _as_row(self.encoding.coordinates(config))
            else:
                chosen = self._row(history, number)
                if chosen is None:
                    break
                row = chosen
                config = self.encoding.config(row.tolist(), seed=self.seed, number=number)
            configs.append(config)
            history = history.with_pending(row)
        return configs

    def _row(self, history: History, number: int) -> FloatArray | None:
        """Return the row of a config that may be proposed; None when there is none any more."""
        row: Row | None = self._earlier.first(number, len(self._points))
        if row is None:
            row = self.initial(history, number)
        if row is None:
            row = self.propose(self._believed(history, number), number)
        settled = self.encoding.settled(_as_row(row)[None])
        if self._acceptable(history, settled)[0]:
            return _as_row(settled[0])
        return self._instead(history, settled, number)

    @staticmethod
    def _believed(history: History, number: int) -> History:
        """Return what trial `number` is proposed by: now and then by own results alone, lest earlier ones mislead."""
        is_by_itself = number % OWN_EVERY == 0 and len(history.losses) - history.earlier >= FEWEST_OWN
        return history.own() if history.earlier and is_by_itself else history

    def _instead(self, history: History, row: FloatArray, number: int) -> FloatArray | None:
        """Return something near a row that cannot be proposed, else anything new."""
        import numpy as np

        random = self.random("instead", number)
        elsewhere = self.encoding.uniform(64, random)
        near = np.where(random.random(elsewhere.shape) < 2 / (1 + self.encoding.width), elsewhere, row)
        for rows in (self.encoding.settled(near), elsewhere):
            acceptable = self._acceptable(history, rows)
            if acceptable.any():
                return _as_row(rows[acceptable.argmax()])
        if self._skips and self._is_finite:
            unseen = self._unseen(history)
            return None if unseen is None else _as_row(unseen[random.integers(len(unseen))])
        return _as_row(elsewhere[0])

    def _acceptable(self, history: History, rows: FloatArray) -> NDArray[np.bool_]:
        """Return which settled rows hold the space's constraints and, where that counts, are new."""
        import numpy as np

        fine = self.encoding.allowed(rows)
        if not self._skips:
            return fine
        old = np.nan_to_num(history.proposed, nan=-1.0)
        for index in np.flatnonzero(fine):
            fine[index] = not (np.abs(old - np.nan_to_num(rows[index], nan=-1.0)) < 1e-12).all(axis=1).any()
        return fine

    def _unseen(self, history: History) -> FloatArray | None:
        """Return the rows of a finite space that were never proposed; None when there are none."""
        import numpy as np

        seen = set(map(self.encoding.key, history.proposed))
        if len(seen) >= self.encoding.size:
            return None
        if self.encoding.size > LISTABLE:
            return np.asarray(self.encoding.uniform(64, self.random("unseen", len(seen))))
        every = self.encoding.every()
        rows = [row for row in every if self.encoding.key(row) not in seen]
        return np.array(rows) if rows else None


def _as_row(row: Any) -> FloatArray:
    import numpy as np

    return np.asarray(row, dtype=float)

"""CMA-ES: a normal distribution that follows the better half of what it drew, with a categorical part beside it.

The distribution is a fold over what is known: results are taken in the order of their trials' numbers, a population at
a time, whoever proposed them and whenever they came. So no slot ever waits for a generation to be complete, no result
is wasted, and the distribution is a pure function of the history; what has been folded already is remembered.

Sources: Hansen 2016, "The CMA Evolution Strategy: A Tutorial"; Hamano et al. 2025, "CatCMA with Margin" (numbers with
levels, and choices), as the `cmaes` package has it; Hansen 2011, "Injecting External Solutions into CMA-ES"; Auger and
Hansen 2005, "A Restart CMA Evolution Strategy with Increasing Population Size".
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..core.events import EarlierTrials, Event, SessionOpened
from ..core.seeds import derived_seed
from ..space.domains import Normal
from ..space.encoding import Encoding
from ..space.quantiles import level_quantiles
from ..space.space import Space
from .fronts import order_of
from .learning import LearningSearcher, LearningSettings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..core.experiment import Experiment
    from .history import History
    from .learning import Row

    FloatArray = NDArray[np.float64]

MOST_LEVELS = 64
"""A number with more levels than these is as good as a continuum."""
DRAWS = 3
"""So often a config is drawn again when it lies outside the cube; after that it is moved to the border. With more, an
optimum at the border is hard to reach: the mean of what lies inside lags behind."""
ALLOWED_DRAWS = 100
"""So often when the space's constraints forbid it."""
CONVERGED = 1e-5
"""A population that is no wider than this has nothing more to say."""
KEPT = 64
"""So many of the last distributions are remembered; results come late for the last few populations only."""
POINTS_AFTER_EARLIER = 8
"""With earlier experiments half as many points are spread over the space before the first population."""
BEST_PART = 0.2
"""Of the trials that somebody else proposed, this part says where to begin."""
LEAST_SPREAD = 0.1
"""The standard deviation that is added to that part's own."""


@dataclass(frozen=True, kw_only=True)
class CMAESSearcher(LearningSettings):
    """CMA-ES: `searcher="cmaes"`. Good from about 100 trials on, for many numbers and some choices.

    It begins in the middle of the space (or, when points to evaluate, initial points or an earlier searcher's trials
    are known, around the best of those) and restarts elsewhere with twice the population when it has converged. Any
    number of workers is kept busy; failed trials count as the worst. With several objectives a population is ordered by
    fronts, and each front by its points' crowding distance.

    Args:
        population_size: How many results change the distribution at once; None: 4 + 3 log(parameters), or half the
            number of workers if that is more.
        sigma: The standard deviation to begin with, as a part of each parameter's range.
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's.
        mode: "min" or "max".
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        n_initial_points: So many configs are spread over the space first; None: none.
        duplicates: "skip": in a finite space no config is proposed twice, and when all have been, the experiment ends.
            "replicate": a config may be proposed again.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    population_size: int | None = None
    sigma: float = 1 / 6

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("population_size", at_least=4)
        self.check_range("sigma", least=1e-6, most=1)

    def bound_to(self, space: Space, num_samples: int, seed: int) -> CMAES:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return CMAES(self, space, None if num_samples < 0 else num_samples, seed)


class CMAES(LearningSearcher):
    """The searcher that `CMAESSearcher` describes, for one space.

    `first` is the number of the first trial that it proposes; those before say where it begins, and so do the trials
    of sessions that another searcher drove.
    """

    default_initial_points = 0

    def __init__(self, settings: CMAESSearcher, space: Space, total: int | None, seed: int, *, first: int = 0) -> None:
        super().__init__(settings, space, total, seed)
        self._settings = settings
        self._coordinates = _Coordinates(self.encoding)
        self._first = max(first, len(self._points), self.initial_points)
        self._driver: str | None = None
        self._memo = _Memo()

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn from an event."""
        super().observe(event, experiment)
        if type(event) is EarlierTrials and self._earlier.count:
            # What comes of the best earlier configs here says where to begin, beside some points that are spread: a
            # distribution that begins where earlier trials mislead it takes long to find out.
            self.initial_points = self.initial_points or POINTS_AFTER_EARLIER
            end = self._earlier.end(len(self._points))
            self._first = max(self._first, end + self._earlier.fewer(self.initial_points))
        if type(event) is SessionOpened:
            if self._driver not in (None, event.searcher):
                self._first = max(self._first, experiment.next_number)
            self._driver = event.searcher

    def initial(self, history: History, number: int) -> Row | None:
        """Return where to look while initial points were asked for; after that nothing need be known."""
        return super().initial(history, number) if number < max(self._first, self.initial_points) else None

    def propose(self, history: History, number: int) -> Row:
        """Return a draw from the distribution that the history has led to."""
        if not self.encoding.width:
            return []
        # A copy, for its generator changes, and answers may be worked out in several threads.
        optimizer = copy.deepcopy(self._distribution(history).optimizer)
        optimizer.reseed_rng(derived_seed(self.seed, "cmaes", number, bits=32))
        inside = None
        for _ in range(ALLOWED_DRAWS):
            for _ in range(DRAWS):
                drawn = optimizer.ask()
                if drawn.x is None or bool(((drawn.x > 0) & (drawn.x < 1)).all()):
                    break
            row = self.encoding.settled(self._coordinates.row(drawn)[None])
            inside = row if inside is None else inside
            if self.encoding.allowed(row)[0]:
                return _first_of(row)
        assert inside is not None
        return _first_of(inside)

    # The fold.

    def _distribution(self, history: History) -> _Distribution:
        """Return the distribution after all complete populations of a history."""
        import numpy as np

        history = history.own()
        trials = np.concatenate([history.trials, history.failed_trials])
        order = np.argsort(trials, kind="stable")
        begun = int(np.searchsorted(trials[order], self._first))
        worst = np.full((len(history.failed), history.objectives.shape[1]), np.inf)
        rows = np.concatenate([history.points, history.failed])[order]
        losses = np.concatenate([history.objectives, worst])[order]
        least = max(4 + int(3 * math.log(self.encoding.width)), history.workers // 2)
        population = self._settings.population_size or least
        seeds, rows, losses = (rows[:begun], losses[:begun]), rows[begun:], losses[begun:]
        known = self._memo.reusable((population, *seeds), rows, losses)
        chain = known or [self._begun(population, *seeds)]
        while len(rows) - chain[-1].used >= chain[-1].population:
            here = chain[-1]
            part = slice(here.used, here.used + here.population)
            chain.append(self._updated(here, rows[part], losses[part]))
        self._memo = _Memo((population, *seeds), rows, losses, chain[-KEPT:])
        return chain[-1]

    def _begun(self, population: int, rows: FloatArray, losses: FloatArray) -> _Distribution:
        """Return where to begin: in the middle, or around the best of what others have tried."""
        import numpy as np

        fine = np.isfinite(losses).all(axis=1) if len(rows) else np.zeros(0, dtype=bool)
        numeric, choices = self._coordinates.parts(rows[fine], np.full((int(fine.sum()), self.encoding.width), np.nan))
        if not fine.any():
            return self._new(population, run=0, used=0)
        best = order_of(losses[fine])[: max(1, math.ceil(BEST_PART * int(fine.sum())))]
        numeric = np.nan_to_num(numeric[best], nan=0.5)
        covariance = None
        sigma = self._settings.sigma
        if len(best) > 2 and numeric.shape[1]:
            covariance = np.cov(numeric.T, bias=True).reshape(numeric.shape[1], -1)
            covariance = covariance + LEAST_SPREAD**2 * np.eye(len(covariance))
            sigma = min(sigma, float(np.exp(np.linalg.slogdet(covariance)[1] / (2 * len(covariance)))))
            covariance = covariance / np.exp(np.linalg.slogdet(covariance)[1] / len(covariance))
            mean = numeric.mean(axis=0)
        else:
            mean = numeric[0]
        return self._new(
            population, run=0, used=0, mean=mean, sigma=sigma, covariance=covariance, choices=choices[best]
        )

    def _new(
        self,
        population: int,
        *,
        run: int,
        used: int,
        mean: FloatArray | None = None,
        sigma: float | None = None,
        covariance: FloatArray | None = None,
        choices: FloatArray | None = None,
    ) -> _Distribution:
        optimizer = self._coordinates.optimizer(population, mean, sigma or self._settings.sigma, covariance, choices)
        return _Distribution(optimizer, population, run, used)

    def _updated(self, before: _Distribution, rows: FloatArray, losses: FloatArray) -> _Distribution:
        """Return the distribution after one more population, or a new one when that population has converged."""
        import numpy as np

        used = before.used + len(rows)
        optimizer = copy.deepcopy(before.optimizer)
        optimizer.reseed_rng(derived_seed(self.seed, "cmaes/absent", used, bits=32))
        # What is not there is drawn, so that it neither moves the distribution nor narrows it.
        drawn = np.stack([self._coordinates.row(optimizer.ask()) for _ in rows])
        ranks = np.empty(len(rows))
        ranks[order_of(losses)] = np.arange(len(rows))
        solutions = self._coordinates.solutions(rows, drawn)
        optimizer.tell([(solution, float(rank)) for solution, rank in zip(solutions, ranks, strict=True)])
        best = float(losses[:, 0].min())
        improved = before.improved if best >= before.best else used
        patience = before.population * (10 + math.ceil(30 * self.encoding.width / before.population))
        if used - improved < patience and not _has_converged(rows):
            return _Distribution(optimizer, before.population, before.run, used, min(best, before.best), improved)
        run = before.run + 1
        mean = self._coordinates.numeric(self.encoding.uniform(1, self.random("cmaes/restart", run)))[0]
        return self._new(2 * before.population, run=run, used=used, mean=np.nan_to_num(mean, nan=0.5))


@dataclass(frozen=True)
class _Distribution:
    """A distribution, and how it came to be."""

    optimizer: Any
    population: int
    run: int
    used: int
    """So many results are folded into it and its predecessors."""
    best: float = math.inf
    """The smallest loss of its run."""
    improved: int = -1
    """How many results had been folded when that was found."""

    def __post_init__(self) -> None:
        if self.improved < 0:
            object.__setattr__(self, "improved", self.used)


@dataclass(frozen=True)
class _Memo:
    """Distributions that have been computed, and from what."""

    start: tuple[Any, ...] = ()
    rows: Any = None
    losses: Any = None
    chain: list[_Distribution] = field(default_factory=list)

    def reusable(self, start: tuple[Any, ...], rows: FloatArray, losses: FloatArray) -> list[_Distribution]:
        """Return those distributions that a history begins with."""
        import numpy as np

        if not self.chain or not all(map(np.array_equal, self.start, start, (False, True, True))):
            return []
        shared = min(len(rows), len(self.rows))
        same = (np.nan_to_num(rows[:shared], nan=-1.0) == np.nan_to_num(self.rows[:shared], nan=-1.0)).all(axis=1)
        same &= (losses[:shared] == self.losses[:shared]).all(axis=1)
        equal = shared if same.all() else int(same.argmin())
        return [distribution for distribution in self.chain if distribution.used <= equal]


class _Coordinates:
    """Which coordinates of the cube are numbers of a continuum, numbers with levels, and choices; and the way there."""

    def __init__(self, encoding: Encoding) -> None:
        self._width = encoding.width
        self._continua: list[int] = []
        self._stepped: list[int] = []
        self._choices: list[int] = []
        self._levels: list[list[float]] = []
        """Of the stepped ones: where their values lie."""
        self._values: list[list[float]] = []
        """Of the choices: their indices, or the places of two levels."""
        self._weights: list[tuple[float, ...]] = []
        """Of the choices: how likely each value is to begin with."""
        for index, parameter in enumerate(encoding.parameters):
            domain, levels = parameter.domain, parameter.levels
            if parameter.options:
                self._choices.append(index)
                self._values.append([float(option) for option in range(parameter.options)])
                self._weights.append(parameter.weights or (1 / parameter.options,) * parameter.options)
            elif not 2 <= levels <= MOST_LEVELS or domain is None or isinstance(domain, Normal):
                self._continua.append(index)
            else:
                places = level_quantiles(domain).tolist()
                # The step of a margin makes no sense between two values: the paper takes them as a choice.
                (self._choices if levels == 2 else self._stepped).append(index)
                (self._values if levels == 2 else self._levels).append(places)
                if levels == 2:
                    self._weights.append((0.5, 0.5))

    def optimizer(
        self,
        population: int,
        mean: FloatArray | None,
        sigma: float,
        covariance: FloatArray | None,
        choices: FloatArray | None,
    ) -> Any:
        """Return a new distribution."""
        import numpy as np
        from cmaes import CatCMAwM

        count = len(self._continua) + len(self._stepped)
        if count:
            mean = np.full(count, 0.5) if mean is None else np.asarray(mean, dtype=float)
            covariance = np.eye(count) if covariance is None else covariance
        return CatCMAwM(
            x_space=[[0.0, 1.0]] * len(self._continua) or None,
            z_space=self._levels or None,
            c_space=[len(values) for values in self._values] or None,
            population_size=population,
            mean=mean if count else None,
            sigma=sigma if count else None,
            cov=covariance if count else None,
            cat_param=self._likelihoods(choices),
            seed=0,
        )

    def _likelihoods(self, choices: FloatArray | None) -> FloatArray | None:
        """Return how likely each value of each choice is: as the space says, or halfway to as often as in some rows."""
        import numpy as np

        if not self._choices:
            return None
        likely = np.zeros((len(self._values), max(map(len, self._values))))
        for place, weights in enumerate(self._weights):
            count = len(weights)
            likely[place, :count] = np.array(weights) / sum(weights)
            if choices is not None:
                often = np.bincount(choices[:, place].astype(int), minlength=count) / len(choices)
                likely[place, :count] = 0.5 * likely[place, :count] + 0.5 * often
        return likely

    def numeric(self, rows: FloatArray) -> FloatArray:
        """Return the numbers of some rows, those of a continuum first."""
        return rows[:, self._continua + self._stepped]

    def parts(self, rows: FloatArray, instead: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the numbers of some rows and which values they chose; what is not there comes from `instead`."""
        import numpy as np

        filled = np.where(np.isnan(rows), instead, rows)
        chosen = [
            np.abs(np.nan_to_num(filled[:, index])[:, None] - np.array(values)[None]).argmin(axis=1)
            for index, values in zip(self._choices, self._values, strict=True)
        ]
        return self.numeric(filled), np.array(chosen).reshape(len(self._choices), len(rows)).T

    def row(self, drawn: Any) -> FloatArray:
        """Return the row that was drawn."""
        import numpy as np

        row = np.empty(self._width)
        if self._continua:
            row[self._continua] = drawn.x
        if self._stepped:
            row[self._stepped] = drawn.z
        for place, index in enumerate(self._choices):
            row[index] = self._values[place][int(drawn.c[place].argmax())]
        return row

    def solutions(self, rows: FloatArray, instead: FloatArray) -> list[Any]:
        """Return rows as the distribution takes them."""
        import numpy as np
        from cmaes import CatCMAwM

        numeric, chosen = self.parts(rows, instead)
        continua, made = len(self._continua), []
        for numbers, values in zip(numeric, chosen.astype(int), strict=True):
            choices = None
            if self._choices:
                choices = np.zeros((len(values), max(map(len, self._values))), dtype=bool)
                choices[np.arange(len(values)), values] = True
            made.append(
                CatCMAwM.Solution(
                    x=numbers[:continua] if self._continua else None,
                    z=numbers[continua:] if self._stepped else None,
                    c=choices,
                    # It is given as it was tried, not as it was drawn: others may have proposed it.
                    _v_raw=numbers,
                )
            )
        return made


def _first_of(rows: FloatArray) -> FloatArray:
    row: FloatArray = rows[0]
    return row


def _has_converged(rows: FloatArray) -> bool:
    """Whether the configs of a population hardly differ."""
    import numpy as np

    filled = np.nan_to_num(rows, nan=-1.0)
    return bool((filled.max(axis=0) - filled.min(axis=0)).max() < CONVERGED)

"""BOHB's searcher: proposes configs like those that were good at the largest budget that enough trials have reached.

Source: Falkner et al. 2018, "BOHB: Robust and Efficient Hyperparameter Optimization at Scale", algorithm 2.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any

from ..core.events import (
    Event,
    Reported,
    TrialCompleted,
    TrialFailed,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from ..core.objective import WORST, Objective
from ..core.policy import Searcher
from ..core.seeds import generator
from ..errors import ConfigError
from ..space.draws import first_points
from ..space.encoding import Encoding
from ..space.placing import placed
from ..space.space import Space
from ..space.versions import own_part
from .density import ProductDensity
from .settings import SearcherSettings

if TYPE_CHECKING:
    from ..core.events import Config
    from ..core.experiment import Experiment

LEAST_DENSITY = 1e-32
"""Densities below it count as it: far from every point there is nothing to compare."""

Coordinates = tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class BOHBSearcher(SearcherSettings):
    """The settings of BOHB's searcher: `searcher=tune.BOHBSearcher()`, together with `scheduler="hyperband"`.

    A *budget* is a training_iteration at which a trial has stood still: paused, stopped or completed. Each trial that
    reports there is an observation of that budget; one that fails before is its worst, as is nan. With another
    scheduler the budgets are its rungs; with none, where trials end.

    The searcher splits the observations of the largest budget that has enough of them (`min_points_in_model` + 2) into
    the good and the bad, estimates the density of each, draws `num_samples` configs near the good ones, and proposes
    that with the largest ratio of the densities. Every proposal is keyed by the seed and the trial's number. One thing
    is not the paper's: bandwidths never shrink to nothing by chance, see `ProductDensity`.

    A grid in the space is a choice for this searcher: it is not gone through, and `num_samples` of the run is the
    number of trials. Parameters inside an option of a choice count only for configs that have them. What a lambda
    returns is part of the config, and not modelled.

    Args:
        points_to_evaluate: Parts of configs to try first; what they leave open is drawn.
        metric: What to learn from, with `mode`; by default the experiment's.
        mode: "min" or "max".
        seed: The seed of the draws; None: the experiment's.
        max_concurrent: How many trials may run at once; 0 is no limit of its own.
        min_points_in_model: So many good and so many bad observations at least; None: the number of parameters + 1.
        top_n_percent: How many percent of the observations are good.
        num_samples: How many configs are drawn for each proposal.
        random_fraction: How often a proposal is drawn from the space instead.
        bandwidth_factor: Configs are drawn with bandwidths so much larger, to explore.
        min_bandwidth: No bandwidth is below it, so that the densities never shrink to a point.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    points_to_evaluate: Sequence[Mapping[str, Any]] | None = None
    metric: str | None = None
    mode: str | None = None
    seed: int | None = None
    max_concurrent: int = 0
    min_points_in_model: int | None = None
    top_n_percent: float = 15
    num_samples: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3
    min_bandwidth: float = 1e-3

    def __post_init__(self) -> None:
        if (self.metric is None) != (self.mode is None):
            raise ConfigError("BOHBSearcher: give metric= and mode= together, or neither to use the experiment's.")
        if self.seed is not None and type(self.seed) is not int:
            raise ConfigError(f"BOHBSearcher: seed={self.seed!r}: give an integer, or None for the experiment's seed.")
        for name, least in (("max_concurrent", 0), ("num_samples", 1), ("min_points_in_model", 1)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise ConfigError(f"BOHBSearcher: {name}={value!r}: give a whole number of at least {least}.")
        _check_range("top_n_percent", self.top_n_percent, most=100)
        _check_range("random_fraction", self.random_fraction, most=1, may_be_zero=True)
        _check_range("bandwidth_factor", self.bandwidth_factor)
        _check_range("min_bandwidth", self.min_bandwidth, most=1)
        if self.metric is not None and self.mode is not None:
            Objective(self.metric, self.mode)  # checks them

    def check(self, objective: Objective | None) -> None:
        """Raise ConfigError when there is nothing to learn from."""
        if objective is None and self.metric is None:
            raise ConfigError("BOHBSearcher has nothing to learn from. Add metric= and mode= to the run.")

    def bound_to(self, space: Space, num_samples: int, seed: int) -> BOHB:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points than trials.
            SpaceError: A point does not lie in the space, or a lambda of it fails for the first config.
        """
        return BOHB(self, space, None if num_samples < 0 else num_samples, seed if self.seed is None else self.seed)


def _check_range(name: str, value: float, *, most: float = math.inf, may_be_zero: bool = False) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and value < math.inf
    if not is_number or not 0 <= value <= most or (value == 0 and not may_be_zero):
        least = "of at least 0" if may_be_zero else "above 0"
        limit = f" and at most {most:g}" if most < math.inf else ""
        raise ConfigError(f"BOHBSearcher: {name}={value!r}: give a number {least}{limit}.")


TuneBOHB = BOHBSearcher
"""Ray Tune's name."""


class BOHB(Searcher):
    """The searcher that `BOHBSearcher` describes, for one space. `total` configs at most; None without end."""

    ignores_earlier_trials = True

    def __init__(self, settings: BOHBSearcher, space: Space, total: int | None, seed: int) -> None:
        points = settings.points_to_evaluate or ()
        if total is not None and len(points) > total:
            raise ConfigError(
                f"{len(points)} points_to_evaluate do not fit into num_samples={total}. "
                f"Give num_samples={len(points)} or more."
            )
        self.settings = settings
        self.encoding = Encoding(space)
        self.seed = seed
        self.total = total
        self._points = first_points(space, points, total)
        self._options = [parameter.options for parameter in self.encoding.parameters]
        self._fewest = settings.min_points_in_model or len(self._options) + 1
        own = None if settings.metric is None or settings.mode is None else Objective(settings.metric, settings.mode)
        self.objective = own
        self._failed: dict[int, tuple[int, int | None]] = {}
        """Failed trials -> how far they had come, and the budget that they are the worst of, if one was known above."""
        self._forget(own)
        # Lambdas that fail mostly do so at once: say it now, before anything runs.
        self._config(0, None)

    def _forget(self, objective: Objective | None) -> None:
        self._ranked_by = objective
        self._budgets: list[int] = []
        """In ascending order."""
        self._observed: dict[int, dict[int, tuple[float, Coordinates]]] = {}
        """Budget -> trial -> (loss, where its config lies)."""
        self._failed = {trial: (reached, None) for trial, (reached, _) in self._failed.items()}

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn a result at a budget, and where trials stand still."""
        if type(event) is Reported:
            if event.number in self._observed:
                self._note(event.trial, event.number, event, experiment)
        elif isinstance(event, TrialPaused | TrialStopped | TrialCompleted):
            last = experiment.trials[event.trial].last
            if last is not None and not (isinstance(event, TrialPaused) and event.interrupted):
                self._add_budget(last.number, experiment)
                self._note(event.trial, last.number, last, experiment)
        elif type(event) is TrialFailed:
            self._failed[event.trial] = (experiment.trials[event.trial].number, None)
            self._place_failed(event.trial, experiment)
        elif type(event) is TrialRequeued:
            _, budget = self._failed.pop(event.trial, (0, None))
            if budget is not None:
                del self._observed[budget][event.trial]

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the configs of the next `count` trials, fewer at the end.

        Raises:
            SpaceError: A lambda of the space failed.
        """
        end = experiment.next_number + count
        if self.total is not None:
            end = min(end, self.total)
        if end <= experiment.next_number:
            return []
        model = self.model()
        return [self._config(number, model) for number in range(experiment.next_number, end)]

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether as many configs as were wanted have been proposed."""
        return self.total is not None and experiment.next_number >= self.total

    def model(self) -> tuple[ProductDensity, ProductDensity] | None:
        """Return the densities of the good and of the bad observations; None while no budget has enough of them."""
        for budget in reversed(self._budgets):
            observed = self._observed[budget]
            if self._options and len(observed) >= self._fewest + 2:
                break
        else:
            return None
        ranked = [observed[trial][1] for trial in sorted(observed, key=lambda trial: (observed[trial][0], trial))]
        good = max(self._fewest, int(self.settings.top_n_percent * len(ranked) / 100))
        bad = max(self._fewest, len(ranked) - good)
        least = self.settings.min_bandwidth
        return (
            ProductDensity(ranked[:good], self._options, least),
            ProductDensity(ranked[len(ranked) - bad :], self._options, least),
        )

    # Observations.

    def _note(self, trial: int, budget: int, result: Reported, experiment: Experiment) -> None:
        objective = self.objective or experiment.objective
        if objective is None:
            self.settings.check(None)
            return
        if objective is not self._ranked_by and objective != self._ranked_by:
            self._forget(objective)  # Losses of another metric, of an earlier session, compare with nothing.
            self._add_budget(budget, experiment)
        # The first one stands: what is redone after a restart says nothing new.
        if trial not in self._observed[budget]:
            self._keep(trial, budget, objective.loss(result), experiment)

    def _keep(self, trial: int, budget: int, loss: float, experiment: Experiment) -> None:
        config = own_part(self.encoding.space, experiment.trials[trial].config)
        where = placed(self.encoding, config, seed=self.seed, number=trial)
        if where is not None:  # Otherwise it is of an earlier session, whose space had it.
            self._observed[budget][trial] = (loss, where)

    def _add_budget(self, budget: int, experiment: Experiment) -> None:
        if budget in self._observed:
            return
        insort(self._budgets, budget)
        self._observed[budget] = {}
        for trial, (reached, counted_at) in self._failed.items():
            if counted_at is None and reached < budget:
                self._place_failed(trial, experiment)

    def _place_failed(self, trial: int, experiment: Experiment) -> None:
        """Let a failed trial be the worst of the first budget that it did not reach, as soon as there is one."""
        reached, _ = self._failed[trial]
        above = self._budgets[bisect_right(self._budgets, reached) :]
        # It may have begun again from an earlier checkpoint than it had come to.
        budget = next((budget for budget in above if trial not in self._observed[budget]), None)
        if budget is not None:
            self._keep(trial, budget, WORST, experiment)
            if trial in self._observed[budget]:
                self._failed[trial] = (reached, budget)

    # Proposals.

    def _config(self, number: int, model: tuple[ProductDensity, ProductDensity] | None) -> Config:
        if number < len(self._points):
            return self.encoding.completed(self._points[number], seed=self.seed, number=number)
        random = generator(self.seed, "bohb", number)
        if random.random() < self.settings.random_fraction or model is None:
            return self.encoding.completed(seed=self.seed, number=number)
        good, bad = model
        drawn = self._allowed([self._near_a_good_one(good, random) for _ in range(self.settings.num_samples)])
        if not drawn:
            return self.encoding.completed(seed=self.seed, number=number)
        ratios = good.at(drawn).clip(LEAST_DENSITY) / bad.at(drawn).clip(LEAST_DENSITY)
        return self.encoding.config(drawn[int(ratios.argmax())], seed=self.seed, number=number)

    def _allowed(self, drawn: list[list[float]]) -> list[list[float]]:
        """Return those that hold the space's constraints."""
        if not self.encoding.space.constraints:
            return drawn
        import numpy as np

        allowed = self.encoding.allowed(self.encoding.settled(np.array(drawn)))
        return [row for row, is_allowed in zip(drawn, allowed, strict=True) if is_allowed]

    def _near_a_good_one(self, good: ProductDensity, random: Random) -> list[float]:
        row = random.randrange(len(good.points))
        drawn: list[float] = []
        for index, parameter in enumerate(self.encoding.parameters):
            is_there = self.encoding.is_there(parameter, drawn)
            drawn.append(good.draw(random, row, index, self.settings.bandwidth_factor) if is_there else float("nan"))
        return drawn

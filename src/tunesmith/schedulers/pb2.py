"""Population-based bandits: PBT whose new configs come from a model of what has helped lately, not from chance.

Source: Parker-Holder et al. 2020, "Provably Efficient Online Hyperparameter Optimization with Population-Based
Bandits".
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from numbers import Real
from typing import TYPE_CHECKING, Any

from ..core.events import Config, Result
from ..core.objective import WORST
from ..errors import ConfigError
from .arguments import number, time_of
from .bandit import Observation, best_point
from .explore import MISSING, Key, Path, put_at, value_at
from .population import PopulationScheduler

if TYPE_CHECKING:
    from ..core.experiment import Experiment

REMEMBERED = 1000
"""So many of the newest observations are modelled."""


class PB2(PopulationScheduler):
    """PBT for continuous parameters and small populations: a clone's config is where most progress is expected now.

    Judging and cloning are those of `PopulationBasedTraining`. Each judged interval is an observation: where the config
    was, when, and by how much the metric got better since the interval began (for a clone: since its source was
    judged). A clone's config maximises an upper confidence bound of a Gaussian process of these, in which what is long
    ago counts less; see `bandit`. While there are fewer than three observations it is drawn at random.

    Args:
        hyperparam_bounds: What is tuned: key -> [low, high], or a dict of these. All are continuous; one that a config
            has as an int is rounded to one. What a trial's config lacks of this is drawn before it begins.

    The others are those of `PopulationBasedTraining`, and mean the same.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def __init__(
        self,
        *,
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        burn_in_period: float = 0.0,
        hyperparam_bounds: Mapping[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
        custom_explore_fn: Callable[[Config], Config] | None = None,
        reward_attr: str | None = None,
    ) -> None:
        super().__init__(
            time_attr=time_attr,
            metric=metric,
            mode=mode,
            reward_attr=reward_attr,
            perturbation_interval=perturbation_interval,
            burn_in_period=burn_in_period,
            quantile_fraction=quantile_fraction,
            custom_explore_fn=custom_explore_fn,
            log_config=log_config,
            require_attrs=require_attrs,
            synch=synch,
        )
        self._observations: deque[Observation] = deque(maxlen=REMEMBERED)
        given = {} if hyperparam_bounds is None else hyperparam_bounds
        self._bounds = dict(_bounds(given, (), f"{self._owner}: hyperparam_bounds"))
        if not self._bounds and custom_explore_fn is None:
            self._warn(
                "no bounds",
                "hyperparam_bounds= is empty: clones keep the configs of their sources, so that nothing is tuned but "
                "the choice among them. Say what may change: hyperparam_bounds={'lr': [0.0001, 0.1]}.",
            )

    def _forget(self) -> None:
        self._observations.clear()

    def _learn(self, result: Result, before: float | None, loss: float, experiment: Experiment) -> None:
        point = self._point(experiment.trials[result.trial].config)
        time = time_of(result, self._time_name)
        if point is not None and time is not None and before is not None and before < WORST and loss < WORST:
            self._observations.append(Observation(time / self.interval, point, before - loss))

    def _explored(self, trial: int, source: int, key: Key, experiment: Experiment) -> Config:
        config = copy.deepcopy(experiment.trials[source].config)
        if not self._bounds:
            return config
        trials = experiment.trials
        running = [
            point
            for _, other in self._ranking
            if other != trial and not trials[other].status.is_final and (point := self._point(trials[other].config))
        ]
        time = self._members[source].time / self.interval
        point = best_point(self._observations, running, time, len(self._bounds), key.draw("bandit"))
        for (path, (low, high)), share in zip(self._bounds.items(), point, strict=True):
            self._put(config, path, low + share * (high - low))
        return config

    def _put(self, config: Config, path: Path, value: float) -> None:
        low, high = self._bounds[path]
        value = min(max(value, low), high)
        current = value_at(config, path)
        put_at(config, path, round(value) if isinstance(current, int) and not isinstance(current, bool) else value)

    def _point(self, config: Config) -> tuple[float, ...] | None:
        """Return where a config lies in the unit cube; None when it lacks a number."""
        shares = []
        for path, (low, high) in self._bounds.items():
            value = value_at(config, path)
            if isinstance(value, bool) or not isinstance(value, int | float):
                return None
            shares.append((value - low) / (high - low))
        return tuple(shares)

    def _lacks(self, config: Config) -> bool:
        return any(value_at(config, path) is MISSING for path in self._bounds)

    def _filled(self, config: Config, key: Key) -> Config:
        filled = copy.deepcopy(config)
        for path, (low, high) in self._bounds.items():
            if value_at(filled, path) is MISSING:
                put_at(filled, path, key.draw("resample/" + "/".join(path)).uniform(low, high))
        return filled


def _bounds(given: object, above: Path, where: str) -> Iterator[tuple[Path, tuple[float, float]]]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where}={given!r}: give a dict, e.g. {{'lr': [0.0001, 0.1]}}.")
    for name, value in given.items():
        place = f"{where}[{name!r}]"
        if not isinstance(name, str):
            raise ConfigError(f"{place}: a config's keys are text.")
        if isinstance(value, Mapping):
            yield from _bounds(value, (*above, name), place)
            continue
        if not isinstance(value, list | tuple) or len(value) != 2 or not all(isinstance(one, Real) for one in value):
            raise ConfigError(f"{place}={value!r}: give the lowest and the highest value, e.g. [0.0001, 0.1].")
        low, high = (number(where, repr(name), one) for one in value)
        if low >= high:
            raise ConfigError(f"{place}={value!r} is empty: its low end is not below its high end. Swap them?")
        yield (*above, name), (low, high)

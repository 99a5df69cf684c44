"""MF-PBT: sub-populations that evolve at different frequencies, with migration between them.

Source: Doulazmi et al. 2025, "Multiple-Frequencies Population-Based Training".
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.events import Config, Event, TrialExploited
from ..core.objective import WORST
from ..errors import ConfigError
from .arguments import whole_number
from .explore import Key
from .pbt import NO_MUTATIONS, mutations_of, warn_of_objects
from .population import PopulationScheduler

if TYPE_CHECKING:
    from ..core.experiment import Experiment

MIGRATION, EXPLOITATION = "migration", "exploitation"


class MultiFrequencyPBT(PopulationScheduler):
    """PBT without its greed: some trials evolve often, others seldom, and the latter cannot be drowned by the former.

    PBT that selects often keeps what pays off soon. Here trial i belongs to sub-population `i % len(frequencies)`, and
    sub-population j evolves at every `frequencies[j]`-th interval. All trials pause at each interval and are ranked
    together, as in synchronous PBT. A sub-population of n that evolves is cut into brackets of n // 4 (at least 1),
    from its best to its worst:

    - the best bracket, and whoever is neither in it nor in the two below, goes on as it is;
    - *exploitation*: the k-th of the worst bracket becomes a clone of the k-th of the best, with a mutated config;
    - *migration*: each of the bracket above the worst, best first, is compared with the best trial of all other
      sub-populations that has not migrated to this one yet. If that one is strictly better, it is cloned. Its config
      comes along only into a sub-population that evolves more often than its own. One that evolves less often keeps to
      its own experience: the migrant goes on there with the config of the sub-population's best trial. Nothing is
      mutated.

    What is cloned is as it was before anything was replaced. A trial without a checkpoint, or with no number to show,
    is not cloned. For n a multiple of 4 this is the paper's rule; it says nothing of other n. A sub-population needs at
    least 4 trials to have all brackets, so the population, `num_samples`, should be 4 * len(frequencies) or more.

    Args:
        frequencies: Per sub-population, after how many intervals it evolves; increasing. The default is the paper's.

    The others are those of `PopulationBasedTraining`, and mean the same.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    _remembered = ("_known_steps",)
    """Attributes that only remember answers, and are no state: who compares states leaves them out."""

    def __init__(
        self,
        *,
        frequencies: Sequence[int] = (1, 10, 25, 50),
        time_attr: str = "time_total_s",
        metric: str | None = None,
        mode: str | None = None,
        perturbation_interval: float = 60.0,
        burn_in_period: float = 0.0,
        hyperparam_mutations: Mapping[str, Any] | None = None,
        resample_probability: float = 0.25,
        perturbation_factors: Sequence[float] = (1.2, 0.8),
        custom_explore_fn: Callable[[Config], Config] | None = None,
        log_config: bool = True,
        require_attrs: bool = True,
        reward_attr: str | None = None,
    ) -> None:
        super().__init__(
            time_attr=time_attr,
            metric=metric,
            mode=mode,
            reward_attr=reward_attr,
            perturbation_interval=perturbation_interval,
            burn_in_period=burn_in_period,
            quantile_fraction=0.25,
            custom_explore_fn=custom_explore_fn,
            log_config=log_config,
            require_attrs=require_attrs,
            synch=True,
        )
        if not isinstance(frequencies, list | tuple) or not frequencies:
            raise ConfigError(f"{self._owner}: frequencies={frequencies!r}: give whole numbers, e.g. (1, 2, 4).")
        self.frequencies = tuple(whole_number(self._owner, "frequencies", each, least=1) for each in frequencies)
        if list(self.frequencies) != sorted(set(self.frequencies)):
            raise ConfigError(f"{self._owner}: frequencies={frequencies!r} do not increase. Sort them; each only once.")
        self._known_steps: dict[int, tuple[str, int | None]] | None = None
        """What was last found to happen in this generation, while that holds."""
        self._mutations = mutations_of(self._owner, hyperparam_mutations, resample_probability, perturbation_factors)
        if not self._mutations.by_path and custom_explore_fn is None:
            self._warn("no mutations", NO_MUTATIONS)

    def _explored(self, trial: int, source: int, key: Key, experiment: Experiment) -> Config:
        return self._mutations.explored(experiment.trials[source].config, key, self._objects)

    def _lacks(self, config: Config) -> bool:
        return self._mutations.lacks(config)

    def _filled(self, config: Config, key: Key) -> Config:
        return self._mutations.filled(config, key, self._objects)

    def _check_objects(self, objects: dict[str, str]) -> None:
        warn_of_objects(self, self._mutations, objects)

    def _population_of(self, trial: int) -> int:
        return trial % len(self.frequencies)

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Fold one event."""
        super().observe(event, experiment)
        if not isinstance(event, TrialExploited):
            self._known_steps = None  # Clones change nothing of what is to happen to the others.

    def _targets(self, experiment: Experiment) -> list[int]:
        # The worst first: sources are better than what they replace, so each is still what it was when its turn comes.
        steps = self._steps(experiment)
        return sorted(steps, key=lambda trial: (self._loss(trial), trial), reverse=True)

    def _source_of(self, trial: int, experiment: Experiment) -> int | None:
        return self._steps(experiment)[trial][1]

    def _why(self, trial: int) -> str:
        step = EXPLOITATION if self._known_steps is None else self._known_steps[trial][0]
        return f"{step} in generation {self._generation}{self._with_value(trial)}"

    def _steps(self, experiment: Experiment) -> dict[int, tuple[str, int | None]]:
        """Return what happens to whom in this generation: trial -> (what, the source if it can be cloned)."""
        if self._known_steps is None:
            self._known_steps = self._found_steps(experiment)
        return self._known_steps

    def _found_steps(self, experiment: Experiment) -> dict[int, tuple[str, int | None]]:
        steps: dict[int, tuple[str, int | None]] = {}
        for population, frequency in enumerate(self.frequencies):
            if self._generation % frequency:
                continue
            own = [trial for _, trial in self._ranking if self._population_of(trial) == population]
            share = max(len(own) // 4, 1) if len(own) > 1 else 0
            for worst, best in zip(own[len(own) - share :], own[:share], strict=True):
                steps[worst] = (EXPLOITATION, best if self._able([best], experiment) else None)
            migrants = self._able(
                (trial for _, trial in self._ranking if self._population_of(trial) != population), experiment
            )
            for trial in own[max(len(own) - 2 * share, share) : len(own) - share]:
                if migrants and self._loss(migrants[0]) < self._loss(trial):
                    steps[trial] = (MIGRATION, migrants.popleft())
        return steps

    def _able(self, trials: Iterable[int], experiment: Experiment) -> deque[int]:
        """Return those that can be cloned."""
        with_checkpoint = (trial for trial in trials if experiment.trials[trial].checkpoint is not None)
        return deque(trial for trial in with_checkpoint if self._loss(trial) < WORST)

    def _loss(self, trial: int) -> float:
        loss = self._members[trial].loss
        return WORST if loss is None else loss

    def _config_of_clone(self, trial: int, source: int, experiment: Experiment) -> Config:
        here, there = self._population_of(trial), self._population_of(source)
        if here == there:
            return super()._config_of_clone(trial, source, experiment)
        if self.frequencies[here] < self.frequencies[there]:
            return experiment.trials[source].config
        best = next(other for _, other in self._ranking if self._population_of(other) == here)
        return experiment.trials[best].config

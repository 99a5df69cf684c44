"""Population-based training: all trials train at once, and the worst become mutated clones of the best.

Source: Jaderberg et al. 2017, "Population Based Training of Neural Networks" (truncation selection, perturb and
resample); parameters as in Ray Tune.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.events import Config
from ..errors import ConfigError
from .arguments import number
from .explore import Key, Mutations, unrepresentable
from .population import PopulationScheduler

if TYPE_CHECKING:
    from ..core.experiment import Experiment


def mutations_of(
    owner: str, spec: Mapping[str, Any] | None, resample_probability: float, factors: Sequence[float]
) -> Mutations:
    """Return checked mutations.

    Raises:
        ConfigError: One of the arguments makes no sense.
    """
    probability = number(owner, "resample_probability", resample_probability, least=0)
    if probability > 1:
        raise ConfigError(f"{owner}: resample_probability={resample_probability!r} is above 1.")
    if not isinstance(factors, list | tuple) or not factors:
        raise ConfigError(f"{owner}: perturbation_factors={factors!r}: give numbers, e.g. (1.2, 0.8).")
    checked = [number(owner, "perturbation_factors", factor, above=0) for factor in factors]
    return Mutations(
        owner, "hyperparam_mutations", {} if spec is None else spec, resample_probability=probability, factors=checked
    )


class PopulationBasedTraining(PopulationScheduler):
    """Every interval a trial is judged; one among the worst becomes a clone of one among the best, with another config.

    At the end of its interval a trial waits and is ranked by that result among all that were judged and are not over.
    The best and the worst quantile are `ceil(n * quantile_fraction)` of n trials, at most half of them. A trial of the
    worst goes on from the newest checkpoint of a random one of the best, with a mutated copy of that one's config (see
    `hyperparam_mutations`). Others go on as they are. A missing or nan metric ranks worst, and is never cloned; nor is
    a trial without a checkpoint, of which a warning tells. Equals are ranked by their numbers.

    *More trials than slots.* While somebody waits who is not ahead of it, a trial that was judged lets go of its place
    (functions need checkpoints for that); whoever is furthest behind goes on. Without a bound on the number of trials
    (`num_samples=-1`), new ones begin only where no paused one could.

    *Synchronous* (`synch=True`). All trials pause at the end of the interval; once nobody is missing, all are judged
    together. Trials that fail, end or are stopped are not waited for.

    The population is `num_samples`; a searcher's configs are only where the trials begin. The journal keeps who cloned
    whom, when, and with which config: `results.lineage()`.

    Args:
        time_attr: What intervals count: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        perturbation_interval: How much of `time_attr` lies between two judgements of a trial. Each costs a checkpoint.
        burn_in_period: No trial is judged before this time.
        hyperparam_mutations: What may change, and how: key -> a domain such as `tune.loguniform(1e-4, 0.1)`, a list of
            values, a function that draws a value, or a dict of these. See `explore.Mutations`. What a trial's config
            lacks of this is drawn before it begins. Objects that JSON cannot hold are chosen only among those that the
            experiment's space has in the same place.
        quantile_fraction: How much of the population is replaced, and by how much of it; at most 0.5.
        resample_probability: How likely a value is drawn anew, instead of being perturbed.
        perturbation_factors: A number is multiplied by one of these.
        custom_explore_fn: A function of a clone's mutated config that returns the config to use.
        log_config: Whether the reason of a clone tells what changed in its config; the journal always has the configs.
        require_attrs: Whether a result that is to be judged must have `metric`, and each one `time_attr`; with False
            those that do not are passed over (with a `time_attr` of your own every result then waits).
        synch: Judge all trials together.
        reward_attr: Early Tune's way to say metric=..., mode="max".

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
        hyperparam_mutations: Mapping[str, Any] | None = None,
        quantile_fraction: float = 0.25,
        resample_probability: float = 0.25,
        perturbation_factors: Sequence[float] = (1.2, 0.8),
        custom_explore_fn: Callable[[Config], Config] | None = None,
        log_config: bool = True,
        require_attrs: bool = True,
        synch: bool = False,
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


NO_MUTATIONS = (
    "hyperparam_mutations= is empty: clones keep the configs of their sources, so that nothing is tuned but the choice "
    "among them. Say what may change: hyperparam_mutations={'lr': tune.loguniform(1e-4, 0.1)}."
)


def warn_of_objects(scheduler: PopulationScheduler, mutations: Mutations, objects: Mapping[str, str]) -> None:
    """Tell a person which values will never be chosen."""
    for name in unrepresentable(mutations, objects):
        scheduler._warn(
            f"objects of {name}",
            f"{name!r} has values that are no JSON values, and that the space does not have there: these are never "
            f"chosen. Put the same tune.choice([...]) into the space.",
        )

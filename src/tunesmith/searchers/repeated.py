"""Any searcher, with each of its configs tried several times, and told of their mean. Proposes nothing of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..core.events import (
    Config,
    EarlierTrials,
    Event,
    ExperimentCreated,
    Metrics,
    Reported,
    SessionOpened,
    SpaceChanged,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialRequeued,
    TrialStopped,
)
from ..core.policy import Searcher
from ..core.replicates import KEY, without_key
from ..errors import ConfigError
from .shadow import End, Outcomes, Shadow
from .wrapped import WrappedSearcher, WrapperSettings

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..space.space import Space


@dataclass(frozen=True)
class Repeater(WrapperSettings):
    """Tries each config of a searcher several times: `Repeater("tpe", repeat=3)`, for results that are mostly noise.

    The searcher sees one trial per config, which is over when all of its repeats are: at each step with the mean of
    their metrics. Those that failed do not count, unless all did.

    `replicates=3` of the run is something else: there results know which trials belong together (`results.best_group`),
    `num_samples` counts configs, replicates of several configs are mixed so that `RacingScheduler` can save some, and
    the searcher learns from every single trial as soon as it is there. Here `num_samples` counts trials, all repeats of
    a config come together, and results show them as trials like any others.

    Args:
        searcher: Settings, an object or a name.
        repeat: How often.
        set_index: Tell each trial the index of its repeat: `config["replicate"]` = 0, 1, ...

    Raises:
        ConfigError: An argument that makes no sense.
    """

    repeat: int = 3
    set_index: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if type(self.repeat) is not int or self.repeat < 1:
            raise ConfigError(f"Repeater: repeat={self.repeat!r}: give a whole number of at least 1.")
        if not isinstance(self.set_index, bool):
            raise ConfigError(f"Repeater: set_index={self.set_index!r}: give True or False.")

    def bound_to(self, space: Space, num_samples: int, seed: int) -> RepeatedSearcher:
        """Return the searcher for a space.

        Raises:
            ConfigError: The space has a parameter where the index is to stand.
        """
        if self.set_index and KEY in space.root.children:
            raise ConfigError(
                f"Repeater: the space has a parameter {KEY!r}, where a trial finds the index of its repeat. Give it "
                "another name, or set_index=False."
            )
        inner = self.inner.bound_to(space, self._configs(num_samples), seed)
        return RepeatedSearcher(inner, self.repeat, set_index=self.set_index)

    def trials_wanted(self, searcher: Searcher, num_samples: int) -> int | None:
        """Return how many trials there are to be; with a grid, all of its points so often."""
        assert isinstance(searcher, RepeatedSearcher), "these settings make no other"
        configs = self._configs(num_samples)
        wanted = self.inner.trials_wanted(searcher.searcher, configs)
        if wanted == configs:
            return num_samples
        return None if wanted is None else wanted * self.repeat

    def _configs(self, num_samples: int) -> int:
        return num_samples if num_samples < 0 else math.ceil(num_samples / self.repeat)


class RepeatedSearcher(WrappedSearcher):
    """Proposes each config of another searcher `repeat` times."""

    def __init__(self, searcher: Searcher, repeat: int, *, set_index: bool) -> None:
        super().__init__(searcher)
        self.repeat = repeat
        self.set_index = set_index
        self._shadow: Shadow | None = None
        self._outcomes = Outcomes()
        self._groups: list[list[int]] = []
        """Config of the other searcher -> its trials so far."""
        self._group_of: list[int] = []
        self._config: Config = {}
        """The newest group's, without an index."""
        self._told: set[int] = set()
        """Configs whose outcome the other searcher knows."""

    def seen_by_other(self, experiment: Experiment) -> Experiment:
        """Return the experiment in which each config is one trial."""
        return experiment if self._shadow is None else self._shadow.view

    def theirs(self, trials: int) -> int:
        """Return how many configs so many trials are."""
        return math.ceil(trials / self.repeat)

    def ours(self, trials: int) -> int:
        """Return how many trials so many configs are."""
        return trials * self.repeat

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Keep what happened; tell a config's outcome when its last trial is over."""
        shadow = self._shadow = self._shadow or Shadow(self.searcher, experiment)
        match event:
            case Reported():
                self._outcomes.report(event)
            case TrialCompleted() | TrialStopped() | TrialFailed():
                self._outcomes.end(event)
                self._tell_if_over(self._group_of[event.trial], experiment, shadow)
            case TrialRequeued():
                self._outcomes.reopen(event.trial)
            case Suggested():
                for config in event.configs:
                    self._take(config, event, experiment, shadow)
            case SessionOpened():
                wanted = event.trials_wanted
                shadow.open(event, event.at, None if wanted is None else self.theirs(wanted))
            case ExperimentCreated() | SpaceChanged() | EarlierTrials():
                shadow.tell(self._changed(event) if isinstance(event, SpaceChanged) else event)

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the repeats that come next, of the newest config or of new ones."""
        left = self._left()
        if left:  # these first: what comes after them is asked for once they are there
            first = self.repeat - left
            return [self._indexed(self._config, index) for index in range(first, min(self.repeat, first + count))]
        configs = math.ceil(count / self.repeat)
        return self._new_ones(count, self.searcher.suggest(configs, self.seen_by_other(experiment)))

    def prepared(self, count: int, experiment: Experiment) -> Callable[[], Sequence[Config]] | None:
        """Return what computes the answer; None where no new config is needed."""
        if self._left():
            return None  # what is left of a config can be had at once
        work = self.searcher.prepared(math.ceil(count / self.repeat), self.seen_by_other(experiment))
        return None if work is None else lambda: self._new_ones(count, work())

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether the other searcher is, and the newest config has all its repeats."""
        return not self._left() and self.searcher.is_exhausted(self.seen_by_other(experiment))

    def _left(self) -> int:
        return self.repeat - len(self._groups[-1]) if self._groups else 0

    def _new_ones(self, count: int, new: Sequence[Config]) -> list[Config]:
        return [self._indexed(config, index) for config in new for index in range(self.repeat)][:count]

    def _indexed(self, config: Config, index: int) -> Config:
        return {**config, KEY: index} if self.set_index else dict(config)

    def _take(self, config: Config, event: Suggested, experiment: Experiment, shadow: Shadow) -> None:
        """Count a trial to the newest config, if it is one more repeat of it."""
        number, own = len(self._group_of), without_key(config) if self.set_index else config
        if not self._left() or own != self._config:
            self._groups.append([])
            self._config = own
            shadow.begin(own, event.at, event.origin)
            if len(self._groups) > 1:
                # The one before has all the trials that it will ever have.
                self._tell_if_over(len(self._groups) - 2, experiment, shadow)
        self._groups[-1].append(number)
        self._group_of.append(len(self._groups) - 1)

    def _tell_if_over(self, group: int, experiment: Experiment, shadow: Shadow) -> None:
        trials = self._groups[group]
        is_whole = len(trials) == self.repeat or group < len(self._groups) - 1
        if group in self._told or not is_whole or not all(self._outcomes.has(trial) for trial in trials):
            return
        self._told.add(group)
        outcomes = [self._outcomes.taken(trial, experiment.trials[trial].number) for trial in trials]
        end, results = mean_outcome(outcomes)
        shadow.end(group, end, results, experiment.at)

    def _changed(self, event: SpaceChanged) -> SpaceChanged:
        return replace(event, outside=tuple(dict.fromkeys(self._group_of[trial] for trial in event.outside)))


def mean_outcome(outcomes: Sequence[tuple[End, list[Reported]]]) -> tuple[End, list[Reported]]:
    """Return the end and the mean results of several trials: of those that did not fail, unless all did.

    At each `training_iteration` a number is the mean over the trials that came so far; anything else is the first's.
    """
    good = [outcome for outcome in outcomes if not isinstance(outcome[0], TrialFailed)] or list(outcomes)
    ends = [end for end, _ in good]
    end = next((end for end in ends if isinstance(end, TrialCompleted)), ends[0])
    by_number: dict[int, list[Reported]] = {}
    for _, results in good:
        for result in results:
            by_number.setdefault(result.number, []).append(result)
    return end, [_mean(by_number[number]) for number in sorted(by_number)]


def _mean(results: Sequence[Reported]) -> Reported:
    metrics: Metrics = {}
    for name in dict.fromkeys(name for result in results for name in result.metrics):
        values: list[Any] = [result.metrics[name] for result in results if name in result.metrics]
        is_numeric = all(type(value) in (int, float) for value in values)
        if is_numeric:
            metrics[name] = math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.nan
        else:
            metrics[name] = values[0]
    elapsed = math.fsum(result.elapsed for result in results) / len(results)
    return replace(results[0], metrics=metrics, elapsed=elapsed, waits=any(result.waits for result in results))

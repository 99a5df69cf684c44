"""Given configs first, then any searcher's. What is known of a given config the searcher is told, and it is not run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from ..core.events import (
    Config,
    Event,
    ExperimentCreated,
    Reported,
    SessionOpened,
    SpaceChanged,
    TrialCompleted,
    TrialExploited,
)
from ..core.objective import Objective
from ..core.policy import Searcher
from ..errors import ConfigError
from ..space.encoding import Encoding
from ..space.points import fixed_point
from .shadow import Shadow
from .variants import BasicVariantGenerator
from .wrapped import Given, WrappedSearcher, WrapperSettings

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..space.space import Space


@dataclass(frozen=True, init=False)
class GivenPoints(WrapperSettings):
    """Tries given configs before those of a searcher: `GivenPoints([{"lr": 1e-3}], then="tpe")`.

    With `values` what came of a config is known: then it is not tried, and the searcher begins as if it had been the
    first trial. That is for results of this very objective; what other tasks have found is for `warm_from=`.

    Args:
        points: Configs, or parts of them: what they leave open is drawn. One that has a value must leave nothing open.
        then: The searcher: settings, an object or a name.
        values: For each point its value, or None where it is to be tried; a list of values or a dict of metrics where
            there are several objectives.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    points: Sequence[Mapping[str, Any]]
    values: Sequence[Any] | None

    def __init__(
        self, points: Sequence[Mapping[str, Any]], then: Given = "tpe", *, values: Sequence[Any] | None = None
    ) -> None:
        if isinstance(points, Mapping | str) or not isinstance(points, Sequence):
            raise ConfigError(f"GivenPoints({points!r}): give a list of dicts, each a part of a config.")
        if values is not None and (not isinstance(values, Sequence) or len(values) != len(points)):
            raise ConfigError(f"GivenPoints: values={values!r}: give one for each of {len(points)} points, or None.")
        object.__setattr__(self, "searcher", then)
        object.__setattr__(self, "points", list(points))
        object.__setattr__(self, "values", None if values is None else list(values))
        self.__post_init__()
        if values is not None and isinstance(self.inner, BasicVariantGenerator):
            raise ConfigError("GivenPoints: values= are for a searcher that learns. Give then='tpe', say.")

    def bound_to(self, space: Space, num_samples: int, seed: int) -> GivenSearcher:
        """Return the searcher for a space.

        Raises:
            ConfigError: There are more points to try than trials.
            SpaceError: A point does not lie in the space, or one with a value does not say all of a config.
        """
        values = self.values or [None] * len(self.points)
        known = [(point, value) for point, value in zip(self.points, values, strict=True) if value is not None]
        tried = [point for point, value in zip(self.points, values, strict=True) if value is None]
        if 0 <= num_samples < len(tried):
            raise ConfigError(
                f"{len(tried)} points do not fit into num_samples={num_samples}. Give num_samples={len(tried)} or more."
            )
        encoding = Encoding(space)
        configs = [
            encoding.completed(fixed_point(space.root, point, f"points[{index}]"), seed=seed, number=index)
            for index, point in enumerate([*(point for point, _ in known), *tried])
        ]
        for point, _ in known:
            encoding.coordinates(point)  # says what is missing
        inner, total = self.inner, num_samples if num_samples < 0 else num_samples + len(known)
        if any(each.name == "points_to_evaluate" for each in dataclasses.fields(inner)):  # type: ignore[arg-type]
            # It does the same by itself, and knows best what the points are in place of.
            points = [*configs[: len(known)], *tried, *(inner.points_to_evaluate or ())]  # type: ignore[attr-defined]
            inner = dataclasses.replace(inner, points_to_evaluate=points)  # type: ignore[type-var]
            tried = []
        told = [(config, value) for config, (_, value) in zip(configs, known, strict=False)]
        return GivenSearcher(inner.bound_to(space, total, seed), told, configs[len(known) :][: len(tried)])

    def trials_wanted(self, searcher: Searcher, num_samples: int) -> int | None:
        """Return how many trials the other one's settings want, but for those whose value is known."""
        assert isinstance(searcher, GivenSearcher), "these settings make no other"
        samples = num_samples if num_samples < 0 else searcher.theirs(num_samples)
        wanted = self.inner.trials_wanted(searcher.searcher, samples)
        return None if wanted is None else searcher.ours(wanted)


class GivenSearcher(WrappedSearcher):
    """Proposes `points`, then what another searcher does, which believes that `known` were the first trials."""

    def __init__(self, searcher: Searcher, known: Sequence[tuple[Config, Any]], points: Sequence[Config]) -> None:
        super().__init__(searcher)
        self.known = list(known)
        self.points = list(points)
        self._shadow: Shadow | None = None

    def seen_by_other(self, experiment: Experiment) -> Experiment:
        """Return the experiment with the known trials in front."""
        return experiment if self._shadow is None else self._shadow.view

    def theirs(self, trials: int) -> int:
        """Return how many trials the other searcher believes that there are."""
        return trials + len(self.known)

    def ours(self, trials: int) -> int:
        """Return how many of them are run."""
        return trials - len(self.known)

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Pass it on, with trials' numbers as the other searcher counts them."""
        if not self.known:
            self.searcher.observe(event, experiment)
            return
        is_first = self._shadow is None
        shadow = self._shadow = self._shadow or Shadow(self.searcher, experiment)
        if isinstance(event, SessionOpened):
            wanted = event.trials_wanted
            shadow.tell(replace(event, trials_wanted=None if wanted is None else self.theirs(wanted)))
            if not shadow.view.next_number:
                for config, value in self.known:
                    self._tell(config, value, shadow, event.at)
            return
        assert not is_first or isinstance(event, ExperimentCreated), "a journal begins with its creation"
        shadow.tell(self._shifted(event))

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return points as long as there are some, then the other searcher's configs."""
        points = self._next_points(count, experiment)
        return points or self.searcher.suggest(count, self.seen_by_other(experiment))

    def prepared(self, count: int, experiment: Experiment) -> Callable[[], Sequence[Config]] | None:
        """Return what computes the other searcher's configs; None while there are points."""
        if self._next_points(count, experiment):
            return None
        return self.searcher.prepared(count, self.seen_by_other(experiment))

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether there is no point left, and the other searcher has nothing more to propose."""
        return not self._next_points(1, experiment) and self.searcher.is_exhausted(self.seen_by_other(experiment))

    def _next_points(self, count: int, experiment: Experiment) -> list[Config]:
        return [dict(point) for point in self.points[experiment.next_number : experiment.next_number + count]]

    def _tell(self, config: Config, value: Any, shadow: Shadow, at: float) -> None:
        trial = shadow.view.next_number
        metrics = _metrics(value, shadow.view.objectives)
        shadow.begin(config, at, "given")
        result = Reported(at=at, trial=trial, attempt=1, number=1, metrics=metrics)
        shadow.end(trial, TrialCompleted(at=at, trial=trial), [result], at)

    def _shifted(self, event: Event) -> Event:
        by = len(self.known)
        if isinstance(event, SpaceChanged):
            return replace(event, outside=tuple(trial + by for trial in event.outside))
        if isinstance(event, TrialExploited):
            return replace(event, trial=event.trial + by, source=event.source + by)
        trial = getattr(event, "trial", None)
        return event if trial is None else replace(event, trial=trial + by)


def _metrics(value: Any, objectives: Sequence[Objective]) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    values = list(value) if isinstance(value, list | tuple) else [value]
    if len(values) != len(objectives):
        names = ", ".join(objective.metric for objective in objectives) or "none"
        raise ConfigError(f"GivenPoints: the value {value!r}: give one for each objective ({names}).")
    return {objective.metric: float(each) for objective, each in zip(objectives, values, strict=True)}

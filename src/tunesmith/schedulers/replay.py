"""PBT replay: one trial is trained by the schedule of configs that population-based training has found.

Source: Ray Tune's `PopulationBasedTrainingReplay`; here the schedule is read from the experiment's journal.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..core.events import Config, Event, Reported, Result, SessionOpened, TrialExploited, TrialLaunched
from ..core.lineage import ancestry
from ..core.policy import CONTINUE, FOREVER, Choice, Decided, Decision, Exploit, Scheduler
from ..core.trial import Status
from ..errors import ConfigError
from ..space.objects import OBJECT_KEY
from ..store.reader import JournalReader

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class Recorded(Protocol):
    """What has the folder of an experiment: its `Results`."""

    @property
    def folder(self) -> Path:
        """The experiment's folder."""


class PopulationBasedTrainingReplay(Scheduler):
    """Trains one trial (`num_samples=1`) with the configs that a trial of an earlier experiment was trained with.

    That trial may be a clone of a clone: its schedule is that of the whole line of work that made it what it is. At
    each recorded iteration the trial goes on from its checkpoint with the recorded config. The function must report a
    checkpoint at these iterations (a class is asked for one); without it the trial begins again, with a warning.

    The first config is set too, before the trial begins: `space=` needs to hold only what the recorded configs do not
    say, objects that JSON cannot hold, say.

    Args:
        source: The earlier experiment's folder or its `Results`; or the schedule itself, a list of (iteration, config).
        trial: Whose schedule of the experiment, up to its last result; by default what led to the best result of all.

    Attributes:
        schedule: (iteration, config), in their order; the first one is at iteration 0.

    Raises:
        ConfigError: There is nothing to replay, or it makes no sense.
        ExperimentNotFound: There is no experiment in the folder.
    """

    saves_when_waiting = True

    def __init__(
        self,
        source: str | os.PathLike[str] | Recorded | Iterable[tuple[int, Mapping[str, Any]]],
        trial: int | None = None,
    ) -> None:
        folder = getattr(source, "folder", source)
        if isinstance(folder, str | os.PathLike):
            self.schedule = recorded_schedule(Path(folder), trial)
        else:
            self.schedule = _checked(source)
        self._done = 0
        """How many steps of the schedule have been set."""
        self._objects: dict[str, str] = {}
        self._newest: tuple[int, int] | None = None
        self._warnings: list[str] = []

    @property
    def initial_config(self) -> Config:
        """The config that the schedule begins with, for `space=`."""
        return copy.deepcopy(self.schedule[0][1])

    @property
    def warnings(self) -> list[str]:
        """What a person should be told once."""
        return self._warnings

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Note which steps are done."""
        if isinstance(event, SessionOpened):
            self._objects = event.objects
        elif isinstance(event, Reported):
            self._newest = (event.attempt, event.number)
        elif isinstance(event, TrialExploited):
            self._done += 1
            if self._done > 1 and event.checkpoint is None and not self._warnings:
                self._warnings.append(
                    "the trial has no checkpoint at a recorded change of its config, so that it begins again. Report "
                    "one with each result: tune.report(..., checkpoint=folder)."
                )
        elif isinstance(event, TrialLaunched) and not self._done:
            self._done = 1  # It had the first config already.

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Change the config where the schedule says so."""
        if self._done >= len(self.schedule) or result.number < self.schedule[self._done][0]:
            return CONTINUE
        if (result.attempt, result.number) != self._newest:
            return CONTINUE
        iteration, _ = self.schedule[self._done]
        config = self._config(experiment.trials[result.trial].config)
        return Exploit(result.trial, config, f"the schedule changes at iteration {iteration}")

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the iteration of the next change."""
        return self.schedule[self._done][0] if self._done < len(self.schedule) else FOREVER

    def choose(self, experiment: Experiment) -> Choice:
        """Set the first config before the trial begins."""
        if experiment.trials_wanted != 1:
            raise ConfigError(f"{type(self).__name__} replays the schedule of one trial: num_samples=1.")
        if not self._done and experiment.trials and experiment.trials[0].status is Status.PENDING:
            current = experiment.trials[0].config
            config = self._config(current)
            if config != current:
                return Decided(0, Exploit(0, config, "the schedule's first config"))
        return super().choose(experiment)

    def _config(self, current: Config) -> Config:
        """Return the trial's config with what the next step says of it."""
        config = merged(current, self.schedule[self._done][1])
        for identifier in _objects_in(config):
            if identifier not in self._objects:
                raise ConfigError(
                    f"{type(self).__name__}: the recorded config has the object {identifier!r}, which space= "
                    "lacks. Give the same space as the earlier experiment."
                )
        return config

    def describe(self) -> str:
        """Return how far the replay is."""
        return f"replay: {self._done} of {len(self.schedule)} configs"


def recorded_schedule(folder: Path, trial: int | None) -> list[tuple[int, Config]]:
    """Return the schedule of a trial of an experiment.

    Raises:
        ConfigError: There is no such trial, or no best one.
        ExperimentNotFound: There is no experiment in the folder.
    """
    with JournalReader(folder) as reader:
        row = reader.best() if trial is None else reader.trial_row(trial)
        if row is None and trial is None:
            raise ConfigError(f"{folder} has no best trial: no result has its metric. Say whose schedule: trial=0.")
        if row is None:
            raise ConfigError(f"{folder} has no trial {trial}.")
        # Not what became of it afterwards: it may be a clone by now, of a line of work that was not its own then.
        result = row.best if trial is None else row.last
        steps = ancestry(_up_to(result, (event for _, event in reader.events())), row.id)
    return [(step.iteration, step.config) for step in steps]


def _up_to(result: Result | None, events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        yield event
        if event == result:
            return


def _checked(source: Any) -> list[tuple[int, Config]]:
    what = "PopulationBasedTrainingReplay"
    try:
        schedule = [(iteration, dict(config)) for iteration, config in source]
    except (TypeError, ValueError):
        raise ConfigError(
            f"{what}: {source!r} is neither an experiment's folder, nor its results, nor a list of (iteration, config)."
        ) from None
    iterations = [iteration for iteration, _ in schedule]
    if not schedule or any(isinstance(one, bool) or not isinstance(one, int) for one in iterations):
        raise ConfigError(f"{what}: give at least one (iteration, config), each iteration an int; got {iterations}.")
    if iterations[0] != 0 or iterations != sorted(set(iterations)):
        raise ConfigError(f"{what}: the iterations are {iterations}. They must begin with 0 and increase.")
    return schedule


def merged(config: Config, over: Mapping[str, Any]) -> Config:
    """Return a copy of `config` with what `over` says, dict by dict."""
    result = copy.deepcopy(config)
    for name, value in over.items():
        old = result.get(name)
        if isinstance(old, dict) and isinstance(value, Mapping) and OBJECT_KEY not in (*old, *value):
            result[name] = merged(old, value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def _objects_in(config: Any) -> Iterable[str]:
    match config:
        case {"$object": str(identifier)} if len(config) == 1:
            yield identifier
        case dict():
            for value in config.values():
                yield from _objects_in(value)
        case list():
            for value in config:
                yield from _objects_in(value)

"""Ask and tell: searchers, schedulers and the journal for whoever runs the trials, in a loop or a laboratory."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

from msgspec.structs import replace

from . import __version__, arguments, choices
from .analysis.results import Results
from .asking import AskedSession, failure_of
from .core.engine import Core, Limits, fold
from .core.events import Event, ExperimentCreated, Node, SessionOpened
from .core.experiment import Experiment
from .core.policy import Scheduler, Searcher, unused
from .core.trial import Trial
from .earlier.sources import earlier_trials, known_sources
from .errors import ConfigError
from .places import DEFAULT_STORAGE, Place, place_for
from .searchers.edited import wanted_now
from .searchers.lagged import in_step
from .searchers.settings import SearcherSettings, searched_space
from .searchers.wrapped import name_of_searcher
from .session import _new_journal, _past
from .space.edits import description
from .space.space import Space
from .space.versions import known_objects, space_change
from .stoppers import NoopStopper
from .store.checkpoints import prune
from .store.journal import Journal
from .worker.metrics import normalised

DEFAULT_SEARCHER = "auto"
VALUE = "value"
"""What the objective is called that has no name."""


@dataclass(frozen=True)
class AskedTrial:
    """A trial as `Optimizer` gives it out and tells of it."""

    number: int
    config: dict[str, Any]
    step: int = 0
    """The last step that was told of."""
    status: str = "running"
    value: float | None = None
    """The best value that was told, of the first objective."""
    metrics: dict[str, Any] = field(default_factory=dict)
    """What was told last."""
    attempt: int = field(default=1, repr=False)


class Optimizer:
    """Says what to try next, and learns what came of it: `trial = opt.ask()`, then `opt.tell(trial, value)`.

    Everything may be called from several threads. With `name` or `storage_path` all that was asked and told is kept in
    a journal, as `tune.run` keeps it: `tune.load` and `tunesmith show` read it, and the same call goes on with it after
    a crash. Without them it is in memory only.

    Args:
        space: What to try, as in `tune.run`.
        metric: What the value is called; several names for several objectives.
        mode: "min" or "max"; one for each metric, or one for all.
        searcher: As in `tune.run`. Default: "auto".
        scheduler: Says, of what `tell(..., step=...)` tells, which trials are to go on.
        num_samples: How many trials; -1 without end.
        deterministic: Ask for the same trials in whatever order they are told of: as in `tune.run`, with at most 8 that
            are not told of.
        seed: Makes it reproducible.
        name: The experiment's name, and its folder's.
        storage_path: The folder of all experiments.
        resume: "auto": go on with it if it exists. True: it must exist. False: it must not.
        points_to_evaluate: Configs to try first; what they leave open is drawn.
        warm_from: Earlier experiments to begin with, as in `tune.run`.

    Raises:
        ConfigError, SpaceError: An argument makes no sense.
        ExperimentExists, ExperimentNotFound: Against what `resume` says.
        JournalDamaged, JournalLocked: The experiment cannot be gone on with; the message says what to do.
    """

    def __init__(
        self,
        space: Mapping[str, Any] | Space,
        *,
        metric: str | Sequence[str] | None = None,
        mode: str | Sequence[str] = "min",
        searcher: Searcher | SearcherSettings | str | None = None,
        scheduler: Scheduler | str | None = None,
        num_samples: int = -1,
        deterministic: bool | int = False,
        seed: int | None = None,
        name: str | None = None,
        storage_path: str | os.PathLike[str] | None = None,
        resume: bool | str = "auto",
        points_to_evaluate: Sequence[Mapping[str, Any]] | None = None,
        warm_from: Any = None,
    ) -> None:
        self._space = searched_space(space, searcher)
        chosen = unused(choices.scheduler_of(scheduler))
        self._objectives = choices.objectives_of(VALUE if metric is None else metric, mode, chosen)
        samples = arguments.sample_count(num_samples)
        searcher_for = choices.searcher_of(
            DEFAULT_SEARCHER if searcher is None else searcher,
            self._space,
            samples,
            points_to_evaluate,
            objectives=self._objectives,
        )
        window = choices.window_of(deterministic, chosen)
        if window is not None:
            searcher_for = in_step(searcher_for, window)
        new_seed = int.from_bytes(os.urandom(4), "little") if seed is None else arguments.seed(seed)
        sources = choices.sources_of(warm_from, searcher_for(new_seed)[0])
        word, retries = choices.resume_words(resume)
        place = None if name is None and storage_path is None else _place(name, storage_path, word)
        self.folder: Path | None = None if place is None else place.folder
        """Where it is kept; None: in memory only."""
        journal = None if place is None or place.is_new else Journal.open(place.folder)
        try:
            past = [] if journal is None or place is None else _past(place.folder)
            if place is not None and journal is None:
                journal = _new_journal(place.folder)
            seed = next((event.seed for event in past if isinstance(event, ExperimentCreated)), new_seed)
            objects = known_objects(past)
            self._space.keep_identifiers(objects)
            found, wanted = searcher_for(seed)
            self._policies: tuple[Searcher, Scheduler] = (found, chosen)
            self._experiment = self._folded(past, journal)
            core = self._core(most=getattr(searcher, "max_concurrent", None) or None)
            self._session = AskedSession(core=core, searcher=found, space=self._space, journal=journal)
            self._session.open(self._opening(past, sources, seed=seed, wanted=wanted, objects=objects, retries=retries))
        except BaseException:
            if journal is not None:
                journal.close()
            raise

    def _folded(self, past: Sequence[Event], journal: Journal | None) -> Experiment:
        experiment = Experiment(self._objectives[0])
        experiment.objectives = self._objectives
        fold(past, experiment, self._policies)
        if journal is not None:
            journal.summarize(experiment)
            prune(journal.folder, past)
        return experiment

    def _core(self, *, most: int | None) -> Core:
        searcher, scheduler = self._policies
        return Core(
            self._experiment,
            searcher=searcher,
            scheduler=scheduler,
            stopper=NoopStopper(),
            # Who has told steps of a trial keeps what it needs to go on with them.
            limits=Limits(fail_fast=False, holds=True, max_concurrent=most),
        )

    def _opening(
        self,
        past: Sequence[Event],
        sources: Sequence[Any],
        *,
        seed: int,
        wanted: int | None,
        objects: Mapping[str, str],
        retries: bool,
    ) -> list[Event]:
        experiment, (searcher, scheduler), space = self._experiment, self._policies, self._space
        at = self._session.now()
        first, *more = self._objectives
        change = space_change(past, space, at)
        known = known_sources(past, self._objectives)
        earlier = earlier_trials(sources, space, self._objectives, known=known)
        opened = SessionOpened(
            at=at,
            session=experiment.session + 1,
            started=time.time(),
            metric=first.metric,
            mode=first.mode,
            more_objectives=tuple((each.metric, each.mode) for each in more),
            trials_wanted=wanted_now(searcher, experiment, wanted, change),
            request={},
            nodes=(Node("asked", {}),),
            scheduler=type(scheduler).__name__,
            searcher=name_of_searcher(searcher),
            host=socket.gethostname(),
            pid=os.getpid(),
            retry_failed=retries,
            objects={**objects, **{each: space.object_label(each) for each in space.objects}},
            space=description(space),
        )
        opening: list[Event] = [] if past else [self._created(seed)]
        opening += [opened, *([] if change is None else [change])]
        return opening + [replace(each, at=at) for each in earlier]

    def _created(self, seed: int) -> ExperimentCreated:
        return ExperimentCreated(
            at=0.0,
            name="optimizer" if self.folder is None else self.folder.name,
            seed=seed,
            created=time.time(),
            version=__version__,
            trainable="ask and tell",
            space=self._space.describe(),
        )

    @overload
    def ask(self) -> AskedTrial | None: ...
    @overload
    def ask(self, count: int) -> list[AskedTrial]: ...
    def ask(self, count: int | None = None) -> AskedTrial | list[AskedTrial] | None:
        """Return the trial to run next; None when there is none: for good (see `finished`), or before more is told.

        That may also be a trial that was asked for in an earlier session and never told of, or one that the scheduler
        had paused, which goes on after `trial.step`.

        Args:
            count: Return a list of so many, or fewer. Each is proposed in the knowledge of those before it.

        Raises:
            SpaceError: A function in the space failed.
        """
        if count is None:
            trial = self._session.ask()
            return None if trial is None else self._asked(trial)
        asked: list[AskedTrial] = []
        while len(asked) < arguments.whole_number("count", count, at_least=1):
            found = self._session.ask()
            if found is None:
                break
            asked.append(self._asked(found))
        return asked

    def tell(
        self,
        trial: AskedTrial | int,
        value: Any = None,
        *,
        step: int | None = None,
        error: BaseException | str | None = None,
    ) -> bool:
        """Tell what came of a trial; return whether it is to go on.

        `tell(trial, value)` ends it. `tell(trial, value, step=3)` says how far it has come, steps being counted from 1;
        when the answer is False the scheduler has stopped or paused it, and nothing more need be told. A trial that has
        told steps is ended by `tell(trial)`, or with a last value.

        Args:
            trial: What `ask` returned, or its number.
            value: The objective's value; a list or tuple for several objectives; or a dict of metrics.
            step: How far it has come.
            error: Why it failed: an exception, or text.

        Raises:
            ConfigError: There is no such trial, it is over, or the value is none.
            ReportError: A metric that cannot be kept.
        """
        number, attempt = (trial.number, trial.attempt) if isinstance(trial, AskedTrial) else (trial, None)
        if isinstance(number, bool) or not isinstance(number, int):
            raise ConfigError(f"tell({trial!r}): give what `ask` returned, or its number.")
        if step is not None:
            arguments.whole_number("step", step)
        with self._session.lock:
            goes_on = True
            if value is not None:
                goes_on = self._session.report(number, attempt, self._metrics(value), step)
            elif step is not None and error is None:
                raise ConfigError(f"tell(trial {number}, step={step}): of which value?")
            if error is not None or step is None:
                self._session.end(number, attempt, None if error is None else failure_of(error))
                return False
            return goes_on

    @property
    def best(self) -> AskedTrial:
        """The trial with the best value that was ever told.

        Raises:
            ConfigError: None was told yet; or there are several objectives: see `results().pareto_front()`.
        """
        if len(self._objectives) > 1:
            raise ConfigError("with several objectives there is no best trial. See opt.results().pareto_front().")
        with self._session.lock:
            best = self._experiment.best
            if best is None:
                raise ConfigError("no value was told yet that could be the best.")
            return self._asked(best)

    @property
    def trials(self) -> list[AskedTrial]:
        """All trials, by number."""
        with self._session.lock:
            return [self._asked(trial) for trial in self._experiment.trials]

    @property
    def finished(self) -> str | None:
        """Why there is nothing more to ask: "completed", "interrupted", ...; None as long as there may be."""
        finished = self._experiment.finished
        return None if finished is None else finished.reason

    @property
    def warnings(self) -> list[str]:
        """What the searcher and the scheduler have to say."""
        return [warning for policy in self._policies for warning in policy.warnings]

    def results(self) -> Results:
        """Return what was found, as `tune.run` returns it."""
        return self._session.results()

    def close(self) -> None:
        """Let other processes have the experiment. What was asked for and not told of waits for the next session."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _asked(self, trial: Trial) -> AskedTrial:
        objective = self._objectives[0]
        return AskedTrial(
            number=trial.id,
            config=self._space.resolve(trial.config),
            step=trial.number,
            status=trial.status.value,
            value=None if trial.best is None else objective.value_of(trial.best_loss),
            metrics={} if trial.last is None else dict(trial.last.metrics),
            attempt=trial.attempt,
        )

    def _metrics(self, value: Any) -> dict[str, Any]:
        names = [objective.metric for objective in self._objectives]
        if not isinstance(value, Mapping):
            values = list(value) if isinstance(value, list | tuple) else [value]
            if len(values) != len(names):
                raise ConfigError(f"tell(..., {value!r}): give {_values(names)}, in this order; or a dict.")
            value = dict(zip(names, values, strict=True))
        found = normalised(value, *names)
        missing = [name for name in names if name not in found]
        if missing:
            raise ConfigError(f"tell(..., {value!r}): {missing[0]!r} is missing.")
        return found


def _place(name: str | None, storage_path: str | os.PathLike[str] | None, word: str) -> Place:
    storage = arguments.storage(DEFAULT_STORAGE if storage_path is None else storage_path)
    if isinstance(storage, str):
        raise ConfigError(f"storage_path={storage!r}: what is asked and told is kept in a folder, not under a URL.")
    return place_for(name, storage, word, "optimizer")


def _values(names: Sequence[str]) -> str:
    return "one number" if len(names) == 1 else f"{len(names)} numbers ({', '.join(names)})"

"""One session of an experiment: opens what it needs in the right order, lets the loop drive, closes it all again."""

from __future__ import annotations

import math
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from . import __version__, invocation
from .callbacks.base import Callback, Run
from .core.engine import Core, Limits, fold
from .core.events import Config, EarlierTrials, Event, ExperimentCreated, Node, SessionOpened, Suggested
from .core.experiment import Experiment
from .core.objective import Objective
from .core.policy import Scheduler, Searcher, Stopper
from .core.resources import Pool
from .earlier.sources import earlier_trials, known_sources, refuse_itself
from .errors import ConfigError
from .executors.base import Executor, Job
from .layout import JOURNAL
from .loop import Loop
from .searchers.edited import wanted_now
from .searchers.wrapped import name_of_searcher
from .space.edits import description
from .space.space import Space
from .space.versions import known_objects, space_change
from .store.checkpoints import prune
from .store.faults import damage, has_trials
from .store.journal import Journal
from .store.reader import JournalReader
from .store.remote import RemoteExperiment
from .trainables import Bound, name_of


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that a session is made of, checked."""

    folder: Path
    is_new: bool
    bound: Bound
    space: Space
    objective: Objective | None
    searcher_for: Callable[[int], tuple[Searcher, int | None]]
    """From the experiment's seed to its searcher and how many trials it is to have."""
    scheduler: Scheduler
    stopper: Stopper
    limits: Limits
    remote: RemoteExperiment | None
    """What keeps the experiment under a URL, if it lies under one."""
    checkpoint_score: Objective | None
    """What checkpoints are kept by; None: the objective."""
    executor: Executor
    callbacks: Sequence[Callback]
    seed: int
    """Of a new experiment; an old one keeps its own."""
    request: Mapping[str, float]
    request_of: Callable[[Config], Mapping[str, float]] | None
    retry_failed: bool
    worker_options: Mapping[str, Any]
    """Fields of `Job` that go through unchanged."""
    more_objectives: tuple[Objective, ...] = ()
    """With several objectives: those after the first."""
    replicates: int = 1
    """How many trials each config has."""
    warm_from: Sequence[Any] = ()
    """Sources of earlier trials, as `earlier.sources` takes them."""


def drive(plan: Plan) -> None:
    """Run one session of the experiment to its end."""
    experiment = Experiment(plan.objective)
    if plan.objective is not None:
        experiment.objectives = (plan.objective, *plan.more_objectives)
    journal = None if plan.is_new else Journal.open(plan.folder)
    began = time.monotonic()
    try:
        past = [] if journal is None else _past(plan.folder)
        seed = next((event.seed for event in past if isinstance(event, ExperimentCreated)), plan.seed)
        objects = known_objects(past)
        plan.space.keep_identifiers(objects)
        searcher, trials_wanted = plan.searcher_for(seed)
        _check_replicates(plan, past)
        earlier = _earlier(plan, past)
        fold(past, experiment, (searcher, plan.scheduler, plan.stopper))
        if experiment.live or experiment.leaving:
            _outlive(past, began)
        loop: Loop | None = None

        def deliver(events: list[Event]) -> None:
            assert loop is not None, "an executor delivers nothing before its first wait"
            loop.deliver(events)

        try:
            nodes = plan.executor.open(_job(plan, seed), at=experiment.at, deliver=deliver)
            if plan.request_of is None:
                Pool(nodes).check(plan.request)
            change = space_change(past, plan.space, plan.executor.now())
            trials_wanted = wanted_now(searcher, experiment, trials_wanted, change)
            opening: list[Event] = [_opened(plan, experiment.session + 1, nodes, searcher, trials_wanted, objects)]
            if change is not None:
                opening.append(change)
            opening += [replace(each, at=plan.executor.now()) for each in earlier]
            if journal is None:
                journal = _new_journal(plan.folder)
            else:
                journal.summarize(experiment)
            if plan.remote is not None:
                plan.remote.note()
                # Before any trial: who may not write there finds out now, and whoever else comes finds it taken.
                plan.remote.push(is_running=True)
                plan.remote.prune(past)
            if past:
                prune(plan.folder, past)
            else:
                # Also where an earlier controller died before it wrote a word.
                opening.insert(0, _created(plan, seed))
            invocation.record(plan.folder)
            loop = Loop(
                core=Core(
                    experiment,
                    searcher=searcher,
                    scheduler=plan.scheduler,
                    stopper=plan.stopper,
                    limits=plan.limits,
                ),
                searcher=searcher,
                executor=plan.executor,
                journal=journal,
                run=_run(plan, searcher),
                callbacks=plan.callbacks,
                request_of=plan.request_of,
                discards=plan.remote.discard if plan.remote is not None else None,
            )
            loop.drive(opening)
        finally:
            plan.executor.close()
    finally:
        if journal is not None:
            journal.close()


def _outlive(past: Sequence[Event], since: float) -> None:
    """Wait until attempts have ended that the last session ran on other machines.

    Who drove them is gone, for we have its place in the journal since `since`. Yet a machine that the news has not
    reached runs its trials until its lease ends. Attempts of sessions before have ended: this one waited as well.
    """
    lease = next((event.lease for event in reversed(past) if isinstance(event, SessionOpened)), 0.0)
    patience = since + lease - time.monotonic()
    if patience > 0:
        print(
            f"tunesmith: waiting {math.ceil(patience)} s before trials start: some that the session before this one "
            "ran on other machines may not have ended yet",
            file=sys.stderr,
            flush=True,
        )
        time.sleep(patience)


def _opened(
    plan: Plan,
    session: int,
    nodes: Sequence[Node],
    searcher: Searcher,
    trials_wanted: int | None,
    objects: Mapping[str, str],
) -> SessionOpened:
    return SessionOpened(
        at=plan.executor.now(),
        session=session,
        started=time.time(),
        metric=plan.objective.metric if plan.objective else None,
        mode=plan.objective.mode if plan.objective else "max",
        trials_wanted=trials_wanted,
        request=dict(plan.request),
        nodes=tuple(nodes),
        scheduler=type(plan.scheduler).__name__,
        searcher=name_of_searcher(searcher),
        host=socket.gethostname(),
        pid=os.getpid(),
        retry_failed=plan.retry_failed,
        checkpoint_score=_pair(plan.checkpoint_score),
        objects={**objects, **{name: plan.space.object_label(name) for name in plan.space.objects}},
        more_objectives=tuple((each.metric, each.mode) for each in plan.more_objectives),
        replicates=plan.replicates,
        space=description(plan.space),
        lease=plan.executor.lease,
    )


def _run(plan: Plan, searcher: Searcher) -> Run:
    return Run(
        folder=plan.folder,
        name=plan.folder.name,
        resume_command=invocation.resume_command(plan.folder),
        resolve=plan.space.resolve,
        parameters=tuple(plan.space.parameters),
        searcher=searcher,
        scheduler=plan.scheduler,
        replicates=plan.replicates,
    )


def _pair(objective: Objective | None) -> tuple[str, str] | None:
    return None if objective is None else (objective.metric, objective.mode)


def _new_journal(folder: Path) -> Journal:
    try:
        return Journal.create(folder)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}. Choose another storage_path=.") from error


def _past(folder: Path) -> list[Event]:
    with JournalReader(folder) as reader:
        past = [event for _, event in reader.events()]
    if not past and has_trials(folder):
        raise damage(folder, f"it is empty, though trials have run; is its log ({JOURNAL}-wal) missing?")
    return past


def _check_replicates(plan: Plan, past: Sequence[Event]) -> None:
    """Refuse another number of replicates than the trials have: nobody could tell which of them belong together."""
    before = next((event.replicates for event in reversed(past) if isinstance(event, SessionOpened)), plan.replicates)
    if before != plan.replicates and any(isinstance(event, Suggested) for event in past):
        raise ConfigError(
            f"replicates={plan.replicates}, but the trials of {plan.folder.name} were made with replicates={before}. "
            f"Go on with {before}, or give a new experiment another name=."
        )


def _earlier(plan: Plan, past: Sequence[Event]) -> list[EarlierTrials]:
    """Return what sources have found that the journal does not have yet."""
    objectives = () if plan.objective is None else (plan.objective, *plan.more_objectives)
    refuse_itself(plan.warm_from, plan.folder)
    known = known_sources(past, objectives)
    return list(earlier_trials(plan.warm_from, plan.space, objectives, known=known))


def _job(plan: Plan, seed: int) -> Job:
    return Job(
        trainable=plan.bound.trainable,
        experiment=plan.folder.name,
        folder=plan.folder,
        seed=seed,
        parameters=plan.bound.parameters,
        objects=plan.space.objects,
        time_attr=plan.scheduler.time_attr,
        saves_when_waiting=plan.scheduler.saves_when_waiting,
        thresholds=dict(plan.stopper.thresholds),
        metric=plan.objective.metric if plan.objective else None,
        more_metrics=tuple(each.metric for each in plan.more_objectives),
        storage=plan.remote.url if plan.remote is not None else "",
        **plan.worker_options,
    )


def _created(plan: Plan, seed: int) -> ExperimentCreated:
    return ExperimentCreated(
        at=0.0,
        name=plan.folder.name,
        seed=seed,
        created=time.time(),
        version=__version__,
        trainable=name_of(plan.bound.trainable),
        space=plan.space.describe(),
    )

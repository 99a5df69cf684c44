"""Simulated experiments: the real core, schedulers and searchers in virtual time, in this process, without any file.

Trials follow learning curves that are known beforehand: a table of them, those of an experiment that has run, or what a
function computes. Whatever is random is drawn from the seed, so the same arguments give the same simulation.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from . import arguments, choices
from .analysis.curves import CurveTable
from .analysis.results import Results
from .analysis.simulations import Improvement, Simulation, all_trials
from .api import load
from .core.bundles import Request, checked_request
from .core.commands import Command, Discard, Halt, Kill, Proceed, Start, Suggest
from .core.engine import Core, Limits, Step
from .core.events import EarlierTrials, Event, ExperimentCreated, Reported, SessionOpened, SpaceExhausted, Suggested
from .core.experiment import Experiment
from .core.objective import Objective
from .core.policy import Scheduler, Searcher, Stopper, unused
from .core.resources import Pool
from .core.seeds import generator
from .core.trial import Status
from .earlier.sources import earlier_trials
from .errors import ConfigError, TrialsFailed
from .executors.base import Job
from .executors.recorded import FollowedTrials, RecordedTrials
from .executors.simulated import SimulatedExecutor
from .layout import JOURNAL
from .searchers.lagged import in_step
from .searchers.listed import ListedConfigs
from .searchers.settings import SearcherSettings, searched_space
from .space.space import Space
from .stoppers import as_stopper

Curves = Any
"""What `simulate` takes: a table or a list of curves, a file, an experiment that has run, or a function."""


def simulate(
    curves: Curves,
    *,
    space: Mapping[str, Any] | Space | None = None,
    metric: str | Sequence[str] | None = None,
    mode: str | Sequence[str] | None = None,
    scheduler: Scheduler | str | None = None,
    searcher: Searcher | SearcherSettings | str | None = None,
    num_samples: int | None = None,
    workers: int = 1,
    seed: int = 0,
    stop: Any = None,
    time_budget_s: float | timedelta | None = None,
    max_t: int | None = None,
    resources: Request | None = None,
    start_delay: float = 0.0,
    checkpoint_every: int = 1,
    max_failures: int = 0,
    warm_from: Any = None,
    deterministic: bool | int = False,
    history: bool = False,
) -> Simulation:
    """Simulate an experiment: the same schedulers and searchers as in `run`, with trials that follow known curves.

    Args:
        curves: What trials do. Learning curves that are on record: a `CurveTable`, a list of dicts such as
            `{"config": {...}, "metrics": {"loss": [0.9, 0.5]}, "seconds": [1, 1]}`, the path of a .npz, .json or
            .json.gz file, or an experiment that has run (its `Results`, folder or URL). Or a function: of
            (config, epoch), the first epoch being 1, that returns (metrics, seconds), or None at the end; of
            (config, epoch, state) that returns (metrics, seconds, state), for what a clone is to inherit; or a
            generator function of (config) that yields (metrics, seconds). Metrics alone take 1 second.
        space: What to try, with a function; as in `run`.
        metric: What to optimise; default: what the experiment or the table optimises. Several for a scheduler that
            weighs several; `best` is the best by the first.
        mode: "min" or "max".
        scheduler: As in `run`: an object, or a name.
        searcher: As in `run`, with a function; but by default "random", which costs no real time. Recorded curves are
            those of their configs alone.
        num_samples: How many trials. Default with recorded curves: all of them; with a function: 1, or the grid.
        workers: How many trials run at once: one node with so many CPUs.
        seed: Of all that is random; with recorded curves also of the order in which they are tried.
        stop: When a trial has had enough; as in `run`.
        time_budget_s: Virtual seconds after which everything ends.
        max_t: Curves end after so many steps.
        resources: What a trial asks for; default 1 CPU.
        start_delay: Seconds that a worker takes to begin with a trial, also with one that was paused.
        checkpoint_every: After each so many steps a trial can go on from there; 0: from the beginning only.
        max_failures: How often a trial is tried again whose function failed.
        warm_from: Earlier experiments that the searcher begins with; as in `run`, with a function.
        deterministic: As in `run`, with a function.
        history: Keep all results: `simulation.trials[0].history`.

    Raises:
        ConfigError, SpaceError, ResourceError: An argument makes no sense.
        TrialsFailed: The function failed in every trial; the message holds the first traceback.
    """
    chosen_scheduler = unused(choices.scheduler_of(scheduler))
    seed = arguments.seed(seed)
    workers = arguments.whole_number("workers", workers, at_least=1)
    most_steps = None if max_t is None else arguments.whole_number("max_t", max_t, at_least=1)
    table = table_of(curves)
    recorded: list[int] | None = None
    trials: RecordedTrials | FollowedTrials
    earlier: list[EarlierTrials] = []
    if table is not None:
        _refuse_with_a_table(space, searcher, max_failures, warm_from)
        metric, mode = _ranked_by(table, metric, mode, chosen_scheduler)
        chosen = drawn(table, seed, num_samples)
        recorded = [curve.trial for curve in chosen]
        trials = RecordedTrials(chosen, most_steps=most_steps)
        chosen_searcher: Searcher = ListedConfigs([curve.config for curve in chosen])
        wanted: int | None = len(chosen)
    else:
        compiled = searched_space(space, searcher)
        count = 1 if num_samples is None else arguments.sample_count(num_samples)
        objectives = choices.objectives_of(metric, mode, chosen_scheduler)
        searcher_for = choices.searcher_of(
            "random" if searcher is None else searcher, compiled, count, None, objectives=objectives
        )
        window = choices.window_of(deterministic, chosen_scheduler)
        chosen_searcher, wanted = (searcher_for if window is None else in_step(searcher_for, window))(seed)
        sources = choices.sources_of(warm_from, chosen_searcher)
        earlier = list(earlier_trials(sources, compiled, objectives, known=()))
        named = metric if isinstance(metric, str) else None
        trials = FollowedTrials(curves, compiled.resolve, metric=named, most_steps=most_steps)
    session = _Session(
        trials=trials,
        objectives=choices.objectives_of(metric, mode, chosen_scheduler),
        searcher=chosen_searcher,
        scheduler=chosen_scheduler,
        stopper=unused(as_stopper(stop)),
        limits=Limits(
            max_failures=arguments.whole_number("max_failures", max_failures, at_least=-1),
            max_concurrent=getattr(searcher, "max_concurrent", None) or None,
            time_budget=arguments.seconds("time_budget_s", time_budget_s),
            # A step is not waited for when its trial is to end: it is all known beforehand.
            grace=0.0,
            kill_grace=0.0,
            fail_fast=False if table is not None else "auto",
        ),
        executor=SimulatedExecutor(
            workers=workers,
            checkpoint_every=arguments.whole_number("checkpoint_every", checkpoint_every, at_least=0),
            start_delay=arguments.number("start_delay", start_delay, at_least=0),
            replay=trials,
        ),
        workers=workers,
        seed=seed,
        wanted=wanted,
        earlier=earlier,
        request={"cpu": 1.0} if resources is None else checked_request(resources),
        keeps_history=arguments.flag("history", history),
    )
    session.run()
    return session.simulation(recorded, () if table is None else table.notes)


def table_of(curves: Curves) -> CurveTable | None:
    """Return recorded curves as a table; None when `curves` is no record of any.

    Raises:
        ConfigError: A file or a list that holds no curves.
        ExperimentNotFound, JournalDamaged: A folder that holds no experiment.
    """
    match curves:
        case CurveTable():
            return curves
        case Results():
            return CurveTable.of_experiment(curves)
        case str() | os.PathLike():
            path = Path(curves).expanduser()
            if "://" in os.fspath(curves):
                return CurveTable.of_experiment(load(curves))
            if path.is_dir() or path.name == JOURNAL:
                return CurveTable.of_experiment(load(path.parent if path.name == JOURNAL else path))
            return CurveTable.load(path)
    if isinstance(curves, Sequence | Mapping):
        return CurveTable(curves)
    return None


def drawn(table: CurveTable, seed: int, num_samples: int | None = None) -> list[Any]:
    """Return curves of the table in an order that is drawn from the seed: all of them, or the first `num_samples`."""
    count = len(table) if num_samples is None else arguments.whole_number("num_samples", num_samples, at_least=1)
    if count > len(table):
        raise ConfigError(f"num_samples={num_samples}: the table has {len(table)} curves. Ask for at most so many.")
    order = list(range(len(table)))
    generator(seed, "order").shuffle(order)
    return [table[number] for number in order[:count]]


def _refuse_with_a_table(space: object, searcher: object, max_failures: int, warm_from: object) -> None:
    given = {"searcher=": searcher, "space=": space, "warm_from=": warm_from}
    word = next((word for word, value in given.items() if value is not None), None)
    if word is not None:
        raise ConfigError(
            f"{word} with recorded curves: only their own configs have a curve, so none can be proposed. "
            "Leave it out, or simulate a function of (config, epoch)."
        )
    if max_failures:
        raise ConfigError(f"max_failures={max_failures!r}: a recorded curve cannot go otherwise. Leave it out.")


def _ranked_by(
    table: CurveTable, metric: str | Sequence[str] | None, mode: str | Sequence[str] | None, scheduler: Scheduler
) -> tuple[str | Sequence[str] | None, str | Sequence[str] | None]:
    """Return the metric and mode to use with a table: what was asked for, else the scheduler's, else the table's."""
    own = getattr(scheduler, "objective", None) or table.objective
    if metric is None and getattr(scheduler, "objectives", None):
        return metric, mode  # It has several of its own.
    if own is not None and metric in (None, own.metric):
        metric, mode = own.metric, mode or own.mode
    for name in (metric,) if isinstance(metric, str) else metric or ():
        table.check_metric(name)
    return metric, mode


def _no_trainable(config: Any) -> None:
    raise AssertionError("a simulation's trials follow curves")


class _Session:
    """One simulated session, driven as `loop` drives a real one, but for the journal and the callbacks."""

    def __init__(
        self,
        *,
        trials: RecordedTrials | FollowedTrials,
        objectives: tuple[Objective, ...],
        searcher: Searcher,
        scheduler: Scheduler,
        stopper: Stopper,
        limits: Limits,
        executor: SimulatedExecutor,
        workers: int,
        seed: int,
        wanted: int | None,
        earlier: Sequence[EarlierTrials],
        request: dict[str, float],
        keeps_history: bool,
    ) -> None:
        self._searcher, self._scheduler, self._executor, self._workers = searcher, scheduler, executor, workers
        self._trials = trials
        objective = objectives[0] if objectives else None
        self.experiment = Experiment(objective)
        self.experiment.objectives = objectives
        self._core = Core(self.experiment, searcher=searcher, scheduler=scheduler, stopper=stopper, limits=limits)
        self._act: dict[type[Command], Callable[[Any], None]] = {
            Start: self._start,
            Proceed: executor.proceed,
            Halt: executor.halt,
            Kill: executor.kill,
            Discard: trials.discard,
        }
        self._histories: dict[int, list[dict[str, Any]]] | None = {} if keeps_history else None
        self._incumbent: list[Improvement] = []
        self._best = float("inf")
        self._at = self._busy = 0.0
        job = Job(
            trainable=_no_trainable,
            experiment="simulation",
            folder=Path(),
            seed=seed,
            time_attr=scheduler.time_attr,
            thresholds=dict(stopper.thresholds),
            metric=objective.metric if objective is not None else None,
            saves_when_waiting=scheduler.saves_when_waiting,
        )
        nodes = tuple(executor.open(job, at=0.0, deliver=self._turn))
        Pool(nodes).check(request)
        self._opening: list[Event] = [
            ExperimentCreated(at=0.0, name="simulation", seed=seed, created=0.0),
            SessionOpened(
                at=0.0,
                session=1,
                started=0.0,
                metric=objective.metric if objective is not None else None,
                mode=objective.mode if objective is not None else "max",
                trials_wanted=wanted,
                request=request,
                nodes=nodes,
                scheduler=type(scheduler).__name__,
                searcher=type(searcher).__name__,
                more_objectives=tuple((each.metric, each.mode) for each in objectives[1:]),
            ),
            *earlier,
        ]

    def run(self) -> None:
        """Drive the experiment to its end."""
        experiment, core, executor = self.experiment, self._core, self._executor
        try:
            self._turn(self._opening)
            while experiment.finished is None:
                self._turn(executor.wait(core.next_deadline()))
        finally:
            executor.close()
        if experiment.finished.reason == "failed":
            first = next(trial.failure for trial in experiment.trials if trial.failure is not None)
            raise TrialsFailed(f"{experiment.finished.message}\n{first.traceback}".rstrip())

    def _turn(self, events: list[Event]) -> None:
        executor, core = self._executor, self._core
        now = executor.now()
        # Who was busy since the last turn is who is live until this one is decided.
        self._busy += len(self.experiment.live) * (now - self._at)
        self._at = now
        if events:
            self._carry_out(core.handle(*events))
        deadline = core.next_deadline()
        if deadline is not None and deadline <= now:
            self._carry_out(core.tick(now))
        best = self.experiment.best
        if best is not None and best.best_loss < self._best:
            assert self.experiment.objective is not None
            self._best = best.best_loss
            value = self.experiment.objective.value_of(self._best)
            self._incumbent.append(Improvement(now, self._busy, value))

    def _carry_out(self, step: Step) -> None:
        while step.events or step.commands:
            if self._histories is not None:
                self._remember(step.events, self._histories)
            answers: list[Event] = []
            for command in step.commands:
                if type(command) is Suggest:
                    answers.append(self._suggest(command.count))
                else:
                    self._act[type(command)](command)
            step = self._core.handle(*answers) if answers else Step()

    def _suggest(self, count: int) -> Event:
        configs = tuple(self._searcher.suggest(count, self.experiment))
        at = self._executor.now()
        if not configs and self._searcher.is_exhausted(self.experiment):
            return SpaceExhausted(at=at)
        return Suggested(at=at, configs=configs)

    def _start(self, command: Start) -> None:
        if isinstance(self._trials, RecordedTrials) and not self._trials.knows(command):
            raise ConfigError(
                f"{type(self._scheduler).__name__} changes the config of trial {command.trial}, but recorded "
                "curves are those of their configs alone. Simulate a function of (config, epoch, state) instead."
            )
        self._executor.start(command)

    @staticmethod
    def _remember(events: Sequence[Event], histories: dict[int, list[dict[str, Any]]]) -> None:
        for event in events:
            if type(event) is Reported:
                row = {
                    **event.metrics,
                    "training_iteration": event.number,
                    "time_total_s": event.elapsed,
                    "at": event.at,
                }
                histories.setdefault(event.trial, []).append(row)

    def simulation(self, recorded: list[int] | None, notes: Sequence[str]) -> Simulation:
        """Return what has come of it."""
        experiment = self.experiment
        finished = experiment.finished
        assert finished is not None
        return Simulation(
            trials=all_trials(experiment, recorded, self._histories),
            objective=experiment.objective,
            seconds=self._at,
            compute_seconds=self._busy,
            results=experiment.results,
            incumbent=self._incumbent,
            finished=finished.reason,
            message=finished.message,
            scheduler=type(self._scheduler).__name__,
            workers=self._workers,
            said=self._said(),
            warnings=[*notes, *self._said(), *self._warnings()],
        )

    def _said(self) -> list[str]:
        return [*self._searcher.warnings, *self._scheduler.warnings]

    def _warnings(self) -> list[str]:
        experiment, objective = self.experiment, self.experiment.objective
        finished = experiment.finished
        found = []
        if finished is not None and finished.reason == "stuck":
            found.append(f"it ended before its time: {finished.message}")
        if objective is not None and experiment.best is None and experiment.results:
            last = next(trial.last for trial in experiment.trials if trial.last is not None)
            reported = ", ".join(last.metrics) or "nothing"
            found.append(f"no result has a usable {objective.metric!r}; reported: {reported}")
        failed = [trial for trial in experiment.trials if trial.status is Status.FAILED and trial.failure is not None]
        censored = sum(trial.failure is not None and trial.failure.kind == "censored" for trial in failed)
        if censored:
            found.append(
                f"{censored} of {len(experiment.trials)} trials wanted to go on where their recorded curves were cut, "
                "and ended there. What they would have found is unknown, so this is not exact"
            )
        if len(failed) > censored:
            failure = next(t.failure for t in failed if t.failure is not None and t.failure.kind != "censored")
            found.append(
                f"{len(failed) - censored} trials failed; the first of them: {failure.message} {failure.where}"
            )
        return found

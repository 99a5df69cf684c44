"""Random experiments through the real core: curves with ties, nan, gaps and jumps; failures, losses and restarts.

Whatever a scheduler may decide is carried out: pauses, promotions, clones, other resources, ends of trials that stand
still. On request people stop trials, processes are held, and the driver dies and is started again from its journal.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.commands import Command, Halt, Kill, Proceed, Start, Suggest
from tunesmith.core.engine import Core, Limits, Step, fold
from tunesmith.core.events import (
    AttemptEnded,
    Config,
    Event,
    ExperimentCreated,
    Failure,
    Node,
    Reported,
    SessionOpened,
    SpaceExhausted,
    StopRequested,
    Suggested,
    TrialCompleted,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Choice, Scheduler, Searcher, Stopper
from tunesmith.stoppers import NoopStopper

METRIC = "score"


class Listed(Searcher):
    """Never asked: the run below answers in its stead."""

    def suggest(self, count, experiment):
        raise NotImplementedError


@dataclass
class Attempt:
    trial: int
    attempt: int
    until: float
    number: int
    elapsed: float
    steps: int
    config: Config
    saved: int
    """The number of the result that its newest checkpoint came with."""
    waits: bool = False
    ends: bool = False
    saves: bool = False
    """Whether it is to save a checkpoint when it ends, as for a pause."""


@dataclass
class Run:
    """One experiment, driven at random until it is finished."""

    scheduler: Scheduler
    seed: int
    trials: int = 25
    slots: int = 4
    longest: int = 30
    mode: str = "max"
    values: str = "lattice"
    """lattice: few different values, so ties; continuous; both with nan, missing and infinite ones."""
    trouble: float = 0.05
    """How likely a step is a failure or a loss of its worker."""
    saves: bool = True
    """Whether trials save at a pause, and when they wait where the scheduler wants that, as class trainables do."""
    holds: bool = False
    """Whether paused trials keep their processes."""
    persons: float = 0.0
    """How likely somebody stops a trial at a step."""
    restarts: float = 0.0
    """How likely the driver dies at a step; the next session folds its journal. `renew` makes its scheduler."""
    renew: Callable[[], Scheduler] | None = None
    value_of: Callable[[random.Random, Attempt], dict[str, float]] | None = None
    """The metrics of a result, in place of what `values` says."""
    config_of: Callable[[random.Random, int], Config] | None = None
    """The config of a trial; by default its number."""
    stopper: Stopper = field(default_factory=NoopStopper)
    journal: list[Event] = field(default_factory=list)
    leases: list[dict[int, float]] = field(default_factory=list)
    """After each event of the journal what the scheduler would lease each trial, if `watch` is set."""
    choices: list[Choice] = field(default_factory=list)
    """After each event of the journal whom the scheduler would give free resources, if `watch` is set."""
    watch: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.attempts: dict[int, Attempt] = {}
        self.at = 0.0
        self.steps_at: dict[str, int] = {}
        self._open(Experiment())

    def _open(self, experiment: Experiment) -> None:
        self.experiment = experiment
        if self.watch:
            self._spy_on(self.scheduler)
        self.core = Core(
            experiment,
            searcher=Listed(),
            scheduler=self.scheduler,
            stopper=self.stopper,
            limits=Limits(max_failures=2, fail_fast=False, holds=self.holds),
        )

    def _spy_on(self, scheduler: Scheduler) -> None:
        observe = scheduler.observe

        def watched(event: Event, experiment: Experiment) -> None:
            observe(event, experiment)
            self.leases.append({trial.id: scheduler.lease(trial, experiment) for trial in experiment.trials})
            self.choices.append(scheduler.choose(experiment))

        scheduler.observe = watched  # type: ignore[method-assign]

    def play(self) -> Run:
        self.experiment.apply(created := ExperimentCreated(at=0.0, name="random", seed=self.seed, created=0.0))
        self.scheduler.observe(created, self.experiment)
        self.journal.append(created)
        self._begin_session()
        while self.experiment.finished is None:
            self.at += self.random.random()
            if self.restarts and self.random.random() < self.restarts:
                self._restart()
            elif self.persons and self.random.random() < self.persons:
                trial = self.random.randrange(self.experiment.next_number)
                self._feed(StopRequested(at=self.at, reason="a person said so", trial=trial))
            else:
                self._advance(self.attempts[self.random.choice(sorted(self.attempts))])
        return self

    def _begin_session(self) -> None:
        nodes = (Node("here", {"cpu": self.slots}),)
        self._feed(SessionOpened(at=self.at, session=self.experiment.session + 1, started=0.0, metric=METRIC,
                                 mode=self.mode, nodes=nodes, trials_wanted=self.trials))  # fmt: skip

    def _restart(self) -> None:
        """Let the driver die with all its workers, and begin the next session from the journal."""
        assert self.renew is not None, "restarts need a scheduler for the next session"
        self.attempts.clear()
        self.scheduler = self.renew()
        self._open(fold(self.journal, Experiment(), (self.scheduler,)))
        self._begin_session()

    def _feed(self, event: Event) -> Step:
        step = self.core.handle(event)
        self.journal += step.events
        for command in step.commands:
            self._perform(command)
        return step

    def _perform(self, command: Command) -> None:
        match command:
            case Suggest(count):
                numbers = range(self.experiment.next_number, min(self.trials, self.experiment.next_number + count))
                if numbers:
                    self._feed(Suggested(at=self.at, configs=tuple(map(self._config, numbers))))
                else:
                    self._feed(SpaceExhausted(at=self.at))
            case Start(trial, attempt, config, checkpoint=checkpoint, progress=progress, until=until):
                steps = self.steps_at.get(checkpoint or "", 0)
                self.attempts[trial] = Attempt(
                    trial, attempt, until, progress.number, progress.elapsed, steps, config, saved=progress.number
                )
            case Proceed(trial, attempt, until):
                running = self.attempts[trial]
                assert running.attempt == attempt
                assert running.waits
                running.waits, running.until = False, until
            case Halt(trial, attempt) | Kill(trial, attempt):
                running = self.attempts.get(trial)
                if running is not None and running.attempt == attempt:
                    running.ends = True
                    running.saves |= isinstance(command, Halt) and command.save and self.saves

    def _config(self, trial: int) -> Config:
        return {"x": trial} if self.config_of is None else self.config_of(random.Random(f"config {trial}"), trial)

    def _advance(self, running: Attempt) -> None:
        draw = self.random.random()
        is_held = self.experiment.trials[running.trial].held
        if running.ends:
            self._end(running, "halted")
        elif draw < self.trouble:
            self._end(running, "failed", Failure(kind="exception", message="ValueError: by chance"))
        elif draw < 2 * self.trouble:
            self._end(running, "lost", Failure(kind="lost", message="by chance"))
        elif is_held:
            pass  # It stands still, and others go on.
        elif running.number >= self.longest or draw > 0.985:
            self._end(running, "done")
        else:
            assert not running.waits, "an attempt that waits was told neither to proceed nor to end"
            self._report(running)

    def _end(self, running: Attempt, outcome: str, failure: Failure | None = None) -> None:
        del self.attempts[running.trial]
        checkpoint = None
        if outcome == "halted" and running.saves and running.number > running.saved:
            checkpoint = self._checkpoint(running)
        self._feed(AttemptEnded(at=self.at, trial=running.trial, attempt=running.attempt, outcome=outcome,
                                failure=failure, checkpoint=checkpoint))  # fmt: skip

    def _checkpoint(self, running: Attempt) -> str:
        checkpoint = f"{running.trial}/{running.attempt}-{running.number}"
        self.steps_at[checkpoint] = running.steps
        running.saved = running.number
        return checkpoint

    def _report(self, running: Attempt) -> None:
        running.number += 1
        running.elapsed += self.random.expovariate(1.0)
        running.steps += self.random.choice([1, 1, 1, 2, 5, 20])
        metrics: dict[str, Any] = {"steps": running.steps, **self._metrics(running)}
        checkpoint = self._checkpoint(running) if self.random.random() < 0.15 else None
        result = Reported(at=self.at, trial=running.trial, attempt=running.attempt, number=running.number,
                          metrics=metrics, elapsed=running.elapsed, checkpoint=checkpoint)  # fmt: skip
        running.waits = result.value(self.scheduler.time_attr) >= running.until
        if running.waits:
            if checkpoint is None and self.saves and self.scheduler.saves_when_waiting:
                checkpoint = self._checkpoint(running)
            result = Reported(at=self.at, trial=running.trial, attempt=running.attempt, number=running.number,
                              metrics=metrics, elapsed=running.elapsed, checkpoint=checkpoint, waits=True)  # fmt: skip
        self._feed(result)

    def _metrics(self, running: Attempt) -> dict[str, float]:
        return self._value(running.trial) if self.value_of is None else self.value_of(self.random, running)

    def _value(self, trial: int) -> dict[str, float]:
        draw = self.random.random()
        if draw < 0.06:
            return {METRIC: float("nan")}
        if draw < 0.10:
            return {}
        if draw < 0.12:
            return {METRIC: float("-inf") if self.mode == "max" else float("inf")}
        quality = trial % 5
        if self.values == "lattice":
            return {METRIC: self.random.randint(quality // 2, quality)}
        return {METRIC: self.random.gauss(quality, 2.0)}

    @property
    def stops(self) -> dict[tuple[int, int, int], str]:
        """(trial, attempt, number) of the results at which the scheduler stopped a trial -> why."""
        stops, last = {}, {}
        for event in self.journal:
            if isinstance(event, Reported):
                last[event.trial] = (event.trial, event.attempt, event.number)
            elif isinstance(event, TrialStopped) or (isinstance(event, TrialCompleted) and event.reason):
                stops[last[event.trial]] = event.reason
        return stops

    @property
    def results(self) -> list[Reported]:
        return [event for event in self.journal if isinstance(event, Reported)]

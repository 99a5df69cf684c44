"""Random experiments through the real core: curves with ties, nan, gaps and jumps; failures, losses and restarts."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tunesmith.core.commands import Command, Halt, Kill, Proceed, Start, Suggest
from tunesmith.core.engine import Core, Limits, Step
from tunesmith.core.events import (
    AttemptEnded,
    Event,
    ExperimentCreated,
    Failure,
    Node,
    Reported,
    SessionOpened,
    SpaceExhausted,
    Suggested,
    TrialCompleted,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Scheduler, Searcher, Stopper
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
    waits: bool = False
    ends: bool = False


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
    stopper: Stopper = field(default_factory=NoopStopper)
    journal: list[Event] = field(default_factory=list)
    leases: list[dict[int, float]] = field(default_factory=list)
    """After each event of the journal what the scheduler would lease each trial, if `watch` is set."""
    watch: bool = False

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.experiment = Experiment()
        if self.watch:
            self._spy_on(self.scheduler)
        self.core = Core(
            self.experiment,
            searcher=Listed(),
            scheduler=self.scheduler,
            stopper=self.stopper,
            limits=Limits(max_failures=2, fail_fast=False),
        )
        self.attempts: dict[int, Attempt] = {}
        self.at = 0.0
        self.steps_at: dict[str, int] = {}

    def _spy_on(self, scheduler: Scheduler) -> None:
        observe = scheduler.observe

        def watched(event: Event, experiment: Experiment) -> None:
            observe(event, experiment)
            self.leases.append({trial.id: scheduler.lease(trial, experiment) for trial in experiment.trials})

        scheduler.observe = watched  # type: ignore[method-assign]

    def play(self) -> Run:
        self.experiment.apply(created := ExperimentCreated(at=0.0, name="random", seed=self.seed, created=0.0))
        self.scheduler.observe(created, self.experiment)
        self.journal.append(created)
        nodes = (Node("here", {"cpu": self.slots}),)
        self._feed(SessionOpened(at=0.0, session=1, started=0.0, metric=METRIC, mode=self.mode, nodes=nodes,
                                 trials_wanted=self.trials))  # fmt: skip
        while self.experiment.finished is None:
            self.at += self.random.random()
            self._advance(self.attempts[self.random.choice(sorted(self.attempts))])
        return self

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
                    self._feed(Suggested(at=self.at, configs=tuple({"x": number} for number in numbers)))
                else:
                    self._feed(SpaceExhausted(at=self.at))
            case Start(trial, attempt, checkpoint=checkpoint, progress=progress, until=until):
                steps = self.steps_at.get(checkpoint or "", 0)
                self.attempts[trial] = Attempt(trial, attempt, until, progress.number, progress.elapsed, steps)
            case Proceed(trial, attempt, until):
                running = self.attempts[trial]
                assert running.attempt == attempt
                assert running.waits
                running.waits, running.until = False, until
            case Halt(trial, attempt) | Kill(trial, attempt):
                running = self.attempts.get(trial)
                if running is not None and running.attempt == attempt:
                    running.ends = True

    def _advance(self, running: Attempt) -> None:
        draw = self.random.random()
        if running.ends:
            self._end(running, "halted")
        elif draw < self.trouble:
            self._end(running, "failed", Failure(kind="exception", message="ValueError: by chance"))
        elif draw < 2 * self.trouble:
            self._end(running, "lost", Failure(kind="lost", message="by chance"))
        elif running.number >= self.longest or draw > 0.985:
            self._end(running, "done")
        else:
            assert not running.waits, "an attempt that waits was told neither to proceed nor to end"
            self._report(running)

    def _end(self, running: Attempt, outcome: str, failure: Failure | None = None) -> None:
        del self.attempts[running.trial]
        self._feed(AttemptEnded(at=self.at, trial=running.trial, attempt=running.attempt, outcome=outcome,
                                failure=failure))  # fmt: skip

    def _report(self, running: Attempt) -> None:
        running.number += 1
        running.elapsed += self.random.expovariate(1.0)
        running.steps += self.random.choice([1, 1, 1, 2, 5, 20])
        metrics: dict[str, Any] = {"steps": running.steps, **self._value(running.trial)}
        checkpoint = None
        if self.random.random() < 0.15:
            checkpoint = f"{running.trial}/{running.attempt}-{running.number}"
            self.steps_at[checkpoint] = running.steps
        result = Reported(at=self.at, trial=running.trial, attempt=running.attempt, number=running.number,
                          metrics=metrics, elapsed=running.elapsed, checkpoint=checkpoint)  # fmt: skip
        running.waits = result.value(self.scheduler.time_attr) >= running.until
        if running.waits:
            result = Reported(at=self.at, trial=running.trial, attempt=running.attempt, number=running.number,
                              metrics=metrics, elapsed=running.elapsed, checkpoint=checkpoint, waits=True)  # fmt: skip
        self._feed(result)

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

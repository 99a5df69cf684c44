"""Drives a core and an executor without a journal, as `loop` does with one; and goes on from any prefix of the past."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.commands import Command, Discard, Halt, Kill, Proceed, Start, Suggest
from ..core.engine import Core, Limits, Step, fold
from ..core.events import Config, Event, ExperimentCreated, SessionOpened, SpaceExhausted, Suggested
from ..core.experiment import Experiment
from ..core.policy import Scheduler, Searcher, Stopper
from ..executors.base import Executor, Job


class Driver:
    """One session. `past` is the journal of the sessions before it."""

    def __init__(
        self,
        *,
        searcher: Searcher,
        scheduler: Scheduler,
        stopper: Stopper,
        executor: Executor,
        limits: Limits | None = None,
        past: Sequence[Event] = (),
        seed: int = 0,
        request_of: Callable[[Config], Mapping[str, float]] | None = None,
        **session: Any,
    ) -> None:
        self.searcher = searcher
        self.executor = executor
        self.request_of = request_of
        self.experiment = fold(past, Experiment(), (searcher, scheduler, stopper))
        self.core = Core(
            self.experiment, searcher=searcher, scheduler=scheduler, stopper=stopper, limits=limits or Limits()
        )
        self.events: list[Event] = list(past)
        self.commands: list[Command] = []
        self._act: dict[type[Command], Callable[[Any], None]] = {
            Start: executor.start,
            Proceed: executor.proceed,
            Halt: executor.halt,
            Kill: executor.kill,
            Discard: lambda command: None,
        }
        job = Job(
            trainable=_no_curve,
            experiment="simulated",
            folder=Path(),
            time_attr=scheduler.time_attr,
            thresholds=stopper.thresholds,
        )
        nodes = executor.open(job, at=self.experiment.at, deliver=_never)
        self.opening: list[Event] = []
        if not past:
            self.opening.append(ExperimentCreated(at=0.0, name="simulated", seed=seed, created=0.0))
        fields = {"metric": "loss", "mode": "min", **session}
        self.opening.append(
            SessionOpened(
                at=executor.now(),
                session=self.experiment.session + 1,
                started=0.0,
                nodes=tuple(nodes),
                **fields,
            )
        )

    def run(self, *, most_turns: int = 100_000) -> Driver:
        """Drive to the end; an AssertionError when that takes too many turns."""
        self.turn(self.opening)
        for _ in range(most_turns):
            if self.experiment.finished is not None:
                return self
            self.turn(self.next_events())
        raise AssertionError(f"not finished after {most_turns} turns: {self.experiment.counts}")

    def next_events(self) -> list[Event]:
        """Return what happens next, up to the next deadline."""
        return self.executor.wait(self.core.next_deadline())

    def turn(self, events: Sequence[Event]) -> None:
        """Decide, remember, act."""
        if events:
            self._carry_out(self.core.handle(*events))
        now = self.executor.now()
        deadline = self.core.next_deadline()
        if deadline is not None and deadline <= now:
            self._carry_out(self.core.tick(now))

    def remember(self, step: Step) -> None:
        """Keep a step's events; tests look at what they need here."""
        self.events += step.events

    def _carry_out(self, step: Step) -> None:
        while step.events or step.commands:
            self.remember(step)
            suggested: list[Event] = []
            for command in step.commands:
                if isinstance(command, Suggest):
                    suggested.append(self._suggest(command.count))
                else:
                    self._act[type(command)](command)
            step = self.core.handle(*suggested) if suggested else Step()

    def _suggest(self, count: int) -> Event:
        at = self.executor.now()
        configs = tuple(self.searcher.suggest(count, self.experiment))
        if not configs and self.searcher.is_exhausted(self.experiment):
            return SpaceExhausted(at=at)
        requests = None
        if self.request_of is not None:
            requests = tuple(dict(self.request_of(config)) for config in configs)
        return Suggested(at=at, configs=configs, requests=requests)


def _no_curve(config: Config) -> Any:
    raise AssertionError("the executor has a curve of its own")


def _never(events: list[Event]) -> None:
    raise AssertionError("a simulated executor delivers nothing inside wait")

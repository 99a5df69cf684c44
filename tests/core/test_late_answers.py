"""A searcher's answer may come turns after the question, made from what was known when it was asked."""

from __future__ import annotations

from random import Random

import pytest

from tunesmith.core.commands import Start, Suggest
from tunesmith.core.engine import Core, Limits, Step
from tunesmith.core.events import (
    AttemptEnded,
    Event,
    ExperimentCreated,
    ExperimentFinished,
    Node,
    Reported,
    SessionOpened,
    SpaceExhausted,
    StopRequested,
    Suggested,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.trial import Status
from tunesmith.executors.simulated import SimulatedExecutor
from tunesmith.testing.driver import Driver
from tunesmith.testing.invariants import Invariants
from tunesmith.testing.searcher import KeyedSearcher, config_of

from .policies import PassiveStopper, RandomScheduler, RandomStopper, Told


def opened(*, wanted: int | None = 3, workers: float = 2) -> tuple[Core, Step]:
    """Return a core whose trial 0 runs, and which has asked for the next one."""
    core = Core(
        Experiment(), searcher=KeyedSearcher(), scheduler=Told(), stopper=PassiveStopper(), limits=Limits()
    )  # fmt: skip
    core.handle(
        ExperimentCreated(at=0.0, name="late", seed=0, created=0.0),
        SessionOpened(
            at=0.0, session=1, started=0.0, metric="loss", mode="min", trials_wanted=wanted,
            nodes=(Node("a", {"cpu": workers}),),
        ),
    )  # fmt: skip
    return core, core.handle(suggested(0))


def suggested(*numbers: int, at: float = 0.0) -> Suggested:
    return Suggested(at=at, configs=tuple(config_of(0, number) for number in numbers))


def report(number: int, at: float) -> Reported:
    return Reported(at=at, trial=0, attempt=1, number=number, metrics={"loss": 0.5})


def test_with_fewer_configs_than_asked_for_the_core_asks_for_the_rest():
    core, step = opened()

    assert [type(command) for command in step.commands] == [Start, Suggest]
    assert core.wants_suggestions


def test_while_an_answer_is_computed_trials_go_on_and_nobody_asks_again():
    core, _ = opened()

    for number in range(1, 5):
        assert core.handle(report(number, at=float(number))).commands == []
    assert core.experiment.trials[0].results == 4


def test_a_late_answer_starts_the_trial():
    core, _ = opened()
    core.handle(report(1, at=1.0))

    step = core.handle(suggested(1, at=2.0))

    assert [command.trial for command in step.commands if isinstance(command, Start)] == [1]


def test_the_session_waits_for_an_answer_though_nothing_runs():
    core, _ = opened()

    assert core.handle(AttemptEnded(at=1.0, trial=0, attempt=1, outcome="done")).events[-1:] != [ExperimentFinished]
    assert core.experiment.finished is None


def test_nothing_for_now_is_asked_again_at_once_when_something_has_happened_since_the_question():
    core, _ = opened()
    core.handle(AttemptEnded(at=1.0, trial=0, attempt=1, outcome="done"))

    step = core.handle(suggested(at=2.0))

    assert [type(command) for command in step.commands] == [Suggest]
    # Now it has known everything, and nothing is to come.
    assert core.handle(suggested(at=2.0)).events[-1].reason == "stuck"


def test_nothing_for_now_is_not_asked_again_before_something_happens():
    core, _ = opened()
    core.handle(suggested(at=1.0))  # it may not have known of the launch
    assert core.handle(suggested(at=1.0)).commands == []

    assert [type(command) for command in core.handle(report(1, at=2.0)).commands] == [Suggest]


@pytest.mark.parametrize("answer", [suggested(1, at=3.0), SpaceExhausted(at=3.0)], ids=["configs", "exhausted"])
def test_an_answer_that_nobody_wants_any_more_is_dropped(answer: Event):
    core, _ = opened()
    core.handle(StopRequested(at=1.0, reason="a person"))
    assert not core.wants_suggestions

    assert core.handle(answer) == Step([], [])
    step = core.handle(AttemptEnded(at=4.0, trial=0, attempt=1, outcome="halted"))
    assert step.events[-1].reason == "interrupted"
    assert core.experiment.next_number == 1


def test_a_session_that_ends_does_not_wait_for_an_answer():
    core, _ = opened()
    core.handle(AttemptEnded(at=1.0, trial=0, attempt=1, outcome="done"))

    assert core.handle(StopRequested(at=2.0, reason="a person")).events[-1].reason == "interrupted"


def test_the_end_of_the_space_comes_late_too():
    core, _ = opened()
    core.handle(AttemptEnded(at=1.0, trial=0, attempt=1, outcome="done"))

    assert core.handle(SpaceExhausted(at=2.0)).events[-1].reason == "completed"


# Random experiments.


class LateDriver(Driver):
    """Answers turns later, with what was known when it was asked."""

    late: int = 0
    answer: Event | None = None

    def _carry_out(self, step: Step) -> None:
        self.remember(step)
        for command in step.commands:
            if isinstance(command, Suggest):
                assert self.answer is None, "one question at a time"
                self.answer, self.late = self._suggest(1), self.draw.choice([0, 0, 1, 2, 5, 20])
            else:
                self._act[type(command)](command)

    def next_events(self) -> list[Event]:
        if self.answer is not None and (self.late <= 0 or not self.experiment.live):
            answer, self.answer = self.answer, None
            at = self.executor.now()
            return [SpaceExhausted(at=at) if isinstance(answer, SpaceExhausted) else suggested_at(answer, at)]
        self.late -= 1
        events = super().next_events()
        if self.draw.random() < self.interrupts:
            events.append(StopRequested(at=self.executor.now(), reason="a person"))
        return events

    def remember(self, step: Step) -> None:
        super().remember(step)
        self.core.stopper.check_step(step, self.experiment)


def suggested_at(answer: Event, at: float) -> Event:
    assert isinstance(answer, Suggested)
    return Suggested(at=at, configs=answer.configs)


def curve(config):
    for step in range(config["length"]):
        yield {"loss": config["x"] + step}, 0.1 + config["x"]


def session(seed: int, past: list[Event], *, interrupts: float = 0.0) -> LateDriver:
    draw = Random(seed)
    driver = LateDriver(
        searcher=KeyedSearcher(seed=seed, most=draw.choice([None, 7]), moody=draw.choice([0.0, 0.4])),
        scheduler=RandomScheduler(seed=seed),
        stopper=Invariants(RandomStopper(seed=seed, experiment=0.0)),
        executor=SimulatedExecutor(curve, workers=draw.choice([1, 3, 8])),
        limits=Limits(max_concurrent=draw.choice([None, 2])),
        past=past,
        seed=seed,
        trials_wanted=10,
    )
    driver.draw, driver.interrupts = Random(f"{seed}/{len(past)}"), interrupts
    return driver.run()


@pytest.mark.parametrize("seed", range(60))
def test_experiments_with_late_answers_come_to_their_end_with_the_same_configs(seed: int):
    events: list[Event] = []
    draw = Random(f"{seed}/cuts")
    for _ in range(draw.randint(1, 3)):
        interrupted = session(seed, events, interrupts=0.05)
        events = interrupted.events[: draw.randint(0, len(interrupted.events))]

    experiment = session(seed, events).experiment

    assert experiment.finished is not None
    assert experiment.finished.reason == "completed"
    assert [trial.config for trial in experiment.trials] == [config_of(seed, n) for n in range(experiment.next_number)]
    assert all(trial.status in (Status.COMPLETED, Status.STOPPED) for trial in experiment.trials)

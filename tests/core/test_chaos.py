"""Thousands of random experiments in which everything goes wrong; what must hold is checked after each event.

One seed is one run. A failing seed is the bug report: `run_of(seed)`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tunesmith.core.bundles import STRATEGIES, Bundles
from tunesmith.core.engine import Limits, Step
from tunesmith.core.events import (
    EVENT_TYPES,
    Config,
    EarlierTrials,
    Event,
    Metrics,
    Node,
    SpaceChanged,
    StopRequested,
    TrialRequeued,
)
from tunesmith.core.policy import Scheduler, Stopper
from tunesmith.core.trial import TRANSITIONS, Status
from tunesmith.executors.simulated import Faults, SimulatedExecutor
from tunesmith.schedulers.asha import ASHAScheduler
from tunesmith.schedulers.fifo import FIFOScheduler
from tunesmith.testing.driver import Driver
from tunesmith.testing.invariants import Invariants
from tunesmith.testing.searcher import KeyedSearcher

from .policies import PassiveStopper, RandomScheduler, RandomStopper

RUNS, SLICES = 2400, 8


def curve(config: Config) -> Iterator[tuple[Metrics, float]]:
    draw = random.Random(repr(config))
    for number in range(config["length"]):
        loss = draw.choice([config["x"] / (number + 1), draw.random(), float("nan"), None])
        yield {"loss": loss, "steps": 2 * number}, draw.choice([0.5, 1.0, draw.random()])


class Chaos(Driver):
    """Puts stop requests and node changes between what the executor tells, and checks each step."""

    def __init__(
        self, draw: random.Random, invariants: Invariants, executor: SimulatedExecutor, **options: Any
    ) -> None:
        super().__init__(stopper=invariants, executor=executor, **options)
        self.draw = draw
        self.invariants = invariants
        self.simulation = executor
        self.all_nodes = executor._nodes
        self.trouble = draw.choice([0.0, 0.0, 0.02, 0.1])

    def remember(self, step: Step) -> None:
        super().remember(step)
        self.invariants.check_step(step, self.experiment)

    def next_events(self) -> list[Event]:
        draw = self.draw
        if draw.random() < self.trouble and len(self.all_nodes) > 1:
            self.simulation.change_nodes(draw.sample(self.all_nodes, draw.randint(0, len(self.all_nodes))))
        events = super().next_events()
        if draw.random() < self.trouble:
            trial = draw.choice([None, *range(self.experiment.next_number + 1)])
            now = draw.random() < 0.3
            events.append(StopRequested(at=self.executor.now(), reason="a person", trial=trial, now=now))
        return events


def a_scheduler(draw: random.Random) -> Scheduler:
    seed = draw.randrange(99)
    match draw.choice(["fifo", "asha", "asha", "random", "random"]):
        case "asha":
            return ASHAScheduler(max_t=draw.randint(2, 8), reduction_factor=draw.choice([2, 3]), grace_period=1)
        case "random":
            return RandomScheduler(
                seed=seed,
                pauses=draw.choice([0.0, 0.3]),
                changes=draw.choice([0.0, 0.0, 0.2]),
                longest_lease=draw.randint(1, 4),
                unblocks=draw.random() < 0.5,
            )
    return FIFOScheduler()


def a_stopper(draw: random.Random) -> Stopper:
    if draw.random() < 0.5:
        return PassiveStopper()
    return RandomStopper(seed=draw.randrange(99), every_result=draw.random() < 0.5)


def some_faults(draw: random.Random) -> Faults:
    def often(most: float) -> float:
        return draw.choice([0.0, 0.0, most * draw.random()])

    return Faults(
        seed=draw.randrange(10**6),
        fails=often(0.3),
        is_lost=often(0.3),
        hangs=often(0.1),
        is_slow=often(0.5),
        damages_checkpoint=often(0.5),
        start_delay=often(2.0),
        message_delay=often(2.0),
        message_twice=often(0.3),
        message_late=often(0.3),
        message_lost=often(0.1),
    )


def run_of(seed: int) -> Chaos:
    draw = random.Random(seed)
    limits = Limits(
        max_failures=draw.choice([0, 1, 3]),
        max_concurrent=draw.choice([None, 1, 2]),
        time_budget=draw.choice([None, None, 10.0, 30.0]),
        trial_time=draw.choice([None, None, 8.0]),
        report_timeout=draw.choice([30.0, 60.0]),  # without it, a lost message may leave a worker standing for ever
        grace=draw.choice([0.0, 1.0, 5.0]),
        kill_grace=draw.choice([0.0, 1.0]),
        fail_fast=draw.choice([False, "auto", True]),
        nan_fails=draw.random() < 0.2,
        holds=draw.random() < 0.2,
        num_to_keep=draw.choice([None, None, 1, 3]),
        checkpoint_bytes=draw.choice([None, None, 3]),
    )
    nodes = [Node(f"n{number}", {"cpu": float(draw.randint(1, 3))}) for number in range(draw.randint(1, 3))]
    amounts = draw.choice([None, None, [1, 2], [1, 2, 3, 9]])
    requests = None if amounts is None else [{"cpu": amount} for amount in amounts]
    # A stream of its own, so that what the seeds meant before bundles came stays as it was.
    of_bundles = random.Random(f"bundles of {seed}")
    if amounts is not None and of_bundles.random() < 0.5:
        strategy = of_bundles.choice(STRATEGIES)
        requests = [Bundles([{"cpu": 1}] * amount, strategy).request for amount in amounts]
    chaos = Chaos(
        draw,
        Invariants(a_stopper(draw), max_failures=limits.max_failures),
        SimulatedExecutor(
            curve,
            nodes=nodes,
            checkpoint_every=draw.choice([0, 1, 2]),
            checkpoint_bytes=1,
            faults=draw.choice([None, some_faults(draw)]),
        ),
        searcher=KeyedSearcher(
            seed=seed, most=draw.choice([None, draw.randint(0, 12)]), moody=draw.choice([0.0, 0.0, 0.3])
        ),
        scheduler=a_scheduler(draw),
        limits=limits,
        seed=seed,
        trials_wanted=draw.randint(1, 10),
        request_of=None if requests is None else lambda config: requests[config["length"] % len(requests)],
    )
    chaos.run(most_turns=5_000)
    return chaos


@pytest.mark.parametrize("part", range(SLICES))
def test_everything_holds_after_each_event_and_every_run_ends(part):
    for seed in range(part, RUNS, SLICES):
        try:
            experiment = run_of(seed).experiment
        except Exception as error:
            raise AssertionError(f"seed {seed}: {error!r}") from error
        assert not experiment.live, seed
        assert experiment.finished is not None
        if experiment.finished.reason == "completed":
            assert not experiment.counts[Status.RUNNING] + experiment.counts[Status.PENDING], seed


def test_the_random_runs_meet_every_event_every_transition_and_every_way_to_end():
    events: set[type] = set()
    steps: set[tuple[str, type]] = set()
    reasons: set[str] = set()
    for seed in range(400):
        chaos = run_of(seed)
        events |= {type(event) for event in chaos.events}
        steps |= chaos.invariants.steps
        reasons.add(chaos.experiment.finished.reason)

    # Only the opening of a session has the other two: test_openings.
    assert events == set(EVENT_TYPES) - {SpaceChanged, EarlierTrials}
    # Only a new session queues failed and interrupted trials again: test_restart.
    ours = {(before, kind) for before, kind in steps if (before, kind) in TRANSITIONS}
    assert ours == set(TRANSITIONS) - {(Status.FAILED, TrialRequeued), (Status.PAUSED, TrialRequeued)}
    assert reasons == {"completed", "stopped", "interrupted", "time_budget", "failed", "stuck"}

"""The controller may die after any event: the fold gives the state it had, and the next session goes on from there."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tunesmith.core.engine import fold
from tunesmith.core.events import Event, TrialLaunched
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Policy, Scheduler
from tunesmith.core.trial import Status
from tunesmith.executors.simulated import Faults, SimulatedExecutor
from tunesmith.schedulers.asha import ASHAScheduler
from tunesmith.schedulers.fifo import FIFOScheduler
from tunesmith.schedulers.median import MedianStoppingRule
from tunesmith.testing.driver import Driver
from tunesmith.testing.invariants import Invariants
from tunesmith.testing.searcher import KeyedSearcher, config_of
from tunesmith.testing.state import Recorder, plain, state_of

from .policies import PassiveStopper, RandomScheduler
from .test_chaos import curve

WANTED = 6
SCHEDULERS: dict[str, Callable[[], Scheduler]] = {
    "fifo": FIFOScheduler,
    "asha": lambda: ASHAScheduler(max_t=6, reduction_factor=2, brackets=2),
    "median": lambda: MedianStoppingRule(grace_period=1, min_samples_required=2),
    "random": lambda: RandomScheduler(seed=5),
}
FAULTS = Faults(seed=3, fails=0.1, is_lost=0.1, damages_checkpoint=0.1, message_delay=0.5)


class Recorded(Driver):
    """Notes the state after each event of its session."""

    def __init__(self, scheduler: Scheduler, *, past: list[Event], faults: Faults | None, most: int | None) -> None:
        searcher, stopper = KeyedSearcher(seed=11, most=most), Invariants(PassiveStopper())
        super().__init__(
            searcher=searcher,
            scheduler=scheduler,
            stopper=stopper,
            executor=SimulatedExecutor(curve, workers=3, checkpoint_every=2, faults=faults),
            past=past,
            seed=11,
            trials_wanted=WANTED,
        )
        self.invariants = stopper
        self.recorder = Recorder((searcher, scheduler))

    def recording(self) -> Recorded:
        self.core._policies = (*self.core._policies, self.recorder)
        return self

    def remember(self, step) -> None:
        super().remember(step)
        self.invariants.check_step(step, self.experiment)


def session(name: str, *, past: list[Event] | None = None, faults: Faults | None = None) -> Recorded:
    return prepared(name, past=past, faults=faults).run(most_turns=3_000)


def prepared(name: str, *, past: list[Event] | None = None, faults: Faults | None = None) -> Recorded:
    most = WANTED if name == "fifo" else None
    return Recorded(SCHEDULERS[name](), past=past or [], faults=faults, most=most)


def folded(events: list[Event], name: str) -> Recorder:
    """Return the states that the fold of `events` goes through."""
    policies: tuple[Policy, ...] = (KeyedSearcher(seed=11, most=WANTED if name == "fifo" else None), SCHEDULERS[name]())
    recorder = Recorder(policies)
    fold(events, Experiment(), (*policies, recorder))
    return recorder


@pytest.mark.parametrize("faults", [None, FAULTS], ids=["calm", "faults"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_folding_the_journal_gives_after_each_event_the_state_the_live_run_had(name, faults):
    live = prepared(name, faults=faults).recording().run()

    states = folded(live.events, name).states

    assert len(states) == len(live.recorder.states) == len(live.events) > 35
    for index, (folded_state, live_state) in enumerate(zip(states, live.recorder.states, strict=True)):
        assert folded_state == live_state, f"after event {index}: {live.events[index]}"


@pytest.mark.parametrize("faults", [None, FAULTS], ids=["calm", "faults"])
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_controller_that_dies_after_any_event_goes_on_to_the_end_with_the_same_configs(name, faults):
    events = session(name, faults=faults).events

    for index in range(len(events) + 1):
        resumed = session(name, past=events[:index], faults=faults)

        experiment = resumed.experiment
        assert resumed.events[:index] == events[:index]
        assert experiment.finished.reason == "completed", (index, experiment.finished)
        assert [trial.config for trial in experiment.trials] == [config_of(11, number) for number in range(WANTED)]
        assert not experiment.counts[Status.PENDING] + experiment.counts[Status.RUNNING]
        assert not any(trial.interrupted for trial in experiment.trials)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_controller_that_dies_thirty_times_loses_nothing(name):
    draw, events = random.Random(name), []
    for _ in range(30):
        longer = session(name, past=events).events
        # A session that got no further than to its own opening would go on for ever.
        events = longer[: draw.randint(len(events), min(len(longer), len(events) + 25))]

    resumed = session(name, past=events)

    assert resumed.events[: len(events)] == events
    assert [trial.config for trial in resumed.experiment.trials] == [config_of(11, number) for number in range(WANTED)]
    assert resumed.experiment.finished.reason == "completed"
    assert folded(resumed.events, name).states[-1] == state_of(resumed.experiment, resumed.recorder.policies)


def test_at_most_the_steps_since_the_last_checkpoint_are_done_again():
    events = session("fifo").events
    for index in range(0, len(events), 3):
        resumed = session("fifo", past=events[:index])
        before = fold(events[:index], Experiment())
        for event in resumed.events[index:]:
            if isinstance(event, TrialLaunched) and event.trial in before.live:
                start = resumed.experiment.progress_at(before.trials[event.trial], event.checkpoint)
                assert before.trials[event.trial].number - start.number < 2
                before.live.pop(event.trial)


def test_two_states_that_differ_anywhere_are_seen_to_differ():
    events = session("asha").events
    state, other = folded(events, "asha"), folded(events, "asha")
    assert state.states[-1] == other.states[-1]

    other.policies[1]._passed[99] = 1

    assert plain(vars(state.policies[1])) != plain(vars(other.policies[1]))
    assert plain(float("nan")) == plain(float("nan"))

"""Results that come one by one and fast are taken together; whatever somebody waits for is not."""

import time

import pytest

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, Reported
from tunesmith.executors.gathering import FAST_TURNS, MUCH, WORTH_IT, Gathering

ALWAYS = float("inf")


def result(*, waits=False):
    return Reported(at=0.0, trial=0, attempt=1, number=1, metrics={}, elapsed=0.0, waits=waits)


@pytest.fixture
def gathering():
    """One for which every turn is fast."""
    return Gathering(together=0.5, fast=ALWAYS)


def turns(gathering, count, *events):
    for _ in range(count):
        gathering.has_turned(events or [result()])


def test_a_few_fast_turns_are_not_enough(gathering):
    turns(gathering, FAST_TURNS - 1)

    assert gathering.pause == 0


def test_after_many_results_are_let_come_together(gathering):
    turns(gathering, FAST_TURNS)

    assert gathering.pause == 0.5


def test_turns_with_time_between_them_are_taken_one_by_one():
    gathering = Gathering(fast=-1.0)

    turns(gathering, 10 * FAST_TURNS)

    assert gathering.pause == 0


@pytest.mark.parametrize(
    "event", [result(waits=True), AttemptEnded(at=0.0, trial=0, attempt=1, outcome="done")], ids=["verdict", "end"]
)
def test_one_that_somebody_waits_for_ends_it(gathering, event):
    turns(gathering, FAST_TURNS)

    gathering.has_turned([*[result()] * WORTH_IT, event])

    assert gathering.pause == 0


def test_it_goes_on_for_as_long_as_many_come(gathering):
    turns(gathering, FAST_TURNS)

    gathering.has_turned([result()] * WORTH_IT)
    assert gathering.pause == 0.5

    gathering.has_turned([result()] * (WORTH_IT - 1))
    assert gathering.pause == 0


def test_a_line_that_brings_much_at_once_is_read_again_at_once(gathering):
    turns(gathering, FAST_TURNS)

    gathering.has_read(MUCH)
    gathering.has_turned([result()] * MUCH)

    assert gathering.pause == 0


def test_a_real_trial_that_reports_fast_is_read_in_batches(drive):
    def train(config):
        for number in range(200):
            time.sleep(0.002)
            tune.report({"number": number})

    there = drive(train)
    there.executor._gathering = Gathering(together=1.0, fast=ALWAYS)
    there.start(0)

    batches = []
    while not any(isinstance(event, AttemptEnded) for event in there.events):
        there.events += (batch := there.executor.wait(there.executor.now() + 30.0))
        batches.append(len(batch))

    assert [event.metrics["number"] for event in there.results()] == list(range(200))
    assert max(batches) >= 20

"""Results that come one by one and fast are taken together; whatever somebody waits for is not."""

import time

import pytest

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, Reported
from tunesmith.executors.gathering import FAST_TURNS, MUCH, SHARE, TOGETHER, Gathering

MILLISECOND = 0.001


def result(*, waits=False):
    return Reported(at=0.0, trial=0, attempt=1, number=1, metrics={}, elapsed=0.0, waits=waits)


class Turns:
    """A gathering, and turns that follow each other in half a millisecond or as told."""

    def __init__(self):
        self.gathering = Gathering()
        self.now = 100.0
        self.take(1, after=1.0)  # There is a turn before those that are counted.

    def take(self, count, *events, after=MILLISECOND / 2):
        for _ in range(count):
            self.now += after
            self.gathering.has_turned(events or [result()], self.now)
        return self.gathering.pause


@pytest.fixture
def turns():
    return Turns()


def test_a_few_fast_turns_are_not_enough(turns):
    assert turns.take(FAST_TURNS - 1) == 0


def test_after_more_results_are_let_come_for_a_part_of_the_time_that_it_has_been_so(turns):
    assert turns.take(FAST_TURNS) == pytest.approx(SHARE * FAST_TURNS * MILLISECOND / 2)


def test_that_time_has_a_bound(turns):
    assert turns.take(10_000) == TOGETHER


def test_turns_with_time_between_them_are_taken_one_by_one(turns):
    assert turns.take(10 * FAST_TURNS, after=2 * MILLISECOND) == 0


def test_it_goes_on_for_as_long_as_enough_come_together(turns):
    turns.take(1000)

    assert turns.take(1, *[result()] * 51, after=50 * MILLISECOND) == TOGETHER
    assert turns.take(1, *[result()] * 49, after=50 * MILLISECOND) == 0


@pytest.mark.parametrize(
    "event", [result(waits=True), AttemptEnded(at=0.0, trial=0, attempt=1, outcome="done")], ids=["verdict", "end"]
)
def test_where_somebody_waits_for_some_the_time_is_shorter(turns, event):
    before = turns.take(2 * FAST_TURNS)

    assert turns.take(1, result(), event) == pytest.approx(before / 2)


def test_a_line_that_brings_much_at_once_is_read_again_at_once(turns):
    turns.take(1000)

    turns.gathering.has_read(MUCH)

    assert turns.take(1, *[result()] * MUCH) == 0


def test_a_real_trial_that_reports_fast_is_read_in_batches(drive):
    def train(config):
        for number in range(200):
            time.sleep(0.002)
            tune.report({"number": number})

    there = drive(train)
    there.executor._gathering = Gathering(together=1.0, rate=0.0)
    there.start(0)

    batches = []
    while not any(isinstance(event, AttemptEnded) for event in there.events):
        there.events += (batch := there.executor.wait(there.executor.now() + 30.0))
        batches.append(len(batch))

    assert [event.metrics["number"] for event in there.results()] == list(range(200))
    assert max(batches) >= 8

import random
import signal
import threading
from time import monotonic

import pytest

from tunesmith.core.commands import Halt, Kill, Proceed, Progress, Start
from tunesmith.core.events import AttemptEnded, AttemptStarted, Placement, Reported
from tunesmith.errors import ExecutorError
from tunesmith.executors.base import Job
from tunesmith.executors.inline import LARGEST_BATCH, InlineExecutor
from tunesmith.executors.machine import cpu_count
from tunesmith.worker.session import TrialHalted, get_context, report
from tunesmith.worker.trainable import Trainable

FOREVER = float("inf")


class Driver:
    """Drives the executor as the loop does; `answer` decides about each waiting report."""

    def __init__(self, tmp_path, trainable, answer=None, at=0.0, **job):
        self.executor = InlineExecutor()
        self.answer = answer or (lambda result: Proceed(result.trial, result.attempt, FOREVER))
        self.batches = []
        self.nodes = self.executor.open(
            Job(trainable=trainable, experiment="digits", folder=tmp_path, **job), at=at, deliver=self.deliver
        )

    @property
    def events(self):
        return [event for batch in self.batches for event in batch]

    def start(self, trial=0, until=FOREVER, config=None, **more):
        placement = Placement("here", {"cpu": 1.0})
        self.executor.start(Start(trial, 1, config or {}, placement, until, **more))

    def deliver(self, events):
        self.batches.append(events)
        for event in events:
            if isinstance(event, Reported) and event.waits:
                self.perform(self.answer(event))

    def perform(self, command):
        match command:
            case Proceed():
                self.executor.proceed(command)
            case Halt():
                self.executor.halt(command)
            case Kill():
                self.executor.kill(command)

    def run(self):
        self.deliver(self.executor.wait(None))
        return self.events[-1]


@pytest.fixture
def driver(tmp_path):
    return lambda trainable, *args, **job: Driver(tmp_path, trainable, *args, **job)


def three_reports(config):
    for step in (1, 2, 3):
        report(loss=1 / step)


def kinds(events):
    return [type(event).__name__ for event in events]


def test_an_attempt_starts_reports_in_order_and_ends_once(driver):
    d = driver(three_reports)
    d.start(trial=4)
    ended = d.run()

    assert kinds(d.events) == ["AttemptStarted", "Reported", "Reported", "Reported", "AttemptEnded"]
    assert {(event.trial, event.attempt) for event in d.events} == {(4, 1)}
    assert [event.number for event in d.events if isinstance(event, Reported)] == [1, 2, 3]
    assert (ended.outcome, ended.failure) == ("done", None)
    times = [event.at for event in d.events]
    assert times == sorted(times)


def test_the_one_node_is_this_machine(driver):
    (node,) = driver(three_reports).nodes

    assert node.resources["cpu"] >= 1
    assert node.name


def test_time_goes_on_from_where_it_was(driver):
    executor = driver(three_reports, at=500.0).executor
    first = executor.now()

    assert 500.0 <= first <= executor.now() < 600.0


def test_attempts_run_one_at_a_time_in_the_order_of_their_start(driver):
    d = driver(lambda config: report(trial=get_context().trial_id))
    d.start(trial=2)
    d.start(trial=1)

    assert [d.run().trial, d.run().trial] == [2, 1]
    assert [event.metrics for event in d.events if isinstance(event, Reported)] == [{"trial": 2}, {"trial": 1}]


def test_user_code_runs_in_the_main_thread_with_its_output_untouched(driver, capsys):
    def train(config):
        print("in", threading.current_thread() is threading.main_thread())

    d = driver(train)
    d.start()
    d.run()

    assert capsys.readouterr().out == "in True\n"


def test_a_waiting_report_is_delivered_within_the_call_and_goes_on(driver):
    order = []

    def train(config):
        for step in (1, 2, 3):
            report(loss=step)
            order.append(f"after {step}")

    def answer(result):
        order.append(f"decided {result.number}")
        return Proceed(0, 1, result.number + 1)

    d = driver(train, answer)
    d.start(until=1)
    d.run()

    assert order == ["decided 1", "after 1", "decided 2", "after 2", "decided 3", "after 3"]


def test_a_halt_ends_the_attempt_at_its_report(driver):
    d = driver(three_reports, lambda result: Halt(0, 1))
    d.start(until=2)

    assert d.run().outcome == "halted"
    assert kinds(d.events) == ["AttemptStarted", "Reported", "Reported", "AttemptEnded"]


def test_a_halt_that_saves_brings_a_checkpoint(driver, tmp_path):
    class Saves(Trainable):
        def step(self):
            return {"loss": 1.0}

        def save_checkpoint(self, checkpoint_dir):
            return {"weights": 1}

    d = driver(Saves, lambda result: Halt(0, 1, save=True))
    d.start(until=1)
    ended = d.run()

    assert (ended.outcome, ended.checkpoint) == ("halted", "trials/00000/checkpoints/1-000001")
    assert (tmp_path / ended.checkpoint).is_dir()


def test_a_kill_takes_effect_at_the_next_report(driver):
    d = driver(three_reports, lambda result: Kill(0, 1))
    d.start(until=1)

    assert d.run().outcome == "killed"


def test_an_attempt_that_ends_by_itself_was_not_killed(driver):
    d = driver(lambda config: report(loss=1.0, done=True))
    d.executor.kill(Kill(0, 1))
    d.start()

    assert d.run().outcome == "done"


@pytest.mark.parametrize(("command", "outcome"), [(Halt(1, 1), "halted"), (Kill(1, 1), "killed")])
def test_what_has_not_begun_never_begins(driver, command, outcome):
    d = driver(three_reports)
    d.start(trial=0)
    d.start(trial=1)
    d.perform(command)

    d.run()
    d.run()

    ends = [event for event in d.events if isinstance(event, AttemptEnded)]
    assert [(event.trial, event.outcome) for event in ends] == [(1, outcome), (0, "done")]
    assert {event.trial for event in d.events if not isinstance(event, AttemptEnded)} == {0}


@pytest.mark.parametrize("command", [Proceed(9, 1, FOREVER), Halt(9, 1), Kill(9, 1)])
def test_a_word_for_an_attempt_that_is_over_is_ignored(driver, command):
    d = driver(three_reports)
    d.perform(command)
    d.start()
    d.run()
    d.perform(command)

    assert d.executor.wait(0.0) == []


def test_a_failure_is_recorded_as_everywhere(driver, tmp_path):
    def train(config):
        raise ValueError("lr must be positive")

    d = driver(train)
    d.start()
    ended = d.run()

    assert ended.outcome == "failed"
    assert (ended.failure.kind, ended.failure.message) == ("exception", "ValueError: lr must be positive")
    assert ended.failure.where.endswith("in train")
    assert "ValueError" in (tmp_path / "trials/00000/error.txt").read_text()


def test_progress_objects_and_config_reach_the_user(driver):
    seen = []

    def train(config, data):
        seen.append((config, data))
        report(timesteps_this_iter=1)

    d = driver(train, objects={"f": max}, parameters={"data": [1]})
    config = {"activation": {"$object": "f"}}
    d.start(config=config, progress=Progress(number=3, elapsed=10.0, timesteps=30.0, episodes=1.0))
    d.run()

    assert seen == [({"activation": max}, [1])]
    assert config == {"activation": {"$object": "f"}}
    (result,) = [event for event in d.events if isinstance(event, Reported)]
    assert (result.number, result.metrics["timesteps_total"]) == (4, 31)
    assert result.elapsed > 10.0


def test_free_reports_come_in_batches_and_none_is_lost(driver):
    def train(config):
        for step in range(5 * LARGEST_BATCH):
            report(loss=step)

    d = driver(train)
    d.start()
    d.run()

    numbers = [event.number for event in d.events if isinstance(event, Reported)]
    assert numbers == list(range(1, 5 * LARGEST_BATCH + 1))
    assert 5 <= len(d.batches) < 5 * LARGEST_BATCH / 4
    assert max(map(len, d.batches)) <= LARGEST_BATCH


def test_a_wake_has_the_next_report_delivered_at_once(driver):
    def train(config):
        report(loss=1.0)
        report(loss=2.0)
        d.executor.wake()
        report(loss=3.0)
        assert kinds(d.events) == ["AttemptStarted", "Reported", "Reported", "Reported"]

    d = driver(train)
    d.start()

    assert d.run().outcome == "done"


def test_seeds_are_set_for_each_attempt_and_the_generators_are_put_back(driver):
    drawn = []
    d = driver(lambda config: drawn.append(random.random()), seed=3)
    random.seed(0)
    expected = random.random()
    random.seed(0)
    for trial in (0, 1, 0):
        d.start(trial=trial)
        d.run()

    assert random.random() == expected
    assert drawn[0] == drawn[2] != drawn[1]


def test_an_interrupt_ends_the_attempt_as_halted_and_comes_out_of_wait(driver):
    def train(config):
        report(loss=1.0)
        raise KeyboardInterrupt

    d = driver(train)
    d.start()
    with pytest.raises(KeyboardInterrupt):
        d.executor.wait(None)

    assert kinds(d.events) == ["AttemptStarted", "Reported", "AttemptEnded"]
    assert d.events[-1].outcome == "halted"


def test_a_real_interrupt_signal_is_a_request_to_stop(driver):
    def train(config):
        signal.raise_signal(signal.SIGINT)

    d = driver(train)
    d.start()
    with pytest.raises(KeyboardInterrupt):
        d.executor.wait(None)

    assert d.events[-1].outcome == "halted"


def test_an_error_of_whoever_takes_the_events_reaches_the_caller_of_wait_not_the_user(driver):
    seen = []

    def train(config):
        try:
            report(loss=1.0)
        except Exception as error:
            seen.append(error)
        except TrialHalted:
            seen.append("halted")
            raise

    def answer(result):
        raise OSError("the disk is full")

    d = driver(train, answer)
    d.start(until=1)
    with pytest.raises(OSError, match="the disk is full"):
        d.executor.wait(None)

    assert seen == ["halted"]


def test_a_report_that_nobody_answers_is_an_error_not_a_hang(driver):
    d = driver(three_reports, lambda result: None)
    d.start(until=1)

    with pytest.raises(ExecutorError, match="trial 0 waits for a verdict"):
        d.executor.wait(None)


def test_a_wait_inside_a_delivery_begins_no_second_attempt(driver):
    nested = []

    def answer(result):
        nested.append(d.executor.wait(d.executor.now() + 0.01))
        return Proceed(result.trial, result.attempt, FOREVER)

    d = driver(three_reports, answer)
    d.start(trial=0, until=1)
    d.start(trial=1, until=1)
    d.run()

    assert nested == [[]]
    assert {event.trial for event in d.events} == {0}


def test_waiting_with_nothing_to_run_ends_at_its_time(driver):
    executor = driver(three_reports).executor
    began = monotonic()

    assert executor.wait(executor.now() + 0.02) == []
    assert 0.015 < monotonic() - began < 5


def test_a_wake_ends_a_wait_with_nothing_to_run(driver):
    executor = driver(three_reports).executor
    executor.wake()
    executor.wake()

    assert executor.wait(None) == []


def test_a_wake_from_another_thread_ends_a_wait(driver):
    executor = driver(three_reports).executor
    thread = threading.Thread(target=executor.wake)
    thread.start()

    assert executor.wait(None) == []
    thread.join()


class Reused(Trainable):
    made = 0

    def setup(self, config):
        type(self).made += 1

    def step(self):
        return {"done": True}

    def reset_config(self, new_config):
        return True


@pytest.mark.parametrize(("reuse_workers", "made"), [(True, 1), (False, 3)])
def test_an_object_is_kept_between_attempts_only_on_request(driver, reuse_workers, made):
    Reused.made = 0
    d = driver(Reused, reuse_workers=reuse_workers)
    for trial in range(3):
        d.start(trial=trial)
        d.run()
    d.executor.close()

    assert Reused.made == made


def test_close_forgets_the_queue_and_may_be_called_twice(driver):
    d = driver(three_reports)
    d.start()
    d.executor.close()
    d.executor.close()

    assert d.executor.wait(0.0) == []


def test_the_first_event_is_the_start(driver):
    d = driver(three_reports)
    d.start()
    d.run()

    assert isinstance(d.events[0], AttemptStarted)
    assert d.events[0].pid > 0


def test_it_offers_what_the_local_executor_would(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    job = Job(trainable=lambda config: None, experiment="digits", folder=tmp_path)

    [counted] = InlineExecutor().open(job, at=0.0, deliver=lambda events: None)
    [given] = InlineExecutor(cpus=8, gpus=1, resources={"license": 2}).open(job, at=0.0, deliver=lambda events: None)

    assert counted.resources == {"cpu": cpu_count(), "gpu": 2.0}
    assert counted.gpus == ("3", "5")
    assert given.resources == {"cpu": 8.0, "gpu": 1.0, "license": 2}

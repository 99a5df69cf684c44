"""SIGTERM and Ctrl-C while class trainables run: they save themselves, the driver ends soon, the next one goes on."""

from __future__ import annotations

import signal
import time

import pytest

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, ExperimentFinished, Reported, TrialLaunched
from tunesmith.store.reader import JournalReader

from .observer import Driver, Observer

CONFIG = {"steps": 150, "seconds": 0.01, "grandchild": True}
OPTIONS = {"trainable": "Climb", "num_samples": 3, "config": CONFIG}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_saves_every_running_trial_and_the_next_session_redoes_nothing(tmp_path, number, capsys):
    took = []
    for turn in (1, 2):
        with Driver(tmp_path / "results", **OPTIONS) as driver:
            observer = Observer(driver.folder)
            before = observer.look()
            driver.until(lambda: observer.look() > before + 50)  # noqa: B023
            driver.signal(number)
            began = time.monotonic()
            assert driver.ends(within=10) == 0, driver.words()
            took.append(time.monotonic() - began)
            observer.look()
            observer.check(driver.said())
        assert "ended: interrupted" in driver.words()
        with JournalReader(driver.folder) as reader:
            ended = [event for event in observer.events if isinstance(event, AttemptEnded)]
            assert [(event.outcome, event.failure) for event in ended] == [("halted", None)] * 3 * turn
            for event in ended[-3:]:
                assert event.checkpoint is not None
                assert reader.folder.joinpath(event.checkpoint).is_dir()
        observer.close()
    with Driver(tmp_path / "results", **OPTIONS) as driver:
        assert driver.ends() == 0, driver.words()

    with JournalReader(driver.folder) as reader:
        for row in reader.trial_rows():
            assert row.status == "completed"
            events = reader.trial_events(row.id)
            assert [event.number for event in events if isinstance(event, Reported)] == list(range(1, 151))
            launched = [event.checkpoint for event in events if isinstance(event, TrialLaunched)]
            saved = [event.checkpoint for event in events if isinstance(event, AttemptEnded)]
            assert launched == [None, *saved[:-1]]
    assert max(took) < 5
    with capsys.disabled():
        print(f"\nfrom the signal to the driver's end: {max(took) * 1000:.0f} ms at most")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_second_signal_ends_at_once_what_does_not_listen_and_the_rest_stays_saved(tmp_path, number):
    config = {**CONFIG, "fault_at": 20, "every": 5}
    options = {**OPTIONS, "config": config, "faults": [None, "hang"], "num_samples": 1, "checkpoint_freq": 5}
    with Driver(tmp_path / "results", **options, grace_s=600) as driver:
        observer = Observer(driver.folder)
        driver.until(lambda: observer.look() > 60)  # the one hangs, the other does not
        driver.signal(number)
        driver.until(lambda: observer.look() and any(isinstance(event, AttemptEnded) for event in observer.events))
        assert driver.process.poll() is None  # it waits for the one that hangs
        driver.signal(number)
        began = time.monotonic()
        assert driver.ends(within=10) == 0, driver.words()
        took = time.monotonic() - began
        observer.look()
        observer.check(driver.said())
    observer.close()
    ended = {event.trial: event for event in observer.events if isinstance(event, AttemptEnded)}
    assert {trial: event.outcome for trial, event in ended.items()} == {0: "halted", 1: "killed"}
    assert isinstance(observer.events[-1], ExperimentFinished)
    assert took < 5  # [20 ms]

    with Driver(tmp_path / "results", **options) as driver:
        assert driver.ends() == 0, driver.words()
    results = tune.load(driver.folder)
    assert [str(trial.status) for trial in results] == ["completed"] * 2
    with JournalReader(driver.folder) as reader:
        launched = [event.checkpoint for event in reader.story(1) if isinstance(event, TrialLaunched)]
        assert launched == [None, "trials/00001/checkpoints/1-000015"]
        assert [result.number for result in reader.history(1)] == list(range(1, 151))

"""Population-based training through the deaths of workers and drivers: 8 trials on 2 slots."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.core.events import (
    AttemptStarted,
    CheckpointDropped,
    Event,
    Reported,
    SessionOpened,
    TrialExploited,
    TrialFailed,
    TrialLaunched,
)
from tunesmith.core.experiment import Experiment
from tunesmith.core.lineage import ancestry
from tunesmith.core.policy import Decided, Exploit
from tunesmith.store.reader import JournalReader

from . import observer, pbt_subject
from .observer import Driver, Observer
from .pbt_subject import STEPS, TRIALS


@pytest.mark.parametrize(("trainable", "synch"), [("descend", False), ("Descend", True), ("Descend", False)])
def test_no_clone_and_no_checkpoint_is_lost_when_workers_and_drivers_are_killed(
    tmp_path, monkeypatch, trainable, synch
):
    monkeypatch.setattr(observer, "SUBJECT", Path(pbt_subject.__file__))
    storage = tmp_path / "results"
    storage.mkdir()
    options = {"trainable": trainable, "synch": synch}
    seen = Observer(storage / "e")
    for more in (15, 25):
        with Driver(storage, **options) as driver:
            before = seen.look()
            driver.until(lambda: seen.look() > before + more)  # noqa: B023
            kill_a_worker(seen)
            driver.until(lambda: seen.look() > before + 2 * more)  # noqa: B023
            driver.kill()
    with Driver(storage, **options) as driver:
        assert driver.ends() == 0, driver.words()
    seen.look()
    seen.close()

    with JournalReader(storage / "e") as reader:
        events = [event for _, event in reader.events()]
    assert events[: len(seen.events)] == seen.events
    assert len([event for event in events if isinstance(event, SessionOpened)]) == 3
    assert any(isinstance(event, TrialExploited) for event in events)
    check_decisions(events, synch)
    check_checkpoints(events, storage / "e")
    check_trails(events, tune.load(storage / "e"))


def kill_a_worker(seen: Observer) -> None:
    """Kill the worker that was started last."""
    started = [event for event in seen.events if isinstance(event, AttemptStarted)]
    with contextlib.suppress(ProcessLookupError):  # it may have come to its end by itself
        os.kill(started[-1].pid, signal.SIGKILL)


def check_decisions(events: list[Event], synch: bool) -> None:
    """Check that a scheduler which knows only the journal would have made the same clones, across all sessions."""
    experiment, scheduler = Experiment(), pbt_subject.scheduler(synch)
    newest: dict[int, Reported] = {}
    for event in events:
        if isinstance(event, TrialExploited):
            if synch:
                choice = scheduler.choose(experiment)
                assert isinstance(choice, Decided)
                assert choice.trial == event.trial
                decision = choice.decision
            else:
                decision = scheduler.decide(newest[event.trial], experiment)
            assert decision == Exploit(event.source, event.config, event.reason)
            assert event.checkpoint == experiment.trials[event.source].checkpoint is not None
        experiment.apply(event)
        scheduler.observe(event, experiment)
        if isinstance(event, Reported):
            newest[event.trial] = event


def check_checkpoints(events: list[Event], folder: Path) -> None:
    """Check that each kept checkpoint is there, nothing else, and that none was ever found damaged or missing."""
    experiment = Experiment()
    for event in events:
        if isinstance(event, TrialLaunched) and event.checkpoint is not None:
            assert event.checkpoint in (experiment.trials[event.trial].checkpoints or {})
        assert not isinstance(event, CheckpointDropped) or not event.reason, event
        assert not isinstance(event, TrialFailed), event
        experiment.apply(event)
    kept = {name for trial in experiment.trials for name in trial.checkpoints or {}}
    there = {str(path.relative_to(folder)) for path in folder.glob("trials/*/checkpoints/*")}
    assert kept == there
    assert kept


def check_trails(events: list[Event], results: tune.Results) -> None:
    """Check that the population is complete, and that each model was trained by exactly what the lineage says."""
    assert len(results) == TRIALS
    for trial in results:
        assert trial.status == "completed"
        last = trial.last_metrics
        assert last["training_iteration"] == last["step"] == STEPS
        # One that was cloned at its last result had nothing left to do: it came to its end there.
        newest = max(at for at, event in enumerate(events) if isinstance(event, Reported) and event.trial == trial.id)
        steps = ancestry(events[:newest], trial.id)
        # Of each iteration's steps the last one that had begun before it.
        rates = [[one for one in steps if one.iteration < number][-1].config["lr"] for number in range(1, STEPS + 1)]
        assert last["trail"] == rates
        assert all(1e-3 <= rate <= 0.5 for rate in last["trail"])

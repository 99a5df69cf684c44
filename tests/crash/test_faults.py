"""What hurts one trial, or the agent, or hangs: the others go on, and the one goes on from its last checkpoint."""

from __future__ import annotations

import time
from pathlib import Path

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, TrialLaunched, TrialRequeued
from tunesmith.store.reader import JournalReader

from .observer import Driver, Observer, command_of

EVERY = 5
AT = 13
"""The step at which a trial suffers, and the checkpoint that it had then."""
HAD = 10
STEPS = 20
ALL = list(range(1, STEPS + 1))
CONFIG = {"steps": STEPS, "every": EVERY, "fault_at": AT}


def run(storage: Path, faults: list[str | None], **options) -> tune.Results:
    """Run one trial per fault to the end of the experiment, and check what holds for any."""
    config = {**CONFIG, **options.pop("config", {})}
    with Driver(storage, config=config, faults=faults, cpus=len(faults), **options) as driver:
        observer = Observer(driver.folder)
        while driver.process.poll() is None:
            observer.look()
            time.sleep(0.005)
        assert driver.ends() == 0, driver.words()
    observer.look()
    observer.look_at_files()
    observer.check(driver.said())
    observer.close()
    return tune.load(driver.folder)


def story(results: tune.Results, trial: int, kind: type) -> list:
    with JournalReader(results.folder) as reader:
        return [event for event in reader.story(trial) if isinstance(event, kind)]


def numbers(trial: tune.TrialResult) -> list[int]:
    return [row["training_iteration"] for row in trial.history]


FAULTS = {
    "kill": ("signal", "killed by SIGKILL"),
    "segv": ("signal", "killed by SIGSEGV"),
    "exit": ("exit", "exited with code 3"),
    "memory": ("out_of_memory", "MemoryError"),
    "raise": ("exception", "too steep"),
    "hang": ("hung", "has not reported for 2 s"),
}


def test_a_trial_that_suffers_is_retried_from_its_last_checkpoint_and_the_others_are_unhurt(tmp_path):
    options = {"max_failures": 1, "report_timeout_s": 2, "config": {"grandchild": True}}
    results = run(tmp_path / "results", [None, *FAULTS], **options)

    assert [str(trial.status) for trial in results] == ["completed"] * 7
    assert [numbers(trial) for trial in results] == [ALL] * 7
    assert [trial.attempts for trial in results] == [1, 2, 2, 2, 2, 2, 2]
    for trial, (kind, message) in enumerate(FAULTS.values(), start=1):
        [requeued] = story(results, trial, TrialRequeued)
        assert requeued.failure is not None
        assert (requeued.failure.kind, message in requeued.failure.message) == (kind, True), requeued
        assert story(results, trial, TrialLaunched)[1].checkpoint.endswith(f"checkpoints/1-{HAD:06d}")


def test_without_retries_a_trial_that_suffers_fails_with_its_reason_and_keeps_its_results(tmp_path):
    results = run(tmp_path / "results", [None, *FAULTS], report_timeout_s=2)

    assert [str(trial.status) for trial in results] == ["completed"] + ["failed"] * 6
    assert [numbers(trial) for trial in results] == [ALL] + [list(range(1, AT))] * 6
    assert [trial.error.kind for trial in results.errors] == [kind for kind, _ in FAULTS.values()]
    assert "subject.py" in results[4].error.where  # the user's own line
    for trial in results.errors:
        assert FAULTS[trial.config["fault"]][1] in (trial.folder / "error.txt").read_text()


def test_when_the_agent_is_killed_its_trials_go_on_from_their_checkpoints_and_nobody_has_failed(tmp_path):
    results = run(tmp_path / "results", [None, "kill agent", None], max_failures=0)

    assert [str(trial.status) for trial in results] == ["completed"] * 3
    assert [numbers(trial) for trial in results] == [ALL] * 3
    for trial in range(3):
        lost, done = story(results, trial, AttemptEnded)
        assert (lost.outcome, done.outcome) == ("lost", "done")
        [requeued] = story(results, trial, TrialRequeued)
        assert requeued.failure is None
        assert "agent process ended with code -9" in requeued.reason
    assert [story(results, 1, TrialLaunched)[1].checkpoint] == [f"trials/00001/checkpoints/1-{HAD:06d}"]


def test_a_hung_trial_is_ended_and_its_slot_goes_to_the_next_one(tmp_path):
    results = run(tmp_path / "results", ["hang", None, None], max_concurrent_trials=1, report_timeout_s=1)

    assert [str(trial.status) for trial in results] == ["failed", "completed", "completed"]
    assert results[0].error.kind == "hung"
    ended = story(results, 0, AttemptEnded)[0].at
    assert 0 <= story(results, 1, TrialLaunched)[0].at - ended < 0.5


def test_what_a_trial_has_started_ends_with_its_attempt_while_the_experiment_goes_on(tmp_path):
    config = {**CONFIG, "grandchild": True}
    options = {"faults": ["kill", None], "config": config, "max_concurrent_trials": 1, "max_failures": 0}
    with Driver(tmp_path / "results", **options) as driver:
        observer = Observer(driver.folder)
        driver.until(lambda: observer.look() > AT)  # the second trial runs

        sleepers = [pid for pid in driver.processes() if "sleep" in command_of(pid)]
        assert len(sleepers) == 1  # its own
        assert driver.ends() == 0
    observer.close()

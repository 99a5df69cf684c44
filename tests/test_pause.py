"""What becomes of a trial that pauses, with real processes: by default its process ends; with pause="hold" it waits."""

import os
import signal
import time
import warnings
from pathlib import Path

import psutil
import pytest

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, TrialContinued, TrialLaunched, TrialPaused
from tunesmith.core.policy import WAIT, Decided, Exploit
from tunesmith.store.reader import JournalReader


class Turns(tune.Scheduler):
    """Pauses each trial once, after its second result; by default new trials go first, then who waits longest."""

    def decide(self, result, experiment):
        has_paused = "TrialPaused" in experiment.trials[result.trial].story
        return tune.Continue() if has_paused or result.number != 2 else tune.Pause("its turn is over")


def run(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "cpus": 1, "verbose": 0, "seed": 7, "scheduler": Turns(),
                "space": {"number": tune.grid_search([0, 1]), "folder": str(tmp_path)}}  # fmt: skip
    return tune.run(trainable, **{**defaults, **arguments})


def events(tmp_path, *kinds):
    with JournalReader(tmp_path / "e") as reader:
        return [event for _, event in reader.events() if isinstance(event, kinds)]


def order(tmp_path):
    kinds = (TrialLaunched, TrialPaused, TrialContinued)
    return [(type(event).__name__.removeprefix("Trial"), event.trial) for event in events(tmp_path, *kinds)]


def counts(config):
    """Four results; what it knows is only in its own memory."""
    state = [0]
    for _ in range(4):
        state[0] += 1
        tune.report({"state": state[0], "pid": os.getpid()})


def remembers(config):
    """The same with checkpoints."""
    folder = tune.get_context().trial_folder
    checkpoint = tune.get_checkpoint()
    state = int((checkpoint / "state").read_text()) if checkpoint else 0
    for _ in range(4 - state):
        state += 1
        (folder / "saved").mkdir(exist_ok=True)
        (folder / "saved" / "state").write_text(str(state))
        tune.report({"state": state}, checkpoint=folder / "saved")


class Counts(tune.Trainable):
    def setup(self, config):
        self.state = 0

    def step(self):
        self.state += 1
        return {"state": self.state, "pid": os.getpid(), "done": self.state == 4}

    def save_checkpoint(self, folder):
        Path(folder, "state").write_text(str(self.state))

    def load_checkpoint(self, folder):
        self.state = int(Path(folder, "state").read_text())


def states(results):
    return [[row["state"] for row in trial.history] for trial in results]


# Held.


def test_a_held_process_goes_on_where_it_stood_and_its_resources_are_free_meanwhile(tmp_path):
    results = run(tmp_path, counts, pause="hold")

    assert [(trial.status, trial.attempts) for trial in results] == [("completed", 1)] * 2
    assert states(results) == [[1, 2, 3, 4]] * 2
    assert all(len({row["pid"] for row in trial.history}) == 1 for trial in results)
    assert order(tmp_path) == [
        ("Launched", 0), ("Paused", 0), ("Launched", 1), ("Paused", 1), ("Continued", 0), ("Continued", 1),
    ]  # fmt: skip
    assert all(event.held for event in events(tmp_path, TrialPaused))


class StopsTheFirst(Turns):
    """Stops the paused first trial as soon as the second one has a result."""

    def choose(self, experiment):
        if 0 in experiment.paused and len(experiment.trials) > 1 and experiment.trials[1].last is not None:
            return Decided(0, tune.Stop("the second is better"))
        return super().choose(experiment)


def leaves_a_note(config):
    try:
        counts(config)
    finally:
        Path(config["folder"], f"ended-{config['number']}").touch()


def test_a_held_trial_that_is_stopped_ends_cleanly(tmp_path):
    results = run(tmp_path, leaves_a_note, pause="hold", scheduler=StopsTheFirst())

    assert [(trial.status, trial.attempts) for trial in results] == [("stopped", 1), ("completed", 1)]
    assert results[0].reason == "the second is better"
    assert sorted(path.name for path in tmp_path.glob("ended-*")) == ["ended-0", "ended-1"]
    assert {event.outcome for event in events(tmp_path, AttemptEnded)} == {"halted", "done"}


def kills_the_first(config):
    pid = Path(config["folder"], "pid")
    if config["number"] == 0:
        pid.write_text(str(os.getpid()))
    else:
        first = int(pid.read_text())
        os.kill(first, signal.SIGKILL)
        while psutil.pid_exists(
            first
        ):  # until the agent has buried it: else it might be told to go on, and be lost then
            time.sleep(0.001)
    counts(config)


def test_a_held_process_that_is_killed_is_made_anew(tmp_path):
    with pytest.warns(RuntimeWarning, match="trial 0 goes on after a pause, but from its beginning"):
        results = run(tmp_path, kills_the_first, pause="hold")

    assert [(trial.status, trial.attempts) for trial in results] == [("completed", 2), ("completed", 1)]
    assert states(results) == [[1, 2, 3, 4]] * 2
    assert events(tmp_path, AttemptEnded)[0].outcome == "lost"


class NeverAgain(Turns):
    """Lets no paused trial go on."""

    def choose(self, experiment):
        return tune.New() if experiment.has_more_to_come else WAIT

    def unblock(self, experiment):
        return WAIT


@pytest.mark.parametrize("reuse_workers", [False, True])
def test_no_held_process_survives_the_end_of_the_run(tmp_path, reuse_workers):
    results = run(tmp_path, counts, pause="hold", scheduler=NeverAgain(), reuse_workers=reuse_workers)

    assert [trial.status for trial in results] == ["paused", "paused"]
    assert results.finished.reason == "stuck"
    assert len({row["pid"] for trial in results for row in trial.history}) == 2
    assert not any(psutil.pid_exists(row["pid"]) for trial in results for row in trial.history)

    with pytest.warns(RuntimeWarning, match="from its beginning"):
        again = run(tmp_path, counts, pause="hold", resume=True)
    assert [(trial.status, trial.attempts) for trial in again] == [("completed", 2)] * 2
    assert states(again) == [[1, 2, 3, 4]] * 2


def takes_its_time(config):
    for step in range(1, 4):
        if config["number"] and step == 3:
            time.sleep(1.1)
        tune.report({"step": step})


def test_held_time_counts_for_no_limit(tmp_path):
    space = {"number": tune.grid_search([0, 1, 2, 3])}
    limits = {"trial_time_limit_s": 3.0, "report_timeout_s": 3.0}
    results = run(tmp_path, takes_its_time, pause="hold", space=space, scheduler=FirstIsLast(), **limits)

    assert [(trial.status, trial.attempts) for trial in results] == [("completed", 1)] * 4
    continued = next(event.at for event in events(tmp_path, TrialContinued) if event.trial == 0)
    assert continued - events(tmp_path, TrialPaused)[0].at > 3.0
    assert results[0].elapsed < 1


class FirstIsLast(Turns):
    """Pauses the first trial only, and lets it go on when all others are over."""

    def decide(self, result, experiment):
        return super().decide(result, experiment) if result.trial == 0 else tune.Continue()


def test_only_an_executor_with_processes_can_hold_them(tmp_path):
    with pytest.raises(tune.ConfigError, match="pause='hold' keeps the processes of paused trials, and InlineExecutor"):
        run(tmp_path, counts, pause="hold", executor="inline", cpus=None)
    with pytest.raises(tune.ConfigError, match="pause='wait': give one of 'end', 'hold'"):
        run(tmp_path, counts, pause="wait")


# Ended.


@pytest.mark.parametrize("executor", ["local", "inline"])
def test_a_function_without_checkpoints_repeats_its_steps_after_a_pause_with_one_warning(tmp_path, executor):
    cpus = 1 if executor == "local" else None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = run(tmp_path, counts, executor=executor, cpus=cpus)

    assert [(trial.status, trial.attempts) for trial in results] == [("completed", 2)] * 2
    assert states(results) == [[1, 2, 3, 4]] * 2
    said = [str(warning.message) for warning in caught]
    assert len(said) == 1
    assert said[0].startswith("trial 0 goes on after a pause, but from its beginning: it has no checkpoint, and")
    assert "repeats 2 results. Report checkpoints, tune.report(..., checkpoint=folder)" in said[0]
    assert "pause='hold'" in said[0]


@pytest.mark.parametrize("trainable", [remembers, Counts])
def test_with_checkpoints_a_trial_goes_on_after_a_pause(tmp_path, trainable):
    results = run(tmp_path, trainable)

    assert [(trial.status, trial.attempts) for trial in results] == [("completed", 2)] * 2
    assert states(results) == [[1, 2, 3, 4]] * 2
    assert [trial._row.results for trial in results] == [4, 4]
    second = [event.checkpoint for event in events(tmp_path, TrialLaunched)][2:]
    assert [Path(checkpoint).name for checkpoint in second] == ["1-000002"] * 2


class ClonesTheFirst(tune.Scheduler):
    """After its second result the second trial becomes a clone of the first, which waits in a pause until then."""

    saves_when_waiting = True

    def lease(self, trial, experiment):
        return 2 if trial.number < 2 else float("inf")

    def decide(self, result, experiment):
        if result.trial == 0:
            return tune.Pause("waits for the other")
        return Exploit(0, {**experiment.trials[1].config, "cloned": True}, "the first is better")


class CountsByHundreds(Counts):
    def setup(self, config):
        self.state = 0 if config["number"] else 100


def test_a_class_is_saved_before_an_exploit_and_its_clone_goes_on_from_there(tmp_path):
    results = run(tmp_path, CountsByHundreds, scheduler=ClonesTheFirst(), stop={"training_iteration": 4})

    assert [trial.status for trial in results] == ["completed", "completed"]
    assert [row["state"] for row in results[1].history] == [1, 2, 103, 104]
    assert results[1].config["cloned"]
    started_from = [event.checkpoint for event in events(tmp_path, TrialLaunched) if event.trial == 1]
    assert started_from == [None, "trials/00000/checkpoints/1-000002"]


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        ({"checkpoint_freq": 1}, ["1-000004"]),
        ({"checkpoint_freq": 1, "mode": "min"}, ["1-000001", "1-000004"]),
        ({"checkpoint_freq": 2, "num_to_keep": 9}, ["1-000002", "1-000004"]),
        ({"checkpoint_at_end": True}, ["1-000004"]),
        ({"checkpoint_freq": 3, "checkpoint_at_end": True, "num_to_keep": 9}, ["1-000003", "1-000004"]),
        ({"checkpoint_freq": 1, "num_to_keep": 1}, ["1-000004"]),
        ({"checkpoint_freq": 1, "num_to_keep": 3}, ["1-000002", "1-000003", "1-000004"]),
        ({"checkpoint_freq": 1, "num_to_keep": 2, "checkpoint_score_attr": "min-state"}, ["1-000001", "1-000002",
                                                                                         "1-000004"]),
        ({"checkpoint_freq": 1, "num_to_keep": 1, "checkpoint_score_attr": "state", "checkpoint_score_order": "min"},
         ["1-000001", "1-000004"]),
        ({"checkpoint_freq": 1, "max_checkpoint_bytes": 2}, ["1-000004"]),
    ],
)  # fmt: skip
def test_a_class_is_saved_when_asked_and_what_is_asked_for_is_kept(tmp_path, arguments, kept):
    results = run(tmp_path, Counts, scheduler="fifo", space={}, **{"metric": "state", "mode": "max", **arguments})

    assert sorted(path.name for path in (results[0].folder / "checkpoints").iterdir()) == kept
    assert Path(results[0].checkpoint).name == (kept[0] if "mode" in arguments else kept[-1])

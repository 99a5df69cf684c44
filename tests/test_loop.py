"""The loop: what user code around it may do wrong, signals, and requests from other processes."""

import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

import tunesmith as tune
from tunesmith.api import run
from tunesmith.store.requests import StopRequest, write_request


def loop(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "executor": "inline", "verbose": 0, "seed": 7}
    return run(trainable, **{**defaults, **arguments})


def steps(config):
    for step in range(1, 6):
        tune.report({"step": step})


# Callbacks.


@pytest.mark.parametrize("method", ["open", "handle", "flush", "close"])
def test_a_callback_that_raises_does_not_end_the_run(tmp_path, capsys, method):
    class Broken(tune.Callback):
        def handle(self, events, experiment):
            pass

    def broken(self, *arguments):
        raise ValueError("broken callback")

    setattr(Broken, method, broken)
    seen = []

    class Healthy(tune.Callback):
        def handle(self, events, experiment):
            seen.extend(events)

    results = loop(tmp_path, steps, num_samples=3, callbacks=[Broken(), Healthy()])

    assert [trial.status for trial in results] == ["completed"] * 3
    assert len(seen) > 20
    assert capsys.readouterr().err.count("Broken failed and is left out from now on:") == 1


def test_callbacks_see_every_event_after_it_was_journaled(tmp_path):
    missing = []

    class Checking(tune.Callback):
        def handle(self, events, experiment):
            written = len(tune.load(tmp_path / "e")[0].history) if experiment.trials else 0
            missing.append(experiment.results - written)

    loop(tmp_path, steps, callbacks=[Checking()], scheduler=EachResult())

    assert max(missing) == 0


class EachResult(tune.Scheduler):
    """Decides at each result."""

    def decide(self, result, experiment):
        return tune.Continue()


# Policies that raise, in the middle of a run.


class RaisesAt(tune.Searcher):
    def __init__(self, number):
        self.number = number

    def suggest(self, count, experiment):
        if experiment.next_number >= self.number:
            raise KeyError("a searcher's own mistake")
        return [{"x": experiment.next_number}]


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_searcher_that_raises_ends_the_run_with_its_error_and_the_journal_whole(tmp_path, executor):
    with pytest.raises(KeyError, match="a searcher's own mistake"):
        loop(tmp_path, steps, searcher=RaisesAt(2), num_samples=4, executor=executor, max_concurrent_trials=1)

    results = tune.load(tmp_path / "e")
    assert [trial.status for trial in results] == ["completed", "completed"]
    assert [len(trial.history) for trial in results] == [5, 5]
    gone_on = loop(tmp_path, steps, searcher=RaisesAt(9), num_samples=4, resume=True)
    assert [trial.status for trial in gone_on] == ["completed"] * 4


def test_a_lambda_of_the_space_that_raises_later_ends_the_run_with_its_place(tmp_path):
    def fails_later(spec):
        calls.append(1)
        return 1 / (8 - len(calls))

    calls = []
    with pytest.raises(tune.SpaceError, match=r"space\['x'\]: its function failed for trial \d: ZeroDivisionError"):
        loop(tmp_path, steps, space={"x": tune.sample_from(fails_later)}, num_samples=9)

    assert {trial.status.value for trial in tune.load(tmp_path / "e")} == {"completed"}


class RaisesInDecide(tune.Scheduler):
    def decide(self, result, experiment):
        raise ZeroDivisionError("a scheduler's own mistake")


class DecidesNonsense(tune.Scheduler):
    def decide(self, result, experiment):
        return "STOP"


@pytest.mark.parametrize("executor", ["inline", "local"])
@pytest.mark.parametrize(
    ("scheduler", "kind", "message"),
    [
        (RaisesInDecide(), ZeroDivisionError, "a scheduler's own mistake"),
        (DecidesNonsense(), tune.TuneError, r"DecidesNonsense.decide returned 'STOP'. Return Continue\(\), Pause"),
    ],
    ids=["raises", "nonsense"],
)
def test_a_scheduler_that_is_wrong_ends_the_run_with_its_error(tmp_path, executor, scheduler, kind, message):
    with pytest.raises(kind, match=message):
        loop(tmp_path, steps, scheduler=scheduler, executor=executor)

    assert children() == []
    results = loop(tmp_path, steps, resume=True)
    assert [trial.status for trial in results] == ["completed"]


def test_a_stop_rule_that_raises_ends_the_run_with_its_error(tmp_path):
    with pytest.raises(KeyError, match="no_such_metric"):
        loop(tmp_path, steps, stop=lambda trial, result: result["no_such_metric"] > 3)

    assert [trial.status for trial in loop(tmp_path, steps, resume=True)] == ["completed"]


def children():
    return [child for child in psutil.Process().children(recursive=True) if child.status() != psutil.STATUS_ZOMBIE]


class Worries(tune.Scheduler):
    def __init__(self):
        self.seen = 0

    def observe(self, event, experiment):
        self.seen += 1

    @property
    def warnings(self):
        return ["something is odd"] if self.seen > 3 else []

    def decide(self, result, experiment):
        return tune.Continue()


def test_what_a_policy_warns_of_is_said_once(tmp_path, capfd):
    loop(tmp_path, steps, scheduler=Worries())

    assert capfd.readouterr().err.count("tunesmith: Worries: something is odd") == 1


# Stop rules of every kind.


class EachFourth(tune.Stopper):
    every_result = True

    def stop_trial(self, result, experiment):
        return "its fourth" if result.number == 4 else None


class InRaysForm:
    def __call__(self, trial_id, result):
        return result["step"] >= 3

    def stop_all(self):
        return False


STOP_RULES = {
    "a dict": ({"step": 3}, [3, 3]),
    "a dict with an automatic field": ({"training_iteration": 2}, [2, 2]),
    "a function": (lambda trial, result: result["step"] >= trial + 2, [2, 3]),
    "an object in Ray's form": (InRaysForm(), [3, 3]),
    "a Stopper": (EachFourth(), [4, 4]),
    "a list": ([{"step": 4}, tune.MaximumIterationStopper(2)], [2, 2]),
    "nothing": ({}, [5, 5]),
    "a plateau of the trial": (tune.TrialPlateauStopper("constant", num_results=2, grace_period=3), [3, 3]),
}


@pytest.mark.parametrize(("stop", "counts"), STOP_RULES.values(), ids=STOP_RULES)
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_stop_rules_of_every_kind_stop_where_they_say(tmp_path, stop, counts, executor):
    def train(config):
        for step in range(1, 6):
            tune.report({"step": step, "constant": 1.0})

    results = loop(tmp_path, train, num_samples=2, stop=stop, executor=executor, max_concurrent_trials=1)

    assert [len(trial.history) for trial in results] == counts
    assert all(bool(trial.reason) is (len(trial.history) < 5) for trial in results)


@pytest.mark.parametrize(
    ("stop", "message"),
    [
        (tune.ExperimentPlateauStopper("constant", top=3), "the 3 best values of constant are alike"),
        (tune.TargetStopper("step", 4), "trial 0 has step = 4; the target is 4"),
    ],
    ids=["a plateau", "a target"],
)
@pytest.mark.parametrize("executor", ["inline", "local"])
def test_a_rule_for_everything_stops_everything(tmp_path, stop, message, executor):
    def train(config):
        for step in range(1, 100_000):
            tune.report({"step": step, "constant": 1.0})

    results = loop(tmp_path, train, num_samples=2, stop=stop, executor=executor, max_concurrent_trials=1)

    assert len(results) == 1
    assert 3 <= len(results[0].history) < 99_999
    assert results.finished.reason == "stopped"
    assert results.finished.message.startswith(message)


def test_a_timeout_stops_everything(tmp_path):
    def train(config):
        while True:
            time.sleep(0.01)
            tune.report({"x": 1})

    results = loop(tmp_path, train, stop=tune.TimeoutStopper(0.5), num_samples=-1)

    assert results.finished.reason == "stopped"
    assert results.finished.message == "the timeout of 0.5 s is over"


# Requests from other processes, and threads.


def test_another_process_may_stop_a_trial_and_then_everything(tmp_path):
    folder = tmp_path / "e"

    def train(config):
        for step in range(100_000):
            if step == 1:
                trial = 0 if config["x"] == 0 else None
                write_request(folder, StopRequest(trial=trial, reason=f"enough of {trial}"))
            time.sleep(0.01)
            tune.report({"step": step})

    results = loop(tmp_path, train, space={"x": tune.grid_search([0, 1])})

    assert (results[0].status, results[0].reason) == ("stopped", "enough of 0")
    assert results.finished.reason == "interrupted"
    assert "enough of None" in results.finished.message


def test_it_runs_in_a_thread_too(tmp_path):
    found = []
    thread = threading.Thread(target=lambda: found.append(loop(tmp_path, steps, executor="local")))
    thread.start()
    thread.join(60)

    assert found[0][0].status == "completed"


# Signals.

SIGNALLED = """
import os, sys, time
import tunesmith as tune

def train(config):
    checkpoint = tune.get_checkpoint()
    first = int(open(checkpoint).read()) + 1 if checkpoint else 1
    file = tune.get_context().trial_folder / "step"
    for step in range(first, first + 1000):
        file.write_text(str(step))
        tune.report({"step": step}, checkpoint=file)
        if config["stubborn"] == config["some_stubborn"]:
            (tune.get_context().trial_folder.parents[1] / "running").touch()
        try:
            time.sleep(0.01 if not config["stubborn"] else 600)
        except BaseException:
            if config["stubborn"]:
                time.sleep(600)
            raise

some_stubborn = sys.argv[1] == "stubborn"
space = {"stubborn": tune.grid_search([False, some_stubborn]), "some_stubborn": some_stubborn}
results = tune.run(train, space=space, name="e", resume="auto", grace_s=60, cpus=2)
print(results.finished.reason, *[trial.status.value for trial in results])
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "script.py").write_text(SIGNALLED)
    started = []

    def start(*arguments):
        (tmp_path / "results" / "e" / "running").unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "script.py", *arguments],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        deadline = time.monotonic() + 60
        while not (tmp_path / "results" / "e" / "running").exists():
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.02)
        return process, psutil.Process(process.pid).children(recursive=True)

    yield start
    for process in started:
        process.kill()
        with process:  # waits, and closes its pipes
            pass


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_the_session_cleanly_and_says_how_to_go_on(tmp_path, script, sent):
    process, workers = script("willing")
    process.send_signal(sent)
    output, errors = process.communicate(timeout=30)

    assert output == "interrupted paused paused\n"
    assert f"interrupted by {'Ctrl-C' if sent == signal.SIGINT else 'SIGTERM'}" in errors
    assert "tunesmith resume results/e" in errors
    assert "Traceback" not in errors
    assert not any(worker.is_running() for worker in workers)
    before = [trial.history[-1]["step"] for trial in tune.load(tmp_path / "results" / "e")]

    process, _ = script("willing")
    process.send_signal(sent)
    process.communicate(timeout=30)
    histories = [trial.history for trial in tune.load(tmp_path / "results" / "e")]
    for history, reached in zip(histories, before, strict=True):
        assert [row["step"] for row in history] == list(range(1, len(history) + 1))
        assert len(history) >= reached


def test_a_second_ctrl_c_does_not_wait_for_a_stubborn_trial(tmp_path, script):
    process, workers = script("stubborn")
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    output, _ = process.communicate(timeout=30)

    assert time.monotonic() - began < 10
    assert output.startswith("interrupted ")
    assert not any(worker.is_running() for worker in workers)


def test_no_worker_outlives_a_killed_driver(script):
    process, workers = script("stubborn")
    assert workers
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    _, alive = psutil.wait_procs(workers, timeout=5)
    assert alive == []


def test_signals_are_given_back_to_their_owners(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    loop(tmp_path, steps)

    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before

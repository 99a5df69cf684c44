"""Attempts in processes that an engine owns; the engine is the test's own."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, Node
from tunesmith.executors.nodes import NodeExecutor
from tunesmith.store.reader import JournalReader

CODE = "import sys; sys.path[:] = {paths!r}; from tunesmith.worker.hosted import serve; print(serve{arguments!r})"


class OneHost(NodeExecutor):
    """One process at a time, which runs all trials, and another one once it is gone."""

    def __init__(self):
        super().__init__()
        self.hosts = []

    def _connect(self, job):
        self._order(Node("host", {"cpu": 1}), self._begin)

    def _make_up(self):
        self._order(Node("host", {"cpu": 1}), self._begin)

    def _begin(self, call):
        arguments = (list(call.addresses), call.port, call.key, call.name, list(call.paths))
        command = [sys.executable, "-c", CODE.format(paths=sys.path, arguments=arguments)]
        self.hosts.append(subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True))
        return self.hosts[-1]

    def _look(self):
        pass

    def _waiting(self, handle):
        return ""

    def _dismiss(self, handle):
        handle.kill()


@pytest.fixture
def executor():
    made = OneHost()
    yield made
    for host in made.hosts:
        host.kill()
        host.communicate()


def run(tmp_path, executor, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "seed": 1, "reuse_workers": True}
    return tune.run(trainable, executor=executor, **{**defaults, **arguments})


def is_gone(pid):
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def ends(tmp_path):
    with JournalReader(tmp_path / "e") as reader:
        return [event for _, event in reader.events() if isinstance(event, AttemptEnded)]


def test_the_engines_own_process_runs_the_trials(executor, tmp_path):
    def train(config):
        print("said by", tune.get_context().trial_id)
        for step in range(3):
            tune.report({"step": step, "pid": os.getpid()})

    results = run(tmp_path, executor, train, num_samples=3)

    assert {trial.history[-1]["pid"] for trial in results} == {executor.hosts[0].pid}
    assert [len(trial.history) for trial in results] == [3] * 3
    assert [(tmp_path / "e" / "trials" / f"0000{n}" / "stdout").read_text() for n in range(3)] == [
        f"said by {n}\n" for n in range(3)
    ]


def test_the_process_goes_on_after_an_exception(executor, tmp_path):
    def train(config):
        if config["x"] == 0:
            raise ValueError("no such thing")
        return {"pid": os.getpid()}

    results = run(tmp_path, executor, train, space={"x": tune.grid_search([0, 1])}, fail_fast=False)

    assert [trial.status for trial in results] == ["failed", "completed"]
    assert "no such thing" in results[0].error.traceback
    assert results[1].history[-1]["pid"] == executor.hosts[0].pid


def test_a_trial_that_takes_too_long_is_ended_with_its_children(executor, tmp_path):
    def train(config):
        child = subprocess.Popen(["sleep", "600"])
        tune.report({"child": child.pid})
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(600)

    results = run(tmp_path, executor, train, trial_time_limit_s=1, grace_s=0.2)

    assert results[0].error.kind == "time_limit"
    assert [event.outcome for event in ends(tmp_path)] == ["killed"]
    assert is_gone(results[0].history[0]["child"])


def test_an_attempt_whose_process_dies_is_lost_and_what_it_reported_is_not(executor, tmp_path):
    def train(config):
        tune.report({"step": 1})
        if tune.get_context().attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    results = run(tmp_path, executor, train)

    assert [event.outcome for event in ends(tmp_path)] == ["lost", "done"]
    assert len(executor.hosts) >= 2
    assert results[0].status == "completed"
    assert results[0].history[-1]["step"] == 1


def test_a_trial_that_is_told_to_end_by_others_is_lost(executor, tmp_path):
    def train(config):
        if tune.get_context().attempt == 1:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(600)

    run(tmp_path, executor, train)

    assert [event.outcome for event in ends(tmp_path)] == ["lost", "done"]

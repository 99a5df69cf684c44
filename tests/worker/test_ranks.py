"""A trial whose code runs in several processes: one relay, one end. The launcher here is plain multiprocessing."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.executors.by_value import pickled
from tunesmith.worker.ranks import Relay, be_rank
from tunesmith.worker.session import running

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the ranks are forked")


class Ranks:
    """Runs a function in two forked processes."""

    def __init__(self, train):
        self.train = train

    def __call__(self, config):
        session = running("Ranks")
        job = dataclasses.replace(session.job, trainable=self.train)
        order = pickled((job, session.assignment), buffer_callback=lambda buffer: True)
        relay = Relay(session, 2, 30.0)

        def work(rank):
            os.environ["RANK"] = str(rank)
            os._exit(0 if be_rank(relay.address, rank, order).outcome == "done" else 1)

        def launch():
            processes = [multiprocessing.get_context("fork").Process(target=work, args=(rank,)) for rank in range(2)]
            for process in processes:
                process.start()
            for process in processes:
                process.join()
            return {}

        relay.run(launch)


def run(tmp_path, train, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "fail_fast": False, "cpus": 1}
    return tune.run(Ranks(train), **{**defaults, **arguments})[0]


def is_first():
    return os.environ["RANK"] == "0"


def test_what_rank_0_reports_is_the_trials_and_what_others_report_is_left_out(tmp_path):
    def train(config):
        for step in range(3):
            tune.report({"step": step, "first": is_first()})

    assert [(row["step"], row["first"]) for row in run(tmp_path, train).history] == [(0, True), (1, True), (2, True)]


def test_checkpoints_are_rank_0s_and_all_ranks_start_from_them(tmp_path):
    def train(config):
        checkpoint = tune.get_checkpoint()
        begin = int(Path(checkpoint.path).read_text()) if checkpoint else 0
        file = tmp_path / f"own-{os.environ['RANK']}"
        (tmp_path / f"begin-{os.environ['RANK']}").write_text(str(begin))
        other = tmp_path / f"begin-{int(is_first())}"
        while begin and not (other.exists() and other.read_text() == str(begin)):
            time.sleep(0.01)  # with the next checkpoint this one goes; training in step waits for each other too
        for step in range(begin + 1, 4):
            file.write_text(str(step if is_first() else 99))
            tune.report({"step": step}, checkpoint=file)
            if step == 2 and is_first() and not begin:
                raise OSError("once")

    trial = run(tmp_path, train, max_failures=1)

    assert [row["step"] for row in trial.history] == [1, 2, 3]
    assert [(tmp_path / f"begin-{rank}").read_text() for rank in range(2)] == ["2", "2"]


def test_a_verdict_for_rank_0_ends_the_others_wherever_they_are(tmp_path):
    def train(config):
        try:
            while True:
                if is_first():
                    tune.report({"loss": 1})
                else:
                    (tmp_path / "other").touch()
                    time.sleep(600)
        finally:
            (tmp_path / f"cleaned-{os.environ['RANK']}").touch()

    began = time.monotonic()
    trial = run(tmp_path, train, stop={"training_iteration": 5})

    assert (trial.status, len(trial.history)) == ("completed", 5)
    assert time.monotonic() - began < 25  # before anybody is killed
    assert (tmp_path / "cleaned-0").exists()
    assert (tmp_path / "cleaned-1").exists() == (tmp_path / "other").exists()


@pytest.mark.parametrize("culprit", [0, 1])
def test_the_rank_that_fails_is_named_with_its_own_traceback_and_the_others_end(tmp_path, culprit):
    def train(config):
        if os.environ["RANK"] == str(culprit):
            raise ValueError("the data are odd")
        time.sleep(600)

    trial = run(tmp_path, train)

    assert trial.error.message == f"ValueError: the data are odd (in rank {culprit} of 2)"
    assert "in train" in trial.error.where
    assert 'raise ValueError("the data are odd")' in trial.error.traceback
    assert f"in rank {culprit} of 2" in (trial.folder / "error.txt").read_text()


@pytest.mark.parametrize(
    ("end", "kind", "message"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal", "rank 1 of 2 was killed by SIGKILL"),
        (lambda: os._exit(3), "exit", "rank 1 of 2 ended with exit code 3"),
    ],
)
def test_a_rank_that_dies_without_a_word_fails_the_trial_by_its_end(tmp_path, end, kind, message):
    def train(config):
        if is_first():
            time.sleep(600)
        end()

    trial = run(tmp_path, train)

    assert (trial.error.kind, trial.error.message.partition(" (")[0]) == (kind, message)


def test_a_result_that_says_done_ends_all_ranks(tmp_path):
    def train(config):
        if is_first():
            tune.report({"loss": 1, "done": True})
        time.sleep(600)

    assert run(tmp_path, train).status == "completed"


def test_a_launcher_that_fails_fails_the_trial_with_its_error(tmp_path):
    class Failing(Ranks):
        def __call__(self, config):
            def launch():
                raise OSError("no port")

            Relay(running("Ranks"), 2, 1.0).run(launch)

    trial = tune.run(Failing(print), name="e", storage_path=tmp_path, verbose=0, fail_fast=False, cpus=1)[0]

    assert "no port" in trial.error.message

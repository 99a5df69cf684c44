"""Trials that are torch distributed: several processes, one trial."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError

torch = pytest.importorskip("torch")
import torch.distributed as dist  # noqa: E402  only where torch is installed

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]


def run(tmp_path, train, *, workers=2, executor=None, torch_arguments=None, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "seed": 1, "fail_fast": False}
    trainable = tune.TorchTrainable(train, workers=workers, **(torch_arguments or {}))
    executor = executor or tune.LocalExecutor(cpus=workers)
    return tune.run(trainable, executor=executor, **{**defaults, **arguments})


def total(value):
    tensor = torch.tensor(float(value))
    dist.all_reduce(tensor)
    return tensor.item()


def gone(pids):
    until = time.monotonic() + 20
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(psutil.pid_exists, pids))


@pytest.mark.parametrize("start_method", ["fork", "spawn"])
def test_the_function_runs_in_each_worker_in_one_process_group_and_rank_0_reports(tmp_path, start_method):
    def train(config):
        ranks = total(10 ** dist.get_rank())
        tune.report({"ranks": ranks, "mine": dist.get_rank(), "x": config["x"], "pid": os.getpid()})

    results = run(
        tmp_path, train, space={"x": tune.grid_search([1, 2])}, torch_arguments={"start_method": start_method}
    )

    rows = [trial.history for trial in results]
    assert [[(row["ranks"], row["mine"], row["x"]) for row in history] for history in rows] == [
        [(11.0, 0, 1)],
        [(11.0, 0, 2)],
    ]
    assert gone([history[0]["pid"] for history in rows])


def test_a_trial_asks_for_a_bundle_per_worker_on_one_machine(tmp_path):
    def train(config):
        context = tune.get_context()
        return {"bundles": len(context.bundles), "threads": torch.get_num_threads(), "trial": context.trial_id}

    results = run(
        tmp_path,
        train,
        executor=tune.LocalExecutor(cpus=4),
        torch_arguments={"resources_per_worker": {"cpu": 2}},
        num_samples=2,
    )

    assert [trial.history[-1]["bundles"] for trial in results] == [2, 2]
    assert [trial.history[-1]["trial"] for trial in results] == [0, 1]


def test_a_scheduler_stops_all_ranks_at_once(tmp_path):
    def train(config):
        for step in range(1000):
            total(step)
            try:
                tune.report({"loss": config["x"], "pids": [os.getpid()], "rank": dist.get_rank()})
            finally:
                (tmp_path / f"step-{config['x']}-{dist.get_rank()}").write_text(f"{step} {os.getpid()}")

    began = time.monotonic()
    results = run(
        tmp_path,
        train,
        space={"x": tune.grid_search([1, 2])},
        stop={"training_iteration": 20},
        torch_arguments={"grace_s": 60},
    )

    assert time.monotonic() - began < 40
    assert [trial.status for trial in results] == ["completed"] * 2
    assert [len(trial.history) for trial in results] == [20, 20]
    for x in (1, 2):
        steps = [(tmp_path / f"step-{x}-{rank}").read_text().split() for rank in range(2)]
        assert steps[0][0] == "19"
        assert int(steps[1][0]) in (19, 20)
        assert gone([int(pid) for _, pid in steps])


def test_a_rank_that_sleeps_is_ended_by_the_verdict_too(tmp_path):
    def train(config):
        if dist.get_rank() == 1:
            time.sleep(600)
        tune.report({"loss": 1})
        time.sleep(600)

    began = time.monotonic()
    results = run(tmp_path, train, trial_time_limit_s=600, stop={"training_iteration": 1})

    assert time.monotonic() - began < 30
    assert results[0].status == "completed"


@pytest.mark.parametrize("culprit", [0, 1])
def test_a_rank_that_fails_fails_the_trial_with_its_own_traceback(tmp_path, culprit):
    def train(config):
        total(1)
        tune.report({"loss": 1})
        total(2)
        if dist.get_rank() == culprit:
            raise ValueError("the data are odd")
        total(3)

    results = run(tmp_path, train)

    error = results[0].error
    assert results[0].status == "failed"
    assert error.message == f"ValueError: the data are odd (in rank {culprit} of 2)"
    assert "in train" in error.where
    assert 'raise ValueError("the data are odd")' in error.traceback
    assert [row["loss"] for row in results[0].history] == [1]


def test_a_rank_that_is_killed_fails_the_trial_by_its_name(tmp_path):
    def train(config):
        total(1)
        if dist.get_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        total(2)

    results = run(tmp_path, train)

    assert results[0].error.message.startswith("rank 1 of 2 was killed by SIGKILL")
    assert results[0].error.kind == "signal"


def test_a_rank_that_exits_fails_the_trial_with_its_code(tmp_path):
    def train(config):
        total(1)
        if dist.get_rank() == 1:
            os._exit(3)
        total(2)

    assert run(tmp_path, train)[0].error.message == "rank 1 of 2 ended with exit code 3"


def test_checkpoints_are_saved_once_and_given_to_all_ranks(tmp_path):
    def train(config):
        checkpoint = tune.get_checkpoint()
        begin = int(Path(checkpoint.path, "step").read_text()) if checkpoint else 0
        begun = total(begin)
        for step in range(begin + 1, 5):
            folder = tmp_path / f"saved-{dist.get_rank()}"
            folder.mkdir(exist_ok=True)
            (folder / "step").write_text(str(step))
            (folder / "rank").write_text(str(dist.get_rank()))
            total(step)
            tune.report({"step": step, "begun": begun}, checkpoint=folder)
            if step == 2 and not begin and dist.get_rank() == 1:
                raise OSError("once")

    results = run(tmp_path, train, max_failures=1)

    history = results[0].history
    assert results[0].status == "completed"
    assert history[-1]["step"] == 4
    assert history[-1]["begun"] in (2 * 1, 2 * 2)
    assert Path(results[0].checkpoint.path, "rank").read_text() == "0"


def test_data_that_is_bound_reaches_all_ranks(tmp_path):
    def train(config, data):
        return {"sum": total(sum(data))}

    trainable = tune.with_parameters(tune.TorchTrainable(train, workers=2), data=[1, 2, 3])
    results = tune.run(trainable, name="e", storage_path=tmp_path, verbose=0, executor=tune.LocalExecutor(cpus=2))

    assert results[0].history[-1]["sum"] == 12


def test_a_trial_that_takes_too_long_is_killed_with_all_its_ranks(tmp_path):
    def train(config):
        (tmp_path / f"pid-{dist.get_rank()}").write_text(str(os.getpid()))
        total(1)
        time.sleep(600)

    results = run(tmp_path, train, trial_time_limit_s=5)

    assert results[0].error.kind == "time_limit"
    assert gone([int(file.read_text()) for file in tmp_path.glob("pid-*")])


def test_a_function_of_config_and_reporter_works_in_this_very_process_too(tmp_path):
    def train(config, reporter):
        reporter(ranks=total(1))

    results = run(tmp_path, train, executor=tune.InlineExecutor(cpus=2))

    assert results[0].history[-1]["ranks"] == 2


@pytest.mark.parametrize(
    "arguments",
    [{"workers": 0}, {"workers": 1.5}, {"workers": 2, "start_method": "thread"}, {"workers": 2, "backend": 1}],
)
def test_arguments_that_make_no_sense_are_refused(arguments):
    with pytest.raises(ConfigError, match="TorchTrainable"):
        tune.TorchTrainable(print, **arguments)


def test_what_takes_no_config_is_refused_at_the_door(tmp_path):
    with pytest.raises(ConfigError, match="takes no positional argument"):
        run(tmp_path, lambda: None)

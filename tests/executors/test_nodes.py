"""Executors with one agent per node, with real engines: Dask's workers, and submitit's jobs on this machine."""

import os
import signal
import time

import psutil
import pytest
from watching import events

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, NodesChanged, SessionOpened
from tunesmith.errors import ConfigError, ResourceError

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def workers():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture(params=["dask", "slurm"])
def executor(request):
    if request.param == "dask":
        return tune.DaskExecutor(request.getfixturevalue("workers").scheduler_address)
    pytest.importorskip("submitit")
    return tune.SlurmExecutor(jobs=2, cluster="local", time_min=5)


def run(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "seed": 1, "space": {"x": tune.uniform(0, 1)}}
    return tune.run(trainable, **{**defaults, **arguments})


def gone(pids):
    until = time.monotonic() + PATIENCE
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(psutil.pid_exists, pids))


def test_trials_run_on_all_nodes_in_processes_of_their_own_that_end_with_the_run(tmp_path, executor):
    def train(config):
        time.sleep(0.5)
        tune.report({"pid": os.getpid(), "parent": os.getppid(), "node": tune.get_context().node})

    results = run(tmp_path, train, num_samples=8, executor=executor)

    rows = [trial.history[-1] for trial in results]
    assert [trial.status for trial in results] == ["completed"] * 8
    assert len({row["pid"] for row in rows}) == 8
    assert len({row["node"] for row in rows}) == 2
    assert gone({row["parent"] for row in rows})
    assert all(node.expected for node in events(tmp_path, SessionOpened)[0].nodes)
    assert not any(node.expected for node in events(tmp_path, NodesChanged)[-1].nodes)


def test_a_scheduler_stops_trials(tmp_path, executor):
    def train(config):
        for step in range(9):
            tune.report({"loss": config["x"] + 1 / (1 + step)})

    asha = tune.ASHAScheduler(max_t=9, reduction_factor=3)
    results = run(tmp_path, train, num_samples=16, metric="loss", mode="min", scheduler=asha, executor=executor)

    assert results.num_errors == 0
    assert any(trial.status == "stopped" for trial in results)


def test_with_an_agent_killed_its_trials_go_on_elsewhere(tmp_path, executor):
    class Killing(tune.Callback):
        killed = None

        def handle(self, happened, experiment):
            for event in happened:
                parent = getattr(event, "metrics", {}).get("parent")
                if parent is not None and self.killed is None:
                    self.killed = event.trial
                    os.kill(parent, signal.SIGKILL)

    def train(config):
        for step in range(5):
            tune.report({"step": step, "parent": os.getppid()})
            time.sleep(0.2)

    killing = Killing()
    results = run(tmp_path, train, num_samples=4, executor=executor, callbacks=[killing])

    assert [trial.status for trial in results] == ["completed"] * 4
    lost = [event for event in events(tmp_path, AttemptEnded) if event.outcome == "lost"]
    assert killing.killed in {event.trial for event in lost}


def test_with_a_dask_worker_killed_its_trials_go_on_and_its_successor_is_used(tmp_path, workers):
    class Killing(tune.Callback):
        killed = None

        def handle(self, happened, experiment):
            for event in happened:
                agent = getattr(event, "metrics", {}).get("agent")
                if agent is not None and self.killed is None:
                    self.killed = event.trial
                    os.kill(psutil.Process(agent).ppid(), signal.SIGKILL)  # Dask's nanny starts another one

    def train(config):
        for step in range(25):
            tune.report({"step": step, "agent": os.getppid()})
            time.sleep(0.2)

    killing = Killing()
    executor = tune.DaskExecutor(workers.scheduler_address)
    results = run(tmp_path, train, num_samples=4, executor=executor, callbacks=[killing])

    assert [trial.status for trial in results] == ["completed"] * 4
    lost = [event for event in events(tmp_path, AttemptEnded) if event.outcome == "lost"]
    assert {event.trial for event in lost} == {killing.killed}
    there = [sum(not node.expected for node in event.nodes) for event in events(tmp_path, NodesChanged)]
    assert there[-2:] == [1, 2]


def test_what_no_node_that_is_to_come_could_give_is_an_error(tmp_path):
    pytest.importorskip("submitit")

    with pytest.raises(ResourceError, match="cpu 4 of 1"):
        run(tmp_path, print, resources={"cpu": 4}, executor=tune.SlurmExecutor(cluster="local"))


@pytest.mark.parametrize("argument", [{"jobs": 0}, {"cpus_per_job": 1.5}, {"time_min": -1}, {"start_method": "spawn"}])
def test_arguments_that_make_no_sense_are_refused(argument):
    with pytest.raises(ConfigError):
        tune.SlurmExecutor(**argument)


def test_dask_needs_to_know_which_cluster(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match="which cluster"):
        tune.run(len, executor="dask", storage_path=tmp_path, verbose=0)


def test_dask_takes_the_client_that_there_is(workers, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.Client(workers.scheduler_address) as client:
        results = tune.run(lambda config: 1, executor="dask", storage_path=tmp_path, verbose=0)
        assert client.status == "running"

    assert results[0].status == "completed"

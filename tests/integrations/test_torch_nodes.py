"""torch distributed trials on several nodes: each agent starts the ranks of its node, and they are one trial."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, TrialLaunched
from tunesmith.store.reader import JournalReader

torch = pytest.importorskip("torch")
distributed = pytest.importorskip("distributed")
import torch.distributed as dist  # noqa: E402  only where torch is installed

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]
APART = tune.Bundles([{"cpu": 1}] * 2, "STRICT_SPREAD")


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(n_workers=3, threads_per_worker=2, dashboard_address=None) as cluster:
        yield cluster


@pytest.fixture
def run(tmp_path, cluster):
    def run(train, *, workers=2, resources=APART, torch_arguments=None, **arguments):
        defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "seed": 1, "fail_fast": False}
        trainable = tune.TorchTrainable(train, workers=workers, **(torch_arguments or {}))
        executor = tune.DaskExecutor(cluster.scheduler_address)
        return tune.run(trainable, executor=executor, resources=resources, **{**defaults, **arguments})

    return run


def total(value):
    tensor = torch.tensor(float(value))
    dist.all_reduce(tensor)
    return tensor.item()


def gone(pids):
    until = time.monotonic() + 20
    while any(map(psutil.pid_exists, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    return not any(map(psutil.pid_exists, pids))


def events(tmp_path, kind):
    with JournalReader(tmp_path / "e") as reader:
        return [event for _, event in reader.events() if isinstance(event, kind)]


def agent_of(cluster, node):
    """The process of the agent that a Dask worker has beside it."""
    worker = next(each for each in cluster.workers.values() if str(each.name) == node)
    found = psutil.Process(worker.process.process.pid).children(recursive=True)
    return next(each for each in found if "tunesmith.worker.remote" in " ".join(each.cmdline()))


def test_the_ranks_of_several_nodes_are_one_process_group_and_rank_0_is_on_the_first(run, tmp_path):
    def train(config):
        context = tune.get_context()
        own = context.node == context.bundles[[0, 1, 2][dist.get_rank()]].node
        (tmp_path / f"{config['x']}-{dist.get_rank()}").write_text(f"{context.node} {os.getpid()} {os.getppid()}")
        tune.report({"ranks": total(10 ** dist.get_rank()), "own": total(own), "mine": dist.get_rank()})

    bundles = tune.Bundles([{"cpu": 2}, {"cpu": 1}, {"cpu": 1}], "PACK")
    results = run(train, workers=3, resources=bundles, space={"x": tune.grid_search([1, 2])})

    assert [trial.error for trial in results] == [None, None]
    rows = [[(row["ranks"], row["own"], row["mine"]) for row in trial.history] for trial in results]
    assert rows == [[(111.0, 3.0, 0)], [(111.0, 3.0, 0)]]
    for x, launched in zip((1, 2), events(tmp_path, TrialLaunched), strict=True):
        told = [(tmp_path / f"{x}-{rank}").read_text().split() for rank in range(3)]
        assert [node for node, _, _ in told] == [bundle.node for bundle in launched.placement.bundles]
        assert len({node for node, _, _ in told}) > 1
        assert gone([int(pid) for _, *pids in told for pid in pids])


def test_a_verdict_ends_all_ranks_everywhere(run, tmp_path):
    def train(config):
        try:
            for step in range(1000):
                total(step)
                tune.report({"loss": step})
        finally:
            (tmp_path / f"ended-{dist.get_rank()}").touch()

    began = time.monotonic()
    results = run(train, stop={"training_iteration": 10}, torch_arguments={"grace_s": 60})

    assert results[0].status == "completed"
    assert len(results[0].history) == 10
    assert time.monotonic() - began < 50
    assert (tmp_path / "ended-0").exists()


def test_a_rank_elsewhere_that_sleeps_is_ended_by_the_verdict_too(run, tmp_path):
    def train(config):
        (tmp_path / f"pid-{dist.get_rank()}").write_text(str(os.getpid()))
        total(1)
        if dist.get_rank() == 1:
            try:
                time.sleep(600)
            finally:
                (tmp_path / "cleaned").touch()
        tune.report({"loss": 1})

    results = run(train, stop={"training_iteration": 1})

    assert results[0].status == "completed"
    assert (tmp_path / "cleaned").exists()
    assert gone([int((tmp_path / f"pid-{rank}").read_text()) for rank in range(2)])


@pytest.mark.parametrize("culprit", [0, 1])
def test_a_rank_that_fails_fails_the_trial_with_its_own_traceback(run, culprit):
    def train(config):
        total(1)
        tune.report({"loss": 1})
        total(2)
        if dist.get_rank() == culprit:
            raise ValueError("the data are odd")
        total(3)

    results = run(train)

    error = results[0].error
    assert error.message == f"ValueError: the data are odd (in rank {culprit} of 2)"
    assert "in train" in error.where
    assert [row["loss"] for row in results[0].history] == [1]


def test_a_rank_elsewhere_that_is_killed_fails_the_trial_and_it_goes_on_from_its_checkpoint(run, tmp_path):
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
            total(step)
            if step == 2 and not begin and dist.get_rank() == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    results = run(train, max_failures=1)

    first, second = events(tmp_path, AttemptEnded)
    assert first.failure.message.startswith("rank 1 of 2 was killed by SIGKILL")
    assert second.outcome == "done"
    assert [row["step"] for row in results[0].history][-1] == 4
    assert results[0].history[-1]["begun"] == 2 * 2
    assert Path(results[0].checkpoint.path, "rank").read_text() == "0"


@pytest.mark.parametrize("lost", [0, 1])
def test_a_trial_whose_ranks_lose_a_node_goes_on_elsewhere(run, tmp_path, cluster, lost):
    class Killing(tune.Callback):
        node = None

        def handle(self, happened, experiment):
            for event in happened:
                if getattr(event, "metrics", {}).get("step") == 2 and self.node is None:
                    self.node = experiment.trials[event.trial].placement.nodes[lost]
                    agent_of(cluster, self.node).send_signal(signal.SIGKILL)
                    (tmp_path / "killed").touch()

    def train(config):
        (tmp_path / f"pid-{tune.get_context().attempt}-{dist.get_rank()}").write_text(str(os.getpid()))
        checkpoint = tune.get_checkpoint()
        begin = int(Path(checkpoint.path).read_text()) if checkpoint else 0
        for step in range(begin + 1, 9):
            file = tmp_path / f"step-{dist.get_rank()}"
            file.write_text(str(step))
            total(step)
            while step == 3 and not (tmp_path / "killed").exists():
                time.sleep(0.05)
            time.sleep(0.1)
            tune.report({"step": step, "attempt": tune.get_context().attempt}, checkpoint=file)

    results = run(train, callbacks=[Killing()])

    assert [event.outcome for event in events(tmp_path, AttemptEnded)] == ["lost", "done"]
    assert results[0].status == "completed"
    assert [row["step"] for row in results[0].history] == list(range(1, 9))
    assert gone([int(file.read_text()) for file in tmp_path.glob("pid-*")])


def test_a_companion_that_dies_ends_the_attempt_by_its_name(run, tmp_path):
    def train(config):
        total(1)
        if dist.get_rank() == 1 and tune.get_context().attempt == 1:
            os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1)
        total(2)
        tune.report({"loss": 1})

    results = run(train, max_failures=1)

    assert events(tmp_path, AttemptEnded)[0].outcome in ("lost", "failed")
    assert [event.outcome for event in events(tmp_path, AttemptEnded)][1:] == ["done"]
    assert results[0].status == "completed"


def test_a_trial_that_takes_too_long_is_killed_on_all_nodes(run, tmp_path):
    def train(config):
        (tmp_path / f"pid-{dist.get_rank()}").write_text(str(os.getpid()))
        total(1)
        time.sleep(600)

    results = run(train, trial_time_limit_s=6)

    assert results[0].error.kind == "time_limit"
    assert gone([int(file.read_text()) for file in tmp_path.glob("pid-*")])


def test_workers_that_do_not_go_evenly_into_the_bundles_are_refused_with_advice(run):
    results = run(lambda config: None, workers=3)

    assert "with a bundle for each worker" in results[0].error.message


def test_on_ray_the_ranks_go_where_there_is_room(tmp_path):
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    def train(config):
        nodes = [None] * dist.get_world_size()
        dist.all_gather_object(nodes, tune.get_context().node)
        tune.report({"sum": total(1), "nodes": nodes})

    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        nodes.add_node(num_cpus=1)
        ray.init(address=nodes.address, include_dashboard=False, log_to_driver=False)
        trainable = tune.TorchTrainable(train, workers=2)
        results = tune.run(trainable, name="e", storage_path=tmp_path, verbose=0, executor=tune.RayExecutor())
    finally:
        ray.shutdown()
        nodes.shutdown()

    row = results[0].history[0]
    assert (row["sum"], len(set(row["nodes"]))) == (2, 2)

"""A real Ray cluster with a real autoscaler, whose provider starts nodes on this machine."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest
from watching import eventually

import tunesmith as tune
from tunesmith.core.events import NodesChanged, SessionOpened
from tunesmith.errors import ResourceError
from tunesmith.executors.ray import RayExecutor
from tunesmith.store.reader import JournalReader

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]
PATIENCE = 90.0
HEAD = "f" * 51 + "00000"
WORKERS = 2
EMPTY_LISTS = """initialization_commands setup_commands head_setup_commands worker_setup_commands cluster_synced_files
    head_start_ray_commands worker_start_ray_commands rsync_exclude rsync_filter"""
"""What a configuration must have."""


@pytest.fixture(scope="module")
def cluster():
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # Ray's sockets lie in it: its name must be short.
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    address = f"{ray.util.get_node_ip_address()}:{port}"
    provider = {
        # As Ray's own tests have it, whose defaults are not in its wheel.
        "type": "external",
        "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
        "gcs_address": address,
        "head_node_id": HEAD,
        "launch_multiple": True,
    }
    types = {
        "ray.head.default": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0},
        "big": {"resources": {"CPU": 2, "special": 1}, "node_config": {}, "min_workers": 0, "max_workers": WORKERS},
    }
    config = {
        "cluster_name": "test",
        "max_workers": 8,
        "idle_timeout_minutes": 0.05,
        "provider": provider,
        "available_node_types": types,
        "head_node_type": "ray.head.default",
        "upscaling_speed": 100.0,
        "file_mounts_sync_continuously": False,
        **{name: [] for name in EMPTY_LISTS.split()},
        **{name: {} for name in ("auth", "docker", "file_mounts")},
    }
    (folder / "config.yaml").write_text(json.dumps(config))
    command = f"""start --head --block --port={port} --num-cpus=1 --temp-dir={folder} --include-dashboard=false
        --autoscaling-config={folder}/config.yaml --min-worker-port=0 --max-worker-port=0
        --dashboard-agent-listen-port=0 --disable-usage-stats"""
    variables = {
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_AUTH_MODE": "disabled",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD,
        "RAY_CLOUD_INSTANCE_ID": HEAD,
    }
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("ray")), *command.split()],
            env={**os.environ, **variables},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        eventually(lambda: process.poll() is not None or "Ray runtime started" in log.read_text(), PATIENCE)
        assert process.poll() is None, log.read_text()
        ray.init(address=address, log_to_driver=False, configure_logging=False)
        yield address
    finally:
        ray.shutdown()
        for one in [*psutil.Process(process.pid).children(recursive=True), process]:
            one.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def alive():
    return sum(node["Alive"] for node in ray.nodes())


def test_what_no_type_of_node_can_give_is_an_error_that_names_it(cluster, tmp_path):
    with pytest.raises(ResourceError, match=r"lacks special 2 of 0; .*big \(to come, 1\) lacks special 2 of 1"):
        tune.run(lambda config: None, resources={"special": 2}, executor="ray", storage_path=tmp_path, verbose=0)


def test_trials_that_must_not_queue_are_an_error_where_no_node_is(cluster, tmp_path):
    with pytest.raises(ResourceError, match="no node can ever give"):
        tune.run(
            lambda config: None,
            resources={"special": 1},
            executor=RayExecutor(queue_trials=False),
            storage_path=tmp_path,
            verbose=0,
        )


def test_a_cluster_grows_for_trials_that_wait_and_shrinks_when_they_are_through(cluster, tmp_path):
    has_grown, has_shrunk = tmp_path / "grown", tmp_path / "shrunk"

    class Watching(tune.Callback):
        def handle(self, happened, experiment):
            pass

        def flush(self, experiment):
            if len(experiment.live) == 5:
                has_grown.touch()
            if has_grown.exists() and alive() == 1:
                has_shrunk.touch()

    def train(config):
        awaited = has_grown if config["is_big"] else has_shrunk
        until = time.monotonic() + PATIENCE
        while not awaited.exists() and time.monotonic() < until:
            time.sleep(0.1)
        return {"node": tune.get_context().node, "was_there": awaited.exists()}

    results = tune.run(
        train,
        space={"is_big": tune.grid_search([False, True, True, True, True])},
        resources=lambda config: {"cpu": 1, "special": 0.5} if config["is_big"] else {"cpu": 1},
        executor=RayExecutor(idle_s=0.5),
        callbacks=[Watching()],
        name="e",
        storage_path=tmp_path,
        verbose=0,
    )

    # Two of the four fit on one node: that the second one came is the work of those that waited.
    assert [trial.history[-1]["was_there"] for trial in results] == [True] * 5
    small, *big = [trial.history[-1]["node"] for trial in results]
    assert len(set(big)) == WORKERS
    assert small not in big
    groups = ray.util.placement_group_table().values()
    assert {group["state"] for group in groups} == {"REMOVED"}
    with JournalReader(tmp_path / "e") as reader:
        told = [event.nodes for _, event in reader.events() if isinstance(event, SessionOpened | NodesChanged)]
    assert [node.resources["cpu"] for node in told[0]] == [1, 2, 2]
    assert [node.expected for node in told[0]] == [False, True, True]
    assert any([node.expected for node in nodes] == [False] * 3 for nodes in told)


def test_a_trial_of_several_bundles_gets_the_nodes_that_are_missing(cluster, tmp_path):
    results = tune.run(
        lambda config: {"nodes": [bundle.node for bundle in tune.get_context().bundles]},
        resources=tune.Bundles([{"cpu": 1}] * (1 + WORKERS), "STRICT_SPREAD"),
        executor="ray",
        name="e",
        storage_path=tmp_path,
        verbose=0,
    )

    assert len(set(results[0].history[-1]["nodes"])) == 1 + WORKERS
    assert {group["state"] for group in ray.util.placement_group_table().values()} == {"REMOVED"}

"""Attempts on a real Ray cluster of several nodes, all on this machine."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from watching import RAY_WARNS, events, eventually

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, AttemptStarted, NodesChanged, SessionOpened, TrialLaunched
from tunesmith.errors import ConfigError, ResourceError
from tunesmith.executors.ray import RayExecutor

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.heavy, *RAY_WARNS]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    found.add_node(num_cpus=2, num_gpus=1, resources={"license": 1})
    found.wait_for_nodes()
    ray.init(address=found.address, log_to_driver=False, configure_logging=False)
    yield found
    ray.shutdown()
    found.shutdown()


def run(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "executor": "ray", "seed": 1}
    return tune.run(trainable, **{**defaults, **arguments})


def test_trials_run_on_all_nodes_in_processes_of_their_own(cluster, tmp_path):
    def train(config):
        time.sleep(0.3)
        tune.report({"pid": os.getpid(), "node": tune.get_context().node, "x": config["x"]})

    results = run(tmp_path, train, space={"x": tune.grid_search(list(range(8)))})

    assert [trial.history[-1]["x"] for trial in results] == list(range(8))
    assert len({trial.history[-1]["pid"] for trial in results}) == 8
    assert len({trial.history[-1]["node"] for trial in results}) == 2
    assert [node.resources["cpu"] for node in events(tmp_path, SessionOpened)[0].nodes] == [2.0, 2.0]


def test_what_a_trial_asks_for_decides_where_it_runs(cluster, tmp_path):
    def train(config):
        return {"gpus": os.environ.get("CUDA_VISIBLE_DEVICES"), "node": tune.get_context().node}

    with_license = run(tmp_path, train, resources={"cpu": 0.5, "license": 1}, num_samples=2)
    half = run(tmp_path, train, resources={"cpu": 0.5, "gpu": 0.5}, num_samples=2, name="half")
    none = run(tmp_path, train, resources={"cpu": 0.5}, num_samples=4, name="none")

    second = {trial.history[-1]["node"] for trial in with_license}
    assert len(second) == 1
    assert {(trial.history[-1]["gpus"], trial.history[-1]["node"]) for trial in half} == {("0", *second)}
    assert {trial.history[-1]["gpus"] for trial in none} == {""}


def test_what_no_node_can_give_is_an_error_that_names_them(cluster, tmp_path):
    with pytest.raises(ResourceError, match=r"no node can ever give: .* lacks license 2 of .*; .* lacks license 2 of"):
        run(tmp_path, lambda config: None, resources={"license": 2})


def test_what_no_trial_uses_is_given_back(cluster, tmp_path):
    eventually(lambda: ray.available_resources().get("CPU") == 4)
    seen = []

    class Watching(tune.Callback):
        def handle(self, happened, experiment):
            pass

        def flush(self, experiment):
            seen.append(ray.available_resources().get("CPU"))

    def train(config):
        time.sleep(4 if config["x"] == 0 else 0.1)

    run(
        tmp_path,
        train,
        space={"x": tune.grid_search([0, 1, 2, 3])},
        executor=RayExecutor(idle_s=0.5),
        callbacks=[Watching()],
    )

    assert 3 in seen  # one trial still runs, and the others' bundles are free again
    eventually(lambda: ray.available_resources().get("CPU") == 4)


def test_a_scheduler_stops_trials_at_once_and_they_can_be_resumed_elsewhere(cluster, tmp_path):
    def train(config):
        for step in range(9):
            tune.report({"loss": config["x"] + 1 / (1 + step)})

    results = run(
        tmp_path,
        train,
        space={"x": tune.uniform(0, 1)},
        num_samples=20,
        metric="loss",
        mode="min",
        scheduler=tune.ASHAScheduler(max_t=9, reduction_factor=3),
    )

    assert results.num_errors == 0
    assert any(trial.status == "stopped" for trial in results)


def test_a_hung_trial_is_killed_and_its_bundle_goes_on(cluster, tmp_path):
    def train(config):
        time.sleep(600 if config["x"] == 0 else 0)

    results = run(
        tmp_path,
        train,
        space={"x": tune.grid_search([0, 1, 2])},
        trial_time_limit_s=4,
        grace_s=0.2,
        max_concurrent_trials=1,
        fail_fast=False,
    )

    assert [trial.status for trial in results] == ["failed", "completed", "completed"]
    assert results[0].error.kind == "time_limit"


def test_a_node_that_joins_is_used_and_one_that_dies_loses_nothing(cluster, tmp_path):
    steps = 25

    def train(config):
        checkpoint = tune.get_checkpoint()
        step = int(Path(checkpoint.path).read_text()) if checkpoint else 0
        while step < steps:
            step += 1
            time.sleep(0.2)
            file = tune.get_context().trial_folder / "step"
            file.write_text(str(step))
            tune.report({"step": step, "node": tune.get_context().node}, checkpoint=file)

    class Mishaps(tune.Callback):
        """A node joins when the first results are there, and dies when it has trained a little."""

        joined = died = None

        def handle(self, happened, experiment):
            for event in happened:
                node = getattr(event, "metrics", {}).get("node")
                if node is not None and self.joined is None:
                    self.joined = cluster.add_node(num_cpus=2)
                own = self.joined is not None and self.joined.node_id[:8]
                if own and node is not None and node.endswith(own) and event.metrics["step"] > 3 and self.died is None:
                    self.died = event.trial
                    cluster.remove_node(self.joined, allow_graceful=False)

    mishaps = Mishaps()
    results = run(tmp_path, train, num_samples=6, callbacks=[mishaps])

    assert mishaps.died is not None
    assert [trial.status for trial in results] == ["completed"] * 6
    for trial in results:
        # What was redone after the last checkpoint is at most one step.
        assert [row["step"] for row in trial.history][-1] == steps
        assert {row["step"] for row in trial.history} == set(range(1, steps + 1))
    ends = [event for event in events(tmp_path, AttemptEnded) if event.outcome == "lost"]
    assert mishaps.died in {event.trial for event in ends}
    assert [len(event.nodes) for event in events(tmp_path, NodesChanged)][:1] == [3]
    elsewhere = [event for event in events(tmp_path, TrialLaunched) if event.trial == mishaps.died]
    assert not elsewhere[-1].placement.node.endswith(mishaps.joined.node_id[:8])


def test_with_the_driver_killed_everything_it_ran_is_gone(cluster, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import time
            import tunesmith as tune
            from tunesmith.executors.ray import RayExecutor

            def train(config):
                tune.report({{"started": 1}})
                time.sleep(600)

            tune.run(train, num_samples=2, name="e", storage_path={str(tmp_path)!r}, verbose=0,
                     executor=RayExecutor({cluster.address!r}))
            """
        )
    )
    driver = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)

    def pids():
        if not (tmp_path / "e" / "journal.db").exists():
            return []
        return [event.pid for event in events(tmp_path, AttemptStarted)]

    eventually(lambda: len(pids()) == 2)
    workers = pids()
    assert all(psutil.pid_exists(pid) for pid in workers)

    driver.send_signal(signal.SIGKILL)
    driver.communicate()

    eventually(lambda: not any(psutil.pid_exists(pid) for pid in workers))
    eventually(lambda: ray.available_resources().get("CPU") == 4)


def test_a_trial_of_several_bundles_holds_all_of_them_on_their_nodes_until_its_end(cluster, tmp_path):
    eventually(lambda: ray.available_resources().get("CPU") == 4)
    free, begun = [], []

    class Watching(tune.Callback):
        def handle(self, happened, experiment):
            begun.extend(event for event in happened if isinstance(event, AttemptStarted))

        def flush(self, experiment):
            if begun:
                free.append(ray.available_resources().get("CPU", 0))

    def train(config):
        time.sleep(2)
        context = tune.get_context()
        return {"nodes": [bundle.node for bundle in context.bundles], "own": context.node}

    results = run(
        tmp_path,
        train,
        resources=tune.Bundles([{"cpu": 1}, {"cpu": 2}, {"cpu": 1}], "SPREAD"),
        callbacks=[Watching()],
        executor=RayExecutor(idle_s=0.5),
    )

    first, second, third = results[0].history[-1]["nodes"]
    assert first == third == results[0].history[-1]["own"] != second
    assert min(free) == 0
    eventually(lambda: ray.available_resources().get("CPU") == 4)


def test_a_trial_that_loses_a_node_where_it_only_holds_something_goes_on_elsewhere(cluster, tmp_path):
    eventually(lambda: ray.available_resources().get("CPU") == 4)
    joined = cluster.add_node(num_cpus=2, resources={"helper": 1})
    eventually(lambda: ray.available_resources().get("CPU") == 6)

    class Mishap(tune.Callback):
        has_happened = False

        def handle(self, happened, experiment):
            if not self.has_happened and any(getattr(event, "metrics", {}).get("step") == 2 for event in happened):
                self.has_happened = True
                cluster.remove_node(joined, allow_graceful=False)
                cluster.add_node(num_cpus=2, resources={"helper": 1})

    def train(config):
        for step in range(600 if tune.get_context().attempt == 1 else 1):
            time.sleep(0.1)
            tune.report({"step": step})

    results = run(tmp_path, train, resources=[{"license": 1}, {"cpu": 1, "helper": 1}], callbacks=[Mishap()])

    assert results[0].status == "completed"
    assert [event.outcome for event in events(tmp_path, AttemptEnded)] == ["lost", "done"]
    nodes = [event.placement.nodes for event in events(tmp_path, TrialLaunched)]
    assert nodes[0][0] == nodes[1][0]
    assert nodes[0][1] != nodes[1][1]


def test_the_command_line_runs_a_function_on_the_cluster(cluster, tmp_path):
    (tmp_path / "train.py").write_text("def train(config):\n    return {'x': config['x'] ** 2}\n")
    space = '{"x": {"grid_search": [1, 2, 3]}}'
    command = [sys.executable, "-m", "tunesmith.cli", "run", "train.py:train", "--space", space, "--name", "e", "-q"]

    subprocess.run([*command, "--executor", "ray", "--address", cluster.address], cwd=tmp_path, check=True, timeout=120)

    assert [trial.history[-1]["x"] for trial in tune.load(tmp_path / "results" / "e")] == [1, 4, 9]
    assert all(":" in event.placement.node for event in events(tmp_path / "results", TrialLaunched))


def test_what_idles_makes_room_for_trials_that_ask_for_something_else(cluster, tmp_path):
    began = time.monotonic()

    results = run(
        tmp_path,
        lambda config: {"node": tune.get_context().node},
        space={"cpus": tune.grid_search([1, 2, 1.5, 0.5, 2, 1])},
        resources=lambda config: {"cpu": config["cpus"]},
        executor=RayExecutor(idle_s=PATIENCE),
        max_concurrent_trials=1,
    )

    assert [trial.status for trial in results] == ["completed"] * 6
    assert len({trial.history[-1]["node"] for trial in results}) == 1
    assert time.monotonic() - began < PATIENCE


def test_a_trial_whose_agent_loses_the_actor_above_it_is_lost_and_goes_on(cluster, tmp_path):
    def train(config):
        tune.report({"pid": os.getpid()})
        if tune.get_context().attempt == 1:
            psutil.Process().parent().parent().kill()
            time.sleep(600)

    results = run(tmp_path, train)

    assert results[0].status == "completed"
    assert [event.outcome for event in events(tmp_path, AttemptEnded)] == ["lost", "done"]
    assert not psutil.pid_exists(results[0].history[0]["pid"])


def test_paused_trials_are_not_held_where_ray_counts_what_they_hold(tmp_path):
    with pytest.raises(ConfigError, match="RayExecutor cannot"):
        run(tmp_path, lambda config: None, pause="hold")


def test_the_driver_does_not_run_over_rays_client():
    with pytest.raises(ConfigError, match="ray job submit"):
        RayExecutor("ray://head:10001")


def test_trials_that_are_to_queue_wait_for_nodes_of_which_nothing_is_known(cluster, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("tunesmith.executors.ray.SAY_AFTER", 0.5)
    said = "no node that is there could run a trial that asks for late=2; waiting"

    class Watching(tune.Callback):
        heard, joined = "", None

        def handle(self, happened, experiment):
            pass

        def flush(self, experiment):
            self.heard += capfd.readouterr().err
            if said in self.heard and self.joined is None:
                self.joined = cluster.add_node(num_cpus=1, resources={"late": 2})

    watching = Watching()
    results = run(
        tmp_path,
        lambda config: {"node": tune.get_context().node},
        resources={"late": 2},
        executor=RayExecutor(queue_trials=True),
        num_samples=2,
        callbacks=[watching],
    )

    assert [trial.status for trial in results] == ["completed"] * 2
    assert {trial.history[-1]["node"][-8:] for trial in results} == {watching.joined.node_id[:8]}
    assert watching.heard.count(said) == 1


def test_ctrl_c_ends_trials_that_ray_has_no_room_for(cluster, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr("tunesmith.executors.ray.SAY_AFTER", 0.5)
    hog = ray.remote(num_cpus=0, resources={"license": 1})(lambda: time.sleep(600)).remote()
    eventually(lambda: not ray.available_resources().get("license"))

    class Impatient(tune.Callback):
        heard, has_pressed = "", False

        def handle(self, happened, experiment):
            pass

        def flush(self, experiment):
            self.heard += capfd.readouterr().err
            if "waiting for Ray to start what a trial needs" in self.heard and not self.has_pressed:
                self.has_pressed = True
                os.kill(os.getpid(), signal.SIGINT)

    results = run(tmp_path, lambda config: None, resources={"license": 1}, callbacks=[Impatient()])
    ray.cancel(hog, force=True)

    assert results.finished.reason == "interrupted"
    assert [event.outcome for event in events(tmp_path, AttemptEnded)] == ["halted"]

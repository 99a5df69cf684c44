"""Trials that run in Ray actors of their own, and call Ray themselves."""

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
from tunesmith.core.events import AttemptEnded, TrialLaunched
from tunesmith.errors import ConfigError
from tunesmith.executors import ray as module
from tunesmith.executors.ray import MOST_DEATHS, RayExecutor

ray = pytest.importorskip("ray")
pytestmark = [pytest.mark.heavy, *RAY_WARNS]


@pytest.fixture(scope="module")
def cluster():
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    found.add_node(num_cpus=2, resources={"left": 1})
    found.add_node(num_cpus=2, num_gpus=1, resources={"right": 1})
    found.wait_for_nodes()
    ray.init(address=found.address, log_to_driver=False, configure_logging=False)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture(autouse=True)
def _all_is_given_back(cluster):
    eventually(lambda: ray.available_resources().get("CPU") == 6)
    yield
    eventually(lambda: ray.available_resources().get("CPU") == 6)


def run(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "seed": 1}
    return tune.run(trainable, executor=RayExecutor(trial_in_actor=True), **{**defaults, **arguments})


def test_tasks_and_actors_of_a_trial_run_where_its_bundles_are(cluster, tmp_path):
    def train(config):
        @ray.remote(num_cpus=1)
        def place():
            time.sleep(0.1)
            return ray.get_runtime_context().get_node_id()

        @ray.remote(num_cpus=1)
        class Helper:
            def place(self):
                return ray.get_runtime_context().get_node_id()

        nodes = {node["NodeID"]: node["Resources"] for node in ray.nodes()}
        found = ray.get([place.remote() for _ in range(8)]) + ray.get([Helper.remote().place.remote()])
        own = nodes[ray.get_runtime_context().get_node_id()]
        tune.report(
            {
                "tasks": sorted({"left" if "left" in nodes[node] else "right" for node in found}),
                "own": "left" if "left" in own else "elsewhere",
                "bundles": [bundle.node for bundle in tune.get_context().bundles],
            }
        )

    results = run(tmp_path, train, resources=[{"cpu": 1, "left": 1}, {"cpu": 1, "right": 1}], num_samples=2)

    for trial in results:
        assert trial.status == "completed"
        assert trial.history[-1]["tasks"] == ["left", "right"]
        assert trial.history[-1]["own"] == "left"
        first, second = trial.history[-1]["bundles"]
        assert first != second


def test_trials_that_hold_all_there_is_never_wait_for_each_other_with_their_tasks(cluster, tmp_path):
    def train(config):
        print("one line of a trial's own")
        step = ray.remote(num_cpus=1)(lambda number: number * config["x"])
        return {"sum": sum(ray.get([step.remote(number) for number in range(4)])), "pid": os.getpid()}

    results = run(tmp_path, train, space={"x": tune.grid_search(list(range(6)))})

    assert [trial.history[-1]["sum"] for trial in results] == [0, 6, 12, 18, 24, 30]
    assert len({trial.history[-1]["pid"] for trial in results}) == 6
    assert (tmp_path / "e" / "trials" / "00003" / "stdout").read_text() == "one line of a trial's own\n"


def test_workers_are_reused_where_that_is_wanted(cluster, tmp_path):
    def train(config):
        return {"pid": os.getpid(), "sum": ray.get(ray.remote(num_cpus=1)(lambda: 3).remote())}

    results = run(tmp_path, train, num_samples=6, reuse_workers=True, max_concurrent_trials=1)

    assert [trial.history[-1]["sum"] for trial in results] == [3] * 6
    assert len({trial.history[-1]["pid"] for trial in results}) == 1


def test_a_scheduler_stops_trials_in_actors(cluster, tmp_path):
    def train(config):
        step = ray.remote(num_cpus=1)(lambda number: config["x"] + 1 / number)
        for number in range(1, 10):
            tune.report({"loss": ray.get(step.remote(number))})

    results = run(
        tmp_path,
        train,
        space={"x": tune.uniform(0, 1)},
        num_samples=8,
        metric="loss",
        mode="min",
        scheduler=tune.ASHAScheduler(max_t=9, reduction_factor=3),
    )

    assert results.num_errors == 0
    assert {len(trial.history) for trial in results} > {9}
    assert any(trial.status == "stopped" for trial in results)


def test_a_trial_whose_actor_dies_goes_on_from_its_checkpoint(cluster, tmp_path):
    def train(config):
        checkpoint = tune.get_checkpoint()
        first = int(Path(checkpoint.path).read_text()) if checkpoint else 0
        for step in range(first + 1, 6):
            file = tune.get_context().trial_folder / "step"
            file.write_text(str(step))
            tune.report({"step": step}, checkpoint=file)
            if step == 3 and tune.get_context().attempt == 1:
                os.kill(os.getpid(), signal.SIGKILL)

    results = run(tmp_path, train)

    assert results[0].status == "completed"
    assert [row["step"] for row in results[0].history] == [1, 2, 3, 4, 5]
    first, second = events(tmp_path, AttemptEnded)
    assert (first.outcome, second.outcome) == ("lost", "done")
    assert "ActorDied" in first.failure.message
    assert "its worker process has died" in first.failure.message


def test_a_trial_whose_process_dies_every_time_has_failed(cluster, tmp_path):
    def train(config):
        tune.report({"step": 1})
        os._exit(3)

    results = run(tmp_path, train)

    assert results[0].status == "failed"
    assert results[0].error.kind == "exit"
    assert [event.outcome for event in events(tmp_path, AttemptEnded)] == ["lost"] * MOST_DEATHS + ["failed"]


def test_an_exception_of_a_trial_or_of_its_task_has_its_own_traceback(cluster, tmp_path):
    def train(config):
        def fail():
            raise ValueError("no such thing")

        if config["in_task"]:
            ray.get(ray.remote(num_cpus=0)(fail).remote())
        fail()

    results = run(tmp_path, train, space={"in_task": tune.grid_search([False, True])})

    assert [trial.status for trial in results] == ["failed", "failed"]
    for trial in results:
        assert "ValueError" in trial.error.message
        assert "no such thing" in trial.error.traceback


def test_a_trial_that_takes_too_long_ends_with_all_that_it_has_started(cluster, tmp_path):
    def train(config):
        @ray.remote(num_cpus=1)
        def sleep(file):
            Path(file).write_text(str(os.getpid()))
            time.sleep(600)

        ray.get(sleep.remote(str(tmp_path / "pid")))

    results = run(tmp_path, train, trial_time_limit_s=6, grace_s=0.5)

    assert results[0].status == "failed"
    assert results[0].error.kind == "time_limit"
    pid = int((tmp_path / "pid").read_text())
    eventually(lambda: not psutil.pid_exists(pid))


def test_with_the_driver_killed_trials_and_their_tasks_are_gone(cluster, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, time
            from pathlib import Path
            import tunesmith as tune

            def train(config):
                import ray

                def sleep():
                    Path({str(tmp_path)!r}, "pids").write_text(f"{{os.getpid()}} {{parent}}")
                    time.sleep(600)

                parent = os.getpid()
                ray.get(ray.remote(num_cpus=1)(sleep).remote())

            tune.run(train, name="e", storage_path={str(tmp_path)!r}, verbose=0,
                     executor=tune.RayExecutor({cluster.address!r}, trial_in_actor=True))
            """
        )
    )
    driver = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE)
    file = tmp_path / "pids"
    eventually(lambda: file.exists() and len(file.read_text().split()) == 2)
    pids = [int(pid) for pid in file.read_text().split()]
    assert all(psutil.pid_exists(pid) for pid in pids)

    driver.send_signal(signal.SIGKILL)
    driver.communicate()

    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))


def test_a_trial_that_loses_a_node_of_its_group_goes_on_elsewhere(cluster, tmp_path):
    joined = cluster.add_node(num_cpus=1, resources={"helper": 1})
    eventually(lambda: ray.available_resources().get("CPU") == 7)

    class Mishap(tune.Callback):
        has_happened = False

        def handle(self, happened, experiment):
            if not self.has_happened and any(getattr(event, "metrics", {}).get("step") == 2 for event in happened):
                self.has_happened = True
                cluster.remove_node(joined, allow_graceful=False)
                cluster.add_node(num_cpus=0, resources={"helper": 1})

    def train(config):
        for step in range(600 if tune.get_context().attempt == 1 else 1):
            time.sleep(0.1)
            tune.report({"step": step})

    results = run(tmp_path, train, resources=[{"cpu": 1, "left": 1}, {"helper": 1}], callbacks=[Mishap()])

    assert results[0].status == "completed"
    assert [event.outcome for event in events(tmp_path, AttemptEnded)] == ["lost", "done"]
    nodes = [event.placement.nodes for event in events(tmp_path, TrialLaunched)]
    assert nodes[0][0] == nodes[1][0]
    assert nodes[0][1] != nodes[1][1]


@pytest.mark.parametrize("captures", [True, False])
def test_tasks_of_a_trial_run_in_its_placement_group_unless_told_otherwise(cluster, tmp_path, captures):
    def train(config):
        @ray.remote(num_cpus=1)
        def group():
            return ray.util.get_current_placement_group() is not None

        return {"captured": ray.get(group.remote())}

    executor = RayExecutor(trial_in_actor=True, capture_child_tasks=captures)
    results = tune.run(train, executor=executor, storage_path=tmp_path, name="e", verbose=0)

    assert results[0].history[-1]["captured"] is captures


def test_tasks_that_wait_in_vain_beside_what_trials_hold_are_told_of(cluster, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(module, "SAY_AFTER", 1.0)

    def train(config):
        @ray.remote(num_cpus=1, scheduling_strategy="SPREAD")
        def task():
            return 1

        waits = task.remote()
        ready, _ = ray.wait([waits], timeout=15)
        ray.cancel(waits, force=True)
        return {"ran": len(ready)}

    results = run(tmp_path, train, resources=[{"cpu": 2}, {"cpu": 2}, {"cpu": 2}])

    assert results[0].history[-1]["ran"] == 0
    told = capfd.readouterr().err
    assert told.count("tasks of Ray's wait for CPU: 1, and trials hold all that there is") == 1


def test_a_folder_that_ray_will_delete_is_told_of(cluster, tmp_path, capfd):
    folder = tmp_path / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"

    run(folder, lambda config: {"x": 1})

    assert (
        f"{folder / 'e'} is in the working folder of a job of Ray's, which Ray deletes later" in capfd.readouterr().err
    )


def test_without_actors_there_is_nothing_to_capture():
    with pytest.raises(ConfigError, match="only trials in actors start any"):
        RayExecutor(capture_child_tasks=False)

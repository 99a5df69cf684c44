"""Attempts of several bundles: what they are told, and what happens when a part of what they hold goes away."""

import os
import signal
import time

import psutil
import pytest
from watching import events

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, TrialLaunched
from tunesmith.errors import ResourceError

pytestmark = pytest.mark.filterwarnings("ignore")


def run(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "seed": 1, "space": {"x": tune.uniform(0, 1)}}
    return tune.run(trainable, **{**defaults, **arguments})


def told(config):
    """What a trial finds out about itself."""
    context = tune.get_context()
    return {
        "bundles": [[bundle.node == context.node, bundle.resources, list(bundle.gpus)] for bundle in context.bundles],
        "own": list(context.resources.items()),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "threads": os.environ.get("OMP_NUM_THREADS"),
    }


@pytest.mark.parametrize("kind", [tune.LocalExecutor, tune.InlineExecutor])
def test_a_trial_is_told_where_each_of_its_bundles_lies(tmp_path, kind, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    bundles = [{"cpu": 2, "gpu": 1}, {"cpu": 1, "gpu": 1}, {"cpu": 1}]

    result = run(tmp_path, told, resources=bundles, executor=kind(cpus=4, gpus=("3", "5", "7")))[0].history[-1]

    assert result["bundles"] == [[True, {"cpu": 2, "gpu": 1}, ["3"]], [True, {"cpu": 1, "gpu": 1}, ["5"]],
                                 [True, {"cpu": 1}, []]]  # fmt: skip
    assert result["own"] == [["cpu", 2], ["gpu", 1]]
    if kind is tune.LocalExecutor:
        assert (result["visible"], result["threads"]) == ("3,5", "2")


def test_a_trial_of_one_bundle_has_one(tmp_path):
    assert run(tmp_path, told, executor=tune.LocalExecutor(cpus=1, gpus=()))[0].history[-1]["bundles"] == [
        [True, {"cpu": 1}, []]
    ]


def test_what_trials_ask_for_may_depend_on_their_configs_and_decides_how_many_run_at_once(tmp_path):
    def train(config):
        began = time.time()
        time.sleep(0.2)
        return {"began": began, "ended": time.time(), "bundles": len(tune.get_context().bundles)}

    results = run(
        tmp_path,
        tune.with_resources(train, lambda config: [{"cpu": 1}] * config["n"]),
        space={"n": tune.grid_search([3, 2, 1, 3])},
        executor=tune.LocalExecutor(cpus=3),
    )

    rows = [trial.history[-1] for trial in results]
    assert [row["bundles"] for row in rows] == [3, 2, 1, 3]
    assert rows[1]["began"] < rows[2]["ended"]  # 2 and 1 fit side by side
    for one, other in [(0, 1), (0, 3), (1, 3)]:
        assert rows[one]["ended"] <= rows[other]["began"] or rows[other]["ended"] <= rows[one]["began"]


def test_more_than_there_will_ever_be_is_an_error_at_the_start(tmp_path):
    with pytest.raises(ResourceError, match=r"3 bundles: 3 x cpu=1; PACK, .* together they need cpu 3 of 2"):
        run(tmp_path, told, resources=[{"cpu": 1}] * 3, executor=tune.LocalExecutor(cpus=2))


def test_a_journal_with_several_bundles_is_resumed(tmp_path):
    bundles = tune.Bundles([{"cpu": 1}, {"cpu": 1}], strategy="STRICT_PACK")
    run(tmp_path, told, resources=lambda config: bundles, executor=tune.LocalExecutor(cpus=2))

    results = run(tmp_path, told, num_samples=2, resume=True, resources=bundles, executor=tune.LocalExecutor(cpus=2))

    assert [len(trial.history[-1]["bundles"]) for trial in results] == [2, 2]
    assert [len(event.placement.bundles) for event in events(tmp_path, TrialLaunched)] == [2, 2]


@pytest.fixture(scope="module")
def workers():
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=3, threads_per_worker=1, dashboard_address=None) as cluster:
        yield cluster


def test_on_several_nodes_one_runs_the_trial_and_the_others_hold_what_it_has(tmp_path, workers):
    def train(config):
        context = tune.get_context()
        return {"nodes": [bundle.node for bundle in context.bundles], "own": context.node}

    results = run(
        tmp_path,
        train,
        num_samples=3,
        resources=tune.Bundles([{"cpu": 1}, {"cpu": 1}], "STRICT_SPREAD"),
        executor=tune.DaskExecutor(workers.scheduler_address),
    )

    for trial in results:
        assert len(set(trial.history[-1]["nodes"])) == 2
        assert trial.history[-1]["nodes"][0] == trial.history[-1]["own"]


def test_a_trial_that_loses_a_node_on_which_it_only_holds_something_goes_on_elsewhere(tmp_path, workers):
    def agent_of(node):
        """The process of the agent that a Dask worker has beside it."""
        worker = next(each for each in workers.workers.values() if str(each.name) == node)
        found = psutil.Process(worker.process.process.pid).children(recursive=True)
        return next(each for each in found if "tunesmith.worker.remote" in " ".join(each.cmdline()))

    class Killing(tune.Callback):
        lost = None

        def handle(self, happened, experiment):
            for event in happened:
                if getattr(event, "metrics", {}).get("step") == 1 and self.lost is None:
                    self.lost = experiment.trials[event.trial].placement.nodes[1]
                    agent_of(self.lost).send_signal(signal.SIGKILL)
                    (tmp_path / "killed").touch()

    def train(config):
        for step in range(1, 8):
            while step == 2 and not (tmp_path / "killed").exists():
                time.sleep(0.05)
            time.sleep(0.1)
            tune.report({"step": step, "nodes": [bundle.node for bundle in tune.get_context().bundles]})

    killing = Killing()
    results = run(
        tmp_path,
        train,
        resources=tune.Bundles([{"cpu": 1}, {"cpu": 1}], "STRICT_SPREAD"),
        executor=tune.DaskExecutor(workers.scheduler_address),
        callbacks=[killing],
    )

    assert results[0].status == "completed"
    assert [event.outcome for event in events(tmp_path, AttemptEnded)] == ["lost", "done"]
    assert "went away" in events(tmp_path, AttemptEnded)[0].failure.message
    assert [row["step"] for row in results[0].history][-1] == 7

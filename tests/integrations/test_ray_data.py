"""Ray Data inside of trials. Run where `ray[data]` is installed."""

import pytest

import tunesmith as tune

ray = pytest.importorskip("ray")
pytest.importorskip("pyarrow")
pytest.importorskip("pandas")

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def _cluster():
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


@pytest.mark.usefixtures("_cluster")
@pytest.mark.parametrize("captures", [False, True])
def test_its_tasks_run_beside_what_trials_hold_and_those_that_may_within(tmp_path, captures):
    def train(config):
        rows = ray.data.range(100, override_num_blocks=2).map(lambda row: {"y": row["id"] * config["a"]})
        tune.report({"total": rows.sum("y")})

    results = tune.run(
        train,
        space={"a": tune.grid_search([1, 2])},
        resources={"cpu": 1, "memory": 100_000_000} if captures else {"cpu": 1},
        max_concurrent_trials=1,
        executor=tune.RayExecutor(trial_in_actor=True, capture_child_tasks=captures),
        storage_path=tmp_path,
        name="e",
        verbose=0,
    )

    assert [trial.history[-1]["total"] for trial in results] == [4950, 9900]

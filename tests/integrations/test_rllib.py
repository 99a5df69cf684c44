"""RLlib's algorithms are trainables: PPO on CartPole, small. Run where `ray[rllib]` and gymnasium are installed."""

import subprocess
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith.core.events import TrialLaunched
from tunesmith.errors import ConfigError
from tunesmith.store.reader import JournalReader

pytest.importorskip("gymnasium")
pytest.importorskip("ray.rllib")

pytestmark = [pytest.mark.heavy, pytest.mark.filterwarnings("ignore")]

SMALL = {"env": "CartPole-v1", "num_env_runners": 0, "train_batch_size": 400, "minibatch_size": 200, "num_epochs": 2}
RETURN = "env_runners/episode_return_mean"
LR = "learners/default_policy/default_optimizer_learning_rate"
STEPS = "num_env_steps_sampled_lifetime"


def run(tmp_path, trainable, **arguments):
    defaults = {"name": "e", "storage_path": tmp_path, "verbose": 0, "seed": 1, "metric": RETURN, "mode": "max"}
    return tune.run(trainable, **{"executor": tune.LocalExecutor(cpus=2), **defaults, **arguments})


def test_an_algorithm_is_run_by_its_name_under_asha_and_leaves_no_ray_behind(tmp_path):
    from ray.rllib.algorithms.ppo import PPOConfig

    results = run(
        tmp_path,
        "PPO",
        space=PPOConfig().update_from_dict(SMALL).training(lr=tune.grid_search([1e-3, 1e-9])),
        scheduler=tune.ASHAScheduler(max_t=4, grace_period=1, reduction_factor=2, brackets=1),
        executor=tune.LocalExecutor(cpus=1),
    )

    first = results[0].history
    assert [row["training_iteration"] for row in first] == [1, 2, 3, 4]
    assert [row[STEPS] for row in first] == [400, 800, 1200, 1600]
    assert first[0][LR] == pytest.approx(1e-3)
    assert all(row[RETURN] > 5 for row in first)
    assert not [name for name in first[0] if name.startswith("config")]
    pids = {row["pid"] for trial in results for row in trial.history}
    commands = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in commands.splitlines()[1:] if int(line.split()[0]) in pids]


def test_pbt_clones_an_algorithm_with_its_weights_and_gives_it_another_learning_rate(tmp_path):
    from ray.rllib.algorithms.ppo import PPOConfig

    settings = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0)
    results = run(
        tmp_path,
        settings.training(train_batch_size_per_learner=400, minibatch_size=200, num_epochs=2),
        space={"lr": tune.grid_search([2e-3, 1e-9])},
        scheduler=tune.PopulationBasedTraining(
            time_attr="training_iteration",
            perturbation_interval=2,
            hyperparam_mutations={"lr": [1e-9, 1e-3, 2e-3, 4e-3]},
            resample_probability=0,
            quantile_fraction=0.5,
            synch=True,
        ),
        stop={"training_iteration": 4},
    )

    assert [trial.status for trial in results] == ["completed", "completed"]
    for trial in results:
        assert [row["training_iteration"] for row in trial.history] == [1, 2, 3, 4]
        assert [row[STEPS] for row in trial.history] == [400, 800, 1200, 1600]
    # One was cloned, and learns at the rate of its new config, not at the one in the checkpoint.
    rates = [[float(f"{row[LR]:.1g}") for row in trial.history] for trial in results]
    changed = [(before[1], before[2]) for before in rates if before[1] != before[2]]
    assert len(changed) == 1
    assert [rate[3] for rate in rates] == [pytest.approx(trial.config["lr"], rel=0.01) for trial in results]


def test_an_environment_of_ones_own_and_a_function_that_builds_the_algorithm(tmp_path):
    def build(config):
        import gymnasium
        from ray.rllib.algorithms.ppo import PPOConfig

        class Still(gymnasium.Env):
            def __init__(self, config=None):
                self.observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,))
                self.action_space = gymnasium.spaces.Discrete(2)
                self.reward = config["reward"]

            def reset(self, *, seed=None, options=None):
                return self.observation_space.low, {}

            def step(self, action):
                return self.observation_space.low, self.reward, True, False, {}

        base = PPOConfig().environment(Still, env_config={"reward": config["reward"]})
        return base.env_runners(num_env_runners=0).training(train_batch_size_per_learner=100, minibatch_size=50)

    results = run(tmp_path, tune.RayTrainable(build), space={"reward": 3.0}, stop={"training_iteration": 1})

    assert results[0].history[0][RETURN] == 3.0


def test_env_runners_get_a_bundle_each_and_run_beside_the_algorithm(tmp_path):
    before = set(Path.home().glob("ray_results/*"))
    results = run(
        tmp_path,
        tune.RayTrainable("PPO", SMALL),
        space={"num_env_runners": 1},
        stop={"training_iteration": 1},
        executor=tune.LocalExecutor(cpus=3),
    )

    assert results[0].error is None
    assert results[0].history[0]["fault_tolerance/num_healthy_workers"] == 1
    assert results[0].history[0][STEPS] == 400
    with JournalReader(tmp_path / "e") as reader:
        launched = next(event for _, event in reader.events() if isinstance(event, TrialLaunched))
    assert [bundle.resources for bundle in launched.placement.bundles] == [{"cpu": 1}, {"cpu": 1}]
    assert set(Path.home().glob("ray_results/*")) <= before  # RLlib's empty folders


def test_an_unknown_algorithm_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"RLlib has no algorithm 'PPPO'. It has .*PPO"):
        tune.RayTrainable("PPPO")

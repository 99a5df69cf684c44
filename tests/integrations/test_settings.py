"""What the constructors refuse, with the packages that are small enough to be there."""

import importlib.util

import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError
from tunesmith.space.space import Space

SPACE = Space({"x": tune.uniform(0, 1), "layers": tune.randint(1, 9)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tune.SkOptSearch(base_estimator="NN"), "base_estimator='NN': give one of"),
        (lambda: tune.BayesOptSearch(utility_kwargs={"kind": "best"}), "give a kind of ucb, ei, poi"),
        (lambda: tune.BayesOptSearch(utility_kwargs={"kind": "ei"}, acquisition=1), "Give one of them"),
        (lambda: tune.BayesOptSearch(random_state=1, seed=2), "random_state= and seed= are the same"),
        (lambda: tune.BayesOptSearch(random_search_steps=1, n_initial_points=2), "are the same"),
        (lambda: tune.HEBOSearch(random_state_seed=1, seed=2), "random_state_seed= and seed= are the same"),
        (lambda: tune.SMACSearch(facade="random"), "facade='random': give one of"),
        (lambda: tune.SMACSearch(challengers=0), "challengers=0"),
        (lambda: tune.ZOOptSearch(algo="racos"), "algo='racos': give 'asracos' or 'sracos'"),
        (lambda: tune.ZOOptSearch(budget=0), "budget=0"),
        (lambda: tune.ZOOptSearch(exploration_rate=2), "exploration_rate=2"),
        (lambda: tune.BoTorchSearch(num_restarts=0), "num_restarts=0"),
        (lambda: tune.OptunaSearch(metric="loss"), "OptunaSearch: give metric= and mode= together"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_rays_words_are_ours():
    settings = tune.BayesOptSearch(random_state=4, random_search_steps=7)

    assert (settings.seed, settings.n_initial_points) == (4, 7)
    assert tune.HEBOSearch(random_state_seed=5).seed == 5


@pytest.mark.skipif(importlib.util.find_spec("skopt") is None, reason="skopt is not installed")
def test_arguments_that_the_package_does_not_know_are_said_before_anything_runs():
    with pytest.raises(ConfigError, match=r"SkOptSearch: .*speed"):
        tune.SkOptSearch(optimizer_kwargs={"speed": 3}).bound_to(SPACE, 5, 0)


@pytest.mark.skipif(importlib.util.find_spec("flaml") is None, reason="flaml is not installed")
def test_flaml_begins_where_training_is_cheap():
    found = []

    def train(config, epoch):
        if epoch <= 1:
            found.append(config["layers"])
            return {"loss": (config["x"] - 0.5) ** 2}
        return None

    searcher = tune.CFO(low_cost_partial_config={"layers": 1})
    tune.simulate(train, space=SPACE, metric="loss", mode="min", searcher=searcher, num_samples=1)

    assert found == [1]


@pytest.mark.skipif(importlib.util.find_spec("bayes_opt") is None, reason="bayes_opt is not installed")
@pytest.mark.parametrize("utility", [{"kind": "ucb", "kappa": 1.0}, {"kind": "poi", "xi": 0.1}, None])
def test_the_acquisition_function_is_the_users(utility):
    from bayes_opt.acquisition import ExpectedImprovement

    given = {"acquisition": ExpectedImprovement(xi=0.1)} if utility is None else {"utility_kwargs": utility}

    simulation = tune.simulate(
        lambda config, epoch: {"loss": (config["x"] - 0.5) ** 2} if epoch <= 1 else None,
        space=SPACE, metric="loss", mode="min", num_samples=6,
        searcher=tune.BayesOptSearch(n_initial_points=3, **given),
    )  # fmt: skip

    assert len(simulation.trials) == 6

import math

import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError, SpaceError

hyperopt = pytest.importorskip("hyperopt")
hp = hyperopt.hp


def searched(space, run_space=None, **settings):
    return tune.HyperOptSearch(space, **settings).searched(run_space)


def test_a_space_in_hyperopts_own_words_is_searched_as_tunesmiths():
    space = searched(
        {
            "x": hp.uniform("x", -1, 2),
            "rate": hp.loguniform("rate", -5, 0),
            "width": hp.quniform("width", 0, 10, 2),
            "units": hp.uniformint("units", 2, 5),
            "shift": hp.normal("shift", 1, 2),
            "seed": hp.randint("seed", 7),
            "model": hp.choice("model", ["linear", {"name": "tree", "depth": hp.randint("depth", 1, 9)}]),
            "fixed": 3,
        }
    )

    assert {name: repr(domain) for name, domain in space.parameters.items() if name != "model"} == {
        "x": "uniform(-1.0, 2.0)",
        "rate": f"loguniform({math.exp(-5)!r}, 1.0)",
        "width": "quniform(0.0, 10.0, 2.0)",
        "units": "qrandint(2, 5, 1)",
        "shift": "randn(1.0, 2.0)",
        "seed": "randint(0, 7)",
        "model/depth": "randint(1, 9)",
    }
    assert space.root.children["fixed"].value == 3


def test_a_distribution_without_a_counterpart_is_named():
    with pytest.raises(SpaceError, match=r"hp\.lognormal has no counterpart"):
        searched({"x": hp.lognormal("x", 0, 1)})


def test_early_tunes_call_runs():
    settings = tune.HyperOptSearch(
        {"width": hp.uniform("width", 0, 20), "height": hp.uniform("height", -100, 100)},
        max_concurrent=4,
        reward_attr="neg_mean_loss",
    )

    simulation = tune.simulate(
        lambda config, epoch: (
            {"mean_loss": (config["height"] - 14) ** 2 + abs(config["width"] - 3)} if epoch <= 1 else None
        ),
        space={"iterations": 100},
        metric="mean_loss",
        mode="min",
        searcher=settings,
        num_samples=30,
        workers=4,
    )

    assert (settings.metric, settings.mode) == ("neg_mean_loss", "max")
    assert all(trial.config["iterations"] == 100 for trial in simulation.trials)
    assert simulation.best_value < 1000


def test_a_parameter_may_not_be_in_both_spaces():
    with pytest.raises(ConfigError, match="'x' is in the run's space and in the searcher's"):
        searched({"x": tune.uniform(0, 1)}, {"x": 1})
    with pytest.raises(ConfigError, match=r"tune\.Space"):
        searched({"x": tune.uniform(0, 1)}, tune.Space({"y": 1}))
    with pytest.raises(ConfigError, match="give a dict"):
        searched([1, 2])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gamma": 2}, "gamma=2: give a number of at least 0 and at most 1"),
        ({"seed": 1, "random_state_seed": 2}, "random_state_seed= and seed= are the same"),
        ({"metric": "loss", "mode": "min", "reward_attr": "gain"}, "reward_attr= and metric= are the same"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        tune.HyperOptSearch(**settings)

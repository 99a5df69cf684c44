import math
import random

import numpy as np
import pytest
from random_runs import METRIC, Run

from tunesmith.core.events import TrialExploited
from tunesmith.errors import ConfigError
from tunesmith.schedulers.bandit import DRIFT, Kernel, Observation, _Posterior, best_point
from tunesmith.schedulers.pb2 import PB2


def observed(function, count, *, seed=0, dimensions=1):
    draw = random.Random(seed)
    points = [tuple(draw.random() for _ in range(dimensions)) for _ in range(count)]
    return [Observation(time / 4, point, function(time / 4, point)) for time, point in enumerate(points)]


def test_the_kernel_forgets_with_time():
    kernel = Kernel(0.5, 0.1)
    points, times = np.array([[0.2], [0.7]]), np.array([1.0, 4.0])

    found = kernel.between(points, times, points, times)

    assert np.allclose(np.diag(found), 1)
    assert found[0, 1] == pytest.approx(math.exp(-(0.5**2) / (2 * 0.5**2)) * (1 - DRIFT) ** (3 / 2))


def test_the_posterior_is_that_of_the_textbook():
    draw = np.random.default_rng(0)
    kernel = Kernel(0.3, 0.05)
    points, times, gains = draw.random((20, 2)), np.arange(20.0), draw.standard_normal(20)
    running, now = draw.random((3, 2)), 20.0
    candidates = draw.random((5, 2))

    def covariance(left, left_times, right, right_times):
        return np.array([[math.exp(-((a - b) ** 2).sum() / (2 * 0.09)) * 0.9 ** (abs(s - t) / 2)
                          for b, t in zip(right, right_times, strict=True)]
                         for a, s in zip(left, left_times, strict=True)])  # fmt: skip

    across = covariance(candidates, [now] * 5, points, times)
    mean = across @ np.linalg.inv(covariance(points, times, points, times) + 0.05 * np.eye(20)) @ gains
    both, both_times = np.vstack([points, running]), [*times, now, now, now]
    wide = covariance(candidates, [now] * 5, both, both_times)
    shrunk = wide @ np.linalg.inv(covariance(both, both_times, both, both_times) + 0.05 * np.eye(23)) @ wide.T

    model = _Posterior(kernel, points, times, gains, running, now)

    assert np.allclose(model.bound(candidates, 0.0), mean)
    assert np.allclose(model.bound(candidates, 2.0) - mean, 2 * np.sqrt(1 - np.diag(shrunk)))


def test_the_point_is_near_the_optimum_of_what_was_seen():
    seen = observed(lambda time, point: -((point[0] - 0.7) ** 2), 60)

    chosen = [best_point(seen, [], 15.0, 1, random.Random(seed))[0] for seed in range(5)]

    assert all(abs(value - 0.7) < 0.15 for value in chosen), chosen


def test_it_follows_an_optimum_that_moves():
    # The optimum goes from 0.1 to 0.9; without forgetting it would be looked for in the middle.
    seen = observed(lambda time, point: -((point[0] - 0.1 - 0.8 * time / 25) ** 2), 100)

    chosen = [best_point(seen, [], 25.0, 1, random.Random(seed))[0] for seed in range(3)]

    assert all(value > 0.7 for value in chosen), chosen


def test_points_that_are_being_tried_keep_others_away():
    seen = observed(lambda time, point: random.Random(repr(point)).gauss(0, 1), 12)

    alone = best_point(seen, [], 3.0, 1, random.Random(1))
    beside = best_point(seen, [alone] * 3, 3.0, 1, random.Random(1))

    assert abs(beside[0] - alone[0]) > 0.02


@pytest.mark.parametrize("seen", [[], observed(lambda time, point: 0.0, 20)])
def test_without_anything_to_learn_from_the_point_is_random(seen):
    points = {best_point(seen, [], 1.0, 2, random.Random(seed)) for seed in range(5)}

    assert len(points) == 5
    assert all(0 <= share <= 1 for point in points for share in point)


def naive_observations(journal, interval):
    """What each interval brought, read from the journal."""
    config, score, last, seen, clones = {}, {}, {}, [], set()
    for event in journal:
        match type(event).__name__:
            case "Suggested":
                config.update({len(config) + n: one for n, one in enumerate(list(event.configs))})
            case "TrialLaunched":
                clones.discard(event.trial)
            case "TrialExploited" if event.trial != event.source:
                config[event.trial], score[event.trial] = event.config, score[event.source]
                last[event.trial] = event.number
                clones.add(event.trial)
            case "Reported" if event.trial not in clones and event.number >= last.get(event.trial, 0) + interval:
                before, value = score.get(event.trial), event.metrics[METRIC]
                if before is not None:
                    seen.append((event.number / interval, config[event.trial]["lr"], value - before))
                score[event.trial], last[event.trial] = value, event.number
    return seen


def test_its_observations_are_the_gains_of_the_intervals_and_its_configs_stay_in_the_bounds():
    for seed in range(4):
        scheduler = PB2(time_attr="training_iteration", perturbation_interval=3, hyperparam_bounds={"lr": [0.1, 0.5]})
        run = Run(scheduler, seed, trials=8, trouble=0.0, value_of=lambda draw, running: {METRIC: draw.random()},
                  config_of=lambda draw, trial: {"lr": 0.1 + trial / 20}).play()  # fmt: skip

        seen = [(one.time, 0.1 + 0.4 * one.point[0], one.gain) for one in scheduler._observations]
        assert np.allclose(seen, naive_observations(run.journal, 3))
        clones = [event for event in run.journal if isinstance(event, TrialExploited)]
        assert all(0.1 <= event.config["lr"] <= 0.5 for event in clones)
        assert len({event.config["lr"] for event in clones}) > 3 < len(clones)


def test_what_a_config_has_as_an_int_stays_one_and_missing_keys_are_drawn():
    scheduler = PB2(time_attr="training_iteration", perturbation_interval=3,
                    hyperparam_bounds={"net": {"width": [8, 64]}, "lr": [0.1, 0.5]})  # fmt: skip
    run = Run(scheduler, 2, trials=6, config_of=lambda draw, trial: {"net": {"width": 8 + trial}},
              value_of=lambda draw, running: {METRIC: draw.random()}).play()  # fmt: skip

    for trial in run.experiment.trials:
        assert type(trial.config["net"]["width"]) is int
        assert 0.1 <= trial.config["lr"] <= 0.5


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"lr": [1, 0]}, r"hyperparam_bounds\['lr'\]=\[1, 0\] is empty.*Swap them"),
        ({"lr": 1}, r"hyperparam_bounds\['lr'\]=1: give the lowest"),
        ({"net": {"lr": ["a", "b"]}}, r"hyperparam_bounds\['net'\]\['lr'\]"),
        ([1], r"hyperparam_bounds=\[1\]: give a dict"),
        ({"lr": [0, math.inf]}, "is not a finite number"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(bounds, message):
    with pytest.raises(ConfigError, match=message):
        PB2(hyperparam_bounds=bounds)


def test_no_bounds_are_warned_of():
    assert PB2().warnings[0].startswith("hyperparam_bounds= is empty")

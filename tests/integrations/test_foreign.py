import logging
import random
import warnings

import numpy as np

import tunesmith as tune
from searchers.told import Told
from tunesmith.integrations.foreign import Draws, all_observations, observations, quiet, reseeded


def test_a_failed_trial_counts_as_the_worst_and_a_pending_one_as_the_mean():
    told = Told({"x": tune.uniform(0, 1)})
    trials = [told.suggest({"x": x}) for x in (0.125, 0.25, 0.5, 0.75)]
    told.complete(trials[0], 1.0)
    told.complete(trials[1], 4.0)
    told.fail(trials[2])

    rows, losses = observations(told.history(), with_pending=True)

    assert rows.tolist() == [[0.125], [0.25], [0.5], [0.75]]
    assert losses.tolist() == [1.0, 4.0, 4.0, 2.5]
    assert observations(told.history(), with_pending=False)[1].tolist() == [1.0, 4.0, 4.0]


def test_with_several_objectives_a_failed_trial_is_the_worst_in_each():
    told = Told({"x": tune.uniform(0, 1)}, more=[("cost", "min")])
    trials = [told.suggest({"x": x}) for x in (0.125, 0.25, 0.5)]
    told.complete(trials[0], 1.0, cost=3.0)
    told.complete(trials[1], 4.0, cost=2.0)
    told.fail(trials[2])

    assert all_observations(told.history(), with_pending=True)[1].tolist() == [[1.0, 3.0], [4.0, 2.0], [4.0, 3.0]]


def test_the_processes_own_draws_are_left_alone_and_those_of_an_object_go_on():
    random.seed(1)
    np.random.seed(1)
    before = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    one, other = Draws(7), Draws(7)

    with one:
        first = random.random(), np.random.random()
    between = random.random(), np.random.random()
    with one:
        second = random.random(), np.random.random()
    with other:
        again = [(random.random(), np.random.random()) for _ in range(2)]

    assert between == before
    assert again == [first, second]


class _Sampler:
    def __init__(self):
        self.generator = np.random.RandomState(1)
        self.inner = _Inner()
        self.inner.outer = self  # a circle


class _Inner:
    def __init__(self):
        self.generator = np.random.RandomState(1)


def test_a_copy_is_seeded_throughout_and_the_original_is_not():
    sampler = _Sampler()

    one, same, other = (reseeded(sampler, seed) for seed in (3, 3, 4))

    draws = [(copied.generator.random(), copied.inner.generator.random()) for copied in (one, same, other)]
    assert draws[0] == draws[1] != draws[2]
    assert draws[0][0] != draws[0][1]
    assert sampler.generator.random() == np.random.RandomState(1).random()


def test_a_package_is_silent_and_its_log_is_as_it_was():
    log = logging.getLogger("some_package.part")
    log.setLevel(logging.INFO)

    with quiet("some_package"):
        assert not log.isEnabledFor(logging.WARNING)
        warnings.warn("not for us", UserWarning, stacklevel=1)  # an error in these tests

    assert log.level == logging.INFO

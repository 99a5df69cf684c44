import numpy as np
import pytest
from scipy.optimize import approx_fprime

from tunesmith.searchers.gaussian_process import (
    NO_TREND,
    Data,
    Hyperparameters,
    Posterior,
    Trend,
    fitted,
    negative_log_posterior,
)


def data_of(values, points, extra=0.0, trend=NO_TREND):
    return Data(points, np.arange(points.shape[1]), np.asarray(values), np.full(len(points), extra), trend)


def some_data(count=25, dimensions=3, seed=0, trend=NO_TREND):
    random = np.random.default_rng(seed)
    points = random.random((count, dimensions))
    values = np.sin(5 * points[:, 0]) + points[:, 1] ** 2 + 0.1 * random.standard_normal(count)
    return data_of((values - values.mean()) / values.std(), points, trend=trend)


TREND = Trend.over(np.array([0, 2]), 3)


@pytest.mark.parametrize("trend", [NO_TREND, TREND])
@pytest.mark.parametrize(
    "vector",
    [[0.1, -1.0, 1.2, 0.3, -4.0, -1.0], [-1.0, -1.0, -1.0, -0.5, -9.0, -5.0], [2.0, 0.0, 3.0, 1.0, -1.0, 2.0]],
)
def test_the_gradient_of_the_posterior_is_what_finite_differences_say(vector, trend):
    data = some_data(trend=trend)

    gradient = negative_log_posterior(np.array(vector), data)[1]

    by_differences = approx_fprime(np.array(vector), lambda v: negative_log_posterior(v, data)[0], 1e-6)
    assert np.allclose(gradient, by_differences, rtol=2e-4, atol=2e-4)


def test_several_features_may_share_a_length():
    random = np.random.default_rng(1)
    points = random.random((20, 3))
    data = Data(points, np.array([0, 0, 1]), random.standard_normal(20), np.full(20, 0.01))
    vector = np.array([0.2, -0.3, 0.1, -3.0, 0.0])

    gradient = negative_log_posterior(vector, data)[1]

    assert np.allclose(
        gradient, approx_fprime(vector, lambda v: negative_log_posterior(v, data)[0], 1e-6), rtol=2e-4, atol=2e-4
    )


def test_a_length_is_long_where_nothing_depends_on_it():
    parameters, _ = fitted(some_data(60), [Hyperparameters.expected(3)])

    assert parameters.lengths[2] > 3 * parameters.lengths[0]
    assert 0.003 < parameters.noise < 0.1


def test_without_noise_it_passes_through_what_it_knows_and_returns_to_its_mean_far_away():
    data = some_data()
    process = Posterior(Hyperparameters(np.full(3, 0.5), 1.0, 1e-8, 1.0), data)

    mean, variance = process.at(data.features)
    far_mean, far_variance = process.at(np.full((1, 3), 50.0))

    assert np.allclose(mean, data.values, atol=1e-3)
    assert variance.max() < 1e-3
    assert far_mean[0] == pytest.approx(process.mean)
    assert far_variance[0] == pytest.approx(1.0)


def test_a_value_that_is_known_badly_pulls_less():
    points = np.array([[0.2], [0.8]])
    hyperparameters = Hyperparameters(np.array([0.1]), 1.0, 1e-6, 1.0)
    sure = Posterior(hyperparameters, Data(points, np.array([0]), np.array([1.0, -1.0]), np.array([0.0, 0.0])))
    unsure = Posterior(hyperparameters, Data(points, np.array([0]), np.array([1.0, -1.0]), np.array([0.0, 2.0])))

    assert sure.at(points[1:])[0] < unsure.at(points[1:])[0] < 0


def test_a_pending_point_narrows_the_deviation_and_keeps_the_mean():
    data, pending = some_data(), np.array([[0.5, 0.5, 0.5]])
    parameters = Hyperparameters(np.full(3, 0.3), 1.0, 1e-4, 1.0)
    before, after = Posterior(parameters, data), Posterior(parameters, data, pending)

    (mean,), (variance,) = before.at(pending)
    (believed,), (narrowed,) = after.at(pending)

    assert believed == pytest.approx(mean)
    assert narrowed < 0.01 * variance


@pytest.mark.parametrize("trend", [NO_TREND, TREND])
def test_the_slopes_of_mean_and_variance_are_what_finite_differences_say(trend):
    data = some_data(trend=trend)
    process = Posterior(Hyperparameters(np.array([0.3, 0.6, 2.0]), 1.3, 1e-3, 0.5), data, np.array([[0.1, 0.2, 0.3]]))
    at = np.array([0.4, 0.3, 0.9])

    mean, variance, by_mean, by_variance = process.with_slopes(at)

    assert (mean, variance) == pytest.approx([each[0] for each in process.at(at[None])])
    assert np.allclose(by_mean, approx_fprime(at, lambda x: process.at(x[None])[0][0], 1e-6), atol=1e-4)
    assert np.allclose(by_variance, approx_fprime(at, lambda x: process.at(x[None])[1][0], 1e-6), atol=1e-4)


def test_the_same_point_twice_is_no_trouble():
    points = np.repeat(np.random.default_rng(0).random((5, 2)), 4, axis=0)
    data = data_of(np.arange(20.0) / 20, points)

    parameters, _ = fitted(data, [Hyperparameters.expected(2)])

    assert np.isfinite(Posterior(parameters, data).at(points)[0]).all()


def test_a_trend_is_found_and_goes_on_where_nothing_is_known():
    random = np.random.default_rng(0)
    points = 0.5 * random.random((60, 10))  # of 10 dimensions only one part in a thousand
    values = ((points - 0.8) ** 2).sum(axis=1)
    spread = values.std()
    data = data_of((values - values.mean()) / spread, points, trend=Trend.over(np.arange(10), 10))

    parameters, _ = fitted(data, [Hyperparameters.expected(10)])

    ((there,), _), ((middle,), _) = (Posterior(parameters, data).at(np.full((1, 10), at)) for at in (0.8, 0.5))
    lowest = -values.mean() / spread
    assert middle == pytest.approx((0.9 - values.mean()) / spread, abs=0.1 * abs(lowest))
    assert there == pytest.approx(lowest, abs=0.2 * abs(lowest))


def test_without_a_trend_in_the_data_hardly_any_is_found():
    random = np.random.default_rng(2)
    points = random.random((60, 3))
    values = np.sin(14 * points).sum(axis=1)
    data = data_of((values - values.mean()) / values.std(), points, trend=TREND)

    parameters, _ = fitted(data, [Hyperparameters.expected(3)])

    assert parameters.trend < 0.05 * parameters.scale

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import norm

from tunesmith.searchers.acquisition import log_expected_excess, log_expected_improvement, log_improvement_slopes


def test_it_is_the_logarithm_of_the_expected_improvement_where_that_can_be_computed():
    z = np.linspace(-5, 8, 101)

    plain = np.log(z * norm.cdf(z) + norm.pdf(z))

    assert np.allclose(log_expected_excess(z), plain, rtol=1e-6)


def test_far_out_it_follows_its_asymptotic_series():
    z = np.array([-50.0, -900.0, -1100.0, -1e5, -1e8])

    series = norm.logpdf(z) - 2 * np.log(-z) + np.log1p(-3 / z**2 + 15 / z**4)

    assert np.allclose(log_expected_excess(z), series, rtol=1e-8)


def test_it_grows_everywhere_without_a_step():
    z = np.concatenate([np.linspace(-2000, -1.001, 20001), np.linspace(-1.0, 3, 2001)])

    assert (np.diff(log_expected_excess(z)) > 0).all()


@pytest.mark.parametrize(("mean", "variance"), [(0.3, 0.5), (-2.0, 0.01), (4.0, 0.02), (30.0, 0.01)])
def test_its_slopes_are_what_finite_differences_say(mean, variance):
    def value(at):
        return log_expected_improvement(at[:1], np.sqrt(at[1:]), 0.1)[0]

    found, by_mean, by_variance = log_improvement_slopes(mean, variance, 0.1)

    at = np.array([mean, variance])
    assert found == pytest.approx(value(at))
    assert np.allclose([by_mean, by_variance], approx_fprime(at, value, 1e-7 * at), rtol=1e-3)

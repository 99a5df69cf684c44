import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.stats import skew

from tunesmith.searchers.warping import fitted_warp, yeo_johnson


def test_what_is_skewed_is_no_longer():
    losses = np.exp(2 * np.random.default_rng(0).standard_normal(200))

    bent = fitted_warp(losses).of(losses)

    assert abs(skew(bent)) < 1 < 3 < skew(losses)
    assert bent.mean() == pytest.approx(0, abs=1e-9)
    assert bent.std() == pytest.approx(1)


@pytest.mark.parametrize("losses", [[3.0, 3.0, 3.0], [1e300, 2e300, -1e300], [0.0, 1e-300], [1.0] * 50 + [2.0]])
def test_it_keeps_the_order_of_strange_losses(losses):
    losses = np.array(losses)

    bent = fitted_warp(losses).of(losses)

    assert np.isfinite(bent).all()
    assert (np.diff(bent[np.argsort(losses, kind="stable")]) >= 0).all()


def test_its_slope_is_what_finite_differences_say():
    losses = np.random.default_rng(0).gamma(1.0, 3.0, 50)
    warp = fitted_warp(losses)

    slopes = [approx_fprime(losses[i : i + 1], lambda x: warp.of(x)[0], 1e-6)[0] for i in range(50)]

    assert np.allclose(warp.slope(losses), slopes, rtol=1e-3)


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, -3.0])
def test_the_transform_is_scipys(power):
    from scipy.stats import yeojohnson

    numbers = np.linspace(-3, 3, 20)

    assert np.allclose(yeo_johnson(numbers, power), yeojohnson(numbers, power))

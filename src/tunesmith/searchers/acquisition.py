"""How much a point is expected to improve on the best, as a logarithm: its slope vanishes nowhere.

Source: Ament et al. 2023, "Unexpected Improvements to Expected Improvement for Bayesian Optimization" (LogEI).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfcx, log_ndtr

Floats = NDArray[np.float64]

LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)
ROOT_HALF_PI = math.sqrt(0.5 * math.pi)
ROOT2 = math.sqrt(2.0)
FAR = -1e6
"""Below it the ratio of the tail to the density is its asymptotic series to the last bit."""


def log_expected_excess(z: Floats) -> Floats:
    """Return log(z Phi(z) + phi(z)), the logarithm of E[max(0, Z + z)] of a standard normal Z; exact for any z."""
    z = np.asarray(z, dtype=np.float64)
    result = np.empty_like(z)
    near = z > -1.0
    high = z[near]
    density = np.exp(-0.5 * high * high - LOG_ROOT_TWO_PI)
    result[near] = np.log(density + high * np.exp(log_ndtr(high)))
    low = z[~near]
    # Phi(z) / phi(z) = sqrt(pi / 2) erfcx(-z / sqrt(2)): what is left of 1 + z * that cancels far out, where 1 / z^2
    # is all of it.
    middle = low > -1e3
    left = np.empty_like(low)
    left[middle] = np.log1p(low[middle] * ROOT_HALF_PI * erfcx(-low[middle] / ROOT2))
    left[~middle] = -2.0 * np.log(-low[~middle])
    result[~near] = -0.5 * low * low - LOG_ROOT_TWO_PI + left
    return result


def log_expected_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Return the logarithm of how far below `best` a normal value is expected to come, shape (k,)."""
    return np.log(deviation) + log_expected_excess((best - mean) / deviation)


def log_improvement_slopes(mean: float, variance: float, best: float) -> tuple[float, float, float]:
    """Return log EI at one point, and its derivatives by the mean and by the variance."""
    deviation = math.sqrt(variance)
    z = (best - mean) / deviation
    excess = float(log_expected_excess(np.array([z]))[0])
    # EI = s (z Phi + phi): its derivatives are -Phi by the mean and phi by s.
    tail = math.exp(float(log_ndtr(z)) - excess)
    density = math.exp(-0.5 * z * z - LOG_ROOT_TWO_PI - excess)
    return math.log(deviation) + excess, -tail / deviation, density / (2.0 * variance)

"""Losses made easier for a Gaussian process: a monotone transform after which they look normal. Pure functions.

Source: Yeo and Johnson 2000, "A New Family of Power Transformations to Improve Normality or Symmetry"; before a
Gaussian process as in HEBO (Cowen-Rivers et al. 2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

Floats = NDArray[np.float64]

LEAST_POWER, MOST_POWER = -6.0, 4.0
LARGEST = 1e150
"""Losses beyond it count as it: their squares would be infinite."""


@dataclass(frozen=True, slots=True)
class Warp:
    """Losses are shifted and scaled, bent by a power, then standardised. It keeps their order."""

    shift: float
    scale: float
    power: float
    mean: float
    deviation: float

    def of(self, losses: Floats) -> Floats:
        """Return what the losses are turned into."""
        bent = yeo_johnson((_finite(losses) - self.shift) / self.scale, self.power)
        return (bent - self.mean) / self.deviation

    def slope(self, losses: Floats) -> Floats:
        """Return by how much what becomes of a loss grows with it."""
        standard = (_finite(losses) - self.shift) / self.scale
        away = 1.0 + np.abs(standard)
        power = np.where(standard < 0, 1.0 - self.power, self.power - 1.0)
        return away**power / (self.scale * self.deviation)


def fitted_warp(losses: Floats) -> Warp:
    """Return the transform under which the losses look most normal."""
    losses = _finite(losses)
    shift, scale = float(losses.mean()), float(losses.std())
    if not scale > 0:
        return Warp(shift, 1.0, 1.0, 0.0, 1.0)
    standard = (losses - shift) / scale
    power = likeliest_power(standard)
    bent = yeo_johnson(standard, power)
    deviation = float(bent.std())
    if not deviation > 0:
        power, bent, deviation = 1.0, standard, 1.0
    return Warp(shift, scale, power, float(bent.mean()), deviation)


def _finite(losses: Floats) -> Floats:
    return np.clip(losses, -LARGEST, LARGEST)


def likeliest_power(standard: Floats) -> float:
    """Return the power of Yeo and Johnson's transform under which numbers are likeliest to be normal."""
    logs = float((np.sign(standard) * np.log1p(np.abs(standard))).sum())

    def cost(power: float) -> float:
        variance = float(yeo_johnson(standard, power).var())
        if not variance > 0:
            return math.inf
        return 0.5 * len(standard) * math.log(variance) - (power - 1.0) * logs

    found = minimize_scalar(cost, bounds=(LEAST_POWER, MOST_POWER), method="bounded", options={"xatol": 1e-3})
    return float(found.x)


def yeo_johnson(standard: Floats, power: float) -> Floats:
    """Return the transform of numbers by a power; 1 is the identity."""
    away = np.log1p(np.abs(standard))
    return np.where(standard < 0, -_box_cox(away, 2.0 - power), _box_cox(away, power))


def _box_cox(logs: Floats, power: float) -> Floats:
    """Return (exp(logs) ** power - 1) / power, and its limit at 0."""
    if abs(power) < 1e-8:
        return logs
    return np.asarray(np.expm1(power * logs) / power)

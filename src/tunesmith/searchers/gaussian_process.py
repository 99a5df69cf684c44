"""A Gaussian process over features of points: its likeliest hyperparameters, and what it says about other points.

Knows nothing of configs and trials, nor whether small values are good. The kernel is Matern-5/2 with one length for
each group of features; the mean is a constant; the noise is the same everywhere, plus what is known of each value.

Source: Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning", chapters 2 and 5; that lengths
grow a priori with the root of the number of dimensions is Hvarfner et al. 2024's ("Vanilla Bayesian Optimization
Performs Great in High Dimensions"). That they share a level is ours: with a prior for each alone, some dozens of values
in many dimensions are explained by two or three of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs, dtrtri
from scipy.optimize import minimize

Floats = NDArray[np.float64]

ROOT5 = math.sqrt(5.0)
LENGTH_MEAN, LEVEL_DEVIATION, LENGTH_DEVIATION = 0.0, 1.0, 0.7
"""Of the logarithms of the lengths in one dimension, a priori: the mean, the deviation of the level that they share,
and of each from it."""
SHORTEST = 0.06
"""Of lengths in one dimension. What is rougher is noise: a model that believes in shorter ones after a few unlucky
values knows nothing but the surroundings of the best, and never looks elsewhere again."""
SCALE_DEVIATION = 1.0
NOISE_MEAN, NOISE_DEVIATION = math.log(1e-4), 3.0
"""Of the logarithm of the noise's variance; the values have variance 1."""
MEAN_VARIANCE = 1.0
LEAST_NOISE = 1e-7
"""Variance; below it the covariance is singular in double precision."""
MOST_STEPS = 60


@dataclass(frozen=True, slots=True, eq=False)
class Hyperparameters:
    """What a process is told by its data."""

    lengths: Floats
    """One for each group of features, shape (g,)."""
    scale: float
    """Variance of the function."""
    noise: float
    """Variance of the noise that all values have."""

    @property
    def vector(self) -> Floats:
        """Their logarithms, shape (g + 2,)."""
        return np.asarray(np.log(np.concatenate([self.lengths, [self.scale, self.noise]])))

    @staticmethod
    def of(vector: Floats) -> Hyperparameters:
        """Return what `vector` says of them."""
        found = np.exp(vector)
        return Hyperparameters(found[:-2], float(found[-2]), float(found[-1]))

    @staticmethod
    def expected(groups: int) -> Hyperparameters:
        """Return the ones to start from: somewhat shorter than the prior's lengths, where gradients say most."""
        return Hyperparameters(np.full(groups, 0.5 * math.sqrt(groups)), 1.0, 1e-3)


@dataclass(frozen=True, slots=True, eq=False)
class Data:
    """What is known: features of points, and a value at each."""

    features: Floats
    """Shape (n, m)."""
    groups: NDArray[np.intp]
    """Which length each feature is measured by, shape (m,)."""
    values: Floats
    """Shape (n,)."""
    extra: Floats
    """Variance of each value beyond the noise that all have, shape (n,)."""


def squared_distances(features: Floats, others: Floats) -> Floats:
    """Return the squared distances of all pairs, shape (n, k)."""
    # No array of differences: it would be d times as large.
    squares = (features**2).sum(1)[:, None] + (others**2).sum(1)[None, :] - 2.0 * (features @ others.T)
    return np.asarray(np.maximum(squares, 0.0))


def matern(squares: Floats, scale: float) -> tuple[Floats, Floats]:
    """Return the covariances at squared distances, and minus their derivative by half the squared distance."""
    distance = ROOT5 * np.sqrt(squares)
    decay = scale * np.exp(-distance)
    slope = decay * (1.0 + distance)
    return slope + decay * distance**2 / 3.0, (5.0 / 3.0) * slope


def negative_log_posterior(vector: Floats, data: Data) -> tuple[float, Floats]:
    """Return minus the logarithm of the hyperparameters' posterior density, up to a constant, and its gradient.

    Args:
        vector: Logarithms, as `Hyperparameters.vector`.
        data: What they are to explain.
    """
    count = len(data.values)
    dimensions = len(vector) - 2
    lengths, scale, noise = np.exp(vector[:-2]), math.exp(vector[-2]), math.exp(vector[-1])
    scaled = data.features / lengths[data.groups]
    kernel, slope = matern(squared_distances(scaled, scaled), scale)
    np.fill_diagonal(kernel, scale)
    covariance = kernel.copy()
    covariance.flat[:: count + 1] += noise + LEAST_NOISE + data.extra
    factor, failed = dpotrf(covariance, lower=1, overwrite_a=1)
    if failed:
        return 1e25, np.zeros_like(vector)
    half = np.log(factor.diagonal()).sum()
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    mean, weights = _mean_and_weights(inverse, data.values)
    residual = data.values - mean
    lengths_cost, lengths_slope = _unlikely_lengths(vector[:-2])
    off = (vector[-1] - NOISE_MEAN) / NOISE_DEVIATION
    large = vector[-2] / SCALE_DEVIATION
    value = 0.5 * residual @ weights + half + 0.5 * mean**2 / MEAN_VARIANCE + lengths_cost + 0.5 * (off**2 + large**2)

    # d(log likelihood) = tr(outer dK) / 2; the mean is at its optimum, so that it adds nothing.
    outer = np.outer(weights, weights) - inverse
    pull = outer * slope
    per_feature = (pull.sum(1) @ scaled**2) - np.einsum("ij,ij->j", scaled, pull @ scaled)
    gradient = np.empty_like(vector)
    gradient[:-2] = np.bincount(data.groups, weights=per_feature, minlength=dimensions)
    gradient[-2] = 0.5 * np.einsum("ij,ij->", outer, kernel)
    gradient[-1] = 0.5 * noise * outer.trace()
    gradient = -gradient
    gradient[:-2] += lengths_slope
    gradient[-2] += large / SCALE_DEVIATION
    gradient[-1] += off / NOISE_DEVIATION
    return float(value), gradient


def _unlikely_lengths(logs: Floats) -> tuple[float, Floats]:
    """Return minus the logarithm of the lengths' prior density, and its gradient.

    The logarithms share a level, which is normal, and deviate from it by normal amounts: a covariance of
    `LENGTH_DEVIATION**2` on the diagonal plus `LEVEL_DEVIATION**2` everywhere.
    """
    count = len(logs)
    off = logs - LENGTH_MEAN - 0.5 * math.log(count)
    shared = LEVEL_DEVIATION**2 / (LENGTH_DEVIATION**2 + count * LEVEL_DEVIATION**2)
    slope = (off - shared * off.sum()) / LENGTH_DEVIATION**2
    return 0.5 * float(off @ slope), slope


def _mean_and_weights(inverse: Floats, values: Floats) -> tuple[float, Floats]:
    """Return the likeliest constant mean, with a wide prior, and the covariance's inverse times what is left."""
    sums = inverse.sum(1)
    mean = float(sums @ values / (sums.sum() + 1.0 / MEAN_VARIANCE))
    return mean, inverse @ values - mean * sums


def fitted(data: Data, starts: list[Hyperparameters]) -> tuple[Hyperparameters, float]:
    """Return the likeliest hyperparameters that are found from some starts, and their negative log posterior."""
    best, least = starts[0].vector, math.inf
    groups = len(best) - 2
    shortest = math.log(SHORTEST * math.sqrt(groups))
    bounds = [(shortest, math.log(1e3))] * groups + [(math.log(0.02), math.log(50.0)), (math.log(1e-8), 0.0)]
    for start in starts:
        found = minimize(
            negative_log_posterior,
            np.maximum(start.vector, [low for low, _ in bounds]),
            args=(data,),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": MOST_STEPS, "ftol": 1e-5, "gtol": 1e-3},
        )
        if found.fun < least:
            best, least = found.x, float(found.fun)
    return Hyperparameters.of(best), least


class Posterior:
    """A process that has seen its data.

    Points that are `pending` have no value yet: they are believed to bring the mean, so that they only narrow the
    deviation around themselves (the kriging believer of Ginsbourger et al. 2010).
    """

    def __init__(self, parameters: Hyperparameters, data: Data, pending: Floats | None = None) -> None:
        self.parameters = parameters
        self._measure = parameters.lengths[data.groups]
        scaled = data.features / self._measure
        self._known = len(scaled)
        self._weights, self.mean = self._solved(scaled, data.values, parameters.noise + data.extra)
        if pending is not None and len(pending):
            scaled = np.vstack([scaled, pending / self._measure])
            believed = np.full(len(scaled), parameters.noise)
            believed[: self._known] += data.extra
        else:
            believed = parameters.noise + data.extra
        self._scaled = scaled
        self._whitening = dtrtri(self._factor(scaled, believed), lower=1)[0]
        """The inverse of the covariance's lower Cholesky factor."""

    def _factor(self, scaled: Floats, noise: Floats | float) -> Floats:
        covariance = self._kernel(squared_distances(scaled, scaled))[0]
        for jitter in (LEAST_NOISE, 1e-5, 1e-3):
            trial = covariance.copy()
            trial.flat[:: len(trial) + 1] += noise + jitter
            factor, failed = dpotrf(trial, lower=1)
            if not failed:
                return np.tril(factor)
        raise AssertionError("a covariance with a jitter of 0.001 is not positive definite")

    def _solved(self, scaled: Floats, values: Floats, noise: Floats | float) -> tuple[Floats, float]:
        factor = self._factor(scaled, noise)
        both, _ = dpotrs(factor, np.column_stack([values, np.ones_like(values)]), lower=1)
        mean = float(both[:, 1] @ values / (both[:, 1].sum() + 1.0 / MEAN_VARIANCE))
        return both[:, 0] - mean * both[:, 1], mean

    def _kernel(self, squares: Floats) -> tuple[Floats, Floats]:
        return matern(squares, self.parameters.scale)

    def at(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the mean and the variance of the function at some points, each of shape (k,)."""
        across, _ = self._kernel(squared_distances(features / self._measure, self._scaled))
        mean = self.mean + across[:, : self._known] @ self._weights
        explained = ((across @ self._whitening.T) ** 2).sum(1)
        return mean, np.maximum(self.parameters.scale - explained, 1e-12)

    def with_slopes(self, features: Floats) -> tuple[float, float, Floats, Floats]:
        """Return mean and variance at one point of shape (m,), and their derivatives by its features."""
        scaled = features / self._measure
        apart = scaled[None, :] - self._scaled
        across, slope = self._kernel(np.einsum("ij,ij->i", apart, apart))
        lean = -slope[:, None] * apart / self._measure
        white = self._whitening @ across
        mean = self.mean + across[: self._known] @ self._weights
        variance = max(self.parameters.scale - float(white @ white), 1e-12)
        return (
            float(mean),
            variance,
            self._weights @ lean[: self._known],
            -2.0 * (white @ self._whitening) @ lean,
        )

"""A Gaussian process over features of points: its likeliest hyperparameters, and what it says about other points.

Knows nothing of configs and trials, nor whether small values are good. The kernel is Matern-5/2 with one length for
each group of features, plus a trend that adds up over some of them; the mean is a constant; the noise is the same
everywhere, plus what is known of each value.

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
ROOT12 = math.sqrt(12.0)
LENGTH_MEAN, LEVEL_DEVIATION, LENGTH_DEVIATION = 0.0, 1.0, 0.7
"""Of the logarithms of the lengths in one dimension, a priori: the mean, the deviation of the level that they share,
and of each from it."""
SHORTEST = 0.06
"""Of lengths in one dimension. What is rougher is noise: a model that believes in shorter ones after a few unlucky
values knows nothing but the surroundings of the best, and never looks elsewhere again."""
SCALE_DEVIATION = 1.0
NOISE_MEAN, NOISE_DEVIATION = math.log(1e-4), 3.0
"""Of the logarithm of the noise's variance; the values have variance 1."""
TREND_MEAN, TREND_DEVIATION = math.log(0.03), 2.0
"""Of the logarithm of the trend's variance. Lines and parabolas that are believed in too early lead astray."""
MEAN_VARIANCE = 1.0
PARABOLA_DEVIATION = math.sqrt(0.8)
"""Of the square of a uniform number of variance 1."""
LEAST_NOISE = 1e-7
"""Variance; below it the covariance is singular in double precision."""
MOST_STEPS = 60
OTHERS = 3
"""Hyperparameters beside the lengths: the variances of the function, of its noise and of its trend."""
OTHERS_MEAN = np.array([0.0, NOISE_MEAN, TREND_MEAN])
OTHERS_DEVIATION = np.array([SCALE_DEVIATION, NOISE_DEVIATION, TREND_DEVIATION])
MOST_TREND, LEAST_TREND = 50.0, 2e-4


@dataclass(frozen=True, slots=True, eq=False)
class Hyperparameters:
    """What a process is told by its data."""

    lengths: Floats
    """One for each group of features, shape (g,)."""
    scale: float
    """Variance of the function."""
    noise: float
    """Variance of the noise that all values have."""
    trend: float
    """Variance of the trend over the space."""

    @property
    def vector(self) -> Floats:
        """Their logarithms, shape (g + 3,)."""
        return np.asarray(np.log(np.concatenate([self.lengths, [self.scale, self.noise, self.trend]])))

    @staticmethod
    def of(vector: Floats) -> Hyperparameters:
        """Return what `vector` says of them."""
        found = np.exp(vector)
        return Hyperparameters(found[:-3], *found[-3:].tolist())

    @staticmethod
    def expected(groups: int) -> Hyperparameters:
        """Return the ones to start from: somewhat shorter than the prior's lengths, where gradients say most."""
        return Hyperparameters(np.full(groups, 0.5 * math.sqrt(groups)), 1.0, 1e-3, math.exp(TREND_MEAN))


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """What adds up over some features: a line and a parabola along each.

    Some dozens of values in many dimensions say little about what is far from them, but much about such a sum. Its
    coefficients are normal a priori and all alike.
    """

    along: NDArray[np.intp]
    """The features."""
    weight: float
    """The standard deviation of each term, in a trend of variance 1."""

    @staticmethod
    def over(along: NDArray[np.intp], dimensions: int) -> Trend:
        """Return a trend whose variance is 1 if it goes along all dimensions."""
        return Trend(along, 1.0 / math.sqrt(2 * max(dimensions, 1)))

    def of(self, features: Floats) -> Floats:
        """Return lines and parabolas at some points, shape (k, t), each of variance `weight**2` for uniform numbers."""
        off = features[..., self.along] - 0.5
        return self.weight * np.concatenate([ROOT12 * off, (12.0 * off**2 - 1.0) / PARABOLA_DEVIATION], axis=-1)

    def slopes(self, features: Floats, by_terms: Floats) -> Floats:
        """Return slopes by the features of one point, shape (k, m), of what has slopes by the terms, shape (k, t)."""
        count = len(self.along)
        steep = 24.0 / PARABOLA_DEVIATION * (features[self.along] - 0.5)
        slopes = np.zeros((*by_terms.shape[:-1], len(features)))
        slopes[..., self.along] = self.weight * (ROOT12 * by_terms[..., :count] + steep * by_terms[..., count:])
        return slopes


NO_TREND = Trend(np.zeros(0, dtype=np.intp), 0.0)


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
    trend: Trend = NO_TREND


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
    dimensions = len(vector) - OTHERS
    lengths, (scale, noise, trend) = np.exp(vector[:-OTHERS]), np.exp(vector[-OTHERS:]).tolist()
    scaled = data.features / lengths[data.groups]
    kernel, slope = matern(squared_distances(scaled, scaled), scale)
    np.fill_diagonal(kernel, scale)
    terms = data.trend.of(data.features)
    along = trend * (terms @ terms.T)
    covariance = kernel + along
    covariance.flat[:: count + 1] += noise + LEAST_NOISE + data.extra
    factor, failed = dpotrf(covariance, lower=1, overwrite_a=1)
    if failed:
        return 1e25, np.zeros_like(vector)
    half = np.log(factor.diagonal()).sum()
    inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    mean, weights = _mean_and_weights(inverse, data.values)
    residual = data.values - mean
    lengths_cost, lengths_slope = _unlikely_lengths(vector[:-OTHERS])
    off = (vector[-OTHERS:] - OTHERS_MEAN) / OTHERS_DEVIATION
    value = 0.5 * residual @ weights + half + 0.5 * mean**2 / MEAN_VARIANCE + lengths_cost + 0.5 * off @ off

    # d(log likelihood) = tr(outer dK) / 2; the mean is at its optimum, so that it adds nothing.
    outer = np.outer(weights, weights) - inverse
    pull = outer * slope
    per_feature = (pull.sum(1) @ scaled**2) - np.einsum("ij,ij->j", scaled, pull @ scaled)
    gradient = np.empty_like(vector)
    gradient[:-OTHERS] = np.bincount(data.groups, weights=per_feature, minlength=dimensions)
    gradient[-3] = 0.5 * np.einsum("ij,ij->", outer, kernel)
    gradient[-2] = 0.5 * noise * outer.trace()
    gradient[-1] = 0.5 * np.einsum("ij,ij->", outer, along)
    gradient = -gradient
    gradient[:-OTHERS] += lengths_slope
    gradient[-OTHERS:] += off / OTHERS_DEVIATION
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
    groups = len(best) - OTHERS
    shortest = math.log(SHORTEST * math.sqrt(groups))
    bounds = [(shortest, math.log(1e3))] * groups + [(math.log(0.02), math.log(50.0)), (math.log(1e-8), 0.0)]
    bounds.append((math.log(LEAST_TREND), math.log(MOST_TREND)))
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
        self._trend = data.trend
        self._known = len(data.features)
        noise = parameters.noise + data.extra
        self._weights, self.mean = self._solved(data.features, data.values, noise)
        features = data.features
        if pending is not None and len(pending):
            features = np.vstack([features, pending])
            noise = np.concatenate([noise, np.full(len(pending), parameters.noise)])
        self._scaled = features / self._measure
        self._terms = self._trend.of(features)
        self._whitening = dtrtri(self._factor(features, noise), lower=1)[0]
        """The inverse of the covariance's lower Cholesky factor."""

    def _factor(self, features: Floats, noise: Floats) -> Floats:
        scaled = features / self._measure
        covariance = self._kernel(squared_distances(scaled, scaled))[0]
        terms = self._trend.of(features)
        covariance += self.parameters.trend * (terms @ terms.T)
        for jitter in (LEAST_NOISE, 1e-5, 1e-3):
            trial = covariance.copy()
            trial.flat[:: len(trial) + 1] += noise + jitter
            factor, failed = dpotrf(trial, lower=1)
            if not failed:
                return np.tril(factor)
        raise AssertionError("a covariance with a jitter of 0.001 is not positive definite")

    def _solved(self, features: Floats, values: Floats, noise: Floats) -> tuple[Floats, float]:
        factor = self._factor(features, noise)
        both, _ = dpotrs(factor, np.column_stack([values, np.ones_like(values)]), lower=1)
        mean = float(both[:, 1] @ values / (both[:, 1].sum() + 1.0 / MEAN_VARIANCE))
        return both[:, 0] - mean * both[:, 1], mean

    def _kernel(self, squares: Floats) -> tuple[Floats, Floats]:
        return matern(squares, self.parameters.scale)

    def at(self, features: Floats) -> tuple[Floats, Floats]:
        """Return the mean and the variance of the function at some points, each of shape (k,)."""
        across, _ = self._kernel(squared_distances(features / self._measure, self._scaled))
        terms = self._trend.of(features)
        across += self.parameters.trend * (terms @ self._terms.T)
        prior = self.parameters.scale + self.parameters.trend * (terms**2).sum(1)
        mean = self.mean + across[:, : self._known] @ self._weights
        explained = ((across @ self._whitening.T) ** 2).sum(1)
        return mean, np.maximum(prior - explained, 1e-12)

    def with_slopes(self, features: Floats) -> tuple[float, float, Floats, Floats]:
        """Return mean and variance at one point of shape (m,), and their derivatives by its features."""
        scaled = features / self._measure
        apart = scaled[None, :] - self._scaled
        across, slope = self._kernel(np.einsum("ij,ij->i", apart, apart))
        lean = -slope[:, None] * apart / self._measure
        trend, terms = self.parameters.trend, self._trend.of(features)
        across += trend * (self._terms @ terms)
        lean += trend * self._trend.slopes(features, self._terms)
        prior = self.parameters.scale + trend * float(terms @ terms)
        white = self._whitening @ across
        mean = self.mean + across[: self._known] @ self._weights
        variance = max(prior - float(white @ white), 1e-12)
        return (
            float(mean),
            variance,
            self._weights @ lean[: self._known],
            2.0 * (trend * self._trend.slopes(features, terms) - (white @ self._whitening) @ lean),
        )

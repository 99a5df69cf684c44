"""Where to look next, given what is known: the row whose expected improvement is largest, by the surrogates.

With several objectives the improvement is of the hypervolume that the front dominates (exact for two and three); for
more, of a weighted sum of the losses and their worst, with weights that are drawn for each trial (ParEGO, Knowles
2006). Where trials have failed, the probability that one does not is part of the goal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr

from .acquisition import LOG_ROOT_TWO_PI, log_expected_improvement, log_improvement_slopes
from .ascent import best_row
from .branches import neglected_branch
from .fronts import front_ranks
from .hypervolume import Boxes, boxes_below, log_hypervolume_improvement, log_hypervolume_slopes

if TYPE_CHECKING:
    from .ascent import Goal, Wanted
    from .branches import Branch
    from .features import Features
    from .gaussian_process import Posterior
    from .history import History
    from .surrogates import Surrogates

Floats = NDArray[np.float64]

ANCHORS = 5
MOST_OBJECTIVES = 3
TIMES = 2.0
LARGEST_FRONT = {2: 300, 3: 40}
"""The boxes of more points than that would take seconds."""
OF_THE_SUM = 0.05
"""The weighted sum's part beside the worst weighted loss, as Knowles has it."""
BEYOND_THE_FRONT = 0.1
"""The reference lies so much of all losses' range behind the front's worst."""


def proposed_row(
    surrogates: Surrogates, history: History, number: int, random: np.random.Generator, *, only_new: bool = False
) -> Floats:
    """Return the row to look at; drawn from `random` where nothing that is allowed was found.

    Now and then it is the best of a branch of the space that has been tried too rarely.

    Args:
        surrogates: The models of the space.
        history: What is known.
        number: Of the trial.
        random: Where randomness comes from.
        only_new: Whether rows that have been proposed are passed over.
    """
    encoding = history.encoding
    wanted = _new_ones(history) if only_new else encoding.allowed
    branch = neglected_branch(history, number)
    if branch is not None:
        wanted = _of_branch(branch, wanted)
    goal, anchors = _goal(surrogates, history, random)
    if len(history.failed):
        goal = Feasible(surrogates, history, goal)
    row = best_row(goal, surrogates.features, anchors, wanted, random)
    return np.asarray(encoding.uniform(1, random)[0] if row is None else row)


def _new_ones(history: History) -> Wanted:
    encoding = history.encoding
    old = set(map(encoding.key, history.proposed))

    def wanted(rows: Floats) -> NDArray[np.bool_]:
        fine = np.array(encoding.allowed(rows))
        for index in np.flatnonzero(fine):
            fine[index] = encoding.key(rows[index]) not in old
        return fine

    return wanted


def _of_branch(branch: Branch, wanted: Wanted) -> Wanted:
    index, option = branch

    def wanted_of_branch(rows: Floats) -> NDArray[np.bool_]:
        return np.asarray(wanted(rows) & (rows[:, index] == option))

    return wanted_of_branch


def _goal(surrogates: Surrogates, history: History, random: np.random.Generator) -> tuple[Goal, Floats]:
    """Return what is to be largest, and the best known rows."""
    objectives = history.objectives.shape[1]
    if objectives == 1:
        return _improvement(surrogates, history, history.losses)
    front = int((front_ranks(history.objectives, 1) == 0).sum())
    if objectives > MOST_OBJECTIVES or front > LARGEST_FRONT[objectives]:
        return _improvement(surrogates, history, weighted(history.objectives, random))
    pending = surrogates.features.of(history.pending)
    models = [surrogates.of_losses(history, history.objectives[:, index]) for index in range(objectives)]
    processes = [model.posterior(pending) for model in models]
    known = np.concatenate([surrogates.features.of(history.points), pending])
    means = np.column_stack([process.at(known)[0] for process in processes])
    best = front_ranks(means, 1) == 0
    worst = means[best].max(axis=0) + BEYOND_THE_FRONT * np.ptp(means, axis=0)
    rows = np.concatenate([history.points, history.pending])[best]
    return HypervolumeImprovement(surrogates.features, processes, boxes_below(means[best], worst)), rows


def _improvement(surrogates: Surrogates, history: History, losses: Floats) -> tuple[Goal, Floats]:
    features = surrogates.features
    pending = features.of(history.pending)
    model = surrogates.of_losses(history, losses)
    process = model.posterior(pending)
    means, _ = process.at(np.concatenate([model.data.features, pending]))
    known = means[: len(model.points)]
    anchors = model.points[np.argsort(known, kind="stable")[:ANCHORS]]
    return Improvement(features, process, float(means.min())), anchors


def weighted(objectives: Floats, random: np.random.Generator) -> Floats:
    """Return one loss for each row of losses: the worst of them by random weights, and a little of their sum."""
    weights = random.dirichlet(np.ones(objectives.shape[1]))
    least, range_ = objectives.min(axis=0), np.ptp(objectives, axis=0)
    scaled = weights * (objectives - least) / np.where(range_ > 0, range_, 1.0)
    return np.asarray(scaled.max(axis=1) + OF_THE_SUM * scaled.sum(axis=1))


class Improvement:
    """The logarithm of the expected improvement below `best`."""

    def __init__(self, features: Features, process: Posterior, best: float) -> None:
        self._features = features
        self._process = process
        self._best = best

    def at(self, rows: Floats) -> Floats:
        """Return it at settled rows."""
        mean, variance = self._process.at(self._features.of(rows))
        return log_expected_improvement(mean, np.sqrt(variance), self._best)

    def with_slope(self, row: Floats) -> tuple[float, Floats]:
        """Return it at one row, and its slopes by the coordinates."""
        mean, variance, by_mean, by_variance = self._process.with_slopes(self._features.of(row[None])[0])
        value, mean_slope, variance_slope = log_improvement_slopes(mean, variance, self._best)
        return value, self._features.slopes(row, mean_slope * by_mean + variance_slope * by_variance)


class HypervolumeImprovement:
    """The logarithm of the expected improvement of the hypervolume, one independent process for each objective."""

    def __init__(self, features: Features, processes: list[Posterior], boxes: Boxes) -> None:
        self._features = features
        self._processes = processes
        self._boxes = boxes

    def at(self, rows: Floats) -> Floats:
        """Return it at settled rows."""
        features = self._features.of(rows)
        found = [process.at(features) for process in self._processes]
        means = np.column_stack([mean for mean, _ in found])
        deviations = np.sqrt(np.column_stack([variance for _, variance in found]))
        return log_hypervolume_improvement(means, deviations, self._boxes)

    def with_slope(self, row: Floats) -> tuple[float, Floats]:
        """Return it at one row, and its slopes by the coordinates."""
        features = self._features.of(row[None])[0]
        found = [process.with_slopes(features) for process in self._processes]
        means = np.array([one[0] for one in found])
        variances = np.array([one[1] for one in found])
        value, mean_slopes, variance_slopes = log_hypervolume_slopes(means, variances, self._boxes)
        by_features = sum(
            mean_slope * one[2] + variance_slope * one[3]
            for mean_slope, variance_slope, one in zip(mean_slopes, variance_slopes, found, strict=True)
        )
        return value, self._features.slopes(row, np.asarray(by_features))


class Feasible:
    """A goal times the probability that a trial does not fail, in logarithms.

    A process of labels, -1 for trials that failed and 1 for others; what it says of a point is a normal variable, and
    the probability that this is positive counts, twice: a trial that fails is lost, and at an edge every second would.
    """

    def __init__(self, surrogates: Surrogates, history: History, goal: Goal) -> None:
        self._features = surrogates.features
        self._goal = goal
        self._process = surrogates.of_failures(history)
        self._noise = self._process.parameters.noise

    def at(self, rows: Floats) -> Floats:
        """Return it at settled rows."""
        mean, variance = self._process.at(self._features.of(rows))
        return np.asarray(self._goal.at(rows) + TIMES * log_ndtr(mean / np.sqrt(variance + self._noise)))

    def with_slope(self, row: Floats) -> tuple[float, Floats]:
        """Return it at one row, and its slopes by the coordinates."""
        value, slopes = self._goal.with_slope(row)
        mean, variance, by_mean, by_variance = self._process.with_slopes(self._features.of(row[None])[0])
        whole = variance + self._noise
        z = mean / np.sqrt(whole)
        likely = float(log_ndtr(z))
        lean = np.exp(-0.5 * z * z - LOG_ROOT_TWO_PI - likely)
        by_features = lean * (by_mean / np.sqrt(whole) - 0.5 * z / whole * by_variance)
        return value + TIMES * likely, slopes + self._features.slopes(row, TIMES * by_features)

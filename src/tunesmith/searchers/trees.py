"""Extremely randomised trees, all grown at once, level by level, as arrays. Knows nothing of trials or configs.

A column is a number or one of several options (an index); nan means that it is not there. A node splits on a number's
threshold, on a random part of the options, or on whether a column is there at all; where it is missing below a split on
its values, a random side is drawn for the node. So nothing has to be imputed.

Source: Geurts et al. 2006, "Extremely Randomized Trees"; Hutter et al. 2014, "Algorithm Runtime Prediction" (the
variance of a forest).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int_]
    BoolArray = NDArray[np.bool_]

MOST_OPTIONS = 60
"""Options beyond these share the side of one of them: a part of the options is the bits of an integer."""


@dataclass(frozen=True)
class Forest:
    """Trees as arrays over all of their nodes. Node k < trees is tree k's root; a leaf is its own child."""

    trees: int
    depth: int
    feature: IntArray
    threshold: FloatArray
    """Of a number: up to it to the left."""
    part: NDArray[np.uint64]
    """Of options: those whose bit is set go to the left."""
    missing_left: BoolArray
    """Whether a row goes to the left that does not have the feature."""
    is_option: BoolArray
    left: IntArray
    """The right child follows it."""
    mean: FloatArray
    variance: FloatArray
    """Of the losses in a node."""

    def leaves(self, rows: FloatArray) -> IntArray:
        """Return each row's leaf in each tree, shape (n, d) to (trees, n)."""
        import numpy as np

        count = len(rows)
        flat = np.ascontiguousarray(rows).ravel()
        begins = np.tile(np.arange(count) * rows.shape[1], self.trees)
        nodes = np.repeat(np.arange(self.trees), count)
        for _ in range(self.depth):
            values = flat[begins + self.feature[nodes]]
            goes_left = _goes_left(
                values, self.threshold[nodes], self.part[nodes], self.missing_left[nodes], self.is_option[nodes]
            )
            left = self.left[nodes]
            nodes = np.where(left == nodes, nodes, left + ~goes_left)
        return nodes.reshape(self.trees, count)

    def predict(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the mean and the standard deviation at rows: over the trees, with what their leaves vary within."""
        import numpy as np

        leaves = self.leaves(rows)
        means = self.mean[leaves]
        variance = means.var(axis=0) + self.variance[leaves].mean(axis=0)
        return means.mean(axis=0), np.sqrt(variance)


def grown(
    rows: FloatArray,
    losses: FloatArray,
    options: IntArray,
    random: np.random.Generator,
    *,
    trees: int = 48,
    candidates: int = 4,
    least: int = 2,
    deepest: int = 24,
    weights: FloatArray | None = None,
) -> Forest:
    """Return a forest of trees that split where the losses differ most, among random splits.

    Args:
        rows: Shape (n, d).
        losses: Shape (n,), finite.
        options: How many options each column has, 0 for a number; shape (d,).
        random: What the splits are drawn from.
        trees: How many trees.
        candidates: Of so many random splits of a node the best is taken.
        least: A node with fewer rows is a leaf.
        deepest: So many levels at most.
        weights: How often each tree has each row, shape (trees, n); None: once.
    """
    return _Growing(rows, losses, options, random, trees, candidates, least, weights).grown(deepest)


@dataclass(frozen=True)
class _Level:
    """The nodes of a level, as `Forest` has them."""

    feature: IntArray
    threshold: FloatArray
    part: NDArray[np.uint64]
    missing_left: BoolArray
    is_option: BoolArray
    left: IntArray
    mean: FloatArray
    variance: FloatArray

    @classmethod
    def of_leaves(cls, first: int, mean: FloatArray, variance: FloatArray) -> _Level:
        """Return the level in which every node is a leaf; `first` is the number of its first one."""
        import numpy as np

        count = len(mean)
        return cls(
            feature=np.zeros(count, dtype=np.intp),
            threshold=np.zeros(count),
            part=np.zeros(count, dtype=np.uint64),
            missing_left=np.zeros(count, dtype=bool),
            is_option=np.zeros(count, dtype=bool),
            left=first + np.arange(count),
            mean=mean,
            variance=variance,
        )


class _Growing:
    """A forest in the making. Everything is in terms of samples: a row in a tree."""

    def __init__(
        self,
        rows: FloatArray,
        losses: FloatArray,
        options: IntArray,
        random: np.random.Generator,
        trees: int,
        candidates: int,
        least: int,
        weights: FloatArray | None,
    ) -> None:
        import numpy as np

        count = len(rows)
        self._flat = np.ascontiguousarray(rows).ravel()
        self._filled = np.nan_to_num(rows, nan=-1.0)
        self._width = rows.shape[1]
        self._options = options
        self._random = random
        self._trees = trees
        self._candidates = candidates
        self._least = least
        self.samples = np.tile(np.arange(count), trees)
        self.nodes = np.repeat(np.arange(trees), count)
        if weights is not None:
            kept = weights.ravel() > 0
            self.samples, self.nodes = self.samples[kept], self.nodes[kept]
        self._losses = losses
        self._pure = 1e-12 * float(losses.var()) if count else 0.0
        """A node whose losses vary less than that is a leaf: what is left is rounding."""

    def grown(self, deepest: int) -> Forest:
        """Return the forest, grown level by level."""
        import numpy as np

        levels: list[_Level] = []
        first, active, samples, nodes = 0, self._trees, self.samples, self.nodes
        while active:
            level, samples, nodes = self._level(samples, nodes, first, active, may_split=len(levels) < deepest)
            levels.append(level)
            first += active
            active = int(nodes[-1]) + 1 if len(nodes) else 0
        names = [field.name for field in fields(_Level)]
        joined = {name: np.concatenate([getattr(level, name) for level in levels]) for name in names}
        return Forest(trees=self._trees, depth=len(levels) - 1, **joined)

    def _level(
        self, samples: IntArray, nodes: IntArray, first: int, active: int, *, may_split: bool
    ) -> tuple[_Level, IntArray, IntArray]:
        """Return a level, and the samples of the next one with their nodes.

        `nodes` count from 0 within a level, `first` is the number of its first one; samples of a node lie together.
        """
        import numpy as np

        losses = self._losses[samples]
        sizes = np.bincount(nodes, minlength=active)
        sums = np.asarray(np.bincount(nodes, losses, minlength=active), dtype=float)
        mean = sums / sizes
        variance = np.maximum(np.bincount(nodes, losses * losses, minlength=active) / sizes - mean * mean, 0.0)
        level = _Level.of_leaves(first, mean, variance)
        is_open = (sizes >= self._least) & (variance > self._pure)
        if not may_split or not is_open.any():
            return level, samples[:0], nodes[:0]
        inside = is_open[nodes]
        samples, losses, nodes = samples[inside], losses[inside], (np.cumsum(is_open) - 1)[nodes[inside]]
        split = self._split(samples, nodes, losses, sizes[is_open], sums[is_open])
        divided = split.gain > -np.inf
        rank = np.cumsum(divided) - 1
        own = np.flatnonzero(is_open)[divided]
        level.left[own] = first + active + 2 * rank[divided]
        for name in SPLIT:
            getattr(level, name)[own] = getattr(split, name)[divided]
        stays = divided[nodes]
        nodes, samples = 2 * rank[nodes[stays]] + ~split.goes_left[stays], samples[stays]
        order = np.argsort(nodes, kind="stable")
        return level, samples[order], nodes[order]

    def _split(
        self, samples: IntArray, nodes: IntArray, losses: FloatArray, sizes: IntArray, sums: FloatArray
    ) -> _Split:
        """Return of some random splits of each node the one that leaves the least variance."""
        import numpy as np

        best: _Split | None = None
        starts = np.cumsum(sizes) - sizes
        for _ in range(self._candidates):
            split = self._drawn(samples, starts, sizes)
            values = self._flat[samples * self._width + split.feature[nodes]]
            goes_left = _goes_left(
                values, split.threshold[nodes], split.part[nodes], split.missing_left[nodes], split.is_option[nodes]
            )
            count = np.bincount(nodes, goes_left, minlength=len(sizes))
            total = np.bincount(nodes, losses * goes_left, minlength=len(sizes))
            is_one_sided = (count == 0) | (count == sizes)
            with np.errstate(divide="ignore", invalid="ignore"):
                gain = total * total / count + (sums - total) ** 2 / (sizes - count)
            split.gain = np.where(is_one_sided, -np.inf, gain)
            split.goes_left = goes_left
            best = split if best is None else best.or_better(split, nodes)
        assert best is not None, "there is a candidate at least"
        return best

    def _drawn(self, samples: IntArray, starts: IntArray, sizes: IntArray) -> _Split:
        """Return a random split of each node, between the values of two of its rows."""
        import numpy as np

        draw, count = self._random, len(sizes)
        uniforms = draw.random((4, count))
        pair = [samples[starts + (uniforms[row] * sizes).astype(np.intp)] for row in (0, 1)]
        # Of the columns in which they differ: any other might divide nothing, and what most rows have not, hardly ever.
        differs = self._filled[pair[0]] != self._filled[pair[1]]
        feature = (draw.random(differs.shape, dtype=np.float32) * differs).argmax(axis=1)
        one, other = (self._flat[chosen * self._width + feature] for chosen in pair)
        is_there, other_is_there = ~np.isnan(one), ~np.isnan(other)
        one_value, other_value = np.nan_to_num(one), np.nan_to_num(other)
        is_option = self._options[feature] > 0
        part = np.zeros(count, dtype=np.uint64)
        if is_option.any():
            # A part of the options with the one and without the other.
            part = draw.integers(0, 2**MOST_OPTIONS, size=count, dtype=np.uint64)
            part |= _bit(one_value)
            part &= ~np.where(one_value == other_value, np.uint64(0), _bit(other_value))
        threshold = other_value + uniforms[2] * (one_value - other_value)
        # Where only one of them has the column, the split is whether it is there.
        is_about_being_there = is_there != other_is_there
        threshold[is_about_being_there] = np.inf
        part[is_about_being_there] = np.uint64(2**MOST_OPTIONS - 1)
        missing_left = np.where(is_about_being_there, False, uniforms[3] < 0.5)
        return _Split(feature, threshold, part, missing_left, is_option)


SPLIT = ("feature", "threshold", "part", "missing_left", "is_option")


class _Split:
    """A split of each node of a level."""

    def __init__(
        self,
        feature: IntArray,
        threshold: FloatArray,
        part: NDArray[np.uint64],
        missing_left: BoolArray,
        is_option: BoolArray,
    ) -> None:
        self.feature, self.threshold, self.part = feature, threshold, part
        self.missing_left, self.is_option = missing_left, is_option
        self.gain: FloatArray
        self.goes_left: BoolArray

    def or_better(self, other: _Split, nodes: IntArray) -> _Split:
        """Return the better of two for each node."""
        import numpy as np

        is_better = other.gain > self.gain
        chosen = _Split(*(np.where(is_better, getattr(other, name), getattr(self, name)) for name in SPLIT))
        chosen.gain = np.where(is_better, other.gain, self.gain)
        chosen.goes_left = np.where(is_better[nodes], other.goes_left, self.goes_left)
        return chosen


def _bit(options: FloatArray) -> NDArray[np.uint64]:
    import numpy as np

    return np.left_shift(np.uint64(1), (options % MOST_OPTIONS).astype(np.uint64))


def _goes_left(
    values: FloatArray, threshold: FloatArray, part: NDArray[np.uint64], missing_left: BoolArray, is_option: BoolArray
) -> BoolArray:
    import numpy as np

    # Comparisons with nan are false.
    goes_left = values <= threshold
    if is_option.any():
        chosen = np.flatnonzero(is_option)
        there = np.nan_to_num(values[chosen])
        goes_left[chosen] = (part[chosen] & _bit(there)) > 0
    missing = np.isnan(values)
    return np.where(missing, missing_left, goes_left)

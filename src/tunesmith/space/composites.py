"""Values made of several numbers: orders, subsets and proportions. To searchers each number is a coordinate of its own.

An *arrangement* is such a value without what it is made of: the items' indices in their order, those of a subset, or
the proportions. Coordinates lie in [0, 1], and uniform ones give uniform permutations and proportions.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import SpaceError
from .checks import check_values, is_finite, is_number
from .domains import Float, Integer, same
from .objects import label

if TYPE_CHECKING:
    import random

    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

SUM_TOLERANCE = 1e-9
Arrangement = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Permutation:
    """Some items in any order, each order as likely as the others.

    Coordinates are the items' sort keys (Bean 1994, "Genetic algorithms and random keys for sequencing and
    optimization"); those of a known order are the middles of the ranks.
    """

    items: tuple[Any, ...]

    @property
    def parts(self) -> tuple[Float | Integer, ...]:
        """The domains of the coordinates."""
        return (Float(0.0, 1.0),) * len(self.items) if len(self.items) > 1 else ()

    @property
    def count(self) -> float:
        """How many values there are."""
        return math.factorial(len(self.items))

    def arranged(self, coordinates: Sequence[float]) -> Arrangement:
        """Return the arrangement at some coordinates."""
        return tuple(sorted(range(len(self.items)), key=lambda item: coordinates[item] if coordinates else 0.0))

    def coordinates(self, arrangement: Arrangement) -> tuple[float, ...]:
        """Return the coordinates of an arrangement."""
        found = [0.0] * len(self.parts)
        for rank, item in enumerate(arrangement if self.parts else ()):
            found[item] = (rank + 0.5) / len(self.items)
        return tuple(found)

    def settled(self, block: FloatArray) -> FloatArray:
        """Return the coordinates of the arrangements at many coordinates, shape (n, parts)."""
        ranks = block.argsort(axis=1, kind="stable").argsort(axis=1)
        return (ranks + 0.5) / len(self.items)

    def every(self) -> FloatArray:
        """Return the coordinates of all arrangements."""
        import itertools

        return _block([self.coordinates(order) for order in itertools.permutations(range(len(self.items)))], self.parts)

    def value(self, arrangement: Arrangement) -> list[Any]:
        """Return the value that an arrangement stands for."""
        return [self.items[item] for item in arrangement]

    def arrangement(self, value: Any) -> Arrangement | None:
        """Return the arrangement of a value; None when it is none of these."""
        found = _indices(self.items, value)
        return tuple(found) if found is not None and len(found) == len(self.items) else None

    def sample(self, rng: random.Random) -> list[Any]:
        """Return the items in a random order."""
        drawn: list[Any] = _sample(self, rng)
        return drawn

    def contains(self, value: Any) -> bool:
        """Whether `value` is a list of the items in some order."""
        return self.arrangement(value) is not None

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from."""
        _check_items("permutation", self.items)

    def __repr__(self) -> str:
        return f"permutation({_label(self.items)})"


@dataclass(frozen=True, slots=True)
class Subset:
    """Some of the items, in the items' order.

    A coordinate says of each item whether it is there. Drawn at random each is with a probability of one half; where
    that makes too many, those with the smallest coordinates go; where it makes too few, those with the largest come.
    """

    items: tuple[Any, ...]
    min_size: int = 0
    max_size: int | None = None

    @property
    def largest(self) -> int:
        """The largest size."""
        return len(self.items) if self.max_size is None else self.max_size

    @property
    def parts(self) -> tuple[Float | Integer, ...]:
        """The domains of the coordinates."""
        return (Integer(0, 2),) * len(self.items)

    @property
    def count(self) -> float:
        """How many values there are."""
        return sum(math.comb(len(self.items), size) for size in range(self.min_size, self.largest + 1))

    def arranged(self, coordinates: Sequence[float]) -> Arrangement:
        """Return the arrangement at some coordinates."""
        size = min(max(sum(coordinate >= 0.5 for coordinate in coordinates), self.min_size), self.largest)
        return tuple(sorted(sorted(range(len(self.items)), key=lambda item: -coordinates[item])[:size]))

    def coordinates(self, arrangement: Arrangement) -> tuple[float, ...]:
        """Return the coordinates of an arrangement."""
        return tuple(0.75 if item in arrangement else 0.25 for item in range(len(self.items)))

    def settled(self, block: FloatArray) -> FloatArray:
        """Return the coordinates of the arrangements at many coordinates, shape (n, parts)."""
        import numpy as np

        sizes = np.minimum(np.maximum((block >= 0.5).sum(axis=1), self.min_size), self.largest)
        ranks = (-block).argsort(axis=1, kind="stable").argsort(axis=1)
        return np.where(ranks < sizes[:, None], 0.75, 0.25)

    def every(self) -> FloatArray:
        """Return the coordinates of all arrangements."""
        import itertools

        sizes = range(self.min_size, self.largest + 1)
        subsets = (chosen for size in sizes for chosen in itertools.combinations(range(len(self.items)), size))
        return _block([self.coordinates(chosen) for chosen in subsets], self.parts)

    def value(self, arrangement: Arrangement) -> list[Any]:
        """Return the value that an arrangement stands for."""
        return [self.items[item] for item in arrangement]

    def arrangement(self, value: Any) -> Arrangement | None:
        """Return the arrangement of a value; None when it is none of these."""
        found = _indices(self.items, value)
        if found is None or not self.min_size <= len(found) <= self.largest:
            return None
        return tuple(sorted(found))

    def sample(self, rng: random.Random) -> list[Any]:
        """Return a random subset."""
        drawn: list[Any] = _sample(self, rng)
        return drawn

    def contains(self, value: Any) -> bool:
        """Whether `value` is a list of some of the items, none twice, and not too many or too few."""
        return self.arrangement(value) is not None

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from."""
        _check_items("subset", self.items)
        for name, size in (("min_size", self.min_size), ("max_size", self.largest)):
            if type(size) is not int or not 0 <= size <= len(self.items):
                raise SpaceError(
                    f"{self}: {name}={size!r}: give a whole number from 0 to {len(self.items)}, its number of items."
                )
        if self.min_size > self.largest:
            raise SpaceError(f"{self} is empty: its min_size is above its max_size. Swap them?")

    def __repr__(self) -> str:
        least = f", min_size={self.min_size!r}" if self.min_size else ""
        most = "" if self.max_size is None else f", max_size={self.max_size!r}"
        return f"subset({_label(self.items)}{least}{most})"


@dataclass(frozen=True, slots=True)
class Simplex:
    """Proportions: numbers of at least 0 that sum to 1, uniform among all such.

    A coordinate is the quantile of what its proportion breaks off from the rest of a stick, which is beta distributed.
    Source: Devroye 1986, "Non-Uniform Random Variate Generation", chapter XI, section 4.
    """

    names: tuple[str, ...] | int

    @property
    def size(self) -> int:
        """How many proportions there are."""
        return self.names if isinstance(self.names, int) else len(self.names)

    @property
    def parts(self) -> tuple[Float | Integer, ...]:
        """The domains of the coordinates."""
        return (Float(0.0, 1.0),) * (self.size - 1)

    @property
    def count(self) -> float:
        """How many values there are."""
        return math.inf if self.size > 1 else 1

    def arranged(self, coordinates: Sequence[float]) -> Arrangement:
        """Return the arrangement at some coordinates."""
        found, rest = [], 1.0
        for index, coordinate in enumerate(coordinates):
            broken_off = rest * -math.expm1(math.log1p(-min(coordinate, 1 - 2**-53)) / (self.size - 1 - index))
            found.append(broken_off)
            rest = max(rest - broken_off, 0.0)
        return (*found, rest)

    def coordinates(self, arrangement: Arrangement) -> tuple[float, ...]:
        """Return the coordinates of an arrangement."""
        found, rest = [], 1.0
        for index, proportion in enumerate(arrangement[:-1]):
            share = min(proportion / rest, 1.0) if rest > 0 else 0.5
            found.append(-math.expm1(math.log1p(-share) * (self.size - 1 - index)) if share < 1 else 1.0)
            rest = max(rest - proportion, 0.0)
        return tuple(found)

    def settled(self, block: FloatArray) -> FloatArray:
        """Return the coordinates of the arrangements at many coordinates: all are some."""
        return block

    def every(self) -> FloatArray:
        """Return the coordinates of all arrangements."""
        assert self.size == 1, "a continuum cannot be listed"
        return _block([()], self.parts)

    def value(self, arrangement: Arrangement) -> list[float] | dict[str, float]:
        """Return the value that an arrangement stands for."""
        if isinstance(self.names, int):
            return list(arrangement)
        return dict(zip(self.names, arrangement, strict=True))

    def arrangement(self, value: Any) -> Arrangement | None:
        """Return the arrangement of a value; None when it is none of these."""
        if isinstance(self.names, int):
            if isinstance(value, str | Mapping) or not isinstance(value, Sequence) or len(value) != self.names:
                return None
            found = list(value)
        else:
            if not isinstance(value, Mapping) or set(value) != set(self.names):
                return None
            found = [value[name] for name in self.names]
        if not all(is_number(number) and is_finite(number) and number >= 0 for number in found):
            return None
        return tuple(map(float, found)) if abs(math.fsum(found) - 1) <= SUM_TOLERANCE else None

    def sample(self, rng: random.Random) -> Any:
        """Return random proportions."""
        return _sample(self, rng)

    def contains(self, value: Any) -> bool:
        """Whether `value` is a list of proportions, or a dict of them where they have names."""
        return self.arrangement(value) is not None

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from."""
        if isinstance(self.names, int):
            if self.names < 1 or type(self.names) is bool:
                raise SpaceError(f"{self}: {self.names} proportions cannot sum to 1. Give at least 1.")
            return
        check_values("simplex", self.names)
        if not all(isinstance(name, str) for name in self.names) or len(set(self.names)) < len(self.names):
            raise SpaceError(f"{self}: give how many proportions there are, or names for them, each another one.")

    def __repr__(self) -> str:
        return f"simplex({self.names if isinstance(self.names, int) else _label(self.names)})"


Composite = Permutation | Subset | Simplex


def permutation(items: Iterable[Any]) -> Permutation:
    """Return the domain of lists that have all of these items in some order, each order as likely as the others."""
    return Permutation(_items(items))


def subset(items: Iterable[Any], min_size: int = 0, max_size: int | None = None) -> Subset:
    """Return the domain of lists that have some of these items, in their order.

    Each item is there with a probability of one half, as far as the sizes allow that.
    """
    return Subset(_items(items), min_size, max_size)


def simplex(names: Iterable[str] | int) -> Simplex:
    """Return the domain of proportions: numbers of at least 0 that sum to 1, uniformly drawn among all such.

    With a number a config has a list of so many; with names a dict.
    """
    return Simplex(names if isinstance(names, int) else _items(names))


def _items(items: Any) -> Any:
    """Return an iterable's values as a tuple; what has no order or is no list stays as it is, for `check`."""
    if isinstance(items, str | bytes | Mapping | Set) or not isinstance(items, Iterable):
        return items
    return tuple(items)


def _label(items: Any) -> str:
    return label(list(items) if isinstance(items, tuple) else items)


def _check_items(function: str, items: Any) -> None:
    check_values(function, items)
    for index, item in enumerate(items):
        if any(same(item, other) for other in items[:index]):
            raise SpaceError(f"{function}({_label(items)}): it has {label(item)} twice. Give each item once.")


def _indices(items: tuple[Any, ...], value: Any) -> list[int] | None:
    """Return the indices of the items that a list has; None when it has others, or one twice."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        return None
    found = [next((index for index, item in enumerate(items) if same(item, one)), -1) for one in value]
    return None if -1 in found or len(set(found)) < len(found) else found


def _sample(domain: Composite, rng: random.Random) -> Any:
    domain.check()
    return domain.value(domain.arranged([rng.random() for _ in domain.parts]))


def _block(rows: list[tuple[float, ...]], parts: Sequence[object]) -> FloatArray:
    import numpy as np

    return np.array(rows, dtype=float).reshape(len(rows), len(parts))

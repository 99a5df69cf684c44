"""Domains of values that are no numbers to draw between: choices, grids, and what a function returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any

from ..errors import SpaceError
from .checks import check_values
from .numeric import Integer
from .objects import label, python_scalar, where_written
from .priors import WEIGHT

if TYPE_CHECKING:
    import random

CO_VARARGS = 0x04
"""The flag of a code object that takes `*arguments`; `inspect` has it too, but is slow to import."""


@dataclass(frozen=True, slots=True)
class Categorical:
    """One of some values, each as likely as the others. A value may be a dict or list that holds domains.

    With a prior half of the draws go to it, and the other half to all of them alike.
    """

    values: tuple[Any, ...]
    preferred: int | None = None
    """The index of the prior; None without one, -1 for one that is none of the values."""
    prior: Any = None
    """What the user gave, for errors and for people."""

    @property
    def weights(self) -> tuple[float, ...] | None:
        """How likely each value is; None for all alike."""
        if self.preferred is None:
            return None
        even = (1 - WEIGHT) / len(self.values)
        return tuple(even + WEIGHT * (index == self.preferred) for index in range(len(self.values)))

    def at(self, quantile: float) -> Any:
        """Return the value below which the fraction `quantile` of the draws lies, as it was given."""
        return self.values[self.index_at(quantile)]

    def index_at(self, quantile: float) -> int:
        """Return the index of the value at a quantile."""
        if self.preferred is not None:
            before = (1 - WEIGHT) * self.preferred / len(self.values)
            # Without the prior's own half, what is left is spread evenly.
            if before <= quantile < before + WEIGHT:
                return self.preferred
            quantile = (quantile - WEIGHT * (quantile >= before)) / (1 - WEIGHT)
        return min(int(quantile * len(self.values)), len(self.values) - 1)

    def sample(self, rng: random.Random) -> Any:
        """Return a random one of the values, as it was given."""
        self.check()
        return self.at(rng.random())

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values."""
        return any(same(value, option) for option in self.values)

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from, or the prior is none of the values."""
        self._check("choice")

    def _check(self, function: str) -> None:
        check_values(function, self.values)
        if self.preferred == -1:
            raise SpaceError(f"{self}: its prior is none of its values. Give one of them.")

    def __repr__(self) -> str:
        return f"choice({self._arguments()})"

    def _arguments(self) -> str:
        prior = "" if self.preferred is None else f", prior={label(self.prior)}"
        return f"{label(list(self.values) if isinstance(self.values, tuple) else self.values)}{prior}"


@dataclass(frozen=True, slots=True, repr=False)
class Ordinal(Categorical):
    """One of some values that have an order, each as likely as the others: to searchers a number of levels.

    With a prior the draws are bent towards it and its neighbours, as for a range of integers.
    """

    @property
    def indices(self) -> Integer:
        """The domain of the values' indices."""
        return Integer(0, len(self.values), prior=self.preferred)

    @property
    def weights(self) -> tuple[float, ...] | None:
        """None: it is no choice among unordered values."""
        return None

    def index_at(self, quantile: float) -> int:
        """Return the index of the value at a quantile."""
        return self.indices.at(quantile)

    def check(self) -> None:
        """Raise SpaceError when there is nothing to draw from, or the prior is none of the values."""
        self._check("ordinal")

    def __repr__(self) -> str:
        return f"ordinal({self._arguments()})"


@dataclass(frozen=True, slots=True)
class Grid:
    """Each of some values in turn, for each sample. A value may be a dict or list that holds domains and grids."""

    values: tuple[Any, ...]

    def at(self, quantile: float) -> Any:
        """Return the value at the fraction `quantile` of the list, as it was given."""
        return Categorical(self.values).at(quantile)

    def sample(self, rng: random.Random) -> Any:
        """Return a random one of the values, as it was given."""
        self.check()
        return self.at(rng.random())

    def contains(self, value: Any) -> bool:
        """Whether `value` is one of the values."""
        return Categorical(self.values).contains(value)

    def check(self) -> None:
        """Raise SpaceError when there is nothing to try."""
        check_values("grid_search", self.values)

    def __repr__(self) -> str:
        return f"grid_search({label(list(self.values) if isinstance(self.values, tuple) else self.values)})"


@dataclass(frozen=True, slots=True)
class SampleFrom:
    """Whatever a function of the other values (`spec`) returns."""

    function: Callable[[Any], Any]

    def contains(self, value: Any) -> bool:
        """True: what the function may return is not known."""
        return True

    def check(self) -> None:
        """Raise SpaceError when there is nothing to call."""
        if not callable(self.function):
            raise SpaceError(f"{self}: {self.function!r} is not a function. Write sample_from(lambda spec: ...).")
        if isinstance(self.function, FunctionType):
            count = self.function.__code__.co_argcount
            required = count - len(self.function.__defaults__ or ())
            takes_any = self.function.__code__.co_flags & CO_VARARGS
            if required > 1 or (count == 0 and not takes_any):
                raise SpaceError(
                    f"{self} takes {required} arguments, but one is given, the spec. Write lambda spec: ...; "
                    "a function that is itself a value of the config must be made by def."
                )

    def __repr__(self) -> str:
        return f"sample_from({where_written(self.function) if is_lambda(self.function) else label(self.function)})"


def is_lambda(value: Any) -> bool:
    """Whether `value` is a bare lambda, which a space evaluates; a function made by `def` is an object like others."""
    return getattr(value, "__name__", None) == "<lambda>" and callable(value)


def same(left: Any, right: Any) -> bool:
    """Whether two values are the same choice: equal, and not a bool beside a number."""
    left, right = python_scalar(left), python_scalar(right)
    if left is right:
        return True
    if isinstance(left, bool) != isinstance(right, bool):
        return False
    try:
        return bool(left == right)
    except (TypeError, ValueError):  # arrays, which have no single truth
        return False


def index_of(values: Any, prior: Any) -> int:
    """Return which of some values a prior means; -1 for none of them."""
    if not isinstance(values, tuple):
        return -1
    exact = (index for index, value in enumerate(values) if same(value, prior))
    partial = (index for index, value in enumerate(values) if _has_items(value, prior))
    return next(exact, next(partial, -1))


def _has_items(value: Any, items: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(items, Mapping):
        return same(value, items)
    return all(key in value and _has_items(value[key], item) for key, item in items.items())

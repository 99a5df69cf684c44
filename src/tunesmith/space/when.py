"""What is only there under a condition, as a user writes it. The compiler makes a `Conditional` node of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import SpaceError
from .domains import is_lambda, same
from .objects import label, where_written


class _Absent:
    """The type of `ABSENT`."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()
"""In place of a value: the key is not in the config."""


@dataclass(frozen=True, slots=True)
class When:
    """`then` where another parameter passes a test, else `otherwise`."""

    parent: str
    """Where the other parameter stands in a config: `model/kind`."""
    value: Any
    then: Any
    otherwise: Any = ABSENT

    def __repr__(self) -> str:
        otherwise = "" if self.otherwise is ABSENT else f", otherwise={label(self.otherwise)}"
        return f"when({self.parent!r}, {label(self.value)}, then={label(self.then)}{otherwise})"


@dataclass(frozen=True, slots=True)
class Test:
    """What a parent's value must be: one of some values, or such that a function says so."""

    parent: str
    values: tuple[Any, ...]
    function: Callable[[Any], Any] | None = None

    @classmethod
    def of(cls, when: When) -> Test:
        """Return the test that a user has written: a value, a list of values, or a function.

        A class is a value, for a choice may be one of classes.
        """
        if is_lambda(when.value) or (callable(when.value) and not isinstance(when.value, type)):
            return cls(when.parent, (), when.value)
        if isinstance(when.value, list | set | frozenset):
            return cls(when.parent, tuple(when.value))
        return cls(when.parent, (when.value,))

    def passes(self, value: Any) -> bool:
        """Whether a value of the parent passes.

        Raises:
            SpaceError: The function failed.
        """
        if self.function is None:
            return any(same(value, wanted) for wanted in self.values)
        try:
            return bool(self.function(value))
        except Exception as error:
            raise SpaceError(
                f"when({self.parent!r}, ...): its function failed for {label(value)}: {type(error).__name__}: {error}"
            ) from error

    def __str__(self) -> str:
        if self.function is not None:
            return f"{self.parent!r} passes {where_written(self.function)}"
        if len(self.values) == 1:
            return f"{self.parent!r} is {label(self.values[0])}"
        return f"{self.parent!r} is one of {label(list(self.values))}"


def when(parent: str, value: Any, *, then: Any, otherwise: Any = ABSENT) -> When:
    """Return what stands in the space as `then` where another parameter has a certain value, else as `otherwise`.

    Args:
        parent: The other parameter's place in a config, from the root: "optimizer", "model/kind", "layers/0".
        value: What it must be: a value, a list of values of which one is enough, or a function of it that says so.
        then: A domain, a constant, or a dict or list that holds them.
        otherwise: The same for all other cases; by default the key is then not in the config. A parent that is itself
            not there is such a case.
    """
    return When(parent, value, then, otherwise)

"""A search space in the few words that every optimizer understands: reals, whole numbers and choices, in one row.

Logarithms, priors and composite domains are in the encoding already: a real is uniform in [0, 1] as random search draws
it. So each package sees the same space, whatever it could have said of it itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from ..space.domains import Integer
from ..space.encoding import Encoding, Parameter
from ..space.points import fixed_point

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

T = TypeVar("T")

MOST_LEVELS = 10_000
"""A whole number with more values than that is as good as a real."""


@dataclass(frozen=True, slots=True)
class Plain:
    """One parameter: a real in [0, 1], a whole number in [0, count), or one of `count` values by index."""

    name: str
    """Unique in the space, and a word: `x3`."""
    kind: str
    """"real", "whole" or "choice"."""
    count: int
    """How many values there are; 0 for a real."""
    conditions: tuple[tuple[int, int], ...]
    """(index of a choice, index of its value) that must all hold for the parameter to be there; what cannot be said so
    is left out."""


class PlainSpace:
    """Translates between coordinates of an encoding and plain values."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self.parameters = [_plain(index, parameter) for index, parameter in enumerate(encoding.parameters)]

    @property
    def width(self) -> int:
        """How many parameters there are."""
        return len(self.parameters)

    @property
    def names(self) -> list[str]:
        """The parameters' names."""
        return [parameter.name for parameter in self.parameters]

    def each(
        self,
        real: Callable[[str], T],
        whole: Callable[[str, int], T],
        choice: Callable[[str, int], T],
    ) -> list[T]:
        """Return what a package calls each parameter, made of its name and count."""
        makers = {"real": lambda name, count: real(name), "whole": whole, "choice": choice}
        return [makers[plain.kind](plain.name, plain.count) for plain in self.parameters]

    def values(self, row: Sequence[float] | FloatArray) -> list[float | int | None]:
        """Return the plain values of a row; None for a parameter that is not there."""
        found: list[float | int | None] = []
        for parameter, coordinate in zip(self.parameters, row, strict=True):
            if coordinate != coordinate:
                found.append(None)
            elif parameter.kind == "real":
                found.append(float(coordinate))
            elif parameter.kind == "whole":
                found.append(min(int(coordinate * parameter.count), parameter.count - 1))
            else:
                found.append(int(coordinate))
        return found

    def full_values(self, row: Sequence[float] | FloatArray) -> list[float | int]:
        """Return the plain values of a row, without conditions: the middle or the first where nothing is."""
        return [
            default(parameter) if value is None else value
            for parameter, value in zip(self.parameters, self.values(row), strict=True)
        ]

    def conditioned_values(self, row: Sequence[float] | FloatArray) -> list[float | int | None]:
        """Return the plain values of a row, for who knows of `conditions` alone: None where these do not hold."""
        found: list[float | int | None] = []
        for parameter, value in zip(self.parameters, self.values(row), strict=True):
            is_there = all(found[index] == option for index, option in parameter.conditions)
            found.append(None if not is_there else default(parameter) if value is None else value)
        return found

    def row(self, values: Sequence[float | int | None]) -> list[float]:
        """Return the coordinates of plain values."""
        found = []
        for parameter, value in zip(self.parameters, values, strict=True):
            if value is None:
                found.append(float("nan"))
            else:
                found.append((value + 0.5) / parameter.count if parameter.kind == "whole" else float(value))
        return found

    def fixed(self, part: Mapping[str, Any], where: str) -> dict[str, float | int]:
        """Return the plain values of what a part of a config fixes, by name.

        Raises:
            SpaceError: It does not lie in the space; the message begins with `where`.
        """
        point = fixed_point(self.encoding.space.root, part, where)
        coordinates = [slot.found_in(point) for slot in self.encoding.slots]
        row = [float("nan") if coordinate is None else coordinate for coordinate in coordinates]
        return {name: value for name, value in zip(self.names, self.values(row), strict=True) if value is not None}

    def drawn(self, seed: int) -> FloatArray:
        """Return a row as random search draws it."""
        import numpy as np

        row: FloatArray = self.encoding.uniform(1, np.random.Generator(np.random.PCG64(seed)))[0]
        return row


def default(parameter: Plain) -> float | int:
    """Return a value for a parameter that is not there."""
    return {"real": 0.5, "whole": parameter.count // 2, "choice": 0}[parameter.kind]


def _plain(index: int, parameter: Parameter) -> Plain:
    kind, count = "real", 0
    if parameter.options:
        kind, count = "choice", parameter.options
    elif _has_even_levels(parameter) and parameter.levels <= MOST_LEVELS:
        kind, count = "whole", parameter.levels
    return Plain(f"x{index}", kind, count, parameter.conditions)


def _has_even_levels(parameter: Parameter) -> bool:
    """Whether the values lie at (i + 1/2) / levels."""
    domain = parameter.domain
    return isinstance(domain, Integer) and not domain.log and domain.prior is None

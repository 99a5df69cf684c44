"""What configs must hold before they are tried: functions of a config that a user gives to `Space.require`."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from typing import Any

from ..errors import SpaceError
from .conditions import walked
from .objects import label, where_written
from .resolution import NotKnownError, Resolution
from .spec import MissingKeyError, Spec
from .tree import Fields

MOST_TRIES = 1000
"""How often a config is drawn anew before the constraints are taken for impossible."""


@dataclass(frozen=True, slots=True)
class Constraint:
    """One function that must return something true for a config."""

    function: Callable[[Any], Any]
    places: Set[str]
    """Where in a config the space may have something. What is read there and is not there is absent, not a mistake."""

    def holds(self, config: Any) -> bool:
        """Whether a config, or a view of one, holds it. One that lacks a parameter which the function reads does.

        Raises:
            SpaceError: The function failed, or reads what the space never has.
        """
        try:
            verdict = self.function(config)
            if verdict is not None:
                return bool(verdict)
        except MissingKeyError as error:
            if error.place in self.places:
                return True
            raise SpaceError(f"{self}: {error.args[0]}") from error
        except (SpaceError, NotKnownError):
            raise
        except Exception as error:
            if isinstance(error, AttributeError) and self._is_a_name(error.name):
                return True  # It was read from an option of a choice that is no dict.
            raise SpaceError(
                f"{self} failed for {label(config)}: {type(error).__name__}: {error}. "
                "It gets the config, and returns whether that may be tried."
            ) from error
        raise SpaceError(f"{self} returned None for {label(config)}. Return whether the config may be tried.")

    def _is_a_name(self, name: str | None) -> bool:
        return any(place.rpartition("/")[2] == name for place in self.places)

    def __str__(self) -> str:
        return f"require({where_written(self.function)})"


def places(root: Fields) -> frozenset[str]:
    """Return where in a config the space may have something: `model/depth`."""
    return frozenset(node.path.key for node in walked(root))


def refusing(constraints: Sequence[Constraint], root: Fields, resolution: Resolution) -> Constraint | None:
    """Return the first constraint that a config does not hold; None when it holds all."""
    if not constraints:
        return None
    config = Spec(root, resolution)
    return next((constraint for constraint in constraints if not constraint.holds(config)), None)


def too_rare(constraint: Constraint | None, tries: int = MOST_TRIES) -> SpaceError:
    """Return the error for configs that cannot be found."""
    return SpaceError(
        f"{constraint} did not hold in {tries} tries to draw a config. Narrow the domains to what is allowed, or build "
        "it into the space: with tune.when(), a dict inside a choice, or a lambda of the other parameters."
    )

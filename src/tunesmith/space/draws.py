"""Configs drawn from a space so that they hold its constraints: drawn anew until they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .constraints import MOST_TRIES, refusing, too_rare
from .points import NOTHING_FIXED, Point
from .resolution import Resolution
from .space import Space


def drawn(
    space: Space,
    *,
    seed: int,
    number: int,
    trial: int,
    options: Mapping[str, int],
    values: Mapping[str, Any],
    first: Point = NOTHING_FIXED,
) -> Iterator[dict[str, Any]]:
    """Yield configs that hold a space's constraints, each drawn anew.

    Args:
        space: What may be tried.
        seed: The experiment's seed.
        number: What the draws are keyed by, together with how often they were drawn anew.
        trial: The trial's number, for errors.
        options: Which value of a grid or choice is taken, by the node's name.
        values: What stands in for draws and lambdas, by the node's name.
        first: What the first config is to have beside these, if the constraints let it.

    Raises:
        SpaceError: A lambda failed, or no draw holds the constraints.
    """
    refused = None
    for attempt in range(MOST_TRIES):
        preferred = first if attempt == 0 else NOTHING_FIXED
        resolution = Resolution(
            space.root,
            seed=seed,
            number=number,
            trial=trial,
            options={**preferred.options, **options},
            values={**preferred.values, **values},
            attempt=attempt,
        )
        try:
            refused_by = refusing(space.constraints, space.root, resolution)
        except BaseException:
            resolution.put_back()
            raise
        if refused_by is None:
            yield resolution.config()
        else:
            resolution.put_back()
            refused = refused_by
    if refused is not None:
        raise too_rare(refused)

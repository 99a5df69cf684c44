"""Configs drawn from a space so that they hold its constraints: drawn anew until they do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..errors import SpaceError
from .constraints import MOST_TRIES, refusing, too_rare
from .points import NOTHING_FIXED, Point, checked_points, prior_point
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
        first: What the first config is to have beside these, if the constraints let it in half of the tries.

    Raises:
        SpaceError: A lambda failed, or no draw holds the constraints.
    """
    refused = None
    preferred = first
    for attempt in range(MOST_TRIES):
        if attempt == MOST_TRIES // 2:
            preferred = NOTHING_FIXED
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
            preferred = NOTHING_FIXED
        else:
            resolution.put_back()
            refused = refused_by
    if refused is not None:
        raise too_rare(refused)


def first_points(space: Space, points: Sequence[Mapping[str, Any]], total: int | None) -> list[Point]:
    """Return what is to be tried first: a user's points, then the config that has all priors, if there are any.

    Args:
        space: What may be tried.
        points: Parts of configs.
        total: How many trials there are to be; None without end.

    Raises:
        SpaceError: A point does not lie in the space, or no config that holds it may be tried.
    """
    found = checked_points(space, points)
    prior = prior_point(space.root)
    if prior is not None and (total is None or len(found) < total) and _may_be_tried(space, prior):
        found.append(prior)
    return found


def _may_be_tried(space: Space, point: Point) -> bool:
    """Whether a config with this point is found that holds the constraints."""
    if not space.constraints:
        return True
    try:
        next(drawn(space, seed=0, number=0, trial=0, options=point.options, values=point.values))
    except SpaceError:
        return False
    return True

"""The versions of an experiment's space: what the journal says of the earlier ones, held against the one of now."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.events import Config, Event, SessionOpened, SpaceChanged, Suggested
from ..core.replicates import KEY as REPLICATE
from .edits import changes, constants, description
from .placing import fitted
from .space import Space


def known_objects(past: Sequence[Event]) -> dict[str, str]:
    """Return the identifiers of all objects that configs of the journal may mention, with their labels."""
    known: dict[str, str] = {}
    for event in past:
        if isinstance(event, SessionOpened):
            known.update(event.objects)
    return known


def space_change(past: Sequence[Event], space: Space, at: float) -> SpaceChanged | None:
    """Return what is different from the space of the session before; None when nothing is, or nothing is known of it.

    A trial lies outside when a value of its config does not lie in the space. A place that had one value for all trials
    and has another one now does not put them outside: a space is mostly so edited in what matters little.
    """
    before = next((event.space for event in reversed(past) if isinstance(event, SessionOpened)), {})
    if not before:
        return None
    told = changes(before, description(space))
    if not told:
        return None
    outside = _outside(past, space)
    if outside:
        their = "1 earlier trial lies" if len(outside) == 1 else f"{len(outside)} earlier trials lie"
        told.append(f"{their} outside the space now: searchers do not learn from {_them(outside)}")
    return SpaceChanged(at=at, changes=tuple(told), outside=tuple(outside))


def _them(outside: Sequence[int]) -> str:
    return "it" if len(outside) == 1 else "them"


def _outside(past: Sequence[Event], space: Space) -> list[int]:
    outside: list[int] = []
    fixed: set[str] = set()
    number = 0
    for event in past:
        if isinstance(event, SessionOpened):
            fixed = constants(event.space) if event.space else set()
        elif isinstance(event, Suggested):
            for config in event.configs:
                if not lies_in(space, config, fixed):
                    outside.append(number)
                number += 1
    return outside


def lies_in(space: Space, config: Config, fixed: set[str]) -> bool:
    """Whether a journaled config lies in a space, given the places where its own had one value for all trials."""
    fit = fitted(space.root, own_part(space, config))
    return fit is not None and all(place in fixed for place in fit.constants)


def is_repeated(space: Space, config: Config) -> bool:
    """Whether a trial only repeats the config of another: it is a later replicate."""
    return bool(config.get(REPLICATE)) and REPLICATE not in space.root.children


def own_part(space: Space, config: Config) -> Config:
    """Return a config without the index of its replicate, unless the space has a parameter of that name."""
    if REPLICATE in config and REPLICATE not in space.root.children:
        return {name: value for name, value in config.items() if name != REPLICATE}
    return config

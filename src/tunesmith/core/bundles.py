"""What a trial asks for: one bundle of resources, or several for a trial that is itself parallel.

Everywhere inside a request is a plain dict of amounts, so that journals, queues and displays know one thing only. One
bundle is `{"cpu": 1, "gpu": 0.5, "anything": 2}`. Several stand in the same dict: the first as above, the others with
their number before each name, how many there are as `bundles`, and a strategy other than PACK as a name of its own:
`{"cpu": 1, "gpu": 1, "1:cpu": 1, "bundles": 2, "SPREAD": 1}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from ..errors import ResourceError

UNIT = 10_000
"""Amounts are compared in so many parts."""
SEVERAL = "bundles"
"""The name under which a request of several bundles says how many."""
STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
_NUMBERED = re.compile(r"(\d+):(.*)", re.DOTALL)


def units(amount: float) -> int:
    """Return an amount in whole units."""
    return round(amount * UNIT)


@dataclass(frozen=True, init=False)
class Bundles:
    """Several bundles of resources for each trial: `resources=tune.Bundles([{"cpu": 1, "gpu": 1}, {"cpu": 1}])`.

    A trial gets all of them or waits. Its own process runs where the first one is, and the others are its to use, for
    processes or actors that it starts; `tune.get_context().bundles` says where each is. An empty first bundle stands
    for a trial that needs nothing for itself: its process then runs where the next one is.

    Args:
        bundles: What each one holds; each lies on one node.
        strategy: "PACK": on as few nodes as can be; "STRICT_PACK": on one node; "SPREAD": on as many as can be;
            "STRICT_SPREAD": each on another node.

    Raises:
        ResourceError: No bundle, an empty one after the first, or no such strategy.
    """

    bundles: tuple[dict[str, float], ...]
    strategy: str

    def __init__(self, bundles: Iterable[Mapping[str, float]], strategy: str = "PACK") -> None:
        if strategy not in STRATEGIES:
            raise ResourceError(f"Bundles: strategy={strategy!r}: give one of {', '.join(STRATEGIES)}.")
        given = [bundles] if isinstance(bundles, Mapping) else list(bundles)
        found = [checked_bundle(bundle) for bundle in given]
        if len(found) > 1 and not found[0]:
            del found[0]
        for number, bundle in enumerate(found[1:], 1):
            if not bundle:
                raise ResourceError(f"Bundles: bundle {number} of {given!r} asks for nothing. Leave it out.")
        if not found:
            raise ResourceError("Bundles([]): give at least one bundle, such as {'cpu': 1}.")
        object.__setattr__(self, "bundles", tuple(found))
        object.__setattr__(self, "strategy", strategy)

    @property
    def request(self) -> dict[str, float]:
        """All of it as one dict of amounts."""
        first, *others = self.bundles
        flat = dict(first)
        if others:
            for number, bundle in enumerate(others, 1):
                flat |= {f"{number}:{name}": amount for name, amount in bundle.items()}
            flat[SEVERAL] = len(self.bundles)
            if self.strategy != "PACK":
                flat[self.strategy] = 1
        return flat


Request = Mapping[str, float] | Sequence[Mapping[str, float]] | Bundles
"""What a user may give: one bundle, a list of them, or `Bundles`."""


def is_request(value: Any) -> TypeGuard[Request]:
    """Whether a value looks like one, right or wrong."""
    return isinstance(value, Mapping | Bundles | list | tuple)


def checked_request(request: Request) -> dict[str, float]:
    """Return a request as one dict of amounts, without zeros.

    Raises:
        ResourceError: An amount that is negative or not a number, or a GPU request such as 1.5.
    """
    if isinstance(request, Bundles):
        return request.request
    if not isinstance(request, Mapping):
        return Bundles(request).request
    return Bundles(*split(request)).request if SEVERAL in request else checked_bundle(request)


def checked_bundle(bundle: Mapping[str, float]) -> dict[str, float]:
    """Return one bundle as a plain dict without zeros.

    Raises:
        ResourceError: As in `checked_request`.
    """
    if not isinstance(bundle, Mapping):
        raise ResourceError(f"resources: {bundle!r} is no bundle. Give a dict such as {{'cpu': 1}}.")
    checked: dict[str, float] = {}
    for name, amount in bundle.items():
        if not isinstance(name, str) or isinstance(amount, bool) or not isinstance(amount, int | float):
            raise ResourceError(f"resources={dict(bundle)!r}: {name!r}: {amount!r} is not an amount. Give a number.")
        if not 0 <= amount < float("inf"):
            raise ResourceError(f"resources={dict(bundle)!r}: {name!r} is {amount}; it must be 0 or more.")
        if name == "gpu" and amount > 1 and amount != int(amount):
            raise ResourceError(f"resources={dict(bundle)!r}: gpu={amount}: above 1 ask for whole GPUs.")
        if name in (SEVERAL, *STRATEGIES) or _NUMBERED.fullmatch(name):
            raise ResourceError(
                f"resources={dict(bundle)!r}: the name {name!r} is taken. For several bundles give a list, or "
                "tune.Bundles([...], strategy=...)."
            )
        if units(amount):
            checked[name] = amount
    return checked


def split(request: Mapping[str, float]) -> tuple[list[dict[str, float]], str]:
    """Return the bundles of a request, and its strategy.

    Raises:
        ResourceError: It is not spelled as the head of this module says.
    """
    count = request.get(SEVERAL, 1)
    if not isinstance(count, int | float) or not 1 <= count <= len(request) + 1 or count != int(count):
        raise ResourceError(f"resources={dict(request)!r}: the name {SEVERAL!r} is taken. Call it something else.")
    bundles: list[dict[str, float]] = [{} for _ in range(int(count))]
    strategy = "PACK"
    for name, amount in request.items():
        if name == SEVERAL:
            continue
        if name in STRATEGIES:
            strategy = name
        elif (found := _NUMBERED.fullmatch(name)) and int(found[1]) < count:
            bundles[int(found[1])][found[2]] = amount
        else:
            bundles[0][name] = amount
    return bundles, strategy


def request_text(request: Mapping[str, float]) -> str:
    """Return a request in words: `cpu=1, gpu=1`, or `3 bundles: cpu=1, gpu=1; 2 x cpu=1; SPREAD`."""
    if SEVERAL not in request:
        return ", ".join(f"{name}={amount:g}" for name, amount in request.items()) or "nothing"
    bundles, strategy = split(request)
    told = [f"{count} x {text}" if count > 1 else text for text, count in _runs(map(request_text, bundles))]
    return f"{len(bundles)} bundles: {'; '.join([*told, strategy])}"


def _runs(texts: Iterable[str]) -> list[tuple[str, int]]:
    runs: list[tuple[str, int]] = []
    for text in texts:
        if runs and runs[-1][0] == text:
            runs[-1] = (text, runs[-1][1] + 1)
        else:
            runs.append((text, 1))
    return runs

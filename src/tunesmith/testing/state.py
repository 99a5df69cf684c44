"""The whole state of an experiment and its policies as plain values, so that two of them can be compared deeply."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

import msgspec

from ..core.events import Event
from ..core.experiment import Experiment
from ..core.policy import Policy


def state_of(experiment: Experiment, policies: Iterable[Policy]) -> dict[str, Any]:
    """Return every attribute of the experiment and of the policies, by name, down to plain values."""
    state = {name: plain(value) for name, value in vars(experiment).items()}
    # Trials leave their queue when somebody looks at it, so only what waits in it is state.
    queues = [
        (str(shape), sorted({number for number in queue if experiment._waits_in(shape, experiment.trials[number])}))
        for shape, queue in experiment._pending.items()
    ]
    state["_pending"] = sorted((shape, queue) for shape, queue in queues if queue)
    for policy in policies:
        state[type(policy).__name__] = attributes_of(policy)
    return state


def attributes_of(policy: Policy, *, without: Collection[str] = ()) -> dict[str, Any]:
    """Return a policy's attributes as plain values, by name."""
    without = {*without, *getattr(type(policy), "_remembered", ())}
    return {name: plain(getattr(policy, name)) for name in _names(policy) if name not in without}


def plain(value: Any) -> Any:
    """Return `value` as nested lists and text, in which nan equals nan and the order of dicts counts.

    A class may name attributes that only remember answers, and are no state, in its `_remembered`.
    """
    return _plain(value, frozenset())


def _plain(value: Any, inside: frozenset[int]) -> Any:
    """Return `value` as plain; `inside` are the objects that it is a part of."""
    if value is None or isinstance(value, str | int | Enum):
        return str(value)
    if isinstance(value, float | bytes | complex | msgspec.Struct):
        return repr(value)
    if isinstance(value, type | FunctionType | BuiltinFunctionType | MethodType):
        return value.__qualname__
    if id(value) in inside:
        return "itself"
    inside |= {id(value)}
    if isinstance(value, dict):
        return [(_plain(key, inside), _plain(item, inside)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, list | tuple):
        return [_plain(item, inside) for item in value]
    if "__reduce__" in {name for kind in type(value).__mro__[:-1] for name in vars(kind)}:
        return [type(value).__name__, _reduced(value, inside)]
    remembered = getattr(type(value), "_remembered", ())
    names = [name for name in _names(value) if name not in remembered]
    return [type(value).__name__, *((name, _plain(getattr(value, name), inside)) for name in names)]


def _names(value: Any) -> list[str]:
    """Return the names of an object's attributes, sorted."""
    slots = {name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())}
    return sorted({name for name in slots if name != "__dict__" and hasattr(value, name)} | set(_own(value)))


def _own(value: Any) -> dict[str, Any]:
    own: dict[str, Any] = getattr(value, "__dict__", {})
    return own


def _reduced(value: Any, inside: frozenset[int]) -> Any:
    """Return what pickle would keep of an object that says so itself: an array, a generator of numbers, a deque."""
    try:
        parts = value.__reduce_ex__(2)
    except TypeError:
        return repr(value)
    if isinstance(parts, str):
        return parts
    return [_plain(list(part) if isinstance(part, Iterator) else part, inside) for part in parts]


class Recorder(Policy):
    """Notes the state after each event. To be told last."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = policies
        self.states: list[dict[str, Any]] = []

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Note it."""
        self.states.append(state_of(experiment, self.policies))

"""The whole state of an experiment and its policies as plain values, so that two of them can be compared deeply."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import Any

import msgspec

from tunesmith.core.events import Event
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Policy
from tunesmith.core.resources import Pool


def state_of(experiment: Experiment, policies: Iterable[Policy]) -> dict[str, Any]:
    """Return every attribute of the experiment and of the policies, by name, down to plain values."""
    state = {name: plain(value) for name, value in vars(experiment).items()}
    # Trials leave their queue when somebody looks at it, so only what waits in it is state.
    state["_pending"] = sorted(
        (str(shape), sorted({number for number in queue if experiment._waits_in(shape, experiment.trials[number])}))
        for shape, queue in experiment._pending.items()
    )
    state["_pending"] = [(shape, queue) for shape, queue in state["_pending"] if queue]
    for policy in policies:
        state[type(policy).__name__] = plain(vars(policy))
    return state


def plain(value: Any) -> Any:
    """Return `value` as nested lists and text, in which nan equals nan and the order of dicts counts."""
    if value is None or isinstance(value, str | int | Enum):
        return str(value)
    if isinstance(value, float | type):
        return repr(value)
    if isinstance(value, msgspec.Struct):
        return repr(value)
    if isinstance(value, dict):
        return [(plain(key), plain(item)) for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    names = [name for kind in type(value).__mro__ for name in getattr(kind, "__slots__", ())] or list(vars(value))
    if isinstance(value, Pool):
        names.remove("_full")  # remembered answers
    return [type(value).__name__, *((name, plain(getattr(value, name))) for name in sorted(names))]


class Recorder(Policy):
    """Notes the state after each event. To be told last."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.policies = policies
        self.states: list[dict[str, Any]] = []

    def observe(self, event: Event, experiment: Experiment) -> None:
        self.states.append(state_of(experiment, self.policies))

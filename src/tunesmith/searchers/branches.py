"""Which branches of a conditional space have been tried too rarely to be judged. Pure functions of a history.

A branch is one option of a choice on which other parameters depend. Whether it is good shows only at good values of
these; a model that has seen it once, at bad ones, takes the option itself for bad and does not come back.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..space.encoding import Encoding
    from .history import History

Branch = tuple[int, int]
"""(coordinate of the choice, index of the option)."""

EVERY = 4
"""Every so many-th trial goes to a branch that is neglected, if any is."""
LAST_PART = 0.25
"""None of the last trials does: too few would be left to find good values there."""
MORE_TRIES = 2
"""A branch is known after so many trials more than there are parameters in it."""


def branches(encoding: Encoding) -> dict[Branch, int]:
    """Return how many parameters there are in each branch; 0 in one beside others that have some."""
    inside = Counter(condition for parameter in encoding.parameters for condition in parameter.conditions)
    parents = dict.fromkeys(index for index, _ in inside)
    return {
        (index, option): inside[index, option]
        for index in parents
        for option in range(encoding.parameters[index].options)
    }


def neglected_branch(history: History, number: int) -> Branch | None:
    """Return the branch that lacks most trials, if trial `number` is one that goes to such; else None."""
    total = history.total
    if number % EVERY or (total is not None and number >= (1 - LAST_PART) * total):
        return None
    earlier = history.points[len(history.points) - history.earlier :]
    tried = np.concatenate([history.proposed, earlier])
    lacking = {
        (index, option): count + MORE_TRIES - int((tried[:, index] == option).sum())
        for (index, option), count in branches(history.encoding).items()
    }
    most = max(lacking, key=lacking.__getitem__, default=None)
    return None if most is None or lacking[most] <= 0 else most

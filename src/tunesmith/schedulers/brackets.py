"""HyperBand's brackets: their table, their rounds, and who of a round goes on. Trials are numbers here.

Source: Li et al. 2018, "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization", algorithm 1, table 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from ..core.events import Result


@dataclass(frozen=True, slots=True)
class Shape:
    """One row of the paper's table."""

    size: int
    """How many trials enter the bracket."""
    milestones: tuple[float, ...]
    """The time at which each round ends, the last one being `max_t`."""


def table(max_t: float, eta: float) -> tuple[Shape, ...]:
    """Return the brackets in the paper's order: the one with the most trials and the earliest milestone first.

    Bracket s, from s_max = floor(log_eta max_t) down to 0, has ceil((s_max + 1) / (s + 1) * eta**s) trials, and rounds
    that end at max_t * eta**-s, and so on up to max_t.
    """
    most = 0
    # A power that rounding has put a hair above max_t still counts: log_3 243 is 5.
    while eta ** (most + 1) <= max_t * (1 + 1e-12):
        most += 1
    return tuple(
        Shape(
            math.ceil(Fraction(most + 1, s + 1) * Fraction(eta) ** s),
            tuple(max_t / eta ** (s - index) for index in range(s + 1)),
        )
        for s in range(most, -1, -1)
    )


class Bracket:
    """One bracket that is being gone through. A member of its round waits once its result at the milestone is known."""

    __slots__ = ("entered", "is_closed", "members", "milestones", "number", "population", "promotion", "ready", "round",
                 "size", "waiting")  # fmt: skip

    def __init__(self, number: int, shape: Shape) -> None:
        self.number = number
        self.size = shape.size
        self.milestones = shape.milestones
        self.round = 0
        self.entered = 0
        """How many trials have ever entered it."""
        self.is_closed = False
        """Whether nobody enters any more, though there would be room."""
        self.members: dict[int, Result | None] = {}
        """The trials of its round that are not over -> the result at the milestone. The last round keeps only those
        that have not reached it."""
        self.waiting = 0
        """How many of them have that result."""
        self.ready: dict[int, None] = {}
        """Paused trials of it that may go on, the best first."""
        self.population = 0
        """How many trials of it are not over, members or not."""
        self.promotion = ""
        """Who goes on in this round, in words."""

    @property
    def milestone(self) -> float:
        """Where its round ends."""
        return self.milestones[self.round]

    @property
    def is_last_round(self) -> bool:
        """Whether its round ends at `max_t`."""
        return self.round == len(self.milestones) - 1

    @property
    def is_open(self) -> bool:
        """Whether trials may still enter it."""
        return not self.is_closed and self.round == 0 and self.entered < self.size

    @property
    def everybody_waits(self) -> bool:
        """Whether each member of its round has reached the milestone, and there is at least one."""
        return 0 < self.waiting == len(self.members)

    def enter(self, trial: int) -> None:
        """Take in a trial."""
        self.members[trial] = None
        self.entered += 1
        self.population += 1

    def waits(self, trial: int) -> bool:
        """Whether a trial has reached the milestone and waits for its round to end."""
        return self.members.get(trial) is not None

    def record(self, trial: int, result: Result) -> None:
        """Note the result of a member at the milestone."""
        self.members[trial] = result
        self.waiting += 1

    def remove(self, trial: int) -> None:
        """Take a trial out of its round, if it is in it."""
        if self.waits(trial):
            self.waiting -= 1
        self.members.pop(trial, None)

    def ranked(self, loss: Callable[[Result], float]) -> list[int]:
        """Return the members that wait, the best first; of equals the one with the lower number."""
        losses = {trial: loss(result) for trial, result in self.members.items() if result is not None}
        return sorted(losses, key=lambda trial: (losses[trial], trial))

    def begin(self, round_: int, members: dict[int, Result | None]) -> None:
        """Begin (or, with what its members had, reopen) a round."""
        self.round = round_
        self.members = members
        self.waiting = sum(result is not None for result in members.values())


def places(trials: int, eta: float) -> int:
    """Return how many of a round's trials go on: the paper's floor(n / eta), and at least the best one.

    In the table there is always one; a bracket that ends up with fewer trials is still gone through to the end.
    """
    return max(1, int(trials // eta))

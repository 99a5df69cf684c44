"""What the schedulers with rungs share: where the rungs lie, who is drawn into which bracket, what a ranking is worth.

Nothing here decides about a trial. Where the rungs lie may be given, or learned from the trials' own curves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..core.policy import ONE_RESULT
from ..core.seeds import generator
from ..errors import ConfigError
from .arguments import number, whole_number

ENOUGH = 10
"""So many trials that have been at two rungs tell whether the ranking at the one predicts that at the other."""
PREDICTS = 0.5
"""With at least this rank correlation it does: the rungs may begin there, when the user has not said where."""
EXPECTED = 0.4
"""A warning is due when the rank correlation lies more than a standard error below this. It is lower than
`PREDICTS`, since trials that have survived a rung differ less than all did."""


@dataclass(frozen=True, slots=True)
class Rung:
    """A rung as people see it."""

    bracket: int
    milestone: float
    """The time at which trials are judged here."""
    trials: int
    """How many have been recorded here."""
    cutoff: float | None
    """The metric's value that the next trial must reach; None while there is none."""


class Ladder:
    """Where the rungs of a bracket lie: at `grace_period * reduction_factor**k`, up to `max_t`.

    Without `max_t` there are ever more of them. Without `grace_period` the ladder *learns* where to begin:

    - The candidates are `t * reduction_factor**k`, with t the time of the first result that any trial reports.
    - A trial that has been at candidate k tells how it ranked later: by its loss at candidate k + 1, or, when it
      completes before, by its last one. What a single result says of both is no news and does not count.
    - When 10 trials have told of a candidate, 20, 40 and so on, the rank correlation (Spearman's) of what all of them
      told is taken. The first candidate for which it is at least 0.5 is the lowest rung for good. A lower one has been
      looked at before, and did not predict. (That of equal losses is undefined, and predicts nothing.)

    Until then nobody is judged anywhere, so that no selection distorts what is learned.
    """

    def __init__(
        self, reduction_factor: float, *, grace_period: float | None, max_t: float | None, start: int = 0
    ) -> None:
        self._factor = reduction_factor
        self._max_t = max_t
        self.milestones: list[float] = []
        """Those that are known so far, lowest first; complete where there is a `max_t`."""
        self.first: int | None = None
        """The index of the lowest rung at which trials are judged; None while it is not known."""
        self._told: list[list[tuple[float, float]]] = []
        if grace_period is not None:
            self.first = 0
            for _ in range(start):
                grace_period *= reduction_factor
            self._begin(grace_period)

    def passed(self, time: float, before: int) -> int:
        """Return how many rungs a trial has passed that has come to `time`, of which `before` are known."""
        milestones = self.milestones
        if not milestones:
            self._begin(time)
        while before < len(milestones) and milestones[before] <= time:
            before += 1
            if before == len(milestones):
                self._extend()
        return before

    def next(self, passed: int, end: float) -> float:
        """Return the time of the next rung; after the last one `end`."""
        if passed < len(self.milestones):
            return self.milestones[passed]
        # The very first result tells where the rungs may lie.
        return end if self.milestones else ONE_RESULT

    def judges(self, passed: int) -> bool:
        """Whether trials are judged at the highest of the rungs that have been passed."""
        return self.first is not None and passed > self.first

    def learn(self, index: int, earlier: float, later: float) -> None:
        """Take what a trial has told of candidate `index`: its loss there, and later."""
        if self.first is not None:
            return
        while len(self._told) <= index:
            self._told.append([])
        self._told[index].append((earlier, later))
        if not is_time_to_look(len(self._told[index])):
            return
        correlation = rank_correlation(self._told[index])
        if correlation is not None and correlation >= PREDICTS:
            self.first = index
            self._told.clear()

    def _begin(self, time: float) -> None:
        if time > 0 and (self._max_t is None or time <= self._max_t):
            self.milestones.append(time)
            while self._max_t is not None and self._extend():
                pass

    def _extend(self) -> bool:
        following = self.milestones[-1] * self._factor
        if (self._max_t is not None and following > self._max_t) or math.isinf(following):
            return False
        self.milestones.append(following)
        return True


class Brackets:
    """The ladders of a scheduler, and which trial climbs which.

    Args:
        owner: The scheduler's name, for messages.
        max_t: No rung lies above; None: there are ever more.
        grace_period: The lowest rung of bracket 0; None: it is learned.
        reduction_factor: The ratio of two rungs.
        brackets: How many; each next one starts a rung later.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def __init__(
        self, owner: str, *, max_t: float | None, grace_period: float | None, reduction_factor: float, brackets: int
    ) -> None:
        self.max_t = None if max_t is None else number(owner, "max_t", max_t, above=0)
        grace_period = None if grace_period is None else number(owner, "grace_period", grace_period, above=0)
        self.reduction_factor = number(owner, "reduction_factor", reduction_factor, least=1.1)
        if grace_period is not None and self.max_t is not None and grace_period > self.max_t:
            raise ConfigError(f"{owner}: grace_period={grace_period:g} is above max_t={self.max_t:g}. Swap them?")
        brackets = whole_number(owner, "brackets", brackets, least=1)
        if brackets > 1 and (self.max_t is None or grace_period is None):
            raise ConfigError(
                f"{owner}: brackets={brackets} needs both max_t and grace_period, which say how many rungs there are. "
                "Give both, or use brackets=1."
            )
        self._grace_period = grace_period
        self.is_learned = grace_period is None
        self._count = brackets
        self.forget()
        if brackets > 1:
            most = len(self.ladders[0].milestones)
            if brackets > most:
                raise ConfigError(
                    f"{owner}: brackets={brackets}: only the first {most} have a rung up to max_t={self.max_t:g}. "
                    f"Use at most brackets={most}, or a smaller grace_period."
                )
        # Softmax over the numbers of rungs; the largest is subtracted, so that nothing overflows.
        sizes = [len(ladder.milestones) for ladder in self.ladders]
        self._weights = [math.exp(size - sizes[0]) for size in sizes]

    def forget(self) -> None:
        """Begin anew: what was learned was learned by another objective."""
        self.ladders = [
            Ladder(self.reduction_factor, grace_period=self._grace_period, max_t=self.max_t, start=start)
            for start in range(self._count)
        ]

    def __len__(self) -> int:
        return self._count

    def draw(self, trial: int, seed: int) -> int:
        """Return the trial's bracket."""
        if self._count == 1:
            return 0
        # Keyed by the trial's number: the order in which trials arrive does not matter.
        return generator(seed, "bracket", trial).choices(range(self._count), self._weights)[0]


class RankingWatch:
    """Tells when the ranking at a rung says little about that at the next one.

    Of each two neighbouring rungs it keeps the losses of the trials that were recorded at both by different results.
    When there are 10 such trials, 20, 40 and so on, it takes their rank correlation; one that lies more than a
    standard error, `1 / sqrt(n - 1)`, below 0.4 is told, once for each two rungs. So the cost is O(log n) a trial.
    """

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.pairs: dict[tuple[int, int], list[tuple[float, float]]] = {}
        """(bracket, index of the lower rung) -> each trial's loss at the lower and at the upper one."""
        self._warned: set[tuple[int, int]] = set()

    def forget(self) -> None:
        """Begin anew: losses of another objective compare with nothing."""
        self.pairs = {}

    def add(self, bracket: int, index: int, milestones: Sequence[float], earlier: float, later: float) -> None:
        """Take a trial's losses at the rungs `index` and `index + 1` of `milestones`."""
        key = (bracket, index)
        pairs = self.pairs.setdefault(key, [])
        pairs.append((earlier, later))
        if not is_time_to_look(len(pairs)) or key in self._warned:
            return
        correlation = rank_correlation(pairs)
        if correlation is not None and correlation < EXPECTED - 1 / math.sqrt(len(pairs) - 1):
            self._warned.add(key)
            self.warnings.append(
                f"the ranking at rung {milestones[index]:g} says little about that at rung "
                f"{milestones[index + 1]:g}: over the {len(pairs)} trials that were at both, the rank correlation is "
                f"{correlation:.2f}. Trials are judged before they show what they are worth: use a larger "
                f"grace_period, {milestones[index + 1]:g} say."
            )


def described(rungs: Sequence[Rung], brackets: Brackets) -> str:
    """Return one line per bracket: how many trials each rung has seen, and its cutoff."""
    lines = []
    for bracket, ladder in enumerate(brackets.ladders):
        shown = ", ".join(
            f"{rung.milestone:g}: {rung.trials}" + ("" if rung.cutoff is None else f" ({rung.cutoff:.4g})")
            for rung in rungs
            if rung.bracket == bracket
        )
        name = f"bracket {bracket}" if len(brackets) > 1 else "rungs"
        if ladder.first is None:
            name += ", which judge nobody before it is known where a ranking predicts later ones"
        elif brackets.is_learned and ladder.first:
            name += f", which judge from {ladder.milestones[ladder.first]:g} on"
        lines.append(f"{name}: {shown}")
    return "\n".join(lines)


def is_time_to_look(count: int) -> bool:
    """Whether there are `ENOUGH` of something, twice as many, four times as many and so on."""
    looks, rest = divmod(count, ENOUGH)
    return looks > 0 and not rest and not looks & (looks - 1)


def rank_correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return Spearman's rank correlation of pairs of numbers (inf allowed, nan not), with mean ranks for ties.

    None when it is undefined: all first numbers are equal, or all second ones.
    """
    first, second = _ranks([pair[0] for pair in pairs]), _ranks([pair[1] for pair in pairs])
    middle = (len(pairs) + 1) / 2
    spread = math.fsum((rank - middle) ** 2 for rank in first) * math.fsum((rank - middle) ** 2 for rank in second)
    if not spread:
        return None
    return math.fsum((a - middle) * (b - middle) for a, b in zip(first, second, strict=True)) / math.sqrt(spread)


def _ranks(numbers: Sequence[float]) -> list[float]:
    """Return each number's rank from 1; equal ones share the mean of theirs."""
    order = sorted(range(len(numbers)), key=numbers.__getitem__)
    ranks = [0.0] * len(numbers)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and numbers[order[end]] == numbers[order[start]]:
            end += 1
        for position in range(start, end):
            ranks[order[position]] = (start + 1 + end) / 2
        start = end
    return ranks

"""Configs that are tried several times, once per fold or seed: which trials belong together, and what a group is worth.

A trial's config says which replicate it is, under `KEY`. The trials of one config are a *group*.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from .events import Config

KEY = "replicate"
"""The name in a trial's config under which the index of its replicate stands, from 0 on."""
CONFIDENCE = 0.95


class Groups:
    """Which trials belong together. Feed it the trials' configs, in the order of their numbers.

    Groups are numbered in the order in which they come; a replicate goes to the first group that lacks it. So the j-th
    trial that is replicate k belongs to group j, in whatever order replicates are mixed.

    Args:
        replicates: How many each config is to have.
    """

    __slots__ = ("counts", "of_trial", "trials")

    def __init__(self, replicates: int) -> None:
        self.counts = [0] * replicates
        """How many trials are replicate 0, 1, ...: never more of a later one."""
        self.of_trial: list[tuple[int, int]] = []
        """Trial -> (group, replicate)."""
        self.trials: list[list[int]] = []
        """Group -> its trials by replicate."""

    def add(self, config: Config) -> int:
        """Take the next trial; return its group."""
        replicate = config.get(KEY, 0)
        if type(replicate) is not int or not 0 <= replicate < len(self.counts):
            replicate = 0  # somebody's own parameter of that name, in a run without replicates
        group = self.counts[replicate]
        self.counts[replicate] += 1
        if group == len(self.trials):
            self.trials.append([])
        self.trials[group].append(len(self.of_trial))
        self.of_trial.append((group, replicate))
        return group


class Standing(msgspec.Struct, frozen=True):
    """What a group is worth so far: by the best loss that each of its completed trials ever had."""

    group: int
    losses: tuple[float, ...]
    """Of the replicates that count, in order."""
    trials: tuple[int, ...]
    """Whose losses they are."""
    all_trials: tuple[int, ...]
    """All trials of the group, by replicate, also those that do not count."""

    @property
    def mean(self) -> float:
        """The mean loss; inf while no replicate counts."""
        return math.fsum(self.losses) / len(self.losses) if self.losses else math.inf

    @property
    def rank(self) -> tuple[int, float, int]:
        """Lower is better: more replicates first, then the lower mean, then the earlier group.

        A group that has been lucky in few replicates does not pass for better than one that was as good in all.
        """
        return (-len(self.losses), self.mean, self.group)

    @property
    def representative(self) -> int | None:
        """The trial whose loss is nearest to the mean, the earliest of equals; None while no replicate counts."""
        mean = self.mean
        pairs = sorted(zip(self.trials, self.losses, strict=True))
        return min(pairs, key=lambda pair: abs(pair[1] - mean))[0] if pairs else None


def standings(trials: Iterable[tuple[Config, float | None]], replicates: int) -> list[Standing]:
    """Return what each group is worth, by its number.

    Args:
        trials: For each trial, by number, its config, and its loss or None when it does not count.
        replicates: How many each config has.
    """
    groups, losses = Groups(replicates), []
    for config, loss in trials:
        groups.add(config)
        losses.append(loss)
    found = []
    for group, numbers in enumerate(groups.trials):
        counted = [(number, loss) for number in numbers if (loss := losses[number]) is not None]
        found.append(
            Standing(
                group,
                tuple(loss for _, loss in counted),
                tuple(number for number, _ in counted),
                tuple(numbers),
            )
        )
    return found


def best_standing(found: Iterable[Standing]) -> Standing | None:
    """Return the best group; None while no replicate of any counts."""
    best = min(found, key=lambda each: each.rank, default=None)
    return best if best is not None and best.losses else None


def without_key(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the replicates of a config share."""
    return {name: value for name, value in config.items() if name != KEY}


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Return the interval around the mean that Student's t gives; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy.special import stdtrit

    count = len(values)
    mean = math.fsum(values) / count
    error = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1) / count)
    reach = float(stdtrit(count - 1, 0.5 + confidence / 2)) * error
    return mean - reach, mean + reach

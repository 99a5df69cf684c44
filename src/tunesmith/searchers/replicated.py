"""Any searcher, with each of its configs tried several times. Proposes nothing of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from ..core.events import Config, Event, Suggested
from ..core.policy import Searcher
from ..core.replicates import KEY, Groups, without_key

if TYPE_CHECKING:
    from ..core.experiment import Experiment

BLOCK = 8
"""So many configs are mixed: replicate 0 of each of them, then replicate 1 of each, and so on; then the next ones."""


class ReplicatedSearcher(Searcher):
    """Proposes each config of another searcher `replicates` times, with `config["replicate"]` = 0, 1, ...

    *Order.* Config by config would have all replicates of a config running at once, so that nothing could be saved by
    stopping some; replicate by replicate over all configs would ask a searcher that learns for everything before it
    has learned anything. So it goes in blocks of 8 configs, replicate by replicate in a block. A searcher that has
    nothing to offer for now makes a block smaller.

    *What the other searcher sees.* It is asked once per config. Its `experiment.next_number` and `trials_wanted` count
    configs, and of what was suggested it sees one config each, without the key. `experiment.trials` and the events of
    trials are real: it learns a result per replicate, from trials whose config holds the key.
    """

    def __init__(self, searcher: Searcher, replicates: int) -> None:
        self.searcher = searcher
        self.ignores_earlier_trials = searcher.ignores_earlier_trials
        self.replicates = replicates
        self._groups = Groups(replicates)
        self._open: dict[int, Config] = {}
        """Groups that have not all replicates yet -> what these share."""
        self._block = 0
        """The first group of the block that is under way."""

    @property
    def warnings(self) -> Sequence[str]:
        """What the other searcher has to say."""
        return self.searcher.warnings

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn which replicates there are, and pass on what the other searcher may see."""
        if type(event) is Suggested:
            event = self._learn(event)
        self.searcher.observe(event, self.seen_by_other(experiment))

    def _learn(self, event: Suggested) -> Suggested:
        own = []
        for index, config in enumerate(event.configs):
            group = self._groups.add(config)
            if config.get(KEY, 0) == 0:
                self._open[group] = without_key(config)
                own.append(index)
            if len(self._groups.trials[group]) == self.replicates:
                del self._open[group]
            self._block = self._block_now(self._groups.counts, self._block)
        requests = None if event.requests is None else tuple(event.requests[index] for index in own)
        return replace(event, configs=tuple(without_key(event.configs[index]) for index in own), requests=requests)

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return the replicates that come next, of configs that are known or new."""
        view = self.seen_by_other(experiment)
        return self._composer(count, experiment)(lambda asked: self.searcher.suggest(asked, view))

    def prepared(self, count: int, experiment: Experiment) -> Callable[[], Sequence[Config]] | None:
        """Return what computes them; None where no new config is needed."""
        wanted: list[int] = []

        def note(asked: int) -> Sequence[Config]:
            wanted.append(asked)
            return ()

        compose = self._composer(count, experiment)
        compose(note)
        work = self.searcher.prepared(wanted[0], self.seen_by_other(experiment)) if wanted else None
        return None if work is None else lambda: compose(lambda asked: work())

    def _composer(
        self, count: int, experiment: Experiment
    ) -> Callable[[Callable[[int], Sequence[Config]]], list[Config]]:
        """Return what makes the next configs out of what it is to ask the other searcher with: a snapshot."""
        counts, shared, block = tuple(self._groups.counts), dict(self._open), self._block
        wanted = None if experiment.trials_wanted is None else experiment.trials_wanted // self.replicates
        return lambda ask: self._composed(count, wanted, list(counts), dict(shared), block, ask)

    def _composed(
        self,
        count: int,
        wanted: int | None,
        counts: list[int],
        shared: dict[int, Config],
        block: int,
        ask: Callable[[int], Sequence[Config]],
    ) -> list[Config]:
        configs, is_asked = list[Config](), False
        while len(configs) < count:
            block = self._block_now(counts, block)
            room = self._room_for_new(counts, block, wanted)
            if room and not is_asked:
                # Once only: what it proposes next may depend on what became of this.
                is_asked = True
                for config in ask(min(room, count - len(configs))):
                    shared[counts[0]] = config
                    counts[0] += 1
                    configs.append({**config, KEY: 0})
                continue
            replicate = next((k for k in range(1, self.replicates) if counts[k] < counts[k - 1]), None)
            if replicate is None:
                break
            configs.append({**shared[counts[replicate]], KEY: replicate})
            counts[replicate] += 1
        return configs

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Whether the other searcher is, and every config has all its replicates."""
        counts = self._groups.counts
        return counts[-1] == counts[0] and self.searcher.is_exhausted(self.seen_by_other(experiment))

    @staticmethod
    def _block_now(counts: Sequence[int], block: int) -> int:
        """Return the first group of the block under way: the next one, when all that there are have all replicates."""
        return counts[0] if counts[-1] == counts[0] else block

    @staticmethod
    def _room_for_new(counts: Sequence[int], block: int, wanted: int | None) -> int:
        """Return how many new configs may be opened before further replicates of the open ones."""
        if counts[1] > block:
            return 0  # the block is closed: its later replicates have begun
        room = block + BLOCK - counts[0]
        return room if wanted is None else min(room, wanted - counts[0])

    def seen_by_other(self, experiment: Experiment) -> Experiment:
        """Return the experiment as the other searcher is to see it."""
        wanted = experiment.trials_wanted
        view = _ByConfig(experiment, self._groups.counts[0], None if wanted is None else wanted // self.replicates)
        return cast("Experiment", view)


class _ByConfig:
    """An experiment as it would be if each config were one trial, as far as a searcher asks for what comes next."""

    def __init__(self, experiment: Experiment, next_number: int, trials_wanted: int | None) -> None:
        self._experiment = experiment
        self.next_number = next_number
        self.trials_wanted = trials_wanted

    def __getattr__(self, name: str) -> Any:
        return getattr(self._experiment, name)


def replicated(
    searcher_for: Callable[[int], tuple[Searcher, int | None]], replicates: int
) -> Callable[[int], tuple[Searcher, int | None]]:
    """Return a maker of searchers whose configs are all tried `replicates` times."""

    def searcher_and_total(seed: int) -> tuple[Searcher, int | None]:
        searcher, total = searcher_for(seed)
        return ReplicatedSearcher(searcher, replicates), None if total is None else total * replicates

    return searcher_and_total

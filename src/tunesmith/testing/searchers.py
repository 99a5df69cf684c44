"""Holds a searcher to its contract: random simulated experiments in which much goes wrong, on every kind of space.

One seed is one experiment on one space; the seed in an error's message is the bug report.
"""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import msgspec

from ..core.engine import Limits, fold
from ..core.events import (
    Config,
    EarlierTrials,
    Event,
    ExperimentCreated,
    Metrics,
    Result,
    SessionOpened,
    Suggested,
)
from ..core.experiment import Experiment
from ..core.objective import Objective
from ..core.policy import CONTINUE, Decision, Exploit, Pause, Scheduler, Searcher, Stop
from ..core.seeds import derived_seed, generator
from ..errors import SpaceError, TuneError
from ..executors.simulated import Faults, SimulatedExecutor
from ..searchers.named import searcher_named
from ..searchers.settings import SearcherSettings
from ..searchers.variants import BasicVariantGenerator
from ..space.encoding import Encoding
from ..space.space import Space
from ..space.versions import lies_in, own_part
from ..stoppers import NoopStopper
from .driver import Driver
from .spaces import every_kind_of_space

WORKERS = (1, 2, 7)
KEPT = 4
"""So many prepared answers of a session are worked out at its end only, in another thread."""
LONGEST = 6
"""The most results of one trial."""

Given = SearcherSettings | Searcher | str


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What the experiments of a check share; see `check_searcher`."""

    make: Callable[[], Given]
    spaces: Mapping[str, Space | None]
    fewest: int
    trials: int
    workers: Sequence[int]
    questions: int
    restarts: int
    trouble: bool


def check_searcher(
    make: Callable[[], Given],
    *,
    spaces: Mapping[str, Mapping[str, Any] | Space] | None = None,
    runs: int | None = None,
    seed: int = 0,
    trials: int = 16,
    fewest: int = 1,
    workers: Sequence[int] = WORKERS,
    questions: int = 20,
    restarts: int = 2,
    trouble: bool = True,
) -> None:
    """Hold a searcher to its contract in random simulated experiments.

    There are failures, nan, inf and missing metrics, several objectives, trials that are paused, stopped or made clones
    of others, lost and hung workers, controllers that die after any event, and sessions that another searcher drove. It
    is checked that

    - `suggest` asked twice gives the same answer, and leaves the global generators of random numbers alone,
    - a new searcher that is told the journal up to any event suggests what the live one did,
    - `prepared` computes the same as `suggest`, also in another thread, when more has happened since,
    - configs lie in the space, hold its constraints, and can be journaled,
    - no more are suggested than were asked for, and none once `is_exhausted` has said that there are no more,
    - settings with `duplicates="skip"` never suggest the same config of a finite space twice,
    - every experiment ends, and none is stuck.

    Args:
        make: Returns at each call what a user gives as `searcher=`: new settings, a new searcher, or its name.
        spaces: The spaces to search, by name; by default one of every kind. A searcher that is no `SearcherSettings`
            knows its own space: give it here, or its configs are not held against any.
        runs: How many experiments; by default two for each space.
        seed: The first one's seed; the others follow. A failure names the one that failed.
        trials: The most trials in one experiment.
        fewest: The fewest.
        workers: With how many workers.
        questions: So often a session asks out of turn, and so many of its answers are asked of a new searcher again.
        restarts: How often a controller dies at most, in one experiment.
        trouble: Whether anything goes wrong at all.

    Raises:
        AssertionError: Something does not hold; the message says what, with the seed and what happened before.
    """
    first = make()
    if not isinstance(first, Given):
        raise TypeError(f"make returned {first!r}: it must return a new searcher, or settings or a name of one.")
    chosen: Mapping[str, Space | None]
    if spaces is not None:
        chosen = {name: Space.of(spec) for name, spec in spaces.items()}
    else:
        chosen = {"its own": None} if isinstance(first, Searcher) else every_kind_of_space()
    contract = Contract(
        make=make,
        spaces=chosen,
        fewest=fewest,
        trials=trials,
        workers=workers,
        questions=questions,
        restarts=restarts,
        trouble=trouble,
    )
    for number in range(seed, seed + (2 * len(chosen) if runs is None else runs)):
        _Trail(contract, number).walk()


class _Trail:
    """One experiment: sessions that die after any event, and one that comes to its end."""

    def __init__(self, contract: Contract, seed: int) -> None:
        self.contract = contract
        self.seed = seed
        self.draw = Random(derived_seed(seed, "check"))
        # Seeds that follow each other go through the spaces.
        self.space_name, self.space = list(contract.spaces.items())[seed % len(contract.spaces)]
        self.encoding = None if self.space is None else Encoding(self.space)
        self.wanted = self.draw.choice([contract.trials, self.draw.randint(contract.fewest, contract.trials)])
        self.mode = self.draw.choice(["min", "max"])
        self.events: list[Event] = []
        self.is_plain = True
        """Whether a sample is a trial, and not the whole of a grid."""
        self.by_others: set[int] = set()
        """Trials that another searcher proposed."""
        self.name = ""

    def walk(self) -> None:
        draw, contract = self.draw, self.contract
        try:
            for _ in range(draw.randint(0, contract.restarts)):
                session = self._session(is_own=draw.random() < 0.8)
                self.events = session.events[: draw.randint(0, len(session.events))]
            session = self._session(is_own=True)
            finished = session.experiment.finished
            assert finished is not None
            assert finished.reason == "completed", f"the experiment ends as {finished.reason}: {finished.message}"
            self._check_configs()
        except Exception as error:
            what = str(error) if isinstance(error, AssertionError | TuneError) else ""
            raise AssertionError(self._story(what or repr(error))) from error

    def _searcher(self) -> tuple[Searcher, int | None]:
        given = self.contract.make()
        settings = searcher_named(given) if isinstance(given, str) else given
        self.name = type(settings).__name__
        if isinstance(settings, Searcher):
            return settings, self.wanted
        assert self.space is not None, "settings are checked on spaces"
        settings.check(Objective("loss", self.mode))
        searcher = settings.bound_to(self.space, self.wanted, self.seed)
        wanted = settings.trials_wanted(searcher, self.wanted)
        self.is_plain = wanted == self.wanted
        return searcher, self.wanted if wanted is None else min(wanted, self.wanted)

    def _session(self, *, is_own: bool) -> Driver:
        searcher, wanted = self._searcher()
        is_own = is_own or self.space is None
        if not is_own and self.space is not None:
            searcher = BasicVariantGenerator().bound_to(self.space, -1, self.seed + 1)
        watched = _Watched(searcher, self.draw, self.contract.questions, self._check_config)
        first = sum(len(event.configs) for event in self.events if isinstance(event, Suggested))
        session = Driver(
            searcher=watched,
            scheduler=_Fickle(self.seed if self.contract.trouble else None),
            stopper=NoopStopper(),
            executor=SimulatedExecutor(
                _curve(self.seed, is_troubled=self.contract.trouble),
                workers=self.draw.choice(list(self.contract.workers)),
                checkpoint_every=self.draw.choice([0, 1, 3]),
                faults=_some_faults(self.draw) if self.contract.trouble else None,
            ),
            limits=Limits(max_failures=self.draw.choice([0, 2]), report_timeout=60.0, fail_fast=False),
            past=self.events,
            seed=self.seed,
            trials_wanted=wanted,
            metric="loss",
            mode=self.mode,
            more_objectives=(("cost", "min"),) if self.seed % 3 == 2 else (),
        )
        if not self.events and not searcher.ignores_earlier_trials and self.seed % 4 == 1:
            session.opening.append(self._earlier(objectives=2 if self.seed % 3 == 2 else 1))
        session.run(most_turns=20_000)
        self.events = session.events
        if is_own:
            watched.check_kept()
            self._check_answers(watched.answers)
        else:
            self.by_others |= set(range(first, session.experiment.next_number))
        return session

    def _earlier(self, *, objectives: int) -> EarlierTrials:
        count = self.draw.randint(1, 12)
        configs: list[Config] = [{"of another space": number} for number in range(count)]
        if self.space is not None and self.encoding is not None:
            configs[1:] = [self.encoding.completed(seed=self.seed + 5, number=number) for number in range(1, count)]
        losses = tuple(tuple(self.draw.random() for _ in range(objectives)) for _ in configs)
        return EarlierTrials(at=0.0, source="elsewhere", configs=tuple(configs), losses=losses)

    # What must hold of what it has said.

    def _check_config(self, config: Config) -> None:
        assert isinstance(config, dict), f"a config is a dict; it suggested {config!r}"
        again = msgspec.json.decode(msgspec.json.encode(config))
        assert again == config, f"JSON makes {again} of the config {config}: it holds what JSON cannot"
        if self.space is None or self.encoding is None:
            return
        try:
            row = self.encoding.coordinates(own_part(self.space, config))
        except SpaceError as error:
            raise AssertionError(f"the config {config} does not lie in the space: {error}") from error
        assert lies_in(self.space, config, set()), f"the config {config} does not lie in the space"
        if self.space.constraints:
            import numpy as np

            allowed = self.encoding.allowed(self.encoding.settled(np.array([row])))[0]
            assert allowed, f"the config {config} does not hold what the space requires"

    def _check_configs(self) -> None:
        settings = self.contract.make()
        if isinstance(settings, str):
            settings = searcher_named(settings)
        encoding = self.encoding
        skips = self.is_plain and getattr(settings, "duplicates", None) == "skip"
        if not skips or encoding is None or not encoding.width:
            return
        seen: set[Any] = set()
        made = [config for event in self.events if isinstance(event, Suggested) for config in event.configs]
        for number, config in enumerate(made):
            key = repr(encoding.coordinates(own_part(encoding.space, config)))
            assert number in self.by_others or key not in seen or encoding.size == math.inf, (
                f"trial {number} has a config that was tried before: {config}"
            )
            seen.add(key)

    def _check_answers(self, answers: Sequence[tuple[int, int, str]]) -> None:
        """Ask a new searcher, which is told the journal up to the same event, what the live one was asked."""
        chosen = self.draw.sample(range(len(answers)), min(self.contract.questions, len(answers)))
        for index in chosen:
            seen, count, said = answers[index]
            searcher, _ = self._searcher()
            experiment = fold(self.events[:seen], Experiment(), (searcher,))
            again = list(searcher.suggest(count, experiment))
            assert repr(again) == said, (
                f"after a restart at event {seen} it suggests {_short(again)} where it had suggested {_short(said)}. "
                "What it suggests must follow from what `observe` has seen, and from nothing else"
            )

    def _story(self, what: str) -> str:
        first = max(0, len(self.events) - 25)
        told = "\n".join(f"  {first + index}: {_short(event)}" for index, event in enumerate(self.events[first:]))
        return (
            f"{self.name} breaks the contract of searchers on the space {self.space_name!r} with seed {self.seed}: "
            f"{what}.\nThe same again: check_searcher(..., seed={self.seed}, runs=1). The last events:\n{told}"
        )


class _Watched(Searcher):
    """Wraps a searcher: asks everything twice, now and then out of turn, and notes the answers."""

    def __init__(self, inner: Searcher, draw: Random, questions: int, check: Callable[[Config], None]) -> None:
        self.inner = inner
        self.answers: list[tuple[int, int, str]] = []
        """How many events it had seen, how many configs were wanted, what it said."""
        self._kept: list[tuple[Callable[[], Sequence[Config]], str]] = []
        self._draw = draw
        self._extra = questions
        self._check = check
        self._seen = 0
        self._said: list[str] = []
        self._is_exhausted = False

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Pass it on, and ask out of turn."""
        self.inner.observe(event, experiment)
        self._seen += 1
        # A session's opening is one turn, in which nobody asks.
        is_open = type(event) not in (ExperimentCreated, SessionOpened, EarlierTrials)
        if is_open and self._extra and self._draw.random() < 0.15:
            self._extra -= 1
            self._ask(self._draw.choice([1, 1, 2, 5]), experiment)

    @property
    def warnings(self) -> Sequence[str]:
        """What the searcher says."""
        return self.inner.warnings

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        """Return its answer."""
        return self._ask(count, experiment)

    def is_exhausted(self, experiment: Experiment) -> bool:
        """Return its answer."""
        first = self.inner.is_exhausted(experiment)
        assert first == self.inner.is_exhausted(experiment), "is_exhausted asked twice gave two answers"
        self._is_exhausted = self._is_exhausted or first
        return first

    def _ask(self, count: int, experiment: Experiment) -> Sequence[Config]:
        before = _global_generators()
        answer = list(self.inner.suggest(count, experiment))
        assert _global_generators() == before, (
            "suggest draws from a global generator of random numbers. Make one of its own for each suggestion, of the "
            "seed and the trial's number"
        )
        said, again = repr(answer), repr(list(self.inner.suggest(count, experiment)))
        assert said == again, f"suggest({count}) asked twice answered {_short(said)} and then {_short(again)}"
        assert len(answer) <= count, f"suggest({count}) returned {len(answer)} configs"
        work = self.inner.prepared(count, experiment)
        if work is not None:
            computed = repr(list(work()))
            assert computed == said, f"prepared computes {_short(computed)} where suggest answers {_short(said)}"
            if len(self._kept) < KEPT:
                self._kept.append((self.inner.prepared(count, experiment) or work, said))
        if self.inner.is_exhausted(experiment):
            assert not answer, f"is_exhausted says that there are no more configs, and it suggests {_short(answer)}"
        for config in answer:
            self._check(config)
        warnings = list(self.inner.warnings)
        assert warnings[: len(self._said)] == self._said, f"warnings only grow; they were {self._said}, now {warnings}"
        self._said = warnings
        self.answers.append((self._seen, count, said))
        return answer

    def check_kept(self) -> None:
        """Work out in another thread what was prepared long ago."""
        found: list[str] = []

        def compute() -> None:
            for work, _ in self._kept:
                try:
                    found.append(repr(list(work())))
                except Exception as error:  # noqa: BLE001  somebody's code; told below
                    found.append(repr(error))

        thread = threading.Thread(target=compute)
        thread.start()
        thread.join()
        for (_, said), late in zip(self._kept, found, strict=True):
            assert late == said, (
                f"what was prepared computes {_short(late)} when more has happened since, and {_short(said)} before. "
                "It must look at nothing but a snapshot"
            )


class _Fickle(Scheduler):
    """Stops, pauses and clones trials at random, keyed by the result; without a seed it lets everything go on."""

    def __init__(self, seed: int | None) -> None:
        self.seed = seed

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Return a decision."""
        if self.seed is None:
            return CONTINUE
        draw = generator(self.seed, f"fickle/{result.trial}/{result.attempt}", result.number)
        kind = draw.random()
        if kind < 0.08:
            return Stop("unlucky")
        if kind < 0.16:
            return Pause()
        if kind < 0.2:
            source = draw.randrange(experiment.next_number)
            return Exploit(source, experiment.trials[source].config, "by chance")
        return CONTINUE


def _curve(seed: int, *, is_troubled: bool) -> Callable[[Config], Iterator[tuple[Metrics, float]]]:
    """Return learning curves with ties, nan, inf, huge and missing values; the same config has the same curve."""

    def curve(config: Config) -> Iterator[tuple[Metrics, float]]:
        draw = Random(derived_seed(seed, repr(sorted(config.items(), key=repr))))
        quality = draw.choice([float(draw.randint(0, 3)), 3 * draw.random()])
        for number in range(draw.choice([1, LONGEST, draw.randint(1, LONGEST)])):
            value: Any = quality + draw.choice([0.0, 1 / (number + 1), draw.random() / 10])
            if is_troubled and draw.random() < 0.1:
                value = draw.choice([float("nan"), float("inf"), float("-inf"), 1e30, -1e30, 7, None])
            metrics: Metrics = {"loss": value, "cost": draw.random()}
            yield {name: found for name, found in metrics.items() if found is not None}, draw.choice([1.0, 0.5])

    return curve


def _some_faults(draw: Random) -> Faults:
    def often(most: float) -> float:
        return draw.choice([0.0, 0.0, most * draw.random()])

    return Faults(
        seed=draw.randrange(10**6),
        fails=often(0.15),
        is_lost=often(0.1),
        hangs=often(0.02),
        is_slow=often(0.5),
        damages_checkpoint=often(0.2),
        start_delay=often(2.0),
        message_delay=often(2.0),
    )


def _global_generators() -> tuple[object, ...]:
    import numpy

    state: Any = numpy.random.get_state(legacy=False)
    return (random.getstate(), state["state"]["key"].tobytes(), state["state"]["pos"])


def _short(value: object, most: int = 300) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= most else text[:most] + "..."

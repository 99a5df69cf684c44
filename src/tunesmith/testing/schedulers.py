"""Holds a scheduler to its contract: random simulated experiments in which much goes wrong, looked at event by event.

One seed is one experiment; the seed in an error's message is the bug report.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, TypeVar

from ..core.engine import Limits, Step, fold
from ..core.events import Config, Event, Metrics, Result, StopRequested
from ..core.experiment import Experiment
from ..core.policy import Choice, Decision, Scheduler
from ..core.seeds import derived_seed, generator
from ..core.trial import Trial
from ..errors import TuneError
from ..executors.simulated import Faults, SimulatedExecutor
from ..stoppers import NoopStopper
from .driver import Driver
from .invariants import Invariants
from .searcher import KeyedSearcher
from .state import attributes_of, state_of

WORKERS = (1, 2, 7)
SAMPLED, SAMPLED_WORLD = 0.04, 0.01
"""How often the scheduler's whole state is compared around a query, and the experiment's: it costs much more."""
_AUTOMATIC = ("training_iteration", "time_total_s")

Answer = TypeVar("Answer")
Examine = Callable[[Experiment, Sequence[Event]], None]


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What the experiments of a check share; see `check_scheduler`."""

    make_scheduler: Callable[[], Scheduler]
    fewest: int
    trials: int
    longest: int
    objectives: tuple[tuple[str, str], ...]
    draw_config: Callable[[Random], Config]
    saves: bool | None
    workers: Sequence[int]
    caches: Collection[str]
    examine: Examine | None
    restarts: int
    trouble: bool
    most_turns: int


def check_scheduler(
    make_scheduler: Callable[[], Scheduler],
    *,
    runs: int = 200,
    seed: int = 0,
    trials: int = 12,
    fewest: int = 1,
    longest: int = 20,
    objectives: Sequence[tuple[str, str]] | None = None,
    draw_config: Callable[[Random], Config] | None = None,
    saves: bool | None = None,
    workers: Sequence[int] = WORKERS,
    restarts: int = 2,
    trouble: bool = True,
    most_turns: int = 50_000,
    caches: Collection[str] = (),
    examine: Examine | None = None,
) -> None:
    """Hold a scheduler to its contract in random simulated experiments.

    There are trials with and without checkpoints, ties, nan and missing metrics, failures, lost and hung workers, late
    and doubled messages, stops by a person, and controllers that die after any event. It is checked that

    - a query (`decide`, `lease`, `choose`, `unblock`) asked twice gives the same answer and changes nothing,
    - warnings only grow,
    - folding the journal into a new scheduler gives the state that the live one had,
    - its decisions are such as the core can carry out, on attempts that live, never two of one trial at once,
    - every experiment ends, and none is stuck.

    Args:
        make_scheduler: Returns a new scheduler at each call.
        runs: How many experiments.
        seed: The first one's seed; the others follow. A failure names the one that failed.
        trials: The most trials in one experiment.
        fewest: The fewest.
        longest: The most results of one trial.
        objectives: (metric, mode) of the experiment; by default the scheduler's own, or ("loss", "min").
        draw_config: Returns a config, for schedulers that look into it.
        saves: Whether trials have checkpoints; None: some experiments' do.
        workers: With how many workers.
        restarts: How often a controller dies at most, in one experiment.
        trouble: Whether anything goes wrong at all.
        most_turns: A session that has not ended after so many turns of the loop never does.
        caches: Attributes in which the scheduler only remembers answers, and which are therefore no part of its state.
        examine: Is called with each finished experiment and its events, for checks of your own.

    Raises:
        AssertionError: Something does not hold; the message says what, with the seed and what happened before.
    """
    first = make_scheduler()
    if not isinstance(first, Scheduler):
        raise TypeError(f"make_scheduler returned {first!r}: it must return a new tune.Scheduler at each call.")
    contract = Contract(
        make_scheduler=make_scheduler,
        fewest=fewest,
        trials=trials,
        longest=longest,
        objectives=tuple(objectives or _objectives_of(first)),
        draw_config=draw_config or _any_config,
        saves=saves,
        workers=workers,
        caches=caches,
        examine=examine,
        restarts=restarts,
        trouble=trouble,
        most_turns=most_turns,
    )
    for number in range(seed, seed + runs):
        _Trail(contract, number).walk()


def _objectives_of(scheduler: Scheduler) -> list[tuple[str, str]]:
    own = getattr(scheduler, "objectives", None) or [getattr(scheduler, "objective", None)]
    return [(each.metric, each.mode) for each in own if each is not None] or [("loss", "min")]


def _any_config(draw: Random) -> Config:
    return {"x": draw.random()}


class _Trail:
    """One experiment: sessions that die after any event, and one that comes to its end."""

    def __init__(self, contract: Contract, seed: int) -> None:
        self.contract = contract
        self.seed = seed
        self.draw = Random(derived_seed(seed, "check"))
        self.events: list[Event] = []
        self.name = ""

    def walk(self) -> None:
        draw, contract = self.draw, self.contract
        troubled = contract.trouble
        limits = Limits(
            max_failures=draw.choice([0, 1, 3]),
            report_timeout=60.0,  # without it, a lost message may leave a worker standing for ever
            grace=draw.choice([0.0, 2.0]),
            fail_fast=False,
            holds=draw.random() < 0.2,
            num_to_keep=draw.choice([None, None, 1, 3]),
        )
        saves = draw.random() < 0.6 if contract.saves is None else contract.saves
        setting = {
            "limits": limits,
            "workers": draw.choice(list(contract.workers)),
            "checkpoint_every": draw.randint(1, 4) if saves else 0,
            "trials_wanted": draw.randint(contract.fewest, contract.trials),
            "faults": _some_faults(draw) if troubled and draw.random() < 0.7 else None,
            "stops": draw.choice([0.0, 0.0, 0.03]) if troubled else 0.0,
        }
        sessions = draw.randint(0, contract.restarts)
        try:
            for _ in range(sessions):
                session = self._session(setting, may_interrupt=True)
                cut = draw.randint(0, len(session.events))
                self.events = session.events[:cut]
            session = self._session(setting, may_interrupt=False)
            self._check_end(session)
        except Exception as error:
            what = str(error) if isinstance(error, AssertionError | TuneError) else ""
            raise AssertionError(self._story(what or repr(error))) from error

    def _session(self, setting: dict[str, Any], *, may_interrupt: bool) -> _Session:
        contract = self.contract
        scheduler = contract.make_scheduler()
        self.name = type(scheduler).__name__
        session = _Session(self, scheduler, may_interrupt=may_interrupt, **setting)
        self.events = session.events  # also while it goes on, for the story
        session.run(most_turns=contract.most_turns)
        self._check_fold(session)
        return session

    def _check_fold(self, session: _Session) -> None:
        states = session.watched.states
        fresh, index = self.contract.make_scheduler(), -1
        experiment = Experiment()
        for index, event in enumerate(session.events):
            fold([event], experiment, (fresh,))
            if index in states:
                self._compare(states[index], self._state(fresh), f"folding the journal up to event {index} ({event})")
        self._compare(self._state(session.watched.inner), self._state(fresh), "folding the journal to its end")
        kept, found = list(session.watched.inner.warnings), list(fresh.warnings)
        assert kept == found, f"folding the journal gives other warnings: {found} in place of {kept}"

    def _state(self, scheduler: Scheduler) -> dict[str, Any]:
        return attributes_of(scheduler, without=self.contract.caches)

    def _compare(self, live: dict[str, Any], other: dict[str, Any], what: str) -> None:
        differ = [name for name in {**live, **other} if live.get(name) != other.get(name)]
        assert not differ, (
            f"{what} gives another state: {differ[0]} is {_short(other.get(differ[0]))} and was "
            f"{_short(live.get(differ[0]))}. Its state must follow from what `observe` has seen, and from nothing else"
        )

    def _check_end(self, session: _Session) -> None:
        experiment = session.experiment
        finished = experiment.finished
        assert finished is not None
        assert finished.reason == "completed", f"the experiment ends as {finished.reason}: {finished.message}"
        assert not experiment.paused, f"trials are left paused: {list(experiment.paused)}"
        if self.contract.examine is not None:
            self.contract.examine(experiment, session.events)

    def _story(self, what: str) -> str:
        first = max(0, len(self.events) - 25)
        told = "\n".join(f"  {first + index}: {_short(event)}" for index, event in enumerate(self.events[first:]))
        return (
            f"{self.name} breaks the contract of schedulers with seed {self.seed}: {what}.\n"
            f"The same again: check_scheduler(..., seed={self.seed}, runs=1). The last events:\n{told}"
        )


class _Session(Driver):
    """One session, in which a person stops trials now and then, and in which every step is checked."""

    def __init__(
        self,
        trail: _Trail,
        scheduler: Scheduler,
        *,
        limits: Limits,
        workers: int,
        checkpoint_every: int,
        trials_wanted: int,
        faults: Faults | None,
        stops: float,
        may_interrupt: bool,
    ) -> None:
        contract, seed = trail.contract, trail.seed
        self.draw = Random(derived_seed(seed, "person", len(trail.events)))
        self.stops = stops
        self.may_interrupt = may_interrupt
        self.invariants = Invariants(NoopStopper(), max_failures=limits.max_failures)
        self.watched = _watched(scheduler, self.draw, contract.caches)
        own = [
            (objective.metric, objective.mode) for objective in (getattr(scheduler, "objective", None),) if objective
        ]
        (metric, mode), *more = dict.fromkeys([*contract.objectives, *own])
        names = [name for name, _ in (*contract.objectives, *own)]
        super().__init__(
            searcher=KeyedSearcher(seed=seed, draw=contract.draw_config),
            scheduler=self.watched,
            stopper=self.invariants,
            executor=SimulatedExecutor(
                _curve(seed, names, scheduler.time_attr, contract.longest),
                workers=workers,
                checkpoint_every=checkpoint_every,
                checkpoint_bytes=1,
                faults=faults,
            ),
            limits=limits,
            past=trail.events,
            seed=seed,
            trials_wanted=trials_wanted,
            metric=metric,
            mode=mode,
            more_objectives=tuple(more),
        )

    def remember(self, step: Step) -> None:
        super().remember(step)
        self.invariants.check_step(step, self.experiment)

    def next_events(self) -> list[Event]:
        events = super().next_events()
        if self.stops and self.draw.random() < self.stops:
            whom: list[int | None] = list(range(self.experiment.next_number))
            if self.may_interrupt:
                whom.append(None)
            if whom:
                events.append(
                    StopRequested(at=self.executor.now(), reason="a person", trial=self.draw.choice(whom), now=False)
                )
        return events


class _Watched(Scheduler):
    """Wraps a scheduler: asks every query twice, and looks at its state before and after."""

    def __init__(self, inner: Scheduler, draw: Random, caches: Collection[str]) -> None:
        self.inner = inner
        self.time_attr = inner.time_attr
        self.saves_when_waiting = inner.saves_when_waiting
        self.states: dict[int, dict[str, Any]] = {}
        """Index of an event -> the state right after it, for some of them."""
        self._seen = 0
        self._draw = draw
        self._caches = caches
        self._said: list[str] = []

    def observe(self, event: Event, experiment: Experiment) -> None:
        self.inner.observe(event, experiment)
        if self._draw.random() < SAMPLED:
            self.states[self._seen] = self._state()
        self._seen += 1

    @property
    def warnings(self) -> Sequence[str]:
        """What the scheduler says."""
        return self.inner.warnings

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        return self._asked("decide", lambda: self.inner.decide(result, experiment), experiment)

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        lease = self._asked("lease", lambda: self.inner.lease(trial, experiment), experiment)
        assert isinstance(lease, int | float), f"lease(trial {trial.id}) returned {lease!r}, which is not a number"
        assert lease == lease, f"lease(trial {trial.id}) returned nan, which no result ever reaches"
        return lease

    def choose(self, experiment: Experiment) -> Choice:
        return self._asked("choose", lambda: self.inner.choose(experiment), experiment)

    def unblock(self, experiment: Experiment) -> Choice:
        return self._asked("unblock", lambda: self.inner.unblock(experiment), experiment)

    def _asked(self, query: str, ask: Callable[[], Answer], experiment: Experiment) -> Answer:
        said = list(self.inner.warnings)
        assert said[: len(self._said)] == self._said, f"warnings only grow; they were {self._said} and are {said}"
        self._said = said
        if self._draw.random() >= SAMPLED:
            answer, again = ask(), ask()
        else:
            looks = self._draw.random() < SAMPLED_WORLD / SAMPLED
            before, world = self._state(), state_of(experiment, ()) if looks else {}
            answer, again = ask(), ask()
            after = self._state()
            changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
            assert not changed, (
                f"{query} is a query and must change nothing; it changed {changed[0]} from "
                f"{_short(before.get(changed[0]))} to {_short(after.get(changed[0]))}"
            )
            is_same = not looks or state_of(experiment, ()) == world
            assert is_same, f"{query} changed the experiment, which is only to be read"
        assert repr(answer) == repr(again), f"{query} asked twice answered {answer!r} and then {again!r}"
        return answer

    def _state(self) -> dict[str, Any]:
        return attributes_of(self.inner, without=self._caches)


def _watched(inner: Scheduler, draw: Random, caches: Collection[str]) -> _Watched:
    """Return the scheduler under watch; errors of the core call it by its own name."""
    kind = type(type(inner).__name__, (_Watched,), {})
    watched: _Watched = kind(inner, draw, caches)
    return watched


def _curve(
    seed: int, names: Sequence[str], time_attr: str, longest: int
) -> Callable[[Config], Iterator[tuple[Metrics, float]]]:
    """Return learning curves with ties, jumps, nan and missing values; the same config has the same curve."""
    missing = generator(seed, "missing").choice([0.0, 0.0, 0.1])

    def curve(config: Config) -> Iterator[tuple[Metrics, float]]:
        draw = Random(derived_seed(seed, repr(sorted(config.items(), key=repr))))
        qualities = {name: draw.randint(0, 4) for name in names}
        is_lattice = draw.random() < 0.5
        time = 0.0
        for number in range(draw.choice([longest, longest, draw.randint(1, longest)])):
            metrics: Metrics = {}
            for name in names:
                if draw.random() >= missing:
                    value = qualities[name] + draw.choice([draw.randint(0, 2), 3.0 / (number + 1)])
                    metrics[name] = float("nan") if draw.random() < missing else round(value) if is_lattice else value
            time += draw.choice([1, 1, 1, 3])
            if time_attr not in _AUTOMATIC:
                metrics[time_attr] = time
            yield metrics, draw.choice([1.0, 1.0, 0.5, draw.random()])

    return curve


def _some_faults(draw: Random) -> Faults:
    def often(most: float) -> float:
        return draw.choice([0.0, 0.0, most * draw.random()])

    return Faults(
        seed=draw.randrange(10**6),
        fails=often(0.1),
        is_lost=often(0.1),
        hangs=often(0.02),
        is_slow=often(0.5),
        damages_checkpoint=often(0.3),
        start_delay=often(2.0),
        message_delay=often(2.0),
        message_twice=often(0.3),
        message_late=often(0.3),
        message_lost=often(0.03),
    )


def _short(value: object, most: int = 220) -> str:
    text = repr(value)
    return text if len(text) <= most else text[:most] + "..."

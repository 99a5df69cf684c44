"""Policies for the tests of the core: every answer depends on the question alone, never on how often it was asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tunesmith.core.events import Config, Event, Result
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import (
    CONTINUE,
    FOREVER,
    NEW,
    Choice,
    Complete,
    Decided,
    Decision,
    Exploit,
    Pause,
    Reallocate,
    Resume,
    Scheduler,
    Searcher,
    Stop,
    Stopper,
    Wait,
)
from tunesmith.core.seeds import generator
from tunesmith.core.trial import Status, Trial
from tunesmith.testing.searcher import config_of


class Lazy(Searcher):
    """Has nothing to offer, and never says that this is for good."""

    def suggest(self, count: int, experiment: Experiment) -> Sequence[Config]:
        return []


class RandomScheduler(Scheduler):
    """Pauses, stops, resumes and waits at random; counts what it has seen, so that its state can be compared.

    `changes` is how often it makes clones, gives other resources, and decides of trials that stand still.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        pauses: float = 0.15,
        stops: float = 0.1,
        changes: float = 0.0,
        longest_lease: int = 4,
        unblocks: bool = True,
    ) -> None:
        self.seed = seed
        self.pauses = pauses
        self.stops = stops
        self.changes = changes
        self.unblocks = unblocks
        self.longest_lease = longest_lease
        self.seen: dict[str, int] = {}
        self.newest: dict[int, tuple[int, int]] = {}

    def observe(self, event: Event, experiment: Experiment) -> None:
        kind = type(event).__name__
        self.seen[kind] = self.seen.get(kind, 0) + 1
        if isinstance(event, Result):
            self.newest[event.trial] = (event.attempt, event.number)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        assert self.newest[result.trial] == (result.attempt, result.number), "observe comes before decide"
        draws = generator(self.seed, f"decide/{result.trial}/{result.attempt}", result.number)
        if draws.random() < self.changes:
            return self.change(draws, experiment)
        draw = draws.random()
        if draw < self.pauses:
            return Pause()
        return Stop("unlucky") if draw < self.pauses + self.stops else CONTINUE

    def change(self, draws: Random, experiment: Experiment) -> Exploit | Reallocate:
        if draws.random() < 0.3:
            return Reallocate({"cpu": 1.0}, "another grant")
        source = draws.randrange(experiment.next_number)
        return Exploit(source, config_of(self.seed, draws.randrange(1000)), f"trial {source} is better")

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        draw = generator(self.seed, f"lease/{trial.id}/{trial.attempt}", trial.number)
        return FOREVER if draw.random() < 0.2 else trial.number + draw.randint(1, self.longest_lease)

    def choose(self, experiment: Experiment) -> Choice:
        draw = generator(self.seed, f"choose/{experiment.results}/{len(experiment.live)}", sum(self.seen.values()))
        if experiment.live and draw.random() < 0.2:
            return Wait()
        if draw.random() < self.changes:
            still = [trial.id for trial in experiment.trials if trial.status in (Status.PAUSED, Status.PENDING)]
            if still:
                ends = [Stop("not wanted"), Complete("enough")]
                decision = draw.choice([*ends, self.change(draw, experiment), self.change(draw, experiment)])
                return Decided(draw.choice(still), decision)
        resumable = [number for number in experiment.paused if experiment.is_resumable(experiment.trials[number])]
        is_last = not experiment.live and experiment.next_number == experiment.trials_wanted
        if resumable and (is_last or draw.random() < 0.5):
            return Resume(draw.choice(resumable), "chosen by chance")
        return NEW

    def unblock(self, experiment: Experiment) -> Choice:
        return super().unblock(experiment) if self.unblocks else Wait()


class PassiveStopper(Stopper):
    """Never stops anything, and needs to see nothing."""

    every_result = False


class RandomStopper(Stopper):
    """Stops trials, and now and then the experiment, at random."""

    def __init__(
        self, *, seed: int = 0, trial: float = 0.05, experiment: float = 0.02, every_result: bool = True
    ) -> None:
        self.seed = seed
        self.trial = trial
        self.experiment = experiment
        self.every_result = every_result

    def stop_trial(self, result: Result, experiment: Experiment) -> str | None:
        draw = generator(self.seed, f"stop/{result.trial}/{result.attempt}", result.number).random()
        return "a stop rule" if draw < self.trial else None

    def stop_experiment(self, experiment: Experiment) -> str | None:
        draw = generator(self.seed, "stop all", experiment.results).random()
        return "a stop rule for all" if draw < self.experiment else None


class Told(Scheduler):
    """Answers as it is told; by default it lets everything go on, one result at a time."""

    def __init__(
        self,
        decide: Callable[[Result], object] = lambda result: CONTINUE,
        choose: Callable[[Experiment], object] = lambda experiment: NEW,
        lease: float = float("-inf"),
    ) -> None:
        self._decide, self._choose, self._lease = decide, choose, lease

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        return self._decide(result)  # type: ignore[return-value]

    def choose(self, experiment: Experiment) -> Choice:
        return self._choose(experiment)  # type: ignore[return-value]

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        return self._lease

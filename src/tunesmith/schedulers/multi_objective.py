"""MO-ASHA, stopping variant: a trial that reaches a rung goes on only if it is among the rung's best by dominance.

Source: Schmucker et al. 2021, "Multi-objective Asynchronous Successive Halving"; the stopping rule is that of `asha`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.dominance import Fronts, Losses, epsilon_net, hypervolume_order
from ..core.events import Event, Reported, Result, TrialCompleted, TrialStopped
from ..core.objective import WORST, Objective
from ..core.policy import CONTINUE, FOREVER, Complete, Decision, Scheduler, Stop
from ..errors import ConfigError
from .arguments import time_attribute, time_of
from .rungs import Brackets

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial

RANKINGS = ("epsilon_net", "hypervolume")


@dataclass(frozen=True, slots=True)
class FrontRung:
    """A rung as people see it."""

    milestone: float
    """The time at which trials are judged here."""
    trials: int
    """How many have been recorded here."""
    front: int
    """How many of them nobody dominates."""


class MultiObjectiveASHA(Scheduler):
    """Stops a trial at a rung when it is not among the best 1/`reduction_factor` of those recorded there.

    Rungs lie at `grace_period * reduction_factor**k`, up to `max_t`. Of n trials recorded at the highest rung that a
    result reaches, itself counted, ceil(n / reduction_factor) would go on: whole fronts of non-dominated sorting, best
    front first, and of the front that does not fit as a whole those that come first in it:

    - `ranking="epsilon_net"`: those that cover the front best. First the one that is best in the first objective, then
      always the one that is farthest from those before it.
    - `ranking="hypervolume"`: those whose own share of the front's hypervolume is largest.

    For both, each objective is scaled to its range in the front, so that its unit does not matter (the paper leaves
    that open); of equals the earliest comes first. The first trial at a rung goes on. Rungs that a result jumps over
    record the same losses, without a decision. There is one record per trial and rung, and the first one stands, as in
    `ASHAScheduler`. A missing or nan metric is the worst value of its objective, and no more: with a good value of
    another one the trial may still go on.

    At a rung of n trials a result costs up to O(sqrt(n)) for two objectives that have nothing to do with each other (so
    many fronts lie below it); with more objectives each front that is looked at is gone through; and where the front
    does not fit, its size times how many of it go on. Elsewhere a result costs O(1).

    Args:
        time_attr: What rungs count: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, several names, with `mode`; by default the experiment's.
        mode: "min" or "max" for each, or one word for all.
        max_t: No trial runs for longer, if `stop_last_trials`; no rung lies above.
        grace_period: No trial is stopped before it.
        reduction_factor: Keep the best 1/reduction_factor at each rung; at least 1.1.
        ranking: "epsilon_net" or "hypervolume": which of a front go on when not all do.
        stop_last_trials: Whether to stop trials that reach `max_t`.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def __init__(
        self,
        *,
        time_attr: str = "training_iteration",
        metric: Sequence[str] | None = None,
        mode: Sequence[str] | str | None = None,
        max_t: float = 100,
        grace_period: float = 1,
        reduction_factor: float = 3,
        ranking: str = "epsilon_net",
        stop_last_trials: bool = True,
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        self.objectives = _own_objectives(owner, metric, mode)
        """None: those of the experiment."""
        brackets = Brackets(
            owner, max_t=max_t, grace_period=grace_period, reduction_factor=reduction_factor, brackets=1
        )
        self.max_t = max_t
        self.reduction_factor = brackets.reduction_factor
        self._ladder = brackets.ladders[0]
        if ranking not in RANKINGS:
            raise ConfigError(f"{owner}: ranking={ranking!r}: give one of {', '.join(map(repr, RANKINGS))}.")
        self.ranking = ranking
        self.stop_last_trials = stop_last_trials
        self._forget(())

    def _forget(self, objectives: tuple[Objective, ...]) -> None:
        self._ranked_by = objectives
        self._rungs = [Fronts(len(objectives)) for _ in self._ladder.milestones]
        self._passed: dict[int, int] = {}
        """How many rungs a trial has passed. Jumped ones are recorded too, so there are never gaps."""
        self._stops: dict[int, tuple[int, int, str]] = {}
        """Trial -> (attempt, number, reason) while its newest result is one that it must stop at."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Record the rungs that a result reaches."""
        if type(event) is Reported:
            self._record(event, experiment)
        elif type(event) is TrialStopped or type(event) is TrialCompleted:
            self._passed.pop(event.trial, None)  # It will never run again; its records stay.
            self._stops.pop(event.trial, None)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Stop a trial that was not good enough for the rung that it has just reached, or that has reached `max_t`."""
        time = time_of(result, self.time_attr)
        if self.stop_last_trials and time is not None and time >= self.max_t:
            return Complete(f"reached max_t = {self.max_t:g}")
        attempt, number_, reason = self._stops.get(result.trial, (0, 0, ""))
        return Stop(reason) if (attempt, number_) == (result.attempt, result.number) else CONTINUE

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next rung that the trial has not reached; after the last one `max_t`, or forever."""
        return self._ladder.next(self._passed.get(trial.id, 0), self.max_t if self.stop_last_trials else FOREVER)

    @property
    def rungs(self) -> list[FrontRung]:
        """All rungs, lowest first."""
        return [
            FrontRung(milestone, rung.count, next(iter(rung.sizes()), 0))
            for milestone, rung in zip(self._ladder.milestones, self._rungs, strict=True)
        ]

    def describe(self) -> str:
        """Return one line: how many trials each rung has seen, and how many of them nobody dominates."""
        shown = ", ".join(
            f"{rung.milestone:g}: {rung.trials}" + (f" (front: {rung.front})" if rung.trials else "")
            for rung in self.rungs
        )
        return f"rungs: {shown}"

    def _record(self, result: Reported, experiment: Experiment) -> None:
        objectives = self._objectives(experiment)
        if objectives is not self._ranked_by and objectives != self._ranked_by:
            self._forget(objectives)  # Losses of other metrics, of an earlier session, compare with nothing.
        trial = result.trial
        if trial in self._stops:
            del self._stops[trial]
        time = time_of(result, self.time_attr)
        if time is None:
            return
        before = self._passed.get(trial, 0)
        passed = self._ladder.passed(time, before)
        if passed == before:
            return
        losses = tuple(objective.loss(result) for objective in objectives)
        for rung in self._rungs[before : passed - 1]:
            rung.add(losses)
        reason = self._reason_to_stop(losses, passed - 1)
        if reason:
            self._stops[trial] = (result.attempt, result.number, reason)
        self._passed[trial] = passed

    def _reason_to_stop(self, losses: Losses, index: int) -> str:
        """Record a trial at a rung; return why it is to stop, or nothing when it goes on."""
        rung = self._rungs[index]
        front = rung.add(losses)
        numerator, denominator = self.reduction_factor.as_integer_ratio()
        room = -(-rung.count * denominator // numerator)
        better = rung.before(front)
        if better < room:
            size = rung.size(front)
            if size <= room - better or self._is_among_the_first(rung.members(front), room - better):
                return ""
            where = f"in front {front + 1}, of which {room - better} of {size} by its {self.ranking} go on"
        else:
            where = f"in front {front + 1}; {better} are in better ones"
        values = ", ".join(
            f"{each.metric}={'none, which ranks worst' if loss == WORST else format(each.value_of(loss), '.6g')}"
            for each, loss in zip(self._ranked_by, losses, strict=True)
        )
        return (
            f"rung {self._ladder.milestones[index]:g}: {values} lies {where} "
            f"(the best 1/{self.reduction_factor:g} of {rung.count} trials go on)"
        )

    def _is_among_the_first(self, members: list[tuple[Losses, int]], room: int) -> bool:
        """Return whether the newest of a front's members is among the `room` that go on."""
        points = [losses for losses, _ in members]
        newest = len(points) - 1
        order = epsilon_net(points, room) if self.ranking == "epsilon_net" else hypervolume_order(points)[:room]
        return newest in order

    def _objectives(self, experiment: Experiment) -> tuple[Objective, ...]:
        objectives = self.objectives or experiment.objectives
        if not objectives:
            name = type(self).__name__
            raise ConfigError(
                f"{name} has nothing to rank trials by. Give metric= and mode= to the run, or to the scheduler: "
                f"{name}(metric=['error', 'latency'], mode='min')."
            )
        return objectives


def _own_objectives(
    owner: str, metric: Sequence[str] | None, mode: Sequence[str] | str | None
) -> tuple[Objective, ...] | None:
    if metric is None and mode is None:
        return None
    if metric is None:
        raise ConfigError(f"{owner}: mode={mode!r} without a metric. Give metric= too, or neither.")
    names = [metric] if isinstance(metric, str) else list(metric)
    if mode is None:
        raise ConfigError(f"{owner}: metric={metric!r} without a mode. Add mode='min', or a list of them.")
    modes = [mode] * len(names) if isinstance(mode, str) else list(mode)
    if not names or len(names) != len(modes):
        raise ConfigError(
            f"{owner}: metric={metric!r} and mode={mode!r}: give one mode for each metric, or one for all."
        )
    if len(set(names)) < len(names):
        raise ConfigError(f"{owner}: metric={metric!r} names a metric twice.")
    return tuple(Objective(*pair) for pair in zip(names, modes, strict=True))

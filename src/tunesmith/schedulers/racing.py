"""Racing: the replicates of a config that is surely worse than the best one are not run to the end.

Sources: Maron & Moore 1994, "Hoeffding Races"; Birattari et al. 2002, "A Racing Algorithm for Configuring
Metaheuristics" (F-race), with the paired t test and the signed-rank test that irace offers in place of Friedman's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..core.events import (
    Event,
    Reported,
    Result,
    SessionOpened,
    Suggested,
    TrialCompleted,
    TrialExploited,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialReallocated,
    TrialRequeued,
    TrialStopped,
)
from ..core.objective import WORST, Objective
from ..core.policy import CONTINUE, Choice, Decided, Decision, Scheduler, Stop
from ..core.replicates import Groups
from ..core.trial import Status
from ..errors import ConfigError
from .arguments import number, objective_of, own_objective, whole_number
from .paired import paired_t, wilcoxon

if TYPE_CHECKING:
    from ..core.experiment import Experiment

TESTS: dict[str, Callable[[Sequence[float]], float]] = {"paired_t": paired_t, "wilcoxon": wilcoxon}
_WORDS = {"paired_t": "paired t test", "wilcoxon": "signed-rank test"}
_STANDING = (TrialPaused, TrialRequeued, TrialExploited, TrialReallocated)
"""After these a trial waits, for resources or to be resumed."""


class RacingScheduler(Scheduler):
    """Stops the replicates of a config that a paired test finds worse than the incumbent. For `run(replicates=...)`.

    A replicate *counts* when its trial has completed, by itself or by a stop rule, with the best value that it ever
    had; one that failed or was stopped does not. The *incumbent* is the config with the most replicates that count; of
    those the one with the best mean, then the earliest. Whenever a replicate comes to count, its config is compared
    with the incumbent over the replicates that count for both, if there are at least `min_replicates`, and all
    unfinished configs are, when it belongs to the incumbent. One whose differences are larger than chance would have
    them, by the one-sided test, is out: its running replicates stop at their next result, the others never start.

    *How sure.* A config is looked at after `min_replicates`, and again after each further one but the last, when
    nothing is left to save. Each look may err with probability `alpha` divided by the number of looks (Bonferroni), so
    that a config as good as a given incumbent is thrown out with probability `alpha` at most. That is no bound for a
    config in a race: the incumbent has been lucky in being the best of many, and there is no correction for their
    number. In simulated races of 8 configs that were all the same, each was out with probability 0.16 (5 replicates,
    alpha = 0.05), which costs nothing, since as good ones stay; where the best one was better by the spread of its
    replicates, it was lost in 2 races of 400. The paired t test takes differences for normal.

    A result costs O(1), the end of a trial a test for each config that is under way.

    Args:
        replicates: As in `run(replicates=...)`, which may say it alone. Without replicates nobody is ever stopped.
        test: "paired_t", or "wilcoxon" (the exact signed-rank test), which needs more replicates to be sure: it can
            stop nothing with fewer than 6 at alpha = 0.05.
        alpha: How likely a config that is as good as a given one may be thrown out; see above.
        min_replicates: Judge nobody before so many; by default 3, with "wilcoxon" the fewest that can be sure.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".

    Raises:
        ConfigError: An argument that makes no sense, or a test that could never stop anything.
    """

    def __init__(
        self,
        replicates: int | None = None,
        *,
        test: str = "paired_t",
        alpha: float = 0.05,
        min_replicates: int | None = None,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.objective = own_objective(owner, metric, mode, None)
        if test not in TESTS:
            raise ConfigError(f"{owner}: test={test!r}: give one of {', '.join(map(repr, TESTS))}.")
        self.test = test
        self.alpha = number(owner, "alpha", alpha, above=0)
        if self.alpha >= 0.5:
            raise ConfigError(f"{owner}: alpha={alpha!r} is too large: it must be below 0.5.")
        self._given = min_replicates
        if min_replicates is not None:
            whole_number(owner, "min_replicates", min_replicates, least=2)
        self.replicates: int | None = None
        """How many each config has; None until it is known."""
        self._is_given = replicates is not None
        if replicates is not None:
            self._set_replicates(whole_number(owner, "replicates", replicates, least=2))
        self._forget_all()

    def _set_replicates(self, replicates: int) -> None:
        self.replicates = replicates
        self.min_replicates = self._given or self._fewest(replicates)
        if self.min_replicates >= replicates:
            raise ConfigError(
                f"RacingScheduler: min_replicates={self.min_replicates} of {replicates} leaves nothing to save. "
                f"Use at most {replicates - 1}, or more replicates."
            )
        self._level = self.alpha / (replicates - self.min_replicates)
        if self.test == "wilcoxon" and 0.5 ** (replicates - 1) > self._level:
            raise ConfigError(
                f"RacingScheduler: with {replicates} replicates the signed-rank test can stop nothing: before the last "
                f"one it finds no less than p = {0.5 ** (replicates - 1):.3g}, and alpha allows {self._level:.3g}. "
                "Use test='paired_t', more replicates, or a larger alpha."
            )

    def _fewest(self, replicates: int) -> int:
        if self.test != "wilcoxon":
            return min(3, max(2, replicates - 1))
        sure = (n for n in range(2, replicates) if 0.5**n <= self.alpha / (replicates - n))
        return next(sure, max(2, replicates - 1))

    def _forget_all(self) -> None:
        self._groups = Groups(self.replicates or 1)
        self._forget(None)

    def _forget(self, objective: Objective | None) -> None:
        self._ranked_by = objective
        self._losses: dict[int, float] = {}
        """Trial -> the best loss that it ever had, until it counts."""
        self._counted: dict[int, dict[int, float]] = {}
        """Group -> replicate -> loss, of those that count."""
        self._unfinished: dict[int, int] = dict.fromkeys(range(len(self._groups.trials)), 0)
        """Groups that may still change -> how many of their replicates have ended."""
        self._incumbent: int | None = None
        self._out: dict[int, str] = {}
        """Groups that have lost -> why."""
        self._to_stop: dict[int, str] = {}
        """Trials of theirs that wait -> why they are to be stopped."""

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Learn which trials belong together, and what they came to."""
        match event:
            case Reported():
                self._record(event, experiment)
            case SessionOpened():
                self._open(event)
            case Suggested():
                self._add(event, experiment)
            case TrialLaunched():
                self._to_stop.pop(event.trial, None)
            case TrialCompleted():
                self._end(event.trial)
                self._count(event.trial, experiment)
            case TrialStopped() | TrialFailed():
                self._end(event.trial)
            case _ if isinstance(event, _STANDING):
                self._stand(event.trial, experiment)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Stop a replicate of a config that has lost."""
        reason = self._out.get(self._groups.of_trial[result.trial][0])
        return CONTINUE if reason is None else Stop(reason)

    def choose(self, experiment: Experiment) -> Choice:
        """Return first who waits in vain, since its config has lost; then as usual."""
        for trial, reason in self._to_stop.items():
            return Decided(trial, Stop(reason))
        return super().choose(experiment)

    def describe(self) -> str:
        """Return one line: the incumbent, and how many configs have lost."""
        if self._incumbent is None or self._ranked_by is None:
            return "race: no config has enough replicates yet"
        counted = self._counted[self._incumbent]
        mean = self._ranked_by.value_of(_mean(counted))
        return (
            f"race: {len(self._out)} of {len(self._groups.trials)} configs are out; "
            f"incumbent {self._name(self._incumbent)}, mean {mean:.4g} of {len(counted)} replicates"
        )

    def _open(self, event: SessionOpened) -> None:
        if event.replicates < 2:
            return  # Trials that are nobody's replicates have nothing to race over.
        if self._is_given and self.replicates != event.replicates:
            raise ConfigError(
                f"RacingScheduler: replicates={self.replicates}, but the run has replicates={event.replicates}. "
                "Say it to the run alone."
            )
        if self.replicates != event.replicates or len(self._groups.counts) != event.replicates:
            self._set_replicates(event.replicates)
            self._forget_all()

    def _add(self, event: Suggested, experiment: Experiment) -> None:
        for config in event.configs:
            group = self._groups.add(config)
            self._unfinished.setdefault(group, 0)
            if group in self._out:
                self._to_stop[len(self._groups.of_trial) - 1] = self._out[group]

    def _record(self, result: Reported, experiment: Experiment) -> None:
        objective = objective_of(type(self).__name__, self.objective, experiment)
        if objective is not self._ranked_by and objective != self._ranked_by:
            self._forget(objective)  # Losses of another metric, of an earlier session, compare with nothing.
        loss = objective.loss(result)
        if loss < self._losses.get(result.trial, WORST):
            self._losses[result.trial] = loss

    def _stand(self, trial: int, experiment: Experiment) -> None:
        group = self._groups.of_trial[trial][0]
        if experiment.trials[trial].status in (Status.PAUSED, Status.PENDING) and group in self._out:
            self._to_stop[trial] = self._out[group]

    def _end(self, trial: int) -> None:
        self._to_stop.pop(trial, None)
        group = self._groups.of_trial[trial][0]
        if group in self._unfinished:
            self._unfinished[group] += 1
            if self._unfinished[group] >= len(self._groups.counts):
                del self._unfinished[group]

    def _count(self, trial: int, experiment: Experiment) -> None:
        group, replicate = self._groups.of_trial[trial]
        loss = self._losses.pop(trial, WORST)
        if loss == WORST or self.replicates is None:
            return
        counted = self._counted.setdefault(group, {})
        counted[replicate] = loss
        incumbent = self._incumbent
        if len(counted) >= self.min_replicates and (
            incumbent is None or group == incumbent or self._rank(group) < self._rank(incumbent)
        ):
            self._incumbent = group
            for other in list(self._unfinished):
                self._judge(other, experiment)
        else:
            self._judge(group, experiment)

    def _rank(self, group: int) -> tuple[int, float, int]:
        counted = self._counted[group]
        return (-len(counted), _mean(counted), group)

    def _judge(self, group: int, experiment: Experiment) -> None:
        incumbent = self._incumbent
        if incumbent is None or group == incumbent or group in self._out or group not in self._unfinished:
            return
        mine, best = self._counted.get(group, {}), self._counted[incumbent]
        shared = sorted(mine.keys() & best.keys())
        if not self.min_replicates <= len(shared) < len(self._groups.counts):
            return
        probability = TESTS[self.test]([mine[each] - best[each] for each in shared])
        if probability > self._level:
            return
        assert self._ranked_by is not None
        means = [self._ranked_by.value_of(_mean({each: of[each] for each in shared})) for of in (mine, best)]
        reason = (
            f"its config is worse than {self._name(incumbent)}: mean {self._ranked_by.metric} {means[0]:.6g} against "
            f"{means[1]:.6g} over {len(shared)} replicates ({_WORDS[self.test]}, p = {probability:.2g})"
        )
        self._out[group] = reason
        for trial in self._groups.trials[group]:
            self._stand(trial, experiment)

    def _name(self, group: int) -> str:
        return f"that of trial {self._groups.trials[group][0]}"


def _mean(counted: dict[int, float]) -> float:
    return math.fsum(counted.values()) / len(counted)

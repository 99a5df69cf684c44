"""ASHA as published: a trial pauses at each rung, and free resources go to the best that wait, else to new trials.

Source: Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning", algorithm 2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..core.events import Event, Result
from ..core.policy import Choice, Decision, Scheduler
from .arguments import own_objective, time_attribute
from .promotion import Promotions
from .rungs import Brackets, Rung

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial


class PromotionASHAScheduler(Scheduler):
    """Pauses a trial at each rung, and lets it go on when it is among the best 1/`reduction_factor` of those there.

    Bracket s has its rungs at `grace_period * reduction_factor**(s + k)`, up to `max_t`. A trial's bracket is drawn by
    its number with softmax weights over the brackets' numbers of rungs.

    Whenever resources are free, the highest rung is looked for at which a trial waits that is among the best
    `floor(n / reduction_factor)` of the n ever recorded there (of equals the earlier one is better); the best such
    trial goes on from its checkpoint. If there is none, a new trial starts; if none is to come, the resources stay
    free. Once nothing runs, nothing new is to come and nobody may go on, the trials that still wait are stopped. So
    less than `reduction_factor**k` trials bring nobody beyond rung k: the stopping variant, `ASHAScheduler`, is
    the better one for a handful of trials, this one for many.

    One record per trial and rung, and the first one stands: others have been ranked by it. Rungs that a result jumps
    over record the same loss; the trial waits at the highest. A trial that fails or is stopped keeps its records,
    which may hold a place among the best, and does not go on. A missing or nan metric ranks worst. A trial that
    somebody else has paused between two rungs goes on before new ones start. When nobody new can start although some
    are to come, and nothing runs, the best trial that waits at the highest rung goes on.

    A class trainable saves a checkpoint at each rung; a function goes on from what it has reported last, and from the
    beginning if that is nothing. A decision costs O(log n). When the ranking at a rung says little about that at the
    next one, a warning says so (`rungs.RankingWatch`).

    *Rungs learned from the trials.* With `max_t=None` no trial is ended for its length, and rungs go up without bound
    (the paper's infinite horizon). With `grace_period=None` the lowest rung is the first one of t, t *
    reduction_factor, ... (t being the time of the very first result) at which the ranking of trials is found to predict
    their later ranking; until that is known no trial is paused. `rungs.Ladder` says it exactly.

    Args:
        time_attr: What rungs count: training_iteration, time_total_s, or a reported metric that grows.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
        max_t: A trial that has come so far is complete; no rung lies above. None: no bound.
        grace_period: The lowest rung. None: learned.
        reduction_factor: The best 1/reduction_factor at each rung go on; at least 1.1.
        brackets: How many brackets; each next one starts a rung later. More than one need max_t and grace_period.
        reward_attr: Early Tune's way to say metric=..., mode="max".

    Raises:
        ConfigError: An argument that makes no sense.
    """

    saves_when_waiting = True

    def __init__(
        self,
        *,
        time_attr: str = "training_iteration",
        metric: str | None = None,
        mode: str | None = None,
        max_t: float | None = 100,
        grace_period: float | None = 1,
        reduction_factor: float = 4,
        brackets: int = 1,
        reward_attr: str | None = None,
    ) -> None:
        owner = type(self).__name__
        self.time_attr = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, reward_attr)
        built = Brackets(
            owner, max_t=max_t, grace_period=grace_period, reduction_factor=reduction_factor, brackets=brackets
        )
        self.max_t = built.max_t
        self.reduction_factor = built.reduction_factor
        self._promotions = Promotions(owner, time_attr=self.time_attr, objective=self.objective, brackets=built)

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Record the rungs that a result reaches, and who waits at them."""
        self._promotions.observe(event, experiment)

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Pause a trial at a rung; complete it at `max_t`."""
        return self._promotions.decide(result, experiment)

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the next rung; after the last one `max_t`, or forever."""
        return self._promotions.lease(trial, experiment)

    def choose(self, experiment: Experiment) -> Choice:
        """Return the best trial of the highest rung with one that may go on; else a new one."""
        return self._promotions.choose(experiment)

    def unblock(self, experiment: Experiment) -> Choice:
        """Return the best trial that waits at the highest rung: nobody new can start although some are to come."""
        return self._promotions.unblock(experiment)

    @property
    def warnings(self) -> Sequence[str]:
        """Rungs that judge too early."""
        return self._promotions.watch.warnings

    @property
    def rungs(self) -> list[Rung]:
        """All rungs, bracket by bracket, lowest first."""
        return self._promotions.rungs

    def describe(self) -> str:
        """Return one line per bracket: how many trials each rung has seen, and what the worst that may go on had."""
        return self._promotions.describe()

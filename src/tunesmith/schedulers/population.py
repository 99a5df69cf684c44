"""What population-based schedulers share: who is judged when, how all are ranked, who waits and who goes on.

A trial is *judged* at the result that ends its interval. What becomes of it, and the config of a clone, is the
business of the schedulers that are built on this. It is one file because it is one state: the ranking, the line of
those that wait and the generation change together, event by event.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ..core.events import (
    Config,
    Event,
    Reported,
    Result,
    SessionOpened,
    Suggested,
    TrialCompleted,
    TrialContinued,
    TrialExploited,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialReallocated,
    TrialRequeued,
    TrialStopped,
)
from ..core.objective import WORST, Objective
from ..core.policy import (
    CONTINUE,
    NEW,
    ONE_RESULT,
    WAIT,
    Choice,
    Decided,
    Decision,
    Exploit,
    Pause,
    Resume,
    Scheduler,
)
from ..core.trial import Status
from ..errors import ConfigError
from .arguments import number, objective_of, own_objective, time_attribute, time_of
from .explore import Key, changes, custom_explored
from .member import Member

if TYPE_CHECKING:
    from ..core.experiment import Experiment
    from ..core.trial import Trial

PROGRESS = {
    "training_iteration": "number",
    "time_total_s": "elapsed",
    "timesteps_total": "timesteps",
    "episodes_total": "episodes",
}
"""Times that are known of every checkpoint -> the field of its `Progress`."""
TRIES = 32
"""So often a source is drawn, until one has a checkpoint; then those that have one are looked for."""


class PopulationScheduler(Scheduler):
    """The base of PBT, PB2 and MF-PBT; see those.

    Everything that it knows is folded from the experiment's events, and every draw is keyed by (the experiment's seed,
    the trial, how often the trial was judged). So a resumed experiment goes on as if nothing had happened.
    """

    saves_when_waiting = True

    def __init__(
        self,
        *,
        time_attr: str,
        metric: str | None,
        mode: str | None,
        reward_attr: str | None,
        perturbation_interval: float,
        burn_in_period: float,
        quantile_fraction: float,
        custom_explore_fn: Callable[[Config], Config] | None,
        log_config: bool,
        require_attrs: bool,
        synch: bool,
    ) -> None:
        owner = self._owner = type(self).__name__
        self._time_name = time_attribute(owner, time_attr)
        self.objective = own_objective(owner, metric, mode, reward_attr)
        self.interval = number(owner, "perturbation_interval", perturbation_interval, above=0)
        self.burn_in = number(owner, "burn_in_period", burn_in_period, least=0)
        self.quantile = number(owner, "quantile_fraction", quantile_fraction, least=0)
        if self.quantile > 0.5:
            raise ConfigError(
                f"{owner}: quantile_fraction={quantile_fraction!r} is above 0.5: a trial would be among the best and "
                "the worst at once."
            )
        if custom_explore_fn is not None and not callable(custom_explore_fn):
            raise ConfigError(f"{owner}: custom_explore_fn={custom_explore_fn!r} is not a function of a config.")
        self._custom_explore = custom_explore_fn
        self.log_config = log_config
        self.require_attrs = require_attrs
        self.synch = synch
        # A worker refuses a report that lacks the time that leases are counted in. Where it may be lacking, leases
        # are counted in results, and each one waits.
        self._waits_always = not require_attrs and self._time_name not in ("training_iteration", "time_total_s")
        self.time_attr = "training_iteration" if self._waits_always else self._time_name
        self._members: dict[int, Member] = {}
        self._ranking: list[tuple[float, int]] = []
        """(loss, trial) of those that were judged and are not over; the best first."""
        self._standing: list[tuple[float, int, int]] = []
        """(time, turn, trial) of those that are paused; the furthest behind first, of equals who waits longest."""
        self._turns = 0
        """How often a trial has joined these."""
        self._incomplete: dict[int, None] = {}
        """Trials that have not begun and whose configs lack something."""
        self._arrived: dict[int, None] = {}
        """Synchronous: who has been judged in this generation."""
        self._evolved: set[int] = set()
        """Synchronous: who has become a clone since all were judged."""
        self._target = max(self.interval, self.burn_in)
        """Synchronous: the time at which this generation is judged."""
        self._generation = 1
        self._clones = 0
        self._objects: dict[str, str] = {}
        """The objects that configs may name: id -> text."""
        self._ranked_by: Objective | None = None
        self._warnings: list[str] = []
        self._warned: set[str] = set()

    # What the schedulers built on this say.

    @abstractmethod
    def _explored(self, trial: int, source: int, key: Key, experiment: Experiment) -> Config:
        """Return the config of a clone of `source`, before the user's own function gets it."""

    def _lacks(self, config: Config) -> bool:
        """Return whether a new trial's config lacks something that `_filled` adds."""
        return False

    def _filled(self, config: Config, key: Key) -> Config:
        return config

    def _forget(self) -> None:
        """Forget what was learned of another metric."""

    def _check_objects(self, objects: dict[str, str]) -> None:
        """Look at the objects that this session's configs may name."""

    def _learn(self, result: Result, before: float | None, loss: float, experiment: Experiment) -> None:
        """Learn from a judged result: the trial's loss was `before` when the interval began, None if unknown."""

    def _targets(self, experiment: Experiment) -> Iterable[int]:
        """Return who is to become a clone, of all that are judged together, in that order."""
        size = self._quantile_size()
        return (trial for _, trial in reversed(self._ranking[len(self._ranking) - size :]))

    def _source_of(self, trial: int, experiment: Experiment) -> int | None:
        """Return whom one of `_targets` is cloned from; None when nobody can be cloned."""
        return self._drawn_source(trial, experiment)

    def _why(self, trial: int) -> str:
        """Return why one of `_targets` is to become a clone."""
        return self._is_worst(trial)

    def _config_of_clone(self, trial: int, source: int, experiment: Experiment) -> Config:
        key = self._key(trial, experiment)
        config = self._explored(trial, source, key, experiment)
        if self._custom_explore is None:
            return config
        return custom_explored(self._custom_explore, config, key, self._objects, self._owner)

    # What policies answer.

    def decide(self, result: Result, experiment: Experiment) -> Decision:
        """Judge a trial at the end of its interval: clone a better one, let others have its place, or go on."""
        member = self._members.get(result.trial)
        place = (result.attempt, result.number)
        if member is None:
            return CONTINUE
        if self.require_attrs and member.lacks_metric == place:
            self._refuse(result, experiment)
        if member.judged != place:
            return CONTINUE
        if self.synch:
            return Pause(f"waits for the others at {self._time_name} {self._target:g}")
        if member.source is not None:
            return self._exploit(result.trial, member.source, self._is_worst(result.trial), experiment)
        if self._has_saved(result.trial, experiment) and self._others_wait(member, experiment):
            return Pause("lets others have its place")
        return CONTINUE

    def lease(self, trial: Trial, experiment: Experiment) -> float:
        """Return the end of the trial's interval."""
        member = self._members.get(trial.id)
        if self._waits_always or (member is not None and member.is_lost and not self.synch):
            return ONE_RESULT
        return self._due(member)

    def choose(self, experiment: Experiment) -> Choice:
        """Return who goes on: new trials first, then whoever is furthest behind; synchronously, all together."""
        trials = experiment.trials
        for trial in self._incomplete:
            if trials[trial].status is Status.PENDING:
                config = self._filled(trials[trial].config, self._key(trial, experiment))
                return Decided(trial, Exploit(trial, config, "its config lacked what is to be mutated"))
        if self._is_generation_complete(experiment):
            return self._evolve(experiment)
        resumable = self._furthest_behind(experiment)
        is_endless = experiment.trials_wanted is None
        if experiment.counts[Status.PENDING]:
            return NEW
        if experiment.has_more_to_come and not (is_endless and (resumable is not None or self._arrived)):
            return NEW
        if resumable is not None:
            return Resume(resumable, "it is the furthest behind")
        return WAIT if self._arrived else NEW

    def unblock(self, experiment: Experiment) -> Choice:
        """Return who goes on when nobody new can start: those that wait do so without the others."""
        resumable = self._furthest_behind(experiment)
        if resumable is not None:
            return Resume(resumable, "nothing else could run")
        return self._evolve(experiment) if self._arrived else super().unblock(experiment)

    @property
    def warnings(self) -> Sequence[str]:
        """What a person should be told once."""
        return self._warnings

    def describe(self) -> str:
        """Return a line on the population."""
        words = [f"population: {len(self._ranking)} judged, {self._clones} clones so far"]
        if self._ranking and self._ranked_by is not None and self._ranking[0][0] < WORST:
            loss, trial = self._ranking[0]
            words.append(f"best {self._ranked_by.metric} {self._ranked_by.value_of(loss):.4g} (trial {trial})")
        return "; ".join(words)

    # What happened.

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Fold one event."""
        rule = _RULES.get(type(event))
        if rule is not None:
            rule(self, event, experiment)

    def _session_opened(self, event: SessionOpened, experiment: Experiment) -> None:
        self._objects = event.objects
        objective = self.objective or experiment.objective
        if objective != self._ranked_by:
            self._ranked_by = objective
            self._ranking.clear()  # Losses of another metric, of an earlier session, compare with nothing.
            for member in self._members.values():
                member.loss = member.baseline = None
            self._forget()
        self._check_objects(event.objects)

    def _suggested(self, event: Suggested, experiment: Experiment) -> None:
        first = experiment.next_number - len(event.configs)
        for index, config in enumerate(event.configs):
            self._members[first + index] = Member()
            if self._lacks(config):
                self._incomplete[first + index] = None

    def _reported(self, event: Reported, experiment: Experiment) -> None:
        trial, member = experiment.trials[event.trial], self._members[event.trial]
        time = time_of(event, self._time_name)
        objective = self._ranked_by
        if time is None or objective is None or trial.is_clone:  # A clone's last attempt is not the clone's own.
            return
        member.time = time
        if member.is_lost:
            member.is_lost, member.judged_at = False, time
        if time < self._due(member) or event.trial in self._arrived:
            return
        if event.value(objective.metric) is None:
            member.lacks_metric = (event.attempt, event.number)
            return
        self._judge(event, member, objective.loss(event), time, experiment)

    def _judge(self, result: Reported, member: Member, loss: float, time: float, experiment: Experiment) -> None:
        trial = result.trial
        before = member.baseline
        self._unrank(trial, member)
        member.loss = member.baseline = loss
        insort(self._ranking, (loss, trial))
        member.intervals += 1
        member.judged = (result.attempt, result.number)
        member.source = None
        self._learn(result, before, loss, experiment)
        if self.synch:
            self._arrived[trial] = None
            return
        member.judged_at = time
        place = bisect_left(self._ranking, (loss, trial))
        if place >= len(self._ranking) - self._quantile_size():
            member.source = self._drawn_source(trial, experiment)
            if member.source is None:
                self._warn_of_no_checkpoint()

    def _exploited(self, event: TrialExploited, experiment: Experiment) -> None:
        trial, member = experiment.trials[event.trial], self._members[event.trial]
        behind = member.time
        if event.source != event.trial:
            self._clones += 1
            self._evolved.add(event.trial)
            member.source = None
            member.baseline = self._members[event.source].baseline
            time = self._time_at(trial, event.checkpoint, experiment)
            member.is_lost = time is None
            member.time = self._members[event.source].time if time is None else time
            member.judged_at = member.time
            # It counts as far as its source, which a clone of an old checkpoint would otherwise always come before.
            behind = max(member.time, self._members[event.source].time)
        if not self._lacks(event.config):
            self._incomplete.pop(event.trial, None)
        if trial.status is Status.PAUSED:
            self._stand(event.trial, member, behind)

    def _paused(self, event: TrialPaused | TrialReallocated, experiment: Experiment) -> None:
        if experiment.trials[event.trial].status is Status.PAUSED:
            self._stand(event.trial, self._members[event.trial], self._members[event.trial].time)

    def _launched(self, event: TrialLaunched | TrialContinued, experiment: Experiment) -> None:
        trial, member = experiment.trials[event.trial], self._members[event.trial]
        self._leave_standing(member)
        self._incomplete.pop(event.trial, None)
        if event.trial in self._arrived:
            self._end_generation(experiment)
        if isinstance(event, TrialLaunched):
            time = self._time_at(trial, event.checkpoint, experiment)
            if time is not None:
                member.time = time
                if time < member.judged_at - self.interval:
                    member.judged_at = time  # It fell back to an old checkpoint.
            member.started_at, member.started_from = member.time, event.checkpoint

    def _requeued(self, event: TrialRequeued, experiment: Experiment) -> None:
        self._leave_standing(self._members[event.trial])
        self._arrived.pop(event.trial, None)  # It has to come there again.
        if self._lacks(experiment.trials[event.trial].config):
            self._incomplete[event.trial] = None

    def _is_over(self, event: TrialStopped | TrialCompleted | TrialFailed, experiment: Experiment) -> None:
        member = self._members[event.trial]
        self._leave_standing(member)
        self._unrank(event.trial, member)
        member.loss = member.source = None
        self._arrived.pop(event.trial, None)
        self._incomplete.pop(event.trial, None)

    # Generations.

    def _is_generation_complete(self, experiment: Experiment) -> bool:
        """Return whether all have been judged and stand still."""
        counts = experiment.counts
        if not self._arrived or experiment.live or counts[Status.PENDING] or counts[Status.RUNNING]:
            return False
        if experiment.trials_wanted is not None and experiment.has_more_to_come:
            return False
        return len(self._arrived) == counts[Status.PAUSED]

    def _evolve(self, experiment: Experiment) -> Choice:
        """Return the next thing to happen to all together; after the last one the first goes on."""
        for trial in self._targets(experiment):
            if self._may_evolve(trial, experiment):
                source = self._source_of(trial, experiment)
                if source is not None:
                    return Decided(trial, self._exploit(trial, source, self._why(trial), experiment))
        for *_, trial in self._standing:
            if experiment.is_resumable(experiment.trials[trial]):
                return Resume(trial, f"generation {self._generation} was judged")
        return WAIT

    def _may_evolve(self, trial: int, experiment: Experiment) -> bool:
        return (
            trial in self._arrived and trial not in self._evolved and experiment.is_resumable(experiment.trials[trial])
        )

    def _end_generation(self, experiment: Experiment) -> None:
        """Begin the next generation: one that was judged goes on."""
        if any(trial in self._arrived and trial not in self._evolved for trial in self._targets(experiment)):
            self._warn_of_no_checkpoint()
        furthest = max(self._members[trial].time for trial in self._arrived)
        self._target = max(self._target + self.interval, furthest)
        self._arrived.clear()
        self._evolved.clear()
        self._generation += 1

    # What these share.

    def _key(self, trial: int, experiment: Experiment) -> Key:
        return Key(experiment.seed, trial, self._members[trial].intervals)

    def _due(self, member: Member | None) -> float:
        if self.synch:
            return self._target
        return max((0.0 if member is None else member.judged_at) + self.interval, self.burn_in)

    def _time_at(self, trial: Trial, checkpoint: str | None, experiment: Experiment) -> float | None:
        """Return a trial's time at a checkpoint; None when only its next result says it."""
        field = PROGRESS.get(self._time_name)
        if checkpoint is None or field is None:
            return 0.0 if checkpoint is None else None
        return float(getattr(experiment.progress_at(trial, checkpoint), field))

    def _quantile_size(self) -> int:
        count = len(self._ranking)
        # 1e-9: so that 0.1 of 30 are 3 in spite of rounding.
        return min(math.ceil(count * self.quantile - 1e-9), count // 2)

    def _donors(self) -> int:
        """Return the size of the best quantile, without those that have no number to show."""
        return min(self._quantile_size(), bisect_left(self._ranking, (WORST, -1)))

    def _drawn_source(self, trial: int, experiment: Experiment) -> int | None:
        """Return a random one of the best quantile that has a checkpoint; None when there is none."""
        count = self._donors()
        if not count:
            return None
        draw = self._key(trial, experiment).draw("exploit")
        # Nearly always the first has one, and nothing is done for each of the best.
        for _ in range(TRIES):
            source = self._ranking[draw.randrange(count)][1]
            if self._can_clone(source, trial, experiment):
                return source
        able = [one for _, one in self._ranking[:count] if self._can_clone(one, trial, experiment)]
        return draw.choice(able) if able else None

    def _can_clone(self, source: int, trial: int, experiment: Experiment) -> bool:
        """Return whether the source has a checkpoint that leads a trial on.

        One that is no newer than where the trial began does so only if the trial has meanwhile saved something itself:
        trials that save too seldom would otherwise be put back for ever.
        """
        donor, member = experiment.trials[source], self._members[trial]
        if donor.checkpoint is None:
            return False
        if self._has_saved(trial, experiment):
            return True
        time = self._time_at(donor, donor.checkpoint, experiment)
        return donor.checkpoint != member.started_from if time is None else time > member.started_at

    def _has_saved(self, trial: int, experiment: Experiment) -> bool:
        """Return whether a trial has saved since its newest attempt began: a pause would lose all else, for ever."""
        checkpoint = experiment.trials[trial].checkpoint
        return checkpoint is not None and checkpoint != self._members[trial].started_from

    def _unrank(self, trial: int, member: Member) -> None:
        if member.loss is not None:
            del self._ranking[bisect_left(self._ranking, (member.loss, trial))]

    def _stand(self, trial: int, member: Member, time: float) -> None:
        self._leave_standing(member)
        self._turns += 1
        member.standing = (time, self._turns, trial)
        insort(self._standing, member.standing)

    def _leave_standing(self, member: Member) -> None:
        if member.standing is not None:
            del self._standing[bisect_left(self._standing, member.standing)]
            member.standing = None

    def _furthest_behind(self, experiment: Experiment) -> int | None:
        """Return the paused trial that is the furthest behind, of those that need not wait for others."""
        if len(self._standing) == len(self._arrived):
            return None
        return next(
            (
                trial
                for *_, trial in self._standing
                if trial not in self._arrived and experiment.is_resumable(experiment.trials[trial])
            ),
            None,
        )

    def _others_wait(self, member: Member, experiment: Experiment) -> bool:
        """Return whether somebody else should have the trial's place: a new trial, or one that is not ahead of it."""
        if experiment.counts[Status.PENDING] or (experiment.trials_wanted is not None and experiment.has_more_to_come):
            return True
        return bool(self._standing) and self._standing[0][0] <= member.time

    def _exploit(self, trial: int, source: int, reason: str, experiment: Experiment) -> Exploit:
        config = self._config_of_clone(trial, source, experiment)
        words = [f"{reason}; trial {source}{self._with_value(source)} is better"]
        if self.log_config:
            words += changes(experiment.trials[source].config, config, self._objects)
        return Exploit(source, config, "; ".join(words))

    def _is_worst(self, trial: int) -> str:
        return f"among the worst {self._quantile_size()} of {len(self._ranking)} trials{self._with_value(trial)}"

    def _with_value(self, trial: int) -> str:
        loss = self._members[trial].loss
        if loss is None or self._ranked_by is None:
            return ""
        value = f"{self._ranked_by.value_of(loss):.6g}" if loss < WORST else "no number"
        return f" ({self._ranked_by.metric} {value})"

    def _warn_of_no_checkpoint(self) -> None:
        """Say so, when it is for want of a checkpoint that nobody was cloned."""
        if not self._donors():
            return
        trial = self._ranking[0][1]
        self._warn(
            "no checkpoint",
            f"trial {trial} is among the best and cannot be cloned, as it has no new checkpoint. Report one with the "
            f"results, at least every {self.interval:g} {self._time_name}: tune.report(..., checkpoint=folder). "
            "A class needs save_checkpoint and load_checkpoint.",
        )

    def _warn(self, about: str, text: str) -> None:
        if about not in self._warned:
            self._warned.add(about)
            self._warnings.append(text)

    def _refuse(self, result: Result, experiment: Experiment) -> None:
        metric = objective_of(self._owner, self.objective, experiment).metric
        raise ConfigError(
            f"{self._owner}: trial {result.trial} reported no {metric!r} at training_iteration {result.number}, where "
            f"it is to be judged by that; it reported {', '.join(sorted(result.metrics)) or 'nothing'}. Report it at "
            "least there, or let such results pass: require_attrs=False."
        )


_RULES: dict[type[Event], Callable[[PopulationScheduler, Any, Experiment], None]] = {
    SessionOpened: PopulationScheduler._session_opened,
    Suggested: PopulationScheduler._suggested,
    Reported: PopulationScheduler._reported,
    TrialExploited: PopulationScheduler._exploited,
    TrialPaused: PopulationScheduler._paused,
    TrialReallocated: PopulationScheduler._paused,
    TrialLaunched: PopulationScheduler._launched,
    TrialContinued: PopulationScheduler._launched,
    TrialRequeued: PopulationScheduler._requeued,
    TrialStopped: PopulationScheduler._is_over,
    TrialCompleted: PopulationScheduler._is_over,
    TrialFailed: PopulationScheduler._is_over,
}

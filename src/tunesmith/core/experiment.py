"""The state of an experiment. `apply` is the only way it changes; nothing here decides, reads a clock or does I/O.

The same events give the same state: live, at a resume, and in another process that only watches.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from ..errors import IllegalTransition
from .commands import Progress
from .events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    EarlierTrials,
    Event,
    ExperimentCreated,
    ExperimentFinished,
    NodesChanged,
    Reported,
    Result,
    SessionOpened,
    SpaceChanged,
    SpaceExhausted,
    StopRequested,
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
from .objective import WORST, Objective
from .resources import Pool
from .trial import NEW_TRIAL, TRANSITIONS, Kept, Status, Trial

_RUNNING = Status.RUNNING  # looking a member up in its class is slow, and `_reported` runs for every result

Shape = tuple[tuple[str, float], ...] | None
"""A request as a key; None stands for the experiment's default request."""


class Experiment:
    """One tuning run. Read it; only `apply` writes it.

    Args:
        objective: Rank by this, whatever the journal's sessions say; None: as they say.
    """

    def __init__(self, objective: Objective | None = None) -> None:
        self.name = ""
        self.seed = 0
        self.created = 0.0
        self.objective = objective
        """What the best trial is best at; with several objectives the first of them."""
        self.objectives: tuple[Objective, ...] = () if objective is None else (objective,)
        self.checkpoint_score: Objective | None = objective
        """What kept checkpoints are ranked by."""
        self._objective_is_given = objective is not None
        self.at = 0.0
        """Experiment time of the newest event, in seconds."""
        self.session = 0
        self.session_at = 0.0
        """Experiment time at which the current session began."""
        self.trials_wanted: int | None = None
        self.request: dict[str, float] = {"cpu": 1}
        """What a trial asks for that has no request of its own."""
        self.trials: list[Trial] = []
        self.counts: dict[Status, int] = dict.fromkeys(Status, 0)
        self.results = 0
        self.best: Trial | None = None
        """The trial with the lowest loss, the earliest of equals; None while no result had the metric."""
        self.live: dict[int, None] = {}
        """Trials with a live attempt that holds its resources, in order of launch."""
        self.leaving: dict[int, None] = {}
        """Trials whose process was held and has been told to end; it holds no resources any more."""
        self.paused: dict[int, None] = {}
        """Paused trials, in order of their pause."""
        self.reallocated: dict[int, None] = {}
        """Trials that are paused only to go on with other resources, in order of that decision."""
        self.workers: dict[int, AttemptStarted] = {}
        """Who runs the live attempts."""
        self.pool = Pool()
        self.is_exhausted = False
        self.finished: ExperimentFinished | None = None
        """How the last session ended; None while one is open."""
        self.sharers: dict[str, int] = {}
        """Checkpoints that several trials keep -> how many."""
        self.keepers: dict[int, None] = {}
        """Trials that keep checkpoints."""
        self.checkpoint_bytes = 0
        """The size of all kept checkpoints."""
        self._pending: dict[Shape, list[int]] = {}

    @property
    def next_number(self) -> int:
        """The number that the next suggested trial gets."""
        return len(self.trials)

    @property
    def wants_suggestions(self) -> bool:
        """Whether the searcher may still propose trials."""
        wanted = self.trials_wanted
        return not self.is_exhausted and (wanted is None or len(self.trials) < wanted)

    @property
    def has_more_to_come(self) -> bool:
        """Whether new trials may still come: some wait, or the searcher may propose more."""
        return bool(self.counts[Status.PENDING]) or self.wants_suggestions

    def first_resumable(self) -> int | None:
        """Return the trial that has been paused for longest, of those whose attempts have ended or are held."""
        # Nearly always the first: those that have not ended yet were paused last.
        return next((number for number in self.paused if self.is_resumable(self.trials[number])), None)

    def is_resumable(self, trial: Trial) -> bool:
        """Whether a trial is paused, and no attempt of it is on its way out."""
        return trial.status is Status.PAUSED and (trial.placement is None or trial.held)

    def request_of(self, trial: Trial) -> Mapping[str, float]:
        """Return what a trial asks for."""
        return self.request if trial.request is None else trial.request

    def first_request_of(self, trial: Trial) -> Mapping[str, float]:
        """Return what a trial asked for before a scheduler gave it other resources."""
        return self.request if trial.first_request is None else trial.first_request

    def pending(self) -> Iterator[Trial]:
        """Yield for each distinct request the trial that comes first, lowest number first."""
        heads = []
        for shape, queue in list(self._pending.items()):
            while queue and not self._waits_in(shape, self.trials[queue[0]]):
                heapq.heappop(queue)
            if queue:
                heads.append(queue[0])
            else:
                del self._pending[shape]  # with a request of its own for every trial there would be ever more
        return (self.trials[number] for number in sorted(heads))

    def pending_requests(self, at_most: int) -> list[Mapping[str, float]]:
        """Return what pending trials ask for, of at most so many of them."""
        found: list[Mapping[str, float]] = []
        for shape, queue in self._pending.items():
            for number in queue:
                if len(found) == at_most:
                    return found
                if self._waits_in(shape, self.trials[number]):
                    found.append(self.request_of(self.trials[number]))
        return found

    def progress_at(self, trial: Trial, checkpoint: str | None) -> Progress:
        """Return how far a trial had come at one of its checkpoints."""
        if checkpoint is None or not trial.checkpoints or checkpoint not in trial.checkpoints:
            return Progress()
        kept = trial.checkpoints[checkpoint]
        return Progress(kept.number, kept.elapsed, kept.timesteps, kept.episodes)

    def apply(self, event: Event) -> None:
        """Change the state by what happened.

        Raises:
            IllegalTransition: The event cannot follow what happened before.
        """
        self.at = event.at
        _RULES[type(event)](self, event)

    # One short rule per event, in the order of `events.py`.

    def _created(self, event: ExperimentCreated) -> None:
        self.name, self.seed, self.created = event.name, event.seed, event.created

    def _session_opened(self, event: SessionOpened) -> None:
        self.session = event.session
        self.session_at = event.at
        if not self._objective_is_given:
            own = [(event.metric, event.mode)] if event.metric else []
            self.objectives = tuple(Objective(*pair) for pair in (*own, *event.more_objectives))
            self.objective = self.objectives[0] if self.objectives else None
        score = event.checkpoint_score
        self.checkpoint_score = self.objective if score is None else Objective(*score)
        self.trials_wanted = event.trials_wanted
        self.request = event.request
        self.finished = None
        self.is_exhausted = False
        # What the last session's attempts hold they hold until their end is told, which is the core's next word.
        self.pool.replace_nodes(event.nodes)

    def _space_changed(self, event: SpaceChanged) -> None:
        pass  # The decisions that follow from it come as events of their own.

    def _earlier_trials(self, event: EarlierTrials) -> None:
        pass  # They are none of this experiment's; its searcher observes them.

    def _nodes_changed(self, event: NodesChanged) -> None:
        self.pool.replace_nodes(event.nodes)

    def _suggested(self, event: Suggested) -> None:
        for index, config in enumerate(event.configs):
            request = None if event.requests is None else event.requests[index]
            trial = Trial(len(self.trials), config, request)
            trial.last_at = event.at
            trial.story = ("Suggested",)
            self.trials.append(trial)
            self.counts[TRANSITIONS[NEW_TRIAL, Suggested]] += 1
            self._enqueue(trial)

    def _space_exhausted(self, event: SpaceExhausted) -> None:
        self.is_exhausted = True

    def _reported(self, event: Reported) -> None:
        trial = self.trials[event.trial]
        if trial.status is not _RUNNING:
            trial.moved(event)
        if event.attempt != trial.attempt or trial.placement is None:
            raise IllegalTransition(f"trial {trial.id}: a report of attempt {event.attempt}, which is not running.")
        trial.number = event.number
        trial.elapsed = event.elapsed
        trial.results += 1
        trial.last = event
        trial.last_at = event.at
        self.results += 1
        loss = WORST
        if self.objective is not None:
            loss = self.objective.loss(event)
            if loss < trial.best_loss:
                trial.best, trial.best_loss = event, loss
                if self.best is None or loss < self.best.best_loss:
                    self.best = trial
        if event.checkpoint is not None:
            self._keep(trial, event.checkpoint, self._kept(event, loss, event.checkpoint_bytes))

    def _attempt_started(self, event: AttemptStarted) -> None:
        self.workers[event.trial] = event

    def _attempt_ended(self, event: AttemptEnded) -> None:
        trial = self.trials[event.trial]
        trial.placement = None
        trial.held = False
        trial.last_at = event.at
        self.live.pop(trial.id, None)
        self.leaving.pop(trial.id, None)
        self.workers.pop(trial.id, None)
        self.pool.release(trial.id)
        if event.failure is not None:
            trial.failure = event.failure
        if event.checkpoint is not None:
            last = trial.last
            if last is not None and last.attempt == event.attempt:
                loss = WORST if self.objective is None else self.objective.loss(last)
                kept = self._kept(last, loss, event.checkpoint_bytes)
            else:
                kept = Kept(trial.number, trial.elapsed, size=event.checkpoint_bytes)
            start = trial.checkpoint
            self._keep(trial, event.checkpoint, kept)
            if trial.is_clone:
                trial.checkpoint = start  # What it was made a clone of, and not what its last attempt left.

    def _stop_requested(self, event: StopRequested) -> None:
        pass  # The decisions that follow from it come as events of their own.

    def _trial_launched(self, event: TrialLaunched) -> None:
        trial = self._move(event)
        self.paused.pop(trial.id, None)
        trial.attempt = event.attempt
        trial.placement = event.placement
        trial.interrupted = trial.is_clone = False
        if trial.first_at < 0:
            trial.first_at = event.at
        progress = self.progress_at(trial, event.checkpoint)
        trial.number, trial.elapsed = progress.number, progress.elapsed
        self.live[trial.id] = None
        self.pool.take(trial.id, event.placement)

    def _trial_paused(self, event: TrialPaused) -> None:
        trial = self._move(event)
        trial.reason, trial.interrupted = event.reason, event.interrupted
        self.paused[trial.id] = None
        if event.held:
            trial.held = True
            self.live.pop(trial.id, None)
            self.pool.release(trial.id)

    def _trial_continued(self, event: TrialContinued) -> None:
        trial = self._move(event)
        assert trial.placement is not None, "only a trial that has a process can be continued"
        self.paused.pop(trial.id, None)
        trial.held = False
        self.live[trial.id] = None
        self.pool.take(trial.id, trial.placement)

    def _trial_exploited(self, event: TrialExploited) -> None:
        trial, source = self._move(event), self.trials[event.source]
        trial.config, trial.reason = event.config, event.reason
        trial.is_clone = True
        trial.checkpoint = event.checkpoint
        self._rest(trial)
        if event.checkpoint is not None and source is not trial:
            assert source.checkpoints is not None, "a trial cannot give a checkpoint that it does not keep"
            kept = source.checkpoints[event.checkpoint]
            # Its results are the source's, so for the clone it is the best of nothing.
            self._keep(trial, event.checkpoint, msgspec.structs.replace(kept, loss=WORST, score=WORST), is_shared=True)

    def _trial_reallocated(self, event: TrialReallocated) -> None:
        is_going_on = self.trials[event.trial].status is _RUNNING or event.trial in self.reallocated
        trial = self._move(event)
        trial.request, trial.reason = event.request, event.reason
        self._rest(trial)
        if is_going_on:
            self.reallocated[trial.id] = None
        if trial.status is Status.PENDING:
            self._enqueue(trial)  # In the queue of its old request it does not wait any more.

    def _rest(self, trial: Trial) -> None:
        """Let a trial that goes on as something else wait; its attempt, if there is one, ends."""
        self._let_go(trial)
        if trial.status is Status.PAUSED:
            self.paused.setdefault(trial.id)

    def _let_go(self, trial: Trial) -> None:
        """The process of a held trial is told to end."""
        if trial.held:
            trial.held = False
            self.leaving[trial.id] = None

    def _trial_stopped(self, event: TrialStopped) -> None:
        trial = self._move(event)
        self.paused.pop(trial.id, None)
        self._let_go(trial)
        trial.reason = event.reason

    def _trial_completed(self, event: TrialCompleted) -> None:
        trial = self._move(event)
        self.paused.pop(trial.id, None)
        self._let_go(trial)
        trial.reason, trial.interrupted = event.reason, False

    def _trial_failed(self, event: TrialFailed) -> None:
        trial = self._move(event)
        trial.failures += 1
        trial.failure = event.failure
        trial.reason = event.failure.message

    def _trial_requeued(self, event: TrialRequeued) -> None:
        is_second_chance = self.trials[event.trial].status is Status.FAILED
        trial = self._move(event)
        self.paused.pop(trial.id, None)
        trial.reason = event.reason
        if is_second_chance:
            trial.failures = 0
        elif event.failure is not None:
            trial.failures += 1
        self._enqueue(trial)

    def _checkpoint_dropped(self, event: CheckpointDropped) -> None:
        trial = self.trials[event.trial]
        kept = trial.checkpoints.pop(event.checkpoint, None) if trial.checkpoints else None
        if kept is not None:
            sharers = self.sharers.pop(event.checkpoint, 1)
            if sharers > 2:
                self.sharers[event.checkpoint] = sharers - 1
            elif sharers == 1:
                self.checkpoint_bytes -= kept.size
            if not trial.checkpoints:
                self.keepers.pop(trial.id, None)
        if trial.checkpoint == event.checkpoint:
            trial.checkpoint = next(reversed(trial.checkpoints), None) if trial.checkpoints else None

    def _finished(self, event: ExperimentFinished) -> None:
        self.finished = event

    # What the rules share.

    def _move(self, event: Any) -> Trial:
        trial: Trial = self.trials[event.trial]
        status = trial.moved(event)
        self.counts[trial.status] -= 1
        self.counts[status] += 1
        trial.status = status
        self.reallocated.pop(trial.id, None)
        trial.last_at = event.at
        # A bounded story: enough to understand an error, and small at 100,000 trials.
        trial.story = (*trial.story[-7:], type(event).__name__)
        return trial

    def _enqueue(self, trial: Trial) -> None:
        heapq.heappush(self._pending.setdefault(_shape_of(trial), []), trial.id)

    def _waits_in(self, shape: Shape, trial: Trial) -> bool:
        return trial.status is Status.PENDING and _shape_of(trial) == shape

    def _kept(self, result: Result, loss: float, size: int) -> Kept:
        metrics = result.metrics
        steps, episodes = _number(metrics.get("timesteps_total")), _number(metrics.get("episodes_total"))
        score = self.checkpoint_score
        ranked = loss if score is self.objective else WORST if score is None else score.loss(result)
        return Kept(result.number, result.elapsed, steps, episodes, loss, ranked, size)

    def _keep(self, trial: Trial, checkpoint: str, kept: Kept, *, is_shared: bool = False) -> None:
        if trial.checkpoints is None:
            trial.checkpoints = {}
        self.keepers[trial.id] = None
        before = trial.checkpoints.get(checkpoint)
        if not is_shared:
            self.checkpoint_bytes += kept.size - (0 if before is None else before.size)
        elif before is None:
            self.sharers[checkpoint] = self.sharers.get(checkpoint, 1) + 1
        trial.checkpoints[checkpoint] = kept if before is None or not is_shared else before
        trial.checkpoint = checkpoint


def _shape_of(trial: Trial) -> Shape:
    return None if trial.request is None else tuple(sorted(trial.request.items()))


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


_RULES: dict[type[Event], Callable[[Experiment, Any], None]] = {
    ExperimentCreated: Experiment._created,
    SessionOpened: Experiment._session_opened,
    SpaceChanged: Experiment._space_changed,
    EarlierTrials: Experiment._earlier_trials,
    NodesChanged: Experiment._nodes_changed,
    Suggested: Experiment._suggested,
    SpaceExhausted: Experiment._space_exhausted,
    Reported: Experiment._reported,
    AttemptStarted: Experiment._attempt_started,
    AttemptEnded: Experiment._attempt_ended,
    StopRequested: Experiment._stop_requested,
    TrialLaunched: Experiment._trial_launched,
    TrialPaused: Experiment._trial_paused,
    TrialContinued: Experiment._trial_continued,
    TrialExploited: Experiment._trial_exploited,
    TrialReallocated: Experiment._trial_reallocated,
    TrialStopped: Experiment._trial_stopped,
    TrialCompleted: Experiment._trial_completed,
    TrialFailed: Experiment._trial_failed,
    TrialRequeued: Experiment._trial_requeued,
    CheckpointDropped: Experiment._checkpoint_dropped,
    ExperimentFinished: Experiment._finished,
}

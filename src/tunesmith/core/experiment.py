"""The state of an experiment. `apply` is the only way it changes; nothing here decides, reads a clock or does I/O.

The same events give the same state: live, at a resume, and in another process that only watches.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import IllegalTransition
from .commands import Progress
from .events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Event,
    ExperimentCreated,
    ExperimentFinished,
    NodesChanged,
    Reported,
    SessionOpened,
    SpaceExhausted,
    StopRequested,
    Suggested,
    TrialCompleted,
    TrialFailed,
    TrialLaunched,
    TrialPaused,
    TrialRequeued,
    TrialStopped,
)
from .objective import WORST, Objective
from .resources import Pool
from .trial import NEW_TRIAL, TRANSITIONS, Status, Trial

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
        """Trials with a live attempt, in order of launch."""
        self.paused: dict[int, None] = {}
        """Paused trials, in order of their pause."""
        self.workers: dict[int, AttemptStarted] = {}
        """Who runs the live attempts."""
        self.pool = Pool()
        self.is_exhausted = False
        self.finished: ExperimentFinished | None = None
        """How the last session ended; None while one is open."""
        self._pending: dict[Shape, list[int]] = {}

    @property
    def next_number(self) -> int:
        """The number that the next suggested trial gets."""
        return len(self.trials)

    def request_of(self, trial: Trial) -> Mapping[str, float]:
        """Return what a trial asks for."""
        return self.request if trial.request is None else trial.request

    def pending(self) -> Iterator[Trial]:
        """Yield for each distinct request the trial that comes first, lowest number first."""
        heads = []
        for shape, queue in list(self._pending.items()):
            while queue and self.trials[queue[0]].status is not Status.PENDING:
                heapq.heappop(queue)
            if queue:
                heads.append(queue[0])
            else:
                del self._pending[shape]  # with a request of its own for every trial there would be ever more
        return (self.trials[number] for number in sorted(heads))

    def progress_at(self, trial: Trial, checkpoint: str | None) -> Progress:
        """Return how far a trial had come at one of its checkpoints."""
        if checkpoint is None or not trial.checkpoints or checkpoint not in trial.checkpoints:
            return Progress()
        number, elapsed, timesteps, episodes, _ = trial.checkpoints[checkpoint]
        return Progress(number, elapsed, timesteps, episodes)

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
            self.objective = Objective(event.metric, event.mode) if event.metric else None
        self.trials_wanted = event.trials_wanted
        self.request = event.request
        self.finished = None
        self.is_exhausted = False
        # What the last session's attempts hold they hold until their end is told, which is the core's next word.
        self.pool.replace_nodes(event.nodes)

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
            steps, episodes = (_number(event.metrics.get(name)) for name in ("timesteps_total", "episodes_total"))
            self._keep(trial, event.checkpoint, (event.number, event.elapsed, steps, episodes, loss))

    def _attempt_started(self, event: AttemptStarted) -> None:
        self.workers[event.trial] = event

    def _attempt_ended(self, event: AttemptEnded) -> None:
        trial = self.trials[event.trial]
        trial.placement = None
        trial.last_at = event.at
        self.live.pop(trial.id, None)
        self.workers.pop(trial.id, None)
        self.pool.release(trial.id)
        if event.failure is not None:
            trial.failure = event.failure
        if event.checkpoint is not None:
            last, loss = trial.last, WORST
            steps = episodes = 0.0
            if last is not None and last.attempt == event.attempt:
                steps, episodes = (_number(last.metrics.get(name)) for name in ("timesteps_total", "episodes_total"))
                loss = WORST if self.objective is None else self.objective.loss(last)
            self._keep(trial, event.checkpoint, (trial.number, trial.elapsed, steps, episodes, loss))

    def _stop_requested(self, event: StopRequested) -> None:
        pass  # The decisions that follow from it come as events of their own.

    def _trial_launched(self, event: TrialLaunched) -> None:
        trial = self._move(event)
        self.paused.pop(trial.id, None)
        trial.attempt = event.attempt
        trial.placement = event.placement
        trial.interrupted = False
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

    def _trial_stopped(self, event: TrialStopped) -> None:
        trial = self._move(event)
        self.paused.pop(trial.id, None)
        trial.reason = event.reason

    def _trial_completed(self, event: TrialCompleted) -> None:
        trial = self._move(event)
        self.paused.pop(trial.id, None)
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
        if trial.checkpoints:
            trial.checkpoints.pop(event.checkpoint, None)
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
        trial.last_at = event.at
        # A bounded story: enough to understand an error, and small at 100,000 trials.
        trial.story = (*trial.story[-7:], type(event).__name__)
        return trial

    def _enqueue(self, trial: Trial) -> None:
        shape = None if trial.request is None else tuple(sorted(trial.request.items()))
        heapq.heappush(self._pending.setdefault(shape, []), trial.id)

    def _keep(self, trial: Trial, checkpoint: str, progress: tuple[int, float, float, float, float]) -> None:
        if trial.checkpoints is None:
            trial.checkpoints = {}
        trial.checkpoints[checkpoint] = progress
        trial.checkpoint = checkpoint


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


_RULES: dict[type[Event], Callable[[Experiment, Any], None]] = {
    ExperimentCreated: Experiment._created,
    SessionOpened: Experiment._session_opened,
    NodesChanged: Experiment._nodes_changed,
    Suggested: Experiment._suggested,
    SpaceExhausted: Experiment._space_exhausted,
    Reported: Experiment._reported,
    AttemptStarted: Experiment._attempt_started,
    AttemptEnded: Experiment._attempt_ended,
    StopRequested: Experiment._stop_requested,
    TrialLaunched: Experiment._trial_launched,
    TrialPaused: Experiment._trial_paused,
    TrialStopped: Experiment._trial_stopped,
    TrialCompleted: Experiment._trial_completed,
    TrialFailed: Experiment._trial_failed,
    TrialRequeued: Experiment._trial_requeued,
    CheckpointDropped: Experiment._checkpoint_dropped,
    ExperimentFinished: Experiment._finished,
}

"""The core: one event in; events and commands out. It never blocks, reads no clock and does no I/O.

`Core.handle` is a table from the event's type to one short rule. A rule emits events (each is applied to the
experiment and observed by the policies at once, in the order in which the journal will hold them) and commands for
the driver. After the rules of a turn, `_settle` gives free resources away and sees whether the experiment is over.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..errors import ResourceError, TuneError
from . import retention
from .bundles import request_text
from .commands import Command, Discard, Halt, Kill, Proceed, Start, Suggest
from .events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    EarlierTrials,
    Event,
    ExperimentCreated,
    ExperimentFinished,
    Failure,
    NodesChanged,
    Reported,
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
from .experiment import Experiment
from .policy import (
    ONE_RESULT,
    Choice,
    Complete,
    Continue,
    Decided,
    Decision,
    Exploit,
    New,
    Pause,
    Policy,
    Reallocate,
    Resume,
    Scheduler,
    Searcher,
    Stop,
    Stopper,
    Wait,
)
from .resources import checked_request
from .trial import Status, Trial

# Looking a member up in its class is slow, and `_reported` runs for every result.
_RUNNING, _PAUSED = Status.RUNNING, Status.PAUSED

ALIKE_FAILURES = 5
"""With `fail_fast="auto"`: so many first failures that are alike, and not one result, end the session."""
LOST_WITHOUT_PROGRESS = 3
"""An attempt that is lost is nobody's fault; a trial that is lost so often without a result in between has failed."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a session allows. Times are seconds; None is no bound."""

    max_failures: int = 0
    """Retries per trial from its last checkpoint; -1 is no bound."""
    max_concurrent: int | None = None
    time_budget: float | None = None
    """For the whole experiment, in experiment time."""
    trial_time: float | None = None
    """For one trial, all of its attempts together; then it is killed."""
    report_timeout: float | None = None
    """How long an attempt may be silent; then it is taken for hung and killed."""
    grace: float = 5.0
    """How long an attempt that was asked to end may take before it is killed."""
    kill_grace: float = 1.0
    """How long a killed attempt may take between SIGTERM and SIGKILL."""
    fail_fast: bool | str = "auto"
    """True: the first failed trial ends the session; "auto": the first trials failing alike; False: nothing does."""
    nan_fails: bool = False
    """Whether a nan objective fails the trial; otherwise it ranks worst."""
    holds: bool = False
    """Whether a paused trial keeps its process, which stands still, instead of ending it with a checkpoint."""
    num_to_keep: int | None = None
    """So many checkpoints of a trial are kept, the best ones, and its last; None: its best one and its last."""
    checkpoint_bytes: int | None = None
    """The most that all kept checkpoints may take; what is worth least goes first."""


class Step(msgspec.Struct, frozen=True):
    """What one turn decided: events to be journaled, then commands to be carried out."""

    events: list[Event] = msgspec.field(default_factory=list)
    commands: list[Command] = msgspec.field(default_factory=list)


class Core:
    """Decides. Feed it every event of the executor; journal what it returns before acting on it."""

    def __init__(
        self, experiment: Experiment, *, searcher: Searcher, scheduler: Scheduler, stopper: Stopper, limits: Limits
    ) -> None:
        self.experiment = experiment
        self.scheduler = scheduler
        self.stopper = stopper
        self.limits = limits
        self.slots: int | None = None
        """So many trials may start now, one for each that somebody asked for (see `offer`); None: as many as fit."""
        self._policies: tuple[Policy, ...] = tuple(
            policy for policy in (searcher, scheduler, stopper) if type(policy).observe is not Policy.observe
        )
        self._step = Step()
        self._now = experiment.at
        self._deadlines: list[tuple[float, int, int, str]] = []
        self._kill_reasons: dict[int, Failure] = {}
        self._lost: dict[int, int] = {}
        self._time_limits: dict[int, float] = {}
        self._decided = 0
        """How much the scheduler has decided of trials that stand still, since resources were last given away."""
        self._closing: ExperimentFinished | None = None
        self._is_asking = False
        self._is_outdated = False
        """Whether something has happened since the searcher was asked."""
        self._is_declined = False
        self._has_news = False
        self._alike: list[tuple[str, str, str]] = []

    def handle(self, *events: Event) -> Step:
        """Decide on what happened, in order; events of one turn of the loop belong in one call."""
        for event in events:
            self._now = event.at
            _RULES[type(event)](self, event)
        self._settle()
        step, self._step = self._step, Step()
        return step

    def tick(self, now: float) -> Step:
        """Decide on what is due at `now`."""
        self._now = max(now, self._now)
        while self._deadlines and self._deadlines[0][0] <= now:
            due, number, attempt, kind = heapq.heappop(self._deadlines)
            if kind == "budget":
                self._close_for_budget()
            elif kind == "stopper":
                self._has_news = True  # `_settle` asks it
            else:
                self._overdue(due, self.experiment.trials[number], attempt, kind)
        self._settle()
        step, self._step = self._step, Step()
        return step

    def offer(self, slots: int) -> Step:
        """Decide who gets `slots`, which are all that there are. While slots are counted, only what nobody can bring
        about any more ends the session: not that nothing runs."""
        self.slots = slots
        return self.handle()

    def launch(self, number: int) -> Step:
        """Launch a trial that waits for resources, whoever's turn it is; nothing when it does not fit."""
        trial = self.experiment.trials[number]
        if trial.status is Status.PENDING:
            self._launch(trial, "asked for by number")
        return self.handle()

    def next_deadline(self) -> float | None:
        """Return when `tick` has something to do; None when nothing is due."""
        while self._deadlines and self._is_stale(self._deadlines[0]):
            heapq.heappop(self._deadlines)
        return self._deadlines[0][0] if self._deadlines else None

    def waiting(self, at_most: int) -> list[Mapping[str, float]]:
        """Return what those trials ask for, at most so many, that could start now and for which there is no room."""
        experiment = self.experiment
        if self.limits.max_concurrent is not None:
            at_most = min(at_most, self.limits.max_concurrent - len(experiment.live))
        if self._closing is not None or experiment.finished is not None or at_most <= 0:
            return []
        if not experiment.paused and not experiment.has_more_to_come:
            return []
        match self.scheduler.choose(experiment):
            case Resume(number):
                request = experiment.request_of(experiment.trials[number])
                return [request] if experiment.pool.find(request) is None else []
            case New():
                found = experiment.pending_requests(at_most)
                if experiment.wants_suggestions and not self._is_declined:
                    more = at_most - len(found)
                    if experiment.trials_wanted is not None:
                        more = min(more, experiment.trials_wanted - experiment.next_number)
                    # Those that have room have not been asked for yet: they come one after another.
                    more -= experiment.pool.room(experiment.request, at_most=more)
                    found += [experiment.request] * more
                return found
        return []

    @property
    def wants_suggestions(self) -> bool:
        """Whether the searcher has been asked and its answer is still wanted."""
        return self._is_asking and self._closing is None

    # One short rule per event that an executor, the loop or a person can send.

    def _created(self, event: ExperimentCreated) -> None:
        self._emit(event)

    def _session_opened(self, event: SessionOpened) -> None:
        experiment = self.experiment
        self._emit(event)
        for trial in experiment.trials:
            # Once per session, so linear is fine.
            if trial.is_live:
                self._emit(AttemptEnded(at=event.at, trial=trial.id, attempt=trial.attempt, outcome="lost"))
            if trial.status is Status.RUNNING and not trial.is_live:
                # Also one whose end is the last thing that a repaired journal knows.
                self._requeue(trial, "its session ended without notice")
            elif trial.status is Status.PAUSED and trial.interrupted:
                self._requeue(trial, trial.reason)
            elif trial.status is Status.FAILED and event.retry_failed:
                self._requeue(trial, "failed trials are tried again")
            if trial.status is Status.PENDING and trial.request is not None:
                self._refuse_impossible(trial)  # these may be other machines than last time
        if self.stopper.deadline is not None:
            heapq.heappush(self._deadlines, (self.stopper.deadline, -1, 0, "stopper"))
        if self.limits.time_budget is not None:
            heapq.heappush(self._deadlines, (self.limits.time_budget, -1, 0, "budget"))
            if event.at >= self.limits.time_budget:
                self._close_for_budget()

    def _space_changed(self, event: SpaceChanged) -> None:
        self._emit(event)
        for number in event.outside:
            trial = self.experiment.trials[number]
            if trial.status is Status.PENDING and not trial.attempt:
                self._stop(trial, "it had not begun, and does not lie in the space any more")

    def _earlier_trials(self, event: EarlierTrials) -> None:
        self._emit(event)

    def _nodes_changed(self, event: NodesChanged) -> None:
        self._emit(event)
        self._has_news = True

    def _suggested(self, event: Suggested) -> None:
        self._is_asking = False
        if self._closing is not None:
            return  # Nobody wants it any more; the next session asks anew.
        if not event.configs:
            # What has happened meanwhile the searcher did not know: it is asked again.
            self._is_declined = not self._is_outdated
            return
        first = self.experiment.next_number
        self._emit(event)
        for trial in self.experiment.trials[first:]:
            if trial.request is not None:
                self._refuse_impossible(trial)

    def _space_exhausted(self, event: SpaceExhausted) -> None:
        self._is_asking = False
        if self._closing is None:
            self._emit(event)

    def _attempt_started(self, event: AttemptStarted) -> None:
        trial = self.experiment.trials[event.trial]
        if trial.is_live and trial.attempt == event.attempt:
            self._emit(event)

    def _reported(self, event: Reported) -> None:
        experiment = self.experiment
        trial = experiment.trials[event.trial]
        is_current = trial.placement is not None and event.attempt == trial.attempt and event.number > trial.number
        # One that was asked to pause goes on until it hears of it. What it reports counts, and may end it for good.
        is_pausing = trial.status is _PAUSED
        if not is_current or trial.is_clone or (trial.status is not _RUNNING and not is_pausing):
            return  # Late, of an older attempt, or doubled: what it could change is already decided.
        self._emit(event)
        if event.checkpoint is not None:
            self._drop_unneeded_checkpoints(trial)
        stopper = self.stopper
        if event.waits or stopper.every_result:
            reason = stopper.stop_trial(event, experiment)
            if reason is not None:
                self._complete(trial, reason)
                return
        if self.limits.nan_fails and experiment.objective is not None and not is_pausing:
            value = event.value(experiment.objective.metric)
            if value != value:
                message = f"{experiment.objective.metric} is nan at training_iteration {event.number}"
                self._fail(trial, Failure(kind="nan", message=message))
                self._halt(trial)
                return
        if event.metrics.get("done"):
            # Known with the result itself: had it to be told by the attempt's end, a crash in between would make the
            # trial train on.
            self._emit(TrialCompleted(at=self._now, trial=trial.id))
            return
        if event.waits:
            self._answer(trial, self.scheduler.decide(event, experiment), is_pausing)

    def _answer(self, trial: Trial, decision: Decision, is_pausing: bool) -> None:
        """Carry out a scheduler's decision on a trial that waits for it."""
        match decision:
            case Continue() | Pause() if is_pausing:
                pass
            case Continue():
                self._command(Proceed(trial.id, trial.attempt, self._lease(trial)))
            case Stop(reason):
                self._stop(trial, reason)
            case Complete(reason):
                self._complete(trial, reason)
            case Pause(reason):
                self._emit(TrialPaused(at=self._now, trial=trial.id, reason=reason, held=self.limits.holds))
                if not trial.held:
                    self._halt(trial, save=True)
            case Exploit():
                self._exploit(trial, decision)
            case Reallocate():
                self._reallocate(trial, decision)
            case other:
                raise TuneError(
                    f"{type(self.scheduler).__name__}.decide returned {other!r}. "
                    "Return Continue(), Pause(...), Stop(...), Complete(...), Exploit(...) or Reallocate(...)."
                )

    def _exploit(self, trial: Trial, decision: Exploit) -> None:
        if not 0 <= decision.source < self.experiment.next_number:
            raise TuneError(f"{type(self.scheduler).__name__} clones trial {decision.source}, which does not exist.")
        source = self.experiment.trials[decision.source]
        progress = self.experiment.progress_at(source, source.checkpoint)
        self._emit(
            TrialExploited(
                at=self._now,
                trial=trial.id,
                source=source.id,
                config=decision.config,
                checkpoint=source.checkpoint,
                number=progress.number,
                elapsed=progress.elapsed,
                reason=decision.reason,
            )
        )
        if trial.is_live:
            self._halt(trial)

    def _reallocate(self, trial: Trial, decision: Reallocate) -> None:
        request = checked_request(decision.request)
        self.experiment.pool.check(request)
        self._emit(TrialReallocated(at=self._now, trial=trial.id, request=request, reason=decision.reason))
        if trial.is_live:
            self._halt(trial, save=True)

    def _attempt_ended(self, event: AttemptEnded) -> None:
        trial = self.experiment.trials[event.trial]
        if not trial.is_live or event.attempt != trial.attempt:
            return
        failure = self._kill_reasons.pop(trial.id, None)
        if failure is None or event.outcome == "done":  # it may have come to its end before the kill reached it
            failure = event.failure
        if failure is not event.failure:
            event = msgspec.structs.replace(event, failure=failure)
        is_clone = trial.is_clone
        self._emit(event)
        if trial.checkpoints is not None and event.checkpoint is not None:
            self._drop_unneeded_checkpoints(trial)
        if trial.status.is_final:
            return  # It was stopped or failed, and has now obeyed.
        if event.outcome == "done" and not is_clone:
            self._emit(TrialCompleted(at=self._now, trial=trial.id))
        elif trial.status is Status.PAUSED:
            return
        elif event.outcome == "halted" and failure is None:
            self._emit(TrialPaused(at=self._now, trial=trial.id, reason="halted by its executor", interrupted=True))
        else:
            self._end_badly(trial, failure or Failure(kind="lost", message="its worker was lost"))

    def _stop_requested(self, event: StopRequested) -> None:
        self._emit(event)
        if event.trial is not None:
            if not 0 <= event.trial < self.experiment.next_number:
                return
            trial = self.experiment.trials[event.trial]
            if not trial.status.is_final:
                self._stop(trial, event.reason)
            if event.now and trial.is_live:
                self._command(Kill(trial.id, trial.attempt, self.limits.kill_grace))
            return
        self._close("interrupted", event.reason)
        if event.now:
            for number in (*self.experiment.live, *self.experiment.leaving):
                self._command(Kill(number, self.experiment.trials[number].attempt, 0.0))

    # After the rules of a turn.

    def _settle(self) -> None:
        experiment = self.experiment
        if experiment.finished is not None:
            return
        if self._closing is None and self._has_news:
            reason = self.stopper.stop_experiment(experiment)
            if reason is not None:
                self._close("stopped", reason, stop_trials=True)
        if self._has_news:
            self._is_declined = False
            self._is_outdated = True
        self._has_news = False
        if self._closing is None:
            self._fill()
            # With nothing running there is nobody to wait for: paused trials go on whatever the scheduler waits for.
            while self.slots != 0 and not self._is_awaited() and experiment.paused:
                if not self._follow(self.scheduler.unblock(experiment)):
                    break
        if not self._is_awaited() and not self._may_be_offered_more():
            self._finish()

    def _is_awaited(self) -> bool:
        """Whether something is to come: a word of an attempt, the searcher's answer, or a node that somebody needs."""
        experiment = self.experiment
        if experiment.live or experiment.leaving or self.wants_suggestions:
            return True
        return self._closing is None and any(map(experiment.pool.is_awaited_for, self._open_requests()))

    def _open_requests(self) -> Iterator[Mapping[str, float]]:
        """Yield what the trials ask for that could go on next."""
        experiment = self.experiment
        yield from (experiment.request_of(trial) for trial in experiment.pending())
        if experiment.wants_suggestions:
            yield experiment.request
        if experiment.paused:
            yield experiment.request_of(experiment.trials[next(iter(experiment.paused))])

    def _may_be_offered_more(self) -> bool:
        """Whether somebody may yet ask for a trial, and there would be one."""
        if self.slots is None or self._closing is not None:
            return False
        return self.experiment.has_more_to_come or bool(self.experiment.paused)

    def _fill(self) -> None:
        """Give free resources away until nobody is left who fits."""
        experiment = self.experiment
        if not experiment.paused and not experiment.has_more_to_come:
            return  # Nobody is left; most turns of an experiment's end, and all of a single trial's.
        self._decided = 0
        while self.slots != 0 and (
            self.limits.max_concurrent is None or len(experiment.live) < self.limits.max_concurrent
        ):
            is_full = experiment.pool.room(experiment.request, at_most=1) == 0
            if is_full and not experiment.counts[Status.PENDING] and not experiment.paused:
                return
            if not self._follow(self.scheduler.choose(experiment)):
                return

    def _follow(self, choice: Choice) -> bool:
        """Do as the scheduler says; return whether that leaves something more to ask it now."""
        experiment = self.experiment
        match choice:
            case New():
                return (self._launch_next() or self._ask()) and not self._is_asking
            case Resume(number, reason):
                trial = self._named_by_scheduler(number, (Status.PAUSED,))
                return experiment.is_resumable(trial) and self._resume(trial, reason)
            case Decided(number, decision):
                self._decide(self._named_by_scheduler(number, (Status.PAUSED, Status.PENDING)), decision)
                self._decided += 1
                if self._decided > 10 + 3 * len(experiment.trials):
                    raise TuneError(
                        f"{type(self.scheduler).__name__}.choose decides of trial {number} without end. "
                        "It learns from `observe` that a decision was carried out, and must not repeat it."
                    )
                return True
            case Wait():
                return False
            case other:
                raise TuneError(
                    f"{type(self.scheduler).__name__}.choose returned {other!r}. "
                    "Return New(), Resume(trial), Decided(trial, decision) or Wait()."
                )

    def _named_by_scheduler(self, number: int, statuses: tuple[Status, ...]) -> Trial:
        trials, who = self.experiment.trials, type(self.scheduler).__name__
        if not 0 <= number < len(trials):
            raise TuneError(f"{who}.choose names trial {number}, which does not exist.")
        if trials[number].status not in statuses:
            wanted = " or ".join(statuses)
            raise TuneError(f"{who}.choose names trial {number}, which is {trials[number].status} and not {wanted}.")
        return trials[number]

    def _decide(self, trial: Trial, decision: Stop | Complete | Exploit | Reallocate) -> None:
        """Carry out what the scheduler has decided of a trial that does not wait for a verdict."""
        match decision:
            case Stop(reason):
                self._stop(trial, reason)
            case Complete(reason):
                self._complete(trial, reason)
            case Exploit():
                self._exploit(trial, decision)
            case Reallocate():
                self._reallocate(trial, decision)
            case other:
                raise TuneError(f"{type(self.scheduler).__name__}.choose: {other!r} cannot be decided of a trial.")

    def _launch_next(self) -> bool:
        return any(self._launch(trial) for trial in self.experiment.pending())

    def _resume(self, trial: Trial, reason: str) -> bool:
        """Let a paused trial go on if it fits now; return whether it did."""
        if not trial.held:
            return self._launch(trial, reason)
        placement = trial.placement
        assert placement is not None
        if not self.experiment.pool.has(placement):
            return False
        self._emit(TrialContinued(at=self._now, trial=trial.id, reason=reason))
        self._take_slot()
        self._limit(trial)
        self._command(Proceed(trial.id, trial.attempt, self._lease(trial)))
        return True

    def _launch(self, trial: Trial, reason: str = "") -> bool:
        """Launch a trial if its request fits now; return whether it did."""
        experiment = self.experiment
        placement = experiment.pool.find(experiment.request_of(trial))
        if placement is None:
            return False
        checkpoint = trial.checkpoint
        self._emit(
            TrialLaunched(
                at=self._now,
                trial=trial.id,
                attempt=trial.attempt + 1,
                placement=placement,
                checkpoint=checkpoint,
                reason=reason,
            )
        )
        self._take_slot()
        self._limit(trial)
        progress = experiment.progress_at(trial, checkpoint)
        self._command(Start(trial.id, trial.attempt, trial.config, placement, self._lease(trial), checkpoint, progress))
        return True

    def _take_slot(self) -> None:
        if self.slots:
            self.slots -= 1

    def _limit(self, trial: Trial) -> None:
        """Set what ends a trial that now begins, or goes on, if it takes too long."""
        limits = self.limits
        if limits.trial_time is not None:
            due = self._now + max(0.0, limits.trial_time - trial.elapsed)
            self._time_limits[trial.id] = due  # Only the newest counts: a held trial's time stands still.
            self._set_deadline(due, trial, "time_limit")
        if limits.report_timeout is not None:
            self._set_deadline(self._now + limits.report_timeout, trial, "hung")

    def _ask(self) -> bool:
        """Ask for as many configs as could start now; return whether there was a reason to."""
        experiment = self.experiment
        if self._is_asking or self._is_declined or experiment.is_exhausted or experiment.counts[Status.PENDING]:
            return False
        count = 1_000_000
        if experiment.trials_wanted is not None:
            count = min(count, experiment.trials_wanted - experiment.next_number)
        if self.limits.max_concurrent is not None:
            count = min(count, self.limits.max_concurrent - len(experiment.live))
        if self.slots is not None:
            count = min(count, self.slots)
        if count > 0:
            count = experiment.pool.room(experiment.request, at_most=count)
        if count <= 0:
            return False
        self._is_asking = True
        self._is_outdated = False
        self._command(Suggest(count))
        return True

    def _finish(self) -> None:
        experiment = self.experiment
        finished = self._closing
        if finished is None:
            if not experiment.has_more_to_come and not experiment.paused:
                finished = ExperimentFinished(at=self._now, reason="completed")
            else:
                message = f"nothing runs, and {self._why_nothing_starts()}"
                finished = ExperimentFinished(at=self._now, reason="stuck", message=message)
        self._emit(ExperimentFinished(at=self._now, reason=finished.reason, message=finished.message))

    def _why_nothing_starts(self) -> str:
        experiment = self.experiment
        trial = next(experiment.pending(), None)
        request = experiment.request if trial is None else experiment.request_of(trial)
        if experiment.pool.find(request) is None:
            who = "a new trial" if trial is None else f"trial {trial.id}"
            return f"{who} (which asks for {request_text(request)}) cannot start on any node"
        if trial is not None or type(self.scheduler.choose(experiment)) is not New:
            return "the scheduler lets no trial start"
        if experiment.paused:
            return f"{type(self.scheduler).__name__} lets none of the {len(experiment.paused)} paused trials go on"
        return "the searcher has no config to offer for now, and no result is to come"

    # What the rules share.

    def _emit(self, event: Event) -> None:
        experiment = self.experiment
        experiment.apply(event)
        for policy in self._policies:
            policy.observe(event, experiment)
        self._step.events.append(event)
        self._has_news = True

    def _command(self, command: Command) -> None:
        self._step.commands.append(command)

    def _lease(self, trial: Trial) -> float:
        return ONE_RESULT if self.stopper.every_result else self.scheduler.lease(trial, self.experiment)

    def _requeue(self, trial: Trial, reason: str, failure: Failure | None = None) -> None:
        self._emit(TrialRequeued(at=self._now, trial=trial.id, reason=reason, failure=failure))

    def _stop(self, trial: Trial, reason: str) -> None:
        self._emit(TrialStopped(at=self._now, trial=trial.id, reason=reason))
        if trial.is_live:
            self._halt(trial)

    def _complete(self, trial: Trial, reason: str) -> None:
        self._emit(TrialCompleted(at=self._now, trial=trial.id, reason=reason))
        if trial.is_live:
            self._halt(trial)

    def _halt(self, trial: Trial, *, save: bool = False) -> None:
        self._command(Halt(trial.id, trial.attempt, save))
        self._set_deadline(self._now + self.limits.grace, trial, "grace")

    def _kill(self, trial: Trial, failure: Failure) -> None:
        self._kill_reasons[trial.id] = failure
        self._command(Kill(trial.id, trial.attempt, self.limits.kill_grace))

    def _close(self, reason: str, message: str, *, stop_trials: bool = False) -> None:
        """End the session: no launches any more; running trials end cleanly, and go on in the next session."""
        if self._closing is not None:
            return
        self._closing = ExperimentFinished(at=self._now, reason=reason, message=message)
        for number in list(self.experiment.live):
            trial = self.experiment.trials[number]
            if trial.status is not Status.RUNNING:
                continue
            if stop_trials:
                self._stop(trial, message)
            else:
                self._emit(TrialPaused(at=self._now, trial=number, reason=message, interrupted=True))
                self._halt(trial, save=True)

    def _close_for_budget(self) -> None:
        self._close("time_budget", f"the time budget of {self.limits.time_budget:g} s is used up")

    def _refuse_impossible(self, trial: Trial) -> None:
        try:
            self.experiment.pool.check(self.experiment.request_of(trial))
        except ResourceError as error:
            first = self.experiment.first_request_of(trial)
            if trial.request != first and self._could_run(first):
                # What a scheduler gave it elsewhere it cannot have here; what it asked for itself it can.
                reason = f"no node can give it what it had; it gets what it asked for at first ({error})"
                self._emit(TrialReallocated(at=self._now, trial=trial.id, request=dict(first), reason=reason))
            else:
                self._fail(trial, Failure(kind="resources", message=f"ResourceError: {error}"))

    def _could_run(self, request: Mapping[str, float]) -> bool:
        try:
            self.experiment.pool.check(request)
        except ResourceError:
            return False
        return True

    def _end_badly(self, trial: Trial, failure: Failure) -> None:
        if failure.kind == "checkpoint" and trial.checkpoint is not None:
            dropped = trial.checkpoint
            self._emit(CheckpointDropped(at=self._now, trial=trial.id, checkpoint=dropped, reason=failure.message))
            self._requeue(trial, f"{failure.message}; it goes on from {trial.checkpoint or 'the beginning'}")
            return
        if failure.kind == "lost":
            has_progressed = trial.last is not None and trial.last.attempt == trial.attempt
            self._lost[trial.id] = 1 if has_progressed else self._lost.get(trial.id, 0) + 1
            if self._lost[trial.id] <= LOST_WITHOUT_PROGRESS:
                self._requeue(trial, failure.message)
                return
        retries = self.limits.max_failures
        # Time is up for good; everything else may go better next time.
        if failure.kind != "time_limit" and (retries < 0 or trial.failures < retries):
            self._requeue(trial, f"retry {trial.failures + 1}: {failure.message}", failure)
            return
        self._fail(trial, failure)

    def _fail(self, trial: Trial, failure: Failure) -> None:
        self._emit(TrialFailed(at=self._now, trial=trial.id, failure=failure))
        fail_fast = self.limits.fail_fast
        if fail_fast is True:
            self._close("failed", f"a trial failed, and fail_fast is on: {failure.message} {failure.where}".rstrip())
        elif fail_fast == "auto" and not self.experiment.results and not self.experiment.counts[Status.COMPLETED]:
            self._alike.append(failure.signature)
            if len(self._alike) == ALIKE_FAILURES and len(set(self._alike)) == 1:
                place = f" at {failure.where}" if failure.where else ""
                message = f"the first {ALIKE_FAILURES} trials all failed alike: {failure.message}{place}"
                self._close("failed", message)

    def _drop_unneeded_checkpoints(self, trial: Trial) -> None:
        for checkpoint in retention.superseded(trial, self.limits.num_to_keep):
            self._drop(trial, checkpoint)
        if self.limits.checkpoint_bytes is not None:
            for other, checkpoint in retention.over_budget(self.experiment, self.limits.checkpoint_bytes):
                self._drop(other, checkpoint)

    def _drop(self, trial: Trial, checkpoint: str) -> None:
        is_shared = checkpoint in self.experiment.sharers
        self._emit(CheckpointDropped(at=self._now, trial=trial.id, checkpoint=checkpoint))
        if not is_shared:
            self._command(Discard(checkpoint))

    # Deadlines.

    def _set_deadline(self, due: float, trial: Trial, kind: str) -> None:
        heapq.heappush(self._deadlines, (due, trial.id, trial.attempt, kind))

    def _is_stale(self, deadline: tuple[float, int, int, str]) -> bool:
        _, number, attempt, kind = deadline
        if kind in ("budget", "stopper"):
            return self._closing is not None
        trial = self.experiment.trials[number]
        return not trial.is_live or trial.attempt != attempt

    def _overdue(self, due: float, trial: Trial, attempt: int, kind: str) -> None:
        if not trial.is_live or trial.attempt != attempt:
            return
        limits = self.limits
        if kind == "grace":
            self._command(Kill(trial.id, attempt, limits.kill_grace))
        elif trial.status not in (Status.RUNNING, Status.COMPLETED) or trial.id in self._kill_reasons:
            return  # What was told to stop has its grace; what completed by itself may take as long as the others.
        elif kind == "time_limit":
            if self._time_limits.get(trial.id) != due:
                return
            message = f"it ran for longer than the {limits.trial_time:g} s a trial may take"
            self._kill(trial, Failure(kind="time_limit", message=message))
        elif limits.report_timeout is not None:
            silent_until = trial.last_at + limits.report_timeout
            if silent_until > due:
                self._set_deadline(silent_until, trial, "hung")
                return
            message = f"it has not reported for {limits.report_timeout:g} s"
            self._kill(trial, Failure(kind="hung", message=message))


_RULES: dict[type[Event], Callable[[Core, Any], None]] = {
    ExperimentCreated: Core._created,
    SessionOpened: Core._session_opened,
    SpaceChanged: Core._space_changed,
    EarlierTrials: Core._earlier_trials,
    NodesChanged: Core._nodes_changed,
    Suggested: Core._suggested,
    SpaceExhausted: Core._space_exhausted,
    AttemptStarted: Core._attempt_started,
    Reported: Core._reported,
    AttemptEnded: Core._attempt_ended,
    StopRequested: Core._stop_requested,
}


def fold(events: Iterable[Event], experiment: Experiment, policies: Sequence[Policy] = ()) -> Experiment:
    """Apply a journal's events to `experiment` and let policies observe each, exactly as it happened live."""
    for event in events:
        experiment.apply(event)
        for policy in policies:
            policy.observe(event, experiment)
    return experiment

"""What must hold after each event and after each step, whatever happens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from ..core.commands import Discard, Halt, Kill, Proceed, Start, Suggest
from ..core.engine import Step
from ..core.events import (
    AttemptEnded,
    CheckpointDropped,
    Event,
    ExperimentFinished,
    NodesChanged,
    Reported,
    Result,
    SessionOpened,
    Suggested,
    TrialFailed,
    TrialLaunched,
)
from ..core.experiment import Experiment
from ..core.policy import Stopper
from ..core.trial import NEW_TRIAL, TRANSITIONS, Status, Trial

MOST_LOOKED_AT = 24
"""In experiments with more trials than so many not all of them are looked at after each event; its own always is."""
_ABOUT_ALL = (SessionOpened, Suggested, NodesChanged, ExperimentFinished)


class Invariants(Stopper):
    """Wraps a stopper, and looks at the experiment after each event: policies see each one as soon as it is applied."""

    def __init__(self, inner: Stopper, *, max_failures: int = 0) -> None:
        self.inner = inner
        self.max_failures = max_failures
        self.every_result = inner.every_result
        self.thresholds = inner.thresholds
        self.statuses: dict[int, Status] = {}
        self.attempts: dict[int, int] = {}
        self.ended: set[tuple[int, int]] = set()
        self.numbers: dict[tuple[int, int], int] = {}
        self.started: set[tuple[int, int]] = set()
        self.lowest = float("inf")
        self.torn: set[int] = set()
        self.steps: set[tuple[str, type[Event]]] = set()
        """(status before, event) of every step that a trial took."""
        self.is_finished = False
        self._seen = 0
        self.were_held: set[int] = set()
        self.discarded: set[str] = set()

    def stop_trial(self, result: Result, experiment: Experiment) -> str | None:
        """Ask the stopper."""
        return self.inner.stop_trial(result, experiment)

    def stop_experiment(self, experiment: Experiment) -> str | None:
        """Ask the stopper."""
        return self.inner.stop_experiment(experiment)

    def observe(self, event: Event, experiment: Experiment) -> None:
        """Check everything. `experiment` has just applied the event.

        Raises:
            AssertionError: Something does not hold.
        """
        self.inner.observe(event, experiment)
        assert not self.is_finished or isinstance(event, SessionOpened), f"{event} after the session's end"
        self.is_finished = isinstance(event, ExperimentFinished)
        self._check_attempts(event, experiment)
        self._seen += 1
        if type(event) in _ABOUT_ALL or self._seen % (1 + experiment.next_number // MOST_LOOKED_AT) == 0:
            self._check_trials(event, experiment.trials, experiment)
            self._check_counts(experiment)
            self._check_resources(experiment)
            self._check_checkpoints(experiment)
        else:
            trial = _trial_of(event)
            self._check_trials(event, [] if trial is None else experiment.trials[trial : trial + 1], experiment)

    def _check_checkpoints(self, experiment: Experiment) -> None:
        kept: Counter[str] = Counter()
        for trial in experiment.trials:
            kept.update(list(trial.checkpoints or ()))
            assert trial.checkpoint is None or trial.checkpoint in (trial.checkpoints or ())
        assert {name: count for name, count in kept.items() if count > 1} == experiment.sharers
        assert not self.discarded & set(kept), "a checkpoint that somebody keeps was deleted"
        sizes = {name: each.size for trial in experiment.trials for name, each in (trial.checkpoints or {}).items()}
        assert experiment.checkpoint_bytes == sum(sizes.values())

    def _check_trials(self, event: Event, trials: Iterable[Trial], experiment: Experiment) -> None:
        for trial in trials:
            before = self.statuses.get(trial.id)
            if before is None or _trial_of(event) == trial.id:
                self.steps.add((before or NEW_TRIAL, type(event)))
            if before is not None and before is not trial.status:
                assert _trial_of(event) == trial.id, f"{event} moved another trial"
                assert TRANSITIONS[before, type(event)] is trial.status
            self.statuses[trial.id] = trial.status
            assert trial.failures <= self.max_failures + 1
            assert (trial.id in experiment.paused) == (trial.status is Status.PAUSED)
            assert trial.id not in experiment.reallocated or trial.status is Status.PAUSED
            if trial.status is not Status.RUNNING:
                self.torn.discard(trial.id)
            elif not trial.is_live and isinstance(event, SessionOpened):
                self.torn.add(trial.id)  # the journal was cut between its attempt's end and what came of it
            elif not trial.is_live and trial.id not in self.torn:
                assert isinstance(event, AttemptEnded | CheckpointDropped), "it runs nowhere"
                assert _trial_of(event) == trial.id

    def _check_counts(self, experiment: Experiment) -> None:
        counts = Counter(trial.status for trial in experiment.trials)
        assert counts == Counter({status: count for status, count in experiment.counts.items() if count})
        if experiment.trials_wanted is not None and experiment.session == 1:
            assert experiment.next_number <= experiment.trials_wanted
        pending = {trial.id for trial in experiment.trials if trial.status is Status.PENDING}
        heads = [trial.id for trial in experiment.pending()]
        assert set(heads) <= pending
        assert bool(heads) == bool(pending)
        assert not pending or min(pending) == heads[0]

    def _check_resources(self, experiment: Experiment) -> None:
        alive = {trial.id: trial.placement for trial in experiment.trials if trial.placement is not None}
        held = {number: alive[number] for number in experiment.live}
        assert held == experiment.pool._held
        for number in set(alive) - set(held):  # its process stands still, or has just been told to end
            self.were_held.add(number)
            assert experiment.trials[number].status is not Status.RUNNING
        standing = {number for number in alive if experiment.trials[number].held}
        assert set(experiment.leaving) == set(alive) - set(held) - standing
        assert set(experiment.workers) <= set(alive)
        for node in experiment.pool.nodes:
            for name, total in node.resources.items():
                used = sum(place.on(node.name).get(name, 0) for place in held.values())
                assert used <= total + 1e-9, f"{node.name} gives {used} {name} and has {total}"

    def _check_attempts(self, event: Event, experiment: Experiment) -> None:
        match event:
            case TrialLaunched(trial=trial, attempt=attempt):
                before = self.attempts.get(trial, 0)
                assert attempt == before + 1
                assert before == 0 or (trial, before) in self.ended, "two attempts of one trial live"
                self.attempts[trial] = attempt
                self.numbers[trial, attempt] = experiment.trials[trial].number
            case Reported(trial=trial, attempt=attempt, number=number):
                assert self.attempts[trial] == attempt
                assert (trial, attempt) not in self.ended
                assert number > self.numbers[trial, attempt], "a result twice for one attempt"
                self.numbers[trial, attempt] = number
                if experiment.objective is not None:
                    self.lowest = min(self.lowest, experiment.objective.loss(event))
                assert experiment.best is None or experiment.best.best_loss == self.lowest
            case AttemptEnded(trial=trial, attempt=attempt):
                assert (trial, attempt) not in self.ended, "an attempt ended twice"
                self.ended.add((trial, attempt))
            case TrialFailed(trial=trial):
                assert experiment.trials[trial].failure is not None

    def check_step(self, step: Step, experiment: Experiment) -> None:
        """Check that a step's commands follow from its events and go only to attempts that live."""
        ended = {(event.trial, event.attempt) for event in step.events if isinstance(event, AttemptEnded)}
        launched = {(event.trial, event.attempt) for event in step.events if isinstance(event, TrialLaunched)}
        verdicts: dict[tuple[int, int], list[type]] = {}
        for command in step.commands:
            if isinstance(command, Suggest):
                assert command.count > 0
                continue
            if isinstance(command, Discard):
                owners = [trial for trial in experiment.trials if trial.checkpoints]
                assert all(command.checkpoint not in (trial.checkpoints or ()) for trial in owners)
                self.discarded.add(command.checkpoint)
                continue
            attempt = (command.trial, command.attempt)
            trial = experiment.trials[command.trial]
            assert attempt in ended or (trial.is_live and trial.attempt == command.attempt), f"{command} for the dead"
            if isinstance(command, Start):
                assert attempt in launched
                assert attempt not in self.started
                self.started.add(attempt)
                if command.checkpoint is not None:
                    made_at = int(command.checkpoint.rpartition("-")[2])
                    assert command.progress.number == made_at, "a checkpoint counted as another result's"
            elif isinstance(command, Kill):
                pass
            else:
                assert isinstance(command, Proceed | Halt)
                verdicts.setdefault(attempt, []).append(type(command))
        assert launched <= self.started
        for event in step.events:
            if isinstance(event, Reported) and event.waits and (event.trial, event.attempt) not in ended:
                given = verdicts.get((event.trial, event.attempt), [])
                was_told = self.statuses[event.trial] is not Status.RUNNING  # it was asked to end before
                assert given in ([Proceed], [Halt], [Proceed, Halt]) or was_told, f"{event}: {given}"
        for given in verdicts.values():
            assert given.count(Proceed) <= 1


def _trial_of(event: Event) -> int | None:
    return getattr(event, "trial", None)

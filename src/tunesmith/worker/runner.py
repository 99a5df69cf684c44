"""Runs one attempt: the user's function or class from its first line to its end, whatever that end is.

This is the edge of user code: every exception ends here, and becomes words in `Ended`.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointUnreadable, TuneError
from . import functions, manifest, trainable
from .failure import Diagnosis, RankFailed, diagnosed
from .keeping import NOTHING
from .protocol import Assignment, Channel, Ended
from .seeds import set_seeds
from .session import Session, TrialHalted, active
from .trainable import Trainable

if TYPE_CHECKING:
    from .depot import Address
    from .transfer import Elsewhere

ERROR_FILE = "error.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJob:
    """What all attempts of one experiment's session share, as far as a worker needs it. See `executors.base.Job`."""

    trainable: Callable[..., Any]
    experiment: str
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    objects: Mapping[str, Any] = field(default_factory=dict)
    time_attr: str = "training_iteration"
    thresholds: Mapping[str, float] = field(default_factory=dict)
    metric: str | None = None
    more_metrics: tuple[str, ...] = ()
    storage: str = ""
    """The URL under which checkpoints are kept; "": in the experiment's folder."""
    depot: Address | None = None
    """Where that folder is reached, if it is not one of this machine."""
    checkpoint_freq: int = 0
    checkpoint_at_end: bool = False
    saves_when_waiting: bool = False
    order: int = signal.SIGTERM
    """What tells a process of an attempt to end."""


def run_attempt(job: WorkerJob, assignment: Assignment, channel: Channel) -> Ended:
    """Run one attempt to its end and return how it ended. Never raises for an error of the user's code."""
    runner = Runner(job)
    try:
        return runner.run(assignment, channel)
    finally:
        runner.close()


class Runner:
    """Runs attempts of one job, one after another.

    A class trainable's object is kept from one attempt to the next, where its `reset_config` agrees.
    """

    def __init__(self, job: WorkerJob) -> None:
        self.job = job
        self._kept: Trainable | None = None
        self._reporter_position: str | None = None
        self._remote: Elsewhere | None = None
        if job.storage:
            from ..remote import RemoteFolder  # only where it is needed

            self._remote = RemoteFolder(job.storage)
        elif job.depot is not None:
            from .depot import DriverFolder  # likewise

            self._remote = DriverFolder(job.depot)

    def run(self, assignment: Assignment, channel: Channel) -> Ended:
        """Run an attempt; return how it ended."""
        try:
            return self.run_interruptibly(assignment, channel)
        except KeyboardInterrupt as error:
            return self._failed(assignment, diagnosed(error))

    def run_interruptibly(self, assignment: Assignment, channel: Channel) -> Ended:
        """Run an attempt; return how it ended.

        Raises:
            KeyboardInterrupt: A person interrupted this very process.
        """
        job, session = self.job, Session(self.job, assignment, channel, self._remote)
        try:
            session.keeping.fetch()
            _check_checkpoint(session)
            set_seeds(job.seed, assignment.trial, assignment.attempt)
            config = with_objects(assignment.config, job.objects)
            with active(session):
                if isinstance(job.trainable, type) and issubclass(job.trainable, Trainable):
                    saved = self._run_class(job.trainable, config, session)
                else:
                    self._run_function(config, session)
                    saved = None
            stored = NOTHING if saved is None else session.keeping.store(saved, session.number)
        except KeyboardInterrupt:
            self.close()
            raise
        except BaseException as error:  # noqa: BLE001  the edge of user code
            self.close()
            return self._ended_by(error, session)
        finally:
            session.keeping.release()
        return Ended(
            assignment.trial,
            assignment.attempt,
            session.ending or "done",
            checkpoint=stored.reference,
            checkpoint_bytes=stored.size,
            checkpoint_failure=stored.failure,
        )

    def close(self) -> None:
        """Free the kept object. The runner may be used again."""
        kept, self._kept = self._kept, None
        if kept is not None:
            with _told_on_stderr():
                kept.cleanup()

    def _run_function(self, config: dict[str, Any], session: Session) -> None:
        function, parameters = self.job.trainable, self.job.parameters
        if self._reporter_position is None:
            self._reporter_position = functions.reporter_position(function, parameters)
        functions.call(function, self._reporter_position, config, parameters, session)

    def _run_class(self, kind: type[Trainable], config: dict[str, Any], session: Session) -> str | None:
        """Train until the halt; return the checkpoint that was saved after the last report."""
        job = self.job
        instance = self._kept = self._instance(kind, config, session)
        if session.checkpoint is not None:
            trainable.load(instance, Path(session.checkpoint))
        try:
            trainable.train(
                instance,
                session,
                checkpoint_freq=job.checkpoint_freq,
                checkpoint_at_end=job.checkpoint_at_end,
                saves_when_waiting=job.saves_when_waiting and trainable.can_save(kind),
            )
        except TrialHalted:
            if not session.ending:
                raise  # a kill, which gives no time to save
        wanted = session.saves_at_end or job.checkpoint_at_end
        if wanted and trainable.can_save(kind) and session.checkpoint_number != session.number:
            with _told_on_stderr():
                return trainable.save(instance, session, session.number)
        return None

    def _instance(self, kind: type[Trainable], config: dict[str, Any], session: Session) -> Trainable:
        """Return an object set up for `config`: the kept one if it agrees, else a new one."""
        job, kept = self.job, self._kept
        if kept is not None:
            _introduce(kept, config, session)
            if kept.reset_config(config):
                return kept
            self.close()
        trainable.check_class(kind, saves=job.checkpoint_freq > 0 or job.checkpoint_at_end)
        instance = kind()
        _introduce(instance, config, session)
        instance.setup(config, **job.parameters)
        return instance

    def _ended_by(self, error: BaseException, session: Session) -> Ended:
        assignment = session.assignment
        if isinstance(error, TrialHalted):
            return Ended(assignment.trial, assignment.attempt, session.ending or "halted")
        if session.ending:
            # It has been told to end; how its clean-up fares does not change what it was.
            traceback.print_exception(error)
            return Ended(assignment.trial, assignment.attempt, session.ending)
        if isinstance(error, TrialHalted):
            # Not from `report`: whoever runs this process ends the attempt by force.
            return Ended(assignment.trial, assignment.attempt, "halted")
        if isinstance(error, SystemExit) and not error.code:
            return Ended(assignment.trial, assignment.attempt, "done")
        damage = "" if isinstance(error, CheckpointUnreadable) else _damage_behind(error, session)
        if damage:
            error = CheckpointUnreadable(damage).with_traceback(error.__traceback__)
        if isinstance(error, RankFailed):
            return self._failed(assignment, error.diagnosis)
        kind = "checkpoint" if isinstance(error, CheckpointUnreadable) else ""
        return self._failed(assignment, diagnosed(error, kind=kind, defined_at=functions.place_of(self.job.trainable)))

    def _failed(self, assignment: Assignment, found: Diagnosis) -> Ended:
        path = Path(assignment.experiment_folder, assignment.trial_folder, ERROR_FILE)
        heading = f"trial {assignment.trial}, attempt {assignment.attempt}, {found.kind}: {found.message}\n"
        with contextlib.suppress(OSError):  # a full disk must not hide what happened
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(heading + found.traceback, encoding="utf-8")
        return Ended(
            assignment.trial,
            assignment.attempt,
            "failed",
            kind=found.kind,
            message=found.message,
            where=found.where,
            traceback=found.traceback,
        )


def with_objects(value: Any, objects: Mapping[str, Any]) -> Any:
    """Return a deep copy of a config's JSON values in which each `{"$object": id}` is the object that it stands for.

    Raises:
        TuneError: There is no such object.
    """
    if isinstance(value, dict):
        if len(value) == 1 and "$object" in value:
            try:
                return objects[value["$object"]]
            except KeyError:
                raise TuneError(
                    f"the config names the object {value['$object']!r}, which this session does not have. "
                    "Was the search space changed between two sessions?"
                ) from None
        return {key: with_objects(item, objects) for key, item in value.items()}
    if isinstance(value, list):
        return [with_objects(item, objects) for item in value]
    return value


def _check_checkpoint(session: Session) -> None:
    """Raise `CheckpointUnreadable` when what the attempt starts from is plainly not whole."""
    checkpoint, folder = session.checkpoint, session.keeping.start_container
    if checkpoint is None or folder is None:
        return
    found = manifest.fault(folder)
    if not found and not Path(checkpoint).exists():
        found = "it is not there any more"
    if found:
        raise CheckpointUnreadable(f"the checkpoint {session.assignment.checkpoint} cannot be read: {found}")


def _damage_behind(error: BaseException, session: Session) -> str:
    """Return what is wrong with the checkpoint of an attempt that failed before it reported; "" when it is whole."""
    folder = session.keeping.start_container
    if folder is None or session.number != session.assignment.number or not isinstance(error, Exception):
        return ""
    # Only now: reading all of it before each start would take as long as writing it did.
    found = manifest.fault(folder, contents=True)
    if not found:
        return ""
    return f"the checkpoint {session.assignment.checkpoint} cannot be read: {found} ({type(error).__name__}: {error})"


def _introduce(instance: Trainable, config: dict[str, Any], session: Session) -> None:
    context = instance._context = session.context
    vars(instance).pop("logdir", None)
    instance.config = config
    instance.iteration = session.number
    instance.trial_id = context.get_trial_id()
    instance.trial_name = context.trial_name
    instance.trial_resources = context.resources


@contextlib.contextmanager
def _told_on_stderr() -> Iterator[None]:
    """Print what goes wrong in user code whose failure changes nothing any more."""
    try:
        yield
    except (Exception, SystemExit, TrialHalted):  # noqa: BLE001  the edge of user code
        traceback.print_exc(file=sys.stderr)

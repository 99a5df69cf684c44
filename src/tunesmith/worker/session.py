"""The user's side of a running attempt: `report`, `get_checkpoint`, `get_context`.

A session numbers the results, counts the trial's time, and stands still where the lease says so. It decides nothing.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from ..errors import ReportError, TuneError
from ..layout import checkpoint_folder
from .checkpoint import Checkpoint, commit
from .keeping import Keeping
from .metrics import NUMBER_KINDS, normalised
from .protocol import Assignment, Channel, End, Go, Report

if TYPE_CHECKING:
    from .runner import WorkerJob
    from .transfer import Elsewhere

COUNTED_BY_US = ("training_iteration", "time_total_s", "trial_id")
"""Fields of every result that a report cannot set."""
Save = Callable[[int], str]
"""Saves the trial as the checkpoint of the result with that number; returns its reference."""
_ACCUMULATED = (("timesteps_this_iter", "timesteps_total"), ("episodes_this_iter", "episodes_total"))


class TrialHalted(BaseException):
    """Raised inside `report` when the trial is to end now. Not an error: let it pass; `finally` blocks run."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """One bundle of what a trial holds."""

    node: str
    resources: dict[str, float]
    gpus: tuple[str, ...] = ()
    """Its GPUs as CUDA_VISIBLE_DEVICES takes them, where they are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Which trial this is, and what it was given."""

    trial_id: int
    trial_name: str
    experiment: str
    resources: dict[str, float]
    """What it holds where it runs: for a trial of several bundles, the first."""
    attempt: int
    """1 for the first try, one more for each retry, resume or exploit."""
    node: str
    bundles: tuple[Bundle, ...] = ()
    """All that the trial holds, in the order in which it asked for it; it runs where the first one is, on `node`."""
    _folder: Path

    @property
    def trial_folder(self) -> Path:
        """The trial's own folder. It is made when it is first asked for, and files written there stay."""
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder

    def get_trial_id(self) -> str:
        """Return the trial's number as text."""
        return str(self.trial_id)

    def get_trial_name(self) -> str:
        """Return the experiment's name with the trial's number."""
        return self.trial_name

    def get_trial_dir(self) -> str:
        """Return the path of the trial's own folder."""
        return str(self.trial_folder)

    def get_trial_resources(self) -> dict[str, float]:
        """Return what the trial holds, e.g. `{"cpu": 1}`."""
        return self.resources

    def get_experiment_name(self) -> str:
        """Return the experiment's name."""
        return self.experiment


class Session:
    """One running attempt as its user's code sees it.

    Reports may come from any thread of the process; they are taken one at a time.
    """

    def __init__(
        self, job: WorkerJob, assignment: Assignment, channel: Channel, remote: Elsewhere | None = None
    ) -> None:
        self.job = job
        self.assignment = assignment
        self.channel = channel
        self.experiment = job.experiment
        self.metric = job.metric
        self._more_metrics = job.more_metrics
        self.time_attr = job.time_attr
        self.thresholds = tuple(job.thresholds.items())
        self._folder = os.path.abspath(assignment.experiment_folder)  # noqa: PTH100  user code may change directory
        self.keeping = Keeping(Path(self._folder), assignment, remote)
        """Where its checkpoints are kept."""
        self.until = assignment.until
        self.number = assignment.number
        self.totals = {
            "timesteps_total": _whole(assignment.timesteps),
            "episodes_total": _whole(assignment.episodes),
        }
        self.ending = ""
        """How the attempt is to end, once `report` has raised TrialHalted: "halted" or "done"."""
        self.saves_at_end = False
        """Whether the halt asked for a checkpoint."""
        self.checkpoint_number = assignment.number if assignment.checkpoint is not None else -1
        """The number of the newest result that has a checkpoint; -1 without any."""
        self._zero = monotonic() - assignment.elapsed
        """When the trial would have begun, had it run without a break."""
        self._warned = False
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """The experiment's folder."""
        return Path(self._folder)

    @property
    def trial_folder(self) -> Path:
        """The trial's folder, which may not be there yet."""
        return Path(self._folder, self.assignment.trial_folder)

    @property
    def context(self) -> Context:
        """What `get_context` gives."""
        assignment = self.assignment
        return Context(
            trial_id=assignment.trial,
            trial_name=f"{self.experiment}_{assignment.trial:05d}",
            experiment=self.experiment,
            resources=dict(assignment.shares_here[0].resources),
            attempt=assignment.attempt,
            node=assignment.at or assignment.node,
            bundles=(
                Bundle(assignment.node, dict(assignment.resources), assignment.gpus),
                *(Bundle(share.node, dict(share.resources), share.gpus) for share in assignment.more),
            ),
            _folder=self.trial_folder,
        )

    @property
    def checkpoint(self) -> Checkpoint | None:
        """What the attempt starts from."""
        return self.keeping.start

    def checkpoint_folder(self, number: int) -> str:
        """Return the reference for the checkpoint of result `number`."""
        return checkpoint_folder(self.assignment.trial, self.assignment.attempt, number)

    def report(
        self, metrics: Any, checkpoint: Any = None, *, saved: str | None = None, save: Save | None = None
    ) -> None:
        """Send one result, and wait for a verdict where the lease ends.

        Args:
            metrics: See `metrics.normalised`.
            checkpoint: A path to copy and keep with the result.
            saved: The reference of a checkpoint that lies in its place already.
            save: Makes such a checkpoint of the result with the given number, should one be needed.

        Raises:
            TrialHalted: The attempt is to end now.
            ReportError: The report cannot be recorded; nothing has been sent.
        """
        if self.assignment.rank:
            self._look_for_a_verdict()
            return
        with self._lock:
            if self.ending:
                raise TrialHalted
            flat = normalised(metrics, self.metric, *self._more_metrics)
            if "training_iteration" in flat or "time_total_s" in flat or "trial_id" in flat:
                self._drop_fields_counted_by_us(flat)
            if "timesteps_this_iter" in flat or "episodes_this_iter" in flat:
                self._add_totals(flat)
            number = self.number + 1
            elapsed = monotonic() - self._zero
            done = "done" in flat and bool(flat["done"])
            waits = self._reaches_the_lease(flat, number, elapsed) and not done
            if checkpoint is not None:
                saved = commit(checkpoint, self.folder, self.checkpoint_folder(number))
            elif waits and saved is None and save is not None:
                saved = save(number)
            if "timesteps_total" in flat or "episodes_total" in flat:
                self._keep_totals(flat)
            self.number = number
            assignment = self.assignment
            trial, attempt = assignment.trial, assignment.attempt
            if saved is None:
                self.channel.send(Report(trial, attempt, number, flat, elapsed, None, waits))
            else:
                stored = self.keeping.store(saved, number)
                if stored.reference is not None:
                    self.checkpoint_number = number
                came_of_it = stored.reference, waits, stored.size, stored.failure
                self.channel.send(Report(trial, attempt, number, flat, elapsed, *came_of_it))
            if done:
                self.ending = "done"
                raise TrialHalted
            if waits:
                self._wait()
            else:
                self._look_for_a_verdict()

    def _reaches_the_lease(self, flat: dict[str, Any], number: int, elapsed: float) -> bool:
        if self.time_attr == "training_iteration":
            reached = number >= self.until
        elif self.time_attr == "time_total_s":
            reached = elapsed >= self.until
        else:
            # Written so that nan waits: whoever holds the lease decides what to make of it.
            reached = not self._time_of(flat) < self.until
        if not reached and self.thresholds:
            for name, value in self.thresholds:
                found = _field(name, flat, number, elapsed)
                if isinstance(found, NUMBER_KINDS) and found >= value:
                    return True
        return reached

    def _time_of(self, flat: dict[str, Any]) -> float:
        value = flat.get(self.time_attr)
        if isinstance(value, NUMBER_KINDS):
            return value
        if value is None:
            said = f"it holds {', '.join(sorted(flat))}" if flat else "it holds no metrics"
            raise ReportError(
                f"the scheduler counts {self.time_attr!r}, which this report lacks: {said}. "
                f"Report {self.time_attr!r} each time, or give the scheduler time_attr='training_iteration'."
            )
        raise ReportError(f"the scheduler counts {self.time_attr!r}, which must be a number; it is {value!r}.")

    def _wait(self) -> None:
        began = monotonic()
        verdict = self.channel.receive(block=True)
        self._zero += monotonic() - began  # the trial did not train meanwhile
        self._obey(verdict)

    def _look_for_a_verdict(self) -> None:
        while (verdict := self.channel.receive(block=False)) is not None:
            self._obey(verdict)

    def _obey(self, verdict: Go | End | None) -> None:
        match verdict:
            case Go():
                self.until = verdict.until
            case End():
                self.ending = "halted"
                self.saves_at_end = verdict.save
                raise TrialHalted

    def _drop_fields_counted_by_us(self, flat: dict[str, Any]) -> None:
        ours: dict[str, Any] = {
            "training_iteration": self.number + 1,
            "time_total_s": monotonic() - self._zero,
            "trial_id": self.assignment.trial,
        }
        for name in COUNTED_BY_US:
            if name in flat and flat.pop(name) != ours[name] and not self._warned:
                self._warned = True
                warnings.warn(
                    f"{name!r} is counted by Tunesmith and replaced in each result. Report yours under another name.",
                    stacklevel=4,
                )

    def _add_totals(self, flat: dict[str, Any]) -> None:
        for step, total in _ACCUMULATED:
            value = flat.get(step)
            if total not in flat and isinstance(value, NUMBER_KINDS):
                flat[total] = self.totals[total] + value

    def _keep_totals(self, flat: dict[str, Any]) -> None:
        for total in self.totals:
            value = flat.get(total)
            if isinstance(value, NUMBER_KINDS):
                self.totals[total] = value


class Reporter:
    """The second argument of a function of `(config, reporter)`: `reporter(mean_accuracy=0.9, done=False)`."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def __call__(self, metrics: Mapping[str, Any] | None = None, *, checkpoint: Any = None, **more: Any) -> None:
        """Report one result; the same as `tune.report`."""
        self._session.report(_merged(metrics, more), checkpoint)

    @property
    def logdir(self) -> str:
        """The path of the trial's own folder."""
        return self._session.context.get_trial_dir()


# The one piece of state of this module: which attempt runs in this process. User code calls `tune.report` from
# anywhere, without an argument that could carry it, and a process runs one attempt at a time.
_active: Session | None = None


@contextmanager
def active(session: Session) -> Iterator[None]:
    """Make `session` what `report` speaks for, until the block ends."""
    global _active
    outer, _active = _active, session
    try:
        yield
    finally:
        _active = outer


def _forget() -> None:
    # A child that user code forks (a data loader, a pool) shares the trial's channel; two writers would tear it.
    global _active
    _active = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def report(metrics: Mapping[str, Any] | None = None, *, checkpoint: Any = None, **more: Any) -> None:
    """Report one result of the running trial: `tune.report({"accuracy": 0.9}, checkpoint=folder)`.

    Args:
        metrics: Names and values: numbers, text, lists; nested dicts are flattened ("val/accuracy"). An entry
            `done=True` ends the trial after this result.
        checkpoint: A file or directory, which is copied before this call returns; `get_checkpoint` gives it back when
            the trial is started again.
        more: Further metrics, by keyword.

    Raises:
        TuneError: No trial runs in this process.
        ReportError: The report cannot be recorded; the message names the metric and what to do.
    """
    running("report").report(metrics if metrics is not None and not more else _merged(metrics, more), checkpoint)


def get_checkpoint() -> Checkpoint | None:
    """Return what the trial last reported as its checkpoint before it was started again; None at its first start.

    Raises:
        TuneError: No trial runs in this process.
    """
    return running("get_checkpoint").checkpoint


def get_context() -> Context:
    """Return the running trial's id, name, folder, resources and experiment.

    Raises:
        TuneError: No trial runs in this process.
    """
    return running("get_context").context


def running(function: str) -> Session:
    """Return the attempt that runs in this process, for `tune.<function>`.

    Raises:
        TuneError: None does.
    """
    if _active is None:
        raise TuneError(
            f"tune.{function}() was called outside a trial (or in a child process of one). "
            "It works in a function that tune.run() runs; to debug one in this very process, "
            "use tune.run(..., executor='inline')."
        )
    return _active


def _merged(metrics: Mapping[str, Any] | None, more: dict[str, Any]) -> Any:
    if metrics is None:
        return more
    if not more or not isinstance(metrics, Mapping):
        return metrics
    twice = sorted(name for name in more if name in metrics)
    if twice:
        raise ReportError(f"metric {twice[0]!r} is given twice: in the dict and by keyword. Give it once.")
    return {**metrics, **more}


def _field(name: str, flat: dict[str, Any], number: int, elapsed: float) -> Any:
    """Return a metric or automatic field, with the same names as `core.events.Reported.value`."""
    found = flat.get(name)
    if found is not None:
        return found
    match name:
        case "training_iteration":
            return number
        case "time_total_s":
            return elapsed
        case "neg_mean_loss":
            loss = flat.get("mean_loss")
            return -loss if isinstance(loss, NUMBER_KINDS) else None
    return None


def _whole(value: float) -> float:
    """Return `value` as an int where it is one, so that counts of steps stay whole numbers."""
    return int(value) if value == value and abs(value) < 2**53 and value == int(value) else value

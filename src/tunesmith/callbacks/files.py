"""The files beside the journal that other tools read: each trial's params.json, result.json, progress.csv, error.txt.

They are made from events, and losing them loses nothing: `trial_folder.rebuild_files` makes them again. A trial's
files are whole up to the time in `trials/.written`; at a resume, and after a write that failed, a trial that has
changed since gets them anew from the journal. So no line is ever missing, doubled or half.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic

from ..core.events import (
    AttemptEnded,
    AttemptStarted,
    CheckpointDropped,
    Event,
    Failure,
    Reported,
    SessionOpened,
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
from ..core.experiment import Experiment
from ..core.results import Lineage
from ..core.trial import Trial
from ..store.reader import JournalReader
from .base import Callback, Run
from .rows import Batch, Lines
from .trial_folder import (
    columns_in,
    error_text,
    mark_written,
    params_text,
    replayed,
    rewrite,
    write_all,
    written_until,
)

MOST_HELD = 2_000
"""So many results wait in memory at most; then they are written before more are taken. Of thousands of trials it is
`WORTH_OPENING` of each, for opening a file costs more than a line in it."""
WORTH_OPENING = 5
REST = 9.0
"""Between two looks at what there is to write the writer rests for so many times as long as it has written."""
_OF_A_TRIAL: frozenset[type[Event]] = frozenset(
    (
        AttemptEnded,
        AttemptStarted,
        CheckpointDropped,
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
)


class TrialFiles(Callback):
    """Writes each trial's files."""

    def __init__(self) -> None:
        self._trials: dict[int, Lines] = {}
        self._touched: dict[int, None] = {}
        self._params: dict[int, bytes] = {}
        self._errors: dict[int, bytes] = {}
        self._behind: dict[int, None] = {}
        """Trials whose files could not be written; they get them anew from the journal."""
        self._held = 0
        self._flush_at = 0.0
        self._zero = 0.0
        self._is_told = False
        self._writer: ThreadPoolExecutor | None = None
        self._writing: Future[dict[int, OSError]] | None = None

    def open(self, run: Run, experiment: Experiment) -> None:
        """Make the files whole that an earlier session left behind."""
        self._run = run
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trial-files")
        written = written_until(run.folder)
        if written > experiment.at:
            # A result is in the journal before it is in a file.
            self._say(
                f"the journal ends at {experiment.at:.1f} s, though it was seen up to {written:.1f} s: the end of its "
                "log is lost (a power failure? damage?). It goes on from there, and what came after is done again."
            )
            written = 0.0
        self._behind = {
            trial.id: None
            for trial in experiment.trials
            if trial.last_at >= written and (trial.attempt or trial.failure is not None)
        }
        self._catch_up(experiment)

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Turn the events into lines."""
        trials = self._trials
        for event in events:
            kind = type(event)
            if kind is Reported:
                self._held += 1
            elif kind is SessionOpened:
                self._zero = event.started - event.at  # type: ignore[attr-defined]
                continue
            elif kind not in _OF_A_TRIAL:
                continue
            number: int = event.trial  # type: ignore[attr-defined]
            self._touched[number] = None
            lines = trials.get(number)
            if lines is None:
                lines = trials[number] = self._lines_of(experiment.trials[number])
            lines.take(event, self._zero)
            if kind is not Reported:
                self._take_rest(event, experiment)
        if self._held >= MOST_HELD and self._held >= WORTH_OPENING * len(self._touched):
            self._hand_over(experiment, only_final=True)

    def flush(self, experiment: Experiment) -> None:
        """Hand over to the writer what there is, unless it is still busy, or has been for long."""
        if (self._writing is None or self._writing.done()) and monotonic() >= self._flush_at:
            self._hand_over(experiment)

    def close(self, experiment: Experiment) -> None:
        """Write everything; say so if the disk would not have it."""
        self._hand_over(experiment)
        self._join()
        self._catch_up(experiment)
        if self._writer is not None:
            self._writer.shutdown()
        if self._behind:
            self._say(
                f"the files of {len(self._behind)} trials are not whole. The journal has everything; "
                f"once there is room, `tunesmith repair {self._run.folder}` writes them anew."
            )
        elif self._writer is not None:
            mark_written(self._run.folder, experiment.at)

    def _lines_of(self, trial: Trial) -> Lines:
        kept = {name: (each.number, each.elapsed) for name, each in (trial.checkpoints or {}).items()}
        columns: list[str] | None = None
        if trial.results or trial.attempt > 1:
            self._join()  # the header may be on its way
            columns = columns_in(self._run.folder, trial.id)
        return Lines(Lineage(self._run.name, trial.id, kept), columns)

    def _take_rest(self, event: Event, experiment: Experiment) -> None:
        match event:
            case TrialLaunched(trial=number, attempt=1) | TrialExploited(trial=number):
                self._params[number] = params_text(experiment.trials[number].config, self._run.resolve)
            case TrialFailed(failure=failure) | TrialRequeued(failure=Failure() as failure):
                number = event.trial
                text = error_text(experiment.trials[number].attempt, failure, self._zero + event.at)
                self._errors[number] = self._errors.get(number, b"") + text

    def _hand_over(self, experiment: Experiment, *, only_final: bool = False) -> None:
        """Give all lines to the writer; with `only_final`, without those of results that may be the last."""
        self._join()
        self._catch_up(experiment)
        batches = [batch for number in self._touched if (batch := self._batch(experiment.trials[number], only_final))]
        self._touched = {}
        self._held = 0
        if batches and self._writer is not None:
            at = None if self._behind or only_final else experiment.at
            self._writing = self._writer.submit(self._write, batches, at)

    def _write(self, batches: list[Batch], at: float | None) -> dict[int, OSError]:
        began = monotonic()
        failed = write_all(self._run.folder, batches, at)
        self._flush_at = monotonic() + REST * (monotonic() - began)
        return failed

    def _batch(self, trial: Trial, only_final: bool) -> Batch | None:
        number, is_final = trial.id, trial.status.is_final
        lines = self._trials[number]
        if is_final or not only_final:
            lines.release(done=is_final)
        batch = lines.batch(self._params.pop(number, b""), self._errors.pop(number, b""))
        if is_final and not trial.is_live:
            del self._trials[number]
        return None if batch.is_empty or number in self._behind else batch

    def _join(self) -> None:
        """Wait for the writer."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            failed = writing.result()
            self._behind.update(dict.fromkeys(failed))
            for error in failed.values():
                self._tell(error)

    def _catch_up(self, experiment: Experiment) -> None:
        """Write the files of trials that are behind from the journal, which holds all that was handled."""
        if not self._behind:
            return
        with JournalReader(self._run.folder) as reader:
            opened = reader.sessions()
            for number in list(self._behind):
                trial = experiment.trials[number]
                params = params_text(trial.config, self._run.resolve)
                lines, errors = replayed(reader.trial_events(number), opened, self._run.name, number)
                try:
                    rewrite(self._run.folder, lines, params, errors, done=trial.status.is_final)
                except OSError as error:
                    self._tell(error)
                    return
                self._trials[number] = lines
                self._touched[number] = None  # so that a trial that is over is forgotten
                self._params.pop(number, None)
                self._errors.pop(number, None)
                del self._behind[number]

    def _tell(self, error: OSError) -> None:
        if not self._is_told:
            self._is_told = True
            self._say(f"cannot write the trials' files ({error}). The journal has everything; this is tried again.")

    def _say(self, message: str) -> None:
        print(f"tunesmith: {message}", file=sys.stderr, flush=True)

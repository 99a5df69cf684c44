"""One trial as its user reads it afterwards. A look at one moment: ask the `Results` again to see what came since."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from ..core.events import Config, Failure, Reported
from ..core.trial import Status
from ..errors import require
from ..layout import trial_folder
from ..remote import RemoteFolder, joined
from ..store.reader import JournalReader
from ..store.remote import remote_url
from ..store.results import history
from ..store.summary import TrialRow
from ..text import described, flat, shown
from ..worker.checkpoint import Checkpoint
from ..worker.transfer import fetched


class TrialResult:
    """What became of one trial.

    Attributes:
        id: The trial's number, from 0.
        status: pending, running, paused, stopped (early), completed, or failed.
        reason: Why it was stopped, paused, queued again or failed, in words.
        error: Its newest failure; None when nothing ever went wrong.
        attempts: How many times it was started.
        elapsed: Seconds that it has trained.
        folder: Where its files are: params.json, result.json, progress.csv, stdout and stderr.
    """

    def __init__(self, experiment: Path, name: str, row: TrialRow, resolve: Callable[[Config], Config]) -> None:
        self._experiment = experiment
        self._experiment_name = name
        self._row = row
        self._resolve = resolve
        self.id = row.id
        self.status: Status = row.status
        self.reason = row.reason
        self.error: Failure | None = row.failure
        self.attempts = row.attempt
        self.elapsed = row.elapsed
        self.folder = experiment / trial_folder(row.id)

    @property
    def name(self) -> str:
        """The experiment's name with the trial's number."""
        return f"{self._experiment_name}_{self.id:05d}"

    @cached_property
    def config(self) -> dict[str, Any]:
        """What the trial tried."""
        return self._resolve(self._row.config)

    @property
    def metrics(self) -> dict[str, Any]:
        """Its best result, automatic fields included; without an objective its last one; {} while it has none."""
        return self._row_of(self._row.best or self._row.last)

    @property
    def last_metrics(self) -> dict[str, Any]:
        """Its last result, automatic fields included; {} while it has none."""
        return self._row_of(self._row.last)

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Its best kept checkpoint, else its last; None when it has none. One under a URL is downloaded first."""
        reference, url = self._row.best_checkpoint or self._row.checkpoint, remote_url(self._experiment)
        if reference is None:
            return None
        return Checkpoint(
            self._experiment / reference if url is None else fetched(RemoteFolder(url), self._experiment, reference)
        )

    @property
    def checkpoint_location(self) -> str | None:
        """Where that checkpoint lies: a path, or a URL."""
        reference = self._row.best_checkpoint or self._row.checkpoint
        if reference is None:
            return None
        return joined(remote_url(self._experiment) or str(self._experiment), reference)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """One dict per result, automatic fields included; what a restart has redone counts once."""
        with JournalReader(self._experiment) as reader:
            return history(
                reader, self.id, reader.sessions(), experiment=self._experiment_name, done=self.status.is_final
            )

    def _row_of(self, result: Reported | None) -> dict[str, Any]:
        if result is None:
            return {}
        # A superseded result may be the best one: it was reached, and its checkpoint may be there.
        with JournalReader(self._experiment) as reader:
            rows = history(
                reader,
                self.id,
                reader.sessions(),
                experiment=self._experiment_name,
                done=self.status.is_final,
                only=(result.attempt, result.number),
            )
        return rows[0]

    # The same in Ray Tune's words.

    @property
    def trial_id(self) -> str:
        """The trial's number as text."""
        return str(self.id)

    @property
    def last_result(self) -> dict[str, Any]:
        """See `last_metrics`."""
        return self.last_metrics

    @property
    def path(self) -> str:
        """See `folder`."""
        return str(self.folder)

    logdir = path

    @property
    def metrics_dataframe(self) -> Any:
        """Its history as a pandas DataFrame."""
        pandas = require("pandas", feature="a data frame", extra="pandas")
        return pandas.DataFrame(self.history)

    def __repr__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"<trial {self.id} {self.status}{reason}: {described(self.config)}; {self._row.results} results>"

    def _repr_html_(self) -> str:
        rows = [("trial", self.id), ("status", f"{self.status} {self.reason}"), *flat(self.config).items()]
        cells = "".join(
            f"<tr><th>{html.escape(str(name))}</th><td>{html.escape(shown(value))}</td></tr>" for name, value in rows
        )
        return f"<table>{cells}</table>"

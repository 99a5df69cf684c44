"""The displays: a live screen on a terminal, plain lines elsewhere, a table in a notebook. All draw `view`'s words."""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Sequence
from typing import Any

from ..core.events import Event, Reported, TrialFailed, TrialRequeued
from ..core.experiment import Experiment
from ..text import duration
from .base import Callback, Run
from .view import Snapshot, View, announcements, failure_line, summary_lines

COLOURS = {
    "running": "cyan",
    "pending": "dim",
    "paused": "yellow",
    "completed": "green",
    "stopped": "blue",
    "failed": "red",
}
SHOWN_FAILURES = 5
STATUS_LINE_EVERY = 30.0
"""Seconds between two status lines where nothing can be redrawn."""


def console(verbose: int) -> list[Callback]:
    """Return the display for where this process writes to; none when `verbose` is 0."""
    if verbose <= 0:
        return []
    if _in_notebook():
        return [NotebookDisplay()]
    if sys.stderr.isatty():
        return [LiveDisplay()]
    return [PlainDisplay()]


class Display(Callback):
    """What the displays share: a view, and the newest failure."""

    view: View

    def open(self, run: Run, experiment: Experiment) -> None:
        """Begin to watch."""
        self.view = View(run, experiment)

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Remember what is worth a line."""
        for event in events:
            if isinstance(event, TrialFailed) or (isinstance(event, TrialRequeued) and event.failure is not None):
                assert event.failure is not None
                self.view.last_failure = (event.trial, event.failure)


class LiveDisplay(Display):
    """One screen on a terminal, redrawn in place; what scrolls away is only the summary at the end."""

    def open(self, run: Run, experiment: Experiment) -> None:
        """Begin to draw."""
        super().open(run, experiment)
        from rich.console import Console
        from rich.live import Live

        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Print above the screen what is said once."""
        super().handle(events, experiment)
        for line in announcements(events):
            self.note(line)

    def note(self, text: str) -> None:
        """Print it above the screen."""
        self._live.console.print(text, highlight=False, markup=False)

    def flush(self, experiment: Experiment) -> None:
        """Draw."""
        self._live.update(screen(self.view.snapshot()), refresh=True)

    def close(self, experiment: Experiment) -> None:
        """Replace the screen by the summary."""
        self._live.stop()
        self._console.print(summary(self.view.run, experiment))


class PlainDisplay(Display):
    """Lines for a log file: each improvement (at most one a second), the first failures, a status line now and then."""

    def open(self, run: Run, experiment: Experiment) -> None:
        """Say what begins."""
        super().open(run, experiment)
        self._status_at = time.monotonic() + STATUS_LINE_EVERY
        self._best_at = 0.0
        self._best: Reported | None = experiment.best.best if experiment.best else None
        self._line = ""
        self._failures = 0
        past = f", going on after {len(experiment.trials)} trials" if experiment.trials else ""
        self._print(f"{run.name}: results in {run.folder}{past}")

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Print failures, and what is said once."""
        super().handle(events, experiment)
        for line in announcements(events):
            self.note(line)
        for event in events:
            if isinstance(event, TrialFailed):
                self._failures += 1
                if self._failures <= SHOWN_FAILURES:
                    self._print(f"trial {event.trial} failed: {failure_line(event.failure)}")
                if self._failures == SHOWN_FAILURES:
                    self._print("further failures are counted in the status lines")

    def note(self, text: str) -> None:
        """Print it."""
        self._print(text)

    def flush(self, experiment: Experiment) -> None:
        """Print the best trial when it has changed, and a status line when it is time."""
        now = time.monotonic()
        newest = experiment.best.best if experiment.best is not None else None
        if (newest is not self._best or self.view.run.replicates > 1) and now >= self._best_at:
            self._best, self._best_at = newest, now + 1.0
            line = ": ".join(self.view.best())
            if line not in (": ", self._line):
                self._line = line
                self._print(f"best so far: {line}")
        if now >= self._status_at:
            self._status_at = now + STATUS_LINE_EVERY
            self._print(status_line(self.view.snapshot()))

    def close(self, experiment: Experiment) -> None:
        """Print the summary."""
        for heading, text in summary_lines(self.view.run, experiment):
            self._print(f"{heading:>9}  {text}")

    def _print(self, line: str) -> None:
        print(f"tunesmith: {line}", file=sys.stderr, flush=True)


class NotebookDisplay(Display):
    """A table in a notebook, updated in place."""

    def open(self, run: Run, experiment: Experiment) -> None:
        """Show the table."""
        super().open(run, experiment)
        from IPython.display import HTML, display

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)

    def handle(self, events: Sequence[Event], experiment: Experiment) -> None:
        """Print under the table what is said once."""
        super().handle(events, experiment)
        for line in announcements(events):
            self.note(line)

    def note(self, text: str) -> None:
        """Print it under the table."""
        print(text)

    def flush(self, experiment: Experiment) -> None:
        """Update the table."""
        self._handle.update(self._html(snapshot_html(self.view.snapshot())))

    def close(self, experiment: Experiment) -> None:
        """Replace the table by the summary."""
        rows = "".join(
            f"<tr><th style='text-align:right'>{html.escape(heading)}</th>"
            f"<td style='text-align:left'>{html.escape(text)}</td></tr>"
            for heading, text in summary_lines(self.view.run, experiment)
        )
        self._handle.update(self._html(f"<table>{rows}</table>"))


def status_line(snapshot: Snapshot) -> str:
    """Return the whole experiment in one line."""
    counts = ", ".join(f"{number} {status}" for status, number in snapshot.counts)
    left = f", about {duration(snapshot.seconds_left)} left" if snapshot.seconds_left is not None else ""
    best = f"; best: {snapshot.best}" if snapshot.best else ""
    return f"{duration(snapshot.seconds)}{left}: {counts}; {snapshot.results_per_second:.1f} results/s{best}"


def screen(snapshot: Snapshot) -> Any:
    """Return the live screen, at most about 15 lines high."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    head = Text.assemble((snapshot.name, "bold"), f"  {duration(snapshot.seconds)}")
    if snapshot.seconds_left is not None:
        head.append(f", about {duration(snapshot.seconds_left)} left", "dim")
    head.append(f"   {snapshot.results:,} results, {snapshot.results_per_second:,.1f}/s   {snapshot.resources}", "dim")
    counts = Text()
    if snapshot.wanted is not None:
        counts.append(f"{snapshot.done}/{snapshot.wanted} done   ")
    for status, number in snapshot.counts:
        counts.append(f"{number} {status}  ", COLOURS.get(status, ""))
    trials = Table.grid(padding=(0, 2, 0, 0))
    bar = ProgressBar(total=max(1, snapshot.wanted or 1), completed=snapshot.done, width=40)
    trials.add_row(*([Text("trials"), bar, counts] if snapshot.wanted is not None else [Text("trials"), counts]))
    parts: list[Any] = [head, trials]
    if snapshot.best:
        parts.append(
            Text.assemble(
                "best    ",
                (snapshot.best, "bold green"),
                f"   {snapshot.best_config}",
                overflow="ellipsis",
                no_wrap=True,
            )
        )
    if snapshot.running:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("trial", "iteration", "value", "seconds", "silent for"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("config", no_wrap=True, overflow="ellipsis")
        for trial in snapshot.running:
            silent = Text(duration(trial.silent), "" if trial.silent < 60 else "yellow")
            table.add_row(
                str(trial.id), str(trial.iteration), trial.value, f"{trial.seconds:.1f}", silent, Text(trial.config)
            )
        parts.append(table)
    if snapshot.hidden:
        parts.append(Text(f"... and {snapshot.hidden} more running", "dim"))
    if snapshot.failure:
        parts.append(Text(f"failed  {snapshot.failure}", "red", no_wrap=True, overflow="ellipsis"))
    return Group(*parts)


def summary(run: Run, experiment: Experiment) -> Any:
    """Return the summary as a table without borders."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), title=None)
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    styles = {"best": "bold green", "failed": "red"}
    table.add_row("", Text(run.name, "bold"))
    for heading, text in summary_lines(run, experiment):
        table.add_row(heading, Text(text, styles.get(heading, "")))
    return table


def snapshot_html(snapshot: Snapshot) -> str:
    """Return a snapshot as HTML; everything from outside is escaped."""
    rows = "".join(
        f"<tr><td>{trial.id}</td><td>{trial.iteration}</td><td>{html.escape(trial.value)}</td>"
        f"<td style='text-align:left'>{html.escape(trial.config)}</td></tr>"
        for trial in snapshot.running
    )
    table = (
        f"<table><tr><th>trial</th><th>iteration</th><th>value</th><th>config</th></tr>{rows}</table>" if rows else ""
    )
    failure = f"<div style='color:#b00'>{html.escape(snapshot.failure)}</div>" if snapshot.failure else ""
    config = f"<div>{html.escape(snapshot.best_config)}</div>" if snapshot.best_config else ""
    return (
        f"<div><b>{html.escape(snapshot.name)}</b> {html.escape(status_line(snapshot))}{config}{table}{failure}</div>"
    )


def _in_notebook() -> bool:
    """Whether this process is a notebook's kernel, which shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and type(shell).__name__ == "ZMQInteractiveShell"

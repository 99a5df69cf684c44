"""What `tunesmith compare` prints."""

from __future__ import annotations

import sys
from typing import Any

import click

from .analysis.comparisons import Comparison
from .comparison import USUAL, compare
from .store.codec import dumps
from .terminal import Screen


def compare_schedulers(source: Any, schedulers: tuple[str, ...], *, as_json: bool, **options: Any) -> None:
    """Simulate schedulers on an experiment's recorded curves and print what each would have found and cost."""
    seeds = options["seeds"]

    def progress(scheduler: str, done: int) -> None:
        click.echo(f"\r\x1b[Ksimulating {scheduler}: {done} of {seeds}", err=True, nl=False)

    watched = sys.stderr.isatty() and not as_json
    try:
        comparison = compare(source, schedulers or USUAL, **options, on_progress=progress if watched else None)
    finally:
        if watched:
            click.echo("\r\x1b[K", err=True, nl=False)
    if as_json:
        click.echo(dumps(comparison.as_dict()).decode())
    else:
        show(comparison)


def show(comparison: Comparison) -> None:
    """Print a comparison: its table, and what its reader must know."""
    screen = Screen()
    screen.say(comparison.title(), "bold")
    screen.table(comparison.headings, comparison.cells(), right=comparison.headings[1:], hides_nothing=True)
    if comparison.seeds > 1:
        screen.say("[..] and ±: 95% interval of the mean over the random orders", "dim")
    for note in (comparison.note, *comparison.notes):
        if note:
            screen.say()
            screen.say(note, "yellow" if note == comparison.note else "")

"""How the command line prints: rich on a terminal, plain aligned text into a pipe. No control characters."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from .text import printable

STYLES = {
    "running": "cyan",
    "completed": "green",
    "stopped": "yellow",
    "paused": "blue",
    "failed": "red",
    "died": "red",
    "damaged": "red",
    "interrupted": "yellow",
    "pending": "dim",
}
"""The colour of a status."""


def ago(wall: float) -> str:
    """Return when a wall-clock time was, as people say it."""
    seconds = max(0.0, time.time() - wall)
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {unit}{'' if count == 1 else 's'} ago"
    return "just now"


class Screen:
    """Where a command prints."""

    def __init__(self) -> None:
        self._console: Any = None
        if sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
            from rich.console import Console

            self._console = Console(highlight=False, markup=False, emoji=False)  # honours NO_COLOR by itself

    def say(self, text: str = "", style: str = "") -> None:
        """Print lines of text; only the line breaks in it are kept."""
        for line in text.split("\n"):
            line = printable(line.replace("\t", "    "))
            if self._console is None:
                print(line)
            else:
                self._console.print(line, style=style or None, soft_wrap=True)

    def pairs(self, pairs: Mapping[str, str]) -> None:
        """Print headings with their texts; empty ones are left out."""
        shown = {heading: text for heading, text in pairs.items() if text}
        width = max(map(len, shown), default=0)
        for heading, text in shown.items():
            if self._console is None:
                print(f"{heading:>{width}}  {printable(text)}")
            else:
                from rich.text import Text

                style = STYLES.get(text.partition(" ")[0].rstrip(","), "") if heading == "status" else ""
                line = Text.assemble((f"{heading:>{width}}  ", "dim"), (printable(text), style))
                self._console.print(line, soft_wrap=True)

    def table(
        self,
        headings: Sequence[str],
        rows: Sequence[Sequence[str]],
        *,
        right: Sequence[str] = (),
        hides_nothing: bool = False,
    ) -> None:
        """Print a table; the columns named in `right` are aligned there.

        On a narrow terminal all columns but the last are cut short, or wrapped if the table `hides_nothing`.
        """
        cells = [[printable(cell) for cell in row] for row in rows]
        if self._console is None:
            _print_plainly(headings, cells, right)
            return
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for heading in headings:
            table.add_column(
                heading,
                justify="right" if heading in right else "left",
                no_wrap=heading != headings[-1] and not hides_nothing,
                overflow="fold" if hides_nothing else "ellipsis",
            )
        for row in cells:
            table.add_row(*(Text(cell, STYLES.get(cell.partition(" ")[0], "")) for cell in row))
        self._console.print(table)


def _print_plainly(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> None:
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    for row in (headings, *rows):
        cells = [
            cell.rjust(width) if heading in right else cell.ljust(width)
            for heading, cell, width in zip(headings, row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())

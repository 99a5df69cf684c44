"""What a benchmark says: figures, each ours beside the peers', and the table of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Value = float | str | None
"""A number; or why there is none ("not installed", "has none"); None where the peer was not asked."""


@dataclass(frozen=True)
class Figure:
    """One line of a table. `target` is a bound on ours: from below, or from above if `at_most`."""

    name: str
    unit: str
    ours: Value
    peers: Mapping[str, Value] = field(default_factory=dict)
    target: float | None = None
    at_most: bool = False
    interval: tuple[float, float] | None = None
    """Where ours lies, with 95% confidence."""

    @property
    def met(self) -> bool | None:
        """Whether ours meets the target; None without one, and False without a number."""
        if self.target is None:
            return None
        if not isinstance(self.ours, int | float):
            return False
        return self.ours <= self.target if self.at_most else self.ours >= self.target

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "peers": dict(self.peers),
            "target": self.target,
            "at_most": self.at_most,
            "met": self.met,
            "interval": self.interval,
        }


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as a Markdown table that also reads well in a terminal."""
    peers = list(dict.fromkeys(peer for figure in figures for peer in figure.peers))
    rows = [["figure", "unit", "Tunesmith", *peers, "target", "met"]]
    for figure in figures:
        target = "" if figure.target is None else f"{'≤' if figure.at_most else '≥'} {readable(figure.target)}"
        met = {None: "", True: "yes", False: "NO"}[figure.met]
        theirs = [readable(figure.peers.get(peer)) for peer in peers]
        ours = readable(figure.ours)
        if figure.interval is not None:
            ours += f" [{', '.join(map(readable, figure.interval))}]"
        rows.append([figure.name, figure.unit, ours, *theirs, target, met])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def readable(value: Value) -> str:
    """Return a number with three significant digits, never in powers of ten; a text as it is."""
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if math.isinf(value):
        return "never"
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"

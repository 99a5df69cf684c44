"""Schedulers side by side on the same recorded curves: what each found and cost, over many orders of the trials."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.objective import Objective
from ..text import duration, shown


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% interval (Student's t); without an interval where there is only one value."""

    mean: float
    low: float | None
    high: float | None

    def shown(self) -> str:
        """Return it as text: `0.97 [0.95, 0.98]`."""
        if self.low is None or self.high is None or self.low == self.high:
            return shown(self.mean)
        return f"{shown(self.mean)} [{shown(self.low)}, {shown(self.high)}]"

    def as_dict(self) -> dict[str, float | None]:
        """Return it as JSON values."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def estimated(values: Sequence[float], *, least: float = -math.inf, most: float = math.inf) -> Estimate:
    """Return the mean of independent values with its 95% interval, cut at what no value can be below or above."""
    count = len(values)
    # From the first value, so that equal values have exactly their own mean, and no width.
    shifts = [value - values[0] for value in values]
    shift = math.fsum(shifts) / count
    mean = values[0] + shift
    if count < 2:
        return Estimate(mean, None, None)
    from scipy.special import stdtrit

    deviation = math.sqrt(math.fsum((each - shift) ** 2 for each in shifts) / (count - 1))
    half = float(stdtrit(count - 1, 0.975)) * deviation / math.sqrt(count)
    return Estimate(mean, max(mean - half, min(least, mean)), min(mean + half, max(most, mean)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one simulation found and cost."""

    seed: int
    value: float
    """The best value."""
    regret: float
    """How much worse that is than the best on record; 0 when it was found."""
    compute: float
    """The part of the work that running every trial to its end takes."""
    seconds: float
    """Virtual wall clock."""
    stopped: int
    censored: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What one scheduler found and cost, over all seeds."""

    scheduler: str
    outcomes: tuple[Outcome, ...]
    best: float
    """The best value on record, which none can beat."""
    mode: str

    def estimate(self, what: str) -> Estimate:
        """Return the mean of a field of the outcomes: value, regret, compute, seconds, stopped or censored."""
        values = [float(getattr(outcome, what)) for outcome in self.outcomes]
        if what != "value":
            return estimated(values, least=0.0)
        return estimated(values, most=self.best) if self.mode == "max" else estimated(values, least=self.best)

    @property
    def is_exact(self) -> bool:
        """Whether no trial ever wanted to go on beyond what is recorded."""
        return not any(outcome.censored for outcome in self.outcomes)


@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison:
    """What each scheduler would have found and cost on the same trials.

    The first row is first come, first served: every trial to its end.
    """

    rows: tuple[Compared, ...]
    objective: Objective
    best: float
    """The best value on record."""
    trials: int
    cut: int
    """How many recorded curves were cut short."""
    workers: int
    seeds: int
    notes: tuple[str, ...] = ()
    """What the schedulers and the record had to say."""

    def __getitem__(self, scheduler: str) -> Compared:
        """Return the row of a scheduler."""
        for row in self.rows:
            if row.scheduler == scheduler:
                return row
        raise KeyError(
            f"no scheduler {scheduler!r} was compared; there are {', '.join(r.scheduler for r in self.rows)}"
        )

    @property
    def ranking(self) -> list[str]:
        """The schedulers whose rows are exact, the smallest mean regret first, then the least compute.

        One with censored trials is not in it: what those would have found, nobody knows.
        """
        exact = [row for row in self.rows if row.is_exact]
        exact.sort(key=lambda row: (row.estimate("regret").mean, row.estimate("compute").mean))
        return [row.scheduler for row in exact]

    @property
    def note(self) -> str:
        """What censored trials mean here; empty when there are none."""
        if all(row.is_exact for row in self.rows):
            return ""
        return (
            f"censored: {self.cut} of the {self.trials} recorded curves were cut short when they were recorded "
            "(stopped, failed or not finished), and so many trials wanted to go on there. The simulation ends them at "
            "the cut, because nobody knows what they would have found and cost. Rows with ~ are therefore not exact "
            "and not ranked; for an exact comparison record runs under scheduler='fifo'."
        )

    @property
    def headings(self) -> list[str]:
        """The table's columns."""
        metric = self.objective.metric
        return ["scheduler", metric, "regret", "compute vs. fifo", "wall clock", "stopped", "censored"]

    def cells(self) -> list[list[str]]:
        """Return the table's rows as text."""
        return [
            [
                row.scheduler,
                ("" if row.is_exact else "~") + row.estimate("value").shown(),
                row.estimate("regret").shown(),
                _percent(row.estimate("compute")),
                _time(row.estimate("seconds").mean),
                _count(row.estimate("stopped").mean),
                _count(row.estimate("censored").mean),
            ]
            for row in self.rows
        ]

    def title(self) -> str:
        """Return what was compared, in a line."""
        return (
            f"{self.trials} trials on {self.workers} worker{'s' * (self.workers != 1)}, {self.seeds} random "
            f"order{'s' * (self.seeds != 1)}; best on record: {self.objective.metric}={shown(self.best)}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON values."""
        fields = ("value", "regret", "compute", "seconds", "stopped", "censored")
        return {
            "metric": self.objective.metric,
            "mode": self.objective.mode,
            "best": self.best,
            "trials": self.trials,
            "cut": self.cut,
            "workers": self.workers,
            "seeds": self.seeds,
            "schedulers": [
                {
                    "scheduler": row.scheduler,
                    "exact": row.is_exact,
                    **{field: row.estimate(field).as_dict() for field in fields},
                }
                for row in self.rows
            ],
            "ranking": self.ranking,
            "notes": [*((self.note,) if self.note else ()), *self.notes],
        }

    def dataframe(self) -> Any:
        """Return a pandas DataFrame with one row per scheduler and seed."""
        from .frames import frame

        fields = Outcome.__slots__
        return frame(
            {"scheduler": row.scheduler, **{field: getattr(outcome, field) for field in fields}}
            for row in self.rows
            for outcome in row.outcomes
        )

    def __repr__(self) -> str:
        cells = [self.headings, *self.cells()]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
        ]
        return "\n".join([self.title(), *lines, *((self.note,) if self.note else ()), *self.notes])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(word)}</th>" for word in self.headings)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in line) + "</tr>" for line in self.cells()
        )
        notes = "".join(f"<div>{html.escape(note)}</div>" for note in (self.note, *self.notes) if note)
        return f"<div>{html.escape(self.title())}</div><table><tr>{head}</tr>{rows}</table>{notes}"


def _percent(part: Estimate) -> str:
    half = 0.0 if part.low is None else max(part.mean - part.low, (part.high or 0.0) - part.mean)
    return f"{100 * part.mean:.1f}%" + (f" ±{100 * half:.1f}" if half else "")


def _time(seconds: float) -> str:
    return duration(seconds) if seconds >= 1 else f"{shown(seconds)} s"


def _count(value: float) -> str:
    return f"{value:.0f}" if value == round(value) else f"{value:.1f}"

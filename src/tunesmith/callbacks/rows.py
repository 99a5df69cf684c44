"""One trial's results as the lines of `result.json` and `progress.csv`. Bytes only; no file is opened here.

Lines are made when their results come, except for the newest: whether a result is the last one shows only later.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ..core.events import Event, Reported, Result
from ..core.results import AUTOMATIC, OWN_FIELDS, SHARED_FIELDS, Lineage, Origin, own_values, result_fields
from ..store.codec import dumps

_NUMBERS = frozenset((int, float))
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Batch:
    """What one trial's files get next."""

    trial: int
    columns: list[str]
    written: int
    """How many of the columns `progress.csv` has already."""
    json: list[bytes]
    csv: list[bytes]
    params: bytes = b""
    errors: bytes = b""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.json or self.errors or self.params)


class Lines:
    """The lines of one trial that are not in its files yet.

    Args:
        lineage: Where the trial's results come from.
        columns: What `columns_of` read from its `progress.csv`; empty when there is none yet.
    """

    __slots__ = (
        "_held", "_is_plain", "_names", "_origin", "_places", "_tail", "_template",
        "columns", "csv", "json", "lineage", "written",
    )  # fmt: skip

    def __init__(self, lineage: Lineage, columns: list[str] | None = None) -> None:
        self.lineage = lineage
        self.columns = columns or []
        """The cells of the header of `progress.csv`, as it has to be for `csv`."""
        self.written = len(self.columns)
        """How many of them are in the file."""
        self.json: list[bytes] = []
        self.csv: list[bytes] = []
        self._held: tuple[Result, Origin, float] | None = None
        self._names: tuple[str, ...] = ()
        self._places: list[int] = []
        self._origin: Origin | None = None
        self._is_plain = False
        self._template = b""
        self._tail = b""

    def take(self, event: Event, zero: float) -> None:
        """Add what an event of the trial says; `zero` as in `Lineage.observe`."""
        lineage = self.lineage
        if type(event) is Reported:
            if self._held is not None:
                self._write(*self._held, done=False)
            self._held = (event, lineage.origin, lineage.elapsed)
        lineage.observe(event, zero)

    def release(self, *, done: bool) -> None:
        """Make the newest result's lines too; `done` says whether the trial is over."""
        if self._held is not None:
            self._write(*self._held, done=done)
            self._held = None

    def batch(self, params: bytes = b"", errors: bytes = b"") -> Batch:
        """Return the lines made so far, and forget them: they count as written now."""
        trial, written = self.lineage.origin.trial, self.written
        batch = Batch(trial, list(self.columns), written, self.json, self.csv, params, errors)
        self.json, self.csv, self.written = [], [], len(self.columns)
        return batch

    def _write(self, result: Result, origin: Origin, previous: float, done: bool) -> None:
        metrics = result.metrics
        names = tuple(metrics)
        if names != self._names or origin is not self._origin:
            self._learn(names, origin)
        # Nearly all reports are a few numbers, named as in the report before: one encoding gives both lines.
        if self._is_plain and _NUMBERS.issuperset(map(type, metrics.values())):
            cells = dumps([*metrics.values(), *own_values(result, origin, previous, done)])[1:-1]
            self.json.append(self._template % (*cells.split(b","),))
            self.csv.append(cells + self._tail)
            return
        row = result_fields(result, origin, previous=previous, done=done)
        self.json.append(dumps(row) + b"\n")
        line = [b""] * len(self.columns)
        for place, value in zip(self._places, row.values(), strict=True):
            line[place] = cell(value)
        self.csv.append(b",".join(line) + b"\n")

    def _learn(self, names: tuple[str, ...], origin: Origin) -> None:
        """Prepare for results with these metrics, from this attempt."""
        columns, template = _layout(names)
        if not self.columns:
            self.columns = list(columns)
        known = dict(zip(self.columns, range(len(self.columns)), strict=True))
        new = [column for column in columns if column not in known]
        if new:
            known.update(zip(new, range(len(known), len(known) + len(new)), strict=True))
            self.columns += new
            self.csv = [padded(line, len(new)) for line in self.csv]
        self._names, self._origin = names, origin
        self._places = [known[column] for column in columns]
        self._is_plain = bool(template) and self._places == list(range(len(columns)))
        if self._is_plain:
            spare = b"," * (len(self.columns) - len(columns))
            self._template = template + dumps(origin.fields)[1:].replace(b"%", b"%%") + b"\n"
            self._tail = b"," + b",".join(map(cell, origin.fields.values())) + spare + b"\n"


@lru_cache(maxsize=100)
def _layout(names: tuple[str, ...]) -> tuple[tuple[str, ...], bytes]:
    """Return the columns of results with these metrics, and how the JSON of their own part is put together.

    The latter is empty when a metric has the name of an automatic field, or makes one more (`neg_mean_loss`).
    """
    own = (*names, *OWN_FIELDS)
    more = ("neg_mean_loss",) if "mean_loss" in names else ()
    columns = tuple(map(_text, dict.fromkeys((*own, *SHARED_FIELDS, *more))))
    if more or not AUTOMATIC.isdisjoint(names):
        return columns, b""
    return columns, b"{" + b"".join(dumps(name).replace(b"%", b"%%") + b":%b," for name in own)


def header(columns: list[str]) -> bytes:
    """Return the header line of `progress.csv`."""
    return ",".join(columns).encode() + b"\n"


def columns_of(line: bytes) -> list[str]:
    """Return the cells of a header line that `header` made."""
    cells, quoted = [""], False
    for character in line.decode().rstrip("\n"):
        if character == '"':
            quoted = not quoted
        if character == "," and not quoted:
            cells.append("")
        else:
            cells[-1] += character
    return cells


def padded(line: bytes, count: int) -> bytes:
    """Return a line of `progress.csv` with `count` empty cells more. A cell holds no line break, so lines are rows."""
    return line[:-1] + b"," * count + b"\n"


def cell(value: Any) -> bytes:
    """Return a value as a cell of a CSV file."""
    match value:
        case None:
            return b""
        case str():
            return _text(value).encode()
        case list() | dict():
            return _text(dumps(value).decode()).encode()
    return dumps(value)


def _text(value: str) -> str:
    """Return a string as a cell that a spreadsheet takes for text: it starts no formula and breaks no line."""
    if value.startswith(_FORMULA_STARTS):
        value = "'" + value
    value = value.replace("\r", "\\r").replace("\n", "\\n")
    if "," in value or '"' in value:
        value = '"' + value.replace('"', '""') + '"'
    return value

"""Tables of learning curves: what each config reported, step by step, and how long each step took. Numbers, no models.

A table is what a simulation replays. It knows how each curve ended, for where a recorded curve was cut short nobody
knows how it would have gone on.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ..core.objective import WORST, Objective
from ..core.trial import Status
from ..errors import ConfigError

if TYPE_CHECKING:
    from .results import Results

COMPLETED = Status.COMPLETED.value
"""How a curve ended that ran to its own end; with any other word it was cut short."""
_FIELDS = ("config", "metrics", "seconds", "ended", "trial")
_FORMATS = "a path that ends in .npz, .json or .json.gz"


@dataclass(frozen=True, slots=True)
class Curve:
    """One learning curve."""

    config: dict[str, Any]
    metrics: dict[str, list[float]]
    """For each metric its value at every step; nan where a step lacks it."""
    seconds: list[float]
    """How long each step took."""
    ended: str = COMPLETED
    """"completed": it ran to its own end. Any other status: it was cut short here, and could have gone on."""
    trial: int = 0
    """The number of the trial that it is of."""

    def __len__(self) -> int:
        return len(self.seconds)

    @property
    def is_complete(self) -> bool:
        """Whether the curve ran to its own end."""
        return self.ended == COMPLETED

    def steps(self, after: int = 0) -> Iterator[tuple[dict[str, float], float]]:
        """Yield (metrics, seconds) for each step after the first `after` ones."""
        names = tuple(self.metrics)
        columns = [self.metrics[name][after:] for name in names]
        rows = zip(*columns, strict=True) if columns else repeat(())
        for values, seconds in zip(rows, self.seconds[after:], strict=False):
            yield dict(zip(names, values, strict=True)), seconds


class CurveTable(Sequence[Curve]):
    """Learning curves of many configs.

    Args:
        curves: `Curve`s, or dicts with the keys `config`, `metrics` ({name: one value per step}), and if wanted
            `seconds` (one per step, or one number for all; default 1) and `ended` (how the curve ended; default
            "completed", with any other word it counts as cut short).
        metric: What the configs are ranked by; may be left to who uses the table.
        mode: "min" or "max"; needed with `metric`.
        workers: How many ran at once.
        notes: What its user should know of how it was made.

    Raises:
        ConfigError: A curve that cannot be one; the message says which, and what is wrong with it.
    """

    def __init__(
        self,
        curves: Iterable[Curve | Mapping[str, Any]],
        *,
        metric: str | None = None,
        mode: str | None = None,
        workers: int | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        if isinstance(curves, Mapping | str) or not isinstance(curves, Iterable):
            raise ConfigError(f"CurveTable({curves!r}): give a list of curves, each a dict with a config and metrics.")
        self._curves = [
            curve if isinstance(curve, Curve) else _checked(curve, number) for number, curve in enumerate(curves)
        ]
        if not self._curves:
            raise ConfigError("a table of learning curves needs at least one curve.")
        self.objective = None if metric is None else Objective(metric, mode or "")
        self.workers = workers
        self.notes = tuple(notes)
        self.names: tuple[str, ...] = tuple(dict.fromkeys(name for curve in self._curves for name in curve.metrics))
        """The metrics that any of the curves has."""
        if metric is not None:
            self.check_metric(metric)

    def __len__(self) -> int:
        return len(self._curves)

    def __getitem__(self, index: Any) -> Any:
        return self._curves[index]

    def __iter__(self) -> Iterator[Curve]:
        return iter(self._curves)

    @property
    def results(self) -> int:
        """How many steps all curves have together."""
        return sum(map(len, self._curves))

    @property
    def longest(self) -> int:
        """How many steps the longest curve has."""
        return max(map(len, self._curves))

    @property
    def seconds(self) -> float:
        """What running every curve to its recorded end takes one worker."""
        return math.fsum(second for curve in self._curves for second in curve.seconds)

    def best(self, objective: Objective | None = None) -> float | None:
        """Return the best value in the table; None when no step has a usable one."""
        wanted = objective or self.objective
        if wanted is None:
            raise ConfigError("best of what? Give an objective: Objective('accuracy', 'max').")
        sign = -1.0 if wanted.mode == "max" else 1.0
        losses = (sign * value for curve in self._curves for value in curve.metrics.get(wanted.metric, ()))
        loss = min((loss for loss in losses if -WORST < loss < WORST), default=None)
        return None if loss is None else wanted.value_of(loss)

    def check_metric(self, metric: str) -> None:
        """Do nothing if a curve has the metric; ConfigError else."""
        if metric not in self.names:
            known = ", ".join(self.names) or "none"
            raise ConfigError(f"metric={metric!r}: no curve of the table has it. They have: {known}.")

    def __repr__(self) -> str:
        cut = sum(not curve.is_complete for curve in self._curves)
        short = f" ({cut} cut short)" if cut else ""
        return f"<CurveTable of {len(self)} curves{short}, {self.results} steps of {', '.join(self.names)}>"

    # Files.

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table, by the name's ending as .npz, .json or .json.gz. Numbers keep 32 bits: 7 digits.

        Raises:
            ConfigError: The file cannot be written, or a config holds what JSON cannot.
        """
        from .curve_files import write

        write(self, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> CurveTable:
        """Return the table in a file that `save` wrote, or in a JSON file with a list of curves.

        Raises:
            ConfigError: There is no such file, or it holds no table.
        """
        from .curve_files import read

        return read(Path(path))

    @classmethod
    def of_experiment(cls, results: Results) -> CurveTable:
        """Return the curves of an experiment that has run: of each trial the results that count, redone ones once.

        A trial that a scheduler made a clone of another is cut where that happened: from there on the curve is not its
        config's. Metrics that are no numbers are left out, and so are trials that never reported.

        Raises:
            ConfigError: No trial has reported anything.
        """
        from .curve_files import recorded

        return recorded(results)


class _Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a dict in a list of curves may hold."""

    config: dict[str, Any]
    metrics: dict[str, Any]
    seconds: Any = 1.0
    ended: str = COMPLETED
    trial: int | None = None


def _checked(given: Any, number: int) -> Curve:
    """Return a user's dict as a curve."""
    where = f"curve {number}"
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} is {given!r}. Give a dict: {{'config': {{...}}, 'metrics': {{'loss': [...]}}}}.")
    try:
        row = msgspec.convert(dict(given), _Row)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{where}: {error}. It takes the keys {', '.join(_FIELDS)}.") from None
    metrics = {str(name): _numbers(f"{where}: metrics[{name!r}]", values) for name, values in row.metrics.items()}
    lengths = {name: len(values) for name, values in metrics.items()}
    if not metrics or not max(lengths.values()):
        raise ConfigError(f"{where} has no steps. Give one value per step: 'metrics': {{'loss': [0.5, 0.4]}}.")
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ConfigError(f"{where}: its metrics differ in length: {found}. Use nan where a step lacks a value.")
    length = next(iter(lengths.values()))
    if isinstance(row.seconds, Real):
        seconds = [float(row.seconds)] * length
    else:
        seconds = _numbers(f"{where}: seconds", row.seconds)
    if len(seconds) != length:
        raise ConfigError(f"{where} has {length} steps, but {len(seconds)} seconds. Give one per step, or one number.")
    if not all(0 <= second < math.inf for second in seconds):
        raise ConfigError(f"{where}: seconds must be finite and 0 or more.")
    return Curve(row.config, metrics, seconds, row.ended, number if row.trial is None else row.trial)


def _numbers(where: str, values: Any) -> list[float]:
    """Return a list, tuple or array of numbers as a list of floats; None stands for nan."""
    plain = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(plain, str | Mapping) or not isinstance(plain, Iterable):
        raise ConfigError(f"{where} is {values!r}. Give a list with one number per step.")
    numbers = []
    for value in plain:
        if value is None:
            numbers.append(math.nan)
        elif isinstance(value, Real):
            numbers.append(float(value))
        else:
            raise ConfigError(f"{where} holds {value!r}, which is no number.")
    return numbers


def with_json(config: Mapping[str, Any], where: str) -> str:
    """Return a config as JSON text.

    Raises:
        ConfigError: It holds what JSON cannot.
    """
    try:
        return json.dumps(config)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: its config cannot be saved as JSON: {error}.") from None


@dataclass(slots=True)
class Recording:
    """What is known of one trial while its journal is read."""

    config: dict[str, Any]
    status: Status = Status.PENDING
    events: list[Any] = field(default_factory=list)
    is_cut: bool = False
    """Whether it has become a clone: what follows is not its config's curve."""

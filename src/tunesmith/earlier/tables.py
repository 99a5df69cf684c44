"""A table with a row per trial: a CSV or parquet file, a DataFrame, a list of dicts."""

from __future__ import annotations

import ast
import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.objective import Objective
from ..errors import ConfigError, require
from ..space.objects import is_json, label, python_scalar
from .records import Found, lacks

PREFIXES = ("config/", "config.", "params_", "params.", "param_")
"""Where a column's name begins so, it is a parameter, and no other column is."""
ENDS = ("", "best/", "last/")
"""Where our own tables have a metric."""


def read_table(source: str, rows: Iterable[Mapping[str, Any]], objectives: Sequence[Objective]) -> Found:
    """Return the trials of a table.

    Raises:
        ConfigError: It has no rows, or no column for a metric.
    """
    table = [{str(key): _plain(value) for key, value in row.items()} for row in rows]
    if not table:
        raise ConfigError(f"warm_from: {source} has no rows.")
    columns = list(dict.fromkeys(column for row in table for column in row))
    metrics = [_metric_column(source, columns, objective) for objective in objectives]
    prefix = next((prefix for prefix in PREFIXES if any(column.startswith(prefix) for column in columns)), "")
    found = Found(source)
    for row in table:
        config = {
            column.removeprefix(prefix): value
            for column, value in row.items()
            if column.startswith(prefix) and column not in metrics and value == value
        }
        losses = [_loss(row.get(column), objective) for column, objective in zip(metrics, objectives, strict=True)]
        found.add(config, losses, lacks(objectives))
    return found


def _metric_column(source: str, columns: Sequence[str], objective: Objective) -> str:
    for begin in ENDS:
        if begin + objective.metric in columns:
            return begin + objective.metric
    raise ConfigError(
        f"warm_from: {source} has no column {objective.metric!r}; it has {', '.join(columns)}. If the metric is called "
        "otherwise there: warm_from=[{'source': ..., 'metric': 'its name', 'mode': 'min'}]."
    )


def _loss(value: Any, objective: Objective) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(-value if objective.mode == "max" else value)


def _plain(value: Any) -> Any:
    value = python_scalar(value)
    if isinstance(value, tuple):
        value = list(value)
    return value if isinstance(value, float) or is_json(value) else label(value)


def rows_of_csv(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a CSV file; numbers, true, false, lists and nothing are read as what they are."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
    return [
        {str(key): _parsed(value) for key, value in row.items() if key is not None and value not in ("", None)}
        for row in rows
    ]


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        words = {"true": True, "false": False, "none": None, "nan": float("nan"), "inf": float("inf")}
        return words.get(text.lower(), text) if text[:1] != "[" else _python_list(text)
    return value if not isinstance(value, dict | str) else text


def _python_list(text: str) -> Any:
    """Return the list that a text spells as Python does, with other quotes than JSON; else the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def rows_of_frame(frame: Any) -> list[dict[str, Any]]:
    """Return the rows of a pandas DataFrame."""
    rows: list[dict[str, Any]] = frame.to_dict("records")
    return rows


def rows_of_parquet(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a parquet file.

    Raises:
        MissingExtra: pandas or pyarrow is not installed.
    """
    require("pyarrow", feature=f"warm_from={path.name!r}", extra="parquet")
    return rows_of_frame(require("pandas", feature=f"warm_from={path.name!r}", extra="parquet").read_parquet(path))

"""Where tables of learning curves come from and go to: .npz and JSON files, and journals of experiments."""

from __future__ import annotations

import gzip
import json
import os
import zipfile
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.events import AttemptEnded, Event, Reported, Suggested, TrialExploited, TrialLaunched
from ..core.trial import TRANSITIONS
from ..errors import ConfigError
from ..store.reader import JournalReader, effective_results
from .curves import Curve, CurveTable, Recording, with_json

if TYPE_CHECKING:
    from .results import Results

_FORMAT = "tunesmith learning curves"
_VERSION = 1
_ENDINGS = (".npz", ".json", ".json.gz")
_NUMBERS = (int, float)


def ending_of(path: Path) -> str:
    """Return which kind of file a path names.

    Raises:
        ConfigError: None that holds curves.
    """
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            return ending
    raise ConfigError(f"{path}: a table of learning curves lies in a file that ends in .npz, .json or .json.gz.")


def write(table: CurveTable, path: Path) -> None:
    """Write a table, whole or not at all."""
    ending = ending_of(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if ending == ".npz":
            _write_npz(table, temporary)
        else:
            text = json.dumps(_plain(table), separators=(",", ":")).encode()
            temporary.write_bytes(gzip.compress(text, mtime=0) if ending == ".json.gz" else text)
        temporary.replace(path)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from error
    finally:
        temporary.unlink(missing_ok=True)


def read(path: Path) -> CurveTable:
    """Return the table in a file."""
    ending = ending_of(path)
    try:
        if ending == ".npz":
            return _read_npz(path)
        data = path.read_bytes()
        found = json.loads(gzip.decompress(data) if ending == ".json.gz" else data)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path}.") from None
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path} holds no table of learning curves: {error}.") from error
    if isinstance(found, list):
        return CurveTable(found)
    if not isinstance(found, dict) or found.get("format") != _FORMAT or not isinstance(found.get("curves"), list):
        raise ConfigError(
            f'{path} holds no table of learning curves: give a list of {{"config": ..., "metrics": ...}}.'
        )
    _check_version(path, found)
    return CurveTable(found["curves"], **_about(found))


def _check_version(path: Path, header: dict[str, Any]) -> None:
    if header.get("version") != _VERSION:
        raise ConfigError(
            f"{path} is of version {header.get('version')}, which this Tunesmith does not know. Use a newer one."
        )


def _header(table: CurveTable) -> dict[str, Any]:
    objective = table.objective
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "metric": None if objective is None else objective.metric,
        "mode": None if objective is None else objective.mode,
        "workers": table.workers,
        "notes": list(table.notes),
    }


def _about(header: dict[str, Any]) -> dict[str, Any]:
    return {name: header.get(name) for name in ("metric", "mode", "workers")} | {"notes": header.get("notes") or ()}


def _plain(table: CurveTable) -> dict[str, Any]:
    curves = []
    for number, curve in enumerate(table):
        seconds: Any = [_short(value) for value in curve.seconds]
        with_json(curve.config, f"curve {number}")
        curves.append(
            {
                "config": curve.config,
                "metrics": {name: [_short(value) for value in values] for name, values in curve.metrics.items()},
                "seconds": seconds[0] if len(set(seconds)) == 1 else seconds,
                "ended": curve.ended,
                "trial": curve.trial,
            }
        )
    return _header(table) | {"curves": curves}


def _short(value: float) -> float:
    return float(f"{value:.7g}")


def _write_npz(table: CurveTable, path: Path) -> None:
    import numpy as np

    nan = float("nan")
    configs = [with_json(curve.config, f"curve {number}") for number, curve in enumerate(table)]
    header = _header(table) | {
        "names": table.names,
        "configs": [json.loads(config) for config in configs],
        "metrics": [list(curve.metrics) for curve in table],
        "ended": [curve.ended for curve in table],
        "trials": [curve.trial for curve in table],
    }
    arrays: dict[str, Any] = {
        "header": np.frombuffer(json.dumps(header).encode(), dtype=np.uint8),
        "lengths": np.array([len(curve) for curve in table], dtype=np.int32),
        "seconds": np.concatenate([np.array(curve.seconds, dtype=np.float32) for curve in table]),
    }
    for index, name in enumerate(table.names):
        columns = [np.array(curve.metrics.get(name) or [nan] * len(curve), dtype=np.float32) for curve in table]
        arrays[f"metric{index}"] = np.concatenate(columns)
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _read_npz(path: Path) -> CurveTable:
    import numpy as np

    with np.load(path, allow_pickle=False) as arrays:
        header = json.loads(arrays["header"].tobytes())
        if header.get("format") != _FORMAT:
            raise ConfigError(f"{path} holds no table of learning curves.")
        _check_version(path, header)
        ends = np.cumsum(arrays["lengths"])
        seconds = np.split(arrays["seconds"].astype(float), ends[:-1])
        columns = {
            name: np.split(arrays[f"metric{index}"].astype(float), ends[:-1])
            for index, name in enumerate(header["names"])
        }
    curves = [
        Curve(
            config,
            {name: columns[name][number].tolist() for name in header["metrics"][number]},
            seconds[number].tolist(),
            header["ended"][number],
            header["trials"][number],
        )
        for number, config in enumerate(header["configs"])
    ]
    return CurveTable(curves, **_about(header))


# Journals.


def recorded(results: Results) -> CurveTable:
    """Return the curves of an experiment that has run."""
    with JournalReader(results.folder) as reader:
        # From one reading, so that a trial of a running experiment is never taken for complete before its last result.
        recordings, most = _recordings(event for _, event in reader.events())
    curves, silent, cut = [], 0, 0
    for number, recording in enumerate(recordings):
        counting = effective_results(recording.events)
        if not counting:
            silent += 1
            continue
        cut += recording.is_cut
        ended = "cloned" if recording.is_cut else recording.status.value
        # For people: with text in place of objects that JSON cannot hold.
        curves.append(_curve(number, results._resolve(recording.config), counting, ended))
    notes = []
    if silent:
        notes.append(f"{silent} of {len(recordings)} trials never reported anything and are left out")
    if cut:
        notes.append(f"{cut} trials became clones of others; their curves are cut where that happened")
    if not curves:
        raise ConfigError(f"{results.name} has nothing to replay: no trial has reported anything.")
    metric, session = results.metric, results._info().session
    if session is not None and session.more_objectives:
        notes.append(f"{results.name} has several objectives; the curves are ranked by the first, {metric}")
    has_metric = any(metric in curve.metrics for curve in curves)
    return CurveTable(
        curves,
        metric=metric if has_metric else None,
        mode=results.mode if has_metric else None,
        workers=max(1, most),
        notes=notes,
    )


def _recordings(events: Iterable[Event]) -> tuple[list[Recording], int]:
    """Return what the journal says of each trial's curve, and how many attempts ran at once at most."""
    recordings: list[Recording] = []
    live, most = set(), 0
    for event in events:
        if isinstance(event, Suggested):
            recordings += [Recording(config) for config in event.configs]
            continue
        number = getattr(event, "trial", None)
        if number is None:
            continue
        recording = recordings[number]
        recording.status = TRANSITIONS.get((recording.status, type(event)), recording.status)
        if isinstance(event, TrialLaunched):
            live.add(number)
            most = max(most, len(live))
        elif isinstance(event, AttemptEnded):
            live.discard(number)
        elif isinstance(event, TrialExploited):
            recording.is_cut = True
        if not recording.is_cut and isinstance(event, Reported | AttemptEnded | TrialLaunched):
            recording.events.append(event)
    return recordings, most


def _curve(number: int, config: dict[str, Any], results: list[Reported], ended: str) -> Curve:
    names: dict[str, None] = {}
    for result in results:
        names.update(dict.fromkeys(name for name, value in result.metrics.items() if isinstance(value, _NUMBERS)))
    # A report that says "done" ends its trial, which is what the end of the curve says already.
    names.pop("done", None)
    metrics = {name: [_number(result.metrics.get(name)) for result in results] for name in names}
    elapsed = [0.0, *(result.elapsed for result in results)]
    seconds = [max(0.0, after - before) for before, after in pairwise(elapsed)]
    return Curve(config, metrics, seconds, ended, number)


def _number(value: Any) -> float:
    try:
        return float(value) if isinstance(value, _NUMBERS) else float("nan")
    except OverflowError:  # an integer beyond every float
        return float("nan")

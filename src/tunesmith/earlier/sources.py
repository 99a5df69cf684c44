"""What a user gives as `warm_from=`: recognised, read, and brought into the names of the space."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from ..analysis.results import Results
from ..core.events import EarlierTrials, Event
from ..core.objective import Objective
from ..errors import ConfigError, ExperimentNotFound
from ..layout import JOURNAL
from ..remote import scheme
from ..space.space import Space
from ..store.schema import APPLICATION_ID
from . import optuna_studies, tables
from .matching import Matching
from .ours import read_experiment
from .ray_folders import is_ray_folder, read_ray_folder
from .records import Found

MOST_TRIALS = 5_000
"""Of each source so many are taken at most: the best ones and those between, evenly by rank."""
MOST_NAMES = 5
KEYS = {"source", "study", "metric", "mode"}
DATABASE = b"SQLite format 3\0"


def as_sources(warm_from: Any) -> list[Any]:
    """Return the sources that a user gives, one by one; a single one need not be in a list.

    Raises:
        ConfigError: It can be no source.
    """
    if warm_from is None:
        return []
    sources = list(warm_from) if isinstance(warm_from, list) else [warm_from]
    for index, source in enumerate(sources):
        if isinstance(source, Mapping) and not {"source"} <= source.keys() <= KEYS:
            raise ConfigError(
                f"warm_from[{index}]={dict(source)!r}: a dict says {{'source': ..., 'metric': ..., 'mode': ..., "
                "'study': ...}. A table is a list of dicts: warm_from=[[{...}, {...}]]."
            )
    return sources


def earlier_trials(
    sources: Sequence[Any], space: Space, objectives: Sequence[Objective], *, known: Collection[str]
) -> Iterator[EarlierTrials]:
    """Yield what each source has found; those that are known already are not read again.

    Args:
        sources: As `as_sources` returns them.
        space: What is searched now.
        objectives: What is optimised now.
        known: Sources that the journal has.

    Raises:
        ConfigError: A source cannot be read, or nothing of it can be used.
        ExperimentNotFound: It is not there.
    """
    if sources and not objectives:
        raise ConfigError("warm_from= brings losses, and nothing is optimised here. Add metric= and mode=.")
    for index, source in enumerate(sources):
        name = _name(index, source)
        if name not in known:
            yield replace(_taken(_read(name, source, objectives), space), objectives=_pairs(objectives))


def known_sources(past: Iterable[Event], objectives: Sequence[Objective]) -> set[str]:
    """Return the sources of which a journal has what they found for these objectives."""
    wanted = _pairs(objectives)
    return {event.source for event in past if isinstance(event, EarlierTrials) and event.objectives == wanted}


def _pairs(objectives: Sequence[Objective]) -> tuple[tuple[str, str], ...]:
    return tuple((each.metric, each.mode) for each in objectives)


def _name(index: int, source: Any) -> str:
    """Return what a source goes by in the journal: the same in each session."""
    match source:
        case Mapping():
            of_them = f" ({source['study']})" if source.get("study") else ""
            return f"{_name(index, source['source'])}{of_them}"
        case (inner, str(chosen)) if isinstance(source, tuple):
            return f"{_name(index, inner)} ({chosen})"
        case str() | os.PathLike():
            return os.fspath(source)
        case Results():
            return str(source.folder)
    study = getattr(source, "study_name", None)
    return f"study {study}" if isinstance(study, str) else f"warm_from[{index}]"


def _read(name: str, source: Any, objectives: Sequence[Objective]) -> Found:
    study: str | None = None
    match source:
        case (inner, str(chosen)) if isinstance(source, tuple):
            source, study = inner, chosen
        case Mapping():
            objectives = _other_objectives(source, objectives)
            source, study = source["source"], source.get("study")
    match source:
        case str() | os.PathLike():
            return _read_path(name, os.fspath(source), study, objectives)
        case Results():
            return read_experiment(name, source.folder, objectives)
        case list() if all(isinstance(row, Mapping) for row in source):
            return tables.read_table(name, source, objectives)
    if hasattr(source, "get_trials") and hasattr(source, "directions"):
        return optuna_studies.read_study(name, [optuna_studies.of_object(source)], None, len(objectives))
    if hasattr(source, "to_dict") and hasattr(source, "columns"):
        return tables.read_table(name, tables.rows_of_frame(source), objectives)
    raise ConfigError(
        f"{name}={source!r}: give the folder or the Results of an experiment, a study of Optuna (a file, or a URL such "
        "as sqlite:///study.db), a results folder of Ray Tune, a CSV or parquet file, a DataFrame or a list of dicts."
    )


def _other_objectives(source: Mapping[str, Any], objectives: Sequence[Objective]) -> Sequence[Objective]:
    """Return what is optimised now under the names that it has in a source."""
    metric, mode = source.get("metric"), source.get("mode")
    names = [each.metric for each in objectives] if metric is None else [metric] if isinstance(metric, str) else metric
    modes = (
        [each.mode for each in objectives] if mode is None else [mode] * len(names) if isinstance(mode, str) else mode
    )
    if len(names) != len(objectives) or len(modes) != len(objectives):
        raise ConfigError(
            f"warm_from: metric={metric!r}, mode={mode!r}: give one for each of {len(objectives)} metrics."
        )
    return [Objective(*pair) for pair in zip(names, modes, strict=True)]


def _read_path(name: str, path: str, study: str | None, objectives: Sequence[Objective]) -> Found:
    count = len(objectives)
    if path.startswith("sqlite:///"):
        path = path.removeprefix("sqlite:///")
    elif scheme(path):
        if "sql" in str(scheme(path)):
            return optuna_studies.read_study(name, optuna_studies.studies_at(path, study), study, count)
        return read_experiment(name, path, objectives)
    file = Path(path).expanduser()
    if not file.exists():
        raise ExperimentNotFound(f"warm_from: there is no {path}.")
    if file.is_dir():
        is_rays = not (file / JOURNAL).exists() and is_ray_folder(file)
        return read_ray_folder(name, file, objectives) if is_rays else read_experiment(name, file, objectives)
    begin = _begin(file)
    if begin.startswith(DATABASE):
        if int.from_bytes(begin[68:72], "big") == APPLICATION_ID:
            return read_experiment(name, file.parent, objectives)
        return optuna_studies.read_study(name, optuna_studies.studies_in_database(file), study, count)
    if begin.startswith(b"PAR1"):
        return tables.read_table(name, tables.rows_of_parquet(file), objectives)
    if begin.startswith(b'{"op_code"'):
        with file.open(encoding="utf-8") as lines:
            return optuna_studies.read_study(name, optuna_studies.studies_in_journal(lines), study, count)
    return tables.read_table(name, tables.rows_of_csv(file), objectives)


def _begin(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(100)


def _taken(found: Found, space: Space) -> EarlierTrials:
    matching = Matching(space.root)
    pairs = []
    for config, losses in zip(found.configs, found.losses, strict=True):
        own = matching.config(config)
        if own is None:
            found.left_out["lie outside the space"] += 1
        else:
            pairs.append((own, losses))
    total = len(pairs) + found.left_out.total()
    reasons = [f"{count} {_conjugated(why, count)}" for why, count in found.left_out.items()]
    if not pairs:
        why = f": {', '.join(reasons)}" if reasons else ""
        raise ConfigError(f"warm_from: none of the {total} trials of {found.source} can be used{why}.")
    told = f"took {len(pairs)} of {total} trials from {found.source}"
    told += "".join(f"; {reason}" for reason in reasons)
    unsaid = [path for path, count in matching.missing.items() if count == len(pairs)]
    if unsaid:
        told += f"; they do not say {_listed(unsaid)}"
    if matching.strangers:
        told += f"; the space has no {_listed(sorted(matching.strangers))}"
    kept = _thinned(pairs)
    return EarlierTrials(
        at=0.0,
        source=found.source,
        configs=tuple(config for config, _ in kept),
        losses=tuple(losses for _, losses in kept),
        told=told,
    )


def _conjugated(why: str, count: int) -> str:
    """Return the reason as one trial has it, where it is one."""
    verb, _, rest = why.partition(" ")
    singular = {"have": "has", "lie": "lies", "were": "was"}.get(verb)
    return why if count != 1 or singular is None else f"{singular} {rest}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(map(repr, names[:MOST_NAMES])) + more


def _thinned(pairs: list[tuple[dict[str, Any], tuple[float, ...]]]) -> list[tuple[dict[str, Any], tuple[float, ...]]]:
    if len(pairs) <= MOST_TRIALS:
        return pairs
    ranked = sorted(range(len(pairs)), key=lambda index: pairs[index][1])
    return [pairs[ranked[round(step * (len(pairs) - 1) / (MOST_TRIALS - 1))]] for step in range(MOST_TRIALS)]

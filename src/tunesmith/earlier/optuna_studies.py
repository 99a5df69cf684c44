"""Studies of Optuna, from an SQLite file or a journal file: read as they lie there, without Optuna.

What the files hold is what Optuna 2 to 5 write: the tables of its relational storage, and the operations of its journal
storage, one JSON object a line. A study at another kind of URL is read through Optuna itself.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import ConfigError, require
from .records import Found

COMPLETE = "COMPLETE"
STATES = ("RUNNING", COMPLETE, "PRUNED", "FAIL", "WAITING")
"""By the number that journals have for them."""
MAXIMIZE = 2
"""The number of that direction in a journal."""


@dataclass
class Trial:
    """One trial of a study."""

    state: str = "RUNNING"
    params: dict[str, Any] = field(default_factory=dict)
    values: list[float | None] = field(default_factory=list)


@dataclass
class Study:
    """One study."""

    name: str
    minimizes: list[bool]
    """For each of its values."""
    trials: list[Trial] = field(default_factory=list)


def read_study(source: str, studies: Sequence[Study], name: str | None, objectives: int) -> Found:
    """Return the trials of one of the studies that were found in a source.

    Args:
        source: As the user called it.
        studies: What lies there.
        name: Which study; None: the only one.
        objectives: How many losses a trial must have.

    Raises:
        ConfigError: There is no such study, there are several, or it has another number of objectives.
    """
    study = _chosen(source, studies, name)
    if len(study.minimizes) != objectives:
        raise ConfigError(
            f"warm_from: the study {study.name!r} in {source} has {len(study.minimizes)} objectives, and this "
            f"experiment has {objectives}. Give metric= as many names, or warm_from a table with the columns you mean."
        )
    found = Found(source)
    for trial in study.trials:
        values = trial.values if trial.state == COMPLETE else [None]
        signed = [
            value if value is None or minimizes else -value
            for value, minimizes in zip(values, study.minimizes, strict=False)
        ]
        found.add(trial.params, signed if len(signed) == objectives else [None], _fate(trial.state))
    return found


def _fate(state: str) -> str:
    words = {"PRUNED": "were pruned", "FAIL": "failed", COMPLETE: "have no finite value"}
    return words.get(state, "did not complete")


def _chosen(source: str, studies: Sequence[Study], name: str | None) -> Study:
    names = [study.name for study in studies]
    if name is None and len(studies) == 1:
        return studies[0]
    if name in names:
        return studies[names.index(name)]
    there = f"It has {', '.join(map(repr, names))}." if names else "It has none."
    if name is None:
        raise ConfigError(f"warm_from: which study of {source}? {there} Give a pair: ({source!r}, 'its name').")
    raise ConfigError(f"warm_from: {source} has no study {name!r}. {there}")


def studies_in_database(path: Path) -> list[Study]:
    """Return the studies in an SQLite file.

    Raises:
        ConfigError: It holds no studies of Optuna.
    """
    connection = sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)
    try:
        connection.row_factory = sqlite3.Row
        studies = {row["study_id"]: Study(row["study_name"], []) for row in connection.execute("SELECT * FROM studies")}
        for row in connection.execute("SELECT * FROM study_directions ORDER BY study_id, objective"):
            studies[row["study_id"]].minimizes.append(row["direction"] != "MAXIMIZE")
        trials: dict[int, Trial] = {}
        for row in connection.execute("SELECT * FROM trials ORDER BY trial_id"):
            trials[row["trial_id"]] = Trial(row["state"])
            studies[row["study_id"]].trials.append(trials[row["trial_id"]])
        for row in connection.execute("SELECT * FROM trial_params ORDER BY param_id"):
            value = _external(row["param_value"], json.loads(row["distribution_json"]))
            trials[row["trial_id"]].params[row["param_name"]] = value
        for row in connection.execute("SELECT * FROM trial_values ORDER BY trial_id, objective"):
            trials[row["trial_id"]].values.append(row["value"])
    except (sqlite3.Error, KeyError, IndexError) as error:
        raise ConfigError(f"warm_from: {path} cannot be read as a storage of Optuna: {error}.") from error
    finally:
        connection.close()
    return list(studies.values())


def studies_in_journal(lines: Iterable[str]) -> list[Study]:
    """Return the studies in the lines of a journal file. A last line that was not finished counts not."""
    studies: list[Study | None] = []
    trials: list[Trial] = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        match entry["op_code"]:
            case 0:  # create a study
                studies.append(Study(entry["study_name"], [way != MAXIMIZE for way in entry["directions"]]))
            case 1:  # delete one
                studies[entry["study_id"]] = None
            case 4:  # create a trial
                trials.append(_created(entry))
                study = studies[entry["study_id"]]
                if study is not None:
                    study.trials.append(trials[-1])
            case 5:  # set a parameter
                value = _external(entry["param_value_internal"], json.loads(entry["distribution"]))
                trials[entry["trial_id"]].params[entry["param_name"]] = value
            case 6:  # set the state and the values
                trial = trials[entry["trial_id"]]
                trial.state = STATES[entry["state"]]
                if entry.get("values") is not None:
                    trial.values = list(entry["values"])
    return [study for study in studies if study is not None]


def _created(entry: Mapping[str, Any]) -> Trial:
    """Return the trial that an operation creates: an empty one, or a whole one that was added by hand."""
    distributions = {name: json.loads(text) for name, text in entry.get("distributions", {}).items()}
    params = {name: _external(value, distributions[name]) for name, value in entry.get("params", {}).items()}
    values = entry.get("values")
    if values is None:
        values = [] if entry.get("value") is None else [entry["value"]]
    return Trial(STATES[entry.get("state", 0)], params, list(values))


def _external(value: float, distribution: Mapping[str, Any]) -> Any:
    """Return the value that a number stands for in a storage."""
    name, attributes = distribution["name"], distribution["attributes"]
    if name == "CategoricalDistribution":
        return attributes["choices"][int(value)]
    return round(value) if name.startswith("Int") else value


def studies_at(url: str, name: str | None) -> list[Study]:
    """Return studies at a URL that SQLAlchemy knows, through Optuna itself.

    Raises:
        MissingExtra: Optuna is not installed.
    """
    optuna = require("optuna", feature=f"warm_from={url!r}", extra="optuna")
    names = [name] if name is not None else optuna.get_all_study_names(url)
    return [of_object(optuna.load_study(study_name=each, storage=url)) for each in names]


def of_object(study: Any) -> Study:
    """Return what an `optuna.Study` holds."""
    trials = [
        Trial(trial.state.name, dict(trial.params), list(trial.values or ()))
        for trial in study.get_trials(deepcopy=False)
    ]
    return Study(study.study_name, [way.name != "MAXIMIZE" for way in study.directions], trials)

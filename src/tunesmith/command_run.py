"""What `tunesmith run` does: the same as a script that calls `run` or `run_experiments`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .analysis.results import Results
from .api import run
from .compat import experiments_from_file, run_experiments
from .errors import ConfigError
from .invocation import resumed_folder
from .space.json_spec import domains_from_json
from .trainables import imported

FILES = (".json", ".yaml", ".yml")


def run_target(target: str, space: str | None, options: Mapping[str, Any]) -> int:
    """Run an experiment file, or a function by its name; return the exit code.

    Raises:
        TuneError: It could not be started; the message says why.
    """
    arguments = {**options, **_pairs(options, "stop"), **_pairs(options, "resources")}
    address = arguments.pop("address", None)
    if address is not None:
        arguments["executor"] = _at(arguments.get("executor"), address)
    if target.endswith(FILES):
        if space is not None:
            raise ConfigError("--space does not go with an experiment file: the file's config is the space.")
        return _run_file(target, arguments)
    if ":" not in target:
        raise ConfigError(f"{target!r}: give an experiment file (.json, .yaml), or a function as module:name.")
    results = run(imported(target), space=_space(space), **arguments)
    return exit_code(results)


def _run_file(path: str, arguments: dict[str, Any]) -> int:
    experiments = experiments_from_file(path)
    name = arguments.pop("name", None)
    if name is not None:
        if len(experiments) > 1:
            raise ConfigError(f"--name: {path} holds {len(experiments)} experiments, each with its own name.")
        experiments[0].name = name
    if resumed_folder() is not None:
        arguments["resume"] = True
    scheduler = arguments.pop("scheduler", None)
    trials = run_experiments(experiments, scheduler=scheduler, raise_on_failed_trial=False, **arguments)
    folders = dict.fromkeys(trial.folder.parent.parent for trial in trials)
    return max((exit_code(Results(folder)) for folder in folders), default=1)


def _at(executor: str | None, address: str) -> str:
    if executor is None or executor.partition(":")[0] not in ("ray", "dask"):
        raise ConfigError(f"--address {address}: it goes with --executor ray or --executor dask.")
    return f"{executor}{',' if ':' in executor else ':'}address={address}"


def _space(text: str | None) -> Mapping[str, Any] | None:
    if text is None:
        return None
    if not text.lstrip().startswith("{"):
        if ":" in text and not Path(text).exists():
            return _mapping(imported(text), text)
        try:
            text = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"--space {text}: {error.strerror}. Give JSON, a JSON file, or module:name.") from error
    try:
        return _mapping(domains_from_json(json.loads(text)), "the JSON")
    except ValueError as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"--space is not valid JSON: {error}.") from error


def _mapping(space: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(space, Mapping):
        raise ConfigError(f"--space: {what} is {type(space).__name__}; a search space is a dict.")
    return space


def _pairs(options: Mapping[str, Any], name: str) -> dict[str, dict[str, float]]:
    """Return `--stop accuracy=0.99 --stop ...` as the dict that `run` takes, if any was given."""
    texts: Iterable[str] = options.get(name, ())
    pairs: dict[str, float] = {}
    for text in texts:
        key, _, value = text.rpartition("=")
        try:
            pairs[key] = float(value)
        except ValueError:
            key = ""
        if not key:
            raise ConfigError(f"--{name} {text}: write it as NAME=NUMBER.") from None
    return {name: pairs} if pairs else {}


def exit_code(results: Results) -> int:
    """Return what a command that ran an experiment exits with."""
    finished = results.finished
    if finished is None or finished.reason in ("failed", "stuck"):
        return 1
    return 130 if finished.reason == "interrupted" else 0

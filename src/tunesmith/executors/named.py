"""Executors by name, as scripts, the command line and the environment call them."""

from __future__ import annotations

import difflib
import importlib
import inspect
import json
import os
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError
from .base import Executor

VARIABLE = "TUNESMITH_EXECUTOR"
"""The environment variable that names the executor of a script that does not choose one."""

_CLASSES = {
    "local": ("local", "LocalExecutor"),
    "inline": ("inline", "InlineExecutor"),
    "ray": ("ray", "RayExecutor"),
    "dask": ("dask", "DaskExecutor"),
    "slurm": ("slurm", "SlurmExecutor"),
}
"""Name -> file and class here; imported when it is asked for."""
_OF_ONE_MACHINE = ("local", "inline")


def executor_of(
    asked: Executor | str | None, cpus: float | None = None, gpus: int | Sequence[str] | None = None
) -> Executor:
    """Return an executor by its name and options, such as "ray" or "slurm:jobs=8,cpus_per_job=4".

    Args:
        asked: The name, or an executor, which is returned as it is. None: what the environment says, or "local".
        cpus: How many CPUs of this machine to count on.
        gpus: How many of this machine's GPUs, or which.

    Raises:
        ConfigError: There is none of that name, it does not know such an option, or does not count CPUs and GPUs here.
    """
    if isinstance(asked, Executor):
        if cpus is not None or gpus is not None:
            raise ConfigError("cpus= and gpus= go to the executor when you give one yourself.")
        return asked
    where, text = ("executor", asked) if asked is not None else (VARIABLE, os.environ.get(VARIABLE) or "local")
    if not isinstance(text, str):
        raise ConfigError(f"executor={text!r}: give a name, such as 'local' or 'ray', or an Executor.")
    name, _, rest = text.partition(":")
    if name not in _CLASSES:
        near = difflib.get_close_matches(name, _CLASSES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ConfigError(
            f"{where}={text!r}: there is none of that name.{hint} There are: {', '.join(map(repr, _CLASSES))}; or give "
            "an Executor."
        )
    options = _options(rest, f"{where}={text!r}")
    if name in _OF_ONE_MACHINE:
        options |= {key: value for key, value in (("cpus", cpus), ("gpus", gpus)) if value is not None}
    elif cpus is not None or gpus is not None:
        hint = " Write slurm:cpus_per_job=4,gpus_per_job=1." if name == "slurm" else ""
        raise ConfigError(
            f"cpus= and gpus= are of one machine; with executor={name!r} the nodes say what they have.{hint}"
        )
    file, made = _CLASSES[name]
    kind = getattr(importlib.import_module(f".{file}", __package__), made)
    unknown = options.keys() - inspect.signature(kind).parameters.keys()
    if unknown:
        known = ", ".join(inspect.signature(kind).parameters)
        raise ConfigError(f"{where}={text!r}: {made} has no option {sorted(unknown)[0]!r}. It has: {known}.")
    found: Executor = kind(**options)
    return found


def _options(text: str, where: str) -> dict[str, Any]:
    """Return "jobs=8,partition=long" as a dict; what is no JSON is text."""
    options: dict[str, Any] = {}
    for pair in filter(None, text.split(",")):
        key, equals, value = pair.partition("=")
        if not equals or not key.isidentifier():
            raise ConfigError(
                f"{where}: write options as NAME=VALUE, with commas between: slurm:jobs=8,cpus_per_job=4."
            )
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
    return options

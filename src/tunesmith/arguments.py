"""What the front door's arguments must be. Each check returns the argument as the rest of the package takes it.

Every error is a `ConfigError` that shows the value and says what to give instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import timedelta
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from .callbacks.base import Callback
from .core.objective import Objective
from .errors import ConfigError
from .remote import scheme

LONGEST_NAME = 200
"""Bytes; file systems take 255."""
_FORBIDDEN = re.compile(r"[/\\\0-\x1f\x7f]")


def number(name: str, value: Any, *, at_least: float | None = None, above: float | None = None) -> float:
    """Return a real number in its bounds; inf is one, nan is not."""
    bound = f"of at least {at_least:g}" if at_least is not None else f"above {above:g}"
    is_number = not isinstance(value, bool) and isinstance(value, Real) and value == value
    if not is_number or (at_least is not None and value < at_least) or (above is not None and value <= above):
        raise ConfigError(f"{name}={value!r}: give a number {bound}.")
    return float(value)


def seconds(name: str, value: float | timedelta | None) -> float | None:
    """Return a time above 0 in seconds; None stays None."""
    if value is None:
        return None
    return number(name, value.total_seconds() if isinstance(value, timedelta) else value, above=0)


def whole_number(name: str, value: Any, *, at_least: int | None = None, none: str = "") -> int:
    """Return a whole number, numpy's included; `none` says what else could be meant."""
    bound = "" if at_least is None else f" of at least {at_least}"
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or (at_least is not None and value < at_least):
        raise ConfigError(f"{name}={value!r}: give a whole number{bound}{none}.")
    return int(value)


def sample_count(value: Any) -> int:
    """Return how often to sample; -1 is without end."""
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or value == 0 or value < -1:
        raise ConfigError(f"num_samples={value!r}: give a whole number from 1, or -1 for no end.")
    return int(value)


def seed(value: Any) -> int:
    """Return a seed: a whole number that a journal and the wire can hold."""
    found = whole_number("seed", value)
    if not -(2**63) <= found < 2**64:
        raise ConfigError(f"seed={value!r} does not fit into 64 bits. Give a smaller one.")
    return found


def one_of(name: str, value: Any, allowed: tuple[bool | str, ...]) -> Any:
    """Return one of some words and booleans; 1 is not True here, nor is "yes"."""
    for candidate in allowed:
        if type(value) is type(candidate) and value == candidate:
            return candidate
    raise ConfigError(f"{name}={value!r}: give one of {', '.join(map(repr, allowed))}.")


def flag(name: str, value: Any) -> bool:
    """Return True or False."""
    return bool(one_of(name, value, (True, False)))


def verbosity(value: Any) -> int:
    """Return how much to show."""
    if not isinstance(value, Integral) or value < 0:
        raise ConfigError(f"verbose={value!r}: give 0 for silence, or 1 for the display.")
    return int(value)


def callback_list(callbacks: Any) -> list[Callback]:
    """Return callbacks as a list of objects."""
    if not isinstance(callbacks, Iterable):
        raise ConfigError(f"callbacks={callbacks!r}: give a list of tune.Callback objects.")
    found = list(callbacks)
    for callback in found:
        if not isinstance(callback, Callback):
            raise ConfigError(f"callbacks=: {callback!r} is no object of a class derived from tune.Callback.")
    return found


_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_UNITS |= {f"{unit}i": 2 ** (10 * power) for power, unit in enumerate("kmgt", 1)}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", re.IGNORECASE)


def byte_count(name: str, value: Any) -> int | None:
    """Return a size in bytes, above 0, from a number or text such as "10GB" (10**9 bytes each) or "1.5 GiB" (2**30)."""
    if value is None:
        return None
    size = 0
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        size = int(float(found[1]) * _UNITS.get(found[2].lower(), 0))
    elif not isinstance(value, bool) and isinstance(value, Integral):
        size = int(value)
    if size <= 0:
        raise ConfigError(f"{name}={value!r}: give a number of bytes above 0, or text such as '500MB' or '10GB'.")
    return size


def checkpoint_score(attribute: Any, order: Any) -> Objective | None:
    """Return what checkpoints are kept by: a metric, early Tune's "min-metric", or nothing of their own."""
    if order is not None:
        one_of("checkpoint_score_order", order, ("max", "min"))
    if attribute is None:
        if order is not None:
            raise ConfigError(f"checkpoint_score_order={order!r} without a metric. Add checkpoint_score_attr=.")
        return None
    if not isinstance(attribute, str) or not attribute.removeprefix("min-"):
        raise ConfigError(f"checkpoint_score_attr={attribute!r}: give a metric's name, or 'min-' and the name.")
    if order is None and attribute.startswith("min-"):
        return Objective(attribute.removeprefix("min-"), "min")
    return Objective(attribute, order or "max")


def experiment_name(name: Any) -> str:
    """Return a name that every file system takes as a folder's."""
    if not isinstance(name, str) or not name or _FORBIDDEN.search(name) or name.strip(". ") != name:
        raise ConfigError(f"name={name!r}: it becomes a folder; give a short name without slashes.")
    if len(name.encode("utf-8", "surrogatepass")) > LONGEST_NAME:
        raise ConfigError(
            f"name={name[:40]!r}... is longer than {LONGEST_NAME} bytes; it becomes a folder. Shorten it."
        )
    return name


def storage(path: Any) -> Path | str:
    """Return a URL, or a folder in which experiments can be made, or that can itself be made; it is not made yet."""
    if not isinstance(path, str | os.PathLike) or not os.fspath(path) or isinstance(os.fspath(path), bytes):
        raise ConfigError(f"storage_path={path!r}: give the path of a folder, or a URL such as s3://bucket/path.")
    text = os.fspath(path)
    kind = scheme(text)
    if kind in ("file", "local"):
        text = "/" + text.partition(":")[2].lstrip("/")
    elif kind == "memory":
        raise ConfigError(f"storage_path={text!r}: memory of one process, which trials and later runs do not share.")
    elif kind:
        if "://" not in text:
            raise ConfigError(f"storage_path={text!r}: Path() has made one slash of the URL's two. Give it as text.")

        return text.rstrip("/")
    folder = Path(text).expanduser()
    parent = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    if not parent.is_dir():
        raise ConfigError(f"storage_path={text!r}: {parent} is a file. Give the path of a folder.")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(f"storage_path={text!r}: {parent} cannot be written to. Give another folder.")
    return folder

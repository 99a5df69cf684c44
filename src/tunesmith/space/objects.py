"""What a journaled config may hold: JSON values that survive a round trip exactly. Everything else has an id here.

A class, a function, a tuple, an array, inf or a number too big for 64 bits stands in a config as `{"$object": id}`; the
id comes from the value's place in the space, so that the same space gives the same ids in every session.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ..errors import SpaceError

OBJECT_KEY = "$object"
SMALLEST_INTEGER = -(2**63)
LARGEST_INTEGER = 2**64 - 1
LABEL_LENGTH = 60
LABEL_ITEMS = 12


def python_scalar(value: Any) -> Any:
    """Return a numpy scalar as the Python number or string that it stands for, and anything else as it is."""
    numpy = sys.modules.get("numpy")  # a value of numpy's cannot exist before numpy has been imported
    if numpy is not None and isinstance(value, numpy.generic):
        scalar = value.item()
        if isinstance(scalar, bool | int | float | str):
            return scalar
    return value


def is_json_scalar(value: Any) -> bool:
    """Whether JSON holds this number, string, bool or None exactly, type included."""
    if value is None or type(value) is bool:
        return True
    if type(value) is int:
        return SMALLEST_INTEGER <= value <= LARGEST_INTEGER
    if type(value) is float:
        return math.isfinite(value)
    return is_json_string(value)


def is_json_string(value: Any) -> bool:
    """Whether `value` is a string (no subclass) that UTF-8 can hold."""
    if type(value) is not str:
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_json(value: Any) -> bool:
    """Whether JSON holds `value` exactly, all the way down; a dict with the reserved key is not."""
    if type(value) is list:
        return all(map(is_json, value))
    if type(value) is dict:
        return OBJECT_KEY not in value and all(map(is_json_string, value)) and all(map(is_json, value.values()))
    return is_json_scalar(value)


def label(value: Any) -> str:
    """Return a short text for people: a class's or function's name, a container's labels, else the repr, cut."""
    if type(value) in (list, tuple):
        brackets = "[]" if type(value) is list else "()"
        comma = "," if type(value) is tuple and len(value) == 1 else ""
        return brackets[0] + _labels(value) + comma + brackets[1]
    if type(value) is dict:
        return "{" + ", ".join(f"{key!r}: {label(item)}" for key, item in value.items()) + "}"
    if isinstance(name := getattr(value, "__qualname__", None), str):
        return name.rpartition("<locals>.")[2]
    if all("__repr__" not in vars(base) for base in type(value).__mro__[:-1]):
        return f"<{type(value).__qualname__}>"  # object's own repr has the address, which differs from run to run
    return cut(" ".join(repr(value).split()), LABEL_LENGTH)


def where_written(function: Any) -> str:
    """Return a short text for a user's function: where it stands in which file."""
    code = getattr(function, "__code__", None)
    if code is None:
        return label(function)
    file = code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{code.co_name.strip('<>')} at {file}:{code.co_firstlineno}"


def _labels(values: Sequence[Any]) -> str:
    if len(values) <= LABEL_ITEMS:
        return ", ".join(map(label, values))
    return f"{', '.join(map(label, values[: LABEL_ITEMS - 1]))}, ... {label(values[-1])}"


def cut(text: str, length: int) -> str:
    """Return `text`, its end replaced by "..." when it is longer than `length`."""
    return text if len(text) <= length else text[: length - 3] + "..."


def resolve_objects(config: Any, objects: Mapping[str, Any]) -> Any:
    """Return a copy of a config in which each `{"$object": id}` is the object itself.

    Raises:
        SpaceError: An id that `objects` does not have.
    """
    if isinstance(config, dict):
        if config.keys() != {OBJECT_KEY}:
            return {key: resolve_objects(value, objects) for key, value in config.items()}
        if config[OBJECT_KEY] not in objects:
            raise SpaceError(
                f"the config mentions the object {config[OBJECT_KEY]!r}, which this space does not have. "
                "Was the space changed since the config was made?"
            )
        return objects[config[OBJECT_KEY]]
    if isinstance(config, list):
        return [resolve_objects(value, objects) for value in config]
    return config

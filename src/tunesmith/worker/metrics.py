"""What a report may carry, checked at the door: flat, JSON values, small. Everything behind it trusts that.

Scalars and arrays of numpy, torch, jax and TensorFlow are known by how they behave, so that none of them is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import ReportError

LARGEST_REPORT = 1_000_000
"""Bytes, encoded."""
DEEPEST_NESTING = 20
LARGEST_ARRAY = 100_000
"""Elements; a larger one would be above `LARGEST_REPORT` anyway, and is not even looked at."""

_INTEGER_LIMIT = 2**63
_FLOAT_LIKE = frozenset({float, bool, type(None)})
_MANY_KEYS = 1_000

NUMBER_KINDS = (float, int, bool)


def normalised(metrics: Any, *objectives: str | None) -> dict[str, Any]:
    """Return `metrics` as a new flat dict of JSON values; nan and inf stay as they are.

    Args:
        metrics: A mapping; mappings inside it are flattened, their keys joined by "/".
        *objectives: The objectives' names; the value of each must be a number, or None for "no value this time".

    Raises:
        ReportError: Something in it cannot be recorded; the message names the key, the type and what to do.
    """
    if type(metrics) is dict and len(metrics) < _MANY_KEYS:
        plain = _plain(metrics)
        if plain is not None:
            return plain
    if not isinstance(metrics, Mapping):
        raise ReportError(
            f"a report takes a dict of metrics, not {_described(metrics)}. Write it as {{'loss': value}}, for example."
        )
    flat: dict[str, Any] = {}
    _flatten(metrics, "", flat, 1)
    for objective in objectives:
        _check_objective(flat, objective)
    _check_size(flat)
    return flat


def _plain(metrics: dict[Any, Any]) -> dict[str, Any] | None:
    """Return the report if it is what almost every report is, numbers under plain names, else None. Made to be fast."""
    flat: dict[str, Any] = {}
    for key, value in metrics.items():
        if type(key) is not str or not key or not key.isascii() or "\0" in key:
            return None
        kind = type(value)
        if kind not in _FLOAT_LIKE:
            if kind is not int and getattr(value, "shape", None) == () and hasattr(value, "item"):
                value = value.item()
                kind = type(value)
            if kind not in _FLOAT_LIKE and not (kind is int and -_INTEGER_LIMIT <= value < _INTEGER_LIMIT):
                return None
        flat[key] = value
    return flat


def number_of(value: Any) -> float | int | None:
    """Return `value` as a Python number if it is one (a scalar, or an array of one element), else None."""
    found = value if isinstance(value, NUMBER_KINDS) else _from_array("_metric", value)
    while found is not value and isinstance(found, list) and len(found) == 1:
        found = found[0]
    return found if isinstance(found, NUMBER_KINDS) else None


def _flatten(metrics: Mapping[Any, Any], prefix: str, flat: dict[str, Any], depth: int) -> None:
    if depth > DEEPEST_NESTING:
        raise ReportError(
            f"metric {prefix[:80]!r}... is nested deeper than {DEEPEST_NESTING} levels (does it contain itself?). "
            "Report the few numbers that matter."
        )
    for key, value in metrics.items():
        name = prefix + _checked_key(key, prefix)
        if isinstance(value, Mapping):
            _flatten(value, name + "/", flat, depth + 1)
        elif name in flat:
            raise ReportError(f"metric {name!r} is given twice: nested keys are joined by '/'. Rename one of the two.")
        else:
            flat[name] = _json_value(name, value, depth)


def _checked_key(key: Any, prefix: str) -> str:
    place = f" in {prefix[:-1]!r}" if prefix else ""
    if not isinstance(key, str):
        raise ReportError(
            f"the metric name {key!r}{place} is {_described(key)}. Names are strings: write {str(key)!r}."
        )
    if not key:
        raise ReportError(f"a metric{place} has the empty string as its name. Give it a name.")
    if "\0" in key or not _is_unicode(key):
        raise ReportError(f"the metric name {key!r}{place} holds a NUL or half a surrogate pair. Use plain text.")
    return str.__str__(key)


def _json_value(name: str, value: Any, depth: int) -> Any:
    """Return `value` as a JSON value; `name` is for messages."""
    kind = type(value)
    if kind in _FLOAT_LIKE:
        return value
    if isinstance(value, str):
        if not _is_unicode(value):
            raise ReportError(f"metric {name!r} is text with half a surrogate pair: {value[:40]!r}. Use plain text.")
        return str.__str__(value)
    if isinstance(value, int):
        return _integer(name, int(value))
    if isinstance(value, float):
        return float(value)
    if isinstance(value, list | tuple):
        return _json_list(name, value, depth)
    if isinstance(value, Mapping):
        inner: dict[str, Any] = {}
        for key, item in value.items():
            inner[_checked_key(key, f"{name}/")] = _json_value(name, item, _deeper(name, depth))
        return inner
    found = _from_array(name, value)
    if type(found) is not type(value):  # numpy's long double stands for itself
        return _json_value(name, found, depth)
    raise ReportError(f"metric {name!r} is {_described(value)}, which cannot be recorded. {_advice(value)}")


def _json_list(name: str, value: list[Any] | tuple[Any, ...], depth: int) -> list[Any]:
    if len(value) > LARGEST_ARRAY:
        raise ReportError(_too_large(f"metric {name!r} is {_described(value)} of {len(value):,} elements"))
    inner = _deeper(name, depth)
    return [_json_value(name, item, inner) for item in value]


def _deeper(name: str, depth: int) -> int:
    if depth >= DEEPEST_NESTING:
        raise ReportError(
            f"metric {name!r} is nested deeper than {DEEPEST_NESTING} levels (does it contain itself?). "
            "Report the few numbers that matter."
        )
    return depth + 1


def _from_array(name: str, value: Any) -> Any:
    """Return the Python number or list that an array or an array library's scalar stands for, else `value` itself."""
    numpy_of = getattr(value, "numpy", None)
    if not hasattr(value, "tolist") and callable(numpy_of) and hasattr(value, "shape"):
        value = numpy_of()  # TensorFlow's eager tensors
    shape = getattr(value, "shape", None)
    if shape is None or isinstance(value, type) or not callable(getattr(value, "tolist", None)):
        return value
    elements = 1
    for length in shape:
        elements *= int(length)
    if elements > LARGEST_ARRAY:
        raise ReportError(_too_large(f"metric {name!r} is {_described(value)} of shape {tuple(shape)}"))
    return value.tolist()


def _integer(name: str, value: int) -> int | float:
    if -_INTEGER_LIMIT <= value < _INTEGER_LIMIT:
        return value
    try:
        return float(value)
    except OverflowError:
        raise ReportError(
            f"metric {name!r} is an integer of {value.bit_length()} bits, too large for a number. Report its logarithm?"
        ) from None


def _check_objective(flat: dict[str, Any], metric: str | None) -> None:
    value = flat.get(metric) if metric is not None else None
    if isinstance(value, str | list | dict):
        raise ReportError(
            f"metric {metric!r} is what the experiment optimises, so it must be one number; "
            f"it is {_described(value)}: {_shortened(value)}. Report a number, e.g. float({metric})."
        )


def _check_size(flat: dict[str, Any]) -> None:
    size = len(msgspec.msgpack.encode(flat))
    if size > LARGEST_REPORT:
        sizes = {name: len(msgspec.msgpack.encode(value)) for name, value in flat.items()}
        largest = max(sizes, key=lambda name: sizes[name])
        raise ReportError(
            _too_large(
                f"this report is {size:,} bytes, above the limit of {LARGEST_REPORT:,} "
                f"(the largest metric: {largest!r}, {sizes[largest]:,})"
            )
        )


def _too_large(what: str) -> str:
    return f"{what}: too large for a metric. Put it in a checkpoint or a file in the trial's folder."


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _described(value: Any) -> str:
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"


def _shortened(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _advice(value: Any) -> str:
    if isinstance(value, bytes | bytearray | memoryview):
        return "Report text (bytes.decode()), or put it in a checkpoint."
    if isinstance(value, set | frozenset):
        return "Report a list, e.g. sorted(value)."
    if isinstance(value, complex):
        return "Report its abs(), .real or .imag."
    if callable(value):
        return "Was it meant to be called, with ()?"
    if hasattr(value, "__float__"):
        return "Report float(value)."
    return "Report numbers, strings, or lists and dicts of them; put anything else in a checkpoint."

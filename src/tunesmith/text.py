"""Values as text for people. Nothing here knows what an experiment is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST = 40


def shown(value: Any) -> str:
    """Return a value short enough for a line, without control characters."""
    if isinstance(value, float):
        return f"{value:.4g}"
    text = printable(getattr(value, "__name__", None) or str(value))
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def printable(text: str) -> str:
    """Return `text` without line breaks and control characters, which could play tricks on a terminal."""
    return "".join(character if character.isprintable() else " " for character in text)


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested config as one dict whose keys are paths: `{"model": {"depth": 3}}` -> `{"model/depth": 3}`."""
    pairs: dict[str, Any] = {}
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            pairs.update(flat(value, f"{prefix}{key}/"))
        else:
            pairs[f"{prefix}{key}"] = value
    return pairs


def described(config: Mapping[str, Any]) -> str:
    """Return a config in one line."""
    return ", ".join(f"{name}={shown(value)}" for name, value in flat(config).items()) or "{}"


def duration(seconds: float) -> str:
    """Return a time as people say it: `4.2 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"

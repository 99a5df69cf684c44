"""How a scheduler with settings is spelled in one word: `asha(max_t=27, grace_period=1)`. Nothing is ever evaluated."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any, Final

from ..core.policy import Scheduler
from ..errors import ConfigError

_WHOLE = re.compile(r"\s*([A-Za-z_]\w*)\s*(?:\((.*)\)\s*)?", re.DOTALL)
_SETTING = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|([^\s,'\"()\[\]{}=]+))\s*")
_WORDS: Final = {"true": True, "false": False, "none": None}
_SPELLING = "write name or name(key=value, key=value), each value a number or a word: asha(max_t=27, grace_period=1)"


def spelled(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the settings that `text` spells; values are numbers, true, false, none, or words.

    Raises:
        ConfigError: It is spelled otherwise.
    """
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        raise ConfigError(f"scheduler={text!r}: {_SPELLING}.")
    name, inner = whole[1], whole[2] or ""
    settings: dict[str, Any] = {}
    at = 0
    while inner[at:].strip():
        found = _SETTING.match(inner, at)
        if found is None or (found.end() < len(inner) and inner[found.end()] != ","):
            raise ConfigError(f"scheduler={text!r}: cannot read {inner[at:].strip()!r}; {_SPELLING}.")
        key, single, double, bare = found.groups()
        if key in settings:
            raise ConfigError(f"scheduler={text!r}: {key} is given twice.")
        settings[key] = _value(bare) if bare is not None else double if single is None else single
        at = found.end() + 1
    return name, settings


def built(text: str, scheduler: type[Scheduler], settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> Scheduler:
    """Return a scheduler with these settings, and with those of `defaults` that it takes and `settings` leaves open.

    Raises:
        ConfigError: It does not take a setting, or needs one that cannot be spelled.
    """
    known = inspect.signature(scheduler).parameters
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            takes = f"It takes: {', '.join(known) or 'nothing'}."
            raise ConfigError(f"scheduler={text!r}: {scheduler.__name__} takes no {key}.{hint} {takes}")
    own = {key: value for key, value in defaults.items() if key in known}
    missing = [
        key
        for key, parameter in known.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        and key not in settings
        and key not in own
    ]
    if missing:
        raise ConfigError(
            f"scheduler={text!r}: {scheduler.__name__} also needs {', '.join(missing)}. "
            f"Spell it {text.partition('(')[0]}({missing[0]}=...), or make the object in Python."
        )
    return scheduler(**{**own, **settings})


def _value(word: str) -> Any:
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word

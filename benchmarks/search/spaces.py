"""Search spaces in a form that every peer's driver can read: plain data, JSON and back. Standard library only."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

Config = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One parameter: a number in [low, high], or one of `options`. With `when`, there only if another has a value."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    integer: bool = False
    options: tuple[Any, ...] = ()
    when: tuple[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Parameter":
        when = found["when"]
        options = tuple(found["options"])
        return cls(**{**found, "options": options, "when": None if when is None else (when[0], when[1])})


def real(name: str, low: float, high: float, *, log: bool = False, when: tuple[str, Any] | None = None) -> Parameter:
    return Parameter(name, low, high, log=log, when=when)


def whole(name: str, low: int, high: int, *, log: bool = False, when: tuple[str, Any] | None = None) -> Parameter:
    return Parameter(name, low, high, log=log, integer=True, when=when)


def choice(name: str, options: Iterable[Any], *, when: tuple[str, Any] | None = None) -> Parameter:
    return Parameter(name, options=tuple(options), when=when)


def is_there(parameter: Parameter, config: Mapping[str, Any]) -> bool:
    """Whether a parameter belongs to a config whose earlier parameters are already in it."""
    return parameter.when is None or config.get(parameter.when[0]) == parameter.when[1]


def only_what_counts(parameters: Iterable[Parameter], config: Mapping[str, Any]) -> Config:
    """Return a config without the parameters whose conditions it does not meet, for peers that know no conditions."""
    kept: Config = {}
    for parameter in parameters:
        if is_there(parameter, kept) and parameter.name in config:
            kept[parameter.name] = config[parameter.name]
    return kept

"""Calling a function trainable: what it is given, and what it may give back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping
from typing import Any

from ..errors import ConfigError, ReportError
from .metrics import number_of
from .session import Reporter, Session, TrialHalted

Function = Callable[..., Any]

DEFAULT_METRIC = "_metric"
"""The name of a number that a function returns when the experiment names no metric."""

_BY_POSITION = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def reporter_position(function: Function, parameters: Mapping[str, Any]) -> str:
    """Return how `function` takes its reporter: "none", "second" (positionally) or "keyword".

    Raises:
        ConfigError: It cannot be called with a config and `parameters`; the message says which argument is at fault.
    """
    name = name_of(function)
    if inspect.iscoroutinefunction(function):
        raise ConfigError(f"{name} is async. Wrap it: lambda config: asyncio.run({name}(config)).")
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return "none"  # some builtins hide their signature; most take what they are given
    if not arguments or arguments[0].kind not in (*_BY_POSITION, inspect.Parameter.VAR_POSITIONAL):
        raise ConfigError(f"{name} takes no positional argument for the config. Write it as def {name}(config).")
    _check_accepts(function, arguments, parameters)
    position = "none"
    for index, one in enumerate(arguments[1:], 1):
        required = one.default is one.empty and one.kind not in _VARIADIC
        if one.name in parameters:
            continue
        if index == 1 and one.kind in _BY_POSITION and (required or one.name == "reporter"):
            position = "second"
        elif one.name == "reporter":
            position = "keyword"
        elif required:
            raise ConfigError(
                f"{name} needs {one.name!r}, which nobody gives it. It is called with (config) or (config, reporter); "
                f"give the rest by tune.with_parameters(..., {one.name}=...)."
            )
    return position


def _check_accepts(function: Function, arguments: list[inspect.Parameter], parameters: Mapping[str, Any]) -> None:
    if any(one.kind is one.VAR_KEYWORD for one in arguments):
        return
    named = {one.name for one in arguments[1:] if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)}
    for name in parameters:
        if name not in named:
            raise ConfigError(
                f"with_parameters gives {name!r}, which {name_of(function)} does not take. "
                f"Add the argument {name!r}, or leave it out of with_parameters."
            )


def call(
    function: Function, position: str, config: dict[str, Any], parameters: Mapping[str, Any], session: Session
) -> None:
    """Run `function` to its end, its reporter given at `position`; what it returns or yields is reported."""
    match position:
        case "second":
            returned = function(config, Reporter(session), **parameters)
        case "keyword":
            returned = function(config, reporter=Reporter(session), **parameters)
        case _:
            returned = function(config, **parameters)
    if isinstance(returned, Generator):
        returned = _reported_all(function, returned, session)
    if returned is not None:
        session.report(_as_metrics(function, "returned", returned, session.metric))


def _reported_all(function: Function, results: Generator[Any, Any, Any], session: Session) -> Any:
    """Report each yielded value; return what the generator returns at its end."""
    try:
        while True:
            try:
                value = next(results)
            except StopIteration as end:
                return end.value
            session.report(_as_metrics(function, "yielded", value, session.metric))
    except TrialHalted:
        results.close()  # now, so that its `finally` blocks run while the trial is still the active one
        raise


def _as_metrics(function: Function, how: str, value: Any, metric: str | None) -> Any:
    if isinstance(value, Mapping):
        return value
    number = number_of(value)
    if number is None:
        raise ReportError(
            f"{name_of(function)} {how} a {type(value).__qualname__}. A trial may return nothing, a number or a dict "
            "of metrics, or yield numbers or dicts."
        )
    return {metric or DEFAULT_METRIC: number}


def name_of(function: Function) -> str:
    """Return a callable's name for messages."""
    inner = getattr(function, "func", function)  # functools.partial
    return getattr(inner, "__qualname__", type(inner).__qualname__)


def place_of(function: Function) -> str:
    """Return where a callable is defined, as `file.py:12 in name`; "" when that is not known."""
    inner = inspect.unwrap(getattr(function, "func", function))
    method = vars(type(inner)).get("__call__")  # of an object that is called like a function
    code = getattr(inner, "__code__", None) or getattr(method, "__code__", None)
    if code is None:
        return ""
    return f"{code.co_filename.rpartition('/')[2]}:{code.co_firstlineno} in {code.co_name}"

"""What may be tuned, and how it is named: functions, classes, registered names, "module:function", bound ones."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .core.bundles import Request, is_request
from .errors import ConfigError
from .worker.foreign import RayTrainable, algorithm_named, has_contract, has_rllib, is_algorithm_config
from .worker.functions import reporter_position
from .worker.trainable import Trainable, check_class

Resources = Request | Callable[[dict[str, Any]], Request]
"""A request, or a function from a trial's config to one."""

# Early scripts register a trainable under a name and then run that name; a process-wide table is what they mean.
_REGISTERED: dict[str, Any] = {}


@dataclass(frozen=True)
class Bound:
    """A trainable with what `with_parameters` and `with_resources` added to it."""

    trainable: Any
    parameters: Mapping[str, Any] = field(default_factory=dict)
    resources: Resources | None = None


def register_trainable(name: str, trainable: Any) -> None:
    """Let `run=name` stand for a trainable in this process.

    Raises:
        ConfigError: The name is empty, or the thing cannot be tuned.
    """
    if not isinstance(name, str) or not name:
        raise ConfigError(f"register_trainable({name!r}, ...): give a non-empty name.")
    resolved(trainable)
    _REGISTERED[name] = trainable


def with_parameters(trainable: Any, **parameters: Any) -> Bound:
    """Return the trainable with large data bound to it: sent to each worker once, not with every trial.

    The parameters are passed by keyword: to the function, or to a class's `setup`.
    """
    bound = resolved(trainable)
    if not parameters:
        raise ConfigError("with_parameters: give the data by keyword, e.g. with_parameters(train, data=data).")
    return Bound(bound.trainable, {**bound.parameters, **parameters}, bound.resources)


def with_resources(trainable: Any, resources: Resources) -> Bound:
    """Return the trainable with the resources that each of its trials asks for.

    Args:
        trainable: What to tune.
        resources: `{"cpu": 2, "gpu": 0.5}`, a list of such dicts or `Bundles`, or a function from a trial's config to
            any of these.
    """
    bound = resolved(trainable)
    if not callable(resources) and not is_request(resources):
        raise ConfigError(
            f"with_resources: {resources!r} is neither a dict such as {{'cpu': 2}}, nor a list of them, nor a function."
        )
    return Bound(bound.trainable, bound.parameters, resources)


def resolved(trainable: Any) -> Bound:
    """Return the function or class behind whatever a user passes as trainable.

    Raises:
        ConfigError: Nothing that can be tuned; the message says what can.
    """
    if isinstance(trainable, Bound):
        return trainable
    if isinstance(trainable, str):
        return resolved(_named(trainable))
    if isinstance(trainable, RayTrainable):
        return Bound(trainable.as_class())
    if is_algorithm_config(trainable) or _is_foreign(trainable):
        return Bound(RayTrainable(trainable).as_class())
    if isinstance(trainable, Mapping):
        raise ConfigError("the trainable is a dict; run(trainable, space=...) takes the function or class first.")
    if not callable(trainable):
        raise ConfigError(
            f"{trainable!r} ({type(trainable).__name__}) cannot be tuned. Give a function of (config), a class derived "
            "from tune.Trainable, a registered name or 'module:function'."
        )
    if isinstance(trainable, type) and not issubclass(trainable, Trainable):
        raise ConfigError(
            f"the class {trainable.__name__} is no trainable. Derive it from tune.Trainable, or give it Ray's "
            "contract: train(), save(folder) and restore(path)."
        )
    return Bound(trainable)


def _is_foreign(trainable: Any) -> bool:
    is_class = isinstance(trainable, type) and not issubclass(trainable, Trainable)
    return is_class and has_contract(trainable)


def _named(name: str) -> Any:
    """Return what a name stands for: something registered, imported, or an algorithm of RLlib."""
    if name in _REGISTERED:
        return _REGISTERED[name]
    if ":" in name:
        return imported(name)
    known = ", ".join(sorted(_REGISTERED)) or "none so far"
    if name.isidentifier() and has_rllib():
        with contextlib.suppress(ConfigError):
            return algorithm_named(name)
        known += ", and RLlib's algorithms"
    raise ConfigError(
        f"there is no trainable {name!r}. Registered names: {known}. "
        "Write 'module:function', or call register_trainable(name, trainable) first. "
        "(For RLlib's algorithms, such as 'PPO': pip install 'tunesmith[rllib]')"
    )


def check_trainable(bound: Bound, *, saves: bool = False) -> None:
    """Check that a trainable can be run with what is bound to it.

    Args:
        bound: The trainable.
        saves: Whether Tunesmith is to ask it for checkpoints.

    Raises:
        ConfigError: It lacks a method, takes other arguments, or cannot be asked for checkpoints.
    """
    trainable = bound.trainable
    if isinstance(trainable, type):
        check_class(trainable, saves=saves)
        _check_setup(trainable, bound.parameters)
        return
    reporter_position(trainable, bound.parameters)
    if saves:
        raise ConfigError(
            "checkpoint_freq= and checkpoint_at_end= are for class trainables. "
            "A function gives its own: tune.report(metrics, checkpoint=path)."
        )


def _check_setup(trainable: type[Trainable], parameters: Mapping[str, Any]) -> None:
    setup = trainable._setup if trainable.setup is Trainable.setup else trainable.setup
    try:
        inspect.signature(setup).bind(None, {}, **parameters)
    except TypeError as error:
        raise ConfigError(
            f"{trainable.__qualname__}.{setup.__name__} cannot be called with a config"
            f"{' and with_parameters: ' + ', '.join(parameters) if parameters else ''}: {error}."
        ) from None


def imported(reference: str) -> Any:
    """Return what "module:name" or "file.py:name" refers to.

    Raises:
        ConfigError: It cannot be imported; the message says why.
    """
    module_name, _, name = reference.rpartition(":")
    path: Path | None = None
    if module_name.endswith(".py"):
        path = Path(module_name).resolve()
        if not path.is_file():
            raise ConfigError(f"{reference!r} cannot be imported: there is no file {path}.")
        sys.path.insert(0, str(path.parent))
        module_name = path.stem
    elif "" not in sys.path and str(Path.cwd()) not in sys.path:
        # A command on the path has its own folder there, not the one its user stands in.
        sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
        if path is not None and Path(module.__file__ or "").resolve() != path:
            raise ImportError(f"another module is called {module_name!r} too; rename the file")
        found: Any = module
        for part in name.split("."):
            found = getattr(found, part)
    except Exception as error:  # the module is the user's code, and may fail as it likes
        raise ConfigError(f"{reference!r} cannot be imported: {type(error).__name__}: {error}") from error
    return found


def name_of(trainable: Any) -> str:
    """Return a trainable's name for people and for folders."""
    inner = getattr(trainable, "func", trainable)  # functools.partial
    return str(getattr(inner, "__name__", type(inner).__name__)).replace("<lambda>", "lambda")

"""Objects with Ray's `Trainable` contract (`train`, `save`, `restore`, `stop`) as trainables. Nothing of Ray is needed.

They are known by their methods. RLlib's algorithms are such objects; as they call Ray themselves, a Ray is started for
them where none is there. `ray.tune` is never imported here.
"""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from ..errors import ConfigError, ReportError, require
from .metrics import NUMBER_KINDS
from .session import COUNTED_BY_US, Context
from .trainable import Trainable

_SAVING = (("save", "restore"), ("save_to_path", "restore_from_path"), ("save_checkpoint", "load_checkpoint"))
"""How an object is saved, and restored from that; the first pair that it has is used."""
_ENDING = ("stop", "cleanup")
_NEVER_KEPT = frozenset({"config", *COUNTED_BY_US})
"""Entries of a result that are no metrics: the config again, and what Tunesmith counts itself."""
LONGEST_TEXT = 100
LONGEST_LIST = 20
_REGISTRY = "ray.rllib.algorithms.registry"
_OUR_NAMES = {"CPU": "cpu", "GPU": "gpu"}
_ADDRESS = "RAY_ADDRESS"


class RayTrainable:
    """An algorithm of RLlib, or anything else with Ray's `Trainable` contract, with settings: `tune.run` takes it.

    `tune.run("PPO", ...)` and `tune.run(PPO, ...)` mean `RayTrainable("PPO")` and `RayTrainable(PPO)`. The contract is
    `train() -> dict`, `save(folder)`, `restore(path)`, `stop()`, and perhaps `reset(config)`; Ray's later names for
    them (`save_to_path`, `restore_from_path`, `save_checkpoint`, `load_checkpoint`, `cleanup`) do as well.

    An RLlib algorithm uses the Ray that its process belongs to, as with `RayExecutor(trial_in_actor=True)`, or the one
    at RAY_ADDRESS; where there is neither, each trial starts a Ray of its own, with what the trial holds.

    Args:
        algorithm: The name of an RLlib algorithm ("PPO"); a class with the contract, called with the config; an
            `AlgorithmConfig`, built anew for each trial with the trial's config in it; or a function of (config) that
            returns an object with the contract or an `AlgorithmConfig`.
        config: Settings for all trials. What a trial's config says goes before, inside of nested dicts too.
        env: The environment, as `config["env"]`.

    Raises:
        ConfigError: The algorithm is none of these.
        MissingExtra: A name was given, and RLlib is not installed.
    """

    def __init__(self, algorithm: Any, config: Mapping[str, Any] | None = None, *, env: Any = None) -> None:
        if isinstance(algorithm, str):
            algorithm = algorithm_named(algorithm)
        if isinstance(algorithm, type) and not has_contract(algorithm):
            raise ConfigError(f"RayTrainable: the class {algorithm.__name__} lacks {', '.join(_lacks(algorithm))}().")
        if not callable(algorithm) and not is_algorithm_config(algorithm):
            raise ConfigError(
                f"RayTrainable({algorithm!r}): give the name of an RLlib algorithm, a class with train(), save() and "
                "restore(), an AlgorithmConfig, or a function of (config)."
            )
        self.algorithm = algorithm
        self.config = dict(config or {}) | ({} if env is None else {"env": env})

    def as_class(self) -> type[Foreign]:
        """Return a class trainable that drives it."""
        algorithm, base = self.algorithm, self.config
        kind = algorithm.algo_class if is_algorithm_config(algorithm) else algorithm
        fields: dict[str, Any] = {
            "algorithm": staticmethod(algorithm) if _is_function(algorithm) else algorithm,
            "base": base,
            "calls_ray": _is_of_ray(type(algorithm) if is_algorithm_config(algorithm) else algorithm),
            "__doc__": getattr(kind, "__doc__", None),
        }
        if isinstance(kind, type) and hasattr(kind, "default_resource_request"):

            def request(config: dict[str, Any]) -> dict[str, float] | list[dict[str, float]]:
                own = algorithm.to_dict() if is_algorithm_config(algorithm) else {}
                return _request(kind, merged(own, merged(base, config)))

            fields["default_resource_request"] = staticmethod(request)
        name = getattr(kind, "__name__", type(kind).__name__)
        return type(name, (Foreign,), fields)


class Foreign(Trainable):
    """Drives an object with Ray's contract. A subclass says which."""

    preloads = ("torch", "gymnasium", "scipy.stats")
    """What RLlib imports that may be imported before a fork."""
    algorithm: ClassVar[Any]
    base: ClassVar[dict[str, Any]]
    calls_ray: ClassVar[bool]

    def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]  # it takes no parameters
        """Make the object."""
        self._owns_ray = self.calls_ray and _has_started_ray(self._context)
        made, settings = self.algorithm, merged(self.base, config)
        if isinstance(made, type):
            made = made(settings)
        elif is_algorithm_config(made):
            made = made.copy(copy_frozen=False).update_from_dict(settings)
        else:
            # It may make what calls Ray, which must not join whatever Ray happens to run on this machine.
            os.environ.setdefault(_ADDRESS, "local")
            made = made(settings)
        if is_algorithm_config(made):
            self._owns_ray = self._owns_ray or (_is_of_ray(type(made)) and _has_started_ray(self._context))
            made = made.build_algo() if hasattr(made, "build_algo") else made.build()
        self._object = made
        if missing := _lacks(self._object):
            raise ConfigError(f"what {type(self).__name__} makes, {self._object!r}, lacks {', '.join(missing)}().")

    def step(self) -> dict[str, Any]:
        """Train for one iteration of the object's own."""
        result = self._object.train()
        if not isinstance(result, Mapping):
            raise ReportError(f"{type(self).__name__}.train() returned a {type(result).__qualname__}, not a dict.")
        return recordable({name: value for name, value in result.items() if name not in _NEVER_KEPT})

    def save_checkpoint(self, checkpoint_dir: str) -> Any:
        """Have the object save itself there."""
        returned = _methods(self._object)[0](checkpoint_dir)
        if isinstance(returned, str | os.PathLike | dict):
            return returned
        if not any(Path(checkpoint_dir).iterdir()):
            raise ReportError(f"{type(self).__name__} saved nothing in the folder that it was given.")
        return None

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Have the object go on from what it saved."""
        _methods(self._object)[1](checkpoint)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Have the object take up another config, if it can."""
        reset = getattr(self._object, "reset", None) or getattr(self._object, "reset_config", None)
        return isinstance(self.algorithm, type) and bool(reset and reset(merged(self.base, new_config)))

    def cleanup(self) -> None:
        """Stop the object, and the Ray that was started for it."""
        made = getattr(self, "_object", None)  # setup may have failed
        try:
            for name in _ENDING:
                if callable(end := getattr(made, name, None)):
                    end()
                    break
            if _is_of_ray(type(made)) and isinstance(logs := getattr(made, "logdir", None), str):
                with contextlib.suppress(OSError):
                    Path(logs).rmdir()  # RLlib makes one under ~/ray_results each time, and has nothing to put there
        finally:
            if self._owns_ray:
                sys.modules["ray"].shutdown()


def has_contract(kind: Any) -> bool:
    """Whether a class or an object can be driven as Ray's trainables are."""
    return not _lacks(kind)


def is_algorithm_config(value: Any) -> bool:
    """Whether a value is an RLlib `AlgorithmConfig`, or very much like one."""
    return not isinstance(value, type) and all(
        hasattr(value, name) for name in ("algo_class", "update_from_dict", "to_dict", "copy")
    )


def settings_of(config: Any) -> dict[str, Any]:
    """Return what has been set in an `AlgorithmConfig`: where it differs from a new one of its class."""
    return _difference(config.to_dict(), type(config)().to_dict())


def _difference(settings: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in settings.items():
        default = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            value = _difference(value, default)
            if value:
                found[name] = value
        elif name not in defaults or not (value is default or _are_equal(value, default)):
            found[name] = value
    return found


def _are_equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001  arrays, for one, and whatever else a user has set
        return False


def algorithm_named(name: str) -> type:
    """Return an algorithm of RLlib.

    Raises:
        ConfigError: There is none of that name.
        MissingExtra: RLlib is not installed.
    """
    registry = require(_REGISTRY, feature=f"RLlib's {name!r}", extra="rllib")
    known = registry.ALGORITHMS
    if name not in known:
        raise ConfigError(f"RLlib has no algorithm {name!r}. It has {', '.join(sorted(known))}.")
    kind: type = known[name]()[0]
    return kind


def has_rllib() -> bool:
    """Whether RLlib seems to be installed."""
    return (
        importlib.util.find_spec("ray") is not None
        and importlib.util.find_spec("ray.rllib") is not None
        and importlib.util.find_spec("gymnasium") is not None
    )


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with what `over` says instead, inside of nested dicts too."""
    result = dict(base)
    for name, value in over.items():
        old = result.get(name)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[name] = merged(old, value) if both else value  # type: ignore[arg-type]  # as `both` says
    return result


def recordable(result: Mapping[Any, Any]) -> dict[str, Any]:
    """Return what can be recorded of a result: numbers, short texts, short lists of numbers; nested dicts of them."""
    kept = ((str(name), _kept(value)) for name, value in result.items())
    return {name: value for name, value in kept if value is not None}


def _kept(value: Any) -> Any:
    if isinstance(value, NUMBER_KINDS):
        return value
    if isinstance(value, str):
        return value if len(value) <= LONGEST_TEXT else None
    if isinstance(value, Mapping):
        return recordable(value) or None
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        value = value.item()
        return value if isinstance(value, NUMBER_KINDS) else None
    if isinstance(value, list | tuple) and 0 < len(value) <= LONGEST_LIST:
        numbers = [_kept(item) for item in value]
        return numbers if all(isinstance(number, NUMBER_KINDS) for number in numbers) else None
    return None


def _lacks(kind: Any) -> list[str]:
    """Name what is missing for the contract."""
    missing = [] if callable(getattr(kind, "train", None)) else ["train"]
    return missing if _pair_of(kind) else [*missing, "save", "restore"]


def _pair_of(kind: Any) -> tuple[str, str] | None:
    return next((pair for pair in _SAVING if all(callable(getattr(kind, name, None)) for name in pair)), None)


def _methods(made: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    pair = _pair_of(made)
    assert pair is not None, "looked at when it was made"
    return getattr(made, pair[0]), getattr(made, pair[1])


def _is_function(algorithm: Any) -> bool:
    return not isinstance(algorithm, type) and not is_algorithm_config(algorithm)


def _is_of_ray(kind: Any) -> bool:
    return isinstance(kind, type) and any(base.__module__.partition(".")[0] == "ray" for base in kind.__mro__)


def _request(kind: Any, config: dict[str, Any]) -> dict[str, float] | list[dict[str, float]]:
    """Return what an algorithm asks for with a config, in our words."""
    try:
        asked = kind.default_resource_request(copy.deepcopy(config))
    except Exception:  # noqa: BLE001  a config that makes no sense is for its trial to say, and no other's business
        asked = None
    bundles = [
        {_OUR_NAMES.get(name, name): amount for name, amount in bundle.items() if amount}
        for bundle in getattr(asked, "bundles", ())
    ]
    return [bundle for bundle in bundles if bundle] or {"cpu": 1}


def _has_started_ray(context: Context) -> bool:
    """Start a Ray with what a trial holds here, unless this process belongs to one; return whether that was needed."""
    ray = require("ray", feature="RLlib", extra="rllib")
    if ray.is_initialized():
        return False
    address = os.environ.get(_ADDRESS, "local")
    quiet = {"log_to_driver": False, "configure_logging": False}
    if address != "local":
        ray.init(address=address, **quiet)
        return True
    here = [bundle.resources for bundle in context.bundles if bundle.node == context.node]
    cpus, gpus = (math.ceil(sum(each.get(name, 0) for each in here)) for name in ("cpu", "gpu"))
    ray.init(address="local", num_cpus=max(1, cpus), num_gpus=gpus, include_dashboard=False, **quiet)
    return True

"""How a clone's config is made from its source's: what may change, and within which bounds. Knows nothing of trials.

Configs are as they are journaled. What JSON cannot hold stands in them as `{"$object": id}`, and stays among those
objects that the experiment's space has: a scheduler can name no other.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from ..core.events import Config
from ..core.seeds import derived_seed, generator
from ..errors import ConfigError, SpaceError
from ..space.checks import multiple
from ..space.domains import Categorical, Float, Grid, Integer, Normal, SampleFrom, same
from ..space.generators import SavedGenerators, seed_generators
from ..space.objects import OBJECT_KEY, is_json, label, python_scalar

Mutation = Float | Integer | Normal | Categorical | SampleFrom
Path = tuple[str, ...]
MISSING = object()


@dataclass(frozen=True, slots=True)
class Key:
    """What an exploration's draws are keyed by: the same key gives the same config."""

    seed: int
    trial: int
    number: int
    """How often the trial has been judged."""

    def draw(self, purpose: str) -> Random:
        """Return a fresh generator for one purpose, a parameter's name say."""
        return generator(self.seed, f"{purpose}/{self.trial}", self.number)


class Mutations:
    """What may change in a config, by path: `{"lr": tune.loguniform(1e-4, 1), "model": {"depth": [2, 3, 4]}}`.

    - A list, `tune.choice` and `tune.grid_search`: with `resample_probability` any of the values, else the value before
      or after the current one (at an end it may stay); a current value that is not among them is drawn anew.
    - Other domains: with `resample_probability` a new draw, else the current value times one of `factors`. A product
      stays in the domain: clipped to its bounds, rounded to an integer or to its step. An integer, or a value on a
      step, moves by at least one, so that small ones are not stuck.
    - A function: the same with what it returns in place of a draw; nobody knows its bounds. It takes no argument, or
      the config. What it draws from the global generators of `random` and `numpy` is seeded.
    - What is no number, or is missing, is drawn anew.

    Raises:
        ConfigError: Something that cannot be mutated; the message names its key.
    """

    def __init__(
        self, owner: str, name: str, spec: Mapping[str, Any], *, resample_probability: float, factors: Sequence[float]
    ) -> None:
        if not isinstance(spec, Mapping):
            raise ConfigError(f"{owner}: {name}={label(spec)}: give a dict, e.g. {{'lr': tune.loguniform(1e-4, 0.1)}}.")
        self.resample_probability = resample_probability
        self.factors = tuple(factors)
        self.by_path: dict[Path, Mutation] = dict(_compiled(spec, (), f"{owner}: {name}"))

    def lacks(self, config: Config) -> bool:
        """Whether a config lacks something that may be mutated."""
        return any(value_at(config, path) is MISSING for path in self.by_path)

    def filled(self, config: Config, key: Key, objects: Mapping[str, str]) -> Config:
        """Return a copy of a config in which nothing lacks any more; what lacked is drawn."""
        filled = copy.deepcopy(config)
        for path, mutation in self.by_path.items():
            if value_at(filled, path) is MISSING:
                value = self._drawn(mutation, path, filled, key, objects)
                if value is not MISSING:
                    put_at(filled, path, value)
        return filled

    def explored(self, config: Config, key: Key, objects: Mapping[str, str]) -> Config:
        """Return a mutated copy of a config.

        Args:
            config: As journaled.
            key: What the draws are keyed by.
            objects: The objects that configs may name: id -> text for people.
        """
        explored = copy.deepcopy(config)
        for path, mutation in self.by_path.items():
            current = value_at(config, path)
            value = self._mutated(mutation, path, current, explored, key, objects)
            if value is not MISSING:
                put_at(explored, path, value)
        return explored

    def _mutated(
        self, mutation: Mutation, path: Path, current: Any, config: Config, key: Key, objects: Mapping[str, str]
    ) -> Any:
        draw = key.draw("explore/" + "/".join(path))
        resamples = draw.random() < self.resample_probability
        if isinstance(mutation, Categorical):
            values = representable(mutation, path, objects)
            index = next((index for index, value in enumerate(values) if same(value, current)), None)
            if not values:
                return MISSING
            if resamples or index is None:
                return copy.deepcopy(draw.choice(values))
            return copy.deepcopy(values[min(max(index + draw.choice((-1, 1)), 0), len(values) - 1)])
        if resamples or isinstance(current, bool) or not isinstance(current, int | float):
            return self._drawn(mutation, path, config, key, objects)
        return multiplied(mutation, current, draw.choice(self.factors))

    def _drawn(self, mutation: Mutation, path: Path, config: Config, key: Key, objects: Mapping[str, str]) -> Any:
        draw = key.draw("resample/" + "/".join(path))
        match mutation:
            case Categorical():
                values = representable(mutation, path, objects)
                return copy.deepcopy(draw.choice(values)) if values else MISSING
            case SampleFrom():
                return _called(mutation, path, config, key)
        return mutation.sample(draw)


def _compiled(spec: Mapping[str, Any], above: Path, where: str) -> Iterator[tuple[Path, Mutation]]:
    for name, value in spec.items():
        place = f"{where}[{name!r}]"
        if not isinstance(name, str):
            raise ConfigError(f"{place}: a config's keys are text.")
        path = (*above, name)
        if isinstance(value, Mapping):
            yield from _compiled(value, path, place)
        else:
            yield path, _mutation(value, place)


def _mutation(value: Any, place: str) -> Mutation:
    match value:
        case Float() | Integer() | Normal() | Categorical() | SampleFrom():
            mutation: Mutation = value
        case Grid(values):
            mutation = Categorical(values)
        case list() | tuple():
            mutation = Categorical(tuple(value))
        case _ if callable(value) and not isinstance(value, type):
            mutation = SampleFrom(value)
        case _:
            raise ConfigError(
                f"{place}={label(value)} is neither a list of values, nor a domain such as tune.uniform(0, 1), nor a "
                "function that draws one. What is to stay as it is needs no mutation: leave it out."
            )
    try:
        if not isinstance(mutation, SampleFrom) or not callable(mutation.function):
            mutation.check()  # In a space a function gets the spec; here it may go without an argument.
    except SpaceError as error:
        raise ConfigError(f"{place}: {error}") from None
    return mutation


def representable(mutation: Categorical, path: Path, objects: Mapping[str, str]) -> list[Any]:
    """Return the values of a choice that a journaled config can hold, as it holds them.

    An object (a class, a tuple) is one that the space has in the same place, known by its text.
    """
    place = "/".join(path)
    there = {text: identifier for identifier, text in objects.items() if identifier.partition("[")[0] == place}
    values = []
    for option in map(python_scalar, mutation.values):
        if is_json(option):
            values.append(option)
        elif label(option) in there:
            values.append({OBJECT_KEY: there[label(option)]})
    return values


def unrepresentable(mutations: Mutations, objects: Mapping[str, str]) -> list[str]:
    """Return the names of what has values that no journaled config can hold; these are never chosen."""
    return [
        "/".join(path)
        for path, mutation in mutations.by_path.items()
        if isinstance(mutation, Categorical) and len(representable(mutation, path, objects)) < len(mutation.values)
    ]


def multiplied(mutation: Mutation, current: float, factor: float) -> float:
    """Return `current * factor` as the domain allows it."""
    product = current * factor
    if not math.isfinite(product):
        return current
    step = getattr(mutation, "step", None)
    is_whole = isinstance(mutation, Integer) or (isinstance(mutation, SampleFrom) and isinstance(current, int))
    if step is not None or is_whole:
        grain = step or 1
        count = round(product / grain)
        if product != current and count == round(current / grain):
            count += 1 if product > current else -1
        product = count * grain if is_whole else multiple(count * grain, grain)
    return clipped(mutation, product)


def clipped(mutation: Mutation, value: float) -> float:
    """Return the value of a numeric domain that is nearest to `value`; without bounds `value` itself."""
    match mutation:
        case Float(low, high):
            return min(max(value, low), high)
        case Integer(low):
            return min(max(value, low), mutation.last)
    return value


def _called(mutation: SampleFrom, path: Path, config: Config, key: Key) -> Any:
    name = "/".join(path)
    saved = SavedGenerators()
    try:
        seed_generators(derived_seed(key.seed, f"mutation/{name}/{key.trial}", key.number))
        function: Callable[..., Any] = mutation.function
        value = function(copy.deepcopy(config)) if _takes_config(function) else function()
    except Exception as error:
        message = f"the function that draws {name!r} failed: {type(error).__name__}: {error}"
        raise ConfigError(f"{message}. It is called without arguments, or with the config.") from error
    finally:
        saved.put_back()
    value = python_scalar(value)
    if not is_json(value):
        raise ConfigError(f"the function that draws {name!r} returned {label(value)}, which is not a JSON value.")
    return value


def _takes_config(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind()
    except TypeError:
        return True
    except ValueError:  # of some built-in functions nothing is known
        return False
    return False


def value_at(config: Any, path: Path) -> Any:
    """Return what a config has at `path`, or MISSING."""
    for name in path:
        if not isinstance(config, dict) or name not in config:
            return MISSING
        config = config[name]
    return config


def put_at(config: Config, path: Path, value: Any) -> None:
    """Set what a config has at `path`; dicts on the way are made where there are none."""
    *above, last = path
    for name in above:
        if not isinstance(config.get(name), dict):
            config[name] = {}
        config = config[name]
    config[last] = value


def custom_explored(
    function: Callable[[Config], Config], config: Config, key: Key, objects: Mapping[str, str], owner: str
) -> Config:
    """Return what a user's explore function makes of a config, checked.

    Raises:
        ConfigError: It failed, or returned something that is no config.
    """
    saved = SavedGenerators()
    try:
        seed_generators(derived_seed(key.seed, f"custom_explore_fn/{key.trial}", key.number))
        explored = function(copy.deepcopy(config))
    except Exception as error:
        raise ConfigError(
            f"{owner}: custom_explore_fn failed for {label(config)}: {type(error).__name__}: {error}"
        ) from error
    finally:
        saved.put_back()
    if not isinstance(explored, Mapping):
        raise ConfigError(
            f"{owner}: custom_explore_fn returned {label(explored)} for {label(config)}. It must return the config."
        )
    return {
        name: _journaled(value, objects, f"{owner}: custom_explore_fn: {name!r}") for name, value in explored.items()
    }


def _journaled(value: Any, objects: Mapping[str, str], place: str) -> Any:
    """Return a value as a journaled config holds it."""
    value = python_scalar(value)
    match value:
        case {"$object": identifier} if len(value) == 1 and identifier in objects:
            return dict(value)
        case dict() if all(isinstance(name, str) and name != OBJECT_KEY for name in value):
            return {name: _journaled(item, objects, f"{place}[{name!r}]") for name, item in value.items()}
        case list():
            return [_journaled(item, objects, f"{place}[{index}]") for index, item in enumerate(value)]
        case _ if is_json(value):
            return value
    raise ConfigError(f"{place} is {label(value)}, which is not a JSON value. Return numbers, text, lists and dicts.")


def changes(before: Config, after: Config, objects: Mapping[str, str], prefix: str = "") -> list[str]:
    """Return what differs between two configs, in words: `lr 0.1 -> 0.12`."""
    words: list[str] = []
    for name in [*before, *(name for name in after if name not in before)]:
        old, new = before.get(name, MISSING), after.get(name, MISSING)
        if isinstance(old, dict) and isinstance(new, dict) and OBJECT_KEY not in old:
            words += changes(old, new, objects, f"{prefix}{name}/")
        elif not same(old, new):
            words.append(f"{prefix}{name} {_shown(old, objects)} -> {_shown(new, objects)}")
    return words


def _shown(value: Any, objects: Mapping[str, str]) -> str:
    if value is MISSING:
        return "none"
    if isinstance(value, dict) and OBJECT_KEY in value:
        return objects.get(value[OBJECT_KEY], str(value[OBJECT_KEY]))
    return f"{value:.6g}" if isinstance(value, float) else label(value)

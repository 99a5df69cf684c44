"""One config made from a compiled space. Every draw is keyed by (seed, the parameter's name, number).

So a draw does not depend on the other parameters, nor on the order in which lambdas read each other's values; and a
lambda that uses the global generators finds them seeded in the same way, and they are put back when it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.seeds import derived_seed
from ..errors import SpaceError
from .composites import Arrangement
from .domains import Grid
from .generators import SavedGenerators, seed_generators
from .objects import OBJECT_KEY, is_json_scalar, is_json_string, label, python_scalar
from .paths import Path
from .spec import Spec, viewed_node
from .tree import (
    Atom,
    Chosen,
    Composed,
    Computed,
    Conditional,
    Constant,
    Draw,
    Fields,
    Holds,
    Node,
    Object,
    Options,
    Passes,
)  # fmt: skip
from .when import ABSENT

NOT_FIXED: Mapping[str, Any] = {}


class NotKnownError(Exception):
    """Something was asked for that a point leaves open."""


class Resolution:
    """The values of one config, each settled when it is first needed.

    Args:
        root: The space.
        seed: The experiment's seed.
        number: What the draws are keyed by.
        trial: The trial's number, for errors.
        options: Which value of a grid or choice is taken, by the node's name; other choices are drawn.
        values: What stands in for draws and lambdas, by the node's name: JSON values, and arrangements.
        attempt: Which try this is to draw the config, for draws that the space's constraints refuse; 0 is the first.
    """

    def __init__(
        self,
        root: Fields,
        *,
        seed: int,
        number: int,
        trial: int,
        options: Mapping[str, int] = NOT_FIXED,
        values: Mapping[str, Any] = NOT_FIXED,
        attempt: int = 0,
    ) -> None:
        self._root = root
        self._seed = seed
        self._number = number
        self._trial = trial
        self._options = options
        self._values = values
        self._again = f"/retry {attempt}" if attempt else ""
        self._conditions: dict[str, bool] = {}
        self._computed: dict[str, Node] = {}
        self._computing: list[Path] = []
        self._saved: SavedGenerators | None = None
        """The global generators as they were before the first lambda."""

    def config(self) -> dict[str, Any]:
        """Return the config.

        Raises:
            SpaceError: A lambda failed, or lambdas read each other in a circle.
        """
        try:
            config: dict[str, Any] = self.value(self._root)
            return config
        finally:
            self.put_back()

    def put_back(self) -> None:
        """Leave the global generators as they were before the first lambda."""
        if self._saved is not None:
            self._saved.put_back()

    def value(self, node: Node) -> Any:
        """Return a node's value as JSON; ABSENT where its condition does not hold."""
        settled = node if type(node) is Constant else self.settled(node)
        match settled:
            case Constant():
                return settled.value
            case Fields(is_list=True):
                return [self.value(child) for child in settled.children.values()]
            case Fields():
                values = ((key, self.value(child)) for key, child in settled.children.items())
                return {key: value for key, value in values if value is not ABSENT}
            case Object():
                return {OBJECT_KEY: settled.identifier}
        return ABSENT

    def settled(self, node: Node | None) -> Constant | Object | Fields | None:
        """Return the node that a draw, a choice, a grid, a condition or a lambda leads to; its items may still be open.

        None where a condition does not hold, so that nothing is there.
        """
        while True:
            match node:
                case Draw():
                    if node.path.name in self._values:
                        return Constant(node.path, self._values[node.path.name])
                    return Constant(node.path, node.domain.at(self._quantile(node.path.name)))
                case Composed():
                    return node.fields(self.arrangement(node))
                case Options():
                    node = node.options[self._option(node)]
                case Conditional():
                    node = node.then if self.holds(node) else node.otherwise
                case Computed():
                    node = self._compute(node)
                case _:
                    return node

    def arrangement(self, node: Composed) -> Arrangement:
        """Return how the parts of a value are arranged."""
        name = node.path.name
        found: Arrangement | None = self._values.get(name)
        if found is not None:
            return found
        return node.domain.arranged([self._quantile(f"{name}/{part}") for part in range(len(node.domain.parts))])

    def holds(self, node: Conditional) -> bool:
        """Whether the condition of a node holds."""
        name = str(node.path)
        found = self._conditions.get(name)
        if found is None:
            found = any(map(self.are_true, node.alternatives))
            self._conditions[name] = found
        return found

    def are_true(self, atoms: Iterable[Atom]) -> bool:
        """Whether all of these hold; one that speaks of a choice is only asked if those before it hold."""
        return all(map(self._is_true, atoms))

    def _is_true(self, atom: Atom) -> bool:
        match atom:
            case Chosen():
                return self._option(atom.node) in atom.indices
            case Holds():
                return self.holds(atom.node) is atom.wanted
            case Passes(node=Composed() as node):
                return atom.test.passes(node.domain.value(self.arrangement(node)))
            case Passes():
                settled = self.settled(atom.node)
                assert isinstance(settled, Constant), "a draw leads to a constant"
                return atom.test.passes(settled.value)

    def _quantile(self, name: str) -> float:
        # 52 bits and a half: never 0 and never 1, which a normal distribution could not take.
        return ((derived_seed(self._seed, f"variant/{name}{self._again}", self._number) >> 12) + 0.5) * 2.0**-52

    def _option(self, node: Options) -> int:
        name = node.path.name
        index = self._options.get(name)
        if index is not None:
            return index
        return 0 if isinstance(node.domain, Grid) else node.domain.index_at(self._quantile(name))

    def _compute(self, node: Computed) -> Node:
        name = node.path.name
        found = self._computed.get(name)
        if found is None:
            result = self._values[name] if name in self._values else self._call(node)
            found = self._computed[name] = self._literal(result, node.path)
        return found

    def _call(self, node: Computed) -> Any:
        if node.path in self._computing:
            circle = [*self._computing[self._computing.index(node.path) :], node.path]
            raise SpaceError(
                f"{' -> '.join(map(str, circle))}: these values read each other in a circle. "
                "Give one of them a value that does not read the others."
            )
        self._computing.append(node.path)
        try:
            return self._seeded_result(node)
        except SpaceError:
            raise  # from a value that it read; says where
        except Exception as error:
            message = error.args[0] if isinstance(error, KeyError) and error.args else error
            raise SpaceError(
                f"{node.path}: its function failed for trial {self._trial}: {type(error).__name__}: {message}"
            ) from error
        finally:
            self._computing.pop()

    def _seeded_result(self, node: Computed) -> Any:
        if self._saved is None:
            self._saved = SavedGenerators()
        # A function that reads another's value goes on afterwards with its own draws.
        reader = SavedGenerators() if len(self._computing) > 1 else None
        seed = derived_seed(self._seed, f"lambda/{node.path.name}{self._again}", self._number)
        try:
            seed_generators(seed)
            result = node.function(Spec(self._root, self))
            if self._saved.misses_numpy:
                # The function was the first to import numpy, so its draws were unseeded. Once more, now seeded.
                self._saved.add_numpy()
                seed_generators(seed)
                result = node.function(Spec(self._root, self))
        finally:
            if reader is not None:
                reader.put_back()
        return result

    def _literal(self, value: Any, path: Path) -> Node:
        """Return the node for what a function returned.

        Raises:
            SpaceError: JSON cannot hold it.
        """
        if (viewed := viewed_node(value)) is not None:
            return viewed
        value = python_scalar(value)
        if is_json_scalar(value):
            return Constant(path, value)
        if type(value) is list:
            items = {index: self._literal(item, path.child(index)) for index, item in enumerate(value)}
            return Fields(path, items, is_list=True)
        if type(value) is dict and OBJECT_KEY not in value and all(map(is_json_string, value)):
            return Fields(path, {key: self._literal(item, path.child(key)) for key, item in value.items()})
        raise SpaceError(
            f"{path}: its function returned {label(value)} ({type(value).__name__}) for trial {self._trial}, which a "
            "journal cannot hold. Return a number, string, list or dict; to pick among objects, use choice([...])."
        )

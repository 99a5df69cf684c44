"""The search space as a whole: what the user wrote, checked and compiled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import SpaceError
from .domains import Domain
from .objects import cut, label, resolve_objects
from .tree import Compiler, Constant, Fields, Node, Object

LINE_LENGTH = 200


class Space:
    """A search space: nested dicts and lists of constants, domains, grids and lambdas of `spec`.

    Configs hold JSON values only. What JSON cannot hold (a class, a function, a tuple, an array) stands in a config as
    `{"$object": id}` and lies in `objects`. A tuple that holds a domain becomes a list in the config. Dicts and lists
    of other classes become plain ones.

    Raises:
        SpaceError: Something cannot be sampled; the message names its path.
    """

    def __init__(self, spec: Mapping[str, Any]) -> None:
        if not isinstance(spec, Mapping):
            raise SpaceError(f"the space is {label(spec)}. Give a dict, e.g. {{'lr': tune.loguniform(1e-4, 1e-1)}}.")
        compiler = Compiler()
        root = compiler.compile(dict(spec))
        if not isinstance(root, Fields):
            raise SpaceError(f"the space is {label(spec)}. Give a dict with strings as keys, one for each parameter.")
        self.root = root
        self.objects: dict[str, Any] = compiler.objects
        """id -> object, for what JSON cannot hold."""
        self.parameters: dict[str, Domain] = compiler.parameters
        """Path in a config (`"model/depth"`) -> domain, for all that may differ between trials.

        Where two options of a choice have a parameter at the same path, the second one stands under its own name,
        `"model[1]/depth"`.
        """

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of a journaled config with the real objects in it.

        Raises:
            SpaceError: An object that this space does not have.
        """
        return {key: resolve_objects(value, self.objects) for key, value in config.items()}

    def object_label(self, identifier: str) -> str:
        """Return what to show a person for an object; the id itself when this space does not have it."""
        return label(self.objects[identifier]) if identifier in self.objects else identifier

    def describe(self) -> str:
        """Return the space as text for people: a line for each parameter, then for each constant."""
        lines = [f"{name}: {domain}" for name, domain in self.parameters.items()]
        lines += [f"{node.path.key}: {label(node.value)}" for node in _constants(self.root)]
        return "\n".join(cut(line, LINE_LENGTH) for line in lines)


def _constants(node: Node) -> list[Constant | Object]:
    """Return the constants below `node`, without those that belong to a choice or a grid."""
    match node:
        case Constant() | Object():
            return [node]
        case Fields():
            return [constant for child in node.children.values() for constant in _constants(child)]
    return []

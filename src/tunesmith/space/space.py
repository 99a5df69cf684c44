"""The search space as a whole: what the user wrote, checked and compiled."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import SpaceError
from .composites import Composite
from .conditions import link
from .constraints import Constraint, places
from .domains import Domain
from .objects import cut, label, resolve_objects
from .tree import Compiler, Conditional, Constant, Fields, Node, Object, Options

LINE_LENGTH = 200


class Space:
    """A search space: nested dicts and lists of constants, domains, grids, conditions and lambdas of `spec`.

    Configs hold JSON values only. What JSON cannot hold (a class, a function, a tuple, an array) stands in a config as
    `{"$object": id}` and lies in `objects`. A tuple that holds a domain becomes a list in the config. Dicts and lists
    of other classes become plain ones.

    Args:
        spec: The dict.
        require: Constraints, as `require` takes them one by one.

    Raises:
        SpaceError: Something cannot be sampled; the message names its path.
    """

    def __init__(self, spec: Mapping[str, Any], *, require: Iterable[Callable[[Any], Any]] = ()) -> None:
        if not isinstance(spec, Mapping):
            raise SpaceError(f"the space is {label(spec)}. Give a dict, e.g. {{'lr': tune.loguniform(1e-4, 1e-1)}}.")
        compiler = Compiler()
        root = compiler.compile(dict(spec))
        if not isinstance(root, Fields):
            raise SpaceError(f"the space is {label(spec)}. Give a dict with strings as keys, one for each parameter.")
        link(root)
        self.root = root
        self._objects = compiler.objects
        self.objects: dict[str, Any] = {node.identifier: node.value for node in compiler.objects}
        """id -> object, for what JSON cannot hold."""
        self.parameters: dict[str, Domain | Composite] = compiler.parameters
        """Path in a config (`"model/depth"`) -> domain, for all that may differ between trials.

        Where two options of a choice have a parameter at the same path, the second one stands under its own name,
        `"model[1]/depth"`.
        """

        self.constraints: list[Constraint] = []
        """What configs must hold to be tried."""
        for function in (require,) if callable(require) else require:
            self.require(function)

    @classmethod
    def of(cls, space: Space | Mapping[str, Any] | None) -> Space:
        """Return a space as it is, or made of a dict; without anything the empty one."""
        return space if isinstance(space, Space) else cls({} if space is None else space)

    def require(self, function: Callable[[Any], Any]) -> Space:
        """Let only configs be tried for which a function returns something true; return this space.

        `space.require(lambda config: config.low < config.high)`: values are read by attribute, by item or by their
        place (`config["model/depth"]`). A function that reads a parameter which a config does not have lets it be
        tried.

        Raises:
            SpaceError: It is no function.
        """
        if not callable(function) or isinstance(function, type):
            raise SpaceError(
                f"require({label(function)}): give a function of the config: lambda config: config.low < config.high."
            )
        self.constraints.append(Constraint(function, places(self.root)))
        return self

    def resolve(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy of a journaled config with the real objects in it.

        Raises:
            SpaceError: An object that this space does not have.
        """
        return {key: resolve_objects(value, self.objects) for key, value in config.items()}

    def keep_identifiers(self, known: Mapping[str, str]) -> None:
        """Let objects go by the identifiers that configs of earlier versions of the space have for them.

        A choice of classes may have been given another one, or lost one: then its values stand at other places.

        Args:
            known: Identifier -> label, of all objects that the configs may mention.
        """
        for node, identifier in zip(self._objects, identifiers(self._objects, known), strict=True):
            object.__setattr__(node, "identifier", identifier)
        self.objects = {node.identifier: node.value for node in self._objects}

    def object_label(self, identifier: str) -> str:
        """Return what to show a person for an object; the id itself when this space does not have it."""
        return label(self.objects[identifier]) if identifier in self.objects else identifier

    def sample(self, number: int = 0, *, seed: int = 0) -> dict[str, Any]:
        """Return a random config, to look at or to try a function with; each number and seed has its own.

        Raises:
            SpaceError: A lambda of the space failed, or its constraints let hardly anything through.
        """
        from .encoding import Encoding  # which is made of spaces

        return self.resolve(Encoding(self).completed(seed=seed, number=number))

    @property
    def size(self) -> float:
        """How many distinct configs there are; inf where a number is of a continuum, or a lambda may say anything.

        With constraints it is a bound, if the space is too large to be gone through.
        """
        from .encoding import Encoding  # which is made of spaces

        return Encoding(self).size

    def describe(self) -> str:
        """Return the space as text for people: a line for each parameter, for each constant, for each constraint."""
        conditions: dict[str, str] = {}
        for name, text in _conditions(self.root):
            conditions.setdefault(name, text)
        parameters = [f"{name}: {domain}{conditions.get(name, '')}" for name, domain in self.parameters.items()]
        constants = [
            f"{node.path.key}: {label(node.value)}{conditions.get(node.path.name, '')}"
            for node in _constants(self.root)
        ]
        lines = [*parameters, *constants, *map(str, self.constraints)]
        return "\n".join(cut(line, LINE_LENGTH) for line in lines)


def _conditions(node: Node | None, above: str = "") -> Iterator[tuple[str, str]]:
    """Yield what is only there under a condition, by its names, with the condition in words."""
    match node:
        case Conditional():
            yield from _conditions(node.then, f"{above} when {node.test}")
            yield from _conditions(node.otherwise, f"{above} unless {node.test}")
        case Fields() | Options():
            if above:
                yield from ((name, above) for name in (node.path.name, node.path.key))
            for child in node.children.values() if isinstance(node, Fields) else node.options:
                yield from _conditions(child, above)
        case _ if node is not None and above:
            yield from ((name, above) for name in (node.path.name, node.path.key))


def identifiers(nodes: Sequence[Object], known: Mapping[str, str]) -> list[str]:
    """Return what each object goes by: as the same one did at the same place or another option's, else something new.

    What the same is only labels can tell; one with an address in it is taken for the same at the same place.
    """
    kept = [_means(known.get(node.path.name), node.value) for node in nodes]
    found = [node.path.name if keeps else "" for node, keeps in zip(nodes, kept, strict=True)]
    for index, node in enumerate(nodes):
        if not found[index]:
            stem = _stem(node.path.name)
            same = (one for one, text in known.items() if text == label(node.value) and _stem(one) == stem)
            new = (f"{node.path.name}~{count}" for count in range(2, 3 + len(known) + len(nodes)))
            free = (one for one in (*same, *(one for one in new if one not in known)) if one not in found)
            found[index] = next(free)
    return found


def _means(known: str | None, value: Any) -> bool:
    return known is None or " at 0x" in known or known == label(value)


def _stem(name: str) -> str:
    return re.sub(r"\[\d+\]", "[]", name.partition("~")[0])


def _constants(node: Node) -> list[Constant | Object]:
    """Return the constants below `node`, without those that belong to a choice or a grid."""
    match node:
        case Constant() | Object():
            return [node]
        case Fields():
            return [constant for child in node.children.values() for constant in _constants(child)]
        case Conditional():
            return [*_constants(node.then), *(() if node.otherwise is None else _constants(node.otherwise))]
    return []

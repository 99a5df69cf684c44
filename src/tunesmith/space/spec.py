"""The `spec` that a lambda of the space sees: the other values of its config, resolved when they are read.

`spec.config.a.b`, `spec["config"]["a"]["b"]` and, as in later Tune's `lambda config: config["a"]`, also `spec["a"]`
and `spec.a` are the same value. Read only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from .tree import Constant, Fields, Node, Object, may_be_absent
from .when import ABSENT


class Source(Protocol):
    """Where the values come from: one config in the making, or many that are known."""

    def settled(self, node: Node | None) -> Constant | Object | Fields | None:
        """Return what a node leads to; None where a condition does not hold, so that nothing is there."""


class MissingKeyError(KeyError, AttributeError):
    """A key that a dict of this config does not have; `place` is where it would stand."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


class FieldsView(Mapping[str, Any]):
    """A dict of the space, by item and by attribute. Keys named like a dict's methods are reached by item only.

    An item may also be a way down: `view["model/depth"]`.
    """

    __slots__ = ("_node", "_source")

    def __init__(self, node: Fields, source: Source) -> None:
        self._node = node
        self._source = source

    def __getitem__(self, key: str) -> Any:
        child = self._node.children.get(key)
        if child is None:
            return self._below(key)
        found = view(child, self._source)
        if found is ABSENT:
            raise MissingKeyError(f"{child.path}: its condition does not hold in this config.", child.path.key)
        return found

    def _below(self, key: str) -> Any:
        """Return what a key that is a way down leads to."""
        found: Any = self
        parts = str(key).split("/")
        for part in parts if len(parts) > 1 else ():
            if isinstance(found, ListView) and part.isdecimal() and int(part) < len(found):
                found = found[int(part)]
            elif isinstance(found, FieldsView) and part in found._node.children:
                found = found[part]
            else:
                raise self._missing(key)
        if found is self:
            raise self._missing(key)
        return found

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return (key for key, child in self._node.children.items() if self._is_there(child))

    def __len__(self) -> int:
        return sum(map(self._is_there, self._node.children.values()))

    def _is_there(self, child: Node) -> bool:
        return not may_be_absent(child) or self._source.settled(child) is not None

    def __repr__(self) -> str:
        return repr(dict(self))

    def _missing(self, key: object) -> MissingKeyError:
        from difflib import get_close_matches  # here, because only mistakes need it

        near = get_close_matches(str(key), self._node.children)
        hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(map(repr, self)) or 'no keys'}."
        place = f"{self._node.path.key}/{key}".removeprefix("/")
        return MissingKeyError(f"{self._node.path} has no key {key!r}. {hint}", place)


class Spec(FieldsView):
    """The outermost view: `config` is the space itself, and every other name is a key of it."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        return FieldsView(self._node, self._source) if key == "config" else super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        return key == "config" or super().__contains__(key)


class ListView(Sequence[Any]):
    """A list of the space."""

    __slots__ = ("_node", "_source")

    def __init__(self, node: Fields, source: Source) -> None:
        self._node = node
        self._source = source

    def __getitem__(self, index: Any) -> Any:
        chosen = list(self._node.children.values())[index]
        if isinstance(index, slice):
            return [view(child, self._source) for child in chosen]
        return view(chosen, self._source)

    def __len__(self) -> int:
        return len(self._node.children)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def view(node: Node, source: Source) -> Any:
    """Return what a lambda gets for a node: a view of a dict or list, else the value itself, objects included.

    ABSENT where its condition does not hold.
    """
    settled = source.settled(node)
    match settled:
        case Fields(is_list=True):
            return ListView(settled, source)
        case Fields():
            return FieldsView(settled, source)
        case Constant() | Object():
            return settled.value
    return ABSENT


def viewed_node(value: Any) -> Fields | None:
    """Return the node behind a view, and None for anything else."""
    return value._node if isinstance(value, FieldsView | ListView) else None  # the same module

"""The `spec` that a lambda of the space sees: the other values of its config, resolved when they are read.

`spec.config.a.b`, `spec["config"]["a"]["b"]` and, as in later Tune's `lambda config: config["a"]`, also `spec["a"]`
and `spec.a` are the same value. Read only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .tree import Constant, Fields, Node, Object

if TYPE_CHECKING:
    from .resolution import Resolution


class FieldsView(Mapping[str, Any]):
    """A dict of the space, by item and by attribute. Keys named like a dict's methods are reached by item only."""

    __slots__ = ("_node", "_resolution")

    def __init__(self, node: Fields, resolution: Resolution) -> None:
        self._node = node
        self._resolution = resolution

    def __getitem__(self, key: str) -> Any:
        child = self._node.children.get(key)
        if child is None:
            raise KeyError(self._missing(key))
        return view(child, self._resolution)

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(self._missing(name)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._node.children)

    def __len__(self) -> int:
        return len(self._node.children)

    def __repr__(self) -> str:
        return repr(dict(self))

    def _missing(self, key: object) -> str:
        from difflib import get_close_matches  # here, because only mistakes need it

        near = get_close_matches(str(key), self._node.children)
        hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(map(repr, self)) or 'no keys'}."
        return f"{self._node.path} has no key {key!r}. {hint}"


class Spec(FieldsView):
    """The outermost view: `config` is the space itself, and every other name is a key of it."""

    __slots__ = ()

    def __getitem__(self, key: str) -> Any:
        return FieldsView(self._node, self._resolution) if key == "config" else super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        return key == "config" or super().__contains__(key)


class ListView(Sequence[Any]):
    """A list of the space."""

    __slots__ = ("_node", "_resolution")

    def __init__(self, node: Fields, resolution: Resolution) -> None:
        self._node = node
        self._resolution = resolution

    def __getitem__(self, index: Any) -> Any:
        chosen = list(self._node.children.values())[index]
        if isinstance(index, slice):
            return [view(child, self._resolution) for child in chosen]
        return view(chosen, self._resolution)

    def __len__(self) -> int:
        return len(self._node.children)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(list(self))


def view(node: Node, resolution: Resolution) -> Any:
    """Return what a lambda gets for a node: a view of a dict or list, else the value itself, objects included."""
    settled = resolution.settled(node)
    match settled:
        case Fields(is_list=True):
            return ListView(settled, resolution)
        case Fields():
            return FieldsView(settled, resolution)
        case Constant() | Object():
            return settled.value


def viewed_node(value: Any) -> Fields | None:
    """Return the node behind a view, and None for anything else."""
    return value._node if isinstance(value, FieldsView | ListView) else None  # the same module

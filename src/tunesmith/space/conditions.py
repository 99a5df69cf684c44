"""Finds the parameters that conditions speak of, and says at the door which conditions can never be decided.

A parent's place may lead through choices and other conditions, so what decides is found in several ways: each way is a
conjunction of atoms ("this option is taken", "that condition holds", "what is drawn here passes"), and the condition
holds where all atoms of one of the ways do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import SpaceError
from .domains import Float, Normal, is_lambda
from .objects import label
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
from .when import Test

Atoms = tuple[Atom, ...]


def link(root: Fields) -> None:
    """Fill in what every condition of a space depends on.

    Raises:
        SpaceError: A place that the space does not have, a value that the parameter there never takes, a parameter that
            cannot decide, or conditions that depend on each other in a circle.
    """
    conditionals = [node for node in walked(root) if isinstance(node, Conditional)]
    reads = {node: _alternatives(node, root) for node in conditionals}
    for node in conditionals:
        _refuse_circles(node, reads, [])


def walked(node: Node) -> Iterator[Node]:
    """Yield a node and all that lie below it."""
    yield node
    match node:
        case Fields():
            below: tuple[Node | None, ...] = tuple(node.children.values())
        case Options():
            below = node.options
        case Conditional():
            below = (node.then, node.otherwise)
        case _:
            below = ()
    for child in below:
        if child is not None:
            yield from walked(child)


def _alternatives(node: Conditional, root: Fields) -> set[Conditional]:
    """Fill in the alternatives of a condition; return the other conditions that the way to its parent leads through."""
    parts = node.test.parent.split("/")
    ends = list(_ends(root, parts, ()))
    if not ends:
        raise SpaceError(f"{node.path}: when({node.test.parent!r}, ...): {_unknown(root, parts)}")
    through = {atom.node for atoms, _ in ends for atom in atoms if isinstance(atom, Holds)}
    test = _meant(node.test, [leaf for _, leaf in ends])
    matched: set[int] = set()
    found: list[Atoms] = []
    for atoms, leaf in ends:
        passed = _passed(leaf, test, node, matched)
        if passed is not None:
            found.append((*atoms, *passed))
    for index, value in enumerate(test.values):
        if index not in matched:
            problem = _never(value, test, [leaf for _, leaf in ends])
            raise SpaceError(f"{node.path}: when({test.parent!r}, ...): {problem}")
    if not found:
        raise SpaceError(f"{node.path}: its condition never holds: no value of {test}.")
    node.alternatives.extend(_merged(found))
    return through


def _meant(test: Test, leaves: list[Node]) -> Test:
    """Return a test as it is meant: a function that the parent may be is a value, and asks nothing."""
    if any(isinstance(leaf, Object) and leaf.value is test.function for leaf in leaves):
        return Test(test.parent, (test.function,))
    return test


def _ends(node: Node, parts: list[str], atoms: Atoms) -> Iterator[tuple[Atoms, Node]]:
    """Yield the nodes that may stand at a place in a config, and under which atoms each does."""
    match node:
        case Options():
            for index, option in enumerate(node.options):
                yield from _ends(option, parts, (*atoms, Chosen(node, frozenset([index]))))
        case Conditional():
            yield from _ends(node.then, parts, (*atoms, Holds(node, True)))
            if node.otherwise is not None:
                yield from _ends(node.otherwise, parts, (*atoms, Holds(node, False)))
        case Fields() if parts:
            for key, child in node.children.items():
                if str(key) == parts[0]:
                    yield from _ends(child, parts[1:], atoms)
        case _ if not parts:
            yield atoms, node


def _passed(leaf: Node, test: Test, node: Conditional, matched: set[int]) -> Atoms | None:
    """Return what must hold for a parent's node to pass, beside the way to it; None where it never does.

    Notes in `matched` which of the wanted values it may have.
    """
    match leaf:
        case Constant() | Object():
            own = [index for index, value in enumerate(test.values) if Test(test.parent, (value,)).passes(leaf.value)]
            matched.update(own)
            return () if own or (test.function is not None and test.passes(leaf.value)) else None
        case Draw():
            is_continuous = isinstance(leaf.domain, Float | Normal) and leaf.domain.step is None
            own = [index for index, value in enumerate(test.values) if leaf.domain.contains(value)]
            matched.update(own)
            if own and is_continuous:
                raise SpaceError(
                    f"{node.path}: when({test.parent!r}, {label(test.values[own[0]])}, ...): {leaf.domain} hardly ever "
                    f"draws exactly that. Give a function, e.g. lambda value: value > {label(test.values[own[0]])}."
                )
            return (Passes(leaf, test),) if own or test.function is not None else None
        case Composed():
            own = [index for index, value in enumerate(test.values) if leaf.domain.contains(value)]
            matched.update(own)
            return (Passes(leaf, test),) if own or test.function is not None else None
        case Computed():
            raise SpaceError(
                f"{node.path}: when({test.parent!r}, ...): what stands there is computed by a function, and known too "
                "late. Let the condition speak of what the function reads, or write the whole as a lambda."
            )
    if (plain := _plain(leaf)) is not None:
        own = [index for index, value in enumerate(test.values) if Test(test.parent, (value,)).passes(plain)]
        matched.update(own)
        return () if own or (test.function is not None and test.passes(plain)) else None
    if test.function is not None:
        raise SpaceError(
            f"{node.path}: when({test.parent!r}, ...): {leaf.path} holds parameters of its own, so it has no single "
            "value to pass or not. Speak of one of them: when('model/kind', ...)."
        )
    return None


def _plain(node: Node) -> Any:
    """Return the value of a dict or list that holds constants only; None for any other."""
    match node:
        case Constant() | Object():
            return node.value
        case Fields():
            values = {key: _plain(child) for key, child in node.children.items()}
            if all(value is not None or isinstance(node.children[key], Constant) for key, value in values.items()):
                return list(values.values()) if node.is_list else values
    return None


def _merged(found: list[Atoms]) -> Iterator[Atoms]:
    """Yield alternatives, those that differ in the last option only as one."""
    groups: dict[tuple[object, ...], tuple[Atoms, Options, set[int]]] = {}
    for atoms in found:
        last = atoms[-1] if atoms else None
        if not isinstance(last, Chosen):
            yield atoms
            continue
        # Atoms are made anew on every way, so the nodes say which are alike.
        key = (*(_identity(atom) for atom in atoms[:-1]), id(last.node))
        groups.setdefault(key, (atoms[:-1], last.node, set()))[2].update(last.indices)
    for above, node, indices in groups.values():
        yield above if len(indices) == len(node.options) else (*above, Chosen(node, frozenset(indices)))


def _identity(atom: Atom) -> tuple[int, object]:
    match atom:
        case Chosen():
            return id(atom.node), atom.indices
        case Holds():
            return id(atom.node), atom.wanted
    return id(atom.node), id(atom.test)


def _refuse_circles(node: Conditional, reads: dict[Conditional, set[Conditional]], above: list[Conditional]) -> None:
    if node in above:
        circle = [*above[above.index(node) :], node]
        raise SpaceError(
            f"{' -> '.join(str(one.path) for one in circle)}: these conditions depend on each other in a circle. "
            "Let one of them depend on something else."
        )
    for other in reads[node]:
        _refuse_circles(other, reads, [*above, node])


def _unknown(root: Fields, parts: list[str]) -> str:
    """Return what is wrong with a place that the space does not have."""
    from difflib import get_close_matches  # here, because only mistakes need it

    known = list(dict.fromkeys(node.path.key for node in walked(root) if node.path.key))
    place = "/".join(parts)
    near = get_close_matches(place, known, n=1) or [key for key in known if key.rpartition("/")[2] == parts[-1]]
    hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(map(repr, known))}."
    return f"the space has no parameter {place!r}. {hint}"


def _never(value: Any, test: Test, leaves: list[Node]) -> str:
    """Return what is wrong with a value that a parent never has."""
    from difflib import get_close_matches  # here, because only mistakes need it

    values = [_plain(leaf) for leaf in leaves if isinstance(leaf, Constant | Object | Fields)]
    domains = [str(leaf.domain) for leaf in leaves if isinstance(leaf, Draw | Composed)]
    near = get_close_matches(str(value), list(map(str, values)), n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It is one of {', '.join([*map(label, values), *domains])}."
    if list(test.values) in values:
        hint = f"A list is one of several values; if the list itself is meant, write [{label(list(test.values))}]."
    elif is_lambda(value):
        hint = "Give a single function, not a list of them."
    return f"it is never {label(value)}. {hint}"

"""Points to evaluate: what a user fixes of a config, held against the space."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import SpaceError
from .composites import Arrangement
from .conditions import walked
from .domains import Categorical, Float, Integer, same
from .objects import OBJECT_KEY, is_json, label, python_scalar
from .resolution import NotKnownError, Resolution
from .spec import Spec
from .tree import Chosen, Composed, Computed, Conditional, Constant, Draw, Fields, Holds, Node, Object, Options

if TYPE_CHECKING:
    from .constraints import Constraint
    from .space import Space


@dataclass(frozen=True, slots=True)
class Claim:
    """A value was given for a node with a condition: what that means where it holds, and where it does not."""

    node: Conditional
    as_then: SpaceError | list[Claim]
    """Why it does not fit, or what else it claims if it does."""
    as_otherwise: SpaceError | list[Claim]


@dataclass(frozen=True, slots=True)
class Point:
    """What is fixed for one sample, by the nodes' names."""

    options: dict[str, int] = field(default_factory=dict)
    """Which value of a choice or grid."""
    values: dict[str, Any] = field(default_factory=dict)
    """The values of draws and lambdas, and the arrangements of what is composed of several draws."""
    claims: list[Claim] = field(default_factory=list)
    """What was given for nodes with a condition, for `fixed_point` to judge."""

    def add(self, other: Point) -> None:
        """Fix also what another point fixes."""
        self.options.update(other.options)
        self.values.update(other.values)
        self.claims.extend(other.claims)

    def points(self, node: Node) -> int:
        """Return how many grid points are left at and below `node`."""
        if node.points == 1 or not self.options:
            return node.points
        match node:
            case Options() if node.path.name in self.options:
                return self.points(node.options[self.options[node.path.name]])
            case Options():
                return sum(map(self.points, node.options))
            case Fields():
                product = 1
                for child in node.grids:
                    product *= self.points(child)
                return product
        return 1


NOTHING_FIXED = Point()


def checked_points(space: Space, points: Sequence[Mapping[str, Any]]) -> list[Point]:
    """Return what each of the points that a user wants to try first fixes.

    Raises:
        SpaceError: A point does not lie in the space, or no config that holds it may be tried.
    """
    found = []
    for index, values in enumerate(points):
        where = f"points_to_evaluate[{index}]"
        point = fixed_point(space.root, values, where)
        constraint = refused(space, point)
        if constraint is not None:
            raise SpaceError(f"{where}: {label(dict(values))} does not hold {constraint}. Change it, or leave it out.")
        found.append(point)
    return found


def refused(space: Space, point: Point) -> Constraint | None:
    """Return a constraint that no config with this point holds, as far as that can be said without draws."""
    for constraint in space.constraints:
        try:
            if not constraint.holds(Spec(space.root, Known(space.root, point))):
                return constraint
        except NotKnownError:
            continue
    return None


def prior_point(root: Fields) -> Point | None:
    """Return the point that has the prior of every parameter that has one; None where none has."""
    point = Point()
    for node in walked(root):
        match node:
            case Draw(domain=Float() | Integer() as domain) if domain.prior is not None:
                point.values[node.path.name] = domain.prior
            case Options(domain=Categorical() as domain) if domain.preferred is not None:
                point.options[node.path.name] = domain.preferred
    return point if point.values or point.options else None


def fixed_point(root: Fields, values: Mapping[str, Any], where: str, *, is_whole: bool = False) -> Point:
    """Return what `values`, a part of a config, fixes in the space.

    A value that is only there under a condition also fixes the choices that this needs, if they are left open; not so
    with `is_whole`, for a whole config leaves nothing open.

    Raises:
        SpaceError: A key that the space does not have, or a value that is not in its domain; the message names the
            place, which begins with `where`.
    """
    if not isinstance(values, Mapping):
        raise SpaceError(f"{where}: {label(values)} is not a dict. Give a part of a config, e.g. {{'lr': 0.1}}.")
    point = Point()
    _fix(root, dict(values), where, point)
    _judge(point.claims, point, Known(root, point), is_whole)
    return point


def _judge(claims: Iterable[Claim], point: Point, known: Known, is_whole: bool) -> None:
    """Raise the error of a claim that does not fit under its condition, as far as that is known."""
    for claim in claims:
        try:
            found = claim.as_then if known.holds(claim.node) else claim.as_otherwise
        except NotKnownError:
            if isinstance(claim.as_otherwise, SpaceError) and not is_whole:
                _let_hold(claim.node, point)
            continue
        if isinstance(found, SpaceError):
            raise found
        _judge(found, point, known, is_whole)


def _let_hold(node: Conditional, point: Point) -> None:
    """Fix the choices that a condition needs; where it speaks of a number, a draw is left to decide."""
    for atom in node.alternatives[0]:
        if isinstance(atom, Chosen):
            point.options.setdefault(atom.node.path.name, min(atom.indices))
        elif isinstance(atom, Holds) and atom.wanted:
            _let_hold(atom.node, point)


class Known(Resolution):
    """What can be said of all configs that hold a point; everything else raises NotKnownError."""

    def __init__(self, root: Fields, point: Point) -> None:
        super().__init__(root, seed=0, number=0, trial=0, options=point.options, values=point.values)

    def _quantile(self, name: str) -> float:
        raise NotKnownError

    def _option(self, node: Options) -> int:
        index = self._options.get(node.path.name)
        if index is None:
            if len(node.options) == 1:
                return 0
            raise NotKnownError
        return index

    def _call(self, node: Computed) -> Any:
        raise NotKnownError


def fix(node: Node, value: Any, point: Point) -> bool:
    """Fix one node at a value, if that lies in it; return whether it does. Conditions are not looked at."""
    attempt = Point()
    try:
        _fix(node, value, "config", attempt)
    except SpaceError:
        return False
    point.options.update(attempt.options)
    point.values.update(attempt.values)
    return True


def _fix(node: Node, value: Any, where: str, point: Point) -> None:
    value = python_scalar(value)
    match node:
        case Fields(is_list=True):
            _fix_list(node, value, where, point)
        case Fields():
            _fix_dict(node, value, where, point)
        case Options():
            _fix_option(node, value, where, point)
        case Draw():
            if not node.domain.contains(value):
                raise SpaceError(f"{where}: {label(value)} is outside {node.domain}.")
            point.values[node.path.name] = int(value) if isinstance(node.domain, Integer) else float(value)
        case Composed():
            point.values[node.path.name] = _arrangement(node, value, where)
        case Conditional():
            _fix_conditional(node, value, where, point)
        case Computed():
            if not is_json(value):
                raise SpaceError(f"{where}: {label(value)} ({type(value).__name__}) is not a JSON value.")
            point.values[node.path.name] = value
        case Constant() | Object():
            is_named = isinstance(node, Object) and type(value) is dict and value == {OBJECT_KEY: node.identifier}
            if not is_named and not same(value, node.value):
                raise SpaceError(f"{where}: {label(value)} is not what the space says, {label(node.value)}.")


def _fix_dict(node: Fields, value: Any, where: str, point: Point) -> None:
    if not isinstance(value, dict):
        raise SpaceError(f"{where}: {label(value)} is not a dict, as the space has it.")
    for key, item in value.items():
        if key not in node.children:
            from difflib import get_close_matches  # here, because only mistakes need it

            near = get_close_matches(str(key), map(str, node.children))
            hint = f"Did you mean {near[0]!r}?" if near else f"It has {', '.join(map(repr, node.children))}."
            raise SpaceError(f"{where}[{key!r}]: {node.path} has no such key. {hint}")
        _fix(node.children[key], item, f"{where}[{key!r}]", point)


def _arrangement(node: Composed, value: Any, where: str) -> Arrangement:
    if node.items and isinstance(value, list | tuple):
        by_identifier = {
            item.identifier: item.value for item in node.items if isinstance(item, Object)
        }  # as configs hold them
        value = [
            by_identifier.get(one[OBJECT_KEY], one) if isinstance(one, dict) and one.keys() == {OBJECT_KEY} else one
            for one in value
        ]
    found = node.domain.arrangement(value)
    if found is None:
        raise SpaceError(f"{where}: {label(value)} is outside {node.domain}.")
    return found


def _fix_conditional(node: Conditional, value: Any, where: str, point: Point) -> None:
    as_then = _claimed(node.then, node, value, where, point)
    as_otherwise = _claimed(node.otherwise, node, value, where, point)
    if isinstance(as_then, SpaceError) and isinstance(as_otherwise, SpaceError):
        raise as_then if node.otherwise is None else as_otherwise
    point.claims.append(Claim(node, as_then, as_otherwise))


def _claimed(branch: Node | None, node: Conditional, value: Any, where: str, point: Point) -> SpaceError | list[Claim]:
    """Fix what a value says if it stands for one branch of a condition; return what it claims then, or an error."""
    if branch is None:
        return SpaceError(f"{where}: this is only there where {node.test}. Leave it out.")
    attempt = Point()
    try:
        _fix(branch, value, where, attempt)
    except SpaceError as error:
        return error
    point.options.update(attempt.options)
    point.values.update(attempt.values)
    return attempt.claims


def _fix_list(node: Fields, value: Any, where: str, point: Point) -> None:
    if not isinstance(value, list | tuple) or len(value) != len(node.children):
        raise SpaceError(f"{where}: {label(value)} is not a list of {len(node.children)} values, as the space has it.")
    for index, item in enumerate(value):
        _fix(node.children[index], item, f"{where}[{index}]", point)


def _fix_option(node: Options, value: Any, where: str, point: Point) -> None:
    nearest: list[SpaceError] = []
    for index, option in enumerate(node.options):
        attempt = Point()
        try:
            _fix(option, value, where, attempt)
        except SpaceError as error:
            if isinstance(option, Fields) and isinstance(value, dict if not option.is_list else list):
                nearest.append(error)
            continue
        point.add(attempt)
        point.options[node.path.name] = index
        return
    if len(nearest) == 1:
        raise nearest[0]  # only one option has this shape, so its own complaint says more
    raise SpaceError(f"{where}: {label(value)} is none of {node.domain}.")

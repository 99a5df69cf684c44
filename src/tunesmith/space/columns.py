"""Constraints held against many configs at once: a user's function is called with whole columns in place of values.

Columns hold Python objects, so that arithmetic and comparisons mean the same in them as one by one. Where the function
asks for the truth of a column (`and`, `if`, `max`), reads a choice, or something that not all configs have, the rows
are parted and it is called again with each part, in which the answer is one and the same. Where it cannot do with
columns at all, it is called config by config.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .composites import Arrangement, Simplex
from .constraints import Constraint
from .domains import Float, Integer, Ordinal
from .quantiles import indices_at, levels, value_at, values_at
from .spec import MissingKeyError, Spec
from .tree import Composed, Computed, Conditional, Constant, Draw, Fields, Node, Object, Options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .encoding import Encoding

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]
    Indices = NDArray[np.intp]

FEW = 8
"""So few rows are not worth the trouble."""
MOST_KINDS = 32
"""By so many orders or subsets rows are parted."""
MOST_PARTS = 200
"""Into so many parts rows are divided; what is left is judged one by one."""


def verdicts(constraint: Constraint, encoding: Encoding, rows: FloatArray) -> BoolArray:
    """Return for each settled row whether its config holds a constraint.

    Raises:
        SpaceError: The constraint failed.
    """
    found = np.ones(len(rows), dtype=bool)
    parts: list[Indices] = [np.arange(len(rows))]
    count = 0
    while parts:
        part = parts.pop()
        count += 1
        try:
            whole = None if len(part) < FEW or count > MOST_PARTS else _at_once(constraint, encoding, rows[part])
        except PartedError as parted:
            parts += [part[group] for group in parted.groups]
        else:
            found[part] = _one_by_one(constraint, encoding, rows[part]) if whole is None else whole
    return found


def _at_once(constraint: Constraint, encoding: Encoding, rows: FloatArray) -> BoolArray | bool | None:
    """Return what a constraint says to whole columns; None where it cannot do with them."""
    columns = Columns(encoding, rows)
    try:
        verdict = constraint.function(Spec(encoding.space.root, columns))
    except MissingKeyError as error:
        return True if error.place in constraint.places else None
    except Exception:  # noqa: BLE001  one by one it is said what is wrong, if anything is
        return None
    if isinstance(verdict, Column) and verdict.shape == (len(rows),):
        whole: BoolArray | bool = verdict.view(np.ndarray).astype(bool)
    elif isinstance(verdict, bool | np.bool_):
        whole = bool(verdict)
    else:
        return None
    # The ends are judged by themselves too, lest the function means something else by a column.
    ends = np.asarray(_one_by_one(constraint, encoding, rows[[0, -1]]))
    return whole if (ends == np.broadcast_to(whole, len(rows))[[0, -1]]).all() else None


def _one_by_one(constraint: Constraint, encoding: Encoding, rows: FloatArray) -> list[bool]:
    root = encoding.space.root
    found = []
    for row in rows:
        # What a function of the space draws is not said by coordinates: it is drawn as for trial 0.
        resolution = encoding.resolution(encoding.point(row.tolist()), seed=0, number=0)
        try:
            found.append(constraint.holds(Spec(root, resolution)))
        finally:
            resolution.put_back()
    return found


class PartedError(BaseException):
    """The answer is not the same for all rows; `groups` are the indices of those for which it is.

    It passes through a user's `except Exception`.
    """

    def __init__(self, kinds: NDArray[Any]) -> None:
        super().__init__()
        _, inverse = np.unique(kinds, return_inverse=True)
        order = np.argsort(inverse.ravel(), kind="stable")
        self.groups: list[Indices] = np.split(order, np.cumsum(np.bincount(inverse.ravel()))[:-1])


class Column(np.ndarray[Any, np.dtype[np.object_]]):
    """The values of many configs, which takes part in arithmetic and comparisons as one value does."""

    def __bool__(self) -> bool:
        truths = self.view(np.ndarray).astype(bool)
        if truths.all():
            return True
        if not truths.any():
            return False
        raise PartedError(truths)

    def _is_no_list(self, *_: object) -> NoReturn:
        raise TypeError("this stands for one value of many configs")

    __len__ = __iter__ = __contains__ = __getitem__ = __index__ = __hash__ = _is_no_list  # type: ignore[assignment]


class Columns:
    """The values of some rows, as `Spec` reads them."""

    def __init__(self, encoding: Encoding, rows: FloatArray) -> None:
        self._encoding = encoding
        self._rows = rows
        self._known: dict[Node, Any] = {}

    def settled(self, node: Node | None) -> Constant | Object | Fields | None:
        """Return what a node leads to in these rows: a dict or list, a constant, or a column in place of one.

        Raises:
            PartedError: It is not the same in all of them.
        """
        while True:
            match node:
                case Options():
                    node = node.options[self._index(node)]
                case Conditional():
                    node = node.then if _same(self._encoding.rules[node].holds(self._rows)) else node.otherwise
                case Draw():
                    return Constant(node.path, self._values(node))
                case Composed():
                    return node.fields(self._arrangement(node))
                case Computed():
                    raise TypeError("its values are not said by coordinates")
                case _:
                    return node

    def _index(self, node: Options) -> int:
        coordinate = self._encoding.layout.index.get(node)
        if coordinate is None:
            return 0
        column = self._rows[:, coordinate]
        if isinstance(node.domain, Ordinal):
            column = indices_at(node.domain.indices, column)
        return int(_same(column))

    def _arrangement(self, node: Composed) -> Arrangement:
        domain, first = node.domain, self._encoding.layout.index.get(node)
        if first is None:
            return domain.arranged(())
        block = self._rows[:, first : first + len(domain.parts)]
        if isinstance(domain, Simplex):
            shares = np.array([domain.arranged(row) for row in block.tolist()])
            return tuple(shares[:, share].astype(object).view(Column) for share in range(domain.size))
        _, kinds = np.unique(block, axis=0, return_inverse=True)
        if kinds.max() >= MOST_KINDS:
            raise TypeError("there are too many orders or subsets to part the rows by")
        _same(kinds.ravel())
        return domain.arranged(block[0].tolist())

    def _values(self, node: Draw) -> Any:
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = self._found(node)
        return found

    def _found(self, node: Draw) -> Any:
        coordinate = self._encoding.layout.index.get(node)
        if coordinate is None:
            return node.domain.at(0.5)
        column, domain = self._rows[:, coordinate], node.domain
        if isinstance(domain, Integer):
            return values_at(domain, column).astype(np.int64).astype(object).view(Column)
        if isinstance(domain, Float) and levels(domain):
            # Each level once, so that it is the same decimal number as in a config.
            distinct, inverse = np.unique(column, return_inverse=True)
            values = np.array([value_at(domain, quantile) for quantile in distinct.tolist()], dtype=object)
            return values[inverse.ravel()].view(Column)
        return values_at(domain, column).astype(object).view(Column)


def _same(kinds: NDArray[Any]) -> Any:
    """Return what all are; the rows are parted where they are not the same."""
    if (kinds == kinds[0]).all():
        return kinds[0]
    raise PartedError(kinds)

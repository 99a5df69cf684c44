"""Constraints held against many configs at once: a user's function is called with whole columns, and where it cannot do
with these, config by config.

Columns are arrays of Python objects, so that arithmetic and comparisons mean the same in them as one by one. Configs
that have other dicts in them, or other parameters, are not mixed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .constraints import Constraint
from .domains import Float, Normal, Ordinal
from .quantiles import value_at, values_at
from .spec import MissingKeyError, Spec
from .tree import Composed, Computed, Conditional, Constant, Draw, Fields, Node, Object, Options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from .encoding import Encoding

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

FEW = 8
"""So few rows are not worth the trouble."""


class IsComputedError(Exception):
    """A function of the space is read, whose values no coordinates say."""


def verdicts(constraint: Constraint, encoding: Encoding, rows: FloatArray) -> BoolArray:
    """Return for each settled row whether its config holds a constraint.

    Raises:
        SpaceError: The constraint failed.
    """
    import numpy as np

    found = np.ones(len(rows), dtype=bool)
    for chosen in _alike(encoding, rows):
        try:
            found[chosen] = _of_columns(constraint, Columns(encoding, rows[chosen]))
        except IsComputedError:
            found[chosen] = [_one_by_one(constraint, encoding, row) for row in rows[chosen]]
    return found


def _alike(encoding: Encoding, rows: FloatArray) -> Iterator[NDArray[np.int_]]:
    """Yield the indices of rows whose configs have the same dicts and the same parameters."""
    import numpy as np

    columns = [rows[:, encoding.layout.index[node]] for node in _structural(encoding)]
    columns += [rule.holds(rows).astype(float) for rule in encoding.rules.values()]
    if not columns or len(rows) < 2:
        yield np.arange(len(rows))
        return
    _, kinds = np.unique(np.nan_to_num(np.column_stack(columns), nan=-1.0), axis=0, return_inverse=True)
    for kind in range(int(kinds.max()) + 1):
        yield np.flatnonzero(kinds.ravel() == kind)


def _structural(encoding: Encoding) -> Iterator[Options]:
    """Yield the choices among whose options are dicts, lists or domains."""
    for node in encoding.layout.index:
        if isinstance(node, Options) and not is_plain(node):
            yield node


def is_plain(node: Options) -> bool:
    """Whether all options are single values."""
    return all(isinstance(option, Constant | Object) for option in node.options)


def _of_columns(constraint: Constraint, columns: Columns) -> BoolArray | list[bool]:
    """Return the verdicts on rows that are alike."""
    import numpy as np

    count = len(columns.rows)
    root = columns.encoding.space.root
    if count >= FEW:
        whole = _at_once(constraint, columns)
        # The ends are judged one by one too, lest the function means something else by a column.
        ends = (0, count - 1)
        if whole is not None and all(constraint.holds(Spec(root, Row(columns, end))) == whole[end] for end in ends):
            return whole
    return np.array([constraint.holds(Spec(root, Row(columns, index))) for index in range(count)], dtype=bool)


def _at_once(constraint: Constraint, columns: Columns) -> BoolArray | None:
    """Return what the function says to whole columns; None where it cannot do with them."""
    import numpy as np

    try:
        verdict = constraint.function(Spec(columns.encoding.space.root, columns))
    except IsComputedError:
        raise
    except MissingKeyError as error:
        return np.ones(len(columns.rows), dtype=bool) if error.place in constraint.places else None
    except Exception:  # noqa: BLE001  such as the truth of a column: one by one it is said what is wrong, if anything is
        return None
    if not isinstance(verdict, np.ndarray) or verdict.shape != (len(columns.rows),):
        return None
    return verdict.astype(bool)


def _one_by_one(constraint: Constraint, encoding: Encoding, row: FloatArray) -> bool:
    resolution = encoding.resolution(encoding.point(row.tolist()), seed=0, number=0)
    try:
        return constraint.holds(Spec(encoding.space.root, resolution))
    finally:
        resolution.put_back()


class Columns:
    """The values of rows that are alike, worked out when they are first read."""

    def __init__(self, encoding: Encoding, rows: FloatArray) -> None:
        self.encoding = encoding
        self.rows = rows
        self._known: dict[Node, Any] = {}

    def column(self, node: Draw | Composed | Options) -> NDArray[np.object_]:
        """Return a node's values, one for each row."""
        found = self._known.get(node)
        if found is None:
            found = self._known[node] = self._found(node)
        return found

    def settled(self, node: Node | None) -> Constant | Object | Fields | None:
        """Return what a node leads to in these rows: a dict or list, a constant, or a column for one."""
        found = self.chosen(node)
        if isinstance(found, Draw | Composed | Options):
            return Constant(found.path, self.column(found))
        return found

    def chosen(self, node: Node | None) -> Constant | Object | Fields | Draw | Composed | Options | None:
        """Return the node that the choices and conditions above lead to, which is the same in all rows."""
        while True:
            match node:
                case Options():
                    if node in self.encoding.layout.index and is_plain(node):
                        return node
                    node = node.options[self._index(node)]
                case Conditional():
                    holds = self.encoding.rules[node].holds(self.rows[:1])[0]
                    node = node.then if holds else node.otherwise
                case Computed():
                    raise IsComputedError
                case _:
                    return node

    def _index(self, node: Options) -> int:
        if node not in self.encoding.layout.index:
            return 0
        coordinate = float(self.rows[0, self.encoding.layout.index[node]])
        if isinstance(node.domain, Ordinal):
            return int(value_at(node.domain.indices, coordinate))
        return int(coordinate)

    def _found(self, node: Draw | Composed | Options) -> NDArray[np.object_]:
        import numpy as np

        found = np.empty(len(self.rows), dtype=object)
        first = self.encoding.layout.index.get(node)
        if first is None:
            found[:] = [_single(node)] * len(self.rows)
            return found
        match node:
            case Draw(domain=Float() | Normal() as domain) if domain.step is None:
                return np.asarray(values_at(domain, self.rows[:, first]).astype(object))
            case Composed():
                block = self.rows[:, first : first + len(node.domain.parts)]
                found[:] = [node.domain.value(node.domain.arranged(one)) for one in block.tolist()]
                return found
        distinct, inverse = np.unique(self.rows[:, first], return_inverse=True)
        values = np.empty(len(distinct), dtype=object)
        values[:] = [_value(node, float(coordinate)) for coordinate in distinct]
        return np.asarray(values[inverse])


class Row:
    """One of the rows of columns."""

    __slots__ = ("_columns", "_index")

    def __init__(self, columns: Columns, index: int) -> None:
        self._columns = columns
        self._index = index

    def settled(self, node: Node | None) -> Constant | Object | Fields | None:
        """Return what a node leads to in this row."""
        found = self._columns.chosen(node)
        if isinstance(found, Draw | Composed | Options):
            return Constant(found.path, self._columns.column(found)[self._index])
        return found


def _value(node: Draw | Options, coordinate: float) -> Any:
    if isinstance(node, Draw):
        return value_at(node.domain, coordinate)
    index = value_at(node.domain.indices, coordinate) if isinstance(node.domain, Ordinal) else coordinate
    option = node.options[int(index)]
    assert isinstance(option, Constant | Object), "others are settled before"
    return option.value


def _single(node: Draw | Composed | Options) -> Any:
    assert not isinstance(node, Options), "a choice of one is settled before"
    return node.domain.at(0.5) if isinstance(node, Draw) else node.domain.value(node.domain.arranged(()))

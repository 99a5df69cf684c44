"""Sends what cannot be imported elsewhere (functions of a script, closures, lambdas) by value."""

from __future__ import annotations

import io
import marshal
import pickle
from collections import ChainMap
from collections.abc import Callable
from types import CodeType
from typing import Any, ClassVar

import cloudpickle


def pickled(value: Any, *, buffer_callback: Callable[[pickle.PickleBuffer], bool]) -> bytes:
    """Return `value` as a pickle that `pickle.loads` opens; `buffer_callback` as in `pickle.Pickler`.

    Raises:
        Exception: Something in it cannot be pickled; the exception is whatever its own code raised.
    """
    with io.BytesIO() as file:
        _Pickler(file, protocol=5, buffer_callback=buffer_callback).dump(value)
        return file.getvalue()


def _reduced_code(code: CodeType) -> Any:
    try:
        # As Python itself keeps it in .pyc files. cloudpickle has dropped the names of files since 3.1.3, and with them
        # the user's own lines from every traceback.
        return marshal.loads, (marshal.dumps(code),)
    except ValueError:  # rewritten by a tool, with constants that no compiler makes
        return cloudpickle.Pickler.dispatch_table[CodeType](code)


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # cloudpickle has no types
    dispatch_table: ClassVar = ChainMap({CodeType: _reduced_code}, cloudpickle.Pickler.dispatch_table)

"""Which modules the agent imports before it forks workers: those that the trainable will need. It reads, never imports.

What is missed costs each trial its import, what is named in vain costs the agent some memory; neither changes a result.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

THREADED = frozenset(
    {"grpc", "jax", "jaxlib", "mxnet", "pyspark", "ray", "tensorflow", "tf_keras", "torch_xla"}
)  # fmt: skip
"""Packages that start threads while they are imported, or do not survive a fork."""
_NEVER = frozenset({"__main__", "builtins", "IPython", "ipykernel", "tunesmith"})


def modules_to_preload(trainable: Any) -> list[str]:
    """Return the loaded modules that a trainable refers to, by itself and through what it is made of in `__main__`.

    One that wraps a function may name more in an attribute `preloads`.
    """
    walk = _Walk()
    walk.modules.update(getattr(trainable, "preloads", ()))
    walk.visit(getattr(trainable, "__wrapped__", None))
    walk.visit(trainable)
    return sorted(name for name in walk.modules if _may_preload(name))


def _may_preload(name: str) -> bool:
    module = sys.modules.get(name)
    # A module that was made by hand, or that ran as a script, cannot be imported again.
    if module is None or getattr(module, "__spec__", None) is None or name.partition(".")[0] in _NEVER | THREADED:
        return False
    # Asked of their types: some objects, of torch's, warn when they are asked for their class.
    return not any(
        issubclass(type(value), ModuleType) and value.__name__.partition(".")[0] in THREADED
        for value in list(vars(module).values())
    )


class _Walk:
    def __init__(self) -> None:
        self.modules: set[str] = set()
        self._seen: set[int] = set()

    def visit(self, value: Any) -> None:
        """Note the module that `value` is or comes from; of what travels by value, look inside."""
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        if isinstance(value, ModuleType):
            self.modules.add(value.__name__)
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                self.visit(part)
        elif isinstance(value, MethodType):
            self.visit(value.__func__)
            self.visit(type(value.__self__))
        elif self._travels_by_name(value):
            self.modules.add(value.__module__)
        elif isinstance(value, FunctionType):
            self._visit_function(value)
        elif isinstance(value, type):
            for part in (*value.__bases__, *vars(value).values()):
                self.visit(getattr(part, "__func__", part))
        elif type(value).__module__ != "builtins":
            self.visit(type(value))

    def _travels_by_name(self, value: Any) -> bool:
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(name, str) or module in _NEVER:
            return False
        found: Any = sys.modules.get(module)
        for part in name.split("."):
            found = getattr(found, part, None)
        return found is value

    def _visit_function(self, function: FunctionType) -> None:
        for cell in function.__closure__ or ():
            try:
                self.visit(cell.cell_contents)
            except ValueError:
                continue  # Not filled yet.
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self.visit(value)
        for code in _codes(function.__code__):
            for name in code.co_names:
                if name in function.__globals__:
                    self.visit(function.__globals__[name])
            self.modules.update(_imported(code))


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _imported(code: CodeType) -> Iterator[str]:
    """Name the modules that a function imports in its body, `from package import module` included."""
    package = ""
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            package = str(step.argval)
            yield package
        elif step.opname == "IMPORT_FROM" and f"{package}.{step.argval}" in sys.modules:
            yield f"{package}.{step.argval}"

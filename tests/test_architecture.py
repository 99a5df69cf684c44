"""The arrows between the package's parts point one way, and importing it costs next to nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tunesmith

ROOT = Path(tunesmith.__file__).parent

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "layout": set(),
    "text": set(),
    "remote": {"errors"},
    "threads": set(),
    "core": {"errors"},
    "worker": {"errors", "layout", "remote"},
    "space": {"core", "errors"},
    "schedulers": {"core", "errors", "space", "store", "threads"},
    "searchers": {"core", "errors", "space", "threads"},
    "stoppers": {"core", "errors", "schedulers"},
    "store": {"core", "errors", "layout", "remote"},
    "executors": {"core", "errors", "layout", "worker", "remote"},
    "trainables": {"core", "errors", "worker"},
    "callbacks": {"core", "errors", "layout", "schedulers", "store", "text"},
    "analysis": {"core", "errors", "layout", "schedulers", "store", "text", "worker", "remote"},
    "background": set(),
    "loop": {"background", "callbacks", "core", "errors", "executors", "layout", "store"},
}
"""What is not named here is the front of the house: it may import all of this, and nothing here may import it."""

NO_CLOCK_AND_NO_IO = {
    *("asyncio", "datetime", "io", "logging", "os", "pathlib", "secrets", "shutil", "signal", "socket"),
    *("sqlite3", "subprocess", "tempfile", "threading", "multiprocessing", "concurrent"),
}
CLOCKS = {"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "sleep"}
"""Of the module `time`, which the core may use to write a given time as text."""
HEAVY = ("numpy", "scipy", "pandas", "rich", "click", "torch", "sklearn", "yaml", "pyarrow")


def part_of(file: Path) -> str:
    """Return the package's part that a file belongs to: its folder, or its own name."""
    return file.relative_to(ROOT).with_suffix("").parts[0]


def imports_of(source: str, package: list[str]) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for each import in a module of `package`, also inside functions; all made absolute."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            if node.module:
                yield node.lineno, ".".join([*base, node.module])
            else:
                for alias in node.names:
                    yield node.lineno, ".".join([*base, alias.name])


FILES = sorted(ROOT.rglob("*.py"))


def imports_in(file: Path) -> Iterator[tuple[int, str]]:
    return imports_of(file.read_text(encoding="utf-8"), ["tunesmith", *file.relative_to(ROOT).parts[:-1]])


def part_imports(file: Path) -> Iterator[tuple[int, str]]:
    for line, module in imports_in(file):
        head, _, rest = module.partition(".")
        if head == "tunesmith" and rest and rest != "__version__":
            yield line, rest.partition(".")[0]


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_a_part_imports_only_what_lies_below_it(part):
    files = [file for file in FILES if part_of(file) == part]
    assert files, f"there is no {part} any more: take its row out"

    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {imported}"
        for file in files
        for line, imported in part_imports(file)
        if imported != part and imported not in MAY_IMPORT[part]
    ]

    assert wrong == []


def test_the_table_of_arrows_has_no_cycle():
    below: set[str] = set()
    while len(below) < len(MAY_IMPORT):
        next_up = {part for part, imported in MAY_IMPORT.items() if part not in below and imported <= below}
        assert next_up, f"a cycle among {set(MAY_IMPORT) - below}"
        below |= next_up


def test_nobody_imports_integrations():
    wrong = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in FILES
        if part_of(file) != "integrations"
        for line, imported in part_imports(file)
        if imported == "integrations"
    ]

    assert wrong == []


def test_the_core_has_no_clock_and_does_no_io():
    wrong = [
        f"{file.relative_to(ROOT)}:{line} imports {module}"
        for file in FILES
        if part_of(file) == "core"
        for line, module in imports_in(file)
        if module.partition(".")[0] in NO_CLOCK_AND_NO_IO
    ]

    assert wrong == []
    for file in FILES:
        if part_of(file) == "core":
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
                    assert node.attr not in CLOCKS, f"{file.relative_to(ROOT)}:{node.lineno} reads a clock"
                assert not (isinstance(node, ast.ImportFrom) and node.module == "time"), file


def loaded_after(statement: str) -> set[str]:
    program = f"import sys; {statement}; print('\\n'.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import tunesmith",
        "import tunesmith; tunesmith.run, tunesmith.report, tunesmith.uniform, tunesmith.ASHAScheduler",
        "import tunesmith.worker.runner, tunesmith.executors.local",
    ],
)
def test_importing_the_package_loads_nothing_heavy(statement):
    assert not loaded_after(statement) & set(HEAVY)


def test_a_worker_loads_nothing_of_the_core():
    loaded = loaded_after("import tunesmith.worker.runner")

    assert not {module for module in loaded if module.startswith(("tunesmith.core", "tunesmith.store"))}


def test_the_check_sees_every_form_of_an_import():
    source = "def late():\n    from ..loop import Loop\n    from .. import api\n    import tunesmith.session\n"

    assert [module for _, module in imports_of(source, ["tunesmith", "core"])] == [
        "tunesmith.loop",
        "tunesmith.api",
        "tunesmith.session",
    ]

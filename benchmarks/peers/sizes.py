"""What installing a package brings with it, seen in this Python: the closure of its requirements and their bytes."""

import re
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from benchmarks.peers.common import Answer, main

LEFT_OUT = {"numpy", "scipy"}
"""Whoever tunes models has these two already."""


def size(folder: Path, of: Path) -> Answer:
    """Return how many packages come with `of` besides numpy and scipy, itself included, and their megabytes."""
    del folder
    name, _, extra = str(of).partition("+")
    if not installed(name):
        return {"missing": "not installed"}
    needed = closure(name, extra) - LEFT_OUT
    megabytes = (own_bytes(name) + sum(bytes_of(distribution(package)) for package in needed - {name})) / 1e6
    return {"packages": len(needed), "megabytes": megabytes, "names": sorted(needed)}


def closure(name: str, extra: str = "") -> set[str]:
    """Return the names of all installed packages that `name` needs, itself included."""
    seen: set[str] = set()
    waiting = [(name, extra)]
    while waiting:
        package, extra = waiting.pop()
        package = re.sub(r"[-_.]+", "-", package).lower()
        if not installed(package) or (package in seen and not extra):
            continue
        seen.add(package)
        waiting += [split(line) for line in distribution(package).requires or () if wanted(line, extra)]
    return seen


def installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def wanted(requirement: str, extra: str) -> bool:
    """Whether the requirement holds here. Other markers need no look: what they exclude is not installed."""
    named = re.search(r"extra\s*==\s*['\"]([^'\"]+)['\"]", requirement)
    return named is None or named.group(1) == extra


def split(requirement: str) -> tuple[str, str]:
    match = re.match(r"\s*([A-Za-z0-9._-]+)\s*(?:\[\s*([A-Za-z0-9._-]+))?", requirement)
    assert match is not None, requirement
    return match.group(1), match.group(2) or ""


def own_bytes(name: str) -> int:
    """Return the bytes of the package itself, found by its folder: it may be installed as a link to its sources."""
    spec = find_spec(name.replace("-", "_"))
    folders = spec.submodule_search_locations if spec else None
    files = [file for folder in folders or () for file in Path(folder).rglob("*")]
    return sum(file.stat().st_size for file in files if file.is_file() and file.suffix != ".pyc")


def bytes_of(package: Distribution) -> int:
    """Return the bytes of a package's files, compiled bytecode left out: it depends on how one installs."""
    paths = [Path(str(package.locate_file(file))) for file in package.files or ()]
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.exists())


if __name__ == "__main__":
    main("importlib", {"size": size})

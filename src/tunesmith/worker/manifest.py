"""What a checkpoint consists of, written down beside its files: so that a damaged one is known before it is used.

The list is the last file that is written, so where it stands the others were whole. Checkpoints without one (of earlier
versions, or made by hand) are taken as they are.
"""

from __future__ import annotations

import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

MANIFEST = ".checkpoint.json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of one checkpoint's folder."""

    files: dict[str, tuple[int, int]]
    """Path in the folder, with "/" -> (size in bytes, CRC-32 of the contents)."""
    folders: list[str]
    """Paths of the folders in it, outer ones first."""

    @property
    def size(self) -> int:
        """How many bytes its files hold."""
        return sum(size for size, _ in self.files.values())

    def encoded(self) -> bytes:
        """Return it as `decoded` takes it."""
        return json.dumps({"version": 1, "files": self.files, "folders": self.folders}).encode()


def decoded(data: bytes) -> Manifest:
    """Return what `encoded` returned it for.

    Raises:
        ValueError: It is nothing of that kind.
    """
    try:
        found = json.loads(data)
        files = {_inner(name): (int(size), int(crc)) for name, (size, crc) in found["files"].items()}
        return Manifest(files, [_inner(name) for name in found["folders"]])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"its {MANIFEST} cannot be read") from error


def _inner(name: str) -> str:
    """Return a path that leads nowhere but into the folder; it may come from a place that others can write to."""
    if not name or name.startswith("/") or ".." in name.split("/") or (os.sep != "/" and os.sep in name):
        raise ValueError(name)
    return name


def write(folder: Path) -> Manifest:
    """List a folder's contents in a file in it; return the list."""
    files: dict[str, tuple[int, int]] = {}
    folders: list[str] = []
    for directory, _, names in os.walk(folder):
        inner = Path(directory).relative_to(folder)
        if inner.parts:
            folders.append(inner.as_posix())
        for name in names:
            path = Path(directory, name)
            if path.is_file() and (inner / name) != Path(MANIFEST):
                files[(inner / name).as_posix()] = (path.stat().st_size, _crc(path))
    manifest = Manifest(files, folders)
    (folder / MANIFEST).write_bytes(manifest.encoded())
    return manifest


def read(folder: Path) -> Manifest | None:
    """Return a folder's list; None when it has none.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        return decoded((folder / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None


def fault(folder: Path, *, contents: bool = False) -> str:
    """Return what is wrong with a checkpoint's folder, "" when nothing is. Sizes are compared; `contents` if asked."""
    if not folder.is_dir():
        return "it is not there any more"
    try:
        manifest = read(folder)
    except ValueError as error:
        return str(error)
    for name, (size, crc) in sorted((manifest.files if manifest is not None else {}).items()):
        path = folder / name
        if not path.is_file():
            return f"its {name} is missing"
        if path.stat().st_size != size:
            return f"its {name} holds {path.stat().st_size} of {size} bytes"
        if contents and _crc(path) != crc:
            return f"its {name} does not hold what was written"
    return ""


def _crc(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return crc

"""Files under an fsspec URL (s3://bucket/path): the only place that speaks to fsspec, which is imported on use.

Every call is tried again when the network or the service fails, and raises `StorageError` in the end. Nothing is cached
here, for other machines write there too. Credentials and endpoints are the file system's own business (environment
variables, its configuration files); none is ever written down.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from time import sleep
from typing import Any, TypeVar

from .errors import ConfigError, MissingExtra, StorageError, require

WAITS = (1.0, 4.0)
"""Seconds between a failed try and the next one."""
OBJECT_STORES = ("s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "oci", "r2")
"""Where folders need not be made, and making one may make a bucket."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_HOPELESS = (FileNotFoundError, PermissionError, NotImplementedError)
T = TypeVar("T")


def scheme(path: str) -> str:
    """Return the scheme of a URL, "" for a path; also where a `Path` has made s3:/bucket of s3://bucket."""
    found = _URL.match(path)
    return found[1].lower() if found else ""


def joined(url: str, *names: str) -> str:
    """Return the URL of something under `url`."""
    return "/".join([url.rstrip("/"), *names])


class RemoteFolder:
    """What lies under one URL. Names are relative to it, with "/". Threads may share it, processes may not."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    @cached_property
    def _opened(self) -> tuple[Any, str]:
        feature = f"a storage_path of {scheme(self.url)}://"
        fsspec = require("fsspec", feature=feature, extra="s3" if scheme(self.url) == "s3" else "remote")
        # Others hand such an argument on to whatever they connect by; they are told to forget, each time.
        options = {"use_listings_cache": False} if scheme(self.url) in OBJECT_STORES else {}
        try:
            system, path = fsspec.core.url_to_fs(self.url, skip_instance_cache=True, **options)
        except ImportError as error:
            extra = "tunesmith[s3]" if scheme(self.url) == "s3" else f"fsspec[{scheme(self.url)}]"
            raise MissingExtra(f"{feature} needs another package ({error}): pip install '{extra}'") from error
        except ValueError as error:
            raise ConfigError(f"{self.url}: {error}. Give a URL that fsspec knows, s3://bucket/path say.") from error
        return system, str(path)

    @property
    def modules(self) -> list[str]:
        """The modules that a process needs to come here."""
        return [type(self._opened[0]).__module__]

    def read(self, name: str) -> bytes | None:
        """Return a file's contents; None when it is not there."""
        system, root = self._opened
        try:
            data: bytes = self._tried(f"read {name}", lambda: system.cat_file(f"{root}/{name}"))
        except FileNotFoundError:
            return None
        return data

    def write(self, name: str, data: bytes) -> None:
        """Write a file, whole or not at all (as far as the file system can)."""
        system, root = self._opened
        target = f"{root}/{name}"
        self._put([target], lambda: system.pipe_file(target, data))

    def put(self, folder: Path, names: Sequence[str], under: str) -> None:
        """Copy files of a local folder here, under the name `under`."""
        system, root = self._opened
        for batch in self._batches(names):
            sources = [str(folder / name) for name in batch]
            targets = [f"{root}/{under}/{name}" if under else f"{root}/{name}" for name in batch]
            self._put(targets, lambda sources=sources, targets=targets: system.put(sources, targets))  # type: ignore[misc]

    def get(self, under: str, names: Sequence[str], folder: Path) -> None:
        """Copy files from here, under the name `under`, to a local folder.

        Raises:
            FileNotFoundError: One of them is not there.
        """
        system, root = self._opened
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
        for batch in self._batches(names):
            sources = [f"{root}/{under}/{name}" if under else f"{root}/{name}" for name in batch]
            targets = [str(folder / name) for name in batch]
            self._tried(f"read {under}", lambda sources=sources, targets=targets: system.get(sources, targets))  # type: ignore[misc]

    def names(self, under: str) -> list[str]:
        """Return the names of all files under a name."""
        system, root = self._opened
        system.invalidate_cache()
        try:
            found = self._tried(f"list {under}", lambda: system.find(f"{root}/{under}"))
        except FileNotFoundError:
            return []
        start = len(root.lstrip("/")) + 1
        return [str(name).lstrip("/")[start:] for name in found]

    def delete(self, *unders: str) -> None:
        """Delete all files under some names; none is no error."""
        system, root = self._opened
        for batch in self._batches(unders):
            paths = [f"{root}/{under}" for under in batch]
            try:
                self._tried(f"delete {batch[0]}", lambda paths=paths: system.rm(paths, recursive=True))  # type: ignore[misc]
            except FileNotFoundError:
                if len(batch) > 1:  # Some file systems give up at the first one that is not there.
                    for under in batch:
                        self.delete(under)

    def _batches(self, names: Sequence[str]) -> list[Sequence[str]]:
        return [names[start : start + 1000] for start in range(0, len(names), 1000)]

    def _put(self, targets: Sequence[str], act: Callable[[], Any]) -> None:
        system, _ = self._opened

        def put() -> None:
            try:
                act()
            except FileNotFoundError:
                if scheme(self.url) in OBJECT_STORES:
                    raise
                for parent in {target.rpartition("/")[0] for target in targets}:
                    system.makedirs(parent, exist_ok=True)
                act()

        what = f"write {targets[0].rpartition('/')[2]}"
        try:
            self._tried(what, put)
        except FileNotFoundError as error:
            raise StorageError(f"{self.url}: cannot {what}: {_words(error)}") from error

    def _tried(self, what: str, act: Callable[[], T]) -> T:
        for wait in (*WAITS, None):
            try:
                return act()
            except FileNotFoundError:
                raise
            except Exception as error:
                if wait is None or isinstance(error, _HOPELESS) or type(error).__name__ == "NoCredentialsError":
                    raise StorageError(f"{self.url}: cannot {what}: {_words(error)}") from error
                sleep(wait)
        raise AssertionError("the last try returns or raises")


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".strip().rstrip(":").splitlines()[0]

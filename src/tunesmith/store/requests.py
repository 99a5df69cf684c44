"""What other processes ask of a running experiment: one small file per request, written whole or not at all.

Nothing here decides. The loop that drives the experiment polls the folder and turns each request into an event.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec

from ..layout import REQUESTS


class StopRequest(msgspec.Struct, frozen=True):
    """Stop one trial, or with `trial` None the whole experiment."""

    reason: str
    trial: int | None = None
    now: bool = False
    """Kill at once instead of letting the attempts finish cleanly."""


def write_request(folder: Path, request: StopRequest) -> Path:
    """Leave a request for the loop that drives the experiment in `folder`; return the request's file."""
    requests = folder / REQUESTS
    requests.mkdir(exist_ok=True)
    # The time comes first, so that names in order are requests in order.
    path = requests / f"{time.time_ns():020d}-{os.getpid()}.json"
    unfinished = path.with_suffix(".tmp")
    unfinished.write_bytes(msgspec.json.encode(request))
    unfinished.replace(path)
    return path


def read_requests(folder: Path) -> list[StopRequest]:
    """Return the requests left since the last look, oldest first, and take them away.

    A file that is not a request is kept beside them as `*.refused`: whoever wrote it can see that nobody will answer.
    """
    try:
        names = sorted(name for name in os.listdir(folder / REQUESTS) if name.endswith(".json"))  # noqa: PTH208  4x faster
    except FileNotFoundError:
        return []
    found = []
    for name in names:
        path = folder / REQUESTS / name
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=StopRequest))
        except msgspec.DecodeError:
            path.replace(path.with_suffix(".refused"))
        else:
            path.unlink()
    return found

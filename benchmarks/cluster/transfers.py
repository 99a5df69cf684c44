"""Checkpoints from a worker's process to the driver's machine and back, over TCP on this machine: megabytes a second.

    python -m benchmarks.cluster.transfers --megabytes 300

Beside it what the disk alone takes for the same: the checkpoint written, synced and renamed, as where folders are
shared. The best of some times.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tunesmith.executors.depot import Depot
from tunesmith.executors.listener import Listener
from tunesmith.worker import transfer
from tunesmith.worker.checkpoint import commit
from tunesmith.worker.depot import Address, DriverFolder

CONTAINER = "trials/00000/checkpoints/1-000001"


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def serve(folder: Path) -> tuple[int, Address]:
    """Start a driver's side in a process of its own; return its pid, and where it is reached."""
    ours, its = os.pipe()
    pid = os.fork()
    if pid == 0:
        listener = Listener(lambda: None, host="127.0.0.1", depot=Depot(folder))
        os.write(its, f"{listener.port} {listener.key.hex()}".encode())
        while True:
            time.sleep(60)
    port, key = os.read(ours, 1000).decode().split()
    return pid, Address(("127.0.0.1",), int(port), bytes.fromhex(key))


def main() -> None:
    """Print a line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--times", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        driver, worker = Path(name, "driver"), Path(name, "worker")
        for folder in (driver, worker):
            folder.mkdir()
        made = Path(name, "made")
        made.write_bytes(os.urandom(arguments.megabytes * 1_000_000))
        pid, address = serve(driver)
        there = DriverFolder(address)
        found: dict[str, list[float]] = {"disk": [], "up": [], "down": []}
        try:
            for number in range(arguments.times):
                found["disk"].append(timed(partial(commit, made, worker, CONTAINER)))
                found["up"].append(timed(partial(transfer.upload, there, worker, CONTAINER)))
                start = Path(name, f"start-{number}")
                found["down"].append(timed(partial(transfer.download, there, CONTAINER, start)))
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
    rates = {f"{each}_mb_s": round(arguments.megabytes / min(seconds)) for each, seconds in found.items()}
    print(json.dumps({"megabytes": arguments.megabytes, **rates}))


if __name__ == "__main__":
    main()

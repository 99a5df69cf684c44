"""What every measured script shares. Standard library only: any Python with any peer can run it.

A script is called as `python -m benchmarks.peers.with_ray trials folder=/tmp/x fresh=8`: one command, then the
keywords of the function that carries it out. The last line it prints is its answer, a JSON object.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CPUS = 2
"""How many trials run at once, everywhere."""

Answer = dict[str, Any]


def main(package: str, commands: Mapping[str, Callable[..., Answer]]) -> None:
    """Carry out the command that stands on the command line and print its answer."""
    name, *keywords = sys.argv[1:]
    if find_spec(package) is None:
        answer: Answer = {"missing": "not installed"}
    elif name not in commands:
        answer = {"missing": "has none"}
    else:
        answer = commands[name](**dict(_keyword(text) for text in keywords))
    sys.stdout.flush()
    print("\n" + json.dumps(answer), flush=True)


def _keyword(text: str) -> tuple[str, Any]:
    key, _, value = text.partition("=")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, Path(value)


def tenths(times: Sequence[float], events: int = 1) -> Answer:
    """Return the microseconds that one event took in the first and in the last tenth of `times`.

    Args:
        times: Seconds, in order.
        events: How many events lie between one of these times and the next.
    """
    tenth = max(1, len(times) // 10)
    return {
        "first_us": 1e6 * (times[tenth] - times[0]) / tenth / events,
        "last_us": 1e6 * (times[-1] - times[-1 - tenth]) / tenth / events,
    }


def resident_bytes() -> int:
    """Return how much memory this process holds now."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


# The crash benchmark: every step that `report` has returned from is written to a file that no tuner knows of.

CRASH_TRIALS = 8
CRASH_STEPS = 100
CRASH_STEP_SECONDS = 0.1


def train_and_acknowledge(folder: Path, number: int, report: Callable[[int], None]) -> None:
    """Train one trial of the crash benchmark, with a grandchild that leaves the session, as data loaders may."""
    grandchild = subprocess.Popen(["sleep", "600"], start_new_session=True, stdin=subprocess.DEVNULL)
    truth = folder / f"truth-{number}.jsonl"
    acknowledge(truth, {"pids": [os.getpid(), grandchild.pid]})
    for step in range(1, CRASH_STEPS + 1):
        time.sleep(CRASH_STEP_SECONDS)
        report(step)
        acknowledge(truth, {"number": number, "step": step})
    grandchild.kill()
    grandchild.wait()


def acknowledge(truth: Path, fact: Answer) -> None:
    with truth.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(fact) + "\n")
        lines.flush()
        os.fsync(lines.fileno())

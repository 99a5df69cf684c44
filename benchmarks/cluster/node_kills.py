"""Nodes of a real Ray that die at random times, one in each run: what is lost, and what is done again.

    python -m benchmarks.cluster.node_kills --runs 20 --seed 1

The cluster is Ray's own: a head that runs no trials, two nodes beside it, and one in a network of its own with an
address of its own (needs root and iproute2; without it a third one like the others). A node dies as machines do: all of
its processes at once, at the time of one signal; or, the one in its own network, by its cable being pulled, so that
nobody is told and all that it runs goes on. Per run, from the journal and from what a reader saw just before:

- lost: results that could be seen before the kill and are not there in the end.
- abandoned: trials that have not completed.
- redone: the most steps that a trial did again; never more than it takes from one checkpoint to the next.
- twice: attempts that wrote a sign of life after the next attempt of the same trial had begun.
- gone_on: seconds from the kill until the last trial of the dead node has reported again.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

import tunesmith as tune
from tunesmith.core.events import Reported, TrialLaunched
from tunesmith.store.reader import JournalReader

TRIALS = 6
STEPS = 40
SECONDS = 0.15
"""Of a step."""
EVERY = 5
"""Steps from one checkpoint to the next."""
ISLAND, CABLE, PLUG = f"island{os.getpid()}", f"cable{os.getpid() % 100000}", f"plug{os.getpid() % 100000}"
HERE, THERE = "10.219.0.1", "10.219.0.2"


def train(config: dict[str, Any]) -> None:
    """Count, and leave a sign of life at each step."""
    checkpoint, context = tune.get_checkpoint(), tune.get_context()
    step = int(Path(checkpoint.path).read_text()) if checkpoint else 0
    with Path(config["signs"]).open("a", buffering=1) as signs:
        while step < STEPS:
            for _ in range(10):
                time.sleep(SECONDS / 10)
                signs.write(f"{context.trial_id} {context.attempt} {time.monotonic()}\n")
            step += 1
            file = None
            if step % EVERY == 0:
                file = context.trial_folder / f"step-{context.attempt}"
                file.write_text(str(step))
            tune.report({"step": step, "node": context.node}, checkpoint=file)


def ip(*words: str) -> bool:
    try:
        return subprocess.run(["ip", *words], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


class Nodes:
    """The cluster, and how its nodes die and are replaced."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self.has_island = ip("netns", "add", ISLAND)
        if self.has_island:
            ip("link", "add", CABLE, "type", "veth", "peer", "name", PLUG, "netns", ISLAND)
            ip("addr", "add", f"{HERE}/24", "dev", CABLE)
            ip("link", "set", CABLE, "up")
            for words in (
                ("addr", "add", f"{THERE}/24", "dev", PLUG),
                ("link", "set", PLUG, "up"),
                ("link", "set", "lo", "up"),
                ("route", "add", "default", "via", HERE),
            ):
                ip("-n", ISLAND, *words)
        address = {"node_ip_address": HERE} if self.has_island else {}
        head = {"num_cpus": 0, "include_dashboard": False, **address}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self._plain = [self._add() for _ in range(2 if self.has_island else 3)]
        if self.has_island:
            self._settle_island()

    def _add(self) -> Any:
        return self.cluster.add_node(num_cpus=2)

    def _settle_island(self) -> None:
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", f"--address={self.cluster.address}"]
        options = [f"--node-ip-address={THERE}", "--num-cpus=2", "--disable-usage-stats"]
        subprocess.Popen(["ip", "netns", "exec", ISLAND, *ray, *options], stdout=subprocess.DEVNULL)

    def wait_for(self, count: int) -> None:
        """Wait until Ray counts so many CPUs."""
        import ray

        until = time.monotonic() + 120
        while ray.cluster_resources().get("CPU", 0) != 2 * count:
            assert time.monotonic() < until, ray.cluster_resources()
            time.sleep(0.1)

    def kill(self, which: int) -> tuple[str, float]:
        """Kill one of the three nodes; return how, and when."""
        if self.has_island and which == 2:
            ip("link", "set", CABLE, "down")
            return "cable", time.monotonic()
        node = self._plain.pop(which)
        at = time.monotonic()
        kill_all(node)
        self.cluster.remove_node(node, allow_graceful=False)
        return "processes", at

    def replace(self, how: str) -> None:
        """Have all nodes back."""
        if how == "cable":
            kill_pids(island_pids())
            ip("link", "set", CABLE, "up")
            self._settle_island()
        else:
            self._plain.append(self._add())

    def close(self) -> None:
        """End everything."""
        if self.has_island:
            kill_pids(island_pids())
        self.cluster.shutdown()
        if self.has_island:
            ip("link", "del", CABLE)
            ip("netns", "del", ISLAND)


def island_pids() -> list[int]:
    found = subprocess.run(["ip", "netns", "pids", ISLAND], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def kill_pids(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_all(node: Any) -> None:
    """Kill all processes of a Ray node, and all that they have started, before any of them hears of it."""
    pids = [process.process.pid for each in node.all_processes.values() for process in each]
    family = {child.pid for pid in pids if psutil.pid_exists(pid) for child in psutil.Process(pid).children(True)}
    for pid in family.union(pids):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    kill_pids([*family, *pids])


@contextlib.contextmanager
def nodes() -> Iterator[Nodes]:
    import ray

    made = Nodes()
    try:
        options = {"_node_ip_address": HERE} if made.has_island else {}
        ray.init(address=made.cluster.address, log_to_driver=False, configure_logging=False, **options)
        made.wait_for(3)
        yield made
    finally:
        ray.shutdown()
        made.close()


def reports(folder: Path) -> dict[tuple[int, int, int], dict[str, Any]]:
    with JournalReader(folder) as reader:
        found = [event for _, event in reader.events() if isinstance(event, Reported)]
    return {(event.trial, event.attempt, event.number): event.metrics for event in found}


def one_run(made: Nodes, folder: Path, draws: random.Random, *, which: int, executor: Any = "ray") -> dict[str, Any]:
    """Run an experiment in which a node dies at a random time; return what came of it."""
    seen: dict[str, Any] = {}
    begun = threading.Event()

    class Begun(tune.Callback):
        def handle(self, happened: Any, experiment: Any) -> None:
            if any(isinstance(event, Reported) for event in happened):
                begun.set()

    delay = draws.uniform(0, STEPS * SECONDS * 0.8)

    def kill() -> None:
        begun.wait()
        time.sleep(delay)
        seen["visible"] = reports(folder / "e")
        seen["how"], seen["at"] = made.kill(which)

    killer = threading.Thread(target=kill)
    killer.start()
    signs = folder / "signs"
    results = tune.run(
        train,
        space={"signs": str(signs)},
        num_samples=TRIALS,
        name="e",
        storage_path=folder,
        verbose=0,
        executor=executor,
        callbacks=[Begun()],
    )
    killer.join()
    after = reports(folder / "e")
    with JournalReader(folder / "e") as reader:
        launched = [event for _, event in reader.events() if isinstance(event, TrialLaunched) and event.attempt > 1]
    again = {(event.trial, event.attempt) for event in launched}
    return {
        "how": seen["how"],
        "seconds": round(delay, 2),
        "visible": len(seen["visible"]),
        "lost": sum(after.get(key) != metrics for key, metrics in seen["visible"].items()),
        "abandoned": sum(trial.status != "completed" or trial.history[-1]["step"] != STEPS for trial in results),
        "attempts_again": len(again),
        "redone": max((redone(after, *key) for key in again), default=0),
        "twice": twice(signs),
        "gone_on": round(max((first_sign(signs, *key) - seen["at"] for key in again), default=0.0), 2),
    }


def redone(found: dict[tuple[int, int, int], dict[str, Any]], trial: int, attempt: int) -> int:
    """Return how many steps an attempt did that the ones before it had reported."""
    steps = {each: {m["step"] for (t, a, _), m in found.items() if (t, a) == (trial, each)} for each in range(1, 99)}
    before = set().union(*(steps[each] for each in range(1, attempt)))
    assert not before or min(steps[attempt]) <= max(before) + 1, "a step was left out"
    return len(steps[attempt] & before)


def signs_of_life(signs: Path) -> list[tuple[int, int, float]]:
    lines = [line.split() for line in signs.read_text().splitlines()]
    return [(int(trial), int(attempt), float(moment)) for trial, attempt, moment in lines]


def first_sign(signs: Path, trial: int, attempt: int) -> float:
    return min(moment for t, a, moment in signs_of_life(signs) if (t, a) == (trial, attempt))


def twice(signs: Path) -> int:
    """Return how many attempts lived on when the next one had begun."""
    first: dict[tuple[int, int], float] = {}
    last: dict[tuple[int, int], float] = {}
    for trial, attempt, moment in signs_of_life(signs):
        first.setdefault((trial, attempt), moment)
        last[trial, attempt] = moment
    return sum(last[trial, attempt] >= first.get((trial, attempt + 1), float("inf")) for trial, attempt in last)


def main() -> None:
    """Print a line of JSON per run, and what they come to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    found = []
    with nodes() as made, tempfile.TemporaryDirectory() as folder:
        for number in range(arguments.runs):
            draws = random.Random(f"{arguments.seed}-{number}")
            place = Path(folder, str(number))
            place.mkdir()
            found.append(one_run(made, place, draws, which=draws.randrange(3)))
            print(json.dumps({"run": number, **found[-1]}), flush=True)
            made.replace(found[-1]["how"])
            made.wait_for(3)
    totals = {name: sum(each[name] for each in found) for name in ("visible", "lost", "abandoned", "twice")}
    most = {name: max(each[name] for each in found) for name in ("redone", "gone_on")}
    print(json.dumps({"runs": len(found), "checkpoint_every": EVERY, **totals, "most": most}))


if __name__ == "__main__":
    main()

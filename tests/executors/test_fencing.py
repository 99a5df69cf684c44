"""Never two attempts of one trial: agents that hang, or that the network has cut off, with real processes.

The agents are those of other machines; where the network is cut they are in a network of their own.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from machines import LATER, Machines

import tunesmith as tune
from tunesmith.core.events import AttemptEnded, AttemptStarted, Reported, SessionOpened
from tunesmith.store.reader import JournalReader
from tunesmith.worker.system import IS_LINUX

pytestmark = [
    pytest.mark.heavy,
    pytest.mark.skipif(not IS_LINUX, reason="what agents rely on to end in time is Linux's"),
]


def train(config):
    """Leave a trace of each moment in which it lives; what came first goes on until it is ended."""
    context = tune.get_context()
    until = time.monotonic() + (60 if context.attempt == 1 else 0.5)
    with Path(config["trace"]).open("a", buffering=1) as trace:
        while time.monotonic() < until:
            trace.write(f"{context.attempt} {time.monotonic()} {os.getpid()} {os.getppid()}\n")
            time.sleep(0.005)


def traces(path):
    found = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        attempt, moment, pid, parent = line.split()
        found.setdefault(int(attempt), []).append((float(moment), int(pid), int(parent)))
    return found


def assert_one_after_the_other(path):
    found = traces(path)
    assert sorted(found) == [1, 2]
    assert max(found[1])[0] < min(found[2])[0]


def after(path, act):
    """Do something to the first attempt once it lives."""

    def wait():
        while not traces(path).get(1):
            time.sleep(0.02)
        act(*traces(path)[1][0][1:])

    threading.Thread(target=wait, daemon=True).start()


def send(pids, number):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def run(tmp_path, trace, executor):
    return tune.run(
        train, space={"trace": str(trace)}, name="e", storage_path=tmp_path, verbose=0, seed=1, executor=executor
    )


def ends(tmp_path):
    with JournalReader(tmp_path / "e") as reader:
        return [event.outcome for _, event in reader.events() if isinstance(event, AttemptEnded)]


@pytest.mark.parametrize("who", ["the agent", "the agent and its trial", "all of its machine"])
def test_the_trial_of_an_agent_that_hangs_has_ended_before_it_runs_elsewhere(tmp_path, who):
    trace = tmp_path / "trace"

    def stop(trial, agent):
        host = int(Path(f"/proc/{agent}/stat").read_text().rpartition(")")[2].split()[1])
        hanging = {"the agent": [agent], "the agent and its trial": [agent, trial]}.get(who, [host, agent, trial])
        # Again and again, for the agent is made to go on once, and would. Longer than the driver waits, so that it
        # would find them alive again beside the second attempt.
        while not traces(trace).get(2):
            send(hanging, signal.SIGSTOP)
            time.sleep(0.02)
        send(hanging, signal.SIGCONT)

    after(trace, stop)
    results = run(tmp_path, trace, Machines([], LATER))

    assert results[0].status == "completed"
    assert ends(tmp_path) == ["lost", "done"]
    assert_one_after_the_other(trace)


def test_the_trial_of_an_agent_that_its_engine_takes_for_gone_has_ended_before_it_runs_elsewhere(tmp_path):
    trace = tmp_path / "trace"
    executor = Machines([], LATER)
    after(trace, lambda trial, agent: executor.taken_for_gone.add("node 0"))
    began = time.monotonic()

    results = run(tmp_path, trace, executor)

    assert results[0].status == "completed"
    assert ends(tmp_path) == ["lost", "done"]
    assert_one_after_the_other(trace)
    assert time.monotonic() - began < 30  # it is told to end, and nobody waits for its lease


def test_a_driver_that_reads_far_behind_does_not_lose_what_it_reads_from(tmp_path):
    class Slow(tune.Callback):
        most = 0.0

        def handle(self, happened, experiment):
            written = [event.metrics["written"] for event in happened if isinstance(event, Reported)]
            self.most = max([self.most, *(time.monotonic() - moment for moment in written)])
            time.sleep(0.3)

    def quick(config):
        for step in range(50_000):
            tune.report({"step": step, "written": time.monotonic()})

    slow = Slow()
    tune.run(quick, name="e", storage_path=tmp_path, verbose=0, callbacks=[slow], executor=Machines([]))

    assert ends(tmp_path) == ["done"]
    assert slow.most > Machines.lease + 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_trial_has_started_ends_with_an_agent_that_is_killed(tmp_path, how):
    def start(config):
        if tune.get_context().attempt == 1:
            child = subprocess.Popen(["sleep", "600"], start_new_session=True)
            tune.report({"child": child.pid, "agent": os.getppid()})
            time.sleep(600)

    class Killing(tune.Callback):
        child = None

        def handle(self, happened, experiment):
            for event in happened:
                metrics = getattr(event, "metrics", {})
                if "child" in metrics:
                    self.child = metrics["child"]
                    threading.Thread(target=hit, args=(metrics["agent"],), daemon=True).start()

    def hit(agent):
        while Path(f"/proc/{agent}").exists():  # one that is stopped is made to go on once
            send([agent], how)
            time.sleep(0.02)

    killing = Killing()
    tune.run(start, name="e", storage_path=tmp_path, verbose=0, callbacks=[killing], executor=Machines([], LATER))

    assert ends(tmp_path) == ["lost", "done"]
    assert not Path(f"/proc/{killing.child}").exists()


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def island():
    """A network of its own for one node, with one cable to this one."""
    own = os.getpid()
    name, ours, its = f"ts{own}", f"tsa{own}", f"tsb{own}"
    address = f"10.213.{own // 64 % 256}.{own % 64 * 4 + 1}"
    other = f"10.213.{own // 64 % 256}.{own % 64 * 4 + 2}"
    try:
        made = ip("netns", "add", name)
    except FileNotFoundError:
        pytest.skip("needs iproute2")
    if made.returncode:
        pytest.skip(f"needs the right to make networks: {made.stderr.strip()}")
    try:
        ip("link", "add", ours, "type", "veth", "peer", "name", its, "netns", name)
        ip("addr", "add", f"{address}/30", "dev", ours)
        ip("link", "set", ours, "up")
        ip("-n", name, "addr", "add", f"{other}/30", "dev", its)
        ip("-n", name, "link", "set", its, "up")
        ip("-n", name, "link", "set", "lo", "up")
        yield name, ours, address
    finally:
        ip("link", "del", ours)
        ip("netns", "del", name)


@pytest.mark.parametrize("is_one_way", [False, True])
def test_the_trial_of_an_agent_that_is_cut_off_has_ended_before_it_runs_elsewhere(tmp_path, island, is_one_way):
    name, ours, address = island
    trace = tmp_path / "trace"

    def cut(trial, agent):
        if is_one_way:  # The driver is still heard, and hears nothing.
            ip("-n", name, "route", "add", "blackhole", f"{address}/32")
        else:
            ip("link", "set", ours, "down")

    after(trace, cut)
    there = ["ip", "netns", "exec", name]
    results = run(tmp_path, trace, Machines(there, LATER, address=address))

    assert results[0].status == "completed"
    assert ends(tmp_path) == ["lost", "done"]
    assert_one_after_the_other(trace)


def test_a_resumed_driver_waits_for_the_end_of_what_its_dead_one_cannot_have_ended(tmp_path, island):
    name, ours, address = island
    trace = tmp_path / "trace"
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import sys
            sys.path[:0] = [{str(Path(__file__).parent)!r}]
            import test_fencing as here
            there = [] if sys.argv[1:] else ["ip", "netns", "exec", {name!r}]
            executor = here.Machines(there, address={address!r})
            here.tune.run(here.train, space={{"trace": {str(trace)!r}}}, name="e", storage_path={str(tmp_path)!r},
                          resume="auto", verbose=0, seed=1, executor=executor)
            """
        )
    )
    driver = subprocess.Popen([sys.executable, str(script)])
    while not traces(trace).get(1):
        time.sleep(0.02)
        assert driver.poll() is None
    ip("link", "set", ours, "down")
    driver.send_signal(signal.SIGKILL)
    driver.wait()

    again = subprocess.run([sys.executable, str(script), "here"], capture_output=True, text=True, check=True)

    assert "may not have ended yet" in again.stderr
    assert_one_after_the_other(trace)
    assert min(traces(trace)[2])[0] - max(traces(trace)[1])[0] < 20
    with JournalReader(tmp_path / "e") as reader:
        assert [event.lease for _, event in reader.events() if isinstance(event, SessionOpened)] == [4.5, 4.5]


def test_a_resumed_driver_does_not_wait_when_nothing_ran(tmp_path):
    executor = Machines([])
    quick = {"name": "e", "storage_path": tmp_path, "verbose": 0, "resume": "auto"}
    tune.run(lambda config: None, executor=executor, **quick)

    began = time.monotonic()
    tune.run(lambda config: None, num_samples=2, executor=Machines([]), **quick)

    assert time.monotonic() - began < Machines.lease
    with JournalReader(tmp_path / "e") as reader:
        assert len([event for _, event in reader.events() if isinstance(event, AttemptStarted)]) == 2

"""What dies when, and that nothing is left. Limits are far above what was measured (in brackets), for busy machines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tunesmith.core.commands import Kill
from tunesmith.errors import ExecutorError
from tunesmith.executors import local
from tunesmith.executors.local import LocalExecutor

WAYS = {
    "fork": {"start_method": "fork"},
    "exec": {"start_method": "exec"},
    "fork-reuse": {"start_method": "fork", "reuse_workers": True},
}
SOON = 2.0


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def hangs(config):
    """Start a family, say who it is, and hang."""
    import ctypes
    import os
    import subprocess
    import time

    from tunesmith.worker.session import report

    family = [subprocess.Popen(["sleep", "600"]).pid, subprocess.Popen(["sleep", "600"], start_new_session=True).pid]
    ends, starts = os.pipe()
    if os.fork() == 0:  # A daemon of the old school: two forks and a session of its own, nobody's child.
        os.setsid()
        if (pid := os.fork()) == 0:
            time.sleep(600)
        os.write(starts, str(pid).encode())
        os._exit(0)
    family.append(int(os.read(ends, 100)))
    os.wait()
    try:
        report({"family": family})
        if config.get("by") == "C":
            ctypes.PyDLL(None).sleep(600)  # Holds the interpreter's lock.
        if config.get("by") != "end":
            time.sleep(600)
    except BaseException:
        while config.get("by") == "stubbornness":
            print("no", flush=True)
            time.sleep(600)
        raise
    finally:
        print("cleaned up", flush=True)


def family_of(driver, trial=0):
    driver.until(lambda: driver.results(trial))
    return [driver.pid(trial), *driver.metrics(trial)["family"]]


@pytest.mark.parametrize("by", ["sleep", "C", "stubbornness"])
def test_a_hung_trial_is_killed_with_all_its_descendants_and_its_slot_is_ready(drive, gone, way, by):
    driver = drive(hangs, **way)
    driver.start(0, by=by)
    family = family_of(driver)

    began = time.monotonic()
    driver.executor.kill(Kill(0, 1, 0.0))
    end = driver.ended()[0]
    took = time.monotonic() - began

    assert end.outcome == "killed"
    assert end.failure is None
    assert took < SOON  # [3 ms]
    gone(family, within=SOON)
    driver.start(1, by="end")
    assert driver.ended(2)[1].outcome == "done"


def test_a_killed_trial_gets_its_grace_to_clean_up(drive, gone, way):
    driver = drive(hangs, **way)
    driver.start(0)
    family = family_of(driver)

    driver.executor.kill(Kill(0, 1, 30.0))

    assert driver.ended()[0].outcome == "killed"
    assert driver.output(0) == "cleaned up\n"
    if not way.get("reuse_workers"):
        gone(family, within=SOON)


def test_a_trial_that_will_not_end_is_killed_after_the_grace(drive, gone, way):
    driver = drive(hangs, **way)
    driver.start(0, by="stubbornness")
    family = family_of(driver)

    began = time.monotonic()
    driver.executor.kill(Kill(0, 1, 0.3))
    end = driver.ended()[0]

    assert 0.3 <= time.monotonic() - began < 0.3 + SOON  # [3 ms after the grace]
    assert end.outcome == "killed"
    assert driver.output(0) == "no\n"
    gone(family, within=SOON)


def test_what_a_finished_trial_has_left_running_ends_with_it(drive, gone, way):
    driver = drive(hangs, **way)
    driver.start(0, by="end")
    family = family_of(driver)

    assert driver.ended()[0].outcome == "done"
    gone(family, within=SOON)


def test_the_end_of_one_trial_leaves_the_descendants_of_another_alone(drive, way):
    driver = drive(hangs, **way)
    driver.start(0)
    family = family_of(driver)
    driver.end_of(1, by="end")

    assert all(Path(f"/proc/{pid}").exists() for pid in family)


def test_closing_kills_everything_at_once(drive, gone, way):
    driver = drive(hangs, **way)
    for trial, by in enumerate(("sleep", "C")):
        driver.start(trial, by=by)
    family = [pid for trial in (0, 1) for pid in family_of(driver, trial)]
    agent = driver.executor._agent.pid

    driver.executor.close()

    gone([agent, *family], within=0.0)


DRIVER = """
import os, sys, time
sys.path.insert(0, {folder!r})
from pathlib import Path
from test_local_safety import hangs
from tunesmith.core.commands import Start
from tunesmith.core.events import Placement, Reported
from tunesmith.executors.base import Job
from tunesmith.executors.local import LocalExecutor

executor = LocalExecutor(start_method={method!r})
executor.open(Job(trainable=hangs, experiment="e", folder=Path({results!r})), at=0.0, deliver=print)
for trial, by in enumerate(("sleep", "C")):
    executor.start(Start(trial, 1, {{"by": by}}, Placement("here", {{"cpu": 1}}), float("inf")))
pids = [executor._agent.pid]
while len(pids) < 9:
    for event in executor.wait(None):
        pids += event.metrics["family"] if isinstance(event, Reported) else [event.pid]
if {forks!r} and os.fork() == 0:
    time.sleep(60)  # Holds copies of everything the driver has open.
print(*pids, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("forks", [False, True], ids=["", "whose child lives on"])
@pytest.mark.parametrize("method", ["fork", "exec"])
def test_when_the_driver_is_killed_every_process_is_gone_soon(tmp_path, gone, method, forks):
    script = DRIVER.format(folder=str(Path(__file__).parent), method=method, results=str(tmp_path), forks=forks)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as driver:
        try:
            pids = [int(pid) for pid in driver.stdout.readline().split()]
            assert len(pids) == 9
            driver.kill()
            driver.wait()
            took = gone(pids, within=SOON)  # [10-20 ms; the promise is 0.5 s]
            assert took < SOON
        finally:
            os.killpg(driver.pid, signal.SIGKILL) if forks else driver.kill()


STANDS_STILL = {
    "in Python": "time.sleep(600)",
    "in C": "mutex = ctypes.create_string_buffer(64); [ctypes.PyDLL(None).pthread_mutex_lock(mutex) for _ in 'ab']",
}


@pytest.mark.parametrize("stands_still", STANDS_STILL.values(), ids=STANDS_STILL)
def test_an_agent_in_the_middle_of_a_long_import_ends_with_its_driver_too(tmp_path, gone, stands_still):
    (tmp_path / "slow_module.py").write_text(
        "import ctypes, os, time\nif os.environ.get('OMP_NUM_THREADS') == '1':  # in the agent\n"
        f"    open(os.environ['MARK'], 'w').close()\n    {stands_still}\n"
    )
    script = (
        "import os, sys, time\nfrom pathlib import Path\nimport slow_module\n"
        "from tunesmith.executors.base import Job\nfrom tunesmith.executors.local import LocalExecutor\n"
        "def train(config):\n    slow_module\n"
        "executor = LocalExecutor()\n"
        f"executor.open(Job(trainable=train, experiment='e', folder=Path({str(tmp_path)!r})), at=0.0, deliver=print)\n"
        "while not os.path.exists(os.environ['MARK']):\n    executor.wait(executor.now() + 0.01)\n"
        "print(executor._agent.pid, flush=True)\ntime.sleep(600)\n"
    )
    variables = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    variables |= {"PYTHONPATH": str(tmp_path), "MARK": str(tmp_path / "mark")}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=variables) as driver:
        agent = int(driver.stdout.readline())
        driver.kill()
        driver.wait()
        gone([agent], within=SOON)


def test_when_the_agent_is_killed_its_trials_are_lost_and_another_agent_takes_over(drive, gone, way):
    driver = drive(hangs, **way)
    driver.start(0)
    worker = family_of(driver)[0]
    agent = driver.executor._agent.pid
    os.kill(agent, signal.SIGKILL)

    end = driver.ended()[0]
    assert (end.outcome, end.failure.kind) == ("lost", "lost")
    assert "agent process ended with code -9" in end.failure.message
    gone([worker], within=SOON)  # [0.2 ms]
    driver.start(0, attempt=2, by="end")
    assert driver.ended(2)[1].outcome == "done"
    for pid in driver.results()[0].metrics["family"]:  # The one thing that outlives: what a lost agent cannot reach.
        os.kill(pid, signal.SIGKILL)


def test_agents_that_go_away_again_and_again_are_an_error(drive):
    driver = drive(lambda config: None)
    for attempt in range(1, local.MOST_AGENTS):
        os.kill(driver.executor._agent.pid, signal.SIGKILL)
        assert driver.end_of(0, attempt=attempt).outcome in ("lost", "done")
        if driver.executor._agent is None:
            driver.start(1, attempt=attempt)
    os.kill(driver.executor._agent.pid, signal.SIGKILL)

    with pytest.raises(ExecutorError, match="giving up"):
        while True:
            driver.start(2, attempt=len(driver.events))
            driver.executor.wait(driver.executor.now() + 1)


def test_a_silent_agent_is_lost(drive, gone, monkeypatch):
    monkeypatch.setattr(LocalExecutor, "agent_timeout", 2.0)
    driver = drive(hangs)
    driver.start(0)
    worker = family_of(driver)[0]
    os.kill(driver.executor._agent.pid, signal.SIGSTOP)

    end = driver.ended()[0]

    assert (end.outcome, end.failure.message) == ("lost", "the agent process was silent for 2 s")
    gone([worker], within=SOON)
    for pid in driver.metrics()["family"]:
        os.kill(pid, signal.SIGKILL)


def test_an_agent_whose_driver_stands_still_too_long_ends_its_trials_itself(drive, gone):
    driver = drive(hangs, driver_timeout=1.0)
    driver.start(0)
    family = family_of(driver)

    gone(family, within=10.0)  # Nobody calls `wait`: the driver stands still.

    assert driver.ended()[0].outcome == "lost"


def test_the_agent_outlives_the_thread_that_started_it(drive):
    made = []
    thread = threading.Thread(target=lambda: made.append(drive(hangs)))
    thread.start()
    thread.join()

    assert made[0].end_of(0, by="end").outcome == "done"
    assert made[0].executor._agents == 1


def test_sigterm_and_sigint_to_the_agent_change_nothing(drive):
    driver = drive(hangs)
    driver.end_of(0, by="end")
    for number in (signal.SIGTERM, signal.SIGINT):
        os.kill(driver.executor._agent.pid, number)

    assert driver.end_of(1, by="end").outcome == "done"
    assert driver.executor._agents == 1

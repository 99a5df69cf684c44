from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tunesmith.worker import system


def test_the_children_of_a_process_are_found_with_and_without_the_kernels_list():
    child = subprocess.Popen(["sleep", "600"])
    try:
        # Other threads of the test runner may have children of their own.
        assert system._parent_of(str(child.pid)) == os.getpid()
        script = "import os, subprocess; from tunesmith.worker import system\n"
        script += "child = subprocess.Popen(['sleep', '600']); print(system.children() == [child.pid]); child.kill()\n"
        script += "child.wait(); print(system.children())"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        assert done.stdout == "True\n[]\n"
    finally:
        child.kill()
        child.wait()
    assert system._parent_of("0") == 0


def test_memory_kills_are_seen_for_two_beats(tmp_path):
    counter = tmp_path / "memory.events"
    counter.write_text("low 0\noom 1\noom_kill 3\n")
    watch = system.OutOfMemoryWatch(counter)
    assert not watch.has_struck()

    counter.write_text("low 0\noom 2\noom_kill 4\n")
    assert watch.has_struck()
    watch.beat()
    assert watch.has_struck()
    watch.beat()
    assert not watch.has_struck()


def test_without_a_counter_nothing_is_blamed_on_memory(tmp_path):
    assert not system.OutOfMemoryWatch(tmp_path / "none").has_struck()


@pytest.mark.skipif(not system.IS_LINUX, reason="the kernel's counters are Linux's")
def test_this_machine_has_a_counter_of_memory_kills():
    assert b"oom_kill" in system._oom_counter().read_bytes()


def test_killing_a_group_that_is_gone_does_nothing():
    child = subprocess.Popen(["true"])
    child.wait()

    system.kill_group(child.pid)


def test_a_process_whose_parent_is_gone_already_ends_at_once():
    script = "import signal; from tunesmith.worker import system; system.die_with_parent(1 << 22, signal.SIGKILL)"
    done = subprocess.run([sys.executable, "-c", script + "; print('still here')"], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (1, "")


def test_an_interpreter_gets_paths_arguments_and_options_of_this_one():
    script = (
        "import subprocess, sys; from tunesmith.worker import system; sys.path.append('/odd \\\\udc80 \"path\"');"
        "command = system.interpreter('tunesmith.worker.system', 1, 2); print(command[-1]); print(command[1:-1])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "utf8", "-c", script, "argument"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    code, options = done.stdout.splitlines()

    assert "from tunesmith.worker.system import main; main(1, 2)" in code
    assert "['-c', 'argument']" in code
    assert code.isascii()
    compile(code, "code", "exec")
    assert "'-Werror'" in options
    assert "'utf8'" in options or "'-Xutf8'" in options


def test_signal_numbers_have_names():
    from tunesmith.worker.supervised import signal_name

    assert signal_name(signal.SIGSEGV) == "SIGSEGV"
    assert signal_name(50) == "signal 50"


def test_a_process_that_ends_is_told_from_one_that_lives():
    with subprocess.Popen(["sleep", "60"]) as process:
        assert not system.is_exiting(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert system.is_exiting(process.pid)
    assert system.is_exiting(process.pid)

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tunesmith.errors import JournalLocked
from tunesmith.store.lock import Lock, lock_owner

HOLDER = """
import sys, time
from pathlib import Path
from tunesmith.store.lock import Lock
lock = Lock(Path(sys.argv[1]))
if "fork" in sys.argv:
    import os
    if os.fork() == 0:
        os.close(1)
        time.sleep(600)
        os._exit(0)
print("held", flush=True)
time.sleep(600)
"""


def holder(folder: Path, *options: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder), *options], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    process.stdout.read()  # until whoever inherited it has closed it
    process.stdout.close()


def test_a_lock_is_held_once_and_given_back(tmp_path: Path):
    lock = Lock(tmp_path)
    owner = lock_owner(tmp_path)
    assert owner is not None
    assert owner.pid == os.getpid()
    with pytest.raises(JournalLocked, match=f"process {os.getpid()} on {owner.host}"):
        Lock(tmp_path, patience=0)
    lock.close()
    lock.close()
    assert lock_owner(tmp_path) is None
    Lock(tmp_path, patience=0).close()


def test_nobody_owns_a_folder_without_a_lock(tmp_path: Path):
    assert lock_owner(tmp_path) is None


def test_the_death_of_its_owner_frees_a_lock(tmp_path: Path):
    process = holder(tmp_path)
    owner = lock_owner(tmp_path)
    assert owner is not None
    assert owner.pid == process.pid
    with pytest.raises(JournalLocked, match=f"process {process.pid} "):
        Lock(tmp_path, patience=0)

    end(process)

    assert lock_owner(tmp_path) is None
    Lock(tmp_path, patience=0).close()


def test_a_forked_child_of_a_dead_owner_does_not_keep_the_lock(tmp_path: Path):
    process = holder(tmp_path, "fork")
    try:
        end(process)
        Lock(tmp_path, patience=0).close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # fails if the child were not alive


def test_a_lock_waits_a_moment_for_a_dying_owner(tmp_path: Path):
    process = holder(tmp_path)
    process.kill()  # and not waited for: it may still be going

    Lock(tmp_path, patience=30).close()

    end(process)

"""Checkpoints of workers that do not see the experiment's folder: they travel to the driver's machine and back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tunesmith.errors import CheckpointUnreadable, StorageError
from tunesmith.executors.depot import Depot
from tunesmith.executors.listener import Listener
from tunesmith.worker import manifest, transfer
from tunesmith.worker.checkpoint import staged
from tunesmith.worker.depot import DEPOT, Address, DriverFolder, Put, Whole, received, send
from tunesmith.worker.handshake import introduce

CONTAINER = "trials/00003/checkpoints/2-000007"


@pytest.fixture
def folders(tmp_path):
    for name in ("driver", "worker"):
        (tmp_path / name).mkdir()
    return tmp_path / "driver", tmp_path / "worker"


@pytest.fixture
def address(folders):
    listener = Listener(lambda: None, host="127.0.0.1", depot=Depot(folders[0]))
    yield Address(("127.0.0.1",), listener.port, listener.key)
    listener.close()


def saved(folder, **files):
    with staged(folder, CONTAINER) as staging:
        for name, data in files.items():
            path = staging / name.replace("_in_", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        (staging / "empty folder").mkdir()


def connected(address):
    sock = socket.create_connection((address.hosts[0], address.port))
    introduce(sock, address.key, DEPOT)
    return sock


def answer(sock):
    return received(sock).decode(errors="replace")


def test_a_checkpoint_that_was_sent_lies_whole_on_the_drivers_side(folders, address):
    driver, worker = folders
    large = os.urandom(5_000_000)
    saved(worker, model=large, sub_in_state=b"state", nothing=b"")

    transfer.upload(DriverFolder(address), worker, CONTAINER)

    assert manifest.fault(driver / CONTAINER, contents=True) == ""
    assert (driver / CONTAINER / "model").read_bytes() == large
    assert (driver / CONTAINER / "sub" / "state").read_bytes() == b"state"
    assert (driver / CONTAINER / "nothing").read_bytes() == b""
    assert (driver / CONTAINER / "empty folder").is_dir()
    assert [path.name for path in (driver / CONTAINER).parent.iterdir()] == ["2-000007"]


def test_a_checkpoint_comes_back_as_it_went(folders, address, tmp_path):
    driver, _ = folders
    large = os.urandom(5_000_000)
    saved(driver, model=large, sub_in_state=b"state")

    transfer.download(DriverFolder(address), CONTAINER, tmp_path / "start")

    assert manifest.fault(tmp_path / "start", contents=True) == ""
    assert (tmp_path / "start" / "model").read_bytes() == large


def test_a_checkpoint_that_the_driver_does_not_have_cannot_be_read(address, tmp_path):
    with pytest.raises(CheckpointUnreadable, match="it is not at the driver's machine any more"):
        transfer.download(DriverFolder(address), CONTAINER, tmp_path / "start")


def test_a_damaged_checkpoint_cannot_be_read(folders, address, tmp_path):
    driver, _ = folders
    saved(driver, model=b"long ago")
    (driver / CONTAINER / "model").write_bytes(b"short")

    with pytest.raises(CheckpointUnreadable, match="its model holds 5 of 8 bytes"):
        transfer.download(DriverFolder(address), CONTAINER, tmp_path / "start")


def test_a_checkpoint_that_breaks_off_leaves_nothing(folders, address):
    driver, _ = folders
    sock = connected(address)
    send(sock, Put(f"{CONTAINER}/model", 1000))
    sock.sendall(b"half")
    checkpoints = driver / Path(CONTAINER).parent
    while not checkpoints.is_dir() or not list(checkpoints.iterdir()):
        pass

    sock.close()

    while list(checkpoints.iterdir()):
        pass


def test_a_checkpoint_that_came_damaged_is_refused(folders, address):
    driver, _ = folders
    with connected(address) as sock:
        send(sock, Put(f"{CONTAINER}/model", 4))
        sock.sendall(b"good")
        send(sock, Whole(CONTAINER, manifest.Manifest({"model": (4, 1234)}, []).encoded()))
        assert "is not what was sent" in answer(sock)

    assert not (driver / CONTAINER).exists()


@pytest.mark.parametrize(
    "name", ["../elsewhere", "journal.db", "trials/1/params.json", f"{CONTAINER}/../../x", f"{CONTAINER}/", "/etc/x"]
)
def test_nothing_but_checkpoints_is_written_or_read(folders, address, name):
    with connected(address) as sock:
        send(sock, Put(name, 0))
        assert "is no file of a checkpoint" in answer(sock)

    with pytest.raises(StorageError, match="is no file of a checkpoint"):
        DriverFolder(address).read(name)


def test_a_full_disk_on_the_drivers_side_is_said_to_the_worker(folders, address):
    driver, worker = folders
    saved(worker, model=b"x" * 1000)
    (driver / "trials").write_text("a file where there should be a folder")

    with pytest.raises(StorageError, match="could not keep it: NotADirectoryError"):
        transfer.upload(DriverFolder(address), worker, CONTAINER)


def test_without_the_sessions_key_nothing_is_given(address):
    stranger = DriverFolder(Address(address.hosts, address.port, b"k" * 32))

    with pytest.raises(StorageError, match="cannot be reached"):
        stranger.read(f"{CONTAINER}/model")


def test_memory_is_bounded_whatever_the_size(folders):
    driver, worker = folders
    saved(worker, model=b"")
    with staged(worker, CONTAINER) as staging, (staging / "model").open("wb") as file:
        file.truncate(300_000_000)
    program = (
        "import resource, sys; from pathlib import Path; from tunesmith.executors.depot import Depot\n"
        "from tunesmith.executors.listener import Listener\n"
        "listener = Listener(lambda: None, host='127.0.0.1', depot=Depot(Path(sys.argv[1])))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "print(listener.port, listener.key.hex(), flush=True); input()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, flush=True)"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program, str(driver)], **pipes) as process:
        port, key = process.stdout.readline().split()
        there = DriverFolder(Address(("127.0.0.1",), int(port), bytes.fromhex(key)))
        threads = [threading.Thread(target=transfer.upload, args=(there, worker, CONTAINER)) for _ in range(1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        grown, _ = process.communicate("\n")

    assert (driver / CONTAINER / "model").stat().st_size == 300_000_000
    assert int(grown) < 20_000  # KiB

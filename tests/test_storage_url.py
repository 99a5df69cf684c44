"""Experiments under a URL, against a real S3 server (moto's) that runs in a process of its own."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tunesmith as tune
from tunesmith import remote
from tunesmith.core.events import CheckpointDropped, Reported, TrialLaunched
from tunesmith.core.policy import Exploit
from tunesmith.remote import RemoteFolder
from tunesmith.store.reader import JournalReader

fsspec = pytest.importorskip("fsspec")
boto3 = pytest.importorskip("boto3")
pytest.importorskip("s3fs")
pytest.importorskip("moto")

PATIENCE = 60.0


class Server:
    """moto's S3 server."""

    def __init__(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.start()

    def start(self):
        command = [sys.executable, "-m", "moto.server", "-p", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.02)

    def stop(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture(scope="module")
def server():
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def bucket(server, tmp_path, monkeypatch):
    """A bucket of its own for each test, which stands in a folder of its own."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_MAX_ATTEMPTS": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    name = f"bucket-{time.time_ns()}"
    files().mkdir(name)
    return name


def files():
    return fsspec.filesystem("s3", use_listings_cache=False, skip_instance_cache=True)


def names(bucket):
    return sorted(name.partition("/")[2] for name in files().find(bucket))


def checkpoints(bucket):
    """Trial and name of the checkpoints that are whole."""
    found = [name.split("/") for name in names(bucket) if name.endswith("/.checkpoint.json")]
    return [f"{int(parts[-4])}:{parts[-2]}" for parts in found]


def run(bucket, trainable, **arguments):
    # What a worker does is the same in this process, and its modules need not be imported again for each test.
    defaults = {"name": "e", "storage_path": f"s3://{bucket}/runs", "executor": "inline", "verbose": 0, "seed": 7,
                "metric": "state", "mode": "max"}  # fmt: skip
    return tune.run(trainable, **{**defaults, **arguments})


def events(kind):
    with JournalReader("results/e") as reader:
        return [event for _, event in reader.events() if isinstance(event, kind)]


def function(config):
    """Reports six checkpoints of two files; its first attempt ends after the fourth, if it is to fail."""
    checkpoint = tune.get_checkpoint()
    state = int((checkpoint / "deep" / "state").read_text()) if checkpoint else 0
    folder = tune.get_context().trial_folder / "saved"
    (folder / "deep").mkdir(parents=True, exist_ok=True)
    (folder / "ballast").write_bytes(bytes(1000))
    while state < 6:
        state += 1
        (folder / "deep" / "state").write_text(str(state))
        tune.report({"state": state}, checkpoint=folder)
        if config.get("fails") and state == 4 and tune.get_context().attempt == 1:
            raise RuntimeError("ends here")


class Class(tune.Trainable):
    def setup(self, config):
        self.state = 0

    def step(self):
        if self.config.get("fails") and self.state == 4 and tune.get_context().attempt == 1:
            raise RuntimeError("ends here")
        self.state += 1
        return {"state": self.state, "done": self.state == 6}

    def save_checkpoint(self, folder):
        return {"state": self.state}

    def load_checkpoint(self, checkpoint):
        self.state = checkpoint["state"]


def with_saves(trainable):
    return {"checkpoint_freq": 1} if trainable is Class else {}


READS = """
import sys
import tunesmith as tune
results = tune.load(sys.argv[1])
print(results[0].status.value, [row["state"] for row in results[0].history], results.best.checkpoint_location)
checkpoint = results.best.checkpoint
print(sorted(path.name for path in __import__("pathlib").Path(checkpoint).iterdir()))
"""


def test_a_run_leaves_its_checkpoints_and_journal_at_the_url_and_another_process_reads_them(bucket):
    results = run(bucket, function, executor="local")

    assert results[0].status == "completed"
    assert names(bucket) == [
        "runs/e/experiment.json", "runs/e/journal.db",
        *(f"runs/e/trials/00000/checkpoints/1-000006/{name}" for name in (".checkpoint.json", "ballast", "deep/state")),
    ]  # fmt: skip
    assert not list(Path("results/e/trials/00000/checkpoints").iterdir())
    assert (results.best.checkpoint / "deep" / "state").read_text() == "6"
    shutil.rmtree("results")
    done = subprocess.run(
        [sys.executable, "-c", READS, f"s3://{bucket}/runs/e"], capture_output=True, text=True, check=True
    )
    location = f"s3://{bucket}/runs/e/trials/00000/checkpoints/1-000006"
    assert done.stdout.splitlines() == [
        f"completed [1, 2, 3, 4, 5, 6] {location}", "['.checkpoint.json', 'ballast', 'deep']"
    ]  # fmt: skip
    assert location in show(f"s3://{bucket}/runs/e", "0")


def show(*arguments):
    command = [sys.executable, "-m", "tunesmith.cli", "show", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "500"})
    return " ".join(done.stdout.split())


@pytest.mark.parametrize("trainable", [function, Class])
def test_another_machine_goes_on_from_what_lies_at_the_url(bucket, trainable):
    space = {"fails": True}
    arguments = {"space": space, "executor": "local" if trainable is function else "inline", **with_saves(trainable)}
    run(bucket, trainable, **arguments)
    shutil.rmtree("results")  # another machine has nothing but the URL
    results = run(bucket, trainable, resume="auto", retry_failed=True, **arguments)

    assert [(trial.status, trial.attempts) for trial in results] == [("completed", 2)]
    assert [row["state"] for row in results[0].history] == [1, 2, 3, 4, 5, 6]
    assert Path(events(TrialLaunched)[-1].checkpoint).name == "1-000004"
    assert checkpoints(bucket) == ["0:2-000006"]
    assert not list(Path("results/e/trials/00000/checkpoints").iterdir())


def test_what_is_newer_here_is_gone_on_with_and_what_is_newer_there_is_fetched(bucket):
    run(bucket, function, space={"fails": True})
    old = Path("results").rename("first machine")
    run(bucket, function, space={"fails": True}, resume="auto", retry_failed=True)  # on a second machine
    shutil.rmtree("results")
    old.rename("results")
    results = run(bucket, function, space={"fails": True}, resume="auto", num_samples=2)

    assert [(trial.status, trial.attempts) for trial in results] == [("completed", 2), ("failed", 1)]
    assert [path.name for path in Path("results/e").glob("journal.replaced-*")] == ["journal.replaced-1.db"]
    again = run(bucket, function, space={"fails": True}, resume="auto", num_samples=2, retry_failed=True)
    assert [trial.status for trial in again] == ["completed", "completed"]
    assert len(list(Path("results/e").glob("journal.replaced-*"))) == 1


def test_what_is_not_to_be_kept_is_deleted_at_the_url(bucket):
    run(bucket, Class, num_samples=2, checkpoint_freq=1, num_to_keep=2)

    assert checkpoints(bucket) == ["0:1-000005", "0:1-000006", "1:1-000005", "1:1-000006"]


def test_a_damaged_checkpoint_at_the_url_makes_a_trial_fall_back(bucket, capfd):
    run(bucket, function, space={"fails": True}, num_to_keep=2)
    files().pipe_file(f"{bucket}/runs/e/trials/00000/checkpoints/1-000004/ballast", b"short")
    results = run(bucket, function, space={"fails": True}, num_to_keep=2, resume="auto", retry_failed=True)

    assert [row["state"] for row in results[0].history] == [1, 2, 3, 4, 5, 6]
    assert [Path(event.checkpoint or "none").name for event in events(TrialLaunched)] == [
        "none", "1-000004", "1-000003",
    ]  # fmt: skip
    assert "cannot be read: its ballast holds 5 of 1000 bytes. When it is started again" in capfd.readouterr().err
    assert [event.reason != "" for event in events(CheckpointDropped)].count(True) == 1


def test_an_upload_that_fails_costs_a_checkpoint_and_not_the_trial(bucket, capfd):
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{bucket}/*1-000004*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    boto3.client("s3").put_bucket_policy(Bucket=bucket, Policy=policy)
    results = run(bucket, function, space={"fails": True}, num_to_keep=9, max_failures=1, executor="local")

    assert [(trial.status, trial.attempts) for trial in results] == [("completed", 2)]
    assert [row["state"] for row in results[0].history] == [1, 2, 3, 4, 5, 6]
    reports = events(Reported)
    assert [report.checkpoint is None for report in reports] == [False, False, False, True, False, False, False]
    assert "PermissionError: Forbidden" in reports[3].checkpoint_failure
    assert Path(events(TrialLaunched)[-1].checkpoint).name == "1-000003"
    said = [line for line in capfd.readouterr().err.splitlines() if "could not be stored" in line]
    assert len(said) == 1
    assert said[0].startswith("tunesmith: trial 0: the checkpoint of its result 4 could not be stored (s3://")
    assert said[0].endswith("goes on from trials/00000/checkpoints/1-000003.")
    printed = Path("results/e/trials/00000/stderr").read_text()
    assert "tunesmith: the checkpoint of result 4 was not stored; the trial goes on. s3://" in printed
    assert "checkpoint of iteration 4 not stored" in show("e", "0")


class ClonesTheFirst(tune.Scheduler):
    """After two results the second trial becomes a clone of the first, which waits until then."""

    saves_when_waiting = True

    def lease(self, trial, experiment):
        return 2 if trial.number < 2 else float("inf")

    def decide(self, result, experiment):
        if result.trial == 0:
            return tune.Pause("waits for the other")
        return tune.Continue() if result.number > 2 else Exploit(0, experiment.trials[1].config, "the first is better")


@pytest.mark.parametrize("trainable", [function, Class])
def test_a_clone_goes_on_from_its_sources_checkpoint_at_the_url(bucket, trainable):
    results = run(bucket, trainable, num_samples=2, scheduler=ClonesTheFirst(), **with_saves(trainable))

    assert [trial.status for trial in results] == ["completed", "completed"]
    assert [[row["state"] for row in trial.history] for trial in results] == [[1, 2, 3, 4, 5, 6]] * 2
    started = [event.checkpoint for event in events(TrialLaunched) if event.trial == 1]
    assert started == [None, "trials/00000/checkpoints/1-000002"]
    assert [name.partition(":")[0] for name in checkpoints(bucket)] == ["0", "1"]


DRIVEN = """
import sys, time
import tunesmith as tune

def train(config):
    checkpoint = tune.get_checkpoint()
    state = int((checkpoint / "state").read_text()) if checkpoint else 0
    folder = tune.get_context().trial_folder / "saved"
    folder.mkdir(exist_ok=True)
    while state < 1000:
        state += 1
        (folder / "state").write_text(str(state))
        tune.report({"state": state}, checkpoint=folder)
        time.sleep(0.01)

if __name__ == "__main__":
    stop = {"state": int(sys.argv[2])}
    results = tune.run(train, name="e", storage_path=sys.argv[1], resume="auto", verbose=0, stop=stop)
    states = [row["state"] for row in results[0].history]
    print(states == list(range(1, len(states) + 1)), results[0].attempts)
"""


@pytest.mark.heavy
def test_a_driver_that_was_killed_is_taken_over_from_the_url(bucket, monkeypatch):
    Path("driven.py").write_text(DRIVEN)
    url = f"s3://{bucket}/runs"
    driver = subprocess.Popen([sys.executable, "driven.py", url, "1000"])
    deadline = time.monotonic() + PATIENCE
    while not (known := RemoteFolder(f"{url}/e").read("experiment.json")) or json.loads(known)["last_seq"] < 20:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    with pytest.raises(tune.ExperimentExists, match="already holds an experiment"):
        run(bucket, function)
    Path("there").mkdir()
    monkeypatch.chdir("there")  # another machine
    with pytest.raises(tune.JournalLocked, match=rf"s3://{bucket}/runs/e is driven by process {driver.pid} on"):
        run(bucket, function, resume="auto")
    shown = show(f"{url}/e")
    assert f"running, process {driver.pid} on {socket.gethostname()}, as of " in shown
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    done = subprocess.run([sys.executable, "../driven.py", url, "8"], capture_output=True, text=True)

    assert done.stdout == "True 2\n", done.stderr
    assert len(checkpoints(bucket)) == 1, "what nobody knows of any more is deleted"


def test_early_tunes_front_door_takes_a_url_too(bucket):
    experiment = tune.Experiment("e", Class, storage_path=f"s3://{bucket}/runs", checkpoint_at_end=True)
    tune.run_experiments(experiment, verbose=0, executor="inline")
    with pytest.warns(UserWarning, match="this one is 'e_2'"):
        tune.run_experiments(experiment, verbose=0, executor="inline")

    assert checkpoints(bucket) == ["0:1-000006", "0:1-000006"]
    restored = tune.Tuner.restore(f"s3://{bucket}/runs/e", Class, run_config=tune.RunConfig(verbose=0)).fit()
    assert restored[0].status == "completed"


# What cannot be.


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("s3://no-such-bucket/x", "s3://no-such-bucket/x/e: cannot write journal.db: FileNotFoundError: The specified"),
        ("nothing://x", "nothing://x/e: Protocol not known: nothing. Give a URL that fsspec knows, s3://bucket/path"),
    ],
)  # fmt: skip
def test_a_url_that_cannot_be_written_to_is_found_out_before_any_trial_runs(bucket, url, message):
    with pytest.raises(tune.TuneError, match=message):
        run(bucket, function, storage_path=url)

    assert not list(Path().glob("results/e/trials/*"))


def test_one_working_folder_is_for_one_experiment(bucket):
    run(bucket, function)
    with pytest.raises(
        tune.ConfigError, match=rf"would be worked on, holds another experiment \(s3://{bucket}/runs/e\)"
    ):
        run(bucket, function, storage_path=f"s3://{bucket}/others")
    with pytest.raises(tune.ConfigError, match=rf"belongs to s3://{bucket}/runs/e. Go on with it by storage_path="):
        run(bucket, function, storage_path="results", resume="auto")


def test_there_is_nothing_to_load(bucket):
    with pytest.raises(tune.ExperimentNotFound, match=rf"there is no experiment at s3://{bucket}/runs/e"):
        tune.load(f"s3://{bucket}/runs/e")


# The folder of files at a URL.


def test_a_service_that_is_down_is_tried_three_times(bucket, server, monkeypatch):
    waited = []
    monkeypatch.setattr(remote, "sleep", waited.append)
    folder = RemoteFolder(f"s3://{bucket}/x")
    server.stop()
    try:
        with pytest.raises(
            tune.StorageError, match=rf"s3://{bucket}/x: cannot write name: EndpointConnectionError: Could"
        ):
            folder.write("name", b"1")
    finally:
        server.start()

    assert waited == [1.0, 4.0]


def test_a_service_that_comes_back_between_two_tries_is_no_trouble(bucket, server, monkeypatch):
    folder = RemoteFolder(f"s3://{bucket}/x")
    server.stop()

    def comes_back(seconds):
        server.start()
        files().mkdir(bucket)

    monkeypatch.setattr(remote, "sleep", comes_back)
    folder.write("name", b"1")

    assert folder.read("name") == b"1"


@pytest.mark.parametrize("kind", ["s3", "file"])
def test_files_go_there_and_come_back(bucket, tmp_path, kind):
    folder = RemoteFolder(f"s3://{bucket}/x" if kind == "s3" else f"file://{tmp_path}/there")
    (tmp_path / "from" / "deep").mkdir(parents=True)
    (tmp_path / "from" / "a").write_bytes(b"a" * 10)
    (tmp_path / "from" / "deep" / "empty").touch()

    folder.put(tmp_path / "from", ["a", "deep/empty"], "under")
    folder.write("under/b", b"b")
    assert sorted(folder.names("under")) == ["under/a", "under/b", "under/deep/empty"]
    folder.get("under", ["a", "deep/empty"], tmp_path / "to")
    assert (tmp_path / "to" / "a").read_bytes() == b"a" * 10
    assert (tmp_path / "to" / "deep" / "empty").read_bytes() == b""
    assert folder.read("under/b") == b"b"
    assert folder.read("under/none") is None
    with pytest.raises(FileNotFoundError):
        folder.get("under", ["none"], tmp_path / "to")
    folder.write("other/c", b"c")
    folder.delete("none", "under", "other", "neither")
    folder.delete("under")
    assert folder.names("") == folder.names("under") == []


@pytest.mark.parametrize("missing", ["fsspec", "s3fs"])
def test_a_package_that_is_missing_is_named_with_what_to_install(missing):
    code = f"import sys; sys.modules[{missing!r}] = None; import tunesmith; tunesmith.load('s3://bucket/e')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    said = done.stderr.splitlines()[-1]
    assert said.startswith("tunesmith.errors.MissingExtra: a storage_path of s3:// needs ")
    assert said.endswith("pip install 'tunesmith[s3]'")


def test_a_file_url_is_the_folder_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = tune.run(Class, storage_path=tmp_path.as_uri() + "/runs", name="e", executor="inline", verbose=0)

    assert results.folder == tmp_path / "runs" / "e"
    assert not Path("results").exists()

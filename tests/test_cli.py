import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import tunesmith as tune
from tunesmith.cli import main
from tunesmith.core.trial import Status
from tunesmith.layout import JOURNAL
from tunesmith.store.lock import Lock
from tunesmith.store.requests import read_requests

TRAIN = """
import time
import tunesmith as tune

def train(config):
    for step in range(config.get("steps", 3)):
        time.sleep(config.get("pause", 0))
        tune.report({"accuracy": config["lr"] + step})

space = {"lr": tune.grid_search([0.25, 0.5])}
"""


def train(config):
    if config["i"] == 3:
        raise ValueError("three is \x1b[31mtoo many")
    folder = tune.get_context().trial_folder / "model"
    folder.mkdir()
    for step in range(3):
        tune.report({"accuracy": config["i"] + step, "note": "=1+1"}, checkpoint=folder if config["i"] == 2 else None)


class StopsTrialOne(tune.Scheduler):
    def decide(self, result, experiment):
        return tune.Stop("one is enough") if result.trial == 1 else tune.Continue()


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    path = tmp_path_factory.mktemp("results")
    tune.run(
        train,
        space={"i": tune.grid_search([0, 1, 2, 3]), "net": {"depth": 3}},
        metric="accuracy",
        mode="max",
        scheduler=StopsTrialOne(),
        name="digits",
        storage_path=path,
        executor="inline",
        verbose=0,
    )
    return path


def command(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def output(*arguments):
    result = command(*arguments)
    assert result.exit_code == 0, result.output
    return result.stdout


def refusal(*arguments):
    """What a command that cannot do what was asked says: one line, exit code 2."""
    result = command(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_ls_has_a_line_for_each_experiment(storage):
    heading, line = output("ls", storage).splitlines()

    assert heading.split() == ["experiment", "status", "trials", "best", "started"]
    assert re.split(r"  +", line) == [
        "digits", "completed", "4: 2 completed, 1 stopped, 1 failed", "accuracy=4", "just now",
    ]  # fmt: skip


def test_ls_shows_a_damaged_experiment_beside_the_others(storage, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / JOURNAL).write_bytes(b"not a journal at all" * 100)
    (tmp_path / "digits").symlink_to(storage / "digits")

    text = output("ls", tmp_path)
    assert "broken      damaged" in text
    assert "tunesmith repair" in text
    assert "digits      completed" in text


def test_show_tells_how_it_stands_who_is_ahead_and_who_failed(storage):
    text = output("show", "digits", "-s", storage)

    assert "best  trial 2, accuracy=4 with i=2, net/depth=3" in text
    assert re.search(r"^ +2  completed +4 +3 +\d\.\d  i=2, net/depth=3$", text, re.MULTILINE)
    why = r"ValueError: three is  \[31mtoo many \(test_cli\.py:\d+ in train\)"
    assert re.search(rf"^trial 3 +{why}$", text, re.MULTILINE)
    assert "\x1b" not in text


def test_show_lists_by_status_and_says_why(storage):
    text = output("show", "digits", "-s", storage, "--status", "stopped")

    assert "one is enough" in text
    assert "ValueError" not in text
    assert "give one of pending, running" in refusal("show", "digits", "-s", storage, "--status", "lazy")


def test_show_limits_its_list_and_says_so(storage):
    assert "... and 3 more; --limit 4 lists all" in output("show", "digits", "-s", storage, "--limit", 1)


def test_show_tells_a_trial_s_whole_story(storage):
    text = output("show", "digits", 1, "-s", storage)

    assert "status  stopped: one is enough" in text
    assert "net/depth  3" in text
    assert re.search(r"attempt 1 launched +from the beginning", text)
    assert re.search(r"^ +1 +\d\.\d +1 +=1\+1$", text, re.MULTILINE)


def test_show_prints_a_failed_trial_s_traceback(storage):
    text = output("show", "digits", 3, "-s", storage)

    assert "failure (exception)" in text
    assert 'raise ValueError("three is' in text
    assert "\x1b" not in text


def test_show_reads_an_experiment_by_its_path(storage):
    assert output("show", storage / "digits").startswith("digits\n")


def test_best_gives_a_shell_what_it_can_use(storage):
    assert "i  2" in output("best", "digits", "-s", storage)
    assert json.loads(output("best", "digits", "-s", storage, "--json")) == {"i": 2, "net": {"depth": 3}}
    assert Path(output("best", "digits", "-s", storage, "--checkpoint").strip()).is_dir()
    assert json.loads(output("best", "digits", "-s", storage, "--json", "-m", "accuracy", "--mode", "min"))["i"] == 0


def test_mistakes_are_one_line_with_what_to_do(storage, tmp_path):
    assert "Did you mean digits?" in refusal("show", "digit", "-s", storage)
    assert "There are: digits." in refusal("show", "nothing-like-it", "-s", storage)
    assert "has no trial 9. It has trials 0 to 3." in refusal("show", "digits", 9, "-s", storage)
    assert "holds no experiment" in refusal("ls", tmp_path)
    assert "does not exist" in refusal("ls", tmp_path / "nowhere")
    assert "digits is not running" in refusal("stop", "digits", "-s", storage)
    assert "export as what?" in refusal("export", "digits", "-s", storage)
    assert "Reported: accuracy, note." in refusal("best", "digits", "-s", storage, "-m", "f1", "--mode", "max")
    assert "--checkpoint" not in refusal(
        "best", "digits", "-s", storage, "--checkpoint", "-m", "accuracy", "--mode", "min"
    )


def test_stop_leaves_a_request_for_the_running_controller(storage):
    lock = Lock(storage / "digits")
    try:
        assert f"asked process {os.getpid()} on" in output("stop", "digits", "-s", storage, "--now")
        assert "trial 0 of digits is completed already" in refusal("stop", "digits", 0, "-s", storage)
    finally:
        lock.close()

    (request,) = read_requests(storage / "digits")
    assert (request.trial, request.now) == (None, True)
    assert "tunesmith stop" in request.reason


def test_export_writes_csv_that_starts_no_formula(storage, tmp_path):
    target = tmp_path / "trials.csv"
    command("export", "digits", "-s", storage, "--csv", target)

    rows = list(csv.DictReader(io.StringIO(target.read_text()), strict=True))
    assert [row["trial_id"] for row in rows] == ["0", "1", "2", "3"]
    assert [row["best/accuracy"] for row in rows] == ["2", "1", "4", ""]
    assert rows[0]["last/note"] == "'=1+1"
    assert sorted(tmp_path.iterdir()) == [target]


def test_export_writes_every_result_as_json(storage):
    rows = json.loads(output("export", "digits", "-s", storage, "--history", "--json", "-"))

    assert [(row["trial_id"], row["accuracy"]) for row in rows] == [
        (0, 0), (0, 1), (0, 2), (1, 1), (2, 2), (2, 3), (2, 4),
    ]  # fmt: skip
    assert {row["config/net/depth"] for row in rows} == {3}


def test_export_without_pyarrow_says_what_to_install(storage, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    assert "pip install 'tunesmith[parquet]'" in refusal(
        "export", "digits", "-s", storage, "--parquet", tmp_path / "x.parquet"
    )
    assert list(tmp_path.iterdir()) == []


def test_export_into_nowhere_is_refused(storage, tmp_path):
    assert "cannot be written" in refusal("export", "digits", "-s", storage, "--csv", tmp_path / "no" / "x.csv")


def test_repair_makes_lost_files_again_and_keeps_what_is_intact_of_a_damaged_journal(tmp_path):
    results = tune.run(
        lambda config: {"x": 1.0}, name="fragile", num_samples=30, storage_path=tmp_path, executor="inline", verbose=0
    )
    files = results[0].folder / "result.json"
    before = files.read_bytes()
    files.unlink()
    assert "the journal is sound" in output("repair", "fragile", "-s", tmp_path)
    assert files.read_bytes() == before
    journal = tmp_path / "fragile" / JOURNAL
    damaged = bytearray(journal.read_bytes())
    place = damaged.rindex(b'"trial":29')
    damaged[place : place + 10] = b'"trial":88'
    journal.write_bytes(damaged)

    text = output("repair", "fragile", "-s", tmp_path)

    assert "which are intact" in text
    assert (tmp_path / "fragile" / "journal.damaged-1.db").exists()
    assert tune.load(tmp_path / "fragile")[0].status == "completed"


def test_help_teaches_by_examples():
    text = output("--help")

    assert "tunesmith run train.py:train --space" in text
    for name in ("run", "ls", "show", "best", "resume", "stop", "export", "repair"):
        assert re.search(rf"^  {name} +[A-Z]", text, re.MULTILINE)
        assert "Examples:" in output(name, "--help") or name in ("ls", "resume", "stop", "repair")


def test_run_takes_a_function_and_a_space_in_json(tmp_path, monkeypatch):
    (tmp_path / "trainer_a.py").write_text(TRAIN)
    monkeypatch.chdir(tmp_path)

    space = '{"lr": {"grid_search": [0.25, 0.5]}}'
    result = command(
        "run", "trainer_a.py:train", "--space", space, "-m", "accuracy", "--mode", "max", "--name", "a", "-q",
        "--stop", "accuracy=1.2", "--executor", "local:cpus=2",
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    found = tune.load("results/a")
    assert found.best.config == {"lr": 0.5}
    assert [len(trial.history) for trial in found] == [2, 2]


def test_run_exits_with_1_when_nothing_could_be_learned(tmp_path, monkeypatch):
    (tmp_path / "trainer_b.py").write_text("def train(config):\n    raise ValueError('no')\n")
    monkeypatch.chdir(tmp_path)

    assert command("run", "trainer_b:train", "-n", 20, "--name", "b", "-q").exit_code == 1
    assert tune.load("results/b").finished.reason == "failed"


def test_run_refuses_what_makes_no_sense_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "trainer_c.py").write_text(TRAIN)

    assert "give an experiment file" in refusal("run", "train")
    assert "cannot be imported" in refusal("run", "no_such_module:train")
    assert "is not valid JSON" in refusal("run", "bad.json")
    assert "cannot be read" in refusal("run", "missing.json")
    assert "--space is not valid JSON" in refusal("run", "trainer_c:train", "--space", "{lr}")
    assert "a search space is a dict" in refusal("run", "trainer_c:train", "--space", "trainer_c:train")
    assert "goes with --executor ray or --executor dask" in refusal("run", "trainer_c:train", "--address", "auto")
    assert "there is none of that name" in refusal("run", "trainer_c:train", "--executor", "rya")
    assert "write it as NAME=NUMBER" in refusal("run", "trainer_c:train", "--stop", "accuracy")
    assert not (tmp_path / "results").exists()


def test_an_experiment_file_runs_is_stopped_and_goes_on_from_the_command_line(tmp_path):
    (tmp_path / "trainer_d.py").write_text(TRAIN)
    spec = {"run": "trainer_d:train", "num_samples": 3, "config": {"lr": {"grid_search": [0.25, 0.5]}, "pause": 0.5}}
    (tmp_path / "experiment.json").write_text(json.dumps({"digits": spec}))
    tunesmith = [sys.executable, "-m", "tunesmith.cli"]

    running = subprocess.Popen([*tunesmith, "run", "experiment.json", "-q"], cwd=tmp_path)
    folder = tmp_path / "results" / "digits"
    deadline = time.monotonic() + 30
    while not (folder / JOURNAL).exists() or not tune.load(folder).counts[Status.RUNNING]:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stopped = subprocess.run([*tunesmith, "stop", "digits"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert stopped.stdout.startswith(f"asked process {running.pid} on")
    assert running.wait(30) == 130
    assert tune.load(folder).finished.reason == "interrupted"

    subprocess.run([*tunesmith, "resume", "digits"], cwd=tmp_path, capture_output=True, check=True)

    assert tune.load(folder).counts[Status.COMPLETED] == 6
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["digits"]


def on_a_terminal(*arguments, **environment):
    """What a command prints on a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-m", "tunesmith.cli", *map(str, arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(theirs)
    text = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:
            break
        if not chunk:
            break
        text += chunk
    os.close(ours)
    assert child.wait() == 0
    return text.decode()


def test_a_terminal_gets_colours_unless_it_does_not_want_them(storage):
    assert "\x1b[32mcompleted" in on_a_terminal("ls", storage)
    plain = on_a_terminal("ls", storage, NO_COLOR="1")
    assert "completed" in plain
    assert "\x1b[3" not in plain

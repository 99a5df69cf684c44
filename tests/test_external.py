"""Command lines as trials, with real processes."""

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError
from tunesmith.external import filled

PYTHON = sys.executable


def run(tmp_path, command, **arguments):
    defaults = {
        "name": "e",
        "storage_path": tmp_path,
        "cpus": 1,
        "verbose": 0,
        "space": {"lr": 0.5},
        "fail_fast": False,
    }
    return tune.run(command, **{**defaults, **arguments})


def script(tmp_path, text):
    path = tmp_path / "train.py"
    path.write_text(text)
    return str(path)


def test_lines_of_json_are_results_and_the_rest_is_output(tmp_path):
    shell = 'echo begin; for i in 1 2 3; do echo "{\\"loss\\": 0.$i, \\"step\\": $i}"; done; echo end {no json}'

    results = run(tmp_path, tune.Command(["sh", "-c", shell.replace("{", "{{").replace("}", "}}")]))

    trial = results[0]
    assert [row["loss"] for row in trial.history] == [0.1, 0.2, 0.3]
    assert Path(trial.folder, "stdout").read_text().splitlines() == ["begin", "end {no json}"]


def test_values_of_the_config_stand_in_the_command_line_and_need_no_quotes(tmp_path):
    file = script(tmp_path, "import json, sys; print(json.dumps({'said': sys.argv[1:]}))")
    space = {"lr": 0.001, "name": "two words; $HOME", "model": {"depth": 3}, "sizes": [4, 5], "on": True}
    command = tune.Command(f"{PYTHON} {file} --lr={{lr}} {{name}} {{model/depth}} {{sizes/1}} {{on}} {{model}}")

    said = run(tmp_path, command, space=space)[0].history[-1]["said"]

    assert said == ["--lr=0.001", "two words; $HOME", "3", "5", "true", '{"depth": 3}']


def test_what_it_finds_in_its_environment(tmp_path):
    file = script(tmp_path, "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if 'TUNES' in k}))")

    last = run(tmp_path, tune.Command([PYTHON, file], env={"TUNES_MORE": "lr is {lr}"}))[0].history[-1]

    assert json.loads(last["TUNESMITH_CONFIG"]) == {"lr": 0.5}
    assert last["TUNESMITH_TRIAL"] == "0"
    assert last["TUNESMITH_TRIAL_FOLDER"].endswith("trials/00000")
    assert last["TUNES_MORE"] == "lr is 0.5"


def test_metrics_may_be_appended_to_a_file(tmp_path):
    text = """
import json, os, time
with open(os.environ["TUNESMITH_METRICS"], "a") as file:
    for step in range(3):
        print(json.dumps({"step": step}), file=file, flush=True)
        time.sleep(0.05)
    file.write(json.dumps({"step": "no newline"}))
"""
    results = run(tmp_path, tune.Command([PYTHON, script(tmp_path, text)], metrics="m-{lr}.jsonl"))

    assert [row["step"] for row in results[0].history] == [0, 1, 2, "no newline"]


def test_a_file_that_is_no_json_fails_the_trial_and_names_the_line(tmp_path):
    command = tune.Command(["sh", "-c", "echo nothing > $TUNESMITH_METRICS; sleep 60"], metrics="m")

    error = run(tmp_path, command)[0].error

    assert "line 1, is no JSON object" in error.message


def test_an_exit_code_fails_the_trial_with_what_was_said_last(tmp_path):
    error = run(tmp_path, tune.Command(["sh", "-c", "echo why it broke >&2; exit 3"]))[0].error

    assert "ended with exit code 3" in error.message + error.traceback
    assert "why it broke" in error.message + error.traceback


def test_a_signal_is_named(tmp_path):
    error = run(tmp_path, tune.Command(["sh", "-c", "kill -9 $$"]))[0].error

    assert "killed by SIGKILL (out of memory, perhaps)" in error.message


def test_a_command_that_is_not_there_says_so(tmp_path):
    error = run(tmp_path, tune.Command("no-such-command --lr {lr}"))[0].error

    assert "no-such-command --lr 0.5: it cannot be started" in error.message


def test_a_stopped_trial_takes_its_command_with_it(tmp_path):
    text = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda *_: (open("ended", "w").write("politely"), sys.exit(0)))
child = subprocess.Popen(["sleep", "60"])
print('{"pid": %d, "child": %d}' % (os.getpid(), child.pid), flush=True)
time.sleep(60)
"""
    command = tune.Command([PYTHON, script(tmp_path, text)], cwd=tmp_path)

    last = run(tmp_path, command, stop={"pid": 0})[0].history[-1]

    assert (tmp_path / "ended").read_text() == "politely"
    deadline = time.monotonic() + 5
    while (alive := psutil.pid_exists(last["pid"]) or psutil.pid_exists(last["child"])) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not alive


def test_a_time_limit_ends_a_command_that_ignores_signals(tmp_path):
    command = tune.Command(["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], grace_s=0.1)

    error = run(tmp_path, command, trial_time_limit_s=0.3, grace_s=0.5)[0].error

    assert error.kind == "time_limit"


def test_what_a_command_leaves_running_does_not_hold_its_trial_up(tmp_path):
    began = time.monotonic()

    results = run(tmp_path, tune.Command(["sh", "-c", "sleep 60 & echo '{{\"loss\": 1}}'"]))

    assert results[0].history[-1]["loss"] == 1
    assert time.monotonic() - began < 30


def test_it_goes_on_from_the_checkpoint_that_it_named(tmp_path):
    text = """
import json, os, sys
path = os.environ.get("TUNESMITH_CHECKPOINT")
step = int(open(path).read()) if path else 0
while step < 4:
    step += 1
    open("state", "w").write(str(step))
    print(json.dumps({"step": step, "checkpoint": "state"}), flush=True)
    if step == 2 and not path:
        sys.exit(1)
"""
    results = run(tmp_path, tune.Command([PYTHON, script(tmp_path, text)], cwd=tmp_path), max_failures=1)

    assert [row["step"] for row in results[0].history] == [1, 2, 3, 4]


def test_it_runs_under_a_scheduler_that_stops(tmp_path):
    file = script(tmp_path, "import sys\nfor i in range(9): print('{\"loss\": %s}' % sys.argv[1], flush=True)")
    results = run(
        tmp_path,
        tune.Command(f"{PYTHON} {file} {{x}}"),
        space={"x": tune.grid_search([1, 2, 3, 4, 5, 6])},
        metric="loss",
        mode="min",
        scheduler=tune.ASHAScheduler(max_t=9, reduction_factor=3),
    )

    assert results.best.config == {"x": 1}
    assert any(trial.status == "stopped" for trial in results)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("", "give a command line"),
        ("train '", "cannot be split"),
        ("train {lr:.3f}", "only {name}"),
        ("train {", "meant as such"),
        ("train {}", "only {name}"),
        ([1, 2], "list of texts"),
    ],
)
def test_command_lines_that_make_no_sense_are_refused(command, message):
    with pytest.raises(ConfigError, match=message):
        tune.Command(command)


def test_a_name_that_the_config_does_not_have_is_an_error_that_says_what_it_has():
    with pytest.raises(ConfigError, match=r"asks for 'rate'.*has 'lr'"):
        filled("--lr {rate}", {"lr": 1})


def test_braces_are_written_twice():
    assert filled("{{{lr}}}", {"lr": 1}) == "{1}"

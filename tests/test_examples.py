"""Each example runs, with a tiny budget, as a user runs it."""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tunesmith as tune

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(tmp_path, *arguments):
    """Run a command in a folder of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_digits(tmp_path):
    output = run(tmp_path, EXAMPLES / "digits.py", "--configs", "4", "--epochs", "3", "--storage", tmp_path)

    assert re.search(r"^asha +[01]\.\d{4} ", output, re.MULTILINE)
    assert re.search(r"^full +[01]\.\d{4} +12 ", output, re.MULTILINE)
    asha, full = tune.load(tmp_path / "digits_asha"), tune.load(tmp_path / "digits_full")
    assert [trial.config for trial in asha] == [trial.config for trial in full]
    assert sum(len(trial.history) for trial in asha) < 12


def test_class_trainable(tmp_path):
    output = run(tmp_path, EXAMPLES / "class_trainable.py", "--samples", "1", "--steps", "8", "--storage", tmp_path)

    assert "attempts of each trial: 1 1 2\n" in output
    assert "weights of trial" in output


def test_experiment_file(tmp_path):
    command = ["-m", "tunesmith.cli", "run", EXAMPLES / "experiment.json", "-m", "mean_accuracy", "--mode", "max", "-q"]
    run(tmp_path, *command, "-n", "1")

    results = tune.load(tmp_path / "results" / "digits_knn")
    assert sorted(trial.config["neighbours"] for trial in results) == [1, 3, 5]
    assert all(trial.config["components"] % 4 == 0 for trial in results)
    assert results.best.metrics["mean_accuracy"] > 0.8
    assert json.loads((EXAMPLES / "experiment.json").read_text())["digits_knn"]["run"] == "experiment.py:train"


def needs(*packages):
    """Skip a test where a package is missing; without importing it, which takes seconds."""
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    return pytest.mark.skipif(bool(missing), reason=f"needs {', '.join(missing)}")


@pytest.mark.heavy
@needs("torch")
def test_pytorch_cnn(tmp_path):
    output = run(tmp_path, EXAMPLES / "pytorch_cnn.py", "--samples", "3", "--epochs", "2", "--storage", tmp_path)

    assert re.search(r"trial \d: accuracy [01]\.\d{4}, \d+ weights", output)
    assert tune.load(tmp_path / "pytorch_cnn").num_errors == 0


@pytest.mark.heavy
@needs("keras", "torch")
def test_early_tune_keras(tmp_path):
    output = run(tmp_path, EXAMPLES / "early_tune_keras.py", "--samples", "1", "--epochs", "2", "--storage", tmp_path)

    assert re.search(r"best of 3: [01]\.\d{4} with ", output)

"""Executors by name: as scripts, the command line and the environment call them."""

import pytest

import tunesmith as tune
from tunesmith.errors import ConfigError
from tunesmith.executors.inline import InlineExecutor
from tunesmith.executors.local import LocalExecutor
from tunesmith.executors.named import VARIABLE, executor_of
from tunesmith.executors.ray import RayExecutor
from tunesmith.executors.slurm import SlurmExecutor


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("local", LocalExecutor),
        ("inline", InlineExecutor),
        ("ray", RayExecutor),
        ("ray:address=head:6379", RayExecutor),
        ("dask", tune.DaskExecutor),
        ("slurm:jobs=8,cpus_per_job=4,partition=long", SlurmExecutor),
    ],
)
def test_a_name_with_options_is_an_executor(text, kind):
    assert type(executor_of(text)) is kind


def test_options_reach_the_executor():
    with pytest.raises(ConfigError, match="jobs=0: give a whole number"):
        executor_of("slurm:jobs=0")
    with pytest.raises(ConfigError, match="ray job submit"):
        executor_of("ray:address=ray://head:10001")


def test_a_script_that_chooses_none_gets_what_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "inline")
    seen = []

    tune.run(lambda config: seen.append(1), storage_path=tmp_path, verbose=0)

    assert seen == [1]  # in this process
    assert type(executor_of("local")) is LocalExecutor
    monkeypatch.setenv(VARIABLE, "lokal")
    with pytest.raises(
        ConfigError, match=r"TUNESMITH_EXECUTOR='lokal': there is none of that name\. Did you mean 'local'"
    ):
        executor_of(None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kubernetes", "executor='kubernetes': there is none of that name. There are: 'local', 'inline', 'ray'"),
        (7, "give a name, such as 'local' or 'ray', or an Executor"),
        ("slurm:jobs", "write options as NAME=VALUE"),
        ("ray:adress=auto", "RayExecutor has no option 'adress'. It has: address, "),
    ],
)
def test_what_is_no_executor_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        executor_of(text)


def test_cpus_and_gpus_are_counted_on_one_machine_only():
    assert type(executor_of("local", 2, 0)) is LocalExecutor
    with pytest.raises(ConfigError, match="slurm:cpus_per_job=4"):
        executor_of("slurm", 2)
    with pytest.raises(ConfigError, match="the nodes say what they have"):
        executor_of("ray", None, 1)
    with pytest.raises(ConfigError, match="go to the executor"):
        executor_of(LocalExecutor(), 2)

import functools

import numpy as np
import pytest

from tunesmith.errors import ConfigError
from tunesmith.worker.functions import place_of, reporter_position
from tunesmith.worker.session import get_context, report


class Callable:
    def __call__(self, config, reporter):
        reporter(loss=config["loss"])


def test_a_function_of_config(attempt):
    assert attempt(lambda config: report(loss=config["loss"]), {"loss": 0.5}).metrics == [{"loss": 0.5}]


def test_a_function_of_config_and_reporter(attempt, tmp_path):
    def train(config, reporter):
        (tmp_path / "model.txt").write_text("weights")
        assert reporter.logdir == get_context().get_trial_dir()
        for step in (1, 2, 3, 4):
            reporter(mean_accuracy=0.25 * step, timesteps_total=step, checkpoint=tmp_path / "model.txt", done=step == 3)

    run = attempt(train)

    assert run.metrics == [{"mean_accuracy": 0.25 * i, "timesteps_total": i, "done": i == 3} for i in (1, 2, 3)]
    assert run.reports[2].checkpoint == "trials/00007/checkpoints/1-000003/model.txt"
    assert run.ended.outcome == "done"


def second_by_any_name(config, status_reporter):
    status_reporter(loss=config["loss"])


def optional_reporter(config, reporter=None):
    reporter(loss=config["loss"])


def keyword_reporter(config, *, reporter):
    reporter({"loss": config["loss"]})


def with_checkpoint_dir(config, checkpoint_dir=None):
    assert checkpoint_dir is None
    report(loss=config["loss"])


def anything(*args, **kwargs):
    (config,) = args
    assert kwargs == {}
    report(loss=config["loss"])


@pytest.mark.parametrize(
    "function",
    [
        second_by_any_name,
        optional_reporter,
        keyword_reporter,
        with_checkpoint_dir,
        anything,
        Callable(),
        functools.partial(second_by_any_name),
        lambda c, r, /: r(loss=c["loss"]),
        lambda config: {"loss": config["loss"]},
    ],
)
def test_functions_are_given_what_they_ask_for(attempt, function):
    run = attempt(function, {"loss": 0.5})

    assert (run.ended.outcome, run.metrics) == ("done", [{"loss": 0.5}]), run.ended


@pytest.mark.parametrize(
    "function",
    [
        lambda config, data: report(total=sum(data)),
        lambda config, data, reporter: reporter(total=sum(data)),
        lambda config, reporter, data=(): reporter(total=sum(data)),
        lambda config, **rest: report(total=sum(rest["data"])),
    ],
)
def test_parameters_come_by_keyword(attempt, function):
    assert attempt(function, parameters={"data": [1, 2]}).metrics == [{"total": 3}]


def no_arguments():
    """Take nothing."""


async def sleeping(config):
    """Take a config, but not now."""


def needs_data(config, reporter, data):
    """Take what nobody gives."""


@pytest.mark.parametrize(
    ("function", "parameters", "message"),
    [
        (no_arguments, {}, "takes no positional argument for the config. Write it as def no_arguments(config)"),
        (sleeping, {}, "sleeping is async. Wrap it: lambda config: asyncio.run(sleeping(config))"),
        (needs_data, {}, "needs_data needs 'data', which nobody gives it"),
        (needs_data, {"data": 1, "more": 2}, "with_parameters gives 'more', which needs_data does not take"),
        (needs_data, {"config": 1, "data": 1}, "with_parameters gives 'config', which needs_data does not take"),
    ],
)
def test_a_function_that_cannot_be_called_is_refused_with_what_to_do(attempt, function, parameters, message):
    with pytest.raises(ConfigError) as raised:
        reporter_position(function, parameters)
    assert message in str(raised.value)

    run = attempt(function, parameters=parameters)
    assert (run.ended.outcome, run.ended.kind) == ("failed", "exception")
    assert message in run.ended.message
    assert run.ended.where.startswith("test_functions.py:")


@pytest.mark.parametrize(
    ("returned", "metric", "expected"),
    [
        (None, "acc", []),
        ({"acc": 0.5, "val": {"loss": 1}}, "acc", [{"acc": 0.5, "val/loss": 1}]),
        (0.5, "acc", [{"acc": 0.5}]),
        (0, "acc", [{"acc": 0}]),
        (0.5, None, [{"_metric": 0.5}]),
        (np.float32(0.5), "acc", [{"acc": 0.5}]),
        (np.array([0.5]), "acc", [{"acc": 0.5}]),
    ],
)
def test_a_returned_dict_or_number_is_one_more_report(attempt, returned, metric, expected):
    run = attempt(lambda config: returned, metric=metric)

    assert (run.ended.outcome, run.metrics) == ("done", expected)


@pytest.mark.parametrize(("returned", "kind"), [("0.5", "str"), ([0.5], "list"), ({1}, "set"), (len, "builtin")])
def test_anything_else_returned_is_a_clear_failure(attempt, returned, kind):
    def train(config):
        return returned

    run = attempt(train)

    assert run.ended.outcome == "failed"
    assert f"train returned a {kind}" in run.ended.message
    assert "may return nothing, a number or a dict of metrics, or yield numbers or dicts" in run.ended.message
    assert run.ended.where.startswith("test_functions.py:")
    assert run.ended.where.endswith(" in train")


def test_each_yielded_value_is_a_report(attempt):
    def train(config):
        yield {"loss": 1.0}
        yield 0.5
        return {"loss": 0.25}

    assert attempt(train, metric="loss").metrics == [{"loss": 1.0}, {"loss": 0.5}, {"loss": 0.25}]


def test_a_generator_is_closed_when_the_trial_is_halted(attempt, end):
    seen = []

    def train(config):
        try:
            while True:
                yield {"loss": 1.0}
        finally:
            seen.append(get_context().trial_id)

    run = attempt(train, until=2, verdicts=[end()])

    assert run.ended.outcome == "halted"
    assert len(run.reports) == 2
    assert seen == [7]


def test_yielding_nonsense_is_a_clear_failure(attempt):
    def train(config):
        yield "0.5"

    assert "train yielded a str" in attempt(train).ended.message


def test_the_config_is_a_fresh_copy_for_each_attempt(attempt):
    config = {"layers": [1, {"units": 2}]}
    seen = []

    def train(given):
        seen.append(given)
        given["layers"][1]["units"] = 99
        given["extra"] = 1

    attempt(train, config)
    attempt(train, config)

    assert config == {"layers": [1, {"units": 2}]}
    assert seen[0] == seen[1]
    assert seen[0] is not seen[1]


def test_objects_in_the_config_are_put_in_at_any_depth(attempt):
    seen = []
    config = {"f": {"$object": "0"}, "layers": [{"init": {"$object": "0"}}, [{"$object": "1"}]], "plain": {"a": 1}}

    attempt(seen.append, config, objects={"0": max, "1": min})

    assert seen == [{"f": max, "layers": [{"init": max}, [min]], "plain": {"a": 1}}]


def test_an_object_that_is_not_there_is_named(attempt):
    run = attempt(print, {"activation": {"$object": "f"}})

    assert "the config names the object 'f', which this session does not have" in run.ended.message


def test_a_place_is_known_for_every_kind_of_callable():
    assert place_of(no_arguments).endswith(" in no_arguments")
    assert place_of(functools.partial(no_arguments)).endswith(" in no_arguments")
    assert place_of(Callable()).endswith(" in __call__")
    assert place_of(print) == ""

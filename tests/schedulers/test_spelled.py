import pytest

import tunesmith as tune
from tunesmith.schedulers.named import scheduler_named
from tunesmith.schedulers.spelled import spelled


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("asha", ("asha", {})),
        (" asha ( ) ", ("asha", {})),
        ("asha(max_t=27)", ("asha", {"max_t": 27})),
        ("asha( max_t = 27 ,grace_period=1.5,)", ("asha", {"max_t": 27, "grace_period": 1.5})),
        ("x(a=1e-3, b=-2, c=true, d=None, e=FALSE)", ("x", {"a": 0.001, "b": -2, "c": True, "d": None, "e": False})),
        (
            "x(a=val/loss, b='two words, or three', c=\"3\")",
            ("x", {"a": "val/loss", "b": "two words, or three", "c": "3"}),
        ),
    ],
)
def test_a_scheduler_is_spelled_as_a_name_with_settings(text, meaning):
    assert spelled(text) == meaning
    assert [type(value) for value in spelled(text)[1].values()] == [type(value) for value in meaning[1].values()]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "write name or name(key=value, key=value)"),
        ("asha(max_t=27", "write name or name(key=value, key=value)"),
        ("asha(max_t=27) or so", "write name or name(key=value, key=value)"),
        ("asha(27)", "cannot read '27'"),
        ("asha(max_t)", "cannot read 'max_t'"),
        ("asha(,)", "cannot read ','"),
        ("asha(max_t=[27])", "cannot read 'max_t=[27]'"),
        ("asha(max_t=1 grace_period=2)", "cannot read 'max_t=1 grace_period=2'"),
        ("asha(max_t=f(1))", "cannot read 'max_t=f(1)'"),
        ("__import__('os')", "cannot read \"'os'\""),
        ("asha(max_t=1, max_t=2)", "max_t is given twice."),
    ],
)
def test_what_is_spelled_otherwise_is_refused(text, message):
    with pytest.raises(tune.ConfigError) as raised:
        spelled(text)

    assert message in str(raised.value)


def test_a_named_scheduler_gets_its_settings():
    scheduler = scheduler_named("ASHA(max_t=27, grace_period=3, metric=loss, mode=min)")

    assert (type(scheduler), scheduler.max_t) == (tune.ASHAScheduler, 27)
    assert (scheduler.objective.metric, scheduler.objective.mode) == ("loss", "min")


def test_a_default_is_for_who_takes_it_and_says_nothing_else():
    assert scheduler_named("asha", max_t=27).max_t == 27
    assert scheduler_named("asha(max_t=9)", max_t=27).max_t == 9
    assert type(scheduler_named("fifo", max_t=27)) is tune.FIFOScheduler


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ahsa(max_t=3)", "scheduler='ahsa(max_t=3)': there is none of that name. Did you mean 'asha'?"),
        ("asha(maxt=3)", "ASHAScheduler takes no maxt. Did you mean max_t? It takes: time_attr, metric, mode, max_t"),
        ("fifo(max_t=3)", "FIFOScheduler takes no max_t. It takes: nothing."),
        ("asha(max_t=many)", "ASHAScheduler: max_t='many' is not a finite number."),
    ],
)
def test_settings_that_make_no_sense_are_refused(text, message):
    with pytest.raises(tune.ConfigError) as raised:
        scheduler_named(text)

    assert message in str(raised.value)


def test_run_takes_a_spelled_scheduler(tmp_path):
    def train(config):
        for step in range(5):
            tune.report({"loss": step})

    results = tune.run(train, metric="loss", mode="min", scheduler="asha(max_t=2)", executor="inline", verbose=0,
                       storage_path=tmp_path)  # fmt: skip

    assert results[0].reason == "reached max_t = 2"

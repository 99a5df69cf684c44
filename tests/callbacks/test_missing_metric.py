"""A metric that nobody reports is said early, and once."""

import warnings

import pytest

import tunesmith as tune


def tuned(tmp_path, train, **arguments):
    return tune.run(
        train, metric="accuracy", mode="max", storage_path=tmp_path, executor="inline", verbose=0, **arguments
    )


def test_a_mistyped_metric_is_said_when_the_first_trial_has_ended(tmp_path):
    with pytest.warns(
        RuntimeWarning, match=r"no result so far has a usable 'accuracy'.* Reported: acc, loss\."
    ) as caught:
        tuned(tmp_path, lambda config: {"acc": 1, "loss": 0}, num_samples=5)

    assert len(caught) == 1


def test_a_long_trial_says_it_before_its_end(tmp_path):
    ended = []

    def train(config):
        for _ in range(5000):
            tune.report({"acc": 1})
        ended.append(True)

    class Asking(tune.Scheduler):
        def decide(self, result, experiment):
            return tune.Stop("seen enough") if result.number >= 200 else tune.Continue()

    with pytest.warns(RuntimeWarning, match="Is its name mistyped"):
        tuned(tmp_path, train, scheduler=Asking())

    assert not ended


def test_a_metric_that_comes_only_now_and_then_is_no_reason_to_warn(tmp_path):
    def train(config):
        for step in range(1, 31):
            tune.report({"accuracy": step} if step % 10 == 0 else {"loss": 1})

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tuned(tmp_path, train).best.metrics["accuracy"] == 30

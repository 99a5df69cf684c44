from itertools import islice

import pytest

from tunesmith.analysis.curves import Curve
from tunesmith.core.commands import Discard, Progress, Start
from tunesmith.core.events import Failure, Placement
from tunesmith.errors import ConfigError
from tunesmith.executors.recorded import CENSORED, MOST_STEPS, FollowedTrials, RecordedTrials


def start(trial=0, *, number=0, checkpoint=None, attempt=1, config=None):
    return Start(trial, attempt, config or {}, Placement("here", {}), 9.0, checkpoint, Progress(number))


def curve(ended="completed"):
    return Curve({"x": 1}, {"loss": [3.0, 2.0, 1.0]}, [1.0, 2.0, 4.0], ended)


STEPS = [({"loss": 3.0}, 1.0), ({"loss": 2.0}, 2.0), ({"loss": 1.0}, 4.0)]


@pytest.mark.parametrize("number", range(4))
def test_an_attempt_goes_on_in_its_curve_where_it_starts(number):
    assert list(RecordedTrials([curve()])(start(number=number))) == STEPS[number:]


@pytest.mark.parametrize("ended", ["stopped", "failed", "paused", "cloned"])
def test_a_curve_that_was_cut_ends_in_a_failure(ended):
    failure = Failure(CENSORED, f"the recorded curve ends after 3 steps: that trial was {ended}")

    assert list(RecordedTrials([curve(ended)])(start())) == [*STEPS, failure]
    assert list(RecordedTrials([curve(ended)])(start(number=3))) == [failure]


def test_a_curve_has_no_more_than_the_most_steps():
    assert list(RecordedTrials([curve("stopped")], most_steps=2)(start())) == STEPS[:2]
    assert list(RecordedTrials([curve("stopped")], most_steps=3)(start())) == STEPS
    assert len(list(RecordedTrials([curve("stopped")], most_steps=4)(start()))) == 4


def test_each_trial_follows_its_own_curve_and_knows_its_config():
    trials = RecordedTrials([curve(), Curve({"x": 2}, {"loss": [9.0]}, [1.0])])

    assert list(trials(start(1))) == [({"loss": 9.0}, 1.0)]
    assert trials.knows(start(1, config={"x": 2}))
    assert not trials.knows(start(1, config={"x": 1}))


def same(config):
    return config


@pytest.mark.parametrize(
    "function",
    [
        lambda config: (({"n": n}, 2.0) for n in (1, 2, 3)),
        lambda config, epoch: ({"n": epoch}, 2.0) if epoch < 4 else None,
        lambda config, epoch, state: ({"n": epoch}, 2.0, None) if epoch < 4 else None,
        lambda config, epoch, *, more=3: ({"n": epoch}, 2.0) if epoch <= more else None,
    ],
)
def test_a_function_in_any_form_is_followed_from_where_an_attempt_starts(function):
    trials = FollowedTrials(function, same)

    assert list(trials(start())) == [({"n": 1}, 2.0), ({"n": 2}, 2.0), ({"n": 3}, 2.0)]
    assert list(trials(start(number=2))) == [({"n": 3}, 2.0)]
    assert list(FollowedTrials(function, same, most_steps=2)(start(number=1))) == [({"n": 2}, 2.0)]


def test_a_state_lies_in_the_checkpoint_until_it_is_discarded():
    trials = FollowedTrials(lambda config, epoch, state: ({"n": (state or 0) + 1}, 1.0, (state or 0) + 1), same)
    assert len(list(islice(trials(start(3)), 5))) == 5
    checkpoint = "trials/00003/checkpoints/1-000004"

    assert next(trials(start(9, number=4, checkpoint=checkpoint, attempt=2))) == ({"n": 5}, 1.0)
    trials.discard(Discard(checkpoint))
    trials.discard(Discard(checkpoint))
    assert next(trials(start(9, number=4, checkpoint=checkpoint, attempt=3))) == ({"n": 1}, 1.0)


def test_a_function_without_an_end_fails_after_ten_thousand_steps():
    steps = list(FollowedTrials(lambda config, epoch: {"n": 1}, same)(start()))

    assert len(steps) == MOST_STEPS + 1
    assert steps[-1].kind == "exception"


@pytest.mark.parametrize("function", [3, int, object(), lambda: 1, lambda a, b, c, d: 1])
def test_what_is_no_such_function_is_refused(function):
    with pytest.raises(ConfigError, match=r"simulate\("):
        FollowedTrials(function, same)

"""A partner that says what it was told, so that a test can see the whole dialogue."""

from dataclasses import dataclass, field
from typing import ClassVar

import pytest

import tunesmith as tune
from searchers.told import Told
from tunesmith.integrations.dialogue import DialogueSettings, Partner
from tunesmith.space.space import Space

SPACE = {"x": tune.uniform(0, 1)}
LOG = []


@dataclass(frozen=True, kw_only=True)
class Walking(DialogueSettings):
    """Its n-th question is answered by n / 100."""

    log: list = field(default_factory=list)
    module: ClassVar[str] = "math"
    extra: ClassVar[str] = "walking"

    def partner(self, space, seed, total, objectives):
        self.log.append([])
        return Walker(self.log[-1])


class Walker(Partner):
    def __init__(self, log):
        self.log = log
        self.questions = 0

    def ask(self, number):
        self.log.append(f"ask {number}")
        self.questions += 1
        return f"token {number}", [self.questions / 100]

    def tell(self, token, losses):
        self.log.append(f"tell {token}: {losses[0]:g}")

    def inform(self, row, losses):
        self.log.append(f"inform {row[0]:g}: {losses[0]:g}")

    def forget(self, token):
        self.log.append(f"forget {token}")


@pytest.fixture
def told():
    return Told(SPACE, settings=Walking())


def log_of(told):
    """Return what the newest partner has heard, once it has been led to now."""
    told.searcher.suggest(1, told.experiment)
    return told.searcher._settings.log[-1]


def partners_of(told):
    return len(told.searcher._settings.log) - 1  # the first one was made to see whether it fits


def test_the_partner_is_asked_in_turn_and_told_every_end_in_its_turn(told):
    first, second = told.suggest(), told.suggest()
    told.complete(second, 0.5)
    told.complete(first, 0.25)

    assert log_of(told) == ["ask 0", "ask 1", "tell token 1: 0.5", "tell token 0: 0.25", "ask 2"]
    assert partners_of(told) == 1


def test_asked_twice_it_answers_the_same_and_the_partner_is_asked_once(told):
    once = told.searcher.suggest(3, told.experiment)

    assert told.searcher.suggest(2, told.experiment) == once[:2]
    assert log_of(told) == ["ask 0", "ask 1", "ask 2"]


def test_a_result_that_came_while_it_was_asked_ahead_leads_a_new_partner_through_the_dialogue(told):
    first = told.suggest()
    told.searcher.suggest(2, told.experiment)
    told.complete(first, 1.0)

    assert log_of(told) == ["ask 0", "tell token 0: 1", "ask 1"]
    assert partners_of(told) == 2


def test_what_somebody_else_proposed_it_is_told_of_as_such(told):
    other = told.suggest({"x": 0.75})
    own = told.suggest()
    told.complete(other, 0.5)
    told.complete(own, 0.25)

    assert log_of(told) == [
        "ask 0", "ask 1", "forget token 0", "inform 0.75: 0.5", "tell token 1: 0.25", "ask 2",
    ]  # fmt: skip


def test_a_failed_trial_is_as_bad_as_the_worst_and_the_first_one_is_forgotten(told):
    trials = [told.suggest() for _ in range(4)]
    told.fail(trials[0])
    told.complete(trials[1], 1.0)
    told.complete(trials[2], 3.0)
    told.fail(trials[3])

    assert log_of(told)[4:] == ["forget token 0", "tell token 1: 1", "tell token 2: 3", "tell token 3: 3", "ask 4"]


def test_of_a_trial_that_was_stopped_early_it_is_told_the_final_loss_that_was_predicted(told):
    for _ in range(6):
        trial = told.suggest()
        for number in (1, 2, 3):
            told.report(trial, 10.0 + trial - number, waits=number == 1)
        told.complete(trial, 5.0 + trial)
    stopped = told.suggest()
    told.report(stopped, 9.0, waits=True)
    told.stop(stopped)

    heard = [line for line in log_of(told) if line.startswith(f"tell token {stopped}")]

    # The others came down by 4 from their first result to their end.
    assert float(heard[0].rpartition(" ")[2]) == pytest.approx(5.0, abs=0.5)


def test_initial_points_and_points_to_evaluate_are_not_asked_for():
    told = Told(SPACE, settings=Walking(n_initial_points=2, points_to_evaluate=[{"x": 0.5}]))
    for _ in range(3):
        told.complete(told.suggest(), 1.0)

    assert [line.partition(" ")[0] for line in log_of(told)] == ["inform", "inform", "ask", "tell", "ask"]


def test_a_partner_that_does_not_fit_the_space_is_an_error_before_anything_runs():
    class Refusing(Walking):
        def partner(self, space, seed, total, objectives):
            raise ValueError("numbers only")

    with pytest.raises(tune.ConfigError, match="Refusing does not fit the space: numbers only"):
        Refusing().bound_to(Space(SPACE), 5, 0)

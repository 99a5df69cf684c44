"""A scheduler that breaks its contract is found out, and told how."""

from __future__ import annotations

import random
import re

import pytest

import tunesmith as tune
from tunesmith.core.events import Reported, TrialExploited
from tunesmith.testing import check_scheduler


class Good(tune.Scheduler):
    """Stops a trial that is worse than the worst result of the others at the same step."""

    def __init__(self):
        self.worst = {}

    def observe(self, event, experiment):
        if isinstance(event, Reported) and isinstance(event.value("loss"), int | float):
            self.worst[event.number] = max(self.worst.get(event.number, float("-inf")), event.value("loss"))

    def decide(self, result, experiment):
        loss = result.value("loss")
        if result.number > 3 and isinstance(loss, int | float) and loss >= self.worst.get(result.number, loss) > 5:
            return tune.Stop("the worst")
        return tune.Continue()


class CountsItsQuestions(tune.Scheduler):
    """Changes in a query."""

    asked = 0

    def decide(self, result, experiment):
        self.asked += 1
        return tune.Continue()


class RollsDice(tune.Scheduler):
    """Asked twice it may answer differently."""

    def decide(self, result, experiment):
        return tune.Stop("bad luck") if random.random() < 0.5 else tune.Continue()


class TrustsItself(tune.Scheduler):
    """Takes what it decided for what happened."""

    def __init__(self):
        self.told = {}

    def lease(self, trial, experiment):
        self.told[trial.id] = trial.number
        return trial.number + 1

    def decide(self, result, experiment):
        return tune.Continue()


class KeepsTime(tune.Scheduler):
    """Its state does not follow from the events alone."""

    born = 0

    def __init__(self):
        KeepsTime.born += 1
        self.number = KeepsTime.born

    def decide(self, result, experiment):
        return tune.Continue()


class PausesForEver(tune.Scheduler):
    """Leaves trials paused."""

    def decide(self, result, experiment):
        return tune.Pause() if result.number == 2 else tune.Continue()

    def choose(self, experiment):
        return tune.New()

    def unblock(self, experiment):
        return tune.Wait()


class NeverEnds(tune.Scheduler):
    """Starts its trials anew for ever."""

    def decide(self, result, experiment):
        return tune.Exploit(result.trial, {"x": experiment.results}, "again")


class WritesIntoConfigs(tune.Scheduler):
    """Changes the experiment."""

    def decide(self, result, experiment):
        experiment.trials[result.trial].config["seen"] = result.number
        return tune.Continue()


class TakesWordsBack(tune.Scheduler):
    """Its warnings shrink."""

    def __init__(self):
        self.words = []

    def observe(self, event, experiment):
        self.words = [f"{experiment.results} results"]

    @property
    def warnings(self):
        return self.words

    def decide(self, result, experiment):
        return tune.Continue()


class LeasesNothing(tune.Scheduler):
    def lease(self, trial, experiment):
        return float("nan")

    def decide(self, result, experiment):
        return tune.Continue()


class LeasesText(LeasesNothing):
    def lease(self, trial, experiment):
        return "10"


class SaysStop(tune.Scheduler):
    def decide(self, result, experiment):
        return "STOP"


class Raises(tune.Scheduler):
    def decide(self, result, experiment):
        return result.metrics["no such metric"]


class ResumesWhatRuns(tune.Scheduler):
    def decide(self, result, experiment):
        return tune.Continue()

    def choose(self, experiment):
        return tune.Resume(next(iter(experiment.live))) if experiment.live else tune.New()


class DecidesForEver(tune.Scheduler):
    def decide(self, result, experiment):
        return tune.Pause() if result.number == 1 else tune.Continue()

    def choose(self, experiment):
        paused = experiment.first_resumable()
        return tune.New() if paused is None else tune.Decided(paused, tune.Exploit(paused, {"x": 1}, "again"))


BROKEN = {
    CountsItsQuestions: "decide is a query and must change nothing; it changed asked",
    RollsDice: r"decide asked twice answered (Stop|Continue)\(.*\) and then (Stop|Continue)\(",
    TrustsItself: "(lease is a query and must change nothing; it changed told|gives another state: told)",
    KeepsTime: "folding the journal.*gives another state: number is",
    PausesForEver: "the experiment ends as stuck: nothing runs, and PausesForEver lets none of the",
    NeverEnds: "not finished after",
    WritesIntoConfigs: "decide changed the experiment, which is only to be read",
    TakesWordsBack: "warnings only grow",
    LeasesNothing: "returned nan, which no result ever reaches",
    LeasesText: "returned '10', which is not a number",
    SaysStop: r"SaysStop\.decide returned 'STOP'",
    Raises: r"KeyError\('no such metric'\)",
    ResumesWhatRuns: r"ResumesWhatRuns\.choose names trial \d+, which is running and not paused",
    DecidesForEver: "decides of trial .* without end",
}


@pytest.mark.parametrize("scheduler", BROKEN, ids=lambda scheduler: scheduler.__name__)
def test_a_scheduler_that_breaks_its_contract_is_found_out_and_told_how(scheduler):
    with pytest.raises(AssertionError, match=BROKEN[scheduler]) as caught:
        check_scheduler(scheduler, runs=60, most_turns=1_500)

    assert f"{scheduler.__name__} breaks the contract of schedulers with seed" in str(caught.value)


def test_the_seed_in_the_message_gives_the_same_failure_again():
    with pytest.raises(AssertionError) as first:
        check_scheduler(PausesForEver, runs=20)
    seed = int(re.search(r"with seed (\d+)", str(first.value))[1])

    with pytest.raises(AssertionError) as again:
        check_scheduler(PausesForEver, runs=1, seed=seed)

    assert str(again.value) == str(first.value)


def test_the_message_tells_what_happened_before():
    with pytest.raises(AssertionError, match=r"The last events:\n(  \d+: .*\n)*  \d+: ExperimentFinished\("):
        check_scheduler(PausesForEver, runs=20)


@pytest.mark.parametrize("scheduler", [Good, tune.FIFOScheduler])
def test_a_good_scheduler_passes(scheduler):
    check_scheduler(scheduler, runs=30)


def test_a_scheduler_that_only_remembers_answers_says_where():
    class Remembers(Good):
        def __init__(self):
            super().__init__()
            self.answers = {}

        def decide(self, result, experiment):
            return self.answers.setdefault((result.trial, result.attempt, result.number), tune.Continue())

    with pytest.raises(AssertionError, match="answers"):
        check_scheduler(Remembers, runs=20)

    check_scheduler(Remembers, runs=20, caches=["answers"])


def test_an_examination_of_ones_own_sees_each_finished_experiment():
    seen = []

    check_scheduler(tune.FIFOScheduler, runs=5, examine=lambda experiment, events: seen.append(len(events)))

    assert len(seen) == 5


def test_an_examination_that_fails_is_told_with_its_seed():
    def examine(experiment, events):
        raise AssertionError("too many results")

    with pytest.raises(AssertionError, match="with seed 7: too many results"):
        check_scheduler(tune.FIFOScheduler, runs=1, seed=7, examine=examine)


def test_a_factory_that_gives_no_scheduler_is_an_error():
    with pytest.raises(TypeError, match=r"it must return a new tune\.Scheduler at each call"):
        check_scheduler(lambda: "asha")


def test_without_trouble_nothing_goes_wrong():
    def examine(experiment, events):
        assert {trial.attempt for trial in experiment.trials} == {1}
        assert not any(isinstance(event, TrialExploited) for event in events)

    check_scheduler(tune.FIFOScheduler, runs=20, trouble=False, restarts=0, examine=examine)


def test_a_schedulers_own_time_and_objective_are_reported():
    def examine(experiment, events):
        results = [event for event in events if isinstance(event, Reported)]
        assert all("steps" in result.metrics for result in results)
        assert experiment.objective.metric == "accuracy"

    check_scheduler(
        lambda: tune.MedianStoppingRule(time_attr="steps", metric="accuracy", mode="max", grace_period=3),
        runs=10,
        trouble=False,
        examine=examine,
    )

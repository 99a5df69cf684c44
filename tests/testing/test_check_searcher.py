"""The contract of searchers finds what breaks it, and says where."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

import pytest

import tunesmith as tune
from tunesmith.core.events import TrialCompleted
from tunesmith.core.seeds import generator
from tunesmith.searchers.settings import SearcherSettings
from tunesmith.testing import check_searcher

SPACE = {"plain": {"x": tune.uniform(0, 1)}}


class Good(tune.Searcher):
    """Draws near the config that completed last."""

    def __init__(self):
        self.best = 0.5

    def observe(self, event, experiment):
        if isinstance(event, TrialCompleted):
            self.best = experiment.trials[event.trial].config["x"]

    def suggest(self, count, experiment):
        return self.prepared(count, experiment)()

    def prepared(self, count, experiment):
        best, seed, first = self.best, experiment.seed, experiment.next_number
        return lambda: [self.draw(best, generator(seed, "good", first + index)) for index in range(count)]

    def draw(self, best, draw):
        return {"x": min(1.0, max(0.0, best + draw.gauss(0, 0.1)))}


def check(kind, **fields):
    check_searcher(kind, **{"spaces": SPACE, "runs": 12, **fields})


def test_a_good_one_passes():
    check(Good)


def test_without_spaces_a_searcher_of_ones_own_is_checked_on_its_own():
    check_searcher(Good, runs=4)


def test_settings_and_names_are_bound_to_every_space():
    @dataclass(frozen=True)
    class Settings(SearcherSettings):
        def bound_to(self, space, num_samples, seed):
            names.append(list(space.root.children))
            return tune.BasicVariantGenerator().bound_to(space, num_samples, seed)

    names = []
    check_searcher(Settings)
    check_searcher(lambda: "random", spaces=SPACE, runs=2)

    assert ["low", "high", "kind"] in names


class CountsInSuggest(Good):
    asked = 0

    def suggest(self, count, experiment):
        self.asked += 1
        return [{"x": generator(0, "x", self.asked).random()} for _ in range(count)]

    def prepared(self, count, experiment):
        return None


class DrawsGlobally(Good):
    def suggest(self, count, experiment):
        random.seed(experiment.next_number)
        return [{"x": random.random()} for _ in range(count)]


class KnowsWhatItAskedFor(Good):
    """Its state follows from its own suggestions, which another session does not know."""

    def __init__(self):
        super().__init__()
        self.own = {}

    def suggest(self, count, experiment):
        key = experiment.next_number
        self.own.setdefault(key, 0.9 if self.own else 0.1)
        return [{"x": self.own[key]} for _ in range(count)]

    def prepared(self, count, experiment):
        return None


class LooksAtWhatChanges(Good):
    def prepared(self, count, experiment):
        first = experiment.next_number
        return lambda: [self.draw(self.best, generator(experiment.seed, "good", first + i)) for i in range(count)]


class ComputesSomethingElse(Good):
    def suggest(self, count, experiment):
        return [{"x": 0.75}] * count

    def prepared(self, count, experiment):
        return lambda: [{"x": 0.25}] * count


class LeavesTheSpace(Good):
    def draw(self, best, draw):
        return {"x": 1 + draw.random()}


class HasTooMany(Good):
    def suggest(self, count, experiment):
        return [{"x": 0.5}] * (count + 1)


class SaysItIsTheEnd(Good):
    def is_exhausted(self, experiment):
        return experiment.next_number > 2


class IsStuck(Good):
    def suggest(self, count, experiment):
        return [{"x": 0.5}] if experiment.next_number < 1 else []

    def prepared(self, count, experiment):
        return None


class Unsays(Good):
    @property
    def warnings(self):
        return [f"the best is {self.best}"]


class HoldsAClass(Good):
    def draw(self, best, draw):
        return {"x": int}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (CountsInSuggest, r"suggest\(\d\) asked twice answered"),
        (DrawsGlobally, "suggest draws from a global generator of random numbers"),
        (KnowsWhatItAskedFor, "after a restart at event .* it suggests"),
        (LooksAtWhatChanges, "what was prepared computes .* when more has happened since"),
        (ComputesSomethingElse, r"prepared computes \[\{'x': 0.25\}"),
        (LeavesTheSpace, "does not lie in the space"),
        (HasTooMany, r"suggest\(\d\) returned \d configs"),
        (SaysItIsTheEnd, "is_exhausted says that there are no more configs, and it suggests"),
        (IsStuck, "the experiment ends as stuck"),
        (Unsays, "warnings only grow"),
        (HoldsAClass, "Encoding objects of type type is unsupported"),
    ],
)
def test_what_breaks_the_contract_is_found_with_its_seed(kind, message):
    with pytest.raises(AssertionError, match=rf"^{kind.__name__} breaks the contract") as caught:
        check(kind)

    assert re.search(message, str(caught.value), re.DOTALL)
    seed = int(re.search(r"seed=(\d+), runs=1", str(caught.value))[1])
    with pytest.raises(AssertionError, match=kind.__name__):
        check(kind, seed=seed, runs=1)


def test_what_is_no_searcher_is_refused():
    with pytest.raises(TypeError, match="it must return a new searcher, or settings or a name of one"):
        check_searcher(lambda: 7)

import dataclasses

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.core.events import Reported, TrialCompleted
from tunesmith.searchers.auto import ALONE, FIRST_OF_LAST, QUICK, TURNS, AutoSearcher, planned
from tunesmith.searchers.gp import GPSearcher
from tunesmith.searchers.named import searcher_named
from tunesmith.searchers.tpe import TPESearcher
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space

from .told import Told

NUMBERS = {f"x{index}": tune.uniform(0, 1) for index in range(4)}
CHOICES = {f"c{index}": tune.choice(list("abc")) for index in range(4)} | {"x": tune.uniform(0, 1)}
CONDITIONAL = {"model": tune.choice([{"depth": tune.randint(1, 9)}, {"rate": tune.loguniform(1e-4, 1)}])}
LONG = FIRST_OF_LAST + 500


def methods(space, total):
    return [phase.methods for phase in planned(Encoding(Space(space)), total)]


def told(space, count, *, seconds, total=None):
    """An experiment in which `count` trials of some seconds each have come to their ends."""
    told = Told(space, settings=AutoSearcher(), total=total)
    random = np.random.default_rng(0)
    for _ in range(count):
        trial = told.suggest({name: float(random.random()) for name in space})
        loss = {"loss": float(random.random())}
        told.tell(Reported(at=told.tick(), trial=trial, attempt=1, number=1, metrics=loss, elapsed=seconds))
        told.tell(TrialCompleted(at=told.tick(), trial=trial))
        told.end(trial, "done")
    return told


def test_auto_is_a_searcher_by_name():
    assert searcher_named("auto") == AutoSearcher()


@pytest.mark.parametrize("space", [NUMBERS, CHOICES, CONDITIONAL])
def test_a_gaussian_process_proposes_all_trials_of_a_short_experiment(space):
    assert methods(space, ALONE) == [("gp",)]


@pytest.mark.parametrize("space", [NUMBERS, CHOICES, CONDITIONAL])
def test_in_a_longer_one_others_take_turns_with_it(space):
    assert methods(space, 200) == [("gp",), TURNS]


@pytest.mark.parametrize("total", [LONG, None])
@pytest.mark.parametrize(("space", "last"), [(NUMBERS, "cmaes"), (CHOICES, "tpe"), (CONDITIONAL, "tpe")])
def test_in_a_long_one_cmaes_has_the_end_for_numbers_and_tpe_for_choices_and_conditions(space, last, total):
    assert methods(space, total) == [("gp",), TURNS, (last,)]


def test_with_very_many_parameters_tpe_proposes_all():
    assert methods({f"x{index}": tune.uniform(0, 1) for index in range(150)}, 50) == [("tpe",)]


def test_with_several_objectives_a_gaussian_process_takes_no_turns():
    auto = told(NUMBERS, 12, seconds=9.0).searcher
    one = auto.history()
    two = dataclasses.replace(one, objectives=np.column_stack([one.losses, -one.losses]))

    assert [auto.method(one, ALONE + turn) for turn in range(4)] == ["gp", "tpe", "gp", "cmaes"]
    assert [auto.method(two, ALONE + turn) for turn in range(4)] == ["gp"] * 4


def test_it_proposes_what_the_searcher_proposes_whose_turn_it_is():
    auto = told(NUMBERS, 12, seconds=9.0).searcher
    history = auto.history()

    gp = GPSearcher().bound_to(Space(NUMBERS), -1, 0)

    assert auto.propose(history, 12) == pytest.approx(gp.propose(history, 12))


def test_tpe_takes_over_where_trials_end_more_often_than_a_gaussian_process_can_propose():
    auto = told(NUMBERS, 12, seconds=QUICK / 4).searcher
    history = auto.history()

    tpe = TPESearcher().bound_to(Space(NUMBERS), -1, 0)

    assert auto.propose(history, 12) == pytest.approx(tpe.propose(history, 12))


def test_after_a_restart_it_proposes_the_same_whoevers_turn_it_is():
    before = told(NUMBERS, ALONE + 10, seconds=9.0)
    after = Told(NUMBERS, settings=AutoSearcher())
    for event in before.events[2:]:
        after.tell(event)

    turns = range(ALONE, ALONE + len(TURNS))

    assert [list(after.searcher.propose(after.searcher.history(), turn)) for turn in turns] == [
        list(before.searcher.propose(before.searcher.history(), turn)) for turn in turns
    ]


def test_it_says_what_it_chose_and_why():
    (message,) = told(NUMBERS, 0, seconds=1.0, total=LONG).searcher.notes

    assert message == (
        "proposals come from a Gaussian process (which learns from the fewest trials), "
        "from trial 50 on a Gaussian process, CMA-ES and TPE in turn "
        "(so that none of them settles in the wrong place), "
        "from trial 300 on CMA-ES (most parameters are numbers)"
    )


def test_it_says_when_trials_turn_out_to_be_quick():
    searcher = told(NUMBERS, 12, seconds=QUICK / 4).searcher

    assert searcher.notes[1:] == [
        "from here on they come from TPE (trials end more often than a Gaussian process can propose new ones)"
    ]


def test_a_share_of_the_trials_can_be_spread_over_the_space_first():
    assert AutoSearcher(n_initial_points=3).bound_to(Space(NUMBERS), 20, 0).initial_points == 3


def test_where_trials_are_stopped_early_the_gaussian_process_goes_on_alone_and_says_so():
    def curve(config, epoch):
        return {"loss": config["x0"] + 1 / epoch} if epoch <= 9 else None

    bound = []

    class Watched(tune.AutoSearcher):
        def bound_to(self, space, num_samples, seed):
            bound.append(super().bound_to(space, num_samples, seed))
            return bound[-1]

    tune.simulate(
        curve,
        space=NUMBERS,
        metric="loss",
        mode="min",
        searcher=Watched(),
        scheduler=tune.ASHAScheduler(max_t=9, reduction_factor=3),
        num_samples=70,
        workers=4,
    )

    searcher = bound[-1]
    (note,) = searcher.notes[1:]
    assert note == (
        "from here on they come from a Gaussian process "
        "(which believes a predicted end as much as it is certain; trials are stopped early)"
    )
    assert {searcher.method(searcher.history(), number) for number in range(50, 70)} == {"gp"}
    assert {searcher.method(searcher.history(), number) for number in range(2000, 2004)} == set(TURNS)

"""In a finite space no config is proposed twice, and its end is the end of the experiment."""

from types import SimpleNamespace

import pytest

import tunesmith as tune
from tunesmith.core.events import SpaceChanged, Suggested
from tunesmith.errors import ConfigError
from tunesmith.searchers.untried import Untried
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space


def searcher_for(spec, num_samples=-1, seed=1, **settings):
    space = spec if isinstance(spec, Space) else Space(spec)
    return tune.BasicVariantGenerator(**settings).bound_to(space, num_samples, seed)


def at(number):
    return SimpleNamespace(next_number=number, trials=[])


def told(searcher, configs, number=0):
    searcher.observe(Suggested(at=0.0, configs=tuple(configs)), at(number + len(configs)))


def driven(searcher, portion=3, most=1000):
    """Return what is proposed until there is nothing more."""
    found = []
    while len(found) < most:
        configs = searcher.suggest(portion, at(len(found)))
        assert configs == searcher.suggest(portion, at(len(found)))
        if not configs:
            break
        found += configs
        told(searcher, configs, len(found))
    return found


FINITE = {
    "a choice": ({"c": tune.choice(["a", "b", "c"])}, 3),
    "numbers": ({"n": tune.randint(0, 9), "q": tune.quniform(0, 1, 0.25), "o": tune.ordinal([1, 2])}, 9 * 5 * 2),
    "skewed": ({"n": tune.lograndint(1, 60, prior=1), "c": tune.choice([1, 2, 3], prior=2)}, 59 * 3),
    "conditions": ({"a": tune.boolean(), "b": tune.when("a", True, then=tune.randint(0, 30))}, 31),
    "nested": ({"m": tune.choice([1, {"k": tune.choice([1, 2, {"d": tune.randint(0, 4)}])}])}, 1 + 2 + 4),
    "composites": ({"p": tune.permutation([1, 2, 3]), "s": tune.subset([1, 2], 1)}, 6 * 3),
    "a grid beside": ({"c": tune.choice([1, 2, 3]), "g": tune.grid_search(["x", "y"])}, 6),
    "objects": ({"c": tune.choice([dict, list]), "n": tune.randint(0, 3)}, 6),
    "constraints": (
        Space({"a": tune.randint(0, 12), "b": tune.randint(0, 12)}, require=[lambda c: c.a < c.b]),
        66,
    ),
}


@pytest.mark.parametrize("name", FINITE)
def test_every_config_is_proposed_once_and_then_there_are_no_more(name):
    spec, size = FINITE[name]
    searcher = searcher_for(spec)

    found = driven(searcher)

    assert len(found) == len({repr(config) for config in found}) == size
    assert searcher.wanted == size
    assert searcher.is_exhausted(at(size))
    assert not searcher_for(spec).is_exhausted(at(0))


@pytest.mark.parametrize("name", FINITE)
def test_after_a_restart_at_any_trial_the_same_is_proposed(name):
    spec, _ = FINITE[name]
    whole = driven(searcher_for(spec), portion=1)

    for number in range(0, len(whole), 7):
        restarted = searcher_for(spec)
        for index, config in enumerate(whole[:number]):
            told(restarted, [config], index)
        assert restarted.suggest(1, at(number)) == [whole[number]]


@pytest.mark.parametrize("name", [name for name in FINITE if FINITE[name][1] < 100])
def test_bohb_goes_through_a_finite_space_too(name):
    spec, size = FINITE[name]
    space = spec if isinstance(spec, Space) else Space(spec)
    searcher = tune.BOHBSearcher().bound_to(space, -1, 1)

    found = driven(searcher)

    assert len(found) == len({repr(config) for config in found}) == size
    assert searcher.is_exhausted(at(size))
    again = tune.BOHBSearcher(duplicates="replicate").bound_to(space, 150, 1)
    assert len(driven(again)) == 150


def test_what_another_searcher_has_proposed_is_not_proposed_again():
    searcher = searcher_for({"c": tune.choice(["a", "b", "c"])})
    told(searcher, [{"c": "b"}, {"c": "of another space"}, {"c": "b", "replicate": 1}])

    assert {config["c"] for config in searcher.suggest(9, at(3))} == {"a", "c"}


def test_the_first_draws_are_those_of_random_search():
    spec = {"n": tune.randint(0, 1000), "c": tune.choice([1, 2, 3])}

    assert searcher_for(spec).suggest(20, at(0)) == searcher_for(spec, duplicates="replicate").suggest(20, at(0))


@pytest.mark.parametrize(
    "spec",
    [
        {"g": tune.grid_search([1, 2])},
        {"k": 5},
        {"c": tune.choice([1, 2]), "x": tune.uniform(0, 1)},
        {"c": tune.choice([1, 2]), "f": lambda spec: 1},
        {"c": tune.choice([1])},
    ],
    ids=["a grid", "constants", "a continuum", "a lambda", "a choice of one"],
)
def test_what_is_repeated_on_purpose_or_never_the_same_stays_as_it_is(spec):
    plain = searcher_for(spec, 4, duplicates="replicate")

    assert driven(searcher_for(spec, 4)) == driven(plain)
    assert searcher_for(spec, 4).wanted == plain.wanted == 4 * plain.variants.grid_points


def test_duplicates_may_be_asked_for():
    searcher = searcher_for({"c": tune.boolean()}, 10, duplicates="replicate")

    assert len(driven(searcher)) == searcher.wanted == 10


def test_fewer_samples_than_configs_are_as_many_trials():
    searcher = searcher_for({"n": tune.randint(0, 1000)}, 5)

    assert len(driven(searcher)) == searcher.wanted == 5


def test_points_come_first_and_what_a_user_lists_twice_is_tried_twice():
    searcher = searcher_for(
        {"c": tune.choice(["a", "b", "c"])}, 10, points_to_evaluate=[{"c": "b"}, {"c": "b"}, {"c": "a"}, {"c": "c"}, {}]
    )

    found = [config["c"] for config in driven(searcher)]

    assert found == ["b", "b", "a", "c"]
    assert searcher.wanted == 4


def test_what_a_point_leaves_open_is_something_new():
    spec = {"c": tune.choice(["a", "b"]), "n": tune.randint(0, 3)}
    found = driven(searcher_for(spec, 6, points_to_evaluate=[{"c": "b"}] * 3))

    assert [config["c"] for config in found] == ["b"] * 3 + ["a"] * 3
    assert {config["n"] for config in found[:3]} == {0, 1, 2}


def test_a_point_is_not_drawn_again_in_the_same_portion():
    searcher = searcher_for({"c": tune.choice(["a", "b"])}, 2, points_to_evaluate=[{"c": "b"}])

    assert [config["c"] for config in searcher.suggest(9, at(0))] == ["b", "a"]


def test_the_draws_of_a_constant_grid_search_are_held_and_new():
    spec = {"n": tune.randint(0, 5), "g": tune.grid_search([1, 2])}
    found = driven(searcher_for(spec, 5, constant_grid_search=True), portion=2)

    assert [config["n"] for config in found[0::2]] == [config["n"] for config in found[1::2]]
    assert {config["n"] for config in found} == set(range(5))


def test_an_edited_space_is_gone_through_where_nobody_was():
    searcher = searcher_for({"c": tune.choice(["a", "b", "c"])})
    told(searcher, [{"c": "b"}, {"c": "gone"}])
    searcher.observe(SpaceChanged(at=0.0, changes=("c: has no 'gone' any more",), outside=(1,)), at(2))

    assert {config["c"] for config in searcher.suggest(9, at(2))} == {"a", "c"}


def test_a_large_space_costs_no_more_for_each_trial():
    untried = Untried(Encoding(Space({"a": tune.randint(0, 10**6), "b": tune.randint(0, 10**6)})))

    for number in range(50):
        untried.learn({"a": number, "b": number})

    assert untried.count == 10**12 - 50
    assert untried.some(0, 0, but=()) is None


def test_the_last_ones_are_taken_each_as_likely_as_the_others():
    untried = Untried(Encoding(Space({"n": tune.lograndint(1, 11)})))
    for tried in range(1, 6):
        untried.learn({"n": tried})
    counts = dict.fromkeys(range(6, 11), 0)
    for seed in range(1000):
        counts[untried.some(seed, 3, but=())["n"]] += 1

    # 200 each with a standard deviation of 12.6: 5 of these; the seeds are fixed.
    assert all(abs(count - 200) < 5 * 12.6 for count in counts.values())


def test_a_wrong_word_is_refused():
    with pytest.raises(ConfigError, match=r"duplicates='never': give 'skip' or 'replicate'"):
        tune.BasicVariantGenerator(duplicates="never")
    with pytest.raises(ConfigError, match=r"BOHBSearcher: duplicates='never': give 'skip' or 'replicate'"):
        tune.BOHBSearcher(duplicates="never")


def train(config):
    return {"loss": 1.0}


def test_the_end_of_a_finite_space_ends_the_run(tmp_path):
    where = {"storage_path": tmp_path, "executor": "inline", "verbose": 0, "num_samples": 10}

    results = tune.run(train, space={"c": tune.boolean()}, name="skip", **where)
    again = tune.run(train, space={"c": tune.boolean()}, name="replicate", duplicates="replicate", **where)
    trials = tune.run_experiments(
        tune.Experiment("old", train, config={"c": tune.boolean()}, num_samples=10, storage_path=tmp_path),
        executor="inline", verbose=False,
    )  # fmt: skip

    assert sorted(result.config["c"] for result in results) == [False, True]
    assert results.finished.reason == "completed"
    assert len(again) == len(trials) == 10


def test_duplicates_go_to_the_searcher_that_a_user_gives():
    with pytest.raises(ConfigError, match=r"duplicates= goes to the searcher when you choose one yourself"):
        tune.run(train, searcher=tune.BasicVariantGenerator(), duplicates="replicate")

"""The versions of a space, as a journal has them."""

import tunesmith as tune
from tunesmith.core.events import SessionOpened, Suggested
from tunesmith.space.edits import description
from tunesmith.space.space import Space
from tunesmith.space.versions import known_objects, own_part, space_change


def opened(space, **more):
    return SessionOpened(at=0.0, session=1, started=0.0, space=description(Space(space)), **more)


def change(before, configs, after):
    return space_change([opened(before), Suggested(at=0.0, configs=tuple(configs))], Space(after), 1.0)


def test_the_same_space_is_no_change():
    assert change({"x": tune.uniform(0, 1)}, [{"x": 0.5}], {"x": tune.uniform(0, 1)}) is None


def test_of_a_journal_that_does_not_say_what_was_searched_no_change_is_told():
    past = [SessionOpened(at=0.0, session=1, started=0.0), Suggested(at=0.0, configs=({"x": 3},))]

    assert space_change(past, Space({"x": tune.uniform(0, 1)}), 1.0) is None


def test_a_change_names_the_trials_that_lie_outside():
    found = change({"x": tune.uniform(0, 1)}, [{"x": 0.2}, {"x": 0.7}, {"x": 0.5}], {"x": tune.uniform(0, 0.5)})

    assert found.outside == (1,)
    assert found.at == 1.0
    assert found.changes[-1] == "1 earlier trial lies outside the space now: searchers do not learn from it"


def test_a_constant_that_was_changed_puts_no_trial_outside_and_one_that_was_searched_does():
    assert change({"x": 1}, [{"x": 1}], {"x": 2}).outside == ()
    assert change({"x": tune.choice([1, 2])}, [{"x": 1}, {"x": 2}], {"x": 2}).outside == (0,)


def test_each_trial_is_held_against_the_space_of_its_own_session():
    past = [
        opened({"x": tune.choice([1, 2])}), Suggested(at=0.0, configs=({"x": 1},)),
        opened({"x": 3}), Suggested(at=0.0, configs=({"x": 3},)),
    ]  # fmt: skip

    assert space_change(past, Space({"x": 4}), 1.0).outside == (0,)


def test_the_index_of_a_replicate_is_no_parameter():
    assert own_part(Space({"x": 1}), {"x": 1, "replicate": 3}) == {"x": 1}
    assert own_part(Space({"replicate": tune.choice([3])}), {"replicate": 3}) == {"replicate": 3}


def test_objects_keep_their_identifiers_wherever_they_stand_now():
    known = known_objects([opened({}, objects={"act[0]": "int", "act[1]": "str", "act[2]": "bool"})])
    space = Space({"act": tune.choice([float, str, int]), "other": tune.choice([int])})

    space.keep_identifiers(known)

    assert space.objects == {"act[0]~2": float, "act[1]": str, "act[0]": int, "other[0]": int}
    assert space.resolve({"act": {"$object": "act[0]"}}) == {"act": int}


def test_objects_that_were_pushed_to_a_new_place_are_still_themselves():
    space = Space({"act": tune.choice([float, str, int])})

    space.keep_identifiers({"act[0]": "int", "act[1]": "str"})

    assert space.objects == {"act[0]~2": float, "act[1]": str, "act[0]": int}


def test_an_object_that_is_gone_is_shown_by_its_label():
    space = Space({"act": tune.choice([str])})

    space.keep_identifiers({"act[0]": "int", "act[1]": "str"})

    assert space.resolve({"act": {"$object": "act[0]"}}) == {"act": "int"}
    assert space.resolve({"act": {"$object": "act[1]"}}) == {"act": str}


def test_objects_that_nobody_can_tell_apart_stay_where_they_are():
    space = Space({"f": tune.choice([(1, 2)])})

    space.keep_identifiers({"f[0]": "<bound method of X at 0x7f00>"})

    assert list(space.objects) == ["f[0]"]

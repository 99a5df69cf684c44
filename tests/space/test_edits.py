"""What was changed in a space, in sentences."""

import json

import pytest

import tunesmith as tune
from tunesmith.space.edits import changes, constants, description, summary
from tunesmith.space.space import Space

MODELS = [{"kind": "svm", "C": tune.uniform(0, 1)}, {"kind": "tree", "depth": tune.randint(1, 9)}]


def told(before, after):
    """The sentences between two spaces, whose descriptions have been in a journal."""
    written = json.loads(json.dumps(description(Space(before))))
    return changes(written, description(Space(after)))


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (tune.uniform(0, 1), tune.uniform(0, 2), "x: widened from uniform(0.0, 1.0) to uniform(0.0, 2.0)"),
        (tune.loguniform(1, 9), tune.loguniform(2, 9), "x: narrowed from loguniform(1.0, 9.0) to loguniform(2.0, 9.0)"),
        (tune.randint(0, 5), tune.randint(2, 9), "x: moved from randint(0, 5) to randint(2, 9)"),
        (tune.uniform(1, 2), tune.loguniform(1, 2), "x: changed from uniform(1.0, 2.0) to loguniform(1.0, 2.0)"),
        (tune.uniform(0, 4), tune.quniform(0, 6, 2), "x: changed from uniform(0.0, 4.0) to quniform(0.0, 6.0, 2.0)"),
        (tune.choice(["a", "b"]), tune.choice(["b", "c", "a"]), "x: 'c' added"),
        (tune.choice(["a", "b"]), tune.choice(["b"]), "x: 'a' removed"),
        (tune.grid_search([1, 2]), tune.choice([1, 2]), "x: was grid_search([1, 2]), is now choice([1, 2])"),
        (32, tune.choice([16, 32]), "x: was 32, is now choice([16, 32])"),
        (tune.uniform(0, 1), 0.5, "x: was uniform(0.0, 1.0), is now 0.5"),
        (
            10, 20,
            "x: was 10 and is now 20 for all; losses of earlier trials may not compare with those to come",
        ),
        (tune.choice([int, str]), tune.choice([int, str, float]), "x: float added"),
        ({"y": tune.randint(0, 1)}, {"y": tune.randint(0, 3)}, "x/y: widened from randint(0, 1) to randint(0, 3)"),
        (
            tune.uniform(0, 1), tune.uniform(0, 1, prior=0.5),
            "x: changed from uniform(0.0, 1.0) to uniform(0.0, 1.0, prior=0.5)",
        ),
    ],
)  # fmt: skip
def test_each_edit_has_its_sentence(before, after, sentence):
    assert told({"x": before}, {"x": after}) == [sentence]


@pytest.mark.parametrize(
    ("new", "how"),
    [
        (tune.uniform(0, 1), "what earlier trials had there is unknown, and they count as any value"),
        (tune.uniform(0, 1, prior=0.25), "earlier trials count as 0.25 (its prior)"),
        (tune.choice(["a", "b"], prior="b"), "earlier trials count as 'b' (its prior)"),
        ("a constant", "earlier trials count as if they had had it"),
    ],
)
def test_a_new_parameter_says_what_earlier_trials_count_as(new, how):
    [sentence] = told({}, {"x": new})

    assert sentence.startswith("x: new, ")
    assert sentence.endswith(how)


def test_a_parameter_that_is_gone_says_what_is_left_of_earlier_trials():
    [sentence] = told({"x": tune.uniform(0, 1), "y": 1}, {"y": 1})

    assert sentence == "x: removed, was uniform(0.0, 1.0); earlier trials count by what is left of their configs"


def test_options_with_parameters_of_their_own_go_by_their_constants():
    more = [{"kind": "net", "width": tune.randint(1, 99)}, MODELS[1], {"kind": "svm", "C": tune.uniform(0, 5)}]

    assert told({"model": tune.choice(MODELS)}, {"model": tune.choice(more)}) == [
        "model: {'kind': 'net', 'width': randint(1, 99)} added",
        "model/C: widened from uniform(0.0, 1.0) to uniform(0.0, 5.0)",
    ]


def test_a_condition_has_its_sentences():
    before = {"opt": tune.choice(["sgd", "adam"]), "m": tune.when("opt", "sgd", then=tune.uniform(0, 1))}
    after = {"opt": tune.choice(["sgd", "adam"]), "m": tune.when("opt", "adam", then=tune.uniform(0, 2))}

    first, second = told(before, after)
    assert first == "m: was there where 'opt' is 'sgd', is now where 'opt' is 'adam'"
    assert second == "m: widened from uniform(0.0, 1.0) to uniform(0.0, 2.0)"


def test_the_same_space_written_anew_has_not_changed():
    def space(number):
        return {
            "lr": tune.loguniform(1e-4, 1), "layers": [8, tune.randint(1, 3)], "f": lambda spec: number,
            "model": tune.choice(MODELS), "act": tune.choice([int, str]), "tuple": (1, 2), "none": None,
        }  # fmt: skip

    assert told(space(1), space(2)) == []


def test_constants_are_where_all_trials_have_the_same():
    space = Space({"a": 1, "b": {"c": None, "d": tune.uniform(0, 1)}, "m": tune.choice(MODELS)})

    assert constants(description(space)) == {"a", "b/c"}


def test_a_summary_has_what_is_searched_first():
    space = Space({"a": 1, "b": {"d": tune.uniform(0, 1)}})

    assert summary(description(space)) == ["b/d: uniform(0.0, 1.0)", "a: 1"]

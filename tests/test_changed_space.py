"""An experiment goes on with another space than it began with: what becomes of its trials, and what is said."""

import subprocess
import sys

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.core.events import SessionOpened, SpaceChanged
from tunesmith.core.trial import Status
from tunesmith.searchers.known import Known
from tunesmith.searchers.tpe import TPESearcher
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space
from tunesmith.store.reader import JournalReader, fold


def train(config):
    tune.report({"loss": abs(config.get("x", 0) - 0.3) + (config.get("opt") == "sgd")})


def session(tmp_path, space, num_samples, **arguments):
    defaults = {
        "metric": "loss", "mode": "min", "name": "e", "storage_path": tmp_path, "executor": "inline", "verbose": 0,
        "resume": "auto", "seed": 1,
    }  # fmt: skip
    return tune.run(train, space=space, num_samples=num_samples, **{**defaults, **arguments})


def changes(tmp_path):
    with JournalReader(tmp_path / "e") as reader:
        return [event for _, event in reader.events() if isinstance(event, SpaceChanged)]


def learned(tmp_path, space):
    """What a searcher knows that begins with the journal: (trial, row) of each complete trial."""
    known = Known(Encoding(Space(space)))

    class Listening(tune.Searcher):
        def suggest(self, count, experiment):
            return []

        def observe(self, event, experiment):
            known.observe(event, experiment, experiment.objectives)

    from tunesmith.core.experiment import Experiment

    fold(tmp_path / "e", Experiment(), [Listening()])
    history = known.history(None)
    return dict(zip(history.trials.tolist(), map(tuple, history.points.tolist()), strict=True)), history


X, OPT = tune.uniform(0, 1), tune.choice(["sgd", "adam"])
EDITS = {
    "widened": ({"x": tune.uniform(0, 2), "opt": OPT}, "x: widened"),
    "narrowed": ({"x": tune.uniform(0, 0.5), "opt": OPT}, "x: narrowed"),
    "a new parameter": ({"x": X, "opt": OPT, "y": tune.uniform(0, 1)}, "y: new"),
    "a new parameter with a prior": ({"x": X, "opt": OPT, "y": tune.uniform(0, 1, prior=0.5)}, "y: new"),
    "a parameter less": ({"x": X}, "opt: removed"),
    "a new choice": ({"x": X, "opt": tune.choice(["lion", "sgd", "adam"])}, "opt: 'lion' added"),
    "a choice less": ({"x": X, "opt": tune.choice(["adam"])}, "opt: 'sgd' removed"),
    "a new constant": ({"x": X, "opt": OPT, "epochs": 3}, "epochs: new"),
}


def check_that_it_goes_on(tmp_path, edit, searcher):
    space, sentence = EDITS[edit]
    session(tmp_path, {"x": X, "opt": OPT}, 8, searcher=searcher)

    results = list(session(tmp_path, space, 14, searcher=searcher))

    [change] = changes(tmp_path)
    assert change.changes[0].startswith(sentence)
    assert [trial.status for trial in results] == [Status.COMPLETED] * 14
    encoding = Encoding(Space(space))
    for trial in results[8:]:
        encoding.coordinates(trial.config)  # It lies in the space of now.
    assert len({tuple(sorted(trial.config.items())) for trial in results}) == 14


@pytest.mark.parametrize("edit", EDITS)
def test_an_experiment_goes_on_in_an_edited_space(tmp_path, edit):
    check_that_it_goes_on(tmp_path, edit, TPESearcher())


@pytest.mark.parametrize("searcher", [None, tune.BOHBSearcher(min_points_in_model=3)], ids=["default", "bohb"])
@pytest.mark.parametrize("edit", ["narrowed", "a new parameter", "a parameter less", "a choice less"])
def test_other_searchers_go_on_too(tmp_path, edit, searcher):
    check_that_it_goes_on(tmp_path, edit, searcher)


@pytest.mark.parametrize("edit", EDITS)
def test_a_searcher_learns_from_all_trials_that_still_lie_in_the_space(tmp_path, edit):
    space, _ = EDITS[edit]
    before = list(session(tmp_path, {"x": X, "opt": OPT}, 12))
    session(tmp_path, space, 13)

    rows, history = learned(tmp_path, space)

    [change] = changes(tmp_path)
    domain, optimizers = Space(space).parameters["x"], ["adam"] if edit == "a choice less" else ["sgd", "adam"]
    fitting = [t.id for t in before if domain.contains(t.config["x"]) and t.config["opt"] in optimizers]
    assert [trial for trial in rows if trial < 12] == fitting
    assert sorted(change.outside) == sorted(set(range(12)) - set(fitting))
    assert len(history.proposed) == len(fitting) + 1
    column = [parameter.name for parameter in Encoding(Space(space)).parameters].index("x")
    for trial in fitting:
        inside = (before[trial].config["x"] - domain.low) / (domain.high - domain.low)
        assert rows[trial][column] == pytest.approx(inside)


def test_a_new_parameter_without_a_prior_is_not_learned_of(tmp_path):
    space = {"x": X, "y": tune.uniform(0, 1)}
    session(tmp_path, {"x": X}, 60)
    session(tmp_path, space, 61)

    rows, _ = learned(tmp_path, space)

    ys = np.array([row[1] for trial, row in rows.items() if trial < 60])
    # 60 uniform draws: their mean is off by 5 standard errors once in 1.7 million seeds.
    assert abs(ys.mean() - 0.5) < 5 * 0.2887 / 60**0.5


def test_a_space_that_is_widened_again_has_its_trials_back(tmp_path):
    wide, narrow = {"x": X}, {"x": tune.uniform(0, 0.5)}
    session(tmp_path, wide, 8)
    session(tmp_path, narrow, 9)
    session(tmp_path, wide, 10)

    first, second = changes(tmp_path)
    assert first.outside
    assert second.outside == ()
    assert second.changes == ("x: widened from uniform(0.0, 0.5) to uniform(0.0, 1.0)",)
    assert list(learned(tmp_path, wide)[0]) == list(range(10))


def test_the_same_space_again_says_nothing(tmp_path):
    for count in (2, 3, 4):
        session(tmp_path, {"x": X, "f": lambda spec: spec.config.x}, count)

    assert changes(tmp_path) == []


def test_of_an_edited_grid_what_was_tried_is_not_tried_again(tmp_path):
    session(tmp_path, {"g": tune.grid_search([1, 2, 3]), "h": tune.grid_search(["a", "b"])}, 1)

    grid = {"g": tune.grid_search([0, 2, 3, 4]), "h": tune.grid_search(["a", "b"])}
    results = session(tmp_path, grid, 1)

    tried = [(trial.config["g"], trial.config["h"]) for trial in results]
    assert sorted(tried[6:]) == [(0, "a"), (0, "b"), (4, "a"), (4, "b")]
    again = session(tmp_path, grid, 1)
    assert len(again) == 10
    assert again.finished.reason == "completed"
    with JournalReader(tmp_path / "e") as reader:
        assert [event.trials_wanted for event in reader.sessions()] == [6, 10, 10]


def test_a_grid_over_a_whole_space_is_gone_through_where_nobody_was(tmp_path):
    grid = tune.GridSearcher(points_per_parameter=3)
    session(tmp_path, {"a": tune.choice([1, 2]), "x": tune.quniform(0, 2, 1)}, 1, searcher=grid)

    edited = {"a": tune.choice([2, 3]), "x": tune.quniform(0, 2, 1)}
    results = session(tmp_path, edited, 1, searcher=grid)

    assert sorted((trial.config["a"], trial.config["x"]) for trial in results[6:]) == [(3, 0), (3, 1), (3, 2)]
    assert len(session(tmp_path, edited, 1, searcher=grid)) == 9


def test_each_point_of_an_edited_grid_has_as_many_samples_as_are_wanted(tmp_path):
    session(tmp_path, {"g": tune.grid_search([1, 2]), "x": X}, 2)

    results = session(tmp_path, {"g": tune.grid_search([1, 2, 3]), "x": X}, 3)

    values = [trial.config["g"] for trial in results]
    assert {value: values.count(value) for value in values} == {1: 3, 2: 3, 3: 3}
    assert len({trial.config["x"] for trial in results}) >= 7


def test_an_edited_grid_with_replicates(tmp_path):
    session(tmp_path, {"g": tune.grid_search([1, 2])}, 1, replicates=2)

    results = session(tmp_path, {"g": tune.grid_search([2, 3])}, 1, replicates=2)

    tried = [(trial.config["g"], trial.config["replicate"]) for trial in results]
    assert sorted(tried[4:]) == [(3, 0), (3, 1)]


@pytest.mark.parametrize("searcher", [None, TPESearcher()], ids=["default", "tpe"])
def test_a_finite_space_that_has_lost_a_parameter_is_gone_through_to_its_end(tmp_path, searcher):
    space = {"a": tune.choice([1, 2, 3]), "b": tune.choice([1, 2])}
    session(tmp_path, space, 3, searcher=searcher)

    smaller = {"a": tune.choice([2, 3, 4, 5])}
    results = session(tmp_path, smaller, 30, searcher=searcher)

    tried = [trial.config["a"] for trial in results]
    assert sorted(set(tried) - {1}) == [2, 3, 4, 5]
    assert len(tried) == 3 + 4 - len(set(tried[:3]) - {1})
    assert len(session(tmp_path, smaller, 30, searcher=searcher)) == len(tried)


def test_a_trial_under_way_goes_on_though_it_lies_outside_now(tmp_path):
    def interrupted(config):
        if tune.get_checkpoint() is None:
            folder = tune.get_context().trial_folder / "state"
            folder.mkdir(exist_ok=True)
            tune.report({"loss": config["x"]}, checkpoint=folder)
            raise KeyboardInterrupt
        tune.report({"loss": config["x"]})

    common = {
        "metric": "loss", "mode": "min", "name": "e", "storage_path": tmp_path, "executor": "inline", "verbose": 0,
        "resume": "auto", "points_to_evaluate": [{"x": 0.75}],
    }  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        tune.run(interrupted, space={"x": X}, num_samples=1, **common)

    common["points_to_evaluate"] = [{"x": 0.25}]
    results = tune.run(interrupted, space={"x": tune.uniform(0, 0.5)}, num_samples=1, **common)

    assert changes(tmp_path)[0].outside == (0,)
    assert (results[0].status, results[0].config["x"]) == (Status.COMPLETED, 0.75)


class Relu:
    pass


class Tanh:
    pass


class Gelu:
    pass


def test_classes_that_have_moved_in_a_choice_are_still_themselves(tmp_path):
    session(tmp_path, {"act": tune.choice([Relu, Tanh]), "x": X}, 8)

    results = session(tmp_path, {"act": tune.choice([Gelu, Tanh]), "x": X}, 16)

    relus = tuple(trial.id for trial in tune.load(tmp_path / "e")[:8] if trial.config["act"] == "Relu")
    assert changes(tmp_path)[0].outside == relus
    assert {trial.config["act"] for trial in results[8:]} == {Gelu, Tanh}
    with JournalReader(tmp_path / "e") as reader:
        last = reader.sessions()[-1]
    assert last.objects == {"act[0]": "Relu", "act[1]": "Tanh", "act[0]~2": "Gelu"}


def test_the_console_and_show_say_what_was_changed(tmp_path, capsys):
    session(tmp_path, {"x": X}, 2)
    session(tmp_path, {"x": tune.uniform(0, 0.01)}, 3, verbose=1)

    said = capsys.readouterr().err
    assert said.count("the space was changed: x: narrowed from uniform(0.0, 1.0) to uniform(0.0, 0.01)") == 1
    show = [sys.executable, "-m", "tunesmith.cli", "show", str(tmp_path / "e")]
    shown = subprocess.run(show, capture_output=True, text=True, check=True).stdout
    assert "the space was changed: 2 earlier trials lie outside the space now" in shown
    assert "searched  x: uniform(0.0, 0.01)" in shown


def test_a_session_writes_down_what_it_searches(tmp_path):
    session(tmp_path, {"x": X}, 1)

    with JournalReader(tmp_path / "e") as reader:
        [opened] = reader.sessions()
    assert isinstance(opened, SessionOpened)
    assert opened.space["fields"]["x"] == {
        "domain": "Float", "text": "uniform(0.0, 1.0)", "low": 0.0, "high": 1.0, "log": False,
    }  # fmt: skip

import dataclasses

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.searchers.branches import EVERY, MORE_TRIES, branches, neglected_branch

from .told import Told

SPACE = {
    "model": tune.choice(
        [
            {"is": "line"},
            {"is": "tree", "depth": tune.uniform(0, 1), "leaf": tune.uniform(0, 1)},
            {"is": "net", "rate": tune.uniform(0, 1)},
        ]
    ),
    "scale": tune.choice(["none", "all"]),
}


def history_of(models, *, total=None):
    """What is known after trials of some models, by index; nothing else of the trials differs."""
    run = Told(SPACE, settings=tune.GPSearcher(), total=total)
    history = run.searcher.history()
    rows = np.full((len(models), run.searcher.encoding.width), np.nan)
    (choice,) = {index for index, _ in branches(run.searcher.encoding)}
    rows[:, choice] = models
    return dataclasses.replace(history, proposed=rows), choice


def test_a_branch_is_an_option_beside_which_others_have_parameters_and_counts_its_own():
    history, choice = history_of([])

    assert branches(history.encoding) == {(choice, 0): 0, (choice, 1): 2, (choice, 2): 1}


def test_the_branch_that_lacks_most_trials_is_neglected():
    history, choice = history_of([0, 0, 1, 1, 1, 2])

    assert neglected_branch(history, EVERY) == (choice, 2)


def test_none_is_when_each_has_had_some_more_trials_than_parameters():
    history, _ = history_of([0] * MORE_TRIES + [1] * (2 + MORE_TRIES) + [2] * (1 + MORE_TRIES))

    assert neglected_branch(history, EVERY) is None


@pytest.mark.parametrize(("number", "is_spent"), [(4, True), (5, False), (72, True), (76, False)])
def test_a_part_of_the_trials_is_spent_so_but_none_of_the_last(number, is_spent):
    history, _ = history_of([0] * 20, total=100)

    assert (neglected_branch(history, number) is not None) is is_spent


def test_an_option_that_was_tried_once_and_badly_is_tried_again():
    def loss(model):
        return {"line": 0.5, "tree": 9.0, "net": (model.get("rate", 0) - 0.3) ** 2}[model["is"]]

    run = Told(SPACE, settings=tune.GPSearcher(n_initial_points=0), total=100)
    tree = {"is": "tree", "depth": 0.1, "leaf": 0.5}
    for model in [{"is": "line"}, tree, *({"is": "net", "rate": part / 6} for part in range(6))]:
        run.complete(run.suggest({"model": model, "scale": "all"}), loss(model))
    for _ in range(5):
        trial = run.suggest()
        run.complete(trial, loss(run.experiment.trials[trial].config["model"]))

    models = [trial.config["model"]["is"] for trial in run.experiment.trials]
    assert models[8] == models[12] == "tree"
    assert set(models[9:12]) == {"net"}

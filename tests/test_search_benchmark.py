"""The pieces of `benchmarks/search`: what they measure is what they say."""

import random
from pathlib import Path

import pytest
from benchmarks.search import clock, measures, problems, records
from benchmarks.search.methods import PEERS
from benchmarks.search.ours import Tunesmith, tunesmith_space
from benchmarks.search.problems import problem
from benchmarks.search.records import Record
from benchmarks.search.spaces import Parameter, is_there, only_what_counts

from tunesmith.space.space import Space

SYNTHETIC = ["mixed-valley", "mixed-categories", "conditional-kinds", "conditional-network"]


def drawn(parameters, seed):
    rng = random.Random(seed)
    config = {}
    for parameter in parameters:
        if is_there(parameter, config):
            value = rng.uniform(parameter.low, parameter.high)
            chosen = rng.choice(parameter.options) if parameter.options else value
            config[parameter.name] = round(chosen) if parameter.integer else chosen
    return config


class Listening:
    """A method that proposes by chance, and writes down what it is told."""

    cpu = 0.0

    def __init__(self, parameters):
        self.parameters = parameters
        self.asked = 0
        self.told = []
        self.most_pending = 0

    def ask(self):
        self.asked += 1
        self.most_pending = max(self.most_pending, self.asked - len(self.told))
        return drawn(self.parameters, self.asked)

    def tell(self, number, loss):
        self.told.append((number, loss))


def record(method, seed, losses, *, problem="mixed-valley"):
    return Record(method, problem, 1, 3, seed, losses, 0.1)


@pytest.mark.parametrize("name", SYNTHETIC)
@pytest.mark.parametrize("instance", ["", "-2"])
def test_no_loss_of_a_synthetic_problem_is_below_its_optimum(name, instance):
    one = problem(name + instance)

    assert min(one.loss(drawn(one.parameters, seed)) for seed in range(200)) >= one.optimum == 0


@pytest.mark.parametrize("name", SYNTHETIC)
def test_the_same_config_has_the_same_loss(name):
    one = problem(name)
    config = drawn(one.parameters, 3)

    problem.cache_clear()

    assert problem(name).loss(config) == one.loss(config)


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_space_survives_the_way_to_a_driver(name):
    parameters = problem(name).parameters

    assert tuple(Parameter.from_json(parameter.as_json()) for parameter in parameters) == parameters


@pytest.mark.parametrize("name", SYNTHETIC)
def test_our_searchers_propose_what_a_problem_takes(name):
    one = problem(name)
    method = Tunesmith("random", one.parameters, 0, 20, 1)

    configs = [method.ask() for _ in range(20)]

    assert configs == [only_what_counts(one.parameters, config) for config in configs]
    assert all(one.loss(config) >= 0 for config in configs)


def test_what_depends_on_a_choice_stands_inside_it():
    space = Space(tunesmith_space(problem("conditional-kinds").parameters))

    assert "kind[2]/k2_x0" in space.parameters or "kind/k2_x0" in space.parameters


@pytest.mark.parametrize(("workers", "pending"), [(1, 1), (8, 8)])
def test_all_workers_are_busy_and_results_come_in_the_order_of_their_ends(workers, pending):
    one = problem("mixed-valley")
    method = Listening(one.parameters)

    losses = clock.losses_of(method, one, seed=0, budget=40, workers=workers)

    assert method.asked == len(method.told) == 40
    assert method.most_pending == pending
    assert [loss for _, loss in method.told] == losses
    assert ([number for number, _ in method.told] == list(range(40))) == (workers == 1)


def test_a_run_is_added_once_and_read_again(tmp_path):
    path = tmp_path / "records.jsonl"
    first, second = record("tpe", 0, [3.0, 2.0, 1.0]), record("tpe", 0, [3.0, 2.0, 0.5])

    records.add(path, first)
    records.add(path, second)

    assert records.read([path]) == {first.key: second}


def test_regret_is_the_best_loss_so_far_beside_random_searchs():
    found = [record("random", 0, [4.0, 4.0, 4.0]), record("tpe", 0, [4.0, 2.0, 3.0]), record("tpe", 1, [4.0, 1.0, 9.0])]

    (cell,) = measures.cells({one.key: one for one in found}, ["random", "tpe"], {(1, 3): [2]}).values()

    assert cell["tpe"].tolist() == [2.0, 1.0]
    assert measures.ratio(cell["tpe"], cell["random"]) == pytest.approx(1.5 / 4)
    assert measures.geometric_mean_ratio([cell], "random")[0] == 1


def test_equal_regrets_share_their_ranks():
    found = [record(method, 0, [loss] * 3) for method, loss in (("random", 2.0), ("a", 1.0), ("b", 1.0))]
    table = measures.cells({one.key: one for one in found}, ["random", "a", "b"], {(1, 3): [3]})

    ranks = measures.mean_ranks(list(table.values()), ["random", "a", "b"])

    assert [ranks[method][0] for method in ("random", "a", "b")] == [3, 1.5, 1.5]


def test_every_suite_names_its_problems_once():
    for name in problems.SUITES:
        assert len(set(problems.suite(name))) == len(problems.suite(name))
    assert not set(problems.CORE) & set(problems.HELD_OUT)


def test_every_peer_has_a_driver():
    folder = Path(problems.__file__).parent
    assert all((folder / "peers" / f"{script}.py").exists() for script, *_ in PEERS.values())

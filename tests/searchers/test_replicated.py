import random

import pytest

from tunesmith.core.events import SessionOpened, Suggested
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Searcher
from tunesmith.searchers.named import searcher_named
from tunesmith.searchers.replicated import BLOCK, ReplicatedSearcher, replicated
from tunesmith.searchers.variants import VariantGenerator
from tunesmith.space.domains import choice, grid_search, uniform
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants
from tunesmith.testing import check_searcher


def naive_order(configs, replicates):
    """(config index, replicate) of each trial, in blocks."""
    return [
        (config, replicate)
        for first in range(0, configs, BLOCK)
        for replicate in range(replicates)
        for config in range(first, min(configs, first + BLOCK))
    ]


def experiment_of(searcher, wanted):
    experiment = Experiment()
    feed(searcher, experiment, SessionOpened(at=0.0, session=1, started=0.0, trials_wanted=wanted))
    return experiment


def feed(searcher, experiment, event):
    experiment.apply(event)
    searcher.observe(event, experiment)


def drained(searcher, experiment, counts):
    """Ask until nothing comes, for as many at once as `counts` says."""
    configs = []
    while True:
        asked = next(counts)
        offered = list(searcher.suggest(asked, experiment))
        assert offered == list(searcher.suggest(asked, experiment)), "a question changes nothing"
        assert len(offered) <= asked
        if not offered:
            return configs
        assert not searcher.is_exhausted(experiment)
        feed(searcher, experiment, Suggested(at=0.0, configs=tuple(offered)))
        configs += offered


def variants(samples):
    return Variants(Space({"x": uniform(0, 1), "k": grid_search([1, 2])}), num_samples=samples, seed=3)


@pytest.mark.parametrize("samples", [1, 3, 4, 9])
@pytest.mark.parametrize("replicates", [2, 3, 5])
def test_each_config_comes_once_per_replicate_in_blocks(samples, replicates):
    generator = VariantGenerator(variants(samples))
    searcher, total = replicated(lambda seed: (generator, generator.total), replicates)(0)
    draw = random.Random(samples)
    configs = drained(searcher, experiment_of(searcher, total), iter(lambda: draw.randint(1, 13), None))

    assert total == 2 * samples * replicates
    assert configs == [
        {**variants(samples).config(index), "replicate": replicate}
        for index, replicate in naive_order(2 * samples, replicates)
    ]


def test_it_is_exhausted_when_the_last_replicate_has_been_proposed():
    searcher = ReplicatedSearcher(VariantGenerator(variants(1)), 2)
    experiment = experiment_of(searcher, None)
    for _ in range(4):
        assert not searcher.is_exhausted(experiment)
        feed(searcher, experiment, Suggested(at=0.0, configs=tuple(searcher.suggest(1, experiment))))

    assert searcher.is_exhausted(experiment)
    assert searcher.suggest(5, experiment) == []


class Watcher(Searcher):
    """Proposes what it is told to, and notes what it sees."""

    def __init__(self, offers):
        self.offers, self.seen, self.asked = offers, [], []

    def suggest(self, count, experiment):
        self.asked.append((count, experiment.next_number, experiment.trials_wanted))
        return [{"n": experiment.next_number + index} for index in range(min(count, self.offers.pop(0)))]

    def observe(self, event, experiment):
        self.seen.append(event)


def test_a_searcher_that_has_little_to_offer_makes_a_block_smaller():
    watcher = Watcher([2, 0, 1])
    searcher = ReplicatedSearcher(watcher, 2)
    experiment = experiment_of(searcher, 20)
    trials = []
    for _ in range(3):
        offered = searcher.suggest(4, experiment)
        feed(searcher, experiment, Suggested(at=0.0, configs=tuple(offered)))
        trials += [(config["n"], config["replicate"]) for config in offered]

    assert trials == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 0), (2, 1)]
    assert watcher.asked == [(4, 0, 10), (4, 2, 10), (4, 2, 10)]


def test_the_other_searcher_sees_one_config_for_all_its_replicates():
    watcher = Watcher([9, 9])
    searcher = ReplicatedSearcher(watcher, 3)
    experiment = experiment_of(searcher, 6)
    offered = searcher.suggest(99, experiment)
    requests = tuple({"cpu": float(index)} for index in range(len(offered)))
    feed(searcher, experiment, Suggested(at=1.0, configs=tuple(offered), requests=requests))

    assert watcher.seen[-1] == Suggested(at=1.0, configs=({"n": 0}, {"n": 1}), requests=({"cpu": 0.0}, {"cpu": 1.0}))
    assert len(offered) == 6


def test_a_folded_journal_goes_on_in_the_middle_of_a_block():
    first = ReplicatedSearcher(VariantGenerator(variants(3)), 3)
    experiment = experiment_of(first, 18)
    events, whole = [], []
    for _ in range(18):
        event = Suggested(at=0.0, configs=tuple(first.suggest(1, experiment)))
        feed(first, experiment, event)
        events.append(event)
        whole += event.configs
    for cut in range(18):
        second = ReplicatedSearcher(VariantGenerator(variants(3)), 3)
        resumed = experiment_of(second, 18)
        for event in events[:cut]:
            feed(second, resumed, event)

        assert second.suggest(3, resumed)[0] == whole[cut]


def test_equal_configs_of_a_small_space_stay_apart():
    variants_ = Variants(Space({"x": choice([1])}), num_samples=2, seed=0)
    searcher = ReplicatedSearcher(VariantGenerator(variants_), 2)

    configs = drained(searcher, experiment_of(searcher, 4), iter(lambda: 3, None))

    assert [config["replicate"] for config in configs] == [0, 0, 1, 1]


def test_replicated_searchers_keep_the_contract_of_searchers():
    space = Space({"x": uniform(0, 1)})

    for replicates in (2, 3):
        check_searcher(
            lambda: ReplicatedSearcher(searcher_named("tpe").bound_to(space, 12, 7), replicates),  # noqa: B023
            spaces={"plain": space},
            runs=4,
            fewest=12,
            trials=12,
            questions=8,
        )

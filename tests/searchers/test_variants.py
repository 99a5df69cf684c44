from types import SimpleNamespace

import pytest

from tunesmith.errors import ConfigError, SpaceError
from tunesmith.searchers.variants import BasicVariantGenerator, VariantGenerator
from tunesmith.space.domains import grid_search, uniform
from tunesmith.space.space import Space
from tunesmith.space.variants import Variants

SPACE = Space({"lr": uniform(0, 1), "g": grid_search([1, 2])})


def at(number):
    return SimpleNamespace(next_number=number)


def test_suggestions_follow_the_trial_numbers_whatever_the_portions():
    searcher = VariantGenerator(Variants(SPACE, num_samples=3, seed=1))
    whole = searcher.suggest(6, at(0))
    assert searcher.suggest(2, at(0)) + searcher.suggest(1, at(2)) + searcher.suggest(3, at(3)) == whole
    assert searcher.suggest(6, at(0)) == whole


def test_there_is_nothing_more_after_the_last_variant():
    searcher = VariantGenerator(Variants(SPACE, num_samples=3))
    assert searcher.total == 6
    assert len(searcher.suggest(100, at(4))) == 2
    assert not searcher.is_exhausted(at(5))
    assert searcher.is_exhausted(at(6))
    assert searcher.suggest(1, at(6)) == []
    assert searcher.suggest(1, at(9)) == []


def test_an_endless_search_is_never_exhausted():
    searcher = VariantGenerator(Variants(SPACE, num_samples=-1))
    assert searcher.total is None
    assert not searcher.is_exhausted(at(10**9))
    assert len(searcher.suggest(5, at(10**9))) == 5


def test_the_settings_reach_the_variants():
    settings = BasicVariantGenerator(points_to_evaluate=[{"lr": 0.5, "g": 2}], constant_grid_search=True)
    searcher = settings.bound_to(SPACE, 2, 1)
    configs = searcher.suggest(10, at(0))
    assert configs[0] == {"lr": 0.5, "g": 2}
    assert [config["g"] for config in configs] == [2, 1, 2]
    assert configs[1]["lr"] == configs[2]["lr"]


def test_random_state_replaces_the_seed_of_the_experiment():
    own = BasicVariantGenerator(random_state=7)
    assert own.bound_to(SPACE, 1, 1).suggest(1, at(0)) == own.bound_to(SPACE, 1, 2).suggest(1, at(0))
    default = BasicVariantGenerator()
    assert default.bound_to(SPACE, 1, 1).suggest(1, at(0)) != default.bound_to(SPACE, 1, 2).suggest(1, at(0))


def test_wrong_settings_are_refused():
    with pytest.raises(ConfigError, match=r"random_state='a': give an integer, or None"):
        BasicVariantGenerator(random_state="a")
    with pytest.raises(ConfigError, match=r"max_concurrent=-1: give a whole number"):
        BasicVariantGenerator(max_concurrent=-1)
    with pytest.raises(SpaceError, match=r"points_to_evaluate\[0\]\['x'\]: space has no such key"):
        BasicVariantGenerator(points_to_evaluate=[{"x": 1}]).bound_to(SPACE, 1, 0)

import math
import re
from collections import defaultdict

import pytest
from random_runs import METRIC, Run

from tunesmith.core.events import (
    Reported,
    TrialCompleted,
    TrialContinued,
    TrialExploited,
    TrialFailed,
    TrialLaunched,
    TrialRequeued,
    TrialStopped,
)
from tunesmith.core.experiment import Experiment
from tunesmith.errors import ConfigError
from tunesmith.schedulers.multi_frequency import MultiFrequencyPBT
from tunesmith.space.domains import uniform

INTERVAL = 3


def mf_pbt(frequencies):
    return MultiFrequencyPBT(
        frequencies=frequencies, time_attr="training_iteration", perturbation_interval=INTERVAL, require_attrs=False,
        hyperparam_mutations={"x": uniform(0, 100)}, resample_probability=0,
    )  # fmt: skip


def naive_clones(scores, able, configs, frequencies, generation):
    """Return target -> (source, whose config, whether it is mutated), from the paper's algorithm."""
    clones = {}
    everybody = sorted(scores, key=lambda trial: (-scores[trial], trial))
    for population, delta in enumerate(frequencies):
        if generation % delta:
            continue
        own = [trial for trial in everybody if trial % len(frequencies) == population]
        n = len(own)
        quarter = 0 if n < 2 else 1 if n < 8 else n // 4
        for k in range(quarter):
            if own[k] in able:
                clones[own[n - quarter + k]] = (own[k], own[k], True)
        external = [trial for trial in everybody if trial % len(frequencies) != population and trial in able]
        third = [own[place] for place in range(n) if max(n - 2 * quarter, quarter) <= place < n - quarter]
        for trial in third:
            if external and scores[external[0]] > scores[trial]:
                migrant = external.pop(0)
                theirs = frequencies[migrant % len(frequencies)]
                clones[trial] = (migrant, migrant if theirs > delta else own[0], False)
    return clones


def check(journal, frequencies):
    """Follow a journal, and hold each generation against the naive rule; return how many clones there were."""
    experiment, scores, configs = Experiment(), {}, {}
    arrived, over, leaving, made, kinds = set(), set(), set(), {}, defaultdict(int)
    goal, generation, now, able = INTERVAL, 1, {}, set()
    for event in journal:
        match event:
            case TrialLaunched() | TrialContinued() if event.trial in arrived:
                expected = naive_clones(scores, able, configs, frequencies, generation)
                assert {trial: source for trial, (source, _) in made.items()} == {
                    trial: source for trial, (source, _, _) in expected.items()
                }
                for trial, (source, config) in made.items():
                    _, whose, mutated = expected[trial]
                    kinds["mutated" if mutated else "theirs" if whose == source else "own best's"] += 1
                    wanted = [configs[whose]["x"]] if not mutated else [configs[whose]["x"] * f for f in (1.2, 0.8)]
                    assert any(math.isclose(config["x"], min(x, 100)) for x in wanted)
                goal = max(goal + INTERVAL, max(now[trial] for trial in arrived))
                generation += 1
                arrived.clear()
                made.clear()
            case TrialExploited() if event.trial != event.source:
                if not made:
                    configs = {trial.id: trial.config for trial in experiment.trials}
                    able = {trial for trial in scores
                            if experiment.trials[trial].checkpoint and scores[trial] > -math.inf}  # fmt: skip
                made[event.trial] = (event.source, event.config)
                leaving.add(event.trial)
        experiment.apply(event)
        match event:
            case Reported() if event.trial not in leaving:
                now[event.trial] = event.number
                value = event.metrics.get(METRIC)
                if event.number >= goal and value is not None and event.trial not in arrived:
                    arrived.add(event.trial)
                    scores[event.trial] = value if math.isfinite(value) else -math.inf
            case TrialLaunched():
                leaving.discard(event.trial)
            case TrialExploited() if event.trial in leaving:
                now[event.trial] = event.number
            case TrialRequeued():
                arrived.discard(event.trial)
            case TrialStopped() | TrialCompleted() | TrialFailed():
                over.add(event.trial)
                arrived.discard(event.trial)
                scores.pop(event.trial, None)
        if not made:
            configs = {trial.id: trial.config for trial in experiment.trials}
            able = {trial for trial in scores if experiment.trials[trial].checkpoint and scores[trial] > -math.inf}
    return kinds


@pytest.mark.parametrize("frequencies", [(1, 2), (1, 2, 4), (1,), (2, 3)], ids=str)
def test_its_clones_and_migrants_are_those_of_the_naive_rule(frequencies):
    kinds = defaultdict(int)
    for seed in range(8):
        run = Run(
            mf_pbt(frequencies), seed, trials=16, slots=5, trouble=0.01, restarts=0.005, persons=0.002,
            renew=lambda: mf_pbt(frequencies), config_of=lambda draw, trial: {"x": draw.uniform(1, 50)},
        ).play()  # fmt: skip
        assert run.experiment.finished.reason == "completed"
        for kind, count in check(run.journal, frequencies).items():
            kinds[kind] += count

    assert kinds["mutated"] > 15
    if len(frequencies) > 1:
        assert kinds["theirs"] > 3
        assert kinds["own best's"] > 3


def test_a_sub_population_evolves_only_at_its_own_frequency():
    run = Run(
        mf_pbt((2, 4)), 1, trials=16, slots=16, trouble=0.0,
        config_of=lambda draw, trial: {"x": 10.0}, value_of=lambda draw, running: {METRIC: draw.random()},
    ).play()  # fmt: skip

    populations = defaultdict(set)
    for event in run.journal:
        if isinstance(event, TrialExploited):
            populations[int(re.search(r"in generation (\d+)", event.reason)[1])].add(event.trial % 2)
    assert {generation % 2 for generation in populations} == {0}
    assert all(there == {0} for generation, there in populations.items() if generation % 4)
    assert populations[4] == {0, 1}


@pytest.mark.parametrize("frequencies", [(), 3, (2, 1), (1, 1), (0, 1), (1.5, 2), "12"], ids=str)
def test_frequencies_that_make_no_sense_are_refused(frequencies):
    with pytest.raises(ConfigError, match="MultiFrequencyPBT: frequencies="):
        MultiFrequencyPBT(frequencies=frequencies)

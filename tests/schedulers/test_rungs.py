import math
import random

import numpy as np
import pytest
import scipy.stats
from random_runs import METRIC, Run
from test_asha import naive_cutoff, naive_reward

import tunesmith as tune
from tunesmith.core.events import Reported, TrialCompleted, TrialPaused, TrialStopped
from tunesmith.schedulers.asha import ASHAScheduler
from tunesmith.schedulers.asha_promotion import PromotionASHAScheduler
from tunesmith.schedulers.rungs import Ladder, RankingWatch, rank_correlation
from tunesmith.simulation import simulate

# How much two rankings have to do with each other.


@pytest.mark.parametrize("values", ["continuous", "tied", "with infinite ones"])
def test_the_rank_correlation_is_scipys(values):
    draw = random.Random(values)
    for _ in range(200):
        count = draw.randint(3, 30)
        pairs = [(draw.gauss(0, 1), draw.gauss(0, 1)) for _ in range(count)]
        if values != "continuous":
            pairs = [(round(a), round(a + b)) for a, b in pairs]
        if values == "with infinite ones":
            pairs = [(math.inf if draw.random() < 0.2 else a, b) for a, b in pairs]
        ours = rank_correlation(pairs)
        ranks = scipy.stats.rankdata([a for a, _ in pairs]), scipy.stats.rankdata([b for _, b in pairs])
        if ours is None:
            assert min(len(set(ranks[0])), len(set(ranks[1]))) == 1
        else:
            assert ours == pytest.approx(np.corrcoef(*ranks)[0, 1], abs=1e-12)


def watched(pairs):
    watch = RankingWatch()
    for earlier, later in pairs:
        watch.add(0, 0, [2, 8], earlier, later)
    return watch.warnings


def test_a_ranking_that_predicts_nothing_is_told_once_at_the_tenth_trial():
    pairs = [(number, -number) for number in range(40)]

    assert watched(pairs[:9]) == []
    [warning] = watched(pairs[:10])
    assert watched(pairs) == [warning]
    assert warning == (
        "the ranking at rung 2 says little about that at rung 8: over the 10 trials that were at both, the rank "
        "correlation is -1.00. Trials are judged before they show what they are worth: use a larger grace_period, "
        "8 say."
    )


def test_it_is_looked_at_again_whenever_there_are_twice_as_many():
    # The first ten agree perfectly; with the ten that follow, which are the other way round, nothing is left of it.
    pairs = [(number, number) for number in range(10)] + [(number, 30 - number) for number in range(20, 31)]

    assert watched(pairs[:19]) == []
    assert "over the 20 trials" in watched([*pairs[:10], *((-n, n + 50) for n in range(10))])[0]


def test_rankings_that_agree_or_that_are_all_ties_are_no_reason_to_warn():
    assert watched([(number, number) for number in range(100)]) == []
    assert watched([(1.0, number) for number in range(100)]) == []


def test_warnings_outlive_another_objective_and_the_pairs_do_not():
    watch = RankingWatch()
    for number in range(10):
        watch.add(0, 0, [2, 8], number, -number)
    watch.forget()
    assert len(watch.warnings) == 1
    assert watch.pairs == {}


def naive_warnings(results, mode, milestones):
    """Pairs of rungs that are told, in their order; with numpy and from scratch after each result."""
    seen, pairs, told = {}, {}, []
    for result in results:
        own = seen.setdefault(result.trial, {})
        reached = [m for m in milestones if m <= result.number and m not in own]
        if reached and own:
            last = max(own)
            lower, upper = milestones.index(last), milestones.index(last) + 1
            together = pairs.setdefault((lower, upper), [])
            together.append((-own[last], -naive_reward(result, mode)))
            if len(together) in (10, 20, 40, 80) and (lower, upper) not in told:
                ranks = [scipy.stats.rankdata([pair[side] for pair in together]) for side in (0, 1)]
                if min(len(set(r)) for r in ranks) > 1:
                    correlation = np.corrcoef(*ranks)[0, 1]
                    if correlation < 0.4 - 1 / math.sqrt(len(together) - 1):
                        told.append((lower, upper))
        for milestone in reached:
            own[milestone] = naive_reward(result, mode)
    return [(milestones[lower], milestones[upper]) for lower, upper in told]


@pytest.mark.parametrize("scheduler", [ASHAScheduler, PromotionASHAScheduler])
def test_schedulers_warn_as_the_naive_rule_does(scheduler):
    told = 0
    for seed in range(12):
        noise = seed / 4

        def value(draw, running, noise=noise):
            return {METRIC: running.trial % 7 + noise * draw.gauss(0, 2)}

        run = Run(scheduler(max_t=16, reduction_factor=2), seed, trials=60, longest=20, value_of=value, slots=9).play()
        expected = naive_warnings(run.results, "max", [1, 2, 4, 8, 16])
        assert [warning.split(": ")[0] for warning in run.scheduler.warnings] == [
            f"the ranking at rung {low} says little about that at rung {high}" for low, high in expected
        ]
        told += len(expected)
    assert told > 5


# Rungs that are learned.


def naive_first(events, mode, factor, max_t=None):
    """The index of the lowest candidate that judges after these events; None while none does."""
    results = [event for event in events if isinstance(event, Reported)]
    base = next((event.number for event in results if max_t is None or event.number <= max_t), None)
    looks = []
    for k in range(30):
        if base is None or (max_t is not None and base * factor**k > max_t):
            break
        pairs = naive_pairs(events, mode, [base * factor**i for i in range(31)], k, max_t)
        if len(pairs) < 10:
            break
        for count in (10, 20, 40, 80):
            ranks = [scipy.stats.rankdata([pair[side] for pair in pairs[:count]]) for side in (0, 1)]
            varies = count <= len(pairs) and min(len(set(r)) for r in ranks) > 1
            if varies and np.corrcoef(*ranks)[0, 1] >= 0.5 - 1e-12:
                looks.append((pairs[count - 1][2], k))
    return min(looks)[1] if looks else None


def naive_pairs(events, mode, candidates, k, max_t):
    lower, upper = candidates[k], candidates[k + 1]
    if max_t is not None and upper > max_t:
        upper = math.inf  # There is no such candidate; what counts is the end.
    first, last, told, pairs = {}, {}, set(), []
    for index, event in enumerate(events):
        if isinstance(event, Reported):
            time, trial = event.number, event.trial
            reward = naive_reward(event, mode)
            if trial in first and time >= upper and trial not in told and event is not first[trial][1]:
                pairs.append((first[trial][0], reward, index))
                told.add(trial)
            if trial not in first and time >= lower:
                first[trial] = (reward, event)
                if time >= upper:
                    told.add(trial)  # A jump says nothing.
            last[trial] = event
        elif isinstance(event, TrialCompleted) and event.trial in first and event.trial not in told:
            end = last[event.trial]
            if end is not first[event.trial][1]:
                pairs.append((first[event.trial][0], naive_reward(end, mode), index))
            told.add(event.trial)
    return pairs


def noisy_until(step, noise):
    """Metrics that are noise up to a step, and tell the trials apart from then on."""

    def value(draw, running):
        quality = running.trial * 7 % 31
        return {METRIC: quality + noise * draw.random() if running.number >= step else draw.random()}

    return value


@pytest.mark.parametrize("scheduler", [ASHAScheduler, PromotionASHAScheduler])
@pytest.mark.parametrize("max_t", [None, 24])
def test_where_the_rungs_begin_is_what_the_naive_rule_finds(scheduler, max_t):
    found = set()
    for seed in range(6):
        settings = {"max_t": max_t, "grace_period": None, "reduction_factor": 2}
        value = None if seed == 5 else noisy_until([1, 2, 5, 9, 1][seed], [1, 1, 1, 1, 60][seed])
        run = Run(scheduler(**settings), seed, trials=40, longest=26, slots=6, value_of=value, trouble=0.01).play()

        expected = naive_first(run.journal, "max", 2, max_t)
        brackets = getattr(run.scheduler, "_brackets", None) or run.scheduler._promotions._brackets
        assert brackets.ladders[0].first == expected
        found.add(expected)
        assert run.experiment.finished.reason == "completed"
    assert len(found) > 2


@pytest.mark.parametrize("max_t", [None, 24])
def test_with_learned_rungs_the_stopping_rule_is_the_naive_one_from_there_on(max_t):
    stopped = 0
    for seed in range(6):
        settings = {"max_t": max_t, "grace_period": None, "reduction_factor": 2}
        value = noisy_until([1, 2, 5, 9, 1, 3][seed], 3)
        run = Run(ASHAScheduler(**settings), seed, trials=40, longest=26, slots=6, value_of=value).play()

        assert set(run.stops) == naive_learned_stops(run.journal, max_t)
        stopped += sum("rung" in reason for reason in run.stops.values())
    assert stopped > 20


def naive_learned_stops(journal, max_t):
    stops, rungs, before = set(), {}, None
    for index, event in enumerate(journal):
        if isinstance(event, Reported):
            reward = naive_reward(event, "max")
            own = [2**k for k in range(9) if 2**k <= event.number and (max_t is None or 2**k <= max_t)]
            fresh = [m for m in own if event.trial not in rungs.setdefault(m, {})]
            # A result is judged by what was known before it; it may itself tell where the rungs begin.
            is_judged = fresh and before is not None and fresh[-1] >= 2**before and rungs[fresh[-1]]
            if is_judged and reward < naive_cutoff(rungs[fresh[-1]].values(), 2):
                stops.add((event.trial, event.attempt, event.number))
            for milestone in fresh:
                rungs[milestone][event.trial] = reward
            if max_t is not None and event.number >= max_t:
                stops.add((event.trial, event.attempt, event.number))
        if before is None and isinstance(event, Reported | TrialCompleted):
            before = naive_first(journal[: index + 1], "max", 2, max_t)
    return stops


def test_until_it_is_known_where_rungs_begin_nobody_is_stopped_or_paused():
    for scheduler in (ASHAScheduler, PromotionASHAScheduler):
        run = Run(scheduler(max_t=None, grace_period=None), 1, trials=9, longest=20, trouble=0).play()
        assert not [event for event in run.journal if isinstance(event, TrialPaused | TrialStopped)]
        assert "which judge nobody before it is known" in run.scheduler.describe()


def test_trials_that_end_before_the_next_candidate_tell_by_their_end():
    ladder = Ladder(4, grace_period=None, max_t=None)
    ladder.passed(1, 0)
    for number in range(10):
        assert ladder.first is None
        ladder.learn(0, number, number)

    assert ladder.first == 0
    assert ladder.judges(1)


def test_the_first_candidate_that_is_found_to_predict_is_the_lowest_rung_for_good():
    ladder = Ladder(2, grace_period=None, max_t=None)
    ladder.passed(3, 0)
    for number in range(12):
        ladder.learn(0, number, -number)
    for number in range(10):
        assert ladder.first is None
        ladder.learn(1, number, number)
    for number in range(30):
        ladder.learn(0, number, number)

    assert ladder.first == 1
    assert [ladder.next(passed, math.inf) for passed in range(2)] == [3, 6]


def test_a_candidate_that_told_nothing_among_few_is_looked_at_again_among_more():
    ladder = Ladder(2, grace_period=None, max_t=None)
    ladder.passed(1, 0)
    for number in range(10):
        ladder.learn(0, number, 9 - number)  # the fastest ten are much alike
    assert ladder.first is None
    for number in range(10, 20):
        ladder.learn(0, number, number)

    assert ladder.first == 0


def test_without_a_bound_rungs_go_up_as_far_as_trials_do():
    ladder = Ladder(3, grace_period=2, max_t=None)

    assert ladder.passed(1, 0) == 0
    assert ladder.passed(60, 0) == 4
    assert ladder.milestones == [2, 6, 18, 54, 162]
    assert ladder.next(4, math.inf) == 162


@pytest.mark.parametrize("workers", [1, 2, 7])
@pytest.mark.parametrize("scheduler", [ASHAScheduler, PromotionASHAScheduler])
def test_with_nothing_given_a_simulated_experiment_ends_and_saves_most_of_the_steps(scheduler, workers):
    def curve(config, epoch):
        # Below five epochs nobody can tell; then the order is for good.
        return (
            {"loss": config["x"] if epoch >= 5 else math.sin(config["x"] * 1e5 * (epoch + 1))} if epoch <= 81 else None
        )

    ran = simulate(
        curve,
        space={"x": tune.uniform(0, 1)},
        metric="loss",
        mode="min",
        num_samples=100,
        workers=workers,
        searcher="random",
        scheduler=scheduler(max_t=None, grace_period=None, reduction_factor=3),
        history=True,
    )

    assert ran.finished == "completed"
    assert min(len(trial.history) for trial in ran.trials) == 9
    best = min(ran.trials, key=lambda trial: trial.config["x"])
    assert len(best.history) == max(len(trial.history) for trial in ran.trials)
    assert sum(len(trial.history) for trial in ran.trials) < 0.45 * 100 * 81

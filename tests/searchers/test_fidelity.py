import math
import statistics

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.searchers.fidelity import final_losses


def halving(count=27, *, slope=0.5, noise=0.0, seed=0):
    """Trials as successive halving leaves them: a third goes on from each level, and the end is half the way down."""
    random = np.random.default_rng(seed)
    end = random.uniform(0, 1, count)
    rungs, alive = {}, range(count)
    for level, gap in ((1, 1.0), (3, 0.6), (9, 0.2)):
        rungs[level] = {trial: (end[trial] / slope + gap + noise * random.normal()) for trial in alive}
        alive = sorted(alive, key=rungs[level].__getitem__)[: len(alive) // 3]
    final = {trial: float(end[trial]) for trial in rungs[9]}
    partial = {}
    for level in rungs:
        partial |= {trial: level for trial in rungs[level] if trial not in final}
    return final, partial, rungs, end


def test_what_follows_a_line_is_predicted_exactly_in_the_long_run():
    final, partial, rungs, end = halving(729, slope=1.0)

    predicted = final_losses(final, partial, rungs)

    assert predicted.keys() == partial.keys()
    assert max(abs(loss - end[trial]) for trial, (loss, _) in predicted.items()) < 1e-9


def test_nobody_who_was_stopped_is_predicted_to_end_better_than_those_that_it_was_worse_than():
    for seed in range(20):
        final, partial, rungs, _ = halving(81, noise=0.3, seed=seed)
        predicted = {trial: loss for trial, (loss, _) in final_losses(final, partial, rungs).items()}
        known = predicted | final
        for level in (1, 3, 9):
            survivors = [known[trial] for trial in rungs[level] if trial not in partial or partial[trial] > level]
            stopped = [known[trial] for trial in rungs[level] if partial.get(trial) == level]
            assert min(stopped, default=math.inf) > statistics.fmean(survivors)


def test_the_order_within_a_level_stays():
    final, partial, rungs, _ = halving(81, noise=0.3)
    predicted = final_losses(final, partial, rungs)
    for level, losses in rungs.items():
        stopped = [trial for trial in losses if partial.get(trial) == level]
        assert sorted(stopped, key=losses.get) == sorted(stopped, key=lambda trial: predicted[trial][0])


def test_the_lower_the_level_the_less_is_certain():
    final, partial, rungs, _ = halving(729, noise=0.2)
    predicted = final_losses(final, partial, rungs)

    def spread(level):
        return statistics.median(predicted[trial][1] for trial in partial if partial[trial] == level)

    assert spread(1) > spread(3) > 0


def test_with_few_who_went_on_losses_are_taken_as_they_are():
    predicted = final_losses({0: 0.1}, {1: 1, 2: 1}, {1: {0: 1.0, 1: 2.0, 2: 3.0}})

    assert [loss for loss, _ in predicted.values()] == [2.0, 3.0]
    assert all(spread == pytest.approx(statistics.pstdev([1, 2, 3])) for _, spread in predicted.values())


def test_a_trial_with_a_loss_of_inf_at_a_level_says_nothing_about_it():
    rungs = {1: {0: 1.0, 1: 1.1, 2: 1.2, 3: math.inf, 4: 2.0}}

    predicted = final_losses({0: 0.0, 1: 0.1, 2: 0.2, 3: 0.3}, {4: 1}, rungs)

    assert predicted[4][0] == pytest.approx(1.0)
    assert math.isfinite(predicted[4][1])


def test_one_wild_loss_stays_finite_and_worst():
    final, partial, rungs, _ = halving(81)
    worst = max(trial for trial in partial if partial[trial] == 1)
    rungs[1][worst] = 1e9

    predicted = final_losses(final, partial, rungs)

    assert max(predicted, key=predicted.get) == worst
    assert math.isfinite(predicted[worst][1])


def test_nothing_known_is_nothing_predicted():
    assert final_losses({}, {}, {}) == {}


def curve(config, epoch):
    """What falls fast ends high."""
    if epoch > 27:
        return None
    end = sum((config[name] - 0.4) ** 2 for name in "abcd")
    return {"loss": end + (2 - end) * (1 + epoch) ** -(1 + config["a"])}


def trials_needed(searcher, scheduler, seed):
    space = {name: tune.uniform(0, 1) for name in "abcd"}
    simulation = tune.simulate(
        curve, space=space, metric="loss", mode="min", scheduler=scheduler(), searcher=searcher, num_samples=200,
        workers=8, seed=seed, stop=tune.TargetStopper("loss", 0.08, mode="min"),
    )  # fmt: skip
    return len(simulation.trials)


@pytest.mark.parametrize(
    "scheduler",
    [
        lambda: tune.ASHAScheduler(max_t=27, reduction_factor=3),
        lambda: tune.PromotionASHAScheduler(max_t=27, reduction_factor=3),
        lambda: tune.MedianStoppingRule(grace_period=3),
    ],
    ids=["asha", "promotion", "median"],
)
def test_learning_from_partial_curves_needs_fewer_trials_than_random_search(scheduler):
    needed = {name: sum(trials_needed(name, scheduler, seed) for seed in range(12)) for name in ("tpe", "random")}

    # Were both alike (geometric), the ratio of these sums would be below 0.5 by chance in 1 of 20 runs; here it is.
    assert needed["tpe"] < 0.5 * needed["random"]

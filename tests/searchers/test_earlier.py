"""What searchers make of earlier experiments."""

import math

import numpy as np
import pytest

import tunesmith as tune
from tunesmith.core.events import EarlierTrials
from tunesmith.searchers.earlier import Earlier, line, normal_scores, trust
from tunesmith.searchers.tpe import TPESearcher
from tunesmith.space.encoding import Encoding
from tunesmith.space.space import Space

from .told import Told

SPACE = {"x": tune.uniform(0, 1), "y": tune.uniform(0, 1)}


def event(configs, losses, source="old"):
    losses = tuple((float(loss),) for loss in losses)
    return EarlierTrials(at=0.0, source=source, configs=tuple(configs), losses=losses, objectives=(("loss", "min"),))


def line_of_trials(count):
    """Trials along x, best at 0."""
    xs = [(index + 0.5) / count for index in range(count)]
    return event([{"x": x, "y": 0.5} for x in xs], [1000 + 100 * x for x in xs])


def told(earlier, xs=(), loss=lambda x: x, **settings):
    """An experiment with an earlier one, in which trials at some x have completed."""
    hand = Told(SPACE, settings=TPESearcher(**settings))
    hand.tell(earlier)
    for x in xs:
        hand.complete(hand.suggest({"x": x, "y": 0.5}), loss(x))
    return hand


def earlier_part(hand):
    history = hand.searcher.history()
    count = len(history.losses) - history.earlier
    return history.points[count:, 0], history.losses[count:], history.spread[count:]


def test_normal_scores_know_the_order_only():
    scores = normal_scores(np.array([5.0, 1.0, 900.0, 5.0]))

    assert scores[0] == scores[3]
    assert scores[1] < scores[0] < scores[2]
    assert scores.sum() == pytest.approx(0)
    assert np.array_equal(scores, normal_scores(np.array([0.2, 0.1, 0.3, 0.2])))


def test_the_line_leads_from_scores_to_own_losses():
    scores = np.linspace(-2, 2, 30)

    base, slope, spread = line(scores, 7 + 3 * scores)

    assert (base, slope) == pytest.approx((7, 3), rel=0.05)
    assert spread == pytest.approx(0.5 * slope)


def test_the_line_rises_whatever_the_losses_say():
    scores = np.linspace(-2, 2, 30)

    for losses in (-scores, np.zeros(30), np.array([1e9] + [0.0] * 29)):
        assert line(scores, losses)[1] > 0


def test_a_source_is_trusted_that_ranks_own_losses_right_and_not_one_that_ranks_them_wrong():
    scores = np.linspace(-2, 2, 12)

    assert trust(scores, scores) > 0.99
    assert trust(scores, -scores) < 0.01
    assert trust(np.zeros(12), scores) == 1.0


def test_before_there_are_own_losses_the_earlier_ones_stand_alone():
    points, losses, spread = earlier_part(told(line_of_trials(40)))

    assert len(points) == 40
    assert losses.mean() == pytest.approx(0, abs=1e-9)
    assert (np.argsort(losses) == np.argsort(points)).all()
    assert (spread > 0).all()


def test_earlier_losses_come_on_the_scale_of_the_own_ones():
    xs = [0.1, 0.3, 0.5, 0.7, 0.9]

    points, losses, _ = earlier_part(told(line_of_trials(40), xs, lambda x: 3 + x))

    # Nothing is better than the best own loss, and what lies beyond the own configs is not far beyond their losses.
    assert losses.min() >= 3.1
    assert losses.max() < 4.5
    assert np.abs(losses - (3 + points))[(points > 0.2) & (points < 0.8)].max() < 0.15


def test_the_more_is_known_the_fewer_of_them_count():
    rng = np.random.default_rng(1)
    counts = []
    for own in (0, 10, 25, 50, 300):
        history = told(line_of_trials(100), rng.random(own)).searcher.history()
        counts.append(history.earlier)
        assert (history.trials[len(history.trials) - history.earlier :] < 0).all()

    assert counts[0] == 100
    assert counts == sorted(counts, reverse=True)
    assert counts[2] == pytest.approx(50, abs=2)
    assert counts[-1] <= 1


def test_a_source_that_misleads_is_left_out():
    xs = np.linspace(0.05, 0.95, 10)

    assert told(line_of_trials(100), xs, lambda x: x).searcher.history().earlier > 80
    assert told(line_of_trials(100), xs, lambda x: -x).searcher.history().earlier == 0


def test_the_best_earlier_configs_are_tried_first_those_apart_that_are_alike():
    rows = [{"x": 0.5, "y": 0.5}, {"x": 0.501, "y": 0.5}, {"x": 0.1, "y": 0.9}, {"x": 0.9, "y": 0.1}]
    hand = Told(SPACE, settings=TPESearcher(points_to_evaluate=[{"x": 0.25, "y": 0.25}]))
    hand.tell(event(rows, [0, 1, 2, 3]))

    tried = [hand.searcher.suggest(4, hand.experiment)[index]["x"] for index in range(4)]

    assert tried == pytest.approx([0.25, 0.5, 0.1, 0.9])


def test_several_sources_take_turns_in_what_is_tried_first():
    hand = Told(SPACE, settings=TPESearcher(n_earlier_points=2))
    hand.tell(event([{"x": 0.1, "y": 0.1}, {"x": 0.3, "y": 0.3}], [0, 1], "a"))
    hand.tell(event([{"x": 0.9, "y": 0.9}], [500], "b"))

    assert [config["x"] for config in hand.searcher.suggest(2, hand.experiment)] == pytest.approx([0.1, 0.9])


def test_none_need_be_tried_first():
    hand = told(line_of_trials(40), n_earlier_points=0)

    design = told(line_of_trials(40), n_earlier_points=0, seed=1)
    assert hand.searcher.suggest(1, hand.experiment)[0]["x"] != pytest.approx(0.0125)
    assert design.searcher.suggest(1, design.experiment) != hand.searcher.suggest(1, hand.experiment)


def test_fewer_points_are_spread_over_the_space_when_earlier_trials_are_known():
    def initial(hand, number):
        return hand.searcher.initial(hand.searcher.history(), number)

    known, few, asked = (
        told(line_of_trials(40)),
        told(line_of_trials(2)),
        told(line_of_trials(40), n_initial_points=7),
    )

    assert [number for number in range(20) if initial(known, number) is not None] == [3, 4, 5, 6, 7]
    assert [number for number in range(20) if initial(few, number) is not None] == list(range(2, 10))
    assert [number for number in range(20) if initial(asked, number) is not None] == list(range(7))


def test_earlier_configs_outside_the_space_are_left_and_what_they_do_not_say_is_drawn():
    earlier = Earlier(Encoding(Space(SPACE)), 0, 3)

    earlier.observe(event([{"x": 2.0, "y": 0.5}, {"x": 0.5}, {"x": 0.25}, {"z": 1}], [0, 1, 2, 3]), 0)

    assert earlier.count == 2
    first = [earlier.first(number, 0) for number in range(3)]
    assert [row[0] for row in first[:2]] == [0.5, 0.25]
    assert 0 < first[0][1] != first[1][1]
    assert first[2] is None


def test_every_fourth_proposal_goes_by_own_results_alone():
    hand = told(line_of_trials(100), np.linspace(0.05, 0.95, 10))
    history = hand.searcher.history()

    believed = [hand.searcher._believed(history, number).earlier for number in range(8)]

    assert believed == [0, history.earlier, history.earlier, history.earlier] * 2
    own = history.own()
    assert (len(own.losses), own.stamp == history.stamp) == (10, False)


def test_losses_of_another_metric_are_left():
    hand = Told(SPACE, settings=TPESearcher(), metric="loss", mode="max")
    hand.tell(line_of_trials(10))

    assert hand.searcher.history().earlier == 0


def test_more_sources_than_points_that_count_have_one_each():
    hand = Told(SPACE, settings=TPESearcher())
    for number in range(120):
        hand.tell(event([{"x": 0.5, "y": 0.5}, {"x": 0.25, "y": 0.5}], [0, 1], str(number)))

    assert hand.searcher.history().earlier == 120


def test_several_objectives_are_mapped_each_on_its_own():
    hand = Told(SPACE, settings=TPESearcher(), more=[("size", "max")])
    configs = [{"x": x, "y": 0.5} for x in (0.1, 0.5, 0.9)]
    losses = ((1.0, 30.0), (2.0, 20.0), (3.0, 10.0))
    objectives = (("loss", "min"), ("size", "max"))
    hand.tell(EarlierTrials(at=0.0, source="old", configs=tuple(configs), losses=losses, objectives=objectives))

    history = hand.searcher.history()

    assert history.objectives.shape == (3, 2)
    assert (np.argsort(history.objectives[:, 0]) == np.argsort(-history.objectives[:, 1])).all()


def test_a_restart_has_the_same_suggestions():
    hand = told(line_of_trials(40), [0.1, 0.4, 0.8, 0.3, 0.6, 0.2])

    again = TPESearcher().bound_to(hand.space, -1, 0)
    experiment = type(hand.experiment)()
    for one in hand.events:
        experiment.apply(one)
        again.observe(one, experiment)

    assert again.suggest(5, experiment) == hand.searcher.suggest(5, hand.experiment)


# The use of it, on functions of five numbers with many local optima.

WEIGHTS = np.array([1, 2, 0.5, 4, 1.0])
SPACE_OF_FIVE = {f"x{index}": tune.uniform(0, 1) for index in range(5)}
SEEDS, TRIALS = 16, 30


def bumpy(optimum):
    def curve(config, epoch):
        away = np.array([config[f"x{index}"] for index in range(5)]) - optimum
        loss = math.sqrt((WEIGHTS * away**2).sum()) + 0.1 * (1 - np.cos(12 * away)).sum()
        return ({"loss": float(loss)}, 1.0) if epoch == 1 else None

    return curve


def simulated(optimum, seed, trials, **arguments):
    return tune.simulate(
        bumpy(optimum), space=SPACE_OF_FIVE, metric="loss", mode="min", searcher=TPESearcher(), num_samples=trials,
        seed=seed, history=True, **arguments,
    )  # fmt: skip


def table_of(simulation):
    """A table of what a simulation found, with losses on another scale."""
    return [{**trial.config, "loss": 100 + 50 * trial.history[-1]["loss"]} for trial in simulation.trials]


def best(simulation, trials):
    return min(trial.history[-1]["loss"] for trial in simulation.trials[:trials])


@pytest.fixture(scope="module")
def runs():
    """For each seed: without, with a source whose optimum is a little elsewhere, with one that misleads."""
    found = []
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        optimum = rng.uniform(0.2, 0.8, 5)
        near = simulated(optimum + rng.normal(0, 0.08, 5), seed + 1000, 60)
        far = simulated((optimum + 0.5) % 1, seed + 1000, 60)
        cold = simulated(optimum, seed, 2 * TRIALS)
        found.append(
            (
                cold,
                simulated(optimum, seed, TRIALS, warm_from=[table_of(near)]),
                simulated(optimum, seed, 2 * TRIALS, warm_from=[table_of(far)]),
            )
        )
    return found


@pytest.mark.parametrize(("warm", "without"), [(8, 16), (10, 20), (20, 30)])
def test_an_earlier_experiment_like_this_one_saves_trials(runs, warm, without):
    wins = sum(best(near, warm) < best(cold, without) for cold, near, _ in runs)

    # A coin's toss would pass once in 94 times; what wins 95 of 100 times fails once in 140.
    assert wins >= 13, wins


def test_an_experiment_that_misleads_does_no_lasting_harm(runs):
    logs = [math.log(best(far, 2 * TRIALS) / best(cold, 2 * TRIALS)) for cold, _, far in runs]

    # Were it no harm at all, the mean of these 16 would be above 2 standard errors about once in 30 times.
    assert np.mean(logs) < 2 * np.std(logs, ddof=1) / math.sqrt(SEEDS)

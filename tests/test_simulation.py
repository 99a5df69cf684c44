import math
import random

import pytest

import tunesmith as tune
from tunesmith.core.objective import Objective
from tunesmith.core.policy import CONTINUE, FOREVER, Exploit
from tunesmith.schedulers.asha_promotion import PromotionASHAScheduler
from tunesmith.schedulers.hyperband import HyperBandScheduler
from tunesmith.schedulers.multi_objective import MultiObjectiveASHA
from tunesmith.schedulers.pbt import PopulationBasedTraining

LENGTH = 9


def loss_of(config, epoch):
    """A curve with ties and crossings that any process computes alike."""
    draw = random.Random(f"{config['x']}/{epoch}").random()
    return round(config["x"] / 20 + draw / epoch, 2)


def trainable(config):
    for epoch in range(1, LENGTH + 1):
        tune.report({"loss": loss_of(config, epoch)})


def followed(config, epoch):
    return ({"loss": loss_of(config, epoch)}, config.get("pace", 1.0)) if epoch <= LENGTH else None


def generated(config):
    for epoch in range(1, LENGTH + 1):
        yield followed(config, epoch)


def table(count=20, ended=lambda number: "completed", length=lambda number: LENGTH):
    return tune.CurveTable(
        [
            {
                "config": {"x": number},
                "metrics": {"loss": [loss_of({"x": number}, epoch) for epoch in range(1, length(number) + 1)]},
                "ended": ended(number),
            }
            for number in range(count)
        ],
        metric="loss",
        mode="min",
    )


SPACE = {"x": tune.grid_search(list(range(20)))}
RANKED = {"metric": "loss", "mode": "min"}
SCHEDULERS = {
    "fifo": lambda: tune.FIFOScheduler(),
    "asha": lambda: tune.ASHAScheduler(max_t=LENGTH, grace_period=1, reduction_factor=3),
    "brackets": lambda: tune.ASHAScheduler(max_t=LENGTH, grace_period=1, reduction_factor=3, brackets=2),
    "hyperband": lambda: HyperBandScheduler(max_t=LENGTH, reduction_factor=3),
    "promotion": lambda: PromotionASHAScheduler(max_t=LENGTH, reduction_factor=3),
    "median": lambda: tune.MedianStoppingRule(time_attr="training_iteration", grace_period=2, min_samples_required=2),
}


def story(trials):
    """What a scheduler has decided."""
    return [(trial.config, str(trial.status), trial.reason) for trial in trials]


@pytest.mark.parametrize("scheduler", ["fifo", "asha", "brackets", "median"])
def test_with_one_worker_the_decisions_are_those_of_a_real_run(tmp_path, scheduler):
    real = tune.run(trainable, space=SPACE, scheduler=SCHEDULERS[scheduler](), executor="inline", seed=3, verbose=0,
                    name="real", storage_path=tmp_path, **RANKED)  # fmt: skip
    simulated = tune.simulate(followed, space=SPACE, scheduler=SCHEDULERS[scheduler](), seed=3, **RANKED)

    assert story(simulated.trials) == story(real)
    assert [trial.iterations for trial in simulated.trials] == [len(trial.history) for trial in real]
    assert simulated.best_value == real.best.metrics["loss"]
    assert simulated.best_config == real.best.config


class Stepwise(tune.Trainable):
    """The same curve, step by step, with checkpoints."""

    def setup(self, config):
        self.config, self.epoch = config, 0

    def step(self):
        self.epoch += 1
        return {"loss": loss_of(self.config, self.epoch)}

    def save_checkpoint(self, folder):
        return {"epoch": self.epoch}

    def load_checkpoint(self, checkpoint):
        self.epoch = checkpoint["epoch"]


@pytest.mark.parametrize("kind", [HyperBandScheduler, PromotionASHAScheduler])
def test_pauses_and_promotions_are_those_of_a_real_run_too(tmp_path, kind):
    scheduler = kind(max_t=LENGTH, reduction_factor=3)
    real = tune.run(Stepwise, space=SPACE, scheduler=scheduler, executor="inline", seed=3, verbose=0,
                    name="real", storage_path=tmp_path, **RANKED)  # fmt: skip
    simulated = tune.simulate(followed, space=SPACE, scheduler=scheduler, seed=3, **RANKED)

    assert story(simulated.trials) == story(real)
    assert [trial.iterations for trial in simulated.trials] == [len(trial.history) for trial in real]
    assert simulated.results == simulated.iterations  # nothing was done twice


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("workers", [1, 7])
def test_functions_and_generators_and_tables_of_the_same_curves_are_one_simulation(scheduler, workers):
    options = {"workers": workers, "seed": 2, **RANKED}
    by_table = tune.simulate(table(), scheduler=SCHEDULERS[scheduler](), **options)
    same_order = {"x": tune.grid_search([trial.config["x"] for trial in by_table.trials])}

    for form in (followed, generated):
        found = tune.simulate(form, space=same_order, scheduler=SCHEDULERS[scheduler](), **options)
        assert story(found.trials) == story(by_table.trials)
        assert found.incumbent == by_table.incumbent
        assert (found.seconds, found.compute_seconds) == (by_table.seconds, by_table.compute_seconds)


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("workers", [1, 7])
def test_the_same_arguments_give_the_same_simulation(scheduler, workers):
    first, second = (
        tune.simulate(table(), scheduler=SCHEDULERS[scheduler](), workers=workers, seed=5, history=True) for _ in "ab"
    )

    assert first == second
    assert first != tune.simulate(table(), scheduler=SCHEDULERS[scheduler](), workers=workers, seed=6, history=True)


def test_a_scheduler_object_serves_several_simulations_and_starts_anew_in_each():
    scheduler = SCHEDULERS["asha"]()

    assert tune.simulate(table(), scheduler=scheduler) == tune.simulate(table(), scheduler=scheduler)


def test_time_and_compute_are_those_of_the_workers():
    curves = [{"config": {"x": x}, "metrics": {"loss": [1.0, 0.5]}, "seconds": [x, 1.0]} for x in (2.0, 3.0, 5.0)]
    found = tune.simulate(curves, workers=2, num_samples=3, **RANKED)
    starts = [2.0, 3.0, 5.0]
    tune_order = [trial.config["x"] for trial in found.trials]

    assert sorted(tune_order) == starts
    first, second, third = (x + 1 for x in tune_order)
    assert found.seconds == max(first, second, min(first, second) + third)
    assert found.compute_seconds == pytest.approx(13.0)
    assert found.results == found.iterations == 6


def test_a_start_delay_comes_before_every_attempt():
    assert tune.simulate(table(4), workers=1).seconds == 4 * LENGTH
    delayed = tune.simulate(table(4), workers=1, start_delay=2.5)

    assert delayed.seconds == delayed.compute_seconds == 4 * (LENGTH + 2.5)


def test_the_incumbent_says_when_each_best_value_came_and_what_it_had_cost():
    curve = {"config": {}, "metrics": {"score": [1, 3, 2, math.nan, 4]}, "seconds": [1, 1, 2, 1, 1]}
    found = tune.simulate([curve], metric="score", mode="max")

    assert found.incumbent == [(1.0, 1.0, 1.0), (2.0, 2.0, 3.0), (6.0, 6.0, 4.0)]
    assert found.incumbent[-1].compute_seconds == 6.0
    assert found.time_to(2.5) == 2.0
    assert found.time_to(4) == 6.0
    assert found.time_to(4.1) is None


def test_compute_to_a_target_counts_all_workers():
    curves = [{"config": {"x": x}, "metrics": {"loss": [1.0, x]}} for x in range(4)]
    found = tune.simulate(curves, workers=4, **RANKED)

    assert found.time_to(0) == 2.0
    assert found.time_to(0, compute=True) == 8.0


def test_a_budget_of_virtual_time_ends_everything_at_that_time():
    found = tune.simulate(table(), workers=3, time_budget_s=10.5)

    assert found.finished == "time_budget"
    assert found.seconds == 10.5
    assert found.compute_seconds == pytest.approx(3 * 10.5)
    assert found.results == 30


def test_stop_rules_end_trials_as_in_a_run():
    found = tune.simulate(table(), stop={"training_iteration": 4})

    assert {trial.iterations for trial in found.trials} == {4}
    assert {trial.status for trial in found.trials} == {"completed"}


def test_max_t_ends_curves_and_functions_alike():
    assert {trial.iterations for trial in tune.simulate(table(), max_t=3).trials} == {3}
    assert {trial.iterations for trial in tune.simulate(followed, space=SPACE, max_t=3, **RANKED).trials} == {3}
    assert tune.simulate(table(ended=lambda number: "stopped"), max_t=LENGTH).censored == 0


def test_history_is_kept_on_request():
    found = tune.simulate(table(2), history=True)
    trial = found.trials[0]

    assert [row["training_iteration"] for row in trial.history] == list(range(1, LENGTH + 1))
    assert [row["at"] for row in trial.history] == list(range(1, LENGTH + 1))
    assert min(row["loss"] for row in trial.history) == trial.value
    assert tune.simulate(table(2)).trials[0].history is None


def test_several_objectives_reach_a_scheduler_that_weighs_them():
    draw = random.Random(4).random
    curves = [{"config": {"x": x}, "metrics": {"loss": [draw()] * 9, "size": [draw()] * 9}} for x in range(60)]
    both = {"metric": ["loss", "size"], "mode": ["min", "min"]}
    scheduler = MultiObjectiveASHA(max_t=9, reduction_factor=3)

    found = tune.simulate(curves, scheduler=scheduler, **both)

    assert found.objective == Objective("loss", "min")
    assert 0 < found.stopped_early < 60
    assert found != tune.simulate(curves, scheduler=scheduler, metric=["loss"], mode="min")
    own = MultiObjectiveASHA(max_t=9, reduction_factor=3, **both)
    assert story(tune.simulate(curves, scheduler=own).trials) == story(found.trials)


# Curves that were cut short.


def test_a_trial_that_wants_to_go_on_at_a_cut_is_censored_there():
    found = tune.simulate(
        table(ended=lambda n: "stopped" if n < 5 else "completed", length=lambda n: 4 if n < 5 else 9)
    )

    assert found.censored == 5
    cut = [trial for trial in found.trials if trial.status == "censored"]
    assert {trial.config["x"] for trial in cut} == set(range(5))
    assert {trial.iterations for trial in cut} == {4}
    assert cut[0].reason == "the recorded curve ends after 4 steps: that trial was stopped"
    (warning,) = found.warnings
    assert warning == (
        "5 of 20 trials wanted to go on where their recorded curves were cut, and ended there. "
        "What they would have found is unknown, so this is not exact"
    )


def test_a_trial_that_is_stopped_no_later_than_its_record_is_not_censored():
    stopped = table(ended=lambda number: "stopped")

    assert tune.simulate(stopped, scheduler=tune.ASHAScheduler(max_t=LENGTH)).censored == 0
    assert tune.simulate(stopped, stop={"training_iteration": LENGTH}).censored == 0
    assert tune.simulate(stopped).censored == 20


def test_a_complete_curve_that_ends_early_is_not_censored():
    found = tune.simulate(table(length=lambda number: 4))

    assert found.censored == 0
    assert {trial.status for trial in found.trials} == {"completed"}


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("seed", range(5))
def test_a_record_that_is_cut_where_the_scheduler_stopped_answers_the_same(scheduler, seed):
    options = {"workers": 3, "seed": seed}
    whole = tune.simulate(table(), scheduler=SCHEDULERS[scheduler](), **options)
    by_config = {trial.config["x"]: trial for trial in whole.trials}
    cut = table(length=lambda x: by_config[x].iterations, ended=lambda x: by_config[x].status)

    again = tune.simulate(cut, scheduler=SCHEDULERS[scheduler](), **options)

    assert again.censored == 0
    assert again == whole


@pytest.mark.parametrize("scheduler", SCHEDULERS)
@pytest.mark.parametrize("seed", range(5))
def test_no_trial_ever_goes_beyond_its_record(scheduler, seed):
    draw = random.Random(seed)
    lengths = [draw.randint(1, LENGTH) for _ in range(20)]
    ends = [draw.choice(["completed", "stopped", "failed", "paused"]) for _ in range(20)]
    cut = table(length=lambda x: lengths[x], ended=lambda x: ends[x])

    found = tune.simulate(cut, scheduler=SCHEDULERS[scheduler](), workers=3, seed=seed)

    for trial in found.trials:
        length, ended = lengths[trial.config["x"]], ends[trial.config["x"]]
        assert trial.iterations <= length
        assert trial.status in ("completed", "stopped", "censored")
        if trial.status == "censored":
            assert (trial.iterations, ended != "completed") == (length, True)
    if scheduler == "fifo":
        assert found.censored == sum(ended != "completed" for ended in ends)


class PausesAt(tune.Scheduler):
    """Pauses every trial at a step, and resumes them all when no new one comes."""

    def __init__(self, step):
        self.step = step

    def lease(self, trial, experiment):
        return self.step if trial.number < self.step else FOREVER

    def decide(self, result, experiment):
        return tune.Pause("that far") if result.number == self.step else CONTINUE


def test_a_paused_trial_is_censored_when_it_is_resumed_at_its_cut():
    cut = {"ended": lambda n: "failed" if n % 2 else "completed", "length": lambda n: 3 if n % 2 else LENGTH}
    found = tune.simulate(table(6, **cut), scheduler=PausesAt(3), workers=2)

    assert found.censored == 3
    assert [t.iterations for t in found.trials] == [3 if t.config["x"] % 2 else LENGTH for t in found.trials]
    assert found.results == 3 * 3 + 3 * LENGTH  # nothing was done twice


# Clones.


class ClonesTheBetter(tune.Scheduler):
    """Trial 0 becomes a clone of trial 1 at step 3."""

    saves_when_waiting = True

    def decide(self, result, experiment):
        if result.trial == 0 and result.number == 3 and result.attempt == 1:
            return Exploit(1, {"x": 100}, "the other is better")
        return CONTINUE


def test_a_clone_goes_on_with_the_state_of_its_source():
    def counting(config, epoch, state):
        if epoch > 5:
            return None
        total = (state or 0) + config["x"]
        return {"loss": total}, 1.0, total

    found = tune.simulate(counting, space={"x": tune.grid_search([1, 10])}, scheduler=ClonesTheBetter(), workers=2,
                          history=True, **RANKED)  # fmt: skip

    first, second = ([row["loss"] for row in trial.history] for trial in found.trials)
    assert second == [10, 20, 30, 40, 50]
    assert first[:3] == [1, 2, 3]
    assert first[3] in (120, 130)  # from the source's second or third step
    assert first[-1] - first[-2] == 100
    assert found.trials[0].config == {"x": 100}


def test_population_based_training_beats_its_best_fixed_config():
    # What is best moves: a step that is right at first is wrong later on.
    def moving(config, epoch, state):
        state = (state or 0.0) + 1.0 - abs(config["h"] - epoch / 20)
        return {"score": state}, 1.0, state

    space = {"h": tune.uniform(0, 1)}
    options = {"space": space, "metric": "score", "mode": "max", "max_t": 20, "num_samples": 16, "workers": 16}
    scheduler = PopulationBasedTraining(
        time_attr="training_iteration", perturbation_interval=2, hyperparam_mutations={"h": tune.uniform(0, 1)}
    )

    found = tune.simulate(moving, scheduler=scheduler, **options)

    assert found == tune.simulate(moving, scheduler=scheduler, **options)
    best_fixed = max(sum(1 - abs(h / 100 - epoch / 20) for epoch in range(1, 21)) for h in range(101))
    assert found.best_value > best_fixed + 1
    assert found.seconds == 20
    assert found.finished == "completed"


def test_a_clone_with_another_config_has_no_recorded_curve():
    with pytest.raises(tune.ConfigError, match="ClonesTheBetter changes the config of trial 0, but recorded curves"):
        tune.simulate(table(2), scheduler=ClonesTheBetter(), workers=2)


# Functions that fail.


def test_a_function_that_always_fails_is_an_error_with_its_traceback():
    def broken(config, epoch):
        raise ZeroDivisionError("by nothing")

    with pytest.raises(tune.TrialsFailed, match=r"(?s)ZeroDivisionError: by nothing.*in broken"):
        tune.simulate(broken, num_samples=5)


def test_a_function_that_fails_at_times_is_a_warning_and_may_be_tried_again():
    tried = []

    def sometimes(config, epoch):
        tried.append(epoch)
        if config["x"] == 3 and epoch == 2:
            raise ValueError("no threes")
        return followed(config, epoch)

    found = tune.simulate(sometimes, space=SPACE, max_failures=2, **RANKED)

    assert [trial.status for trial in found.trials].count("failed") == 1
    assert found.trials[3].reason == "ValueError: no threes"
    assert any(
        warning.startswith("1 trials failed; the first of them: ValueError: no threes") for warning in found.warnings
    )
    assert tried.count(2) == 20 + 2


def test_a_function_without_an_end_is_found_out():
    found = tune.simulate(lambda config, epoch: 1.0, **RANKED)

    assert found.trials[0].reason == "its curve has not ended after 10,000 steps. Say how many there are: max_t=."


def test_a_metric_that_no_result_has_is_said():
    found = tune.simulate(followed, space=SPACE, metric="accuracy", mode="max")

    assert found.warnings == ["no result has a usable 'accuracy'; reported: loss"]
    assert found.incumbent == []
    with pytest.raises(tune.TuneError, match="no result of the simulation has a usable 'accuracy'"):
        _ = found.best


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("fast", "a step is (metrics, seconds) or metrics, a dict; this one is 'fast'"),
        (({"loss": 1}, -1), "a step takes a finite number of seconds, 0 or more, not -1"),
        (({"loss": 1}, math.inf), "a step takes a finite number of seconds, 0 or more, not inf"),
        (({"loss": 1}, "2"), "a step takes a finite number of seconds, 0 or more, not '2'"),
        (({"loss": object()}, 1), "loss"),
    ],
)
def test_a_step_that_is_none_fails_the_trial(step, message):
    with pytest.raises(tune.TrialsFailed) as raised:
        tune.simulate(lambda config, epoch: step, num_samples=5)

    assert message in str(raised.value)


def test_numbers_of_numpy_and_bare_numbers_are_metrics():
    numpy = pytest.importorskip("numpy")
    found = tune.simulate(lambda config, epoch: numpy.float32(epoch), max_t=3, metric="score", mode="max")

    assert found.best_value == 3.0
    assert type(found.trials[0].metrics["score"]) is float


# Bad arguments.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"curves": 3}, "simulate(3): give a table of learning curves, a finished experiment, or a function"),
        ({"curves": tune.Trainable}, "simulate(Trainable): give a table"),
        ({"curves": lambda: 1}, "It takes (config) and yields steps, or (config, epoch)"),
        ({"curves": []}, "a table of learning curves needs at least one curve."),
        ({"curves": "nowhere.npz"}, "there is no file nowhere.npz."),
        ({"curves": "nowhere"}, "lies in a file that ends in .npz, .json or .json.gz"),
        ({"searcher": "random"}, "searcher= with recorded curves: only their own configs have a curve"),
        ({"space": {}}, "space= with recorded curves"),
        ({"max_failures": 1}, "max_failures=1: a recorded curve cannot go otherwise."),
        ({"num_samples": 21}, "num_samples=21: the table has 20 curves."),
        ({"num_samples": 0}, "num_samples=0: give a whole number of at least 1."),
        ({"workers": 0}, "workers=0: give a whole number of at least 1."),
        ({"max_t": 0}, "max_t=0: give a whole number of at least 1."),
        ({"start_delay": -1}, "start_delay=-1: give a number of at least 0."),
        ({"checkpoint_every": 1.5}, "checkpoint_every=1.5: give a whole number of at least 0."),
        ({"time_budget_s": 0}, "time_budget_s=0: give a number above 0."),
        ({"metric": "accuracy", "mode": "max"}, "metric='accuracy': no curve of the table has it. They have: loss."),
        ({"metric": ["loss", "cost"], "mode": "min"}, "metric='cost': no curve of the table has it. They have: loss."),
        ({"scheduler": "asha(maxt=3)"}, "ASHAScheduler takes no maxt. Did you mean max_t?"),
        ({"history": 1}, "history=1: give one of True, False."),
        ({"seed": 0.5}, "seed=0.5: give a whole number."),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    given = {"curves": table(), **arguments}

    with pytest.raises(tune.ConfigError) as raised:
        tune.simulate(given.pop("curves"), **given)

    assert message in str(raised.value)


def test_what_no_worker_can_ever_run_is_refused():
    with pytest.raises(tune.ResourceError, match="a trial asks for cpu=4"):
        tune.simulate(table(), workers=3, resources={"cpu": 4})


# For people.


def test_a_simulation_shows_itself():
    found = tune.simulate(table(), scheduler=SCHEDULERS["asha"](), workers=4)

    assert repr(found).startswith("<Simulation of ASHAScheduler: 20 trials (")
    assert "on 4 workers" in repr(found)
    page = found._repr_html_()
    assert page.count("<tr>") == 11
    assert "... and 10 more" in page


def test_a_simulation_is_a_data_frame():
    pytest.importorskip("pandas")
    frame = tune.simulate(table(3)).dataframe()

    assert list(frame["trial_id"]) == [0, 1, 2]
    assert sorted(frame["config/x"]) == [0, 1, 2]
    assert list(frame["recorded"]) == list(frame["config/x"])
    assert "best/loss" in frame

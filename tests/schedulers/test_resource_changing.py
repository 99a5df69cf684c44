"""Running trials get more and fewer resources, and nothing is lost by it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

import tunesmith as tune
from tunesmith.core.engine import Limits
from tunesmith.core.events import Node, TrialLaunched, TrialReallocated
from tunesmith.errors import ConfigError, ResourceError
from tunesmith.executors.simulated import Faults, SimulatedExecutor
from tunesmith.schedulers import (
    ASHAScheduler,
    DistributeResources,
    DistributeResourcesToTopJob,
    FIFOScheduler,
    MedianStoppingRule,
    ResourceChangingScheduler,
)
from tunesmith.schedulers.named import scheduler_named
from tunesmith.stoppers import NoopStopper
from tunesmith.testing import check_scheduler
from tunesmith.testing.driver import Driver
from tunesmith.testing.searcher import KeyedSearcher


def curve(config):
    """A trial of `length` results, one a second."""
    for number in range(config["length"]):
        yield {"loss": config["level"] - number / 100}, 1.0


def ran(allocate=None, *, lengths, levels=None, cpus=4.0, nodes=(), checkpoint_every=1, limits=None, base=None,
        interval=1, request=None, kind=Driver, **options):  # fmt: skip
    """Return the driver of a finished run: trial n has lengths[n] results."""
    scheduler = ResourceChangingScheduler(base, allocate, interval=interval)
    levels = levels or [1.0] * len(lengths)
    configs = iter([{"length": length, "level": level} for length, level in zip(lengths, levels, strict=True)])
    return kind(
        searcher=KeyedSearcher(draw=lambda draw: next(configs)),
        scheduler=scheduler,
        stopper=NoopStopper(),
        executor=SimulatedExecutor(
            curve, nodes=nodes or [Node("a", {"cpu": cpus})], checkpoint_every=checkpoint_every, **options
        ),
        limits=limits or Limits(),
        trials_wanted=len(lengths),
        request=request or {"cpu": 1},
    ).run(most_turns=5_000)


def grants(driver) -> dict[int, list[float]]:
    """Return for each trial the CPUs of its attempts, in order."""
    found: dict[int, list[float]] = {}
    for event in driver.events:
        if isinstance(event, TrialLaunched):
            found.setdefault(event.trial, []).append(event.placement.resources.get("cpu", 0))
    return found


def changes(driver) -> list[TrialReallocated]:
    return [event for event in driver.events if isinstance(event, TrialReallocated)]


# The even share.


def test_trials_that_fill_the_machine_keep_what_they_have():
    assert grants(ran(lengths=[5, 5, 5, 5])) == {number: [1] for number in range(4)}


def test_what_a_trial_that_ends_leaves_goes_to_those_that_go_on():
    assert grants(ran(lengths=[3, 12, 12], cpus=3)) == {0: [1], 1: [1, 2], 2: [1]}


def test_the_last_trial_gets_everything():
    assert grants(ran(lengths=[3, 20]))[1][-1] == 4


def test_a_single_trial_gets_the_whole_machine_at_its_first_result():
    driver = ran(lengths=[5])

    assert grants(driver) == {0: [1, 4]}
    assert [event.reason for event in changes(driver)] == ["cpu=1 -> cpu=4"]


def test_steps_that_cannot_be_dealt_evenly_go_to_those_that_came_first():
    assert {number: got[-1] for number, got in grants(ran(lengths=[9, 9, 9], cpus=8)).items()} == {0: 3, 1: 3, 2: 2}


def test_no_result_is_done_twice_and_none_is_lost():
    driver = ran(lengths=[3, 12, 30, 7, 9], cpus=4)

    assert [trial.results for trial in driver.experiment.trials] == [3, 12, 30, 7, 9]
    assert len(changes(driver)) >= 2


def test_new_trials_come_before_bigger_ones():
    driver = ran(lengths=[4] * 12, cpus=4)

    starts = [event for event in driver.events if isinstance(event, TrialLaunched) and event.attempt == 1]
    first_change = changes(driver)[0].at if changes(driver) else driver.experiment.at
    assert max(start.at for start in starts) <= first_change


def test_a_limit_of_trials_at_once_lets_each_have_its_share():
    driver = ran(lengths=[6] * 6, cpus=8, limits=Limits(max_concurrent=2))

    # A new trial begins with its first request, and takes its share at its first result.
    assert Counter(got[-1] for got in grants(driver).values()) == {4: 6}


def test_increase_by_is_the_step():
    assert grants(ran(DistributeResources(increase_by={"cpu": 2}), lengths=[5], cpus=8)) == {0: [1, 7]}


def test_increase_by_times_bounds_the_steps():
    allocate = DistributeResources(increase_by={"cpu": 2}, increase_by_times=2)

    assert grants(ran(allocate, lengths=[5], cpus=8)) == {0: [1, 5]}


def test_reserved_resources_stay_free():
    assert grants(ran(DistributeResources(reserve_resources={"cpu": 1}), lengths=[5])) == {0: [1, 3]}


def test_a_step_of_zero_times_changes_nothing():
    assert changes(ran(DistributeResources(increase_by_times=0), lengths=[5, 5])) == []


def test_a_share_lies_on_the_trials_own_node():
    nodes = [Node("a", {"cpu": 2}), Node("b", {"cpu": 4})]
    driver = ran(lengths=[9, 9, 9, 3, 3, 3], nodes=nodes)

    largest = {number: got[-1] for number, got in grants(driver).items() if number < 3}
    assert largest == {0: 1, 1: 1, 2: 4}


def test_gpus_come_whole_and_a_shared_one_stays_shared():
    nodes = [Node("a", {"cpu": 1, "gpu": 4}, ("0", "1", "2", "3"))]
    whole = ran(DistributeResources(increase_by={"gpu": 1}), lengths=[5], nodes=nodes, request={"gpu": 1})
    half = ran(lengths=[5], nodes=nodes, request={"gpu": 0.5})

    assert whole.experiment.trials[0].request == {"gpu": 4}
    assert changes(half) == []


def test_a_half_step_that_would_be_one_and_a_half_gpus_is_left_out():
    nodes = [Node("a", {"gpu": 4}, ("0", "1", "2", "3"))]
    driver = ran(DistributeResources(increase_by={"gpu": 0.5}), lengths=[5], nodes=nodes, request={"gpu": 1})

    assert driver.experiment.trials[0].request == {"gpu": 4}


# The best trial.


def test_all_that_is_free_goes_to_the_best_trial():
    driver = ran(DistributeResourcesToTopJob(), lengths=[9, 9, 9], levels=[3, 1, 2], cpus=6)

    assert grants(driver) == {0: [1], 1: [1, 4], 2: [1]}


def test_the_best_trial_is_the_best_by_its_own_metric_where_it_is_given():
    allocate = DistributeResourcesToTopJob(metric="loss", mode="max")

    assert grants(ran(allocate, lengths=[9, 9, 9], levels=[3, 1, 2], cpus=6)) == {0: [1, 4], 1: [1], 2: [1]}


def test_a_trial_that_was_best_keeps_what_it_has():
    driver = ran(DistributeResourcesToTopJob(), lengths=[40, 40, 5], levels=[1.0, 2.0, 0.5], cpus=5)

    assert grants(driver)[2] == [1, 3]
    assert grants(driver)[0] == [1, 4]  # once trial 2 has ended


# Who else gets what.


def test_a_trial_that_is_lost_asks_for_its_first_request_again_and_finds_its_place():
    faults = Faults(seed=5, is_lost=0.1)
    driver = ran(lengths=[30, 30, 30], cpus=6, faults=faults)

    trials = driver.experiment.trials
    assert driver.experiment.finished.reason == "completed"
    assert max(trial.attempt for trial in trials) > 3
    requeued = [event for event in changes(driver) if event.reason.endswith("it is queued again")]
    assert requeued
    assert all(event.request == {"cpu": 1} for event in requeued)


class LosesANode(Driver):
    """Node b leaves after 10 seconds."""

    def next_events(self):
        if self.executor.now() >= 10 and len(self.experiment.pool.nodes) == 2:
            self.executor.change_nodes([Node("a", {"cpu": 4})])
        return super().next_events()


def test_trials_shrink_when_another_one_waits():
    nodes = [Node("a", {"cpu": 4}), Node("b", {"cpu": 2})]
    driver = ran(lengths=[3, 3, 3, 40, 40], nodes=nodes, kind=LosesANode)

    # Trial 3 had all of node a; trial 4 comes over from b, and each gets a half.
    assert grants(driver)[3] == [1, 4, 2]
    assert grants(driver)[4][:4] == [1, 2, 1, 2]
    assert [driver.experiment.trials[number].results for number in (3, 4)] == [40, 40]


@pytest.mark.parametrize("lengths", [[5, 9, 14, 20], [3, 3, 30, 30, 30], [10] * 9])
@pytest.mark.parametrize("allocate", [DistributeResources, DistributeResourcesToTopJob])
def test_there_is_no_ping_pong(allocate, lengths):
    driver = ran(allocate(), lengths=lengths, levels=list(range(len(lengths))), cpus=4)

    # A trial changes at most once for each other one that has ended (and so left something), and once at the start.
    per_trial = Counter(event.trial for event in changes(driver))
    assert all(count <= len(lengths) for count in per_trial.values())
    assert all(event.request["cpu"] > 1 for event in changes(driver))  # nobody waits, so nobody ever shrinks
    assert [trial.results for trial in driver.experiment.trials] == lengths


def test_what_a_changing_trial_was_promised_goes_to_nobody_else():
    driver = ran(lengths=[3, 30, 30, 30], cpus=4, limits=Limits(max_concurrent=3))

    assert driver.experiment.finished.reason == "completed"
    assert not any("gone" in event.reason or "not free" in event.reason for event in changes(driver))


def test_a_trial_that_has_grown_goes_on_with_its_first_request_on_a_smaller_machine():
    driver = ran(lengths=[9], cpus=8)
    upto = next(index for index, event in enumerate(driver.events) if isinstance(event, TrialLaunched) and index > 4)

    again = Driver(
        searcher=KeyedSearcher(draw=lambda draw: {}),
        scheduler=ResourceChangingScheduler(interval=1),
        stopper=NoopStopper(),
        executor=SimulatedExecutor(curve, nodes=[Node("a", {"cpu": 2})], checkpoint_every=1),
        past=driver.events[: upto + 1],
        trials_wanted=1,
    ).run()

    assert grants(again)[0] == [1, 8, 1, 2]
    assert again.experiment.trials[0].results == 9


# Checkpoints.


def test_a_trial_without_checkpoints_keeps_what_it_has_and_one_warning_says_so():
    driver = ran(lengths=[9, 30, 30], cpus=6, checkpoint_every=0)

    assert changes(driver) == []
    (warning,) = driver.core.scheduler.warnings
    assert "has no checkpoint to go on from: it keeps what it has" in warning


def test_a_trial_changes_only_at_a_result_that_has_a_checkpoint():
    class Seldom(SimulatedExecutor):
        """Like a function: its checkpoints come at every fourth result, whoever waits."""

        def open(self, job, **options):
            return super().open(replace(job, saves_when_waiting=False), **options)

    configs = iter([{"length": 20, "level": 1.0}])
    driver = Driver(
        searcher=KeyedSearcher(draw=lambda draw: next(configs)),
        scheduler=ResourceChangingScheduler(interval=3),
        stopper=NoopStopper(),
        executor=Seldom(curve, nodes=[Node("a", {"cpu": 4})], checkpoint_every=4),
        trials_wanted=1,
    ).run()

    assert driver.experiment.trials[0].results == 20
    (change,) = changes(driver)
    launched = next(event for event in driver.events if isinstance(event, TrialLaunched) and event.attempt == 2)
    assert (change.request, launched.checkpoint.endswith("1-000008")) == ({"cpu": 4}, True)


# Around other schedulers.


@pytest.mark.parametrize("allocate", [DistributeResources, DistributeResourcesToTopJob])
@pytest.mark.parametrize("base", [FIFOScheduler, ASHAScheduler, MedianStoppingRule])
def test_it_keeps_the_contract_around_other_schedulers(base, allocate):
    seen = Counter()

    def examine(experiment, events):
        seen.update(type(event) for event in events)

    check_scheduler(
        lambda: ResourceChangingScheduler(base(), allocate(), interval=2), runs=25, examine=examine, trials=8
    )

    assert seen[TrialReallocated] > 10


def test_the_base_schedulers_decisions_stand():
    alone = ran(
        nothing_changes, lengths=[20] * 6, levels=[6, 5, 4, 3, 2, 1], base=ASHAScheduler(max_t=9, grace_period=1)
    )
    around = ran(lengths=[20] * 6, levels=[6, 5, 4, 3, 2, 1], base=ASHAScheduler(max_t=9, grace_period=1))

    assert max(trial.number for trial in around.experiment.trials) == 9
    assert {trial.status for trial in around.experiment.trials} == {trial.status for trial in alone.experiment.trials}


def nothing_changes(experiment, trial):
    return None


def test_the_objective_of_the_base_scheduler_is_the_runs():
    assert ResourceChangingScheduler(ASHAScheduler(metric="a", mode="max")).objective.metric == "a"
    assert ResourceChangingScheduler(ASHAScheduler()).objective is None
    assert not hasattr(ResourceChangingScheduler(FIFOScheduler()), "objective")
    assert ResourceChangingScheduler(None, DistributeResourcesToTopJob(metric="b", mode="min")).objective.metric == "b"


def test_a_run_without_an_objective_is_refused_before_anything_runs(tmp_path):
    for scheduler in (ResourceChangingScheduler(ASHAScheduler()), scheduler_named("asha")):
        with pytest.raises(ConfigError, match="has nothing to rank trials by"):
            tune.run(lambda config: None, scheduler=scheduler, storage_path=tmp_path, verbose=0)
    with pytest.raises(ConfigError, match="has nothing to rank trials by"):
        tune.run(
            lambda config: None,
            scheduler=ResourceChangingScheduler(None, DistributeResourcesToTopJob()),
            storage_path=tmp_path,
            verbose=0,
        )


def test_what_else_is_asked_of_a_scheduler_the_base_scheduler_answers():
    scheduler = ResourceChangingScheduler(ASHAScheduler(time_attr="steps", metric="a", mode="max"))

    assert (scheduler.time_attr, scheduler.max_t) == ("steps", 100)
    assert scheduler.describe() == scheduler.base_scheduler.describe()
    assert ResourceChangingScheduler().describe() == ""


def test_it_is_called_resource_changing():
    assert isinstance(scheduler_named("resource_changing"), ResourceChangingScheduler)


# Wrong arguments.


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DistributeResources(add_bundles=True), "add_bundles=True is not supported"),
        (lambda: DistributeResources(increase_by={}), "is no step"),
        (lambda: DistributeResources(increase_by=2), "increase_by=2: give a dict such as"),
        (lambda: DistributeResources(increase_by={"cpu": -1}), "increase_by: .*'cpu' is -1; it must be 0 or more"),
        (lambda: DistributeResources(increase_by_times=-2), "increase_by_times=-2: give a whole number of at least -1"),
        (lambda: DistributeResources(reserve_resources="all"), "reserve_resources='all': give a dict"),
        (lambda: DistributeResourcesToTopJob(metric="a"), "metric='a' without a mode"),
        (lambda: ResourceChangingScheduler("asha"), "base_scheduler='asha': give a tune.Scheduler"),
        (lambda: ResourceChangingScheduler(ResourceChangingScheduler()), "base_scheduler is a ResourceChanging"),
        (lambda: ResourceChangingScheduler(None, {"cpu": 2}), "give a callable of"),
        (lambda: ResourceChangingScheduler(interval=0), "interval=0 is too small"),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_an_allocation_that_is_no_request_is_an_error_that_says_whose():
    with pytest.raises(ConfigError, match="resources_allocation_function returned 4 for trial 0"):
        ran(lambda experiment, trial: 4, lengths=[5])


def test_an_allocation_that_no_node_can_give_is_an_error_that_says_whose():
    with pytest.raises(ResourceError, match=r"resources_allocation_function, for trial 0: .*cpu=64"):
        ran(lambda experiment, trial: {"cpu": 64}, lengths=[5])


def test_an_allocation_that_is_not_free_now_changes_nothing():
    driver = ran(lambda experiment, trial: {"cpu": 4}, lengths=[5, 5, 5, 5])

    assert [len(got) for got in grants(driver).values()] == [1, 1, 1, 1]


# Real processes.


class Counts(tune.Trainable):
    """Notes with how many CPUs each of its steps was made."""

    def setup(self, config):
        self.steps = 0

    def step(self):
        import time

        time.sleep(0.02)
        self.steps += 1
        assert tune.get_context().resources == self.trial_resources
        return {"steps": self.steps, "cpus": self.trial_resources["cpu"], "done": self.steps >= self.config["length"]}

    def save_checkpoint(self, checkpoint_dir):
        return {"steps": self.steps}

    def load_checkpoint(self, checkpoint):
        self.steps = checkpoint["steps"]


def test_real_trials_grow_as_others_end_and_count_on(tmp_path):
    results = tune.run(
        Counts,
        space={"length": tune.grid_search([5, 25, 45])},
        metric="steps",
        mode="max",
        scheduler=ResourceChangingScheduler(interval=2),
        cpus=4,
        storage_path=tmp_path,
        name="e",
        verbose=0,
    )

    assert [trial.status for trial in results] == ["completed"] * 3
    for trial in results:
        steps = [row["steps"] for row in trial.history]
        cpus = [row["cpus"] for row in trial.history]
        assert steps == list(range(1, trial.config["length"] + 1))
        assert cpus == sorted(cpus)
    assert results[2].history[0]["cpus"] == 1
    assert results[2].history[-1]["cpus"] == 4


def test_a_real_function_grows_where_it_has_reported_a_checkpoint(tmp_path):
    def counts(config):
        checkpoint = tune.get_checkpoint()
        done = 0 if checkpoint is None else int((checkpoint / "steps").read_text())
        folder = tune.get_context().trial_folder / "state"
        folder.mkdir(exist_ok=True)
        for step in range(done + 1, 13):
            (folder / "steps").write_text(str(step))
            cpus = tune.get_context().resources["cpu"]
            tune.report({"step": step, "cpus": cpus}, checkpoint=folder if step % 4 == 0 else None)

    results = tune.run(
        counts,
        scheduler=ResourceChangingScheduler(interval=3),
        cpus=2,
        storage_path=tmp_path,
        name="e",
        verbose=0,
        executor="local",
    )

    history = results[0].history
    assert [row["step"] for row in history] == list(range(1, 13))
    assert [row["cpus"] for row in history] == [1] * 4 + [2] * 8 or [row["cpus"] for row in history] == [1] * 8 + [
        2
    ] * 4

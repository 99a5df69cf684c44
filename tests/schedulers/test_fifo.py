from random_runs import Run

from tunesmith.core.policy import CONTINUE, FOREVER, NEW
from tunesmith.schedulers.fifo import FIFOScheduler


def test_every_trial_runs_to_its_own_end_and_no_result_waits():
    run = Run(FIFOScheduler(), 1).play()

    assert run.experiment.finished.reason == "completed"
    assert not run.stops
    assert run.results
    assert not any(result.waits for result in run.results)


def test_it_leases_for_ever_and_lets_everything_go_on():
    run, scheduler = Run(FIFOScheduler(), 1).play(), FIFOScheduler()

    assert scheduler.lease(run.experiment.trials[0], run.experiment) == FOREVER
    assert scheduler.decide(run.results[0], run.experiment) == CONTINUE
    assert scheduler.choose(run.experiment) == NEW
    assert scheduler.describe() == ""

"""Ray Tune's own scheduler classes, fed by hand: what they decide. Answers `benchmarks.schedulers.ray`.

`python -m benchmarks.peers.ray_decisions sequence file=results.json`: (trial, time, value) in the order of their coming
-> the indices at which the scheduler says stop. `... rounds file=curves.json`: whole curves -> how far HyperBand lets
each trial go, one trial running at a time.
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.peers.common import Answer, main


class FakeTrial:
    """As much of a trial as the schedulers look at."""

    is_saving = False

    def __init__(self, number: int) -> None:
        self.trial_id = str(number)
        self.number = number
        self.status = "PENDING"
        self.config: dict[str, Any] = {}
        self.time = 0

    def is_finished(self) -> bool:
        return self.status in ("TERMINATED", "ERROR")


class FakeController:
    """Knows the trials, and stops one when a scheduler says so."""

    def __init__(self, trials: list[FakeTrial], scheduler: Any) -> None:
        self.trials, self.scheduler = trials, scheduler

    def get_trials(self) -> list[FakeTrial]:
        return self.trials

    get_live_trials = get_trials

    def stop_trial(self, trial: FakeTrial) -> None:
        trial.status = "TERMINATED"
        self.scheduler.on_trial_complete(self, trial, {})


def scheduler_of(name: str, mode: str, arguments: dict[str, Any]) -> Any:
    from ray.tune import schedulers

    kinds = {
        "asha": schedulers.AsyncHyperBandScheduler,
        "median": schedulers.MedianStoppingRule,
        "hyperband": schedulers.HyperBandScheduler,
    }
    return kinds[name](metric="value", mode=mode, time_attr="training_iteration", **arguments)


def sequence(file: Path, **_: Any) -> Answer:
    given = json.loads(Path(file).read_text())
    scheduler = scheduler_of(given["scheduler"], given["mode"], given["arguments"])
    trials: dict[int, FakeTrial] = {}
    controller = FakeController([], scheduler)
    stops = []
    for index, (number, time, value) in enumerate(given["results"]):
        if number not in trials:
            trials[number] = FakeTrial(number)
            trials[number].status = "RUNNING"
            controller.trials.append(trials[number])
            scheduler.on_trial_add(controller, trials[number])
        result = {"training_iteration": time, "time_total_s": float(time), "value": value}
        if scheduler.on_trial_result(controller, trials[number], result) == "STOP":
            stops.append(index)
            trials[number].status = "TERMINATED"
    return {"stops": stops}


def rounds(file: Path, **_: Any) -> Answer:
    given = json.loads(Path(file).read_text())
    scheduler = scheduler_of(given["scheduler"], given["mode"], given["arguments"])
    trials = [FakeTrial(number) for number in range(len(given["curves"]))]
    controller = FakeController(trials, scheduler)
    for trial in trials:
        scheduler.on_trial_add(controller, trial)
    while (trial := scheduler.choose_trial_to_run(controller)) is not None:
        trial.status = "RUNNING"
        while trial.status == "RUNNING":
            trial.time += 1
            result = {"training_iteration": trial.time, "value": given["curves"][trial.number][trial.time - 1]}
            action = scheduler.on_trial_result(controller, trial, result)
            if action == "PAUSE":
                trial.status = "PAUSED"
            elif action == "STOP":
                trial.status = "TERMINATED"
                scheduler.on_trial_complete(controller, trial, result)
    return {"times": [trial.time for trial in trials], "left": sum(not trial.is_finished() for trial in trials)}


if __name__ == "__main__":
    main("ray", {"sequence": sequence, "rounds": rounds})

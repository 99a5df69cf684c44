"""The decisions of Ray Tune's scheduler classes beside ours, on the same random results.

`python -m benchmarks.schedulers.ray --peers-python PATH`, a Python in which Ray Tune is installed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import tunesmith as tune
from benchmarks.subjects import ROOT, environment
from tunesmith.core.events import Node, Placement, Reported, SessionOpened, Suggested, TrialLaunched
from tunesmith.core.experiment import Experiment
from tunesmith.core.policy import Scheduler

PLACE = Placement("here", {"cpu": 1.0})
BRACKETS = (81, 34, 15, 8, 5)
"""The sizes of HyperBand's brackets for 81 and eta 3, in our order."""
NOTES = """
Where they differ:
- ASHA: a value that ties with a cutoff between two others. Ray Tune's cutoff is off by a rounding error there
  (4.000000000000001 for 4), which stops the trial; a tie is to go on.
- HyperBand: of n trials the paper keeps floor(n / eta), and so do we; Ray Tune keeps ceil(n / eta). That is the same in
  the brackets of 81 and 5 trials. It also fills the smallest bracket first, the paper the largest.
"""
Result = tuple[int, int, float]
"""(trial, training_iteration, value)."""


class ByHand:
    """A scheduler of ours that is told results one by one, and asked after each."""

    def __init__(self, scheduler: Scheduler, trials: int, mode: str) -> None:
        self.scheduler, self.experiment = scheduler, Experiment()
        self._tell(SessionOpened(at=0.0, session=1, started=0.0, metric="value", mode=mode,
                                 nodes=(Node("here", {"cpu": 1e6}),), trials_wanted=trials))  # fmt: skip
        self._tell(Suggested(at=0.0, configs=({},) * trials))
        for number in range(trials):
            self._tell(TrialLaunched(at=0.0, trial=number, attempt=1, placement=PLACE))

    def _tell(self, event: Any) -> None:
        self.experiment.apply(event)
        self.scheduler.observe(event, self.experiment)

    def stops(self, result: Result) -> bool:
        trial, time, value = result
        metrics = {"value": value, "time_total_s": float(time)}
        event = Reported(at=0.0, trial=trial, attempt=1, number=time, metrics=metrics, elapsed=time, waits=True)
        self._tell(event)
        return isinstance(self.scheduler.decide(event, self.experiment), tune.Stop | tune.Complete)


def random_results(make: Any, mode: str, seed: int, *, ties: bool) -> tuple[list[Result], list[int]]:
    """Return results in the order of their coming, and at which of them ours stops a trial."""
    draw = random.Random(seed)
    trials = 30
    ours = ByHand(make(), trials, mode)
    live, time = list(range(trials)), dict.fromkeys(range(trials), 0)
    results: list[Result] = []
    stops = []
    while live and len(results) < 1000:
        trial = draw.choice(live)
        time[trial] += 1
        value = draw.randint(0, 5) if ties else draw.gauss(trial % 7, 2.0)
        results.append((trial, time[trial], float(value)))
        if ours.stops(results[-1]):
            live.remove(trial)
            stops.append(len(results) - 1)
    return results, stops


def ask(python: str, command: str, question: dict[str, Any]) -> Any:
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(question, file)
        file.flush()
        call = [python, "-m", "benchmarks.peers.ray_decisions", command, f"file={file.name}"]
        done = subprocess.run(call, cwd=ROOT, env=environment("ray"), capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    if "missing" in answer:
        sys.exit(f"Ray Tune is {answer['missing']} in {python}: pip install 'ray[tune]' there.")
    return answer


def compare_stops(python: str, name: str, make: Any, arguments: dict[str, Any], runs: int) -> tuple[int, int, int, int]:
    """Return how many runs agree, how many results were judged, how many stops were alike and how many differ."""
    agree = judged = alike = differ = 0
    for seed in range(runs):
        mode = "max" if seed % 2 else "min"
        results, ours = random_results(make, mode, seed, ties=seed % 4 >= 2)
        question = {"scheduler": name, "mode": mode, "arguments": arguments, "results": results}
        theirs = ask(python, "sequence", question)["stops"]
        agree += ours == theirs
        judged += len(results)
        alike += len(set(ours) & set(theirs))
        differ += len(set(ours) ^ set(theirs))
    return agree, judged, alike, differ


def compare_rounds(python: str, runs: int) -> dict[int, tuple[int, int, int, int]]:
    """The same for HyperBand, by the size of the bracket: how far each trial of it gets.

    Ray Tune fills the smallest bracket first, so its trials come in another order here.
    """
    rows = dict.fromkeys(BRACKETS, (0, 0, 0, 0))
    for seed in range(runs):
        draw = random.Random(seed)
        brackets = {size: [noisy_line(draw) for _ in range(size)] for size in BRACKETS}
        ours = our_times([curve for size in BRACKETS for curve in brackets[size]])
        question = {
            "scheduler": "hyperband",
            "mode": "max",
            "curves": [curve for size in reversed(BRACKETS) for curve in brackets[size]],
            "arguments": {"max_t": 81, "reduction_factor": 3},
        }
        theirs = ask(python, "rounds", question)["times"]
        for size in BRACKETS:
            own, ours = ours[:size], ours[size:]
            other, theirs = theirs[-size:], theirs[:-size]
            alike = sum(map(int.__eq__, own, other))
            agree, judged, before, differ = rows[size]
            rows[size] = (agree + (own == other), judged + size, before + alike, differ + size - alike)
    return rows


def noisy_line(draw: random.Random) -> list[float]:
    slope = draw.random()
    return [draw.random() + slope * step for step in range(81)]


def our_times(curves: Sequence[Sequence[float]]) -> list[int]:
    def curve(config: dict[str, Any], epoch: int) -> dict[str, float] | None:
        return {"value": curves[config["number"]][epoch - 1]} if epoch <= len(curves[0]) else None

    simulation = tune.simulate(
        curve,
        space={"number": tune.grid_search(list(range(len(curves))))},
        metric="value",
        mode="max",
        scheduler=tune.HyperBandScheduler(max_t=81, reduction_factor=3),
    )
    return [trial.iterations for trial in simulation.trials]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    python, runs = options.peers_python, options.runs
    rows = {
        "ASHA (stopping), eta=3": compare_stops(
            python,
            "asha",
            lambda: tune.ASHAScheduler(max_t=81, reduction_factor=3),
            {"max_t": 81, "reduction_factor": 3},
            runs,
        ),
        "ASHA (stopping), eta=4, grace 2": compare_stops(
            python,
            "asha",
            lambda: tune.ASHAScheduler(max_t=64, grace_period=2),
            {"max_t": 64, "grace_period": 2},
            runs,
        ),
        "median stopping rule": compare_stops(
            python,
            "median",
            lambda: tune.MedianStoppingRule(time_attr="training_iteration", grace_period=3),
            {"grace_period": 3},
            runs,
        ),
    }
    for size, row in compare_rounds(python, runs).items():
        rows[f"HyperBand, the bracket of {size}"] = row
    print(f"{'':34}runs alike   judged   alike  different")
    for name, (agree, judged, alike, differ) in rows.items():
        print(f"{name:34}{agree:4}/{runs:<4} {judged:8}{alike:8}{differ:11}")
    print(NOTES)


if __name__ == "__main__":
    main()

"""Ray Tune, default loggers on, called as `benchmarks.cluster.over_ray` is."""

import json
import time
from pathlib import Path
from typing import Any

from benchmarks.cluster.ray_alone import ray_alone, steady_rate
from benchmarks.peers.common import CPUS, Answer, main


def run(folder: Path, train: Any, samples: int, **options: Any) -> Any:
    from ray import tune

    space = options.pop("space", {"x": tune.uniform(0, 1)})
    return tune.run(train, config=space, num_samples=samples, storage_path=str(folder), verbose=0, **options)


def no_op(config: dict[str, Any]) -> None:
    from ray import tune

    tune.report({"score": config["x"]})


def clock() -> Any:
    """Return a callback that notes when trials end."""
    from ray import tune

    class Clock(tune.Callback):
        def __init__(self) -> None:
            self.ended: list[float] = []

        def on_trial_complete(self, *_: Any, **__: Any) -> None:
            self.ended.append(time.perf_counter())

    return Clock()


def trials(folder: Path, fresh: int, reused: int) -> Answer:
    with ray_alone(CPUS):
        run(folder, no_op, 1, name="warm-up")
        answer: Answer = {}
        for name, count, reuse in (("fresh", fresh, False), ("reused", reused, True)):
            noted = clock()
            began = time.perf_counter()
            done = run(folder, no_op, count, name=name, reuse_actors=reuse, callbacks=[noted])
            answer[name] = count / (time.perf_counter() - began)
            assert len([trial for trial in done.trials if "score" in trial.last_result]) == count
            answer[f"{name}_steady"] = steady_rate(noted.ended)
    return answer


def results(folder: Path, count: int) -> Answer:
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        began = time.time()
        for step in range(count):
            tune.report({"loss": 1 / (step + 1), "accuracy": step / count, "score": config["x"]})
        Path(config["folder"], f"took-{config['number']}").write_text(f"[{began}, {time.time()}]", encoding="utf-8")

    with ray_alone(CPUS):
        run(folder, no_op, 1, name="warm-up")
        space = {"x": 0.5, "folder": str(folder), "number": tune.grid_search(list(range(CPUS)))}
        began = time.perf_counter()
        run(folder, train, 1, name="results", space=space)
        seconds = time.perf_counter() - began
    lines = [line for file in folder.glob("results/*/result.json") for line in file.read_text("utf-8").splitlines()]
    took = [json.loads(file.read_text(encoding="utf-8")) for file in folder.glob("took-*")]
    steady = CPUS * count / (max(end for _, end in took) - min(start for start, _ in took))
    return {
        "count": CPUS * count,
        "rate": len(lines) / seconds,
        # The trials' own clock: their start and their end are left out.
        "steady": steady,
        "lost": CPUS * count - len(lines),
    }


def first(folder: Path, times: int) -> Answer:
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        tune.report({"at": time.time()})

    found = []
    with ray_alone(CPUS):
        for number in range(times + 1):
            began = time.time()
            done = run(folder, train, 1, name=f"first-{number}")
            found.append(done.trials[0].last_result["at"] - began)
            time.sleep(1.0)
    return {"seconds": found[1:], "idle": found[0]}


if __name__ == "__main__":
    main("ray", {"trials": trials, "results": results, "first": first})

"""Ray Tune, default loggers on. Starting and ending Ray itself is left out of every rate, in its favour."""

import json
import os
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.common import CPUS, CRASH_TRIALS, Answer, main, resident_bytes, tenths, train_and_acknowledge


def start_ray(folder: Path) -> None:
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(
        num_cpus=CPUS,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        _temp_dir=str(folder / "ray"),
    )


def run(folder: Path, train: Any, samples: int = 1, **options: Any) -> Any:
    from ray import tune

    space = options.pop("space", {"x": tune.uniform(0, 1)})
    return tune.run(train, config=space, num_samples=samples, storage_path=str(folder), verbose=0, **options)


def no_op(config: dict[str, Any]) -> None:
    from ray import tune

    tune.report({"score": config["x"]})


def torch_no_op(config: dict[str, Any]) -> None:
    from ray import tune

    from benchmarks.torch_trainable import train

    tune.report(train(config))


def trials(folder: Path, fresh: int = 0, reused: int = 0, torch: int = 0) -> Answer:
    start_ray(folder)
    answer: Answer = {}
    if fresh:
        answer["fresh"] = rate(folder, no_op, fresh, reuse_actors=False)
    if reused:
        answer["reused"] = rate(folder, no_op, reused, reuse_actors=True)
    if torch:
        answer["torch"] = rate(folder, torch_no_op, torch, reuse_actors=False)
    return answer


def rate(folder: Path, train: Any, count: int, **options: Any) -> float:
    began = time.perf_counter()
    analysis = run(folder, train, count, **options)
    seconds = time.perf_counter() - began
    assert len([trial for trial in analysis.trials if "score" in trial.last_result]) == count
    return count / seconds


def results(folder: Path, count: int) -> Answer:
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        waited = []
        for step in range(count):
            began = time.perf_counter()
            tune.report({"loss": 1 / (step + 1), "accuracy": step / count, "score": float(step)})
            waited.append(time.perf_counter() - began)
        Path(config["folder"], "waited.json").write_text(json.dumps(waited), encoding="utf-8")

    start_ray(folder)
    run(folder, train, name="results", space={"folder": str(folder)})
    waited = json.loads((folder / "waited.json").read_text(encoding="utf-8"))
    # The trial's own clock: the seconds that the trial itself takes to start and to end are left out.
    return {
        "rate": count / sum(waited),
        "stored": len(rows(folder)),
        "round_trip_us": 1e6 * statistics.median(waited),
    }


def rows(folder: Path) -> list[Answer]:
    lines = [line for file in folder.glob("results/*/result.json") for line in file.read_text("utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def scale(folder: Path, trials: int, results: int) -> Answer:
    from ray import tune

    ended: list[float] = []

    class Clock(tune.Callback):
        def on_trial_complete(self, *_: Any, **__: Any) -> None:
            ended.append(time.perf_counter())

    def train(config: dict[str, Any]) -> None:
        for step in range(results):
            tune.report({"score": config["x"] + step})

    start_ray(folder)
    run(folder, no_op, 10, reuse_actors=True)
    before = resident_bytes()
    run(folder, train, trials, name="scale", reuse_actors=True, callbacks=[Clock()])
    return {**tenths(ended, results), "bytes_per_trial": (resident_bytes() - before) / trials}


def opening(folder: Path) -> Answer:
    from ray import tune

    began = time.perf_counter()
    best = tune.ExperimentAnalysis(str(folder / "scale"), default_metric="score", default_mode="max").best_config
    assert best is not None
    return {"seconds": time.perf_counter() - began}


def crash(folder: Path) -> Answer:
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        train_and_acknowledge(folder, config["number"], lambda step: tune.report({"step": step}))

    start_ray(folder)
    run(folder, train, name="results", space={"number": tune.grid_search(list(range(CRASH_TRIALS)))})
    return {}


def stored(folder: Path) -> Answer:
    return {"rows": [[row["config"]["number"], row["step"]] for row in rows(folder)]}


def hang(folder: Path, limit: float) -> Answer:
    """Ray Tune's own limit on a trial's time is a stop rule on `time_total_s`."""
    from ray import tune

    def train(config: dict[str, Any]) -> None:
        Path(folder, f"began-{config['number']}").write_text(str(time.time()), encoding="utf-8")
        tune.report({"score": 0})
        while config["number"] == 0:
            time.sleep(1)

    start_ray(folder)
    space = {"number": tune.grid_search([0, 1])}
    run(folder, train, space=space, stop={"time_total_s": limit}, resources_per_trial={"cpu": CPUS})
    first, second = (float((folder / f"began-{number}").read_text(encoding="utf-8")) for number in (0, 1))
    return {"ready_ms": 1e3 * (second - first - limit)}


def startup(folder: Path) -> Answer:
    began = time.perf_counter()
    start_ray(folder)
    run(folder, no_op)
    seconds = time.perf_counter() - began
    return {"seconds": seconds}


if __name__ == "__main__":
    main(
        "ray",
        {
            "trials": trials,
            "results": results,
            "scale": scale,
            "opening": opening,
            "crash": crash,
            "stored": stored,
            "hang": hang,
            "startup": startup,
        },
    )

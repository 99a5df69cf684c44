"""Syne Tune on its local backend: this file is both the driver and, called by it with `--kind`, the trial's script."""

import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.common import CPUS, CRASH_TRIALS, Answer, main, train_and_acknowledge

POLL_SECONDS = 0.1
"""How often the tuner looks; its default, 5 s, would make every figure worse."""


def tune(folder: Path, space: dict[str, Any], trials: int, points: list[Any] | None = None, **options: Any) -> Any:
    """Run `trials` trials of this script and return Syne Tune's folder of the experiment."""
    quiet(folder)
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.baselines import RandomSearch

    scheduler = RandomSearch({"x": uniform(0, 1), **space}, metrics=["score"], points_to_evaluate=points)
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=__file__),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=trials),
        wait_trial_completion_when_stopping=True,
        sleep_time=POLL_SECONDS,
        tuner_name="experiment",
        suffix_tuner_name=False,
        **{"n_workers": CPUS, **options},
    )
    tuner.run()
    return tuner.tuner_path


def quiet(folder: Path) -> None:
    import logging

    os.environ["SYNETUNE_FOLDER"] = str(folder)
    logging.disable(logging.CRITICAL)


def trials(folder: Path, fresh: int, torch: int) -> Answer:
    return {"fresh": rate(folder / "fresh", "no_op", fresh), "torch": rate(folder / "torch", "torch", torch)}


def rate(folder: Path, kind: str, count: int) -> float:
    began = time.perf_counter()
    path = tune(folder, {"kind": kind}, count)
    seconds = time.perf_counter() - began
    # It may have started one trial more than it was asked for.
    return len(rows(path)) / seconds


def results(folder: Path, count: int) -> Answer:
    began = time.perf_counter()
    path = tune(folder, {"kind": "results", "count": count}, 1, n_workers=1)
    seconds = time.perf_counter() - began
    # It may have started one trial more than it was asked for.
    kept = rows(path)
    return {"rate": len(kept) / seconds, "stored": sum(row["trial_id"] == 0 for row in kept)}


def rows(path: Path) -> list[Answer]:
    import pandas

    file = Path(path, "results.csv.zip")
    return pandas.read_csv(file).to_dict("records") if file.exists() else []


def crash(folder: Path) -> Answer:
    points = [{"x": number / CRASH_TRIALS} for number in range(CRASH_TRIALS)]
    tune(folder, {"kind": "crash", "folder": str(folder)}, CRASH_TRIALS, points)
    return {}


def stored(folder: Path) -> Answer:
    found = [row for path in folder.rglob("results.csv.zip") for row in rows(path.parent)]
    return {"rows": [[round(row["config_x"] * CRASH_TRIALS), row["step"]] for row in found]}


def simulated(folder: Path, workers: int, trials: int, max_t: int) -> Answer:
    """Its simulator over a table of learning curves, under ASHA."""
    quiet(folder)
    import numpy
    import pandas
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend.simulator_backend.simulator_callback import SimulatorCallback
    from syne_tune.blackbox_repository.blackbox_tabular import BlackboxTabular
    from syne_tune.blackbox_repository.simulated_tabular_backend import UserBlackboxBackend
    from syne_tune.config_space import randint
    from syne_tune.optimizer.baselines import ASHA

    # Two hyperparameters of 100 values each: a table with one column is more than its look-up can take.
    steps = numpy.arange(1, max_t + 1)
    cells = numpy.arange(10_000)
    scores = (cells / 10_000)[:, None] * (1 - 0.5**steps)[None, :]
    seconds = numpy.broadcast_to(steps, scores.shape)
    space = {"x": randint(0, 99), "y": randint(0, 99)}
    table = BlackboxTabular(
        hyperparameters=pandas.DataFrame({"x": cells // 100, "y": cells % 100}),
        configuration_space=space,
        fidelity_space={"step": randint(1, max_t)},
        objectives_evaluations=numpy.stack([scores, seconds], axis=-1)[:, None],
        objectives_names=["score", "seconds"],
    )
    tuner = Tuner(
        trial_backend=UserBlackboxBackend(blackbox=table, elapsed_time_attr="seconds"),
        scheduler=ASHA(space, metric="score", time_attr="step", max_t=max_t, do_minimize=False, random_seed=0),
        stop_criterion=StoppingCriterion(max_num_trials_started=trials),
        n_workers=workers,
        wait_trial_completion_when_stopping=True,
        sleep_time=0,
        callbacks=[SimulatorCallback()],
    )
    began = time.perf_counter()
    tuner.run()
    seconds_used = time.perf_counter() - began
    events = len(rows(tuner.tuner_path))
    return {"rate": events / seconds_used, "events": events}


def startup(folder: Path) -> Answer:
    began = time.perf_counter()
    tune(folder, {"kind": "no_op"}, 1)
    return {"seconds": time.perf_counter() - began}


def be_a_trial(arguments: list[str]) -> None:
    from syne_tune import Reporter

    options = {key.removeprefix("--"): value for key, value in zip(arguments[::2], arguments[1::2], strict=False)}
    report = Reporter()
    x = float(options["x"])
    if options["kind"] == "torch":
        from benchmarks.torch_trainable import train

        report(**train({"x": x}))
    elif options["kind"] == "no_op":
        report(score=x)
    elif options["kind"] == "results":
        count = int(options["count"])
        for step in range(count):
            report(loss=1 / (step + 1), accuracy=step / count, score=float(step))
    else:
        number = round(x * CRASH_TRIALS)
        train_and_acknowledge(Path(options["folder"]), number, lambda step: report(score=x, step=step))


if __name__ == "__main__":
    if any(argument.startswith("--") for argument in sys.argv[1:]):
        be_a_trial(sys.argv[1:])
    else:
        main(
            "syne_tune",
            {
                "trials": trials,
                "results": results,
                "crash": crash,
                "stored": stored,
                "simulated": simulated,
                "startup": startup,
            },
        )

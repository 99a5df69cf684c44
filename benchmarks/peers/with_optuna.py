"""Optuna on its two file stores. It has no workers: trials run in the driver's own process, one at a time."""

import resource
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.peers.common import CPUS, CRASH_TRIALS, Answer, main, resident_bytes, tenths, train_and_acknowledge


def study(folder: Path, store: str, **options: Any) -> Any:
    import optuna
    from optuna.storages.journal import JournalFileBackend

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if store == "sqlite":
        storage: Any = f"sqlite:///{folder}/study.db"
    elif store == "journal":
        storage = optuna.storages.JournalStorage(JournalFileBackend(f"{folder}/study.log"))
    else:
        storage = optuna.storages.InMemoryStorage()
    options.setdefault("sampler", optuna.samplers.RandomSampler(seed=0))
    return optuna.create_study(study_name="study", storage=storage, load_if_exists=True, **options)


def trials(folder: Path, store: str, reused: int) -> Answer:
    runner = study(folder, str(store))
    began = time.perf_counter()
    runner.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=reused)
    seconds = time.perf_counter() - began
    assert len(runner.trials) == reused
    return {"reused": reused / seconds}


def results(folder: Path, store: str, count: int) -> Answer:
    """One metric per report: Optuna's reports hold no more."""
    import optuna

    pruner = optuna.pruners.SuccessiveHalvingPruner()
    runner = study(folder, str(store), pruner=pruner)

    def train(trial: Any) -> float:
        for step in range(count):
            trial.report(float(step), step)
        return 0.0

    began = time.perf_counter()
    runner.optimize(train, n_trials=1)
    seconds = time.perf_counter() - began

    waited = []

    def train_and_ask(trial: Any) -> float:
        for step in range(100):
            asked = time.perf_counter()
            trial.report(float(step), step)
            trial.should_prune()
            waited.append(time.perf_counter() - asked)
        return 0.0

    runner.optimize(train_and_ask, n_trials=1)
    kept = study(folder, str(store)).trials[0].intermediate_values
    return {"rate": count / seconds, "stored": len(kept), "round_trip_us": 1e6 * statistics.median(waited)}


def scale(folder: Path, store: str, trials: int, results: int) -> Answer:
    def train(trial: Any) -> float:
        x = trial.suggest_float("x", 0, 1)
        for step in range(results):
            trial.report(x + step, step)
        return float(x)

    runner = study(folder, str(store))
    runner.optimize(train, n_trials=10)
    before = resident_bytes()
    ended: list[float] = []
    runner.optimize(train, n_trials=trials, callbacks=[lambda *_: ended.append(time.perf_counter())])
    return {**tenths(ended, results), "bytes_per_trial": (resident_bytes() - before) / trials}


def opening(folder: Path, store: str) -> Answer:
    import optuna

    del optuna  # imported before the clock starts
    began = time.perf_counter()
    assert study(folder, str(store)).best_trial is not None
    return {"seconds": time.perf_counter() - began}


def crash(folder: Path, store: str) -> Answer:
    def train(trial: Any) -> float:
        train_and_acknowledge(folder, trial.number, lambda step: trial.report(float(step), step))
        return 0.0

    study(folder, str(store)).optimize(train, n_trials=CRASH_TRIALS, n_jobs=CPUS)
    return {}


def stored(folder: Path, store: str) -> Answer:
    kept = study(folder, str(store)).trials
    return {"rows": [[trial.number, step] for trial in kept for step in trial.intermediate_values]}


def simulated(folder: Path, workers: int, trials: int, max_t: int) -> Answer:
    """The nearest thing Optuna has: ask and tell in memory, `workers` trials open at once, each step judged by ASHA."""
    import optuna

    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    runner = study(folder, "memory", pruner=pruner, direction="maximize")
    events = asked = 0
    running: list[tuple[Any, float, int]] = []
    began = time.perf_counter()
    while running or asked < trials:
        while len(running) < workers and asked < trials:
            trial = runner.ask()
            running.append((trial, trial.suggest_float("x", 0, 1), 0))
            asked += 1
        left = []
        for trial, x, step in running:
            trial.report(x * (1 - 0.5**step), step)
            events += 1
            if trial.should_prune() or step + 1 == max_t:
                runner.tell(trial, x)
            else:
                left.append((trial, x, step + 1))
        running = left
    return {"rate": events / (time.perf_counter() - began), "events": events}


def startup(folder: Path, store: str) -> Answer:
    began = time.perf_counter()
    study(folder, str(store)).optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    return {"seconds": time.perf_counter() - began, "cpu": resource.getrusage(resource.RUSAGE_SELF).ru_utime}


if __name__ == "__main__":
    main(
        "optuna",
        {
            "trials": trials,
            "results": results,
            "scale": scale,
            "opening": opening,
            "crash": crash,
            "stored": stored,
            "simulated": simulated,
            "startup": startup,
        },
    )

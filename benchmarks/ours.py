"""Tunesmith, with its default journal and files, called as the peers' scripts are (see `peers/common.py`)."""

from __future__ import annotations

import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import tunesmith as tune
from benchmarks.peers.common import CPUS, CRASH_TRIALS, Answer, main, resident_bytes, tenths, train_and_acknowledge


def run(folder: Path, train: Callable[..., Any], samples: int = 1, **options: Any) -> tune.Results:
    options = {"space": {"x": tune.uniform(0, 1)}, "cpus": CPUS, "name": "experiment", **options}
    return tune.run(train, num_samples=samples, storage_path=folder, verbose=False, **options)


def no_op(config: dict[str, Any]) -> None:
    tune.report({"score": config["x"]})


def trials(folder: Path, fresh: int = 0, reused: int = 0, torch: int = 0) -> Answer:
    answer: Answer = {}
    if fresh:
        answer["fresh"] = rate(folder, no_op, fresh, name="fresh")
    if reused:
        answer["reused"] = rate(folder, no_op, reused, name="reused", reuse_workers=True)
    if torch:
        try:
            from benchmarks.torch_trainable import train
        except ImportError:
            answer["torch"] = "torch not installed"
        else:
            answer["torch"] = rate(folder, train, torch, name="torch")
    return answer


def rate(folder: Path, train: Callable[..., Any], count: int, **options: Any) -> float:
    began = time.perf_counter()
    run(folder, train, count, **options)
    seconds = time.perf_counter() - began
    name = options["name"]
    assert query(folder / name, "SELECT count(*) FROM events WHERE kind = 'Reported'") == [(count,)]
    return count / seconds


def query(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(folder / "journal.db")) as journal:
        return journal.execute(sql).fetchall()


def results(folder: Path, count: int) -> Answer:
    def train(config: dict[str, Any]) -> None:
        for step in range(count):
            tune.report({"loss": 1 / (step + 1), "accuracy": step / count, "score": float(step)})

    began = time.perf_counter()
    run(folder, train)
    seconds = time.perf_counter() - began
    ((stored, last),) = query(
        folder / "experiment",
        "SELECT count(*), max(json_extract(payload, '$.number')) FROM events WHERE kind = 'Reported'",
    )
    assert last == count
    return {"rate": count / seconds, "stored": stored}


class AskAlways(tune.Scheduler):
    """Lets everything go on, but wants to see each result first."""

    def decide(self, result: Any, experiment: Any) -> tune.Continue:
        return tune.Continue()


def round_trip(folder: Path, count: int) -> Answer:
    """The time of a `report` that waits for its verdict, seen from the trial."""

    def train(config: dict[str, Any]) -> None:
        waited = []
        for step in range(count):
            began = time.perf_counter()
            tune.report({"loss": 1 / (step + 1), "accuracy": step / count, "score": float(step)})
            waited.append(time.perf_counter() - began)
        Path(config["folder"], "waited").write_text(str(statistics.median(waited)), encoding="utf-8")

    run(folder, train, space={"folder": str(folder)}, scheduler=AskAlways())
    return {"round_trip_us": 1e6 * float((folder / "waited").read_text(encoding="utf-8"))}


def scale(folder: Path, trials: int, results: int) -> Answer:
    def train(config: dict[str, Any]) -> None:
        for step in range(results):
            tune.report({"score": config["x"] + step})

    options: dict[str, Any] = {"reuse_workers": True, "metric": "score", "mode": "max"}
    run(folder, no_op, 1000, name="warm-up", **options)
    before = resident_bytes()
    began = time.perf_counter()
    run(folder, train, trials, name="scale", **options)
    seconds = time.perf_counter() - began
    memory = resident_bytes() - before
    times = [at for (at,) in query(folder / "scale", "SELECT json_extract(payload, '$.at') FROM events ORDER BY seq")]
    return {**tenths(times), "bytes_per_trial": memory / trials, "run_s": seconds, "events": len(times)}


def opening(folder: Path) -> Answer:
    began = time.perf_counter()
    best = tune.load(folder / "scale").best
    assert best.config["x"] > 0
    answer: Answer = {"seconds": time.perf_counter() - began}
    command = [Path(sys.executable).with_name("tunesmith"), "show", folder / "scale"]
    began = time.perf_counter()
    shown = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    return {**answer, "show_s": "failed" if shown.returncode else time.perf_counter() - began}


def crash(folder: Path) -> Answer:
    def train(config: dict[str, Any]) -> None:
        train_and_acknowledge(folder, config["number"], lambda step: tune.report({"step": step}))

    run(folder, train, space={"number": tune.grid_search(list(range(CRASH_TRIALS)))})
    return {}


def stored(folder: Path) -> Answer:
    found = tune.load(folder / "experiment")
    return {"rows": [[trial.config["number"], row["step"]] for trial in found for row in trial.history]}


def hang(folder: Path, limit: float) -> Answer:
    """One slot; the first trial hangs, deaf to SIGTERM or not, and the second one waits for its place."""
    from tunesmith.core.engine import Limits

    return {
        "deaf_ms": 1e3 * (slot_ready(folder, "deaf", limit) - Limits().kill_grace),
        "ready_ms": 1e3 * slot_ready(folder, "plain", limit),
    }


def slot_ready(folder: Path, kind: str, limit: float) -> float:
    """Return the seconds from the moment a trial is found to be hung until the next one has started."""
    from tunesmith.core.events import AttemptStarted, Reported
    from tunesmith.store.reader import JournalReader

    def train(config: dict[str, Any]) -> None:
        import signal

        if kind == "deaf":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        tune.report({"score": 0})
        while config["number"] == 0:
            time.sleep(1)

    space = {"number": tune.grid_search([0, 1])}
    run(folder, train, space=space, cpus=1, report_timeout_s=limit, name=kind)
    with JournalReader(folder / kind) as journal:
        events = [event for _, event in journal.events()]
    silent_since = next(event.at for event in events if isinstance(event, Reported) and event.trial == 0)
    started = next(event.at for event in events if isinstance(event, AttemptStarted) and event.trial == 1)
    return started - silent_since - limit


def curve(config: dict[str, Any]) -> Iterator[tuple[dict[str, float], float]]:
    for step in range(1, 1000):
        yield {"score": config["x"] * (1 - 0.5**step)}, 1.0 + config["x"]


def simulated(folder: Path, workers: int, trials: int, max_t: int) -> Answer:
    """ASHA over `workers` virtual workers: the core alone, then a whole run with its journal and files."""
    alone = core_alone(folder, workers, trials, max_t)
    began = time.perf_counter()
    run(
        folder,
        curve,
        trials,
        metric="score",
        mode="max",
        scheduler=tune.ASHAScheduler(max_t=max_t, reduction_factor=3),
        executor=tune.SimulatedExecutor(workers=workers),
        cpus=None,
    )
    seconds = time.perf_counter() - began
    ((events,),) = query(folder / "experiment", "SELECT count(*) FROM events")
    return {**alone, "journaled": events / seconds}


def core_alone(folder: Path, workers: int, trials: int, max_t: int) -> Answer:
    """Drive the core with nothing around it: executor -> core -> executor."""
    from tunesmith.core.commands import Command, Halt, Kill, Proceed, Start, Suggest
    from tunesmith.core.engine import Core, Limits
    from tunesmith.core.events import Event, ExperimentCreated, SessionOpened, SpaceExhausted, Suggested
    from tunesmith.core.experiment import Experiment
    from tunesmith.core.objective import Objective
    from tunesmith.executors.base import Job
    from tunesmith.space.space import Space
    from tunesmith.stoppers import NoopStopper

    began = time.perf_counter()
    experiment = Experiment(Objective("score", "max"))
    searcher = tune.BasicVariantGenerator().bound_to(Space({"x": tune.uniform(0, 1)}), trials, 0)
    scheduler = tune.ASHAScheduler(max_t=max_t, reduction_factor=3)
    executor = tune.SimulatedExecutor(curve, workers=workers)
    core = Core(experiment, searcher=searcher, scheduler=scheduler, stopper=NoopStopper(), limits=Limits())
    job = Job(trainable=curve, experiment="alone", folder=folder)
    nodes = tuple(executor.open(job, at=0.0, deliver=lambda _: None))

    def suggest(command: Suggest) -> list[Event]:
        configs = tuple(searcher.suggest(command.count, experiment))
        return [Suggested(at=executor.now(), configs=configs) if configs else SpaceExhausted(at=executor.now())]

    act: dict[type[Command], Callable[[Any], None]] = {
        Start: executor.start,
        Proceed: executor.proceed,
        Halt: executor.halt,
        Kill: executor.kill,
    }
    events: list[Event] = [
        ExperimentCreated(at=0.0, name="alone", seed=0, created=0.0),
        SessionOpened(at=0.0, session=1, started=0.0, metric="score", mode="max", trials_wanted=trials, nodes=nodes),
    ]
    count = 0
    while experiment.finished is None:
        step = core.handle(*events)
        count += len(step.events)
        events = []
        for command in step.commands:
            if isinstance(command, Suggest):
                events += suggest(command)
            else:
                act[type(command)](command)
        if not events and experiment.finished is None:
            events = executor.wait(core.next_deadline())
    return {"rate": count / (time.perf_counter() - began), "events": count}


def startup(folder: Path) -> Answer:
    began = time.perf_counter()
    run(folder, no_op)
    return {"seconds": time.perf_counter() - began}


if __name__ == "__main__":
    main(
        "tunesmith",
        {
            "trials": trials,
            "results": results,
            "round_trip": round_trip,
            "scale": scale,
            "opening": opening,
            "crash": crash,
            "stored": stored,
            "hang": hang,
            "simulated": simulated,
            "startup": startup,
        },
    )

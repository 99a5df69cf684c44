"""The driver is killed by -9, again and again, in one experiment, at random moments of its life."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import tunesmith as tune
from tunesmith.core.events import ExperimentCreated, Reported, SessionOpened, TrialLaunched
from tunesmith.store.reader import JournalReader

from . import subject
from .observer import Driver, Observer

EVERY = 5
SPACE = {"every": EVERY, "grandchild": True}
KINDS: dict[str, dict[str, Any]] = {
    "function": {"trainable": "climb"},
    "class": {"trainable": "Climb", "checkpoint_freq": EVERY},
}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_or_done_twice_however_often_the_driver_is_killed(tmp_path, kind, capsys):
    torture(tmp_path, KINDS[kind], kills=4, trials=6, steps=40, seed=1, capsys=capsys)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [2, 3])
def test_nothing_is_lost_or_done_twice_in_thirty_kills(tmp_path, kind, seed, capsys):
    torture(tmp_path, KINDS[kind], kills=30, trials=24, steps=60, seed=seed, capsys=capsys)


def torture(
    storage: Path, kind: dict[str, Any], *, kills: int, trials: int, steps: int, seed: int, capsys: Any
) -> None:
    """Run an experiment through `kills` deaths of its driver to its end, and check everything that must hold then."""
    storage = storage / "results"
    storage.mkdir()
    truth = storage / "truth.txt"
    config = {**SPACE, "steps": steps, "seconds": 0.02, "truth": str(truth)}
    # A searcher that learns would propose by what is known when, and two runs would not have the same configs.
    options = {"config": config, "num_samples": trials, "searcher": "random", **kind}
    dice = random.Random(seed)
    observer = Observer(storage / "e")
    gone, first = [], []
    # Half of the kills come at any time after the start, the others a while after the first new result.
    for turn in range(kills):
        with Driver(storage, **options) as driver:
            began, before = time.monotonic(), observer.look()
            if turn % 2:
                driver.until(lambda: observer.look() > before)  # noqa: B023
                first.append(time.monotonic() - began)
            end = time.monotonic() + dice.uniform(0, 0.5 if turn % 2 else 1.0)
            while time.monotonic() < end:
                observer.look()
                time.sleep(0.002)
            assert driver.process.poll() is None, f"it ended before kill {turn + 1}: {driver.words()}"
            gone.append(driver.kill())
            observer.look()
            observer.look_at_files()
    with Driver(storage, **options) as driver:
        assert driver.ends() == 0, driver.words()
    observer.look()
    observer.check(driver.said())
    observer.close()

    redone = check_history(storage / "e", steps, trials)
    computed = check_truth(truth, storage / "e")
    undisturbed = tune.run(
        subject.climb, executor="inline", verbose=0, name="undisturbed", storage_path=storage, metric="score",
        mode="max", seed=7, num_samples=trials, searcher="random",
        space={"x": tune.uniform(0, 1), **config, "seconds": 0, "grandchild": False, "truth": str(storage / "other")},
    )  # fmt: skip
    check_same(tune.load(storage / "e"), undisturbed)
    with capsys.disabled():
        print(
            f"\n{kills} kills: last process gone after {max(gone) * 1000:.0f} ms at most; "
            f"start to first result {min(first):.2f} to {max(first):.2f} s; {len(observer.results())} results seen, "
            f"{redone} of them superseded; {computed} steps computed of {trials * steps}"
        )


def check_history(folder: Path, steps: int, trials: int) -> int:
    """Check each trial's line of results and where each attempt began; return how many results were superseded."""
    superseded = 0
    with JournalReader(folder) as reader:
        events = [event for _, event in reader.events()]
        assert [type(event) for event in events].count(ExperimentCreated) == 1
        sessions = [event.session for event in events if isinstance(event, SessionOpened)]
        assert sessions == list(range(1, len(sessions) + 1))
        assert len(reader.trial_rows()) == trials
        for row in reader.trial_rows():
            assert row.status == "completed"
            assert [result.number for result in reader.history(row.id)] == list(range(1, steps + 1))
            number, checkpoint = 0, None
            for event in reader.trial_events(row.id):
                match event:
                    case TrialLaunched():
                        assert event.checkpoint == checkpoint, "it does not go on from its last checkpoint"
                        start = 0 if checkpoint is None else int(checkpoint.rpartition("-")[2])
                        assert 0 <= number - start < EVERY, "more was redone than what came after the last checkpoint"
                        superseded += number - start
                        number = start
                    case Reported():
                        assert event.number == number + 1
                        assert event.metrics["step"] == event.number, "the trainable itself is at another step"
                        number, checkpoint = event.number, event.checkpoint or checkpoint
            row_checkpoints = sorted(path.name for path in (folder / f"trials/{row.id:05d}/checkpoints").iterdir())
            assert set(row_checkpoints) == {Path(name).name for name in (row.checkpoint, row.best_checkpoint) if name}
    return superseded


def check_truth(truth: Path, folder: Path) -> int:
    """Check that no attempt computed a step twice, or one before its start; return how many steps were computed."""
    steps = defaultdict(list)
    for line in truth.read_text().splitlines():
        trial, attempt, step = map(int, line.split())
        steps[trial, attempt].append(step)
    with JournalReader(folder) as reader:
        launches = [event for _, event in reader.events() if isinstance(event, TrialLaunched)]
    starts = {(event.trial, event.attempt): event.checkpoint for event in launches}
    for key, found in steps.items():
        begin = 1 if starts[key] is None else int(starts[key].rpartition("-")[2]) + 1
        assert found == list(range(begin, begin + len(found)))
    return sum(map(len, steps.values()))


def check_same(results: tune.Results, undisturbed: tune.Results) -> None:
    """Check that an experiment has the configs and scores of one that nobody disturbed."""
    assert len(results) == len(undisturbed)
    for trial, other in zip(results, undisturbed, strict=True):
        assert trial.config["x"] == other.config["x"]
        assert [row["score"] for row in trial.history] == [row["score"] for row in other.history]
    assert results.best.metrics["score"] == undisturbed.best.metrics["score"]
    assert results.best.id == undisturbed.best.id

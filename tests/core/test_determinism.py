"""The same seed gives the same journal, byte by byte, in any process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from tunesmith.testing.searcher import KeyedSearcher, config_of

from .policies import PassiveStopper
from .test_chaos import run_of

SEEDS = range(0, 60, 5)


def journal() -> bytes:
    return b"\n".join(msgspec.json.encode(event) for seed in SEEDS for event in run_of(seed).events)


def test_events_are_byte_equal_under_different_hash_seeds():
    package = Path(__file__).parent
    program = f"import sys; from {package.name}.test_determinism import journal; sys.stdout.buffer.write(journal())"
    paths = os.pathsep.join([str(package.parent), *sys.path])

    journals = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": paths},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }

    assert journals == {journal()}


def test_configs_depend_neither_on_the_number_of_workers_nor_on_the_order_of_results():
    from tunesmith.executors.simulated import Faults, SimulatedExecutor
    from tunesmith.schedulers.fifo import FIFOScheduler
    from tunesmith.testing.driver import Driver

    from .test_chaos import curve

    for workers in (1, 2, 7):
        faults = Faults(seed=workers, message_delay=3.0, is_lost=0.1)
        driver = Driver(
            searcher=KeyedSearcher(seed=4),
            scheduler=FIFOScheduler(),
            stopper=PassiveStopper(),
            executor=SimulatedExecutor(curve, workers=workers, faults=faults),
            trials_wanted=12,
        ).run()

        assert [trial.config for trial in driver.experiment.trials] == [config_of(4, number) for number in range(12)]

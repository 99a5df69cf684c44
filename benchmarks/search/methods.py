"""Who searches: Tunesmith's searchers in this process (`ours.py`), every peer in one of its own; all by ask and tell.

CPU seconds are measured where the searcher works and cover its own calls alone: proposing and learning, not the
evaluation, nor the pipe in between.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .spaces import Config, Parameter

ROOT = Path(__file__).resolve().parents[2]
PEERS: dict[str, tuple[str, ...]] = {
    "optuna-tpe": ("with_optuna", "tpe"),
    "optuna-cmaes": ("with_optuna", "cmaes"),
    "optuna-gp": ("with_optuna", "gp"),
    "hyperopt": ("with_hyperopt",),
    "ngopt": ("with_nevergrad", "NGOpt"),
    "smac": ("with_smac",),
    "syne-cqr": ("with_syne",),
    "botorch": ("with_botorch",),
    "hebo": ("with_hebo",),
}
"""Name -> the driver below `peers/`, and its arguments. Any other name is a searcher of Tunesmith."""


class Missing(Exception):
    """A peer is not installed, or cannot do this; the message says why."""


class Method(Protocol):
    """One searcher on one problem, once."""

    cpu: float
    """Seconds of CPU so far."""

    def ask(self) -> Config: ...
    def tell(self, number: int, loss: float) -> None: ...


class Peer:
    """A peer's driver, a process that takes one problem after the other: its imports are paid for once."""

    def __init__(self, name: str, python: str) -> None:
        script, *arguments = PEERS[name]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [python, "-m", f"benchmarks.search.peers.{script}", *arguments],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True,
        )  # fmt: skip
        self.cpu = 0.0

    def start(self, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        self.cpu = 0.0
        spec = [parameter.as_json() for parameter in parameters]
        self._say({"do": "start", "parameters": spec, "seed": seed, "budget": budget, "workers": workers})

    def ask(self) -> Config:
        config: Config = self._say({"do": "ask"})["config"]
        return config

    def tell(self, number: int, loss: float) -> None:
        self._say({"do": "tell", "number": number, "loss": loss})

    def give(self, config: Config, loss: float) -> None:
        """Tell of a trial that somebody else proposed, before the first is asked for."""
        self._say({"do": "give", "config": config, "loss": loss})

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def _say(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Missing("its process has died") from None
        line = self._process.stdout.readline()
        if not line:
            raise Missing(f"its process has died (exit code {self._process.wait()})")
        answer: dict[str, Any] = json.loads(line)
        if "missing" in answer:
            raise Missing(answer["missing"])
        self.cpu += answer.get("cpu", 0.0)
        return answer


def peers_python(given: Sequence[str], name: str) -> str:
    """Return the Python for a peer: of `NAME=PATH` the one of its name, otherwise the first without a name."""
    named = dict(one.split("=", 1) for one in given if "=" in one)
    plain = [one for one in given if "=" not in one]
    return named.get(name) or (plain[0] if plain else sys.executable)

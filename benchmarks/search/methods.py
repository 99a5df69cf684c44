"""Who searches: Tunesmith's searchers in this process, every peer in a process of its own, both by ask and tell.

CPU seconds are measured where the searcher works and cover its own calls alone: proposing and learning, not the
evaluation, nor the pipe in between.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import tunesmith as tune
from tunesmith.core.events import (
    AttemptEnded,
    ExperimentCreated,
    Node,
    Placement,
    Reported,
    SessionOpened,
    Suggested,
    TrialCompleted,
    TrialLaunched,
)
from tunesmith.core.experiment import Experiment
from tunesmith.searchers.named import searcher_named
from tunesmith.space.space import Space

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


class Tunesmith:
    """One of our searchers, driven by the events that a run would feed it."""

    def __init__(self, name: str, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        self.cpu = 0.0
        self._parameters = parameters
        self._nested = {parameter.when[0] for parameter in parameters if parameter.when is not None}
        self.experiment = Experiment()
        began = time.process_time()
        space = Space(tunesmith_space(parameters))
        self._searcher = searcher_named(name).bound_to(space, budget, seed)
        self.cpu += time.process_time() - began
        self._feed(ExperimentCreated(at=0.0, name="benchmark", seed=seed, created=0.0))
        nodes = (Node("here", {"cpu": float(workers)}),)
        opened = SessionOpened(
            at=0.0, session=1, started=0.0, metric="loss", mode="min", trials_wanted=budget, nodes=nodes
        )
        self._feed(opened)

    def ask(self) -> Config:
        began = time.process_time()
        (config,) = self._searcher.suggest(1, self.experiment)
        self.cpu += time.process_time() - began
        number = self.experiment.next_number
        self._feed(Suggested(at=float(number), configs=(config,)))
        self._feed(TrialLaunched(at=float(number), trial=number, attempt=1, placement=Placement("here", {"cpu": 1.0})))
        flat: Config = {}
        for name, value in config.items():
            if name in self._nested:
                flat[name] = value["is"]
                flat.update((key, item) for key, item in value.items() if key != "is")
            else:
                flat[name] = value
        return flat

    def tell(self, number: int, loss: float) -> None:
        at = self.experiment.at + 1
        self._feed(Reported(at=at, trial=number, attempt=1, number=1, metrics={"loss": loss}, elapsed=1.0))
        self._feed(AttemptEnded(at=at, trial=number, attempt=1, outcome="done"))
        self._feed(TrialCompleted(at=at, trial=number))

    def _feed(self, event: Any) -> None:
        self.experiment.apply(event)
        began = time.process_time()
        self._searcher.observe(event, self.experiment)
        self.cpu += time.process_time() - began

    @property
    def warnings(self) -> Sequence[str]:
        return self._searcher.warnings


def tunesmith_space(parameters: Sequence[Parameter]) -> dict[str, Any]:
    """Return the space as Tunesmith's users write it: what depends on a choice stands inside it."""
    children: dict[tuple[str, Any], dict[str, Any]] = {}
    for parameter in parameters:
        if parameter.when is not None:
            children.setdefault(parameter.when, {})[parameter.name] = _domain(parameter)
    parents = {name for name, _ in children}
    space: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.when is None:
            name = parameter.name
            if name in parents:
                space[name] = tune.choice([{"is": is_, **children.get((name, is_), {})} for is_ in parameter.options])
            else:
                space[name] = _domain(parameter)
    return space


def _domain(parameter: Parameter) -> Any:
    if parameter.options:
        return tune.choice(parameter.options)
    if parameter.integer:
        make: Any = tune.lograndint if parameter.log else tune.randint
        return make(int(parameter.low), int(parameter.high) + 1)
    return (tune.loguniform if parameter.log else tune.uniform)(parameter.low, parameter.high)


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

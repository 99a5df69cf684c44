"""Tunesmith's searchers, driven by the events that a run would feed them."""

import ast
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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


class Tunesmith:
    """One of our searchers, driven by the events that a run would feed it."""

    def __init__(self, name: str, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        self.cpu = 0.0
        self._parameters = parameters
        self._nested = {parameter.when[0] for parameter in parameters if parameter.when is not None}
        self.experiment = Experiment()
        began = time.process_time()
        space = Space(tunesmith_space(parameters))
        self._searcher = settings(name).bound_to(space, budget, seed)
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
        self._launch(config)
        flat: Config = {}
        for name, value in config.items():
            if name in self._nested:
                flat[name] = value["is"]
                flat.update((key, item) for key, item in value.items() if key != "is")
            else:
                flat[name] = value
        return flat

    def give(self, config: Config, loss: float) -> None:
        """Tell of a trial that somebody else proposed; only for spaces without conditions."""
        number = self.experiment.next_number
        self._launch(config)
        self.tell(number, loss)

    def tell(self, number: int, loss: float) -> None:
        at = self.experiment.at + 1
        self._feed(Reported(at=at, trial=number, attempt=1, number=1, metrics={"loss": loss}, elapsed=1.0))
        self._feed(AttemptEnded(at=at, trial=number, attempt=1, outcome="done"))
        self._feed(TrialCompleted(at=at, trial=number))

    def _launch(self, config: Config) -> None:
        number, at = self.experiment.next_number, self.experiment.at
        self._feed(Suggested(at=at, configs=(config,)))
        self._feed(TrialLaunched(at=at, trial=number, attempt=1, placement=Placement("here", {"cpu": 1.0})))

    def _feed(self, event: Any) -> None:
        self.experiment.apply(event)
        began = time.process_time()
        self._searcher.observe(event, self.experiment)
        self.cpu += time.process_time() - began

    @property
    def warnings(self) -> Sequence[str]:
        return self._searcher.warnings


def settings(name: str) -> Any:
    """Return the settings of a searcher: by its name, or with arguments, `gp(n_initial_points=5)`."""
    found = searcher_named(name.partition("(")[0])
    if "(" not in name:
        return found
    call = ast.parse(name, mode="eval").body
    assert isinstance(call, ast.Call), f"{name} is not a searcher with arguments"
    return replace(found, **{word.arg: ast.literal_eval(word.value) for word in call.keywords})  # type: ignore[type-var]


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

"""Nevergrad: `with_nevergrad NGOpt`, which is told budget and workers; conditions by choices among dicts."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ..spaces import Config, Parameter
from .common import serve


class Nevergrad:
    def __init__(self, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        import nevergrad as ng

        warnings.simplefilter("ignore")
        self.ng = ng
        space = ng.p.Dict(**{p.name: self._node(p, parameters) for p in parameters if p.when is None})
        space.random_state.seed(seed)
        self.optimizer = ng.optimizers.registry[sys.argv[1]](parametrization=space, budget=budget, num_workers=workers)
        self.nested = {p.when[0] for p in parameters if p.when is not None}
        self.candidates: list[Any] = []

    def _node(self, p: Parameter, parameters: Sequence[Parameter]) -> Any:
        ng = self.ng
        children = [child for child in parameters if child.when is not None and child.when[0] == p.name]
        if children:
            return ng.p.Choice([
                ng.p.Dict(**{
                    "is": option, **{c.name: self._node(c, parameters) for c in children if c.when == (p.name, option)}
                })
                for option in p.options
            ])  # fmt: skip
        if p.options:
            return ng.p.Choice(list(p.options))
        if p.log:
            node = ng.p.Log(lower=p.low, upper=p.high)
        else:
            node = ng.p.Scalar(lower=p.low, upper=p.high)
        return node.set_integer_casting() if p.integer else node

    def ask(self) -> Config:
        candidate = self.optimizer.ask()
        self.candidates.append(candidate)
        config: Config = {}
        for name, value in candidate.value.items():
            if name in self.nested:
                config[name] = value["is"]
                config.update((key, item) for key, item in value.items() if key != "is")
            else:
                config[name] = value
        return config

    def tell(self, number: int, loss: float) -> None:
        self.optimizer.tell(self.candidates[number], loss)


if __name__ == "__main__":
    serve("nevergrad", Nevergrad)

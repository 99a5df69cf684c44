"""HEBO as it comes. It knows no conditions (every parameter is always there) and no pending trials."""

import warnings
from collections.abc import Sequence
from typing import Any

from ..spaces import Config, Parameter
from .common import serve


class Hebo:
    def __init__(self, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        import numpy as np
        import torch
        from hebo.design_space.design_space import DesignSpace
        from hebo.optimizers.hebo import HEBO

        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        np.random.seed(seed)
        torch.manual_seed(seed)
        self.numpy = np
        self.parameters = {p.name: p for p in parameters}
        self.optimizer = HEBO(DesignSpace().parse([self._node(p) for p in parameters]), scramble_seed=seed)
        self.asked: list[Any] = []

    def _node(self, p: Parameter) -> dict[str, Any]:
        if p.options:
            return {"name": p.name, "type": "cat", "categories": list(range(len(p.options)))}
        kind = ("pow_int" if p.log else "int") if p.integer else "pow" if p.log else "num"
        return {"name": p.name, "type": kind, "lb": p.low, "ub": p.high}

    def ask(self) -> Config:
        frame = self.optimizer.suggest(n_suggestions=1)
        self.asked.append(frame)
        config: Config = {}
        for name, value in frame.iloc[0].to_dict().items():
            p = self.parameters[name]
            config[name] = p.options[int(value)] if p.options else int(value) if p.integer else float(value)
        return config

    def tell(self, number: int, loss: float) -> None:
        self.optimizer.observe(self.asked[number], self.numpy.array([[loss]]))


if __name__ == "__main__":
    serve("hebo", Hebo)

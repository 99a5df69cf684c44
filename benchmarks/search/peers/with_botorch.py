"""BoTorch: SingleTaskGP as it comes and qLogEI with pending points, after 2d (at most 16) Sobol points.

Choices are one-hot and whole numbers relaxed, both rounded before they are tried, as Ax long did. It knows no
conditions: every parameter is always there.
"""

import math
import warnings
from collections.abc import Sequence
from typing import Any

from ..spaces import Config, Parameter
from .common import serve


class BoTorch:
    def __init__(self, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        import torch

        warnings.simplefilter("ignore")
        torch.set_num_threads(1)
        self.torch = torch
        self.seed = seed
        self.parameters = parameters
        self.width = sum(len(p.options) or 1 for p in parameters)
        self.rows: list[Any] = []
        self.losses: dict[int, float] = {}
        self.initial = min(2 * len(parameters), 16)
        self.sobol = torch.quasirandom.SobolEngine(len(parameters), scramble=True, seed=seed)

    def ask(self) -> Config:
        if len(self.rows) < self.initial or len(self.losses) < 2:
            unit = self.sobol.draw(1)[0].tolist()
            config = {p.name: self._value(p, u) for p, u in zip(self.parameters, unit, strict=True)}
        else:
            config = self._config(self._best().tolist())
        self.rows.append(self._row(config))
        return config

    def tell(self, number: int, loss: float) -> None:
        self.losses[number] = loss

    def _best(self) -> Any:
        from botorch.acquisition import qLogExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.optim import optimize_acqf
        from gpytorch.mlls import ExactMarginalLogLikelihood

        torch = self.torch
        torch.manual_seed(self.seed * 100_003 + len(self.rows))
        done = sorted(self.losses)
        x = torch.tensor([self.rows[number] for number in done], dtype=torch.float64)
        y = -torch.tensor([[self.losses[number]] for number in done], dtype=torch.float64)
        model = SingleTaskGP(x, y)
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        pending = [row for number, row in enumerate(self.rows) if number not in self.losses]
        acquisition = qLogExpectedImprovement(
            model, best_f=y.max(), X_pending=torch.tensor(pending, dtype=torch.float64) if pending else None
        )
        bounds = torch.stack([torch.zeros(self.width), torch.ones(self.width)]).double()
        best, _ = optimize_acqf(acquisition, bounds, q=1, num_restarts=5, raw_samples=256)
        return best[0]

    def _value(self, p: Parameter, unit: float) -> Any:
        if p.options:
            return p.options[min(int(unit * len(p.options)), len(p.options) - 1)]
        value = p.low * (p.high / p.low) ** unit if p.log else p.low + (p.high - p.low) * unit
        return round(value) if p.integer else min(max(value, p.low), p.high)

    def _row(self, config: Config) -> list[float]:
        row: list[float] = []
        for p in self.parameters:
            value = config[p.name]
            if p.options:
                row += [float(value == option) for option in p.options]
            elif p.log:
                row.append(math.log(value / p.low) / math.log(p.high / p.low))
            else:
                row.append((value - p.low) / (p.high - p.low))
        return row

    def _config(self, row: list[float]) -> Config:
        config: Config = {}
        at = 0
        for p in self.parameters:
            count = len(p.options) or 1
            part = row[at : at + count]
            config[p.name] = p.options[part.index(max(part))] if p.options else self._value(p, part[0])
            at += count
        return config


if __name__ == "__main__":
    serve("botorch", BoTorch)

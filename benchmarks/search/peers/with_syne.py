"""Syne Tune's CQR (conformal quantile regression). It knows no conditions: every parameter is always there."""

import logging
import warnings
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from ..spaces import Config, Parameter
from .common import serve


class SyneTune:
    def __init__(self, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        from syne_tune import config_space as space
        from syne_tune.backend.trial_status import Trial
        from syne_tune.optimizer.baselines import CQR

        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        self.trial = Trial
        self.trials: list[Any] = []
        self.scheduler = CQR({p.name: self._node(space, p) for p in parameters}, metric="loss", random_seed=seed)

    def _node(self, space: Any, p: Parameter) -> Any:
        if p.options:
            return space.choice(list(p.options))
        if p.integer:
            return (space.lograndint if p.log else space.randint)(int(p.low), int(p.high))
        return (space.loguniform if p.log else space.uniform)(p.low, p.high)

    def ask(self) -> Config:
        suggestion = self.scheduler.suggest()
        trial = self.trial(len(self.trials), suggestion.config, datetime.now())  # noqa: DTZ005  as it wants it
        self.trials.append(trial)
        return dict(suggestion.config)

    def tell(self, number: int, loss: float) -> None:
        self.scheduler.on_trial_complete(self.trials[number], {"loss": loss})


if __name__ == "__main__":
    serve("syne_tune", SyneTune)

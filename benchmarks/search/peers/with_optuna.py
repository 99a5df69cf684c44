"""Optuna: `with_optuna tpe`, `gp` or `cmaes`, everything as it comes; conditions by asking in order."""

import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ..spaces import Config, Parameter, is_there
from .common import serve


class Optuna:
    def __init__(self, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore")
        sampler = {
            "tpe": lambda: optuna.samplers.TPESampler(seed=seed),
            "gp": lambda: optuna.samplers.GPSampler(seed=seed),
            "cmaes": lambda: optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False),
        }[sys.argv[1]]()
        self.study = optuna.create_study(sampler=sampler)
        self.parameters = parameters
        self.trials: list[Any] = []

    def ask(self) -> Config:
        trial = self.study.ask()
        config: Config = {}
        for p in self.parameters:
            if not is_there(p, config):
                continue
            if p.options:
                config[p.name] = trial.suggest_categorical(p.name, p.options)
            elif p.integer:
                config[p.name] = trial.suggest_int(p.name, int(p.low), int(p.high), log=p.log)
            else:
                config[p.name] = trial.suggest_float(p.name, p.low, p.high, log=p.log)
        self.trials.append(trial)
        return config

    def give(self, config: Config, loss: float) -> None:
        import optuna

        domains = {p.name: optuna.distributions.FloatDistribution(p.low, p.high, log=p.log) for p in self.parameters}
        self.study.add_trial(optuna.trial.create_trial(params=config, distributions=domains, value=loss))
        self.trials.append(None)

    def tell(self, number: int, loss: float) -> None:
        self.study.tell(self.trials[number], loss)


if __name__ == "__main__":
    serve("optuna", Optuna)

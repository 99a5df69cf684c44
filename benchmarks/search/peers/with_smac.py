"""SMAC3: its facade for hyperparameters (random forest, log EI) by ask and tell; conditions of ConfigSpace."""

import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

from ..spaces import Config, Parameter
from .common import serve


class SMAC:
    def __init__(self, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        import logging

        import ConfigSpace
        from smac import HyperparameterOptimizationFacade, Scenario
        from smac.runhistory.dataclasses import TrialValue

        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        self.value = TrialValue
        self.parameters = {p.name: p for p in parameters}
        space = ConfigSpace.ConfigurationSpace(seed=seed)
        nodes = {p.name: self._node(p) for p in parameters}
        space.add(list(nodes.values()))
        for p in parameters:
            if p.when is not None:
                parent, option = p.when
                space.add(
                    ConfigSpace.EqualsCondition(
                        nodes[p.name], nodes[parent], self.parameters[parent].options.index(option)
                    )
                )
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        scenario = Scenario(space, n_trials=budget, seed=seed, deterministic=True, output_directory=self.folder.name)
        self.facade = HyperparameterOptimizationFacade(scenario, lambda config, seed: 0.0, overwrite=True)
        self.infos: list[Any] = []

    def _node(self, p: Parameter) -> Any:
        import ConfigSpace

        if p.options:
            return ConfigSpace.CategoricalHyperparameter(p.name, list(range(len(p.options))))
        if p.integer:
            return ConfigSpace.UniformIntegerHyperparameter(p.name, int(p.low), int(p.high), log=p.log)
        return ConfigSpace.UniformFloatHyperparameter(p.name, p.low, p.high, log=p.log)

    def ask(self) -> Config:
        info = self.facade.ask()
        self.infos.append(info)
        config: Config = {}
        for name, value in dict(info.config).items():
            p = self.parameters[name]
            config[name] = p.options[int(value)] if p.options else int(value) if p.integer else float(value)
        return config

    def tell(self, number: int, loss: float) -> None:
        self.facade.tell(self.infos[number], self.value(cost=loss, time=0.1), save=False)


if __name__ == "__main__":
    serve("smac", SMAC)

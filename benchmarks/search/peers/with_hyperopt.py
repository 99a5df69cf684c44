"""HyperOpt's TPE as it comes, driven as Ray Tune drives it; conditions by nested choices; no pending trials."""

from collections.abc import Sequence
from math import log
from typing import Any

from ..spaces import Config, Parameter
from .common import serve


class HyperOpt:
    def __init__(self, parameters: Sequence[Parameter], seed: int, budget: int, workers: int) -> None:
        import hyperopt
        import numpy as np

        self.hyperopt = hyperopt
        self.space = {p.name: self._node(p, parameters) for p in parameters if p.when is None}
        self.domain = hyperopt.base.Domain(lambda config: 0.0, self.space)
        self.trials = hyperopt.Trials()
        self.random = np.random.default_rng(seed)
        self.nested = {p.when[0] for p in parameters if p.when is not None}

    def _node(self, p: Parameter, parameters: Sequence[Parameter]) -> Any:
        hp = self.hyperopt.hp
        children = [child for child in parameters if child.when is not None and child.when[0] == p.name]
        if children:
            return hp.choice(p.name, [
                {"is": option, **{c.name: self._node(c, parameters) for c in children if c.when == (p.name, option)}}
                for option in p.options
            ])  # fmt: skip
        if p.options:
            return hp.choice(p.name, list(p.options))
        if p.integer and p.log:
            return self.hyperopt.pyll.scope.int(hp.qloguniform(p.name, log(p.low), log(p.high), 1))
        if p.integer:
            return self.hyperopt.pyll.scope.int(hp.quniform(p.name, p.low, p.high, 1))
        return hp.loguniform(p.name, log(p.low), log(p.high)) if p.log else hp.uniform(p.name, p.low, p.high)

    def ask(self) -> Config:
        ids = self.trials.new_trial_ids(1)
        self.trials.refresh()
        (document,) = self.hyperopt.tpe.suggest(ids, self.domain, self.trials, int(self.random.integers(2**31 - 1)))
        document["state"] = self.hyperopt.JOB_STATE_RUNNING
        self.trials.insert_trial_docs([document])
        self.trials.refresh()
        values = {name: value[0] for name, value in document["misc"]["vals"].items() if value}
        found = self.hyperopt.space_eval(self.space, values)
        config: Config = {}
        for name, value in found.items():
            if name in self.nested:
                config[name] = value["is"]
                config.update((key, item) for key, item in value.items() if key != "is")
            else:
                config[name] = value
        return config

    def tell(self, number: int, loss: float) -> None:
        document = next(one for one in self.trials._dynamic_trials if one["tid"] == number)
        document["state"] = self.hyperopt.JOB_STATE_DONE
        document["result"] = {"loss": loss, "status": "ok"}
        self.trials.refresh()


if __name__ == "__main__":
    serve("hyperopt", HyperOpt)

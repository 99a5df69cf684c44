"""ZOOpt: sequential RACOS, which samples where a classifier has separated the good trials from the bad.

Source: Hu et al. 2017, "Sequential Classification-Based Optimization for Direct Policy Search".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError
from .foreign import Adviser, Draws, ForeignSettings, observations
from .plain import PlainSpace

if TYPE_CHECKING:
    from ..searchers.history import History

PRECISION = 1e-9
"""Of reals; ZOOpt rounds to it."""


@dataclass(frozen=True, kw_only=True)
class ZOOptSearch(ForeignSettings):
    """ZOOpt's sequential RACOS: `searcher=tune.ZOOptSearch(budget=100)`. Needs `pip install 'tunesmith[zoopt]'`.

    Failed trials count as the worst. A parameter that is not there in a config counts as its middle or first value. It
    knows one objective: of several it sees the first.

    Args:
        algo: "asracos" or "sracos", which are the same here: trials may come to their ends in any order.
        budget: How many trials it plans for; it sets the sizes of its samples by that.
        exploration_rate: How often it draws anywhere in the space.
        n_initial_points: So many configs are spread over the space first; as many as its sample takes are wanted.
    """

    algo: str = "asracos"
    budget: int = 100
    exploration_rate: float = 0.01

    module: ClassVar[str] = "zoopt"
    extra: ClassVar[str] = "zoopt"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("budget", at_least=1)
        self.check_range("exploration_rate", least=0, most=1)
        if self.algo.lower() not in ("asracos", "sracos"):
            raise ConfigError(f"ZOOptSearch: algo={self.algo!r}: give 'asracos' or 'sracos'.")

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked."""
        return _Racos(self, space)


class _Racos(Adviser):
    def __init__(self, settings: ZOOptSearch, space: PlainSpace) -> None:
        from importlib import import_module

        self._zoopt: Any = settings.package()
        self._settings, self._space = settings, space
        self._racos: Any = import_module("zoopt.algos.opt_algorithms.racos.sracos").SRacosTune
        kinds = self._zoopt.ValueType
        self._dimension = self._zoopt.Dimension2(
            space.each(
                lambda name: (kinds.CONTINUOUS, [0.0, 1.0], PRECISION),
                lambda name, count: (kinds.DISCRETE, [0, count - 1], True),
                lambda name, count: (kinds.GRID, list(range(count))),
            )
        )

    def advice(self, history: History, number: int, seed: int) -> Any:
        parameter = self._zoopt.Parameter(
            budget=self._settings.budget, exploration_rate=self._settings.exploration_rate
        )
        rows, losses = observations(history, with_pending=False)
        if len(rows) <= parameter.get_train_size():
            return self._space.drawn(seed)
        with Draws(seed):
            racos = self._racos(self._dimension, parameter, parallel_num=len(history.pending) + 1)
            racos.init_num = parameter.get_train_size() + 1  # Its first sample is what others drew.
            for row, loss in zip(rows, losses.tolist(), strict=True):
                racos.complete(self._zoopt.Solution(x=self._space.full_values(row)), loss)
            solution = racos.suggest()
        return self._space.drawn(seed) if isinstance(solution, str) else self._space.row(solution.get_x())

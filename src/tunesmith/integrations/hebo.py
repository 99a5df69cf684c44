"""HEBO: a heteroscedastic, evolutionary Bayesian optimizer, with warped inputs and outputs.

Source: Cowen-Rivers et al. 2022, "HEBO: Pushing the Limits of Sample-Efficient Hyper-parameter Optimisation".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import require
from .foreign import Adviser, Draws, ForeignSettings, observations
from .plain import PlainSpace

if TYPE_CHECKING:
    from ..searchers.history import History


@dataclass(frozen=True, kw_only=True)
class HEBOSearch(ForeignSettings):
    """HEBO: `searcher=tune.HEBOSearch()`. Needs HEBO 0.3.5 and torch, in an environment with NumPy 1.24.

    Pending trials count as the mean of the others, failed ones as the worst. A parameter that is not there in a config
    counts as its middle or first value. It knows one objective: of several it sees the first.

    Args:
        n_initial_points: So many configs are spread over the space first.
        random_state_seed: Ray Tune's word for `seed`.
        hebo_kwargs: More arguments of HEBO, `model_name` say.
    """

    n_initial_points: int | None = 10
    random_state_seed: int | None = None
    hebo_kwargs: Mapping[str, Any] = field(default_factory=dict)

    module: ClassVar[str] = "hebo"
    extra: ClassVar[str] = "hebo"
    needs: ClassVar[tuple[str, ...]] = ("torch", "pandas")

    def __post_init__(self) -> None:
        self.same_as("seed", "random_state_seed")
        super().__post_init__()

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked."""
        return _HEBO(self, space)


class _HEBO(Adviser):
    def __init__(self, settings: HEBOSearch, space: PlainSpace) -> None:
        self._settings, self._space = settings, space
        self._torch: Any = require("torch", feature="HEBOSearch", extra="hebo")
        self._pandas: Any = require("pandas", feature="HEBOSearch", extra="hebo")
        designs: Any = require("hebo.design_space.design_space", feature="HEBOSearch", extra="hebo")
        self._design = designs.DesignSpace().parse(
            space.each(
                lambda name: {"name": name, "type": "num", "lb": 0.0, "ub": 1.0},
                lambda name, count: {"name": name, "type": "int", "lb": 0, "ub": count - 1},
                lambda name, count: {"name": name, "type": "cat", "categories": list(range(count))},
            )
        )
        self._hebo: Any = require("hebo.optimizers.hebo", feature="HEBOSearch", extra="hebo").HEBO

    def advice(self, history: History, number: int, seed: int) -> list[float]:
        rows, losses = observations(history, with_pending=True)
        table = self._pandas.DataFrame([self._space.full_values(row) for row in rows], columns=self._space.names)
        with Draws(seed), self._torch.random.fork_rng(devices=[]):
            self._torch.manual_seed(seed)
            optimizer = self._hebo(self._design, rand_sample=2, scramble_seed=seed, **self._settings.hebo_kwargs)
            optimizer.observe(table, losses[:, None])
            found = optimizer.suggest(n_suggestions=1).iloc[0]
        return self._space.row([found[name] for name in self._space.names])

"""FLAML: cost-frugal optimization (CFO), and the blend of it with a global search, in a dialogue.

Sources: Wu et al. 2021, "Frugal Optimization for Cost-related Hyperparameters"; Wang et al. 2021, "Economic
Hyperparameter Optimization with Blended Search Strategy".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..core.seeds import derived_seed
from .dialogue import DialogueSettings, Partner
from .foreign import Draws
from .plain import PlainSpace

MOST_TRIES = 20
"""It may decline to propose anything; asked so often, it is at its end, and the next config is drawn."""


@dataclass(frozen=True, kw_only=True)
class CFO(DialogueSettings):
    """FLAML's cost-frugal local search: `searcher=tune.CFO(low_cost_partial_config={"layers": 1})`.

    Needs `pip install 'tunesmith[flaml]'`. Failed trials count as the worst. A parameter that is not there in a config
    counts as its middle or first value. It knows one objective: of several it sees the first.

    Args:
        low_cost_partial_config: Part of a config that is cheap to train; the search begins there.
        n_initial_points: So many configs are spread over the space before.
    """

    low_cost_partial_config: Mapping[str, Any] | None = None

    module: ClassVar[str] = "flaml"
    extra: ClassVar[str] = "flaml"
    name: ClassVar[str] = "CFO"

    def partner(self, space: PlainSpace, seed: int, total: int | None, objectives: int) -> Partner:
        """Return a new optimizer."""
        return _Search(self, space, seed, total)


@dataclass(frozen=True, kw_only=True)
class BlendSearch(CFO):
    """FLAML's local searches blended with Optuna's TPE: `searcher=tune.BlendSearch()`. All else as with `CFO`."""

    name: ClassVar[str] = "BlendSearch"
    needs: ClassVar[tuple[str, ...]] = ("optuna",)


class _Search(Partner):
    def __init__(self, settings: CFO, space: PlainSpace, seed: int, total: int | None) -> None:
        flaml: Any = settings.package()
        self._space = space
        self._seed, self._draws = seed, Draws(seed)
        self._others = 0
        domains = space.each(
            lambda name: flaml.tune.uniform(0, 1),
            lambda name, count: flaml.tune.randint(0, count),
            lambda name, count: flaml.tune.choice(list(range(count))),
        )
        with self._draws:
            self._search = getattr(flaml, settings.name)(
                metric="loss",
                mode="min",
                space=dict(zip(space.names, domains, strict=True)),
                low_cost_partial_config=space.fixed(settings.low_cost_partial_config or {}, "low_cost_partial_config"),
                num_samples=total or -1,
                seed=seed,
                cost_attr=None,  # with a cost it would look at the clock
            )

    def ask(self, number: int) -> tuple[Any, Any]:
        with self._draws:
            for _ in range(MOST_TRIES):
                config = self._search.suggest(str(number))
                if config is not None:
                    return (str(number), config), self._space.row([config[name] for name in self._space.names])
        return None, self._space.drawn(derived_seed(self._seed, "declined", number))

    def tell(self, token: Any, losses: Sequence[float]) -> None:
        trial, config = token
        with self._draws:
            self._search.on_trial_complete(trial, {"loss": losses[0], "config": config})

    def inform(self, row: Any, losses: Sequence[float]) -> None:
        self._others += 1
        config = dict(zip(self._space.names, self._space.full_values(row), strict=True))
        self.tell((f"other {self._others}", config), losses)

    def forget(self, token: Any) -> None:
        with self._draws:
            self._search.on_trial_complete(token[0], None, error=True)

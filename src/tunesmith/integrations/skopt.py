"""scikit-optimize: its `Optimizer` with any of its surrogates.

Source: Head et al., "scikit-optimize"; Snoek et al. 2012, "Practical Bayesian Optimization of Machine Learning
Algorithms".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError
from .foreign import Adviser, ForeignSettings, observations
from .plain import PlainSpace

if TYPE_CHECKING:
    from ..searchers.history import History

SURROGATES = ("GP", "RF", "ET", "GBRT")


@dataclass(frozen=True, kw_only=True)
class SkOptSearch(ForeignSettings):
    """scikit-optimize's `Optimizer`: `searcher=tune.SkOptSearch()`. Needs `pip install 'tunesmith[skopt]'`.

    Pending trials count as the mean of the others, failed ones as the worst. A parameter that is not there in a config
    counts as its middle or first value. It knows one objective: of several it sees the first.

    Args:
        base_estimator: The surrogate: "GP", "RF", "ET" or "GBRT".
        acq_func: "gp_hedge", "EI", "LCB" or "PI".
        optimizer_kwargs: More arguments of `skopt.Optimizer`, `acq_func_kwargs` say.
        n_initial_points: So many configs are spread over the space first.
    """

    base_estimator: str = "GP"
    acq_func: str = "gp_hedge"
    optimizer_kwargs: Mapping[str, Any] = field(default_factory=dict)
    n_initial_points: int | None = 10

    module: ClassVar[str] = "skopt"
    extra: ClassVar[str] = "skopt"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base_estimator not in SURROGATES:
            raise ConfigError(f"SkOptSearch: base_estimator={self.base_estimator!r}: give one of {SURROGATES}.")

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked."""
        adviser = _SkOpt(self, space)
        adviser.optimizer(0)
        return adviser


class _SkOpt(Adviser):
    def __init__(self, settings: SkOptSearch, space: PlainSpace) -> None:
        self._skopt: Any = settings.package()
        self._settings, self._space = settings, space

    def optimizer(self, seed: int) -> Any:
        """Return a new optimizer; a ConfigError when the settings are not to its mind."""
        settings, kinds = self._settings, self._skopt.space
        try:
            return self._skopt.Optimizer(
                self._space.each(
                    lambda name: kinds.Real(0.0, 1.0, name=name),
                    lambda name, count: kinds.Integer(0, count - 1, name=name),
                    lambda name, count: kinds.Categorical(list(range(count)), name=name),
                ),
                base_estimator=settings.base_estimator,
                acq_func=settings.acq_func,
                n_initial_points=0,
                random_state=seed,
                **settings.optimizer_kwargs,
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(f"SkOptSearch: {error}") from error

    def advice(self, history: History, number: int, seed: int) -> list[float]:
        rows, losses = observations(history, with_pending=True)
        optimizer = self.optimizer(seed)
        optimizer.tell([self._space.full_values(row) for row in rows], losses.tolist())
        return self._space.row(optimizer.ask())

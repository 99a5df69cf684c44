"""SMAC3: a random forest over the configs, with the facade of hyperparameter optimization or of black boxes.

Source: Lindauer et al. 2022, "SMAC3: A Versatile Bayesian Optimization Package for Hyperparameter Optimization".
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError, require
from .foreign import Adviser, ForeignSettings, observations
from .plain import PlainSpace

if TYPE_CHECKING:
    from ..searchers.history import History

FACADES = {"hyperparameter": "HyperparameterOptimizationFacade", "blackbox": "BlackBoxFacade"}


@dataclass(frozen=True, kw_only=True)
class SMACSearch(ForeignSettings):
    """SMAC3's model: `searcher=tune.SMACSearch()`. Needs `pip install 'tunesmith[smac]'`.

    Conditions are conditions in its space too. Pending trials count as the mean of the others, failed ones as the
    worst. Who races and how often is Tunesmith's affair; of SMAC it is the model, the acquisition function and its
    maximiser. It knows one objective: of several it sees the first.

    Args:
        facade: "hyperparameter" (a random forest) or "blackbox" (a Gaussian process).
        n_initial_points: So many configs are spread over the space first.
        challengers: So many configs its acquisition function is computed at.
    """

    facade: str = "hyperparameter"
    n_initial_points: int | None = 10
    challengers: int = 1000

    module: ClassVar[str] = "smac"
    extra: ClassVar[str] = "smac"
    needs: ClassVar[tuple[str, ...]] = ("ConfigSpace",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("challengers", at_least=1)
        if self.facade not in FACADES:
            raise ConfigError(f"SMACSearch: facade={self.facade!r}: give one of {', '.join(map(repr, FACADES))}.")

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked."""
        return _SMAC(self, space)


class _SMAC(Adviser):
    def __init__(self, settings: SMACSearch, space: PlainSpace) -> None:
        self._smac: Any = settings.package()
        self._spaces: Any = require("ConfigSpace", feature="SMACSearch", extra="smac")
        self._facade = getattr(self._smac, FACADES[settings.facade])
        self._settings, self._plain = settings, space

    def _space(self, seed: int) -> Any:
        kinds = self._spaces
        space = kinds.ConfigurationSpace(seed=seed)
        dimensions = self._plain.each(
            lambda name: kinds.Float(name, (0.0, 1.0)),
            lambda name, count: kinds.Integer(name, (0, count - 1)),
            lambda name, count: kinds.Categorical(name, list(range(count))),
        )
        space.add(dimensions)
        for dimension, plain in zip(dimensions, self._plain.parameters, strict=True):
            parts = [kinds.EqualsCondition(dimension, dimensions[index], option) for index, option in plain.conditions]
            if parts:
                space.add(parts[0] if len(parts) == 1 else kinds.AndConjunction(*parts))
        return space

    def advice(self, history: History, number: int, seed: int) -> list[float]:
        space = self._space(seed)
        with TemporaryDirectory() as folder:  # It writes its settings down as soon as it is made.
            scenario = self._smac.Scenario(
                space, deterministic=True, n_trials=10**9, seed=seed % 2**31, output_directory=Path(folder)
            )
            facade = self._facade(
                scenario,
                lambda config, seed=0: 0.0,  # nobody calls it
                initial_design=self._facade.get_initial_design(scenario, n_configs=0),
                acquisition_maximizer=self._facade.get_acquisition_maximizer(
                    scenario, challengers=self._settings.challengers
                ),
                logging_level=False,
                overwrite=True,
            )
            for row, loss in zip(*observations(history, with_pending=True), strict=True):
                values = zip(self._plain.names, self._plain.conditioned_values(row), strict=True)
                there = {name: value for name, value in values if value is not None}
                facade.runhistory.add(self._spaces.Configuration(space, values=there), cost=float(loss), seed=0)
            found = dict(next(iter(facade._config_selector)))
        return self._plain.row([found.get(name) for name in self._plain.names])

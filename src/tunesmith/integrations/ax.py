"""Ax: its client, which chooses the models for the space that it sees.

Source: Olson et al. 2025, "Ax: A Platform for Adaptive Experimentation".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import require
from .foreign import Adviser, ForeignSettings
from .plain import PlainSpace

if TYPE_CHECKING:
    from ..searchers.history import History


@dataclass(frozen=True, kw_only=True)
class AxSearch(ForeignSettings):
    """Ax 1.0 or later: `searcher=tune.AxSearch()`. Needs `pip install 'tunesmith[ax]'`, and torch.

    Pending trials run in its experiment, failed ones are failed there, and several objectives are several there too. A
    parameter that is not there in a config counts as its middle or first value.

    Args:
        n_initial_points: So many configs are spread over the space first.
        method: How its generation strategy is chosen: "fast", "balanced" or "quality".
    """

    n_initial_points: int | None = 10
    method: str = "fast"

    module: ClassVar[str] = "ax"
    extra: ClassVar[str] = "ax"
    needs: ClassVar[tuple[str, ...]] = ("torch",)

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked."""
        return _Ax(self, space)


class _Ax(Adviser):
    def __init__(self, settings: AxSearch, space: PlainSpace) -> None:
        self._settings, self._space = settings, space
        self._torch: Any = require("torch", feature="AxSearch", extra="ax")
        self._client: Any = require("ax.api.client", feature="AxSearch", extra="ax").Client
        kinds: Any = require("ax.api.configs", feature="AxSearch", extra="ax")
        number, choice = kinds.RangeParameterConfig, kinds.ChoiceParameterConfig
        self._parameters = space.each(
            lambda name: number(name, bounds=(0.0, 1.0), parameter_type="float"),
            lambda name, count: number(name, bounds=(0, count - 1), parameter_type="int"),
            lambda name, count: choice(name, values=list(range(count)), parameter_type="int", is_ordered=False),
        )

    def advice(self, history: History, number: int, seed: int) -> list[float]:
        metrics = [f"loss{index}" for index in range(history.objectives.shape[1])]
        with self._torch.random.fork_rng(devices=[]):
            self._torch.manual_seed(seed)
            client = self._client(random_seed=seed)
            client.configure_experiment(parameters=self._parameters)
            client.configure_optimization(objective=", ".join(f"-{metric}" for metric in metrics))
            client.configure_generation_strategy(method=self._settings.method, initialization_budget=0)
            for row, losses in zip(history.points, history.objectives.tolist(), strict=True):
                data = dict(zip(metrics, losses, strict=True))
                client.complete_trial(self._attached(client, row), raw_data=data)
            for row in history.failed:
                client.mark_trial_failed(self._attached(client, row))
            for row in history.pending:
                self._attached(client, row)
            (found,) = client.get_next_trials(max_trials=1).values()
        return self._space.row([found[name] for name in self._space.names])

    def _attached(self, client: Any, row: Any) -> int:
        values = dict(zip(self._space.names, self._space.full_values(row), strict=True))
        return int(client.attach_trial(parameters=values))

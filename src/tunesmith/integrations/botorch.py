"""BoTorch: a Gaussian process over numbers and categories, with noisy expected improvement in its logarithm.

Sources: Balandat et al. 2020, "BoTorch: A Framework for Efficient Monte-Carlo Bayesian Optimization"; Ament et al.
2023, "Unexpected Improvements to Expected Improvement for Bayesian Optimization" (qLogNEI, and qLogNEHVI for several
objectives).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import require
from .foreign import Adviser, ForeignSettings, all_observations
from .plain import PlainSpace

if TYPE_CHECKING:
    from ..searchers.history import History


@dataclass(frozen=True, kw_only=True)
class BoTorchSearch(ForeignSettings):
    """BoTorch's qLogNEI: `searcher=tune.BoTorchSearch()`. Needs `pip install 'tunesmith[botorch]'`, and torch.

    Pending trials are pending points of the acquisition function, failed trials count as the worst. With several
    objectives it is qLogNEHVI. A parameter that is not there in a config counts as its middle or first value.

    Args:
        n_initial_points: So many configs are spread over the space first.
        num_restarts: So many climbs of the acquisition function.
        raw_samples: So many points to begin them at are looked at.
    """

    n_initial_points: int | None = 10
    num_restarts: int = 4
    raw_samples: int = 128

    module: ClassVar[str] = "botorch"
    extra: ClassVar[str] = "botorch"
    needs: ClassVar[tuple[str, ...]] = ("torch", "gpytorch")

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_count("num_restarts", at_least=1)
        self.check_count("raw_samples", at_least=1)

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked."""
        return _BoTorch(self, space)


class _BoTorch(Adviser):
    def __init__(self, settings: BoTorchSearch, space: PlainSpace) -> None:
        self._settings, self._space = settings, space
        self._torch: Any = require("torch", feature="BoTorchSearch", extra="botorch")
        self._botorch: Any = settings.package()
        self._gpytorch: Any = require("gpytorch.mlls", feature="BoTorchSearch", extra="botorch")
        # Categories are told by their index; numbers lie in [0, 1], whole ones with the first and last at the ends.
        kinds, most = [plain.kind for plain in space.parameters], [plain.count - 1 for plain in space.parameters]
        self._whole = [kind != "real" for kind in kinds]
        self._scale = [float(last) if kind == "whole" else 1.0 for kind, last in zip(kinds, most, strict=True)]
        self._highest = [float(last) if kind == "choice" else 1.0 for kind, last in zip(kinds, most, strict=True)]
        levels = {index: [value / last for value in range(last + 1)] for index, last in enumerate(most) if last > 0}
        self._levels = {index: level for index, level in levels.items() if kinds[index] == "whole"}
        self._categories = {index: range(most[index] + 1) for index, kind in enumerate(kinds) if kind == "choice"}

    def advice(self, history: History, number: int, seed: int) -> list[float]:
        torch = self._torch
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            rows, losses = all_observations(history, with_pending=False)
            x, y = self._points(rows), -torch.tensor(losses, dtype=torch.double)
            models, cats = self._botorch.models, list(self._categories)
            model = models.MixedSingleTaskGP(x, y, cat_dims=cats) if cats else models.SingleTaskGP(x, y)
            self._botorch.fit.fit_gpytorch_mll(self._gpytorch.ExactMarginalLogLikelihood(model.likelihood, model))
            pending = self._points(history.pending) if len(history.pending) else None
            found, _ = self._botorch.optim.optimize_acqf_mixed_alternating(
                self._acquisition(model, x, y, pending),
                torch.tensor([[0.0] * len(self._highest), self._highest], dtype=torch.double),
                discrete_dims=self._levels,
                cat_dims=self._categories,
                num_restarts=self._settings.num_restarts,
                raw_samples=self._settings.raw_samples,
            )
        values = zip(found[0].tolist(), self._scale, self._whole, strict=True)
        return self._space.row([round(value * scale) if whole else value for value, scale, whole in values])

    def _acquisition(self, model: Any, x: Any, y: Any, pending: Any) -> Any:
        functions = self._botorch.acquisition
        if y.shape[1] == 1:
            return functions.logei.qLogNoisyExpectedImprovement(model, x, X_pending=pending)
        box = self._botorch.utils.multi_objective
        worst = box.hypervolume.infer_reference_point(y[box.pareto.is_non_dominated(y)])
        kind = functions.multi_objective.logei.qLogNoisyExpectedHypervolumeImprovement
        return kind(model, worst.tolist(), x, X_pending=pending)

    def _points(self, rows: Any) -> Any:
        values = self._torch.tensor([self._space.full_values(row) for row in rows], dtype=self._torch.double)
        return values / self._torch.tensor(self._scale)

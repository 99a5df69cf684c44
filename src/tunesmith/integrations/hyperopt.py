"""HyperOpt: its tree of Parzen estimators, over the trials as documents of its own.

Source: Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from .foreign import Adviser, ForeignSettings
from .hyperopt_spaces import is_hyperopt, translated
from .plain import PlainSpace

if TYPE_CHECKING:
    from ..searchers.history import History


@dataclass(frozen=True, kw_only=True)
class HyperOptSearch(ForeignSettings):
    """HyperOpt's TPE: `searcher=tune.HyperOptSearch()`. Needs `pip install 'tunesmith[hyperopt]'`.

    Trials that are pending or failed count as the worst, as in HyperOpt itself. A parameter that is not there in a
    config says nothing about its values. It knows one objective: of several it sees the first.

    Args:
        space: What to search, added to the run's space; in HyperOpt's own words too, as early Tune had it.
        n_initial_points: So many configs are spread over the space first.
        random_state_seed: Ray Tune's word for `seed`.
        gamma: How many of the best are the good ones: gamma * sqrt(trials), at most 25.
    """

    n_initial_points: int | None = 20
    random_state_seed: int | None = None
    gamma: float = 0.25

    module: ClassVar[str] = "hyperopt"
    extra: ClassVar[str] = "hyperopt"

    def __post_init__(self) -> None:
        self.same_as("seed", "random_state_seed")
        super().__post_init__()
        self.check_range("gamma", least=0, most=1)

    def own_space(self) -> Mapping[str, Any]:
        """Return what is to be searched beside the run's space; `hp.uniform` and the like in Tunesmith's words."""
        return super().own_space() if not is_hyperopt(self.space) else translated(self.space)

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked."""
        return _TPE(self, space)


class _TPE(Adviser):
    def __init__(self, settings: HyperOptSearch, space: PlainSpace) -> None:
        self._hyperopt: Any = settings.package()
        self._gamma = settings.gamma
        self._space = space
        hp = self._hyperopt.hp
        dimensions = space.each(
            lambda name: hp.uniform(name, 0, 1), lambda name, count: hp.uniformint(name, 0, count - 1), hp.randint
        )
        # Conditions need no tree here: each parameter's model is made of the documents that have it.
        self._domain = self._hyperopt.base.Domain(lambda config: 0.0, dict(zip(space.names, dimensions, strict=True)))

    def advice(self, history: History, number: int, seed: int) -> list[float]:
        trials = self._hyperopt.Trials()
        rows = [*history.points[order := history.trials.argsort()], *history.failed, *history.pending]
        losses = [*history.losses[order].tolist(), *[None] * (len(rows) - len(order))]
        documents = [self._document(tid, *known) for tid, known in enumerate(zip(rows, losses, strict=True))]
        trials.insert_trial_docs(documents)
        trials.refresh()
        (found,) = self._hyperopt.tpe.suggest(
            [len(documents)], self._domain, trials, seed, n_startup_jobs=0, gamma=self._gamma, verbose=False
        )
        values = found["misc"]["vals"]
        return self._space.row([values[name][0] for name in self._space.names])

    def _document(self, tid: int, row: Any, loss: float | None) -> dict[str, Any]:
        values = dict(zip(self._space.names, self._space.values(row), strict=True))
        return {
            **dict.fromkeys(("spec", "exp_key", "owner", "book_time", "refresh_time")),
            "version": 0,
            "state": self._hyperopt.JOB_STATE_RUNNING if loss is None else self._hyperopt.JOB_STATE_DONE,
            "tid": tid,
            "result": {"status": "new"} if loss is None else {"status": "ok", "loss": loss},
            "misc": {
                "tid": tid,
                "cmd": self._domain.cmd,
                "workdir": None,
                "idxs": {name: [] if value is None else [tid] for name, value in values.items()},
                "vals": {name: [] if value is None else [value] for name, value in values.items()},
            },
        }

"""Optuna: any of its samplers, over a study in memory that holds the trials under their own names and ranges.

Source: Akiba et al. 2019, "Optuna: A Next-generation Hyperparameter Optimization Framework".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from ..errors import ConfigError
from ..space.encoding import Encoding
from .dialogue import DialogueSettings, Partner
from .foreign import reseeded
from .plain import PlainSpace
from .ranges import Range, ranges

LOOK_AT_TRIALS_ONLY = {"NoneType", "TPESampler", "GPSampler", "RandomSampler", "BruteForceSampler"}
FOR_ONE_OBJECTIVE = {"CmaEsSampler"}


@dataclass(frozen=True, kw_only=True)
class OptunaSearch(DialogueSettings):
    """Any sampler of Optuna: `searcher=tune.OptunaSearch(sampler=optuna.samplers.CmaEsSampler())`.

    Needs `pip install 'tunesmith[optuna]'`; some samplers need more (cmaes, torch). Pending trials are running ones of
    the study, failed trials failed ones, and with several objectives it has as many directions, all to be minimised
    (CMA-ES sees the first).

    Args:
        sampler: An object of `optuna.samplers`; None: TPE, as Optuna would choose it. It is copied, and seeded anew.
        n_initial_points: So many configs are spread over the space before the sampler is asked.
    """

    sampler: Any = None

    module: ClassVar[str] = "optuna"
    extra: ClassVar[str] = "optuna"
    needs_losses: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """Return the name of the sampler's class."""
        return type(getattr(self.sampler, "_base_sampler", self.sampler)).__name__

    @property
    def remembers(self) -> bool:
        """Whether the sampler leaves notes in its trials, as CMA-ES, NSGA, quasi-random ones and grids do."""
        return self.kind not in LOOK_AT_TRIALS_ONLY

    def partner(self, space: PlainSpace, seed: int, total: int | None, objectives: int) -> Partner:
        """Return a new study."""
        if not isinstance(self.sampler, self.package().samplers.BaseSampler | None):
            raise ConfigError(f"OptunaSearch: sampler={self.sampler!r}: give an object of optuna.samplers.")
        return _Study(self, space.encoding, seed, objectives)


class _Study(Partner):
    def __init__(self, settings: OptunaSearch, encoding: Encoding, seed: int, objectives: int) -> None:
        self._optuna: Any = settings.package()
        self._parameters = [(known, _distribution(self._optuna, known)) for known in ranges(encoding)]
        self._encoding = encoding
        has_conditions = any(parameter.is_conditional for parameter in encoding.parameters)
        sampler = settings.sampler or self._optuna.samplers.TPESampler(group=has_conditions)
        self._count = 1 if settings.kind in FOR_ONE_OBJECTIVE else objectives
        self._study = self._optuna.create_study(sampler=reseeded(sampler, seed), directions=["minimize"] * self._count)

    def ask(self, number: int) -> tuple[Any, list[float]]:
        trial, row = self._study.ask(), list[float]()
        for (known, distribution), parameter in zip(self._parameters, self._encoding.parameters, strict=True):
            # One after the other, as in a function of Optuna's own: what is not there is not asked for.
            is_there = self._encoding.is_there(parameter, row)
            row.append(known.coordinate(trial._suggest(known.name, distribution)) if is_there else float("nan"))
        return trial, row

    def tell(self, token: Any, losses: Sequence[float]) -> None:
        self._study.tell(token, list(losses[: self._count]))

    def forget(self, token: Any) -> None:
        self._study.tell(token, state=self._optuna.trial.TrialState.FAIL)

    def inform(self, row: Any, losses: Sequence[float]) -> None:
        self.inform_of(row, "COMPLETE", list(losses[: self._count]))

    def inform_of(self, row: Any, state: str, values: list[float] | None = None) -> None:
        there = [(*pair, where) for pair, where in zip(self._parameters, row, strict=True) if where == where]
        trial = self._optuna.trial.create_trial(
            state=self._optuna.trial.TrialState[state],
            values=values,
            params={known.name: known.value(where) for known, _, where in there},
            distributions={known.name: distribution for known, distribution, _ in there},
        )
        self._study.add_trial(trial)


def _distribution(optuna: Any, known: Range) -> Any:
    kinds = optuna.distributions
    if known.choices:
        return kinds.CategoricalDistribution(known.choices)
    more = {} if known.step is None else {"step": known.step}
    return (kinds.IntDistribution if more else kinds.FloatDistribution)(known.low, known.high, log=known.log, **more)

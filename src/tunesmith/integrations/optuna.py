"""Optuna: any of its samplers, over a study in memory that holds the trials under their own names and ranges.

Samplers that look at the trials only (TPE, GP, random, brute force) are asked anew each time. Others leave notes in
their trials (CMA-ES, NSGA, quasi-random, grids), and are led through the dialogue.

Source: Akiba et al. 2019, "Optuna: A Next-generation Hyperparameter Optimization Framework".
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..core.policy import Searcher
from ..errors import ConfigError
from ..space.encoding import Encoding
from ..space.space import Space
from .dialogue import DialogueSettings, Partner
from .foreign import AdvisedSearcher, Adviser, quiet, reseeded
from .plain import PlainSpace
from .ranges import Range, ranges

if TYPE_CHECKING:
    from ..searchers.history import History

LOOK_AT_TRIALS_ONLY = {"NoneType", "TPESampler", "GPSampler", "RandomSampler", "BruteForceSampler"}


@dataclass(frozen=True, kw_only=True)
class OptunaSearch(DialogueSettings):
    """Any sampler of Optuna: `searcher=tune.OptunaSearch(sampler=optuna.samplers.CmaEsSampler())`.

    Needs `pip install 'tunesmith[optuna]'`; some samplers need more (cmaes, torch). Pending trials are running ones of
    the study, failed trials failed ones, and with several objectives it has as many directions, all to be minimised;
    a sampler that cannot do with several sees the first.

    Args:
        sampler: An object of `optuna.samplers`; None: TPE, as Optuna would choose it. It is copied, and seeded anew.
        n_initial_points: So many configs are spread over the space before the sampler is asked.
    """

    sampler: Any = None

    module: ClassVar[str] = "optuna"
    extra: ClassVar[str] = "optuna"
    needs_losses: ClassVar[bool] = False

    def bound_to(self, space: Space, num_samples: int, seed: int) -> Searcher:
        """Return the searcher for a space; see `DialogueSettings.bound_to`."""
        with quiet(self.module):
            optuna: Any = self.package()
            if self.sampler is not None and not isinstance(self.sampler, optuna.samplers.BaseSampler):
                raise ConfigError(f"OptunaSearch: sampler={self.sampler!r}: give an object of optuna.samplers.")
            try:
                _Study(self, Encoding(space), 0, 1).ask(0)
            except ValueError as error:
                raise ConfigError(f"OptunaSearch: the sampler does not fit the space: {error}") from error
        if type(getattr(self.sampler, "_base_sampler", self.sampler)).__name__ in LOOK_AT_TRIALS_ONLY:
            return AdvisedSearcher(self, space, None if num_samples < 0 else num_samples, seed)
        return super().bound_to(space, num_samples, seed)

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked, where the sampler looks at the trials only."""
        return _Anew(self, space.encoding)

    def partner(self, space: PlainSpace, seed: int, total: int | None, objectives: int) -> Partner:
        """Return a new study."""
        return _Study(self, space.encoding, seed, objectives)


class _Study(Partner):
    def __init__(self, settings: OptunaSearch, encoding: Encoding, seed: int, objectives: int) -> None:
        self._optuna: Any = settings.package()
        self._encoding = encoding
        self._parameters = [(known, _distribution(self._optuna, known)) for known in ranges(encoding)]
        is_conditional = any(parameter.is_conditional for parameter in encoding.parameters)
        sampler = settings.sampler or self._optuna.samplers.TPESampler(group=is_conditional)
        for self._count in sorted({objectives, 1}, reverse=True):
            self._study = self._new_study(reseeded(sampler, seed))
            if self._count == 1 or self._answers():
                break
        self._study = self._new_study(reseeded(sampler, seed))

    def _new_study(self, sampler: Any) -> Any:
        return self._optuna.create_study(sampler=sampler, directions=["minimize"] * self._count)

    def _answers(self) -> bool:
        """Whether the sampler can do with so many objectives."""
        with contextlib.suppress(ValueError):
            return bool(self.ask(0))
        return False

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

    def inform(self, row: Any, losses: Sequence[float] | None, state: str = "COMPLETE") -> None:
        there = [(*pair, where) for pair, where in zip(self._parameters, row, strict=True) if where == where]
        trial = self._optuna.trial.create_trial(
            state=self._optuna.trial.TrialState[state],
            values=None if losses is None else list(losses[: self._count]),
            params={known.name: known.value(where) for known, _, where in there},
            distributions={known.name: distribution for known, distribution, _ in there},
        )
        self._study.add_trial(trial)


class _Anew(Adviser):
    def __init__(self, settings: OptunaSearch, encoding: Encoding) -> None:
        self._settings, self._encoding = settings, encoding

    def advice(self, history: History, number: int, seed: int) -> list[float]:
        study = _Study(self._settings, self._encoding, seed, history.objectives.shape[1])
        for index in history.trials.argsort().tolist():
            study.inform(history.points[index], history.objectives[index].tolist())
        for row in history.failed:
            study.inform(row, None, "FAIL")
        for row in history.pending:
            study.inform(row, None, "RUNNING")
        return study.ask(number)[1]


def _distribution(optuna: Any, parameter: Range) -> Any:
    if parameter.choices:
        return optuna.distributions.CategoricalDistribution(parameter.choices)
    if parameter.step is None:
        return optuna.distributions.FloatDistribution(parameter.low, parameter.high, log=parameter.log)
    return optuna.distributions.IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)

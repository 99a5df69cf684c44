"""bayesian-optimization: a Gaussian process with an acquisition function of the user's choice.

Source: Nogueira 2014, "Bayesian Optimization: Open source constrained global optimization tool for Python".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from ..errors import ConfigError
from .foreign import Adviser, ForeignSettings, observations, reseeded
from .plain import PlainSpace

if TYPE_CHECKING:
    from ..searchers.history import History

KINDS = {"ucb": "UpperConfidenceBound", "ei": "ExpectedImprovement", "poi": "ProbabilityOfImprovement"}


@dataclass(frozen=True, kw_only=True)
class BayesOptSearch(ForeignSettings):
    """The package bayesian-optimization, 2.0 or later: `searcher=tune.BayesOptSearch()`.

    Needs `pip install 'tunesmith[bayesopt]'`. Pending trials count as the mean of the others, failed ones as the worst.
    A parameter that is not there in a config counts as its middle or first value. It knows one objective: of several it
    sees the first.

    Args:
        utility_kwargs: Ray Tune's form of the acquisition function: {"kind": "ucb", "kappa": 2.576}, {"kind": "ei",
            "xi": 0.01} or {"kind": "poi", "xi": 0.01}.
        acquisition: An object of `bayes_opt.acquisition` instead; it is copied, and seeded anew.
        random_state: Ray Tune's word for `seed`.
        random_search_steps: Ray Tune's word for `n_initial_points`: so many configs are spread over the space first.
    """

    utility_kwargs: Mapping[str, Any] | None = None
    acquisition: Any = None
    random_state: int | None = None
    random_search_steps: int | None = None

    module: ClassVar[str] = "bayes_opt"
    extra: ClassVar[str] = "bayesopt"

    def __post_init__(self) -> None:
        self.same_as("seed", "random_state")
        self.same_as("n_initial_points", "random_search_steps")
        super().__post_init__()
        if self.utility_kwargs is not None:
            if self.acquisition is not None:
                raise ConfigError("BayesOptSearch: utility_kwargs= and acquisition= are the same. Give one of them.")
            if self.utility_kwargs.get("kind") not in KINDS or self.utility_kwargs.keys() - {"kind", "kappa", "xi"}:
                raise ConfigError(
                    f"BayesOptSearch: utility_kwargs={self.utility_kwargs!r}: give a kind of {', '.join(KINDS)}, "
                    "and kappa for ucb, xi for the others."
                )

    def adviser(self, space: PlainSpace) -> Adviser:
        """Return who is asked."""
        return _BayesOpt(self, space)


class _BayesOpt(Adviser):
    def __init__(self, settings: BayesOptSearch, space: PlainSpace) -> None:
        package: Any = settings.package()
        self._optimizer, self._space = package.BayesianOptimization, space
        bounds = space.each(
            lambda name: (0.0, 1.0),
            lambda name, count: (0, count - 1, int),
            lambda name, count: tuple(map(str, range(count))),
        )
        self._bounds = dict(zip(space.names, bounds, strict=True))
        said = dict(settings.utility_kwargs or {"kind": "ucb"})
        kind = said.pop("kind")
        own = said.get("kappa", 2.576) if kind == "ucb" else said.get("xi", 0.0)
        self._acquisition = settings.acquisition or getattr(package.acquisition, KINDS[kind])(own)

    def advice(self, history: History, number: int, seed: int) -> list[float]:
        optimizer = self._optimizer(
            f=None,
            pbounds=self._bounds,
            acquisition_function=reseeded(self._acquisition, seed),
            random_state=seed,
            allow_duplicate_points=True,
            verbose=0,
        )
        for row, loss in zip(*observations(history, with_pending=True), strict=True):
            optimizer.register(params=self._named(row), target=-loss)
        found = optimizer.suggest()
        values = [found[name] for name in self._space.names]
        return self._space.row([int(value) if isinstance(value, str) else value for value in values])

    def _named(self, row: Any) -> dict[str, Any]:
        pairs = zip(self._space.parameters, self._space.full_values(row), strict=True)
        return {plain.name: str(value) if plain.kind == "choice" else value for plain, value in pairs}

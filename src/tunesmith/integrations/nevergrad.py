"""Nevergrad: any optimizer of its registry, in a dialogue.

Source: Rapin and Teytaud 2018, "Nevergrad: A gradient-free optimization platform"; NGOpt: Meunier et al. 2022,
"Black-Box Optimization Revisited".
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..errors import ConfigError
from .dialogue import DialogueSettings, Partner
from .plain import PlainSpace

LONG = 1000
"""The budget that an optimizer is told of when there is no end to the trials."""


@dataclass(frozen=True, kw_only=True)
class NevergradSearch(DialogueSettings):
    """Any optimizer of Nevergrad: `searcher=tune.NevergradSearch(optimizer="NGOpt")`.

    Needs `pip install 'tunesmith[nevergrad]'`. The budget that it plans for is the run's num_samples. Failed trials
    count as the worst. A parameter that is not there in a config counts as its middle or first value.

    Args:
        optimizer: The name of an optimizer in `nevergrad.optimizers.registry`, or a class or family from there.
        optimizer_kwargs: More arguments of the optimizer; "budget" and "num_workers" say what it is to plan for.
        n_initial_points: So many configs are spread over the space before the optimizer is asked.
    """

    optimizer: Any = "NGOpt"
    optimizer_kwargs: Mapping[str, Any] = field(default_factory=dict)

    module: ClassVar[str] = "nevergrad"
    extra: ClassVar[str] = "nevergrad"

    def partner(self, space: PlainSpace, seed: int, total: int | None, objectives: int) -> Partner:
        """Return a new optimizer."""
        return _Nevergrad(self, space, seed, total)


class _Nevergrad(Partner):
    def __init__(self, settings: NevergradSearch, space: PlainSpace, seed: int, total: int | None) -> None:
        import numpy as np

        nevergrad: Any = settings.package()
        self._space = space
        self._refusal = nevergrad.errors.TellNotAskedNotSupportedError
        kinds = nevergrad.p
        parameters = space.each(
            lambda name: kinds.Scalar(lower=0.0, upper=1.0),
            lambda name, count: kinds.Scalar(lower=0, upper=count - 1).set_integer_casting(),
            lambda name, count: kinds.Choice(range(count)),
        )
        parametrization = kinds.Dict(**dict(zip(space.names, parameters, strict=True)))
        parametrization.random_state = np.random.RandomState(seed)
        make = settings.optimizer
        if isinstance(make, str):
            if make not in nevergrad.optimizers.registry:
                raise ConfigError(f"NevergradSearch: optimizer={make!r}: none of nevergrad.optimizers.registry.")
            make = nevergrad.optimizers.registry[make]
        try:
            arguments = {"budget": total or LONG, "num_workers": settings.max_concurrent or 1}
            self._optimizer = make(parametrization=parametrization, **arguments | dict(settings.optimizer_kwargs))
        except TypeError as error:
            raise ConfigError(
                f"NevergradSearch: optimizer={settings.optimizer!r} cannot be made: {error}. Give a name, a class or a "
                "family, and not an optimizer that has a space of its own."
            ) from error

    def ask(self, number: int) -> tuple[Any, list[float]]:
        candidate = self._optimizer.ask()
        return candidate, self._space.row([candidate.value[name] for name in self._space.names])

    def tell(self, token: Any, losses: Sequence[float]) -> None:
        self._optimizer.tell(token, losses[0] if len(losses) == 1 else list(losses))

    def inform(self, row: Any, losses: Sequence[float]) -> None:
        values = dict(zip(self._space.names, self._space.full_values(row), strict=True))
        candidate = self._optimizer.parametrization.spawn_child(new_value=values)
        with contextlib.suppress(self._refusal):  # Some optimizers listen only to what they have proposed.
            self.tell(candidate, losses)

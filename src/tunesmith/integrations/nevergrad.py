"""Nevergrad: any optimizer of its registry, in a dialogue.

Source: Rapin and Teytaud 2018, "Nevergrad: A gradient-free optimization platform"; NGOpt: Meunier et al. 2022,
"Black-Box Optimization Revisited".
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..core.seeds import derived_seed
from ..errors import ConfigError
from .dialogue import DialogueSettings, Partner
from .plain import PlainSpace

LONG = 1000
"""The budget that an optimizer is told of when there is no end to the trials."""
SEVERAL = 2
"""So many workers it plans for by default: more than one, so that it can be asked ahead."""


@dataclass(frozen=True, kw_only=True)
class NevergradSearch(DialogueSettings):
    """Any optimizer of Nevergrad: `searcher=tune.NevergradSearch(optimizer="NGOpt")`.

    Needs `pip install 'tunesmith[nevergrad]'`. The budget that it plans for is the run's num_samples, the workers are
    `max_concurrent`, or 2. For one worker it has methods that cannot be asked again before they have been told: give
    `max_concurrent=1` for these; what is wanted ahead nevertheless is drawn. Failed trials count as the worst. A
    parameter that is not there in a config counts as its middle or first value.

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
        self._space, self._seed = space, seed
        self._open = set[str]()
        """What it has proposed and not been told of."""
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
            arguments = {"budget": total or LONG, "num_workers": settings.max_concurrent or SEVERAL}
            self._optimizer = make(parametrization=parametrization, **arguments | dict(settings.optimizer_kwargs))
        except TypeError as error:
            raise ConfigError(
                f"NevergradSearch: optimizer={settings.optimizer!r} cannot be made: {error}. Give a name, a class or a "
                "family, and not an optimizer that has a space of its own."
            ) from error

    def ask(self, number: int) -> tuple[Any, Any]:
        if self._optimizer.num_workers == 1 and self._open:
            return None, self._space.drawn(derived_seed(self._seed, "ahead", number))  # It would wait for ever.
        try:
            candidate = self._optimizer.ask()
        except TypeError as error:
            raise ConfigError(f"NevergradSearch: {error}. Its models need an older NumPy: 'numpy<2.4'.") from error
        self._open.add(candidate.uid)
        return candidate, self._space.row([candidate.value[name] for name in self._space.names])

    def forget(self, token: Any) -> None:
        self._open.discard(token.uid)

    def tell(self, token: Any, losses: Sequence[float]) -> None:
        self._open.discard(token.uid)
        self._optimizer.tell(token, losses[0] if len(losses) == 1 else list(losses))

    def inform(self, row: Any, losses: Sequence[float]) -> None:
        values = dict(zip(self._space.names, self._space.full_values(row), strict=True))
        candidate = self._optimizer.parametrization.spawn_child(new_value=values)
        with contextlib.suppress(self._refusal):  # Some optimizers listen only to what they have proposed.
            self.tell(candidate, losses)

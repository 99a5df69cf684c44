"""Who gets resources that are free: what `ResourceChangingScheduler` asks. Nothing here changes anything.

An *allocation function* is any callable of (experiment, trial) that returns what the trial should hold from now on,
such as `{"cpu": 4}`, or None for what it has. It is a pure function: asked twice it answers the same. The trial is one
that runs and has just reported. The classes here are such functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..core.objective import WORST, Objective
from ..core.resources import checked_request
from ..core.trial import Status, Trial
from ..errors import ConfigError
from .arguments import objective_of, own_objective, whole_number

if TYPE_CHECKING:
    from ..core.experiment import Experiment

Request = dict[str, float]
Allocation = Callable[["Experiment", Trial], Mapping[str, float] | None]
_TINY = 1e-6
"""Amounts are counted in ten-thousandths."""


class DistributeResources:
    """Deals the free resources of a node evenly among the trials there, in whole steps.

    Each has its first request and as many steps on top as all can have; what is left of that goes, a step each, to the
    trials that came first. Trials that wait for resources are counted too. A trial grows when it may have more than it
    has and that is free; it shrinks, never below its first request, when another one waits.

    Args:
        add_bundles: Not supported: a trial's resources are one request, on one node.
        increase_by: The step, such as `{"cpu": 2}`; by default one of each of CPU and GPU that its first request names.
        increase_by_times: The most steps on top of the first request; -1: no bound.
        reserve_resources: What is to stay free on each node.

    Raises:
        ConfigError: An argument that makes no sense.
    """

    def __init__(
        self,
        add_bundles: bool = False,
        increase_by: Mapping[str, float] | None = None,
        increase_by_times: int = -1,
        reserve_resources: Mapping[str, float] | None = None,
    ) -> None:
        owner = type(self).__name__
        if add_bundles:
            raise ConfigError(
                f"{owner}: add_bundles={add_bundles!r} is not supported: a trial has one request, on one node, which "
                "grows. Leave it out."
            )
        self.increase_by = None if increase_by is None else _amounts(owner, "increase_by", increase_by)
        if self.increase_by == {}:
            raise ConfigError(f"{owner}: increase_by={increase_by!r} is no step. Give one, such as {{'cpu': 1}}.")
        self.increase_by_times = whole_number(owner, "increase_by_times", increase_by_times, least=-1)
        self.reserve_resources = _amounts(owner, "reserve_resources", reserve_resources or {})

    def __call__(self, experiment: Experiment, trial: Trial) -> Request | None:
        """Return what the trial should hold from now on; None for what it has."""
        placement = trial.placement
        first = dict(experiment.first_request_of(trial))
        step = self._step(first)
        if placement is None or not step:
            return None
        has = experiment.request_of(trial)
        wanted = self._at_most(self._share(experiment, trial, step))
        room = free_for(experiment, trial, self.reserve_resources)
        return _between(first, has, step, wanted, room, may_shrink=_somebody_waits(experiment))

    def _step(self, first: Request) -> Request:
        if self.increase_by is not None:
            return self.increase_by
        # A trial that shares a GPU has no use for a part of a second one.
        return {name: 1.0 for name in ("cpu", "gpu") if first.get(name) and (name == "cpu" or first[name] >= 1)}

    def _at_most(self, steps: int) -> int:
        return steps if self.increase_by_times < 0 else min(steps, self.increase_by_times)

    def _share(self, experiment: Experiment, trial: Trial, step: Request) -> int:
        """Return how many steps on top of its first request a trial may have."""
        assert trial.placement is not None
        here = trial.placement.node
        total = next((node.resources for node in experiment.pool.nodes if node.name == here), {})
        sharers = rank = 0
        base = dict.fromkeys(step, 0.0)
        for number in _competitors(experiment):
            other = experiment.trials[number]
            if other.placement is None or other.placement.node == here:
                sharers += 1
                rank += number < trial.id
                first = experiment.first_request_of(other)
                base = {name: amount + first.get(name, 0.0) for name, amount in base.items()}
        waiting = _how_many_wait(experiment)
        sharers += waiting
        steps = _whole_steps(
            {
                name: total.get(name, 0.0)
                - self.reserve_resources.get(name, 0.0)
                - base[name]
                - waiting * experiment.request.get(name, 0.0)
                for name in step
            },
            step,
        )
        even, rest = divmod(steps, max(1, sharers))
        return even + (rank < rest)


class DistributeResourcesToTopJob(DistributeResources):
    """Gives all that is free to the trial that is best now, by its newest result, once each has reported.

    Trials that were best before keep what they have, until another trial waits for resources: then they shrink to their
    first request.

    Args:
        add_bundles: Not supported, as in `DistributeResources`; so are the next three.
        increase_by: The step.
        increase_by_times: The most steps on top of the first request.
        reserve_resources: What is to stay free on each node.
        metric: What to rank by, with `mode`; by default the experiment's.
        mode: "min" or "max".
    """

    def __init__(
        self,
        add_bundles: bool = False,
        increase_by: Mapping[str, float] | None = None,
        increase_by_times: int = -1,
        reserve_resources: Mapping[str, float] | None = None,
        metric: str | None = None,
        mode: str | None = None,
    ) -> None:
        super().__init__(add_bundles, increase_by, increase_by_times, reserve_resources)
        self.objective = own_objective(type(self).__name__, metric, mode, None)

    def _share(self, experiment: Experiment, trial: Trial, step: Request) -> int:
        objective = objective_of(type(self).__name__, self.objective, experiment)
        mine = _loss(trial, objective), trial.id
        others = [experiment.trials[number] for number in _competitors(experiment)]
        is_top = mine[0] < WORST and not any(
            other.last is None or (_loss(other, objective), other.id) < mine for other in others
        )
        if is_top and not _somebody_waits(experiment):
            assert trial.placement is not None
            here = trial.placement.node
            return _whole_steps(dict(next(node.resources for node in experiment.pool.nodes if node.name == here)), step)
        return 0


def free_for(experiment: Experiment, trial: Trial, reserved: Mapping[str, float]) -> Request:
    """Return what a running trial could have on top on its node: what is free there and promised to nobody else."""
    assert trial.placement is not None
    node = trial.placement.node
    free = experiment.pool.free_on(node)
    for name, amount in reserved.items():
        free[name] = free.get(name, 0.0) - amount
    for number in experiment.reallocated:
        other = experiment.trials[number]
        if number != trial.id and (other.placement is None or other.placement.node == node):
            held = {} if other.placement is None else other.placement.resources  # what grows is the first bundle
            for name, amount in experiment.request_of(other).items():
                free[name] = free.get(name, 0.0) - max(0.0, amount - held.get(name, 0.0))
    return free


def _competitors(experiment: Experiment) -> list[int]:
    """Return the trials that run, or are about to again with other resources."""
    running = [number for number in experiment.live if experiment.trials[number].status is Status.RUNNING]
    return [*running, *experiment.reallocated]


def _how_many_wait(experiment: Experiment) -> int:
    """Return how many trials wait for resources."""
    return experiment.counts[Status.PENDING]


def _somebody_waits(experiment: Experiment) -> bool:
    return _how_many_wait(experiment) > 0


def _between(
    first: Request, has: Mapping[str, float], step: Request, wanted: int, room: Request, *, may_shrink: bool
) -> Request | None:
    """Return the request of `wanted` steps on top of the first one, or the largest below it for which there is room."""
    for steps in range(wanted, -1, -1):
        request = {**first, **{name: first.get(name, 0.0) + steps * amount for name, amount in step.items()}}
        more = {name: amount - has.get(name, 0.0) for name, amount in request.items()}
        if any(amount < -_TINY for amount in more.values()):
            return request if may_shrink and _is_allowed(request) else None
        if all(amount < _TINY for amount in more.values()):
            return None
        if _is_allowed(request) and all(amount <= room.get(name, 0.0) + _TINY for name, amount in more.items()):
            return request
    return None


def _is_allowed(request: Request) -> bool:
    gpus = request.get("gpu", 0.0)
    return gpus <= 1 or gpus == int(gpus)


def _whole_steps(amounts: Mapping[str, float], step: Request) -> int:
    return max(0, min(math.floor(amounts.get(name, 0.0) / amount + _TINY) for name, amount in step.items()))


def _loss(trial: Trial, objective: Objective) -> float:
    return WORST if trial.last is None else objective.loss(trial.last)


def _amounts(owner: str, name: str, amounts: Mapping[str, float]) -> Request:
    if not isinstance(amounts, Mapping):
        raise ConfigError(f"{owner}: {name}={amounts!r}: give a dict such as {{'cpu': 1}}.")
    try:
        return checked_request(amounts)
    except ValueError as error:
        raise ConfigError(f"{owner}: {name}: {error}") from error

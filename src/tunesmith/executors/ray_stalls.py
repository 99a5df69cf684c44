"""What trials start by Ray, and Ray cannot run because trials hold all that there is. Ray itself says nothing.

Most of Ray Data's tasks and whatever asks for a scheduling strategy of its own run beside what a trial holds.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

LOOK_EVERY = 2.0
_IN_GROUPS = re.compile(r"(.+)_group_[0-9a-f]+")
"""What Ray calls all that one placement group holds of a resource."""

Usage = Mapping[str, tuple[float, float]]
"""For each resource of a cluster, in Ray's names: how much there is, and how much is used."""


class Stalls:
    """Looks from time to time for tasks that wait in vain.

    Args:
        ray: The module, connected.
    """

    def __init__(self, ray: Any) -> None:
        self._address = ray.get_runtime_context().gcs_address
        self._next = 0.0
        self._waits: Mapping[str, float] = {}
        self._since = 0.0

    def look(self) -> None:
        """Ask Ray, if it is time; may be called in a thread of its own."""
        now = monotonic()
        if now < self._next:
            return
        self._next = now + LOOK_EVERY
        waits: Mapping[str, float] = {}
        with contextlib.suppress(Exception):  # Not an interface that Ray promises.
            from ray.autoscaler.v2.sdk import get_cluster_status

            status = get_cluster_status(self._address)
            usage = {each.resource_name: (each.total, each.used) for each in status.cluster_resource_usage}
            demand = status.resource_demands.ray_task_actor_demand
            waits = waiting_in_vain(usage, (each.bundle for one in demand for each in one.bundles_by_count))
        if not waits or not self._waits:
            self._since = now
        self._waits = waits

    def told(self, after: float) -> str:
        """Return in words what has waited in vain for so many seconds; "" for nothing."""
        waits = self._waits
        if not waits or monotonic() - self._since < after:
            return ""
        wanted = ", ".join(f"{name}: {amount:g}" for name, amount in sorted(waits.items()))
        return (
            f"tasks of Ray's wait for {wanted}, and trials hold all that there is. If your trials have started them: "
            "they run beside what a trial holds, as most of Ray Data's do: leave something free for them by "
            "max_concurrent_trials, or by asking for less for a trial"
        )


def waiting_in_vain(usage: Usage, demands: Iterable[Mapping[str, float]]) -> Mapping[str, float]:
    """Return a request of a task that no placement group will take, where only such groups use what it lacks."""
    reserved: dict[str, float] = {}
    for name, (total, _) in usage.items():
        if found := _IN_GROUPS.fullmatch(name):
            reserved[found[1]] = reserved.get(found[1], 0.0) + total
    for demand in demands:
        for name, amount in demand.items():
            total, used = usage.get(name, (0.0, 0.0))
            if "_group_" not in name and total - used < amount and used <= reserved.get(name, 0.0):
                return demand
    return {}

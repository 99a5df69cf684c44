"""Runs attempts on a Dask cluster: one long task per worker holds it and has an agent beside it.

Dask starts it and says which workers there are; all else goes over a socket to each agent.
"""

from __future__ import annotations

import contextlib
from typing import Any

from ..core.events import Node
from ..errors import ConfigError, require
from ..worker.remote import serve
from .base import Job
from .listener import Call
from .nodes import NodeExecutor


class DaskExecutor(NodeExecutor):
    """Runs attempts on the workers of a Dask cluster: `executor=tune.DaskExecutor("scheduler:8786")`.

    Each worker is a node with as many CPUs as it has threads, the memory that it may use, and what its `resources` say.
    Trials are processes of their own beside it; Dask's own tasks wait until the run is over.

    Args:
        address: Of the cluster's scheduler, or a `distributed.Client`. Default: the client that there is in this
            process, or what Dask's configuration says (DASK_SCHEDULER_ADDRESS).
        start_method: As of `LocalExecutor`.
        driver_address: Where the workers reach this machine. Default: what others call it.
    """

    def __init__(self, address: Any = None, *, start_method: str = "auto", driver_address: str | None = None) -> None:
        super().__init__(start_method=start_method, driver_address=driver_address)
        self._given = address
        self._client: Any = None
        self._asked: dict[str, Any] = {}
        """Workers that have been asked for an agent -> the future of its end."""

    def close(self) -> None:
        """End whatever still runs and let the workers go."""
        super().close()
        if self._client is not None and self._client is not self._given:
            self._client.close()
        self._client = None

    def _connect(self, job: Job) -> None:
        distributed = require("distributed", feature="executor='dask'", extra="dask")
        self._client = self._given
        if self._given is None:
            with contextlib.suppress(ValueError):  # There is none.
                self._given = self._client = distributed.get_client()
        if self._client is None or isinstance(self._client, str):
            self._client = distributed.Client(self._client or _configured_address(), set_as_default=False)
        self._look()

    def _look(self) -> None:
        workers = self._client.scheduler_info(n_workers=-1)["workers"]
        for address, future in list(self._asked.items()):
            if address not in workers or future.done():
                del self._asked[address]
                self._give_up(future, "its worker has left the cluster" if address not in workers else _why(future))
        for address, worker in workers.items():
            if address not in self._asked:
                self._ask(address, worker)

    def _ask(self, address: str, worker: dict[str, Any]) -> None:
        resources = {"cpu": float(worker["nthreads"]), "memory": float(worker["memory_limit"])}
        resources |= {name: float(amount) for name, amount in worker["resources"].items()}

        def begin(call: Call) -> Any:
            return self._client.submit(
                serve,
                *call,
                workers=[address],
                allow_other_workers=False,
                pure=False,
                retries=0,
                key=f"tunesmith-agent-{call.name.hex()}",
            )

        self._order(Node(str(worker["name"]), resources), begin)
        self._asked[address] = self._handles[-1]

    def _dismiss(self, handle: Any) -> None:
        handle.release()

    def _waiting(self, handle: Any) -> str:
        return f"its task is {handle.status}"


def _configured_address() -> str:
    import dask

    address = dask.config.get("scheduler-address", None)
    if not address:
        raise ConfigError(
            "executor='dask': which cluster? Give the address of its scheduler, tune.DaskExecutor('scheduler:8786'), "
            "or a distributed.Client, or set DASK_SCHEDULER_ADDRESS."
        )
    return str(address)


def _why(future: Any) -> str:
    try:
        return str(future.result(timeout=1))
    except Exception as error:  # noqa: BLE001  Dask has many; what it says is what is known
        return f"{type(error).__name__}: {error}"

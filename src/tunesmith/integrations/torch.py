"""torch distributed inside a trial: torchrun's own elastic launch, one process per worker, on one node or several."""

from __future__ import annotations

import dataclasses
import logging
import os
import pickle
import sys
import uuid
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from ..core.bundles import Bundles
from ..errors import ConfigError, require
from ..executors.by_value import pickled
from ..trainables import name_of
from ..worker.rank_host import Exits
from ..worker.rank_nodes import Companion
from ..worker.ranks import Relay, be_rank
from ..worker.session import Session, running

_LAUNCHER = "torch.distributed.launcher.api"
_START_METHODS = ("auto", "fork", "spawn")


class TorchTrainable:
    """A trainable whose trials are torch distributed: `tune.run(tune.TorchTrainable(train, workers=4), space=...)`.

    `train(config)` is an ordinary function and runs in each worker, with the process group initialised. Rank 0 reports:
    what `tune.report` is given in the others is left out, its checkpoint too, so that the same code may call it
    everywhere. When a trial is to end, rank 0 hears of it in its report; the others get SIGTERM once it has ended,
    which raises the same exception in them, and SIGKILL `grace_s` seconds later. When a worker fails the others end
    too, and the trial fails with that worker's traceback. `tune.get_checkpoint()` and `tune.get_context()` are the same
    in all workers. All begin with the same random seed: add the rank to it for what is to differ.

    Each trial asks for a bundle per worker, on as few nodes as can be; `resources=tune.Bundles(...)` places them
    otherwise. Where they lie on several nodes, the agent of each node starts the workers there, which meet at the first
    one. Each worker has as many threads as its bundle has CPUs, and with a GPU per worker `torch.cuda` is set to its
    own.

    Args:
        train: A function of `(config)`; data bound by `with_parameters` comes by keyword.
        workers: How many processes.
        resources_per_worker: What each of them holds.
        backend: "nccl", "gloo" or another one of torch's; default: nccl with a whole GPU per worker, else gloo.
        timeout_s: Seconds that one collective operation may take; default: torch's own.
        grace_s: Seconds between SIGTERM and SIGKILL for a worker that is to end.
        start_method: "fork": workers are forked from the trial's process, in which torch is loaded already; "spawn":
            each is a new interpreter, which takes seconds; "auto": fork, but spawn with GPUs, and where the trial's
            process belongs to Ray, whose threads no fork survives.

    Raises:
        ConfigError: An argument makes no sense.
        MissingExtra: torch is not installed.
    """

    preloads = ("torch", "torch.distributed", _LAUNCHER)
    """What a process that makes trials imports before."""

    def __init__(
        self,
        train: Callable[..., Any],
        *,
        workers: int,
        resources_per_worker: Mapping[str, float] | None = None,
        backend: str | None = None,
        timeout_s: float | None = None,
        grace_s: float = 5.0,
        start_method: str = "auto",
    ) -> None:
        if not callable(train) or isinstance(train, type):
            raise ConfigError(f"TorchTrainable({train!r}): give a function of (config).")
        if type(workers) is not int or workers < 1:
            raise ConfigError(f"TorchTrainable: workers={workers!r}: give a whole number of at least 1.")
        if start_method not in _START_METHODS:
            raise ConfigError(f"TorchTrainable: start_method={start_method!r}: give 'auto', 'fork' or 'spawn'.")
        if backend is not None and not isinstance(backend, str):
            raise ConfigError(f"TorchTrainable: backend={backend!r}: give 'gloo', 'nccl' or None.")
        require(_LAUNCHER, feature="TorchTrainable", extra="torch")
        each = dict({"cpu": 1} if resources_per_worker is None else resources_per_worker)
        self.default_resource_request = Bundles([each] * workers)
        """What a trial asks for, unless `resources=` says otherwise."""
        has_gpus = each.get("gpu", 0) >= 1
        self._workers = workers
        self._backend = backend or ("nccl" if has_gpus else "gloo")
        self._gpus_per_worker = int(each.get("gpu", 0))
        self._timeout = timeout_s
        self._grace = grace_s
        self._start_method = "spawn" if start_method == "auto" and each.get("gpu") else start_method
        self._packed: bytes | None = None
        self.__name__ = name_of(train)
        self.__wrapped__ = train

    def __getstate__(self) -> dict[str, Any]:
        # The function is opened in the workers only.
        state = {**vars(self), "_packed": self._packed or _bytes_of(self.__wrapped__)}
        state.pop("__wrapped__", None)
        return state

    def __call__(self, config: dict[str, Any], *_reporter: Any, **parameters: Any) -> None:
        """Run all workers of one trial."""
        session = running("TorchTrainable")
        counts = _workers_on_nodes(session, self._workers)
        ranked = _Ranked(
            self._packed or _bytes_of(self.__wrapped__), self._backend, self._timeout, self._gpus_per_worker
        )
        parameters.pop("reporter", None)
        job = dataclasses.replace(session.job, trainable=ranked, parameters=parameters)
        order = _bytes_of((job, session.assignment))
        first, *elsewhere = counts
        if at := session.assignment.at:
            number = list(counts).index(at)
            companion = Companion(session, number, self._grace)
            companion.run(
                lambda host, port: self._launch(
                    companion.address, order, counts[at], _many_nodes(len(counts), number, host, port, session)
                )
            )
        elif elsewhere:
            store = _Store()
            relay = Relay(session, self._workers, self._grace, elsewhere=elsewhere, opens=store.open)
            relay.run(
                lambda: self._launch(
                    relay.address, order, counts[first], _many_nodes(len(counts), 0, "localhost", store.port, session)
                )
            )
        else:
            relay = Relay(session, self._workers, self._grace)
            relay.run(lambda: self._launch(relay.address, order, self._workers, _one_node()))

    def _launch(self, address: str, order: bytes, count: int, settings: dict[str, Any]) -> Exits:
        """Start the workers of this node as torchrun does, and wait for their end."""
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        # It says for each trial that it cannot see to signals, and how each worker ended: here the relay's business.
        logging.getLogger("torch.distributed.elastic.multiprocessing.api").setLevel(logging.CRITICAL)
        start_method = self._start_method
        if start_method == "auto":
            start_method = "spawn" if _is_of_ray() else "fork"
        config = LaunchConfig(
            nproc_per_node=count,
            max_restarts=0,
            monitor_interval=0.05,
            start_method=start_method,
            **settings,
        )
        try:
            elastic_launch(config, _work)(address, order)
        except ChildFailedError as error:
            return {rank: failure.exitcode for rank, failure in error.failures.items()}
        return {}


def _workers_on_nodes(session: Session, workers: int) -> dict[str, int]:
    """Return how many workers each of the trial's nodes has, the first one first."""
    nodes = [bundle.node for bundle in session.context.bundles]
    if len(set(nodes)) == 1:
        return {nodes[0]: workers}
    if workers % len(nodes):
        raise ConfigError(
            f"TorchTrainable: {workers} workers cannot be shared out evenly among the {len(nodes)} bundles of trial "
            f"{session.assignment.trial}, which lie on several nodes. Give resources= with a bundle for each worker."
        )
    return {node: nodes.count(node) * workers // len(nodes) for node in nodes}


def _one_node() -> dict[str, Any]:
    return {
        "min_nodes": 1,
        "max_nodes": 1,
        "run_id": uuid.uuid4().hex,
        "rdzv_backend": "c10d",
        "rdzv_endpoint": "localhost:0",
        "local_addr": "localhost",
    }


def _many_nodes(count: int, number: int, host: str, port: int, session: Session) -> dict[str, Any]:
    """Return the settings by which node `number` finds the others at the store that the first one has opened.

    torchrun's static rendezvous keeps the order of the nodes, so that rank 0 is on the first one.
    """
    return {
        "min_nodes": count,
        "max_nodes": count,
        "run_id": f"{session.assignment.trial}-{session.assignment.attempt}",
        "rdzv_backend": "static",
        "rdzv_endpoint": f"{host}:{port}",
        "rdzv_configs": {"rank": number},
    }


def _is_of_ray() -> bool:
    """Whether this process belongs to a Ray, as that of a trial in an actor does."""
    ray: Any = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())


class _Store:
    """The store that ranks on several nodes meet at."""

    port = 0

    def open(self) -> int:
        """Open it at a port that is free; torchrun finds it there, as a process has one store server per port."""
        import torch

        distributed: Any = torch.distributed  # some of its names are there only where it has been compiled in
        self._store = distributed.TCPStore("localhost", 0, None, True, wait_for_workers=False, multi_tenant=True)
        self.port = int(self._store.port)
        return self.port


def _bytes_of(value: Any) -> bytes:
    return pickled(value, buffer_callback=lambda buffer: True)


class _Ranked:
    """The user's function as each worker runs it: in the process group."""

    def __init__(self, packed: bytes, backend: str, timeout: float | None, gpus: int) -> None:
        self._packed = packed
        self._backend = backend
        self._timeout = timeout
        self._gpus = gpus

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.__wrapped__ = pickle.loads(self._packed)  # noqa: S301  the user's own function, from our own parent

    def __call__(self, config: dict[str, Any], *reporter: Any, **parameters: Any) -> Any:
        import torch

        if self._gpus and torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) * self._gpus)
        timeout = None if self._timeout is None else timedelta(seconds=self._timeout)
        torch.distributed.init_process_group(self._backend, timeout=timeout)
        return self.__wrapped__(config, *reporter, **parameters)


def _work(address: str, order: bytes) -> None:
    """Be one worker, in a process that torch has started."""
    import torch

    ended = be_rank(address, int(os.environ["RANK"]), order)
    sys.stdout.flush()
    sys.stderr.flush()
    if ended.outcome != "done":
        # Taking the process group down properly may wait for those that do not go along.
        os._exit(1)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()

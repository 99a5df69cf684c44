"""Runs attempts in pilot jobs of a SLURM cluster: each job is a node with an agent, and runs many trials.

Jobs are submitted through submitit; all else goes over a socket to each agent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..core.events import Node
from ..errors import ConfigError, require
from ..worker.remote import serve_job
from .base import Job
from .listener import Call
from .nodes import NodeExecutor

MOST_LOST = 3
"""After so many jobs that ended before their agents came, there is something wrong that another one will not mend."""


class SlurmExecutor(NodeExecutor):
    """Runs attempts in pilot jobs: `executor=tune.SlurmExecutor(jobs=8, cpus_per_job=4, time_min=240)`.

    The experiment's folder, and with it the checkpoints, must lie where all machines see it. A job that ends, by its
    time limit or because it is preempted, is ordered again; its trials go on elsewhere from their last checkpoints.

    Args:
        jobs: How many pilot jobs.
        cpus_per_job: CPUs of each.
        gpus_per_job: GPUs of each.
        time_min: Minutes that each may run.
        partition: Where they are submitted.
        options: More options of submitit's `update_parameters`, e.g. `{"slurm_account": "me", "mem_gb": 8}`.
        cluster: "slurm", or "local" for processes on this machine, to try it out; None: SLURM where there is one.
        start_method: As of `LocalExecutor`.
        driver_address: Where the nodes reach this machine. Default: what others call it.
    """

    def __init__(
        self,
        *,
        jobs: int = 1,
        cpus_per_job: int = 1,
        gpus_per_job: int = 0,
        time_min: int = 60,
        partition: str | None = None,
        options: dict[str, Any] | None = None,
        cluster: str | None = None,
        start_method: str = "auto",
        driver_address: str | None = None,
    ) -> None:
        super().__init__(start_method=start_method, driver_address=driver_address)
        for name, count, least in (("jobs", jobs, 1), ("cpus_per_job", cpus_per_job, 1), ("time_min", time_min, 1)):
            if type(count) is not int or count < least:
                raise ConfigError(f"SlurmExecutor: {name}={count!r}: give a whole number of at least {least}.")
        self._wanted = jobs
        self._resources = {"cpu": float(cpus_per_job), **({"gpu": float(gpus_per_job)} if gpus_per_job else {})}
        self._parameters: dict[str, Any] = {
            "cpus_per_task": cpus_per_job,
            "timeout_min": time_min,
            **({"gpus_per_node": gpus_per_job} if gpus_per_job else {}),
            **({"slurm_partition": partition} if partition else {}),
            **(options or {}),
        }
        self._cluster = cluster
        self._submitter: Any = None
        self._ordered = 0
        self._lost = 0

    def _connect(self, job: Job) -> None:
        submitit = require("submitit", feature="executor='slurm'", extra="slurm")
        folder = Path(self._folder) / "slurm"
        self._submitter = submitit.AutoExecutor(folder=folder, cluster=self._cluster)
        self._submitter.update_parameters(name="tunesmith", **self._parameters)
        self._make_up()

    def _order_one(self) -> None:
        self._ordered += 1

        def begin(call: Call) -> Any:
            return self._submitter.submit(serve_job, *call)

        self._order(Node(f"job {self._ordered}", dict(self._resources)), begin)

    def _look(self) -> None:
        for member in list(self._members.values()):
            if member.handle.done():
                if member.node.expected:
                    self._lost += 1
                self._give_up(member.handle, _why(member.handle))

    def _make_up(self) -> None:
        while len(self._all_nodes()) < self._wanted and self._lost < MOST_LOST:
            self._order_one()

    def _dismiss(self, handle: Any) -> None:
        handle.cancel()

    def _waiting(self, handle: Any) -> str:
        return f"job {handle.job_id} is {handle.state.lower()}"


def _why(job: Any) -> str:
    try:
        return f"job {job.job_id} has ended: {job.result()}"
    except Exception as error:  # noqa: BLE001  submitit has many; what it says is what is known
        return f"job {job.job_id} has ended: {str(error).strip().splitlines()[0]}"

"""Runs attempts on this machine: one agent process, and workers that it forks."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence

import msgspec

from ..core.commands import Start
from ..core.events import Event, Node
from ..errors import ExecutorError
from ..worker.system import agent_environment
from .agents import AgentExecutor
from .base import Job
from .connection import AgentLine, LocalAgent
from .machine import chosen_gpus, cpu_count, visible_gpus

AGENT_TIMEOUT = 10.0
MOST_AGENTS = 4
"""After so many agents that went away by themselves there is something wrong that another one will not mend."""
CLOSE_PATIENCE = 5.0


class LocalExecutor(AgentExecutor):
    """Runs attempts in processes of this machine.

    Args:
        cpus: How many CPUs to count on; more than there are oversubscribes them. Default: those this process may use.
        gpus: How many of the visible GPUs to use, or which. Default: all.
        resources: Anything else that trials may ask for, e.g. `{"license": 2}`.
        start_method: "fork": each worker is forked from the agent, which has imported what the trainable needs;
            "exec": each is a new interpreter; "auto": fork where that is safe.
        driver_timeout: How long workers go on computing when the driver stands still (as under a debugger). When it
            dies they end at once, whatever this is.
    """

    agent_timeout = AGENT_TIMEOUT
    lease = 0.0

    def __init__(
        self,
        *,
        cpus: float | None = None,
        gpus: int | Sequence[str] | None = None,
        resources: Mapping[str, float] | None = None,
        start_method: str = "auto",
        driver_timeout: float = 600.0,
    ) -> None:
        super().__init__(start_method=start_method)
        self._cpus = cpus
        self._gpus = gpus
        self._resources = dict(resources or {})
        self.driver_timeout = driver_timeout
        self._name = socket.gethostname() or "localhost"
        self._environment: dict[str, str] = {}
        self._agent: LocalAgent | None = None
        self._agents = 0

    def open(self, job: Job, *, at: float, deliver: Callable[[list[Event]], None]) -> Sequence[Node]:
        """Start the agent; return this machine. The agent prepares itself while the caller goes on.

        Raises:
            ConfigError: The trainable, or what goes with it, cannot be sent to another process.
        """
        visible = visible_gpus()
        gpus = chosen_gpus(self._gpus, visible)
        self._environment = agent_environment(os.environ)
        self._prepare(
            job,
            at,
            by_main_thread=threading.current_thread() is threading.main_thread(),
            hide_gpus=bool(visible),
        )
        self._launch_agent()
        cpus = float(cpu_count() if self._cpus is None else self._cpus)
        resources = {"cpu": cpus, **({"gpu": float(len(gpus))} if gpus else {}), **self._resources}
        return (Node(self._name, resources, gpus),)

    def close(self) -> None:
        """Kill what runs; the agent sees to it that nothing is left."""
        agent, self._agent = self._agent, None
        if agent is not None:
            agent.close(CLOSE_PATIENCE)
        super().close()

    def _lines_for(self, command: Start) -> tuple[AgentLine, ...]:
        return (self._launch_agent() if self._agent is None else self._agent,)

    def _launch_agent(self) -> AgentLine:
        self._agents += 1
        agent = self._agent = LocalAgent(self._environment)
        self._introduce(agent)
        self._listen_to(agent)
        return agent

    def _on_lost(self, line: AgentLine, reason: str) -> str:
        """Close the line; the next start gets another agent."""
        self._agent = None
        words = line.close(0.0 if reason else CLOSE_PATIENCE)
        reason = reason or words
        if not line.is_ready and self._setup is not None and self._setup.preload:
            # Perhaps it died of what it imported; a worker that dies of it can say so in its trial's name.
            self._setup = msgspec.structs.replace(self._setup, preload=[])
        if self._agents >= MOST_AGENTS:
            raise ExecutorError(f"{reason}. It was the {self._agents}th that went away by itself; giving up.")
        return reason

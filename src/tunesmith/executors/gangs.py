"""Attempts with resources under several agents: the first one runs it, the others hold what it has there."""

from __future__ import annotations

from dataclasses import dataclass

from ..worker.protocol import Assignment
from .connection import AgentLine


@dataclass(eq=False)
class Gang:
    """One such attempt."""

    lines: tuple[AgentLine, ...]
    """The agents; the first one runs it."""
    waiting: Assignment | None
    """What it is begun by, for as long as an agent is not there yet: it has all that it asked for, or does not run."""
    loss: str = ""
    """Why it is being ended: an agent that held a part of what it has is gone."""

    @property
    def is_complete(self) -> bool:
        """Whether all agents are there."""
        return all(line.socket is not None for line in self.lines)

    @property
    def leaves(self) -> str:
        """Why one of the agents must go, or ""."""
        return next((line.leaves for line in self.lines if line.leaves), "")

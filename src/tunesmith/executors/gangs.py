"""Attempts with resources under several agents: the first one runs it, the others hold what it has there.

Where the first part of an attempt asks for it (`Gather`), the others run parts of it as well. The attempt has ended
when all of its parts have.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec.structs import replace

from ..core.events import Failure
from ..worker.protocol import Assignment, Ended
from .connection import AgentLine

PART_GRACE = 5.0
"""Seconds that the other parts of an attempt may take to end when one has."""
End = tuple[str, Failure | None, str | None, int, str]
"""How an attempt ended, and what it saved last: fields of `core.events.AttemptEnded`."""


@dataclass(eq=False)
class Gang:
    """One such attempt."""

    lines: tuple[AgentLine, ...]
    """The agents; the first one runs it."""
    assignment: Assignment
    is_waiting: bool = True
    """Whether an agent is not there yet: it has all that it asked for, or does not run."""
    loss: str = ""
    """Why it is being ended: an agent that held a part of what it has is gone."""
    parts: set[AgentLine] = field(default_factory=set)
    """Those of the others that run a part of it now."""
    failure: tuple[str, Failure] | None = None
    """The outcome of a part that failed by itself, and why; the rest is being ended."""
    end: End | None = None
    """How it has ended, while parts of it have not."""

    @property
    def is_complete(self) -> bool:
        """Whether all agents are there."""
        return all(line.socket is not None for line in self.lines)

    @property
    def leaves(self) -> str:
        """Why one of the agents must go, or ""."""
        return next((line.leaves for line in self.lines if line.leaves), "")

    def gather(self, meeting: str) -> list[tuple[AgentLine, Assignment]]:
        """Return what is to run under the other agents."""
        nodes = [share.node for share in self.assignment.more if share.node != self.assignment.node]
        # An agent for each node, in the order in which they are first named (`Placement.nodes`).
        others = list(zip(self.lines[1:], dict.fromkeys(nodes), strict=True))
        self.parts = {line for line, _ in others}
        return [(line, replace(self.assignment, at=node, meeting=meeting)) for line, node in others]

    def take_part_end(self, line: AgentLine, ended: Ended) -> bool:
        """Learn how a part has ended; return whether the rest must be ended because of that."""
        self.parts.discard(line)
        if self.end is not None or ended.outcome == "done" or self.loss or self.failure is not None:
            return False
        kind, message = ended.kind or "lost", ended.message or "a part of it was ended from outside"
        outcome = "lost" if ended.outcome in ("halted", "killed") else ended.outcome
        self.failure = outcome, Failure(kind, message, ended.where, ended.traceback)
        return True

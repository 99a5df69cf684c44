"""One run: a searcher on a problem, one after the other or with asynchronous workers in virtual time."""

import hashlib
import heapq
import math
import random
from typing import Any

from .methods import Method
from .problems import Problem
from .spaces import only_what_counts

Mode = tuple[int, int]
"""(workers, evaluations in total, which the searcher is told)."""
SPREAD = 0.6
"""Of the logarithm of an evaluation's duration: the slowest of eight takes about four times as long as the fastest."""


def mode(text: str) -> Mode:
    """Return the mode that `8x50` says: 8 workers, 50 evaluations."""
    workers, _, budget = text.partition("x")
    return int(workers), int(budget)


def duration(problem: str, seed: int, number: int) -> float:
    """Return how long an evaluation takes: the same for every searcher."""
    key = hashlib.blake2b(f"{problem}/{seed}/{number}".encode(), digest_size=8).digest()
    return math.exp(random.Random(int.from_bytes(key, "little")).gauss(0, SPREAD))


def losses_of(method: Method, problem: Problem, *, seed: int, budget: int, workers: int) -> list[float]:
    """Return the losses in the order in which the evaluations ended. A free worker gets the next config at once."""
    losses: list[float] = []
    running: list[tuple[float, int, float]] = []
    now, asked = 0.0, 0
    while len(losses) < budget:
        while asked < budget and len(running) < workers:
            config: dict[str, Any] = only_what_counts(problem.parameters, method.ask())
            heapq.heappush(running, (now + duration(problem.name, seed, asked), asked, problem.loss(config)))
            asked += 1
        now, number, loss = heapq.heappop(running)
        losses.append(loss)
        method.tell(number, loss)
    return losses

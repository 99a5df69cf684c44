"""What a suggestion costs: `python -m benchmarks.search.cost [--peers-python PATH] [--quick]`.

Milliseconds of CPU on one core: with so many observations known in ten dimensions, a trial ends and the next is asked
for, again and again; everything that the searcher does for it counts. Medians.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping

import numpy as np

from benchmarks.figures import Figure, table

from .methods import Missing, Peer, peers_python
from .ours import Tunesmith
from .spaces import Config, real

DIMENSIONS = 10
SPACE = tuple(real(f"x{index}", -5.0, 5.0) for index in range(DIMENSIONS))
TARGETS = {("tpe", 200): 1.0, ("gp", 200): 100.0, ("forest", 200): 50.0, ("tpe", 10_000): 5.0}
PEERS_AT = {"optuna-tpe": (200, 1000), "optuna-gp": (200,)}
COUNTS = (200, 1000, 10_000)
ENDLESS = ("tpe", "cmaes")
"""Whose suggestions are asked for after many observations too."""
TIMED = 25


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.cost", description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["tpe", "gp", "forest", "cmaes"])
    parser.add_argument("--peers-python", action="append", default=[], help="PATH, or NAME=PATH for one peer")
    parser.add_argument("--quick", action="store_true", help="without 10,000 observations")
    parser.add_argument("--check", action="store_true", help="exit with 1 if a target is missed")
    options = parser.parse_args()
    figures = []
    for method in options.methods:
        for count in COUNTS if method in ENDLESS else COUNTS[:1]:
            if count < COUNTS[-1] or not options.quick:
                found: float | str = cost(Tunesmith(method, SPACE, 0, 2 * count, 1), count)
                figures.append(figure(method, count, found, {}))
    for name, counts in PEERS_AT.items() if options.peers_python else ():
        for count in counts:
            peer = Peer(name, peers_python(options.peers_python, name))
            try:
                peer.start(SPACE, 0, 2 * count, 1)
                found = cost(peer, count)
            except Missing as reason:
                found = str(reason)
            finally:
                peer.close()
            figures.append(figure(name, count, None, {"peer": found}))
    print(table(figures))
    missed = [figure.name for figure in figures if figure.met is False]
    print(f"\n{len(missed)} target(s) missed: {'; '.join(missed)}" if missed else "\nEvery target is met.")
    return 1 if missed and options.check else 0


def figure(name: str, count: int, ours: float | str | None, peers: Mapping[str, float | str]) -> Figure:
    return Figure(f"{name}, {count:,} observations", "ms", ours, peers, TARGETS.get((name, count)), at_most=True)


def cost(method: Tunesmith | Peer, count: int) -> float:
    """Return the median milliseconds of a suggestion and of learning its result, after `count` observations."""
    random = np.random.default_rng(0)
    target = random.uniform(-4, 4, len(SPACE))

    def loss(config: Config) -> float:
        at = np.array([config[parameter.name] for parameter in SPACE])
        return float(np.sum((at - target) ** 2) + random.normal(0, 0.1))

    for _ in range(count):
        config = {parameter.name: float(random.uniform(-5, 5)) for parameter in SPACE}
        method.give(config, loss(config))
    times = []
    for number in range(count, count + TIMED):
        before = method.cpu
        method.tell(number, loss(method.ask()))
        times.append(1e3 * (method.cpu - before))
    # The first one pays for all that was learned until then.
    return statistics.median(times[1:])


if __name__ == "__main__":
    sys.exit(main())

"""A quick look: `python -m benchmarks.search.quick --methods tpe gp --problems bbob-f8-10d --seeds 5`, nothing kept.

Prints for each problem the mean regret divided by random search's (below 1 is better), and its geometric mean.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np

from . import records
from .clock import mode
from .measures import RANDOM, cells, geometric_mean_ratio, ratio
from .problems import SUITES, suite
from .running import run_missing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.quick", description=__doc__)
    parser.add_argument("--methods", nargs="+", default=["tpe"], help="names of searchers or peers")
    parser.add_argument("--problems", nargs="+", default=["core"], help="names of problems, or of a suite")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--modes", nargs="+", default=["1x100", "8x50"], help="WORKERSxEVALUATIONS")
    parser.add_argument("--peers-python", action="append", default=[], help="PATH, or NAME=PATH for one peer")
    options = parser.parse_args()
    problems = [one for name in options.problems for one in (suite(name) if name in SUITES else [name])]
    methods = list(dict.fromkeys([RANDOM, *options.methods]))
    modes = [mode(text) for text in options.modes]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "runs.jsonl"
        run_missing(
            methods,
            problems,
            modes=modes,
            seeds=range(options.seeds),
            path=path,
            known={},
            pythons=options.peers_python,
        )
        found = records.read([path])
    for workers, budget in modes:
        table = cells(found, methods, {(workers, budget): [budget]})
        print(f"\nworkers={workers}, after {budget} evaluations")
        print(f"{'':28s}" + "".join(f"{name:>14s}" for name in methods[1:]))
        for (name, _, _), cell in table.items():
            shown = [ratio(cell[method], cell[RANDOM]) if method in cell else np.nan for method in methods[1:]]
            print(f"{name:28s}" + "".join(f"{value:14.3f}" for value in shown))
        for method in methods[1:]:
            shared = [cell for cell in table.values() if method in cell]
            mean, low, high = geometric_mean_ratio(shared, method)
            cpu = np.mean([record.cpu_ms for record in found.values() if record.method == method])
            print(f"{method}: geometric mean {mean:.3f} [{low:.3f}, {high:.3f}] CPU {cpu:.2f} ms a suggestion")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Runs the cluster's benchmarks: `python -m benchmarks.cluster.run [NAMES] [--peers-python PATH] [--quick]`."""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.cluster import measures
from benchmarks.figures import Figure, table
from benchmarks.run import machine
from benchmarks.subjects import Bench

NAMES = ("trials", "results", "first", "bookkeeping", "rates", "durable", "keeps_up")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster.run", description="Tunesmith over Ray.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which ones: {', '.join(NAMES)} (default: all)")
    parser.add_argument("--peers-python", default=sys.executable, help="the Python in which Ray Tune is installed")
    parser.add_argument("--quick", action="store_true", help="rough figures in a fraction of the time")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()
    if unknown := sorted(set(options.names) - set(NAMES)):
        parser.error(f"there is no benchmark called {', '.join(unknown)}; there are {', '.join(NAMES)}")

    found: dict[str, list[Figure]] = {}
    with tempfile.TemporaryDirectory(prefix="bench", ignore_cleanup_errors=True) as folder:
        bench = Bench(options.peers_python, Path(folder), options.quick)
        print(machine(), flush=True)
        for name in options.names or NAMES:
            began, load = time.perf_counter(), os.getloadavg()[0]
            measure = getattr(measures, name)
            found[name] = measure(bench)
            about = f"{time.perf_counter() - began:.0f} s; load {load:.1f} before, {os.getloadavg()[0]:.1f} after"
            print(f"\n## {name}\n{measure.__doc__} ({about})\n\n{table(found[name])}", flush=True)
    if options.json:
        figures = {name: [figure.as_json() for figure in of_one] for name, of_one in found.items()}
        options.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
